//! The change feed as a stream.

use std::path::Path;
use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use mcp_core::{Digest, Digester, ErrorKind, Id, SequentialIds};
use mcp_registry::{ChangeRow, Draft, Registry, RegistryChange, RegistryError, genesis};

use crate::opening::copy_folder;
use crate::{in_memory, kind, name, put, version};

async fn filled(folder: &Path, rows: u64) -> Registry {
    let registry = Registry::local(folder).ids(Arc::new(SequentialIds::starting_at(5))).open().await.unwrap();
    let drafts =
        (0..rows).map(|n| (Draft::new(&name("app"), n.to_string()), mcp_core::Version::new(1, n, 0)));
    assert!(registry.publish_many(drafts).await.iter().all(Result::is_ok));
    registry
}

#[tokio::test]
async fn invariant_4_a_host_can_verify_the_chain_by_itself_over_any_number_of_pages() {
    let folder = tempfile::tempdir().unwrap();
    let registry = filled(folder.path(), 700).await;
    registry.yank(&name("app"), &version("1.3.0"), "r").await.unwrap();
    let rows: Vec<ChangeRow> = registry.feed(0).try_collect().await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=701).collect::<Vec<_>>());
    let mut chain = genesis(Id::from_u128(5));
    for row in &rows {
        let mut digester = Digester::new();
        digester.update(chain.as_bytes()).update(row.canonical());
        chain = digester.digest();
        assert_eq!(row.chain, chain, "row {}", row.seq);
    }
    match &rows[0].change {
        RegistryChange::Published { sha256, digest, .. } => {
            // Of the text 0, as `printf 0 | sha256sum` has it.
            assert_eq!(sha256[..4], [0x5f, 0xec, 0xeb, 0x66]);
            assert_eq!(*digest, Digest::of(b"0"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(registry.changes(0, 999).await.unwrap(), rows, "pages and the stream are one feed");
    let rest: Vec<ChangeRow> = registry.feed(698).expecting(rows[697].chain).try_collect().await.unwrap();
    assert_eq!(rest, rows[698..]);
    assert_eq!(registry.feed(701).try_collect::<Vec<_>>().await.unwrap(), []);
}

#[tokio::test]
async fn a_reader_who_saw_another_feed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let registry = filled(folder.path(), 3).await;
    let seen = registry.changes(0, 9).await.unwrap();
    let mut other = registry.feed(2).expecting(seen[0].chain);
    let error = other.try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("row 2: its chain is not the one that was read before"), "{error}");
    assert!(other.next().await.is_none(), "nothing after an error");
    // As after a restore from an earlier state.
    assert_eq!(kind(registry.feed(4).try_next().await), Some(ErrorKind::NotFound));
    assert_eq!(kind(registry.follow(4).try_next().await), Some(ErrorKind::NotFound));
}

#[tokio::test]
async fn a_broken_link_ends_the_stream_as_corrupt_at_its_row() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 5).await.close().await.unwrap();
    for (sql, place) in [
        ("UPDATE row SET actor = 'eve' WHERE seq = 3", "row 3"),
        ("UPDATE row SET chain = zeroblob(32) WHERE seq = 3", "row 3"),
        ("DELETE FROM row WHERE seq = 3", "row 4"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        rusqlite::Connection::open(copy.path().join("catalog.db")).unwrap().execute_batch(sql).unwrap();
        let registry = Registry::open_read_only(copy.path()).await.unwrap();
        let mut feed = registry.feed(0);
        let before = [feed.try_next().await.unwrap(), feed.try_next().await.unwrap()];
        assert_eq!(before.map(|row| row.unwrap().seq), [1, 2]);
        match feed.try_next().await {
            Err(RegistryError::Corrupt { place: at, .. }) => assert_eq!(at, place, "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
        assert!(feed.next().await.is_none());
    }
}

#[tokio::test]
async fn a_damaged_row_ends_the_stream_and_the_rows_before_it_are_given_first() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 300).await.close().await.unwrap();
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    catalog.execute_batch("UPDATE row SET version = 'x' WHERE seq = 200").unwrap();
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    for (stream, first) in
        [(registry.feed(0), 1), (registry.follow(0), 1), (registry.feed(150), 151), (registry.feed(199), 200)]
    {
        let mut rows: Vec<_> = stream.collect().await;
        match rows.pop() {
            Some(Err(RegistryError::Corrupt { place, .. })) => assert_eq!(place, "row 200"),
            other => panic!("{other:?}"),
        }
        let seqs: Vec<u64> = rows.into_iter().map(|row| row.unwrap().seq).collect();
        assert_eq!(seqs, (first..200).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn rows_are_read_by_their_bytes_too_and_a_short_page_is_not_the_end() {
    let registry = in_memory().await;
    let drafts = (0..300).map(|n| {
        let draft = Draft::new(&name("app"), "x").description("d".repeat(16 << 10));
        (draft, mcp_core::Version::new(1, n, 0))
    });
    assert!(registry.publish_many(drafts).await.iter().all(Result::is_ok));
    let mut pages = vec![0];
    loop {
        let last = pages[pages.len() - 1];
        let page = registry.changes(last, 1000).await.unwrap();
        let Some(row) = page.last() else { break };
        assert!((page.len() - 1) * (16 << 10) < 4 << 20, "{}", page.len());
        assert_eq!(page.len() as u64, row.seq - last);
        pages.push(row.seq);
    }
    assert_eq!((pages.len(), pages[pages.len() - 1]), (3, 300));
    assert_eq!(registry.feed(0).map_ok(|row| row.seq).try_collect::<Vec<_>>().await.unwrap().len(), 300);
    assert_eq!(registry.verify().await.unwrap().rows, 300);
}

#[tokio::test]
async fn a_row_that_is_larger_than_a_step_is_read_alone() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 3).await.close().await.unwrap();
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    let forged = "UPDATE row SET body = json_object('description', printf('%.*c', 5000000, 'd'))";
    catalog.execute_batch(forged).unwrap();
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    for after in 0..3 {
        let page = registry.changes(after, 9).await.unwrap();
        assert_eq!(page.iter().map(|row| row.seq).collect::<Vec<_>>(), [after + 1]);
        // The row before takes no place from it: the stream gets to it, and sees that it is forged.
        let error = registry.feed(after).try_next().await.unwrap_err();
        assert!(error.to_string().contains("it does not follow the row before"), "{after}: {error}");
    }
    assert_eq!(registry.changes(3, 9).await.unwrap(), []);
    assert_eq!(registry.verify().await.unwrap().rows, 3);
}

#[tokio::test]
async fn who_follows_hears_of_each_commit_and_of_the_end() {
    let registry = in_memory().await;
    put(&registry, "app@1.0.0", "x").await;
    let mut followed = registry.follow(0);
    assert_eq!(followed.try_next().await.unwrap().unwrap().seq, 1);
    assert!(followed.next().now_or_never().is_none(), "it waits");
    let waiting = tokio::spawn(async move {
        let row = followed.try_next().await.unwrap().unwrap();
        (row.seq, followed)
    });
    put(&registry, "app@2.0.0", "y").await;
    let (seq, mut followed) = waiting.await.unwrap();
    assert_eq!(seq, 2);
    let waiting = tokio::spawn(async move { kind(followed.try_next().await) });
    tokio::task::yield_now().await;
    registry.close().await.unwrap();
    assert_eq!(waiting.await.unwrap(), Some(ErrorKind::Unavailable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_miss_nothing_of_a_crowd() {
    let registry = in_memory().await;
    let followers = (0..4).map(|_| {
        let rows = registry.follow(0).take(400);
        tokio::spawn(async move { rows.map_ok(|row| row.seq).try_collect::<Vec<_>>().await.unwrap() })
    });
    let followers: Vec<_> = followers.collect();
    let publishers = (0..400_u64).map(|n| {
        let registry = registry.clone();
        let at = mcp_core::Version::new(n, 0, 0);
        tokio::spawn(async move { registry.publish(Draft::new(&name("app"), n.to_string()), &at).await })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap().unwrap();
    }
    for follower in followers {
        assert_eq!(follower.await.unwrap(), (1..=400).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_handle_that_only_reads_reads_to_the_end_and_says_that_it_cannot_follow() {
    let folder = tempfile::tempdir().unwrap();
    let writer = filled(folder.path(), 2).await;
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    let mut followed = registry.follow(0);
    assert_eq!(
        [followed.try_next().await.unwrap().unwrap().seq, followed.try_next().await.unwrap().unwrap().seq],
        [1, 2]
    );
    assert_eq!(kind(followed.try_next().await), Some(ErrorKind::Unsupported));
    put(&writer, "app@9.0.0", "z").await;
    assert_eq!(registry.feed(2).map_ok(|row| row.seq).try_collect::<Vec<_>>().await.unwrap(), [3]);
}
