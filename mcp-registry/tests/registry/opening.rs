use std::fs;
use std::path::Path;

use mcp_core::ErrorKind;
use mcp_registry::{Draft, LabelChange, LocalStorage, Registry, RegistryError, Select, StorageBackend as _};

use crate::{assert_sound, kind, name, put, text, version};

/// Copies what a power cut would leave: every file of the folder as it is now.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_second_writer_is_told_who_holds_the_folder_and_a_reader_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let first = Registry::local(folder.path()).holder("process 7 on build-1").open().await.unwrap();
    put(&first, "app@1.0.0", "x").await;
    match Registry::open(folder.path()).await {
        Err(RegistryError::Locked { holder, .. }) => assert_eq!(holder, "process 7 on build-1"),
        other => panic!("{other:?}"),
    }
    let reader = Registry::open_read_only(folder.path()).await.unwrap();
    assert_eq!(text(&reader, "app", Select::latest()).await, Ok("x".to_owned()));
    put(&first, "app@2.0.0", "y").await;
    assert_eq!(text(&reader, "app", Select::latest()).await, Ok("y".to_owned()));
    let write = reader.publish(Draft::new(&name("app"), "z"), &version("3.0.0")).await;
    assert_eq!(kind(write), Some(ErrorKind::Unsupported));
    assert_sound(&reader).await;
    first.close().await.unwrap();
    assert_eq!(text(&reader, "app", Select::exact("1.0.0")).await, Ok("x".to_owned()));
    reader.close().await.unwrap();
}

#[tokio::test]
async fn a_reader_sees_what_other_openings_changed_between_two_of_its_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (app, v) = (name("app"), version("1.0.0"));
    let first = Registry::open(folder.path()).await.unwrap();
    put(&first, "app@1.0.0", "x").await;
    first.close().await.unwrap();
    let reader = Registry::open_read_only(folder.path()).await.unwrap();
    let seen = async || {
        let entry = reader.resolve(&app, Select::exact("1.0.0")).await.unwrap();
        (entry.yanked, entry.labels.get("k").cloned())
    };
    assert_eq!(seen().await, (None, None));
    for (yanked, label) in [(true, "1"), (false, "2")] {
        // Closing merges everything into the tables.
        let writer = Registry::open(folder.path()).await.unwrap();
        if yanked {
            writer.yank(&app, &v, "r").await.unwrap();
        } else {
            writer.unyank(&app, &v, "r").await.unwrap();
        }
        writer.set_labels(&app, &v, LabelChange::new().set("k", label)).await.unwrap();
        writer.close().await.unwrap();
        assert_eq!(seen().await, (yanked.then(|| "r".to_owned()), Some(label.to_owned())));
    }
    reader.close().await.unwrap();
}

#[tokio::test]
async fn what_was_published_is_there_after_reopening_and_each_opening_has_packs_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..3_u64 {
        let registry = Registry::open(folder.path()).await.unwrap();
        put(&registry, &format!("app@{n}.0.0"), &format!("body {n}")).await;
        for earlier in 0..=n {
            let select = Select::exact(mcp_core::Version::new(earlier, 0, 0));
            assert_eq!(text(&registry, "app", select).await, Ok(format!("body {earlier}")));
        }
        assert_sound(&registry).await;
        registry.close().await.unwrap();
    }
    let packs = LocalStorage::new(folder.path()).list("packs/").await.unwrap();
    let keys: Vec<&str> = packs.iter().map(|stat| stat.key.as_str()).collect();
    assert_eq!(
        keys,
        ["packs/0000000001-0000000001", "packs/0000000002-0000000001", "packs/0000000003-0000000001"]
    );
}

#[tokio::test]
async fn a_folder_that_was_being_made_when_its_maker_was_killed_opens() {
    let made = tempfile::tempdir().unwrap();
    let registry = Registry::open(made.path()).await.unwrap();
    registry.close().await.unwrap();
    // The files appear in this order; an empty database file is what SQLite makes first.
    type Made<'a> = (&'a str, Option<&'a [u8]>);
    let steps: [&[Made<'_>]; 5] = [
        &[],
        &[("LOCK", Some(b""))],
        &[("LOCK", Some(b"process 1\n")), (".FORMAT", Some(b"mcp-reg"))],
        &[("LOCK", Some(b"process 1\n")), ("FORMAT", None)],
        &[("LOCK", Some(b"process 1\n")), ("FORMAT", None), ("catalog.db", Some(b""))],
    ];
    for files in steps {
        let folder = tempfile::tempdir().unwrap();
        for (file, content) in files {
            match content {
                Some(content) => fs::write(folder.path().join(file), content).unwrap(),
                None => drop(fs::copy(made.path().join(file), folder.path().join(file)).unwrap()),
            }
        }
        let registry =
            Registry::open(folder.path()).await.unwrap_or_else(|error| panic!("{files:?}: {error}"));
        put(&registry, "app@1.0.0", "x").await;
        assert_sound(&registry).await;
        registry.close().await.unwrap();
    }
}

#[tokio::test]
async fn files_of_writes_that_were_killed_are_removed_by_the_next_writer_and_those_under_way_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    registry.close().await.unwrap();
    let packs = folder.path().join("packs");
    fs::write(packs.join(".put-1-0"), "of a process that was killed").unwrap();
    fs::write(packs.join(".other"), "nothing that a registry writes").unwrap();
    let under_way = fs::File::create(packs.join(".put-1-1")).unwrap();
    under_way.lock().unwrap();
    let names = || {
        let names =
            fs::read_dir(&packs).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect::<std::collections::BTreeSet<_>>()
    };
    drop(Registry::open_read_only(folder.path()).await.unwrap());
    assert_eq!(names().len(), 3, "who only reads removes nothing");
    Registry::open(folder.path()).await.unwrap().close().await.unwrap();
    assert_eq!(names(), [".other", ".put-1-1"].map(str::to_owned).into());
    drop(under_way);
    Registry::open(folder.path()).await.unwrap().close().await.unwrap();
    assert_eq!(names(), [".other"].map(str::to_owned).into());
}

#[tokio::test]
async fn a_folder_without_a_registry_cannot_be_read_and_a_newer_one_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(kind(Registry::open_read_only(folder.path()).await), Some(ErrorKind::NotFound));
    assert_eq!(kind(Registry::in_memory().open_read_only().await), Some(ErrorKind::NotFound));
    fs::write(folder.path().join("FORMAT"), "mcp-registry 2\n").unwrap();
    match Registry::open(folder.path()).await {
        Err(RegistryError::NewerFormat { found, known }) => assert_eq!((found, known), (2, 1)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_catalog_from_an_earlier_state_uses_no_pack_name_again() {
    let folder = tempfile::tempdir().unwrap();
    let old = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "one").await;
    registry.close().await.unwrap();
    copy_folder(folder.path(), old.path());
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@2.0.0", "two").await;
    registry.close().await.unwrap();
    let pack = folder.path().join("packs/0000000002-0000000001");
    let bytes = fs::read(&pack).unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    copy_folder(old.path(), folder.path());
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@2.0.0", "another two").await;
    assert_eq!(text(&registry, "app", Select::latest()).await, Ok("another two".to_owned()));
    assert_sound(&registry).await;
    assert_eq!(fs::read(&pack).unwrap(), bytes);
    assert!(folder.path().join("packs/0000000003-0000000001").exists());
    registry.close().await.unwrap();
}

#[tokio::test]
async fn a_folder_whose_writer_was_killed_can_be_read_before_it_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    copy_folder(folder.path(), copy.path());
    let reader = Registry::open_read_only(copy.path()).await.unwrap();
    assert_eq!(text(&reader, "app", Select::latest()).await, Ok("x".to_owned()));
    assert_sound(&reader).await;
    registry.close().await.unwrap();
}

#[tokio::test]
async fn a_writer_that_was_overtaken_writes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    // As on a file system whose locks do not hold: another writer takes the next epoch.
    let other = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    other.execute("UPDATE meta SET value = '2' WHERE key = 'epoch'", []).unwrap();
    for _ in 0..2 {
        match registry.publish(Draft::new(&name("app"), "y"), &version("2.0.0")).await {
            Err(RegistryError::WriterStopped { reason, .. }) => {
                assert!(reason.contains("a later writer has taken over, with epoch 2 after 1"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(kind(registry.yank(&name("app"), &version("1.0.0"), "r").await), Some(ErrorKind::Unavailable));
    assert_eq!(registry.changes(0, 10).await.unwrap().len(), 1);
    assert_eq!(text(&registry, "app", Select::latest()).await, Ok("x".to_owned()));
}

#[tokio::test]
async fn packs_whose_catalog_is_lost_are_corrupt_and_not_an_empty_registry() {
    let made = tempfile::tempdir().unwrap();
    let registry = Registry::open(made.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    registry.close().await.unwrap();
    for emptied in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(made.path(), folder.path());
        let catalog = folder.path().join("catalog.db");
        if emptied {
            fs::write(&catalog, b"").unwrap();
        } else {
            fs::remove_file(&catalog).unwrap();
        }
        for _ in 0..2 {
            match Registry::open(folder.path()).await {
                Err(RegistryError::Corrupt { reason, .. }) => {
                    assert_eq!(reason, "it is empty or missing although there are packs");
                }
                other => panic!("{other:?}"),
            }
        }
        fs::copy(made.path().join("catalog.db"), &catalog).unwrap();
        let registry = Registry::open(folder.path()).await.unwrap();
        assert_eq!(text(&registry, "app", Select::latest()).await, Ok("x".to_owned()));
        assert_sound(&registry).await;
    }
}

#[tokio::test]
async fn the_first_row_follows_the_chain_that_the_catalogs_id_begins() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    let first = registry.changes(0, 1).await.unwrap().remove(0);
    let id = registry.catalog_id().await.unwrap();
    assert!(first.follows(&mcp_registry::genesis(id)));
    let reader = Registry::open_read_only(folder.path()).await.unwrap();
    assert_eq!(reader.catalog_id().await.unwrap(), id);
    registry.close().await.unwrap();
}
