use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::*;

fn stream(name: &str) -> Name {
    name.parse().unwrap()
}

fn one(name: &str, expected: u64, bytes: &[u8]) -> Vec<Append> {
    vec![Append::new(stream(name), expected, vec![bytes.to_vec()])]
}

/// Appends `batches` in one transaction.
fn group(file: &mut JournalFile, batches: Vec<Vec<Append>>) -> Vec<Result<(), ErrorKind>> {
    let (jobs, answers): (Vec<_>, Vec<_>) = batches
        .into_iter()
        .map(|batch| {
            let (reply, answer) = oneshot::channel();
            (writer::Job { batch, reply }, answer)
        })
        .unzip();
    writer::append(file, jobs);
    answers.into_iter().map(|mut answer| answer.try_recv().unwrap().map_err(|error| error.kind())).collect()
}

fn count(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    let error = SqliteJournal::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let count: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 1);
    let text = folder.path().join("text.db");
    std::fs::write(&text, "not a database, but long enough to be looked at ".repeat(100)).unwrap();
    assert_eq!(SqliteJournal::open(&text).unwrap_err().kind(), ErrorKind::Corrupt);
    let missing = SqliteJournal::open(folder.path().join("no/such/folder.db")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Unavailable);
}

#[test]
fn a_journal_of_a_newer_build_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(SqliteJournal::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert_eq!(SqliteJournal::open(&path).unwrap_err().kind(), ErrorKind::Unsupported);
}

/// However many events are asked for, a stream of large ones is not read into memory at once.
#[tokio::test]
async fn what_is_read_at_once_is_bounded_in_bytes_and_nothing_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(folder.path().join("journal.db")).unwrap();
    for before in 0..6 {
        let bytes = vec![u8::try_from(before).unwrap(); crate::MAX_EVENT_BYTES];
        journal.append(&one("stage/prod", before, &bytes)).await.unwrap();
    }
    let firsts = async |after| {
        let events = journal.read(&stream("stage/prod"), after, 4096).await.unwrap();
        events.iter().filter_map(|event| event.first().copied()).collect::<Vec<u8>>()
    };
    assert_eq!((firsts(0).await, firsts(4).await), (vec![0, 1, 2, 3], vec![4, 5]));
}

/// An edit by hand may make a text of the bytes; waiting for it to become readable again would be in vain.
#[tokio::test]
async fn an_event_that_is_no_bytes_any_more_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    journal.append(&one("stage/prod", 0, b"one")).await.unwrap();
    Connection::open(&path).unwrap().execute("UPDATE event SET bytes = 'two'", []).unwrap();
    let error = journal.read(&stream("stage/prod"), 0, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn a_table_that_is_gone_is_damage_for_an_open_journal_and_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    journal.append(&one("stage/prod", 0, b"one")).await.unwrap();
    Connection::open(&path).unwrap().execute("DROP TABLE event", []).unwrap();
    let kinds = [
        journal.read(&stream("stage/prod"), 0, 10).await.unwrap_err().kind(),
        journal.streams("").await.unwrap_err().kind(),
        journal.append(&one("stage/prod", 1, b"two")).await.unwrap_err().kind(),
        SqliteJournal::open(&path).unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Corrupt; 4]);
}

#[tokio::test]
async fn what_stands_before_the_first_position_is_damage() {
    for position in [0, -1, i64::MIN] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = SqliteJournal::open(&path).unwrap();
        journal.append(&one("stage/prod", 0, b"one")).await.unwrap();
        let insert = "INSERT INTO event (stream, position, bytes) VALUES ('stage/prod', ?1, x'00')";
        Connection::open(&path).unwrap().execute(insert, [position]).unwrap();
        let error = journal.read(&stream("stage/prod"), 0, 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{position}: {error}");
    }
}

#[test]
fn what_is_wrong_with_one_append_fails_no_other_one_of_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut file = JournalFile::open(&path, BUSY_TIMEOUT).unwrap();
    let large = vec![0; crate::MAX_EVENT_BYTES + 1];
    let twice = [one("stage/c", 0, b"c"), one("stage/c", 0, b"c")].concat();
    let half = [one("stage/d", 0, b"d"), one("stage/a", 0, b"again")].concat();
    let batches = vec![
        one("stage/a", 0, b"a"),
        one("stage/b", 0, &large),
        twice,
        half,
        one("stage/e", 7, b"e"),
        one("stage/a", 1, b"a"),
    ];
    let outcomes = group(&mut file, batches);
    let refused = [ErrorKind::Exhausted, ErrorKind::Invalid, ErrorKind::Conflict, ErrorKind::Conflict];
    assert_eq!(outcomes[0], Ok(()));
    assert_eq!(outcomes[1..5], refused.map(Err));
    assert_eq!(outcomes[5], Ok(()));
    assert_eq!(rows::streams(file.connection(), "").unwrap(), [stream("stage/a")]);
    assert_eq!(count(&path), 2);
}

#[test]
fn where_the_disk_is_full_nobody_is_told_otherwise_and_what_was_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut file = JournalFile::open(&path, BUSY_TIMEOUT).unwrap();
    assert_eq!(group(&mut file, vec![one("stage/a", 0, b"a")]), [Ok(())]);
    let pages: i64 = file.connection().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    file.connection().pragma_update(None, "max_page_count", pages + 2).unwrap();
    let outcomes = group(&mut file, vec![one("stage/a", 1, b"b"), one("stage/b", 0, &[7; 100_000])]);
    assert_eq!(outcomes, [Err(ErrorKind::Unavailable), Err(ErrorKind::Unavailable)]);
    assert_eq!(count(&path), 1);
    file.connection().pragma_update(None, "max_page_count", pages + 1000).unwrap();
    assert_eq!(group(&mut file, vec![one("stage/a", 1, b"b")]), [Ok(())]);
    assert_eq!(count(&path), 2);
}

#[test]
fn a_file_that_another_process_keeps_locked_is_unavailable_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut file = JournalFile::open(&path, Duration::from_millis(20)).unwrap();
    assert_eq!(group(&mut file, vec![one("stage/a", 0, b"a")]), [Ok(())]);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(group(&mut file, vec![one("stage/a", 1, b"b")]), [Err(ErrorKind::Unavailable)]);
    assert_eq!(rows::read(file.connection(), &stream("stage/a"), 0, 10).unwrap(), [b"a"]);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(group(&mut file, vec![one("stage/a", 1, b"b")]), [Ok(())]);
}

#[test]
fn a_connection_that_may_not_write_says_so_and_that_a_retry_is_in_vain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut file = JournalFile::open(&path, BUSY_TIMEOUT).unwrap();
    assert_eq!(group(&mut file, vec![one("stage/a", 0, b"a")]), [Ok(())]);
    file.connection().pragma_update(None, "query_only", true).unwrap();
    assert_eq!(group(&mut file, vec![one("stage/a", 1, b"b")]), [Err(ErrorKind::Denied)]);
    assert_eq!(count(&path), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_was_removed_or_replaced_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    journal.append(&one("stage/a", 0, b"a")).await.unwrap();
    let aside = folder.path().join("aside.db");
    std::fs::rename(&path, &aside).unwrap();
    for replaced in [false, true] {
        if replaced {
            std::fs::copy(&aside, &path).unwrap();
        }
        let kinds = [
            journal.append(&one("stage/b", 0, b"b")).await.unwrap_err().kind(),
            journal.read(&stream("stage/a"), 0, 10).await.unwrap_err().kind(),
            journal.streams("").await.unwrap_err().kind(),
        ];
        assert_eq!(kinds, [ErrorKind::Unavailable; 3], "replaced: {replaced}");
    }
}

/// An append that has returned is seen by whoever asks then, although another connection reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_each_read_what_they_have_written() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(SqliteJournal::open(folder.path().join("journal.db")).unwrap());
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                let name = format!("stage/s{number}");
                for version in 0..10 {
                    journal.append(&one(&name, version, name.as_bytes())).await.unwrap();
                    let events = journal.read(&stream(&name), version, 10).await.unwrap();
                    assert_eq!(events, [name.as_bytes()]);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(journal.streams("stage/").await.unwrap().len(), 64);
}
