//! Damage as a kind of byte and a change: reads give the right bytes or `Corrupt`, and `verify` finds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcp_core::{Artifact, ArtifactRef, Digest, ErrorKind, EventKind, Pin as _, RecordingSink, RegistryEvent};
use mcp_registry::{DependencyKind, Dependents, Draft, Expect, LabelChange, Registry, RegistryError, Select};

use crate::opening::copy_folder;
use crate::{assert_sound, kind, name, put, text, version};

const NAMES: [&str; 3] = ["raw", "packed", "last"];

fn body(of: &str) -> String {
    match of {
        "raw" => "short".to_owned(),
        "packed" => "compressible ".repeat(500),
        _ => "the last one".to_owned(),
    }
}

/// A closed registry of three blobs in one sealed pack.
async fn sample(folder: &Path) -> PathBuf {
    let registry = Registry::open(folder).await.unwrap();
    for of in NAMES {
        put(&registry, &format!("{of}@1.0.0"), &body(of)).await;
    }
    registry.close().await.unwrap();
    folder.join("packs/0000000001-0000000001")
}

/// Reads everything: right bytes or `Corrupt`; gives how many are `Corrupt`.
async fn corrupt_reads(registry: &Registry, context: &str) -> usize {
    let mut corrupt = 0;
    for of in NAMES {
        match text(registry, of, Select::exact("1.0.0")).await {
            Ok(read) => assert_eq!(read, body(of), "invariant 1, {context}"),
            Err(kind) => {
                assert_eq!(kind, ErrorKind::Corrupt, "{context}");
                corrupt += 1;
            }
        }
    }
    corrupt
}

#[tokio::test]
async fn invariant_1_every_byte_of_a_pack_may_flip_and_verify_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let pack = sample(folder.path()).await;
    let good = fs::read(&pack).unwrap();
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    assert_eq!(registry.verify().await.unwrap().faults, []);
    let mut corrupt = 0;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&pack, &bad).unwrap();
        let reads = corrupt_reads(&registry, &format!("byte {at}")).await;
        assert!(reads <= 1, "byte {at}: the rest stays readable");
        corrupt += reads;
        assert_ne!(registry.verify().await.unwrap().faults, [], "byte {at} of {}", good.len());
    }
    // All of records and payloads, but for bits of a zstd frame that mean nothing; neither header nor footer.
    assert!(corrupt > good.len() / 2, "{corrupt} of {}", good.len());
    fs::write(&pack, &good).unwrap();
    assert_eq!(registry.verify().await.unwrap().faults, []);
}

#[tokio::test]
async fn a_pack_cut_anywhere_or_removed_is_corrupt_with_its_place_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let pack = sample(folder.path()).await;
    let good = fs::read(&pack).unwrap();
    let sink = Arc::new(RecordingSink::new());
    let registry = Registry::local(folder.path()).events(sink.clone()).open_read_only().await.unwrap();
    for length in (0..good.len()).step_by(7) {
        fs::write(&pack, &good[..length]).unwrap();
        corrupt_reads(&registry, &format!("cut to {length}")).await;
        assert_ne!(registry.verify().await.unwrap().faults, [], "cut to {length}");
    }
    fs::remove_file(&pack).unwrap();
    // A fresh handle: the old one still has the file open.
    let registry = Registry::local(folder.path()).events(sink.clone()).open_read_only().await.unwrap();
    match registry.get(&name("raw"), Select::latest()).await {
        Err(RegistryError::Corrupt { what, place, .. }) => {
            assert_eq!(
                (what.as_str(), place.as_str()),
                ("raw@1.0.0", "packs/0000000001-0000000001 offset 32")
            );
        }
        other => panic!("{other:?}"),
    }
    let told = sink.events().into_iter().next_back().map(|event| event.kind);
    assert!(
        matches!(&told, Some(EventKind::Registry(RegistryEvent::Corrupt(corrupt))) if corrupt.place.ends_with("offset 32")),
        "{told:?}"
    );
    assert_ne!(registry.verify().await.unwrap().faults, []);
}

#[tokio::test]
async fn rows_that_were_changed_removed_or_misindexed_are_found() {
    let changes = [
        ("UPDATE row SET body = '{\"description\":\"forged\"}' WHERE seq = 2", "row 2: the chain is broken"),
        ("UPDATE row SET actor = 'eve' WHERE seq = 1", "row 1: the chain is broken"),
        ("UPDATE row SET at = at + 1 WHERE seq = 3", "row 3: the chain is broken"),
        ("UPDATE row SET version = 'x' WHERE seq = 2", "row 2: read a row of the catalog at row 2"),
        ("UPDATE row SET chain = zeroblob(32) WHERE seq = 3", "row 3: the chain is broken"),
        ("DELETE FROM row WHERE seq = 2", "row 2: rows are missing up to row 3"),
        ("DELETE FROM version WHERE seq = 2", "row 2: the index of versions does not lead here"),
        ("UPDATE version SET seq = 1 WHERE seq = 2", "row 2: the index of versions does not lead here"),
        (
            "UPDATE version SET class = 2 WHERE seq = 2",
            "index version: other versions are yanked than the rows say",
        ),
        ("DELETE FROM digest WHERE seq = 3", "row 3: the index of digests does not lead here"),
        ("INSERT INTO channel VALUES ('raw', 'x', 1)", "index channel: it has 1 entries, the rows give 0"),
        ("INSERT INTO pin VALUES ('h', 1, NULL)", "index pin: it has 1 entries, the rows give 0"),
        ("INSERT INTO request VALUES ('r', 1)", "index request: it has 1 entries, the rows give 0"),
        ("INSERT INTO mark VALUES (1, NULL, 1)", "index mark: it has 1 entries, the rows give 0"),
        (
            "INSERT INTO dependent VALUES ('raw', 'raw', x'00', 1)",
            "index dependent: it has 1 entries, the rows give 0",
        ),
        ("UPDATE total SET blobs = blobs + 1", "index total: the totals are not those of the rows"),
        ("UPDATE row SET pack_offset = 33 WHERE seq = 1", "packs/0000000001-0000000001 offset 33:"),
        (
            "UPDATE row SET sha256 = zeroblob(32) WHERE seq = 1",
            "packs/0000000001-0000000001 offset 32: the bytes do not",
        ),
        (
            "UPDATE row SET size = size + 1 WHERE seq = 1",
            "packs/0000000001-0000000001 offset 32: the record is that",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path()).await;
    for (sql, expected) in changes {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        rusqlite::Connection::open(copy.path().join("catalog.db")).unwrap().execute_batch(sql).unwrap();
        let registry = Registry::open_read_only(copy.path()).await.unwrap();
        let faults: Vec<String> = registry
            .verify()
            .await
            .unwrap()
            .faults
            .iter()
            .map(|fault| format!("{}: {}", fault.place, fault.reason))
            .collect();
        assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{sql}: {faults:#?}");
    }
}

#[tokio::test]
async fn what_was_said_after_the_publish_is_compared_with_the_rows_too() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let (app, one) = (name("app"), version("1.0.0"));
    let draft = Draft::new(&app, "x").dependency("lib", "1", DependencyKind::Runtime);
    registry.publish(draft, &one).await.unwrap();
    for value in ["b", "c"] {
        registry.set_labels(&app, &one, LabelChange::new().set("a", value)).await.unwrap();
    }
    registry.deprecate(&app, &one, "m").await.unwrap();
    registry.set_channel(&app, "beta", &one, Expect::Absent).await.unwrap();
    registry.remove_channel(&app, "beta", Expect::Any).await.unwrap();
    registry.with_request_id("r".parse().unwrap()).deprecate(&app, &one, "m").await.unwrap();
    assert_sound(&registry).await;
    registry.close().await.unwrap();
    let marks = "index mark: labels or deprecation of row 1 are not as the rows say";
    let changes = [
        ("UPDATE mark SET labels = 2", marks),
        ("UPDATE mark SET deprecation = NULL", marks),
        ("DELETE FROM mark", marks),
        ("DELETE FROM dependent", "row 1: the index of dependents does not lead here"),
        ("UPDATE dependent SET key = x'00'", "row 1: the index of dependents does not lead here"),
        ("UPDATE channel SET seq = 5", "index channel: it does not point where the rows say"),
        ("DELETE FROM request", "row 7: the index of requests does not lead here"),
        ("UPDATE request SET seq = 1", "row 7: the index of requests does not lead here"),
        (
            "UPDATE row SET body = replace(body, ':2', ':1') WHERE seq = 3",
            "row 3: it does not follow the change of labels before",
        ),
        (
            "UPDATE row SET body = replace(body, ':5', 'null') WHERE seq = 6",
            "row 6: read a row of the catalog at row 6",
        ),
        (
            "UPDATE row SET body = replace(body, ':5', ':1') WHERE seq = 6",
            "row 6: it does not follow the channel's move before",
        ),
        (
            "UPDATE row SET body = replace(body, '\"by\":4', '\"by\":7') WHERE seq = 7",
            "row 7: it is the answer to nothing",
        ),
    ];
    for (sql, expected) in changes {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        rusqlite::Connection::open(copy.path().join("catalog.db")).unwrap().execute_batch(sql).unwrap();
        let registry = Registry::open_read_only(copy.path()).await.unwrap();
        let faults = registry.verify().await.unwrap().faults;
        let faults: Vec<String> =
            faults.iter().map(|fault| format!("{}: {}", fault.place, fault.reason)).collect();
        assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{sql}: {faults:#?}");
    }
}

#[tokio::test]
async fn a_catalog_with_flipped_bytes_never_gives_wrong_bytes() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path()).await;
    let good = fs::read(folder.path().join("catalog.db")).unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), copy.path());
    for at in (0..good.len()).step_by(509) {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        fs::write(copy.path().join("catalog.db"), &bad).unwrap();
        // It may not open, and what is asked for may not be found; what is given is right.
        let Ok(registry) = Registry::open_read_only(copy.path()).await else { continue };
        for of in NAMES {
            if let Ok(content) = registry.get(&name(of), Select::exact("1.0.0")).await {
                let right = content.entry.artifact.name.as_str() != of || content.bytes == body(of);
                assert!(right, "byte {at}: {of}");
            }
        }
        // Neither panics nor hangs.
        drop(registry.verify().await);
        drop(registry.search("raw").await);
    }
}

#[tokio::test]
async fn what_cannot_be_read_of_the_catalog_is_a_fault_and_the_packs_are_checked_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path()).await;
    let changes = [
        ("DELETE FROM total", "index total: read the totals in the catalog: Query returned no rows"),
        (
            "UPDATE row SET kind = 4 WHERE seq = 3; INSERT INTO channel VALUES ('raw', 'x', 9)",
            "row 3: read a row of the catalog at row 3",
        ),
        (
            "UPDATE version SET name = '!', class = 2 WHERE seq = 2",
            "index version: read a name of the index of versions at catalog.db",
        ),
        ("UPDATE pack SET bytes = -1", "catalog.db: read a number of the catalog at catalog.db"),
        ("UPDATE pack SET epoch = -1", "catalog.db: list packs in the catalog"),
        // What is not readable of one index does not hide what is wrong with another.
        (
            "DELETE FROM total; INSERT INTO pin VALUES ('h', 1, NULL)",
            "index pin: it has 1 entries, the rows give 0",
        ),
        (
            "UPDATE version SET yank = -1 WHERE seq = 2; INSERT INTO mark VALUES (1, NULL, 1)",
            "index mark: it has 1 entries, the rows give 0",
        ),
    ];
    for (sql, expected) in changes {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        rusqlite::Connection::open(copy.path().join("catalog.db")).unwrap().execute_batch(sql).unwrap();
        let registry = Registry::open_read_only(copy.path()).await.unwrap();
        let found = registry.verify().await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let faults: Vec<String> =
            found.faults.iter().map(|fault| format!("{}: {}", fault.place, fault.reason)).collect();
        assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{sql}: {faults:#?}");
        assert_eq!((found.packs, found.blobs), (1, 3), "{sql}");
    }
    // Without its id it does not open: it was damaged since.
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    rusqlite::Connection::open(folder.path().join("catalog.db"))
        .unwrap()
        .execute_batch("UPDATE meta SET value = 'x' WHERE key = 'catalog'")
        .unwrap();
    let found = registry.verify().await.unwrap();
    let faults: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        ["catalog.db: read the catalog at catalog.db: its id is not one; verify the registry, then restore"]
    );
    assert_eq!((found.packs, found.blobs), (1, 3));
}

#[tokio::test]
async fn a_page_that_is_no_page_hides_only_what_it_holds_from_verify() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let drafts = (0..400).map(|n| {
        let draft = Draft::new(&name(&format!("app-{n}")), format!("body {n}")).description("x".repeat(300));
        (draft, version("1.0.0"))
    });
    assert!(registry.publish_many(drafts.collect::<Vec<_>>()).await.iter().all(Result::is_ok));
    registry.close().await.unwrap();
    let catalog = folder.path().join("catalog.db");
    let good = fs::read(&catalog).unwrap();
    for table in ["row", "version", "digest"] {
        fs::write(&catalog, &good).unwrap();
        let database = rusqlite::Connection::open(&catalog).unwrap();
        let pages =
            "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 1";
        let page = database.query_row(pages, [table], |row| row.get::<_, u32>(0)).unwrap() as usize;
        database.execute("UPDATE row SET actor = 'other' WHERE seq = 390", []).unwrap();
        drop(database);
        let mut bad = fs::read(&catalog).unwrap();
        bad[(page - 1) * 4096..page * 4096].fill(0xa5);
        fs::write(&catalog, bad).unwrap();
        let registry = Registry::open_read_only(folder.path()).await.unwrap();
        let found = registry.verify().await.unwrap();
        let faults: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
        let has = |begin: &str| {
            assert!(faults.iter().any(|fault| fault.starts_with(begin)), "{begin}: {faults:#?}")
        };
        has(&format!("catalog.db: table {table}: Tree"));
        // Far behind the page.
        has("row 390, app-389@1.0.0: the chain is broken");
        if table == "row" {
            has("rows ");
            assert!((350..400).contains(&found.rows), "{}", found.rows);
        } else {
            has(&format!("index {table}: count rows in the catalog: "));
            assert_eq!(found.rows, 400);
        }
        // The footer knows what the rows do not.
        assert_eq!((found.packs, found.blobs), (1, 400), "{table}");
    }
}

#[tokio::test]
async fn bytes_that_are_published_again_are_stored_again_where_what_was_stored_is_damaged_or_gone() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 3] = [
        ("removed", |pack| fs::remove_file(pack).unwrap()),
        ("cut", |pack| fs::write(pack, &fs::read(pack).unwrap()[..60]).unwrap()),
        ("flipped", |pack| {
            let mut bytes = fs::read(pack).unwrap();
            let end = bytes.len() - 250;
            bytes[40..end].iter_mut().for_each(|byte| *byte ^= 1);
            fs::write(pack, bytes).unwrap();
        }),
    ];
    for (what, change) in changes {
        let folder = tempfile::tempdir().unwrap();
        change(&sample(folder.path()).await);
        let registry = Registry::open(folder.path()).await.unwrap();
        let read = async |registry: &Registry, of: &str| text(registry, of, Select::exact("1.0.0")).await;
        for _ in 0..3 {
            assert_eq!(read(&registry, "raw").await, Err(ErrorKind::Corrupt), "{what}");
        }
        let publish = async |name: &str, of: &str| {
            registry.publish(Draft::new(&crate::name(name), body(of)), &version("1.0.0")).await.unwrap()
        };
        assert!(publish("other", "raw").await.created, "{what}");
        for of in ["other", "raw"] {
            assert_eq!(read(&registry, of).await, Ok(body("raw")), "invariant 2, {what}: {of}");
        }
        // Also where nothing is new but the bytes.
        let again = publish("last", "last").await;
        assert!(!again.created, "{what}");
        assert_eq!(read(&registry, "last").await, Ok(body("last")), "invariant 2, {what}");
        assert_eq!(read(&registry, "packed").await, Err(ErrorKind::Corrupt), "{what}");
        registry.close().await.unwrap();
        let registry = Registry::open(folder.path()).await.unwrap();
        for (of, same) in [("other", "raw"), ("raw", "raw"), ("last", "last")] {
            assert_eq!(read(&registry, of).await, Ok(body(same)), "invariant 2, {what}: {of}");
        }
        // Nothing is stored a third time.
        assert!(
            registry
                .publish(Draft::new(&name("third"), body("raw")), &version("1.0.0"))
                .await
                .unwrap()
                .deduplicated
        );
        registry.close().await.unwrap();
        assert_eq!(
            fs::read_dir(folder.path().join("packs")).unwrap().count(),
            if what == "removed" { 1 } else { 2 }
        );
        let registry = Registry::open_read_only(folder.path()).await.unwrap();
        let faults = registry.verify().await.unwrap().faults;
        let old = |fault: &mcp_registry::Fault| {
            fault.place.starts_with("packs/0000000001-")
                && ["", "packed@1.0.0"].contains(&fault.subject.as_str())
        };
        assert!(!faults.is_empty() && faults.iter().all(old), "invariant 4, {what}: {faults:#?}");
    }
}

#[tokio::test]
async fn a_pack_that_is_gone_is_told_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    fs::remove_file(sample(folder.path()).await).unwrap();
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    match registry.get(&name("raw"), Select::latest()).await {
        Err(RegistryError::Corrupt { reason, .. }) => {
            assert!(reason.starts_with("read packs/0000000001-0000000001: No such file"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_an_index_says_in_text_that_nobody_wrote_is_damage_and_not_the_callers_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let (app, one) = (name("app"), version("1.0.0"));
    let draft = Draft::new(&app, "x").dependency("lib", "1", DependencyKind::Runtime);
    registry.publish(draft, &one).await.unwrap();
    let artifact = Artifact::new(ArtifactRef::new(app, one), Digest::of(b"x"));
    registry.pin(&"h".parse().unwrap(), &[artifact], None).await.unwrap();
    registry.close().await.unwrap();
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    catalog
        .execute_batch(
            "UPDATE version SET name = '!'; UPDATE pin SET holder = ''; UPDATE dependent SET name = '!'",
        )
        .unwrap();
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    assert_eq!(kind(registry.names("", None, 9).await), Some(ErrorKind::Corrupt));
    assert_eq!(kind(registry.pins().await), Some(ErrorKind::Corrupt));
    let latest = Dependents::of(&name("lib")).latest_only();
    assert_eq!(kind(registry.dependents(latest).await), Some(ErrorKind::Corrupt));
    catalog.execute_batch("UPDATE pin SET holder = 'h'; UPDATE row SET version = 'x'").unwrap();
    assert_eq!(kind(registry.pins().await), Some(ErrorKind::Corrupt));
}

#[tokio::test]
async fn a_row_that_says_another_version_than_the_index_is_left_out_and_paging_ends() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    for minor in 0..6 {
        put(&registry, &format!("app@1.{minor}.0"), "x").await;
    }
    registry.close().await.unwrap();
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    catalog.execute("UPDATE row SET version = '9.2.0' WHERE seq = 3", []).unwrap();
    catalog.close().unwrap();
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    let mut listed = Vec::new();
    let mut below = None;
    for _ in 0..6 {
        let page = registry.versions(&name("app"), below.as_ref(), 1).await.unwrap();
        let Some(last) = page.last() else { break };
        below = Some(last.artifact.version.clone());
        listed.push(last.artifact.version.to_string());
    }
    assert_eq!(listed, ["1.5.0", "1.4.0", "1.3.0", "1.1.0", "1.0.0"]);
    assert_eq!(kind(registry.resolve(&name("app"), Select::exact("1.2.0")).await), Some(ErrorKind::Corrupt));
    registry.close().await.unwrap();
}
