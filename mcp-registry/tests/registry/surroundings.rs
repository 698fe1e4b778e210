//! What the operating system may do to a registry: a full disk, a folder that cannot be written, files that vanish, a clock that goes back.
#![expect(
    clippy::disallowed_methods,
    reason = "the parent of a test's process tells it by its environment which folder it is to fill"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mcp_core::{ErrorKind, ManualClock, Timestamp};
use mcp_registry::{Draft, Registry, RegistryError, Select};

use crate::opening::copy_folder;
use crate::streams::{body, streamed};
use crate::{assert_sound, kind, name, put, text, version};

/// As on a file system that is mounted read-only: neither a log nor the file of its locks can be made beside the catalog.
fn no_locks(folder: &Path) {
    for file in ["catalog.db-wal", "catalog.db-shm"] {
        let file = folder.join(file);
        if file.to_string_lossy().ends_with("-wal") && file.exists() {
            continue;
        }
        drop(fs::remove_file(&file));
        std::os::unix::fs::symlink(folder.join("no/folder"), file).unwrap();
    }
}

#[tokio::test]
async fn a_closed_registry_is_readable_where_nothing_can_be_written_whatever_its_folder_is_called() {
    let made = tempfile::tempdir().unwrap();
    for called in ["plain", "file:odd?mode=rw#100%é"] {
        let folder = made.path().join(called);
        let registry = Registry::open(&folder).await.unwrap();
        put(&registry, "app@1.0.0", "x").await;
        registry.close().await.unwrap();
        no_locks(&folder);
        let before: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        let reader = Registry::open_read_only(&folder).await.unwrap();
        assert_eq!(text(&reader, "app", Select::latest()).await, Ok("x".to_owned()));
        assert_eq!(reader.search("app").await.unwrap().len(), 1);
        assert_sound(&reader).await;
        reader.close().await.unwrap();
        let after: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(before, after, "reading writes nothing");
    }
}

#[tokio::test]
async fn a_registry_with_a_log_is_not_readable_without_it_and_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    copy_folder(folder.path(), copy.path());
    no_locks(copy.path());
    let error = Registry::open_read_only(copy.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.ends_with("the log that holds it needs a folder that can be written; open it for writing once"),
        "{cause}"
    );
    fs::remove_file(copy.path().join("catalog.db-shm")).unwrap();
    let again = Registry::open(copy.path()).await.unwrap();
    assert_eq!(text(&again, "app", Select::latest()).await, Ok("x".to_owned()));
    again.close().await.unwrap();
    registry.close().await.unwrap();
}

#[tokio::test]
async fn a_registry_that_is_being_made_is_read_later_and_one_whose_catalog_is_gone_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("catalog.db");
    Registry::open(folder.path()).await.unwrap().close().await.unwrap();
    // Without packs, nothing tells it from one whose maker has not come further.
    for begun in [None, Some(&b""[..])] {
        fs::remove_file(&catalog).unwrap();
        begun.into_iter().for_each(|begun| fs::write(&catalog, begun).unwrap());
        assert_eq!(kind(Registry::open_read_only(folder.path()).await), Some(ErrorKind::Unavailable));
        assert_eq!(catalog.exists(), begun.is_some(), "reading makes nothing");
        Registry::open(folder.path()).await.unwrap().close().await.unwrap();
    }
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    registry.close().await.unwrap();
    let good = fs::read(&catalog).unwrap();
    let garbage = [&b"x"[..], &[7; 50], &[7; 100], &[0; 4096], &[0xff; 10_000], &good[..1], &good[..100]];
    for bad in [None, Some(&b""[..])].into_iter().chain(garbage.into_iter().map(Some)) {
        fs::remove_file(&catalog).unwrap();
        bad.into_iter().for_each(|bad| fs::write(&catalog, bad).unwrap());
        let about = bad.map(|bad| (bad.len(), bad.first()));
        assert_eq!(
            kind(Registry::open_read_only(folder.path()).await),
            Some(ErrorKind::Corrupt),
            "{about:?}"
        );
        assert_eq!(kind(Registry::open(folder.path()).await), Some(ErrorKind::Corrupt), "{about:?}");
        // Whoever restores it finds all of it.
        fs::write(&catalog, &good).unwrap();
        let registry = Registry::open(folder.path()).await.unwrap();
        assert_eq!(text(&registry, "app", Select::latest()).await, Ok("x".to_owned()));
        registry.close().await.unwrap();
    }
    rusqlite::Connection::open(&catalog).unwrap().execute_batch("DROP TABLE meta").unwrap();
    for opened in [Registry::open_read_only(folder.path()).await, Registry::open(folder.path()).await] {
        assert_eq!(kind(opened), Some(ErrorKind::Corrupt));
    }
}

#[tokio::test]
async fn invariant_2_nothing_is_acknowledged_into_files_that_were_removed_or_replaced() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("packs removed", |folder| fs::remove_dir_all(folder.join("packs")).unwrap()),
        ("packs moved", |folder| fs::rename(folder.join("packs"), folder.join("elsewhere")).unwrap()),
        ("pack replaced", |folder| {
            let pack = folder.join("packs/0000000001-0000000001");
            let bytes = fs::read(&pack).unwrap();
            fs::remove_file(&pack).unwrap();
            fs::write(&pack, bytes).unwrap();
        }),
        ("catalog removed", |folder| fs::remove_file(folder.join("catalog.db")).unwrap()),
        ("log removed", |folder| fs::remove_file(folder.join("catalog.db-wal")).unwrap()),
    ];
    for (what, change) in changes {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).await.unwrap();
        put(&registry, "app@1.0.0", "one").await;
        change(folder.path());
        for _ in 0..2 {
            match registry.publish(Draft::new(&name("app"), "two"), &version("2.0.0")).await {
                Err(RegistryError::WriterStopped { kind: ErrorKind::Unavailable, reason }) => {
                    assert!(
                        reason.contains("removed or replaced while it grew")
                            || reason.contains("which is open"),
                        "{what}: {reason}"
                    );
                }
                other => panic!("{what}: {other:?}"),
            }
        }
        assert_eq!(
            kind(registry.yank(&name("app"), &version("1.0.0"), "r").await),
            Some(ErrorKind::Unavailable),
            "{what}"
        );
        drop(registry.close().await);
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_neither_breaks_the_chain_nor_hides_anything() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_000_000_000_000)));
    let registry = Registry::in_memory().clock(clock.clone()).open().await.unwrap();
    put(&registry, "app@1.0.0", "one").await;
    clock.set(Timestamp::from_micros(1_000));
    put(&registry, "app@2.0.0", "two").await;
    registry.yank(&name("app"), &version("2.0.0"), "r").await.unwrap();
    clock.set(Timestamp::from_micros(-5));
    put(&registry, "app@3.0.0", "three").await;
    let rows = registry.changes(0, 10).await.unwrap();
    let times: Vec<i64> = rows.iter().map(|row| row.at.as_micros()).collect();
    assert_eq!(times, [1_000_000_000_000, 1_000, 1_000, -5]);
    assert!(rows.windows(2).all(|pair| pair[1].follows(&pair[0].chain)));
    assert_eq!(text(&registry, "app", Select::latest()).await, Ok("three".to_owned()));
    assert_sound(&registry).await;
}

/// Runs this test again in a process whose files may have at most `blocks` of 512 bytes: what a full disk is to a write.
fn in_small_process(test: &str, folder: &Path, blocks: u32) -> bool {
    let program = std::env::current_exe().unwrap();
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(program).args([test, "--exact", "--nocapture"]);
    command.env(SMALL, folder).output().unwrap().status.success()
}

const SMALL: &str = "MCP_REGISTRY_TEST_SMALL";

#[tokio::test]
async fn a_write_that_does_not_fit_is_told_as_exhausted_and_work_resumes_when_there_is_room() {
    let test =
        "surroundings::a_write_that_does_not_fit_is_told_as_exhausted_and_work_resumes_when_there_is_room";
    if let Some(folder) = std::env::var_os(SMALL) {
        return until_it_is_full(&PathBuf::from(folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    Registry::open(folder.path()).await.unwrap().close().await.unwrap();
    assert!(in_small_process(test, folder.path(), 2048), "the child's own asserts");
    let registry = Registry::open(folder.path()).await.unwrap();
    let told: u64 = fs::read_to_string(folder.path().join("acknowledged")).unwrap().parse().unwrap();
    assert!(told >= 2, "{told}");
    for n in 0..told {
        let read = registry.get(&name("app"), Select::exact(mcp_core::Version::new(n, 0, 0))).await.unwrap();
        assert!(read.bytes == noise(n), "version {n}");
    }
    // The one that failed was not published, and can be now.
    let at = mcp_core::Version::new(told, 0, 0);
    assert!(registry.publish(Draft::new(&name("app"), noise(told)), &at).await.unwrap().created);
    registry.publish(streamed("large", &body(5 << 20)), &version("1.0.0")).await.unwrap();
    assert_sound(&registry).await;
    registry.close().await.unwrap();
}

fn noise(n: u64) -> Vec<u8> {
    (0..6400_u64).flat_map(|at| *mcp_core::Digest::of(&(n << 32 | at).to_le_bytes()).as_bytes()).collect()
}

async fn until_it_is_full(folder: &Path) {
    let registry = Registry::open(folder).await.unwrap();
    // A stream that does not fit stops nobody else.
    let large = registry.publish(streamed("large", &body(5 << 20)), &version("1.0.0")).await;
    assert_eq!(kind(large), Some(ErrorKind::Exhausted));
    let mut acknowledged = 0_u64;
    let error = loop {
        let draft = Draft::new(&name("app"), noise(acknowledged));
        match registry.publish(draft, &mcp_core::Version::new(acknowledged, 0, 0)).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
    assert!(error.to_string().contains("File too large"), "{error}");
    let later = registry.yank(&name("app"), &version("0.0.0"), "r").await;
    assert_eq!(kind(later), Some(ErrorKind::Exhausted));
    assert_eq!(kind(registry.close().await), Some(ErrorKind::Exhausted));
    fs::write(folder.join("acknowledged"), acknowledged.to_string()).unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_denied_or_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "not a folder").unwrap();
    let error = Registry::open(folder.path().join("file/registry")).await.unwrap_err();
    assert!(error.to_string().contains("file/registry"), "{error}");
}
