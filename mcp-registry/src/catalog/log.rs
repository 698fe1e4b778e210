use std::time::Duration;

use rusqlite::Connection;

use super::Readers;

/// How far the write-ahead log has grown, and when it is moved into the database.
///
/// The log begins again from its front only when all of it was moved and no reader needs it any more. Readers of this process let go
/// of it; one that reads for long, here or in another process, makes it grow until it has ended.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// About how many bytes of it wait.
    waiting: usize,
}

/// About what a row takes besides its body, and an index entry, whose page it shares with a few others.
pub(super) const ROW_BYTES: usize = 300;
const ENTRY_BYTES: usize = 1200;
const COMMIT_BYTES: usize = 6 * PAGE_BYTES;
const PAGE_BYTES: usize = 4096;

/// So much waits at most: 4,000 pages. A quarter of it is slow, and five times as much stalls for 250 ms.
const WAITING_BYTES: usize = 4000 * PAGE_BYTES;
/// A log that readers have made grow beyond this is cut to it when they have gone, and waited for.
pub(super) const MAX_LOG_BYTES: usize = 64 << 20;
/// How long the writer waits for the readers of a log that is too long.
const PATIENCE: Duration = Duration::from_millis(100);

impl Log {
    pub(super) fn add_entries(&mut self, count: usize) {
        self.waiting = self.waiting.saturating_add(count.saturating_mul(ENTRY_BYTES));
    }

    pub(super) fn add_bytes(&mut self, bytes: usize) {
        self.waiting = self.waiting.saturating_add(bytes).saturating_add(COMMIT_BYTES);
    }

    pub(super) fn tidy(&mut self, connection: &Connection, readers: &Readers) {
        if self.waiting < WAITING_BYTES {
            return;
        }
        self.waiting = 0;
        readers.let_all_go();
        let pages = checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)");
        if pages.saturating_mul(PAGE_BYTES) > MAX_LOG_BYTES {
            // An error leaves the log as it is.
            drop(connection.busy_timeout(PATIENCE));
            checkpoint(connection, "PRAGMA wal_checkpoint(RESTART)");
            drop(connection.busy_timeout(super::BUSY_TIMEOUT));
        }
        readers.let_all_go();
    }
}

/// How many pages the log has; 0 when it could not be asked.
fn checkpoint(connection: &Connection, sql: &str) -> usize {
    let pages = connection.query_row(sql, [], |row| row.get::<_, i64>(1));
    pages.ok().and_then(|pages| usize::try_from(pages).ok()).unwrap_or(0)
}
