use std::sync::{Arc, Mutex, PoisonError};

use mcp_core::ErrorKind;
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::changes::Changes;
use super::shared::{Follower, SharedTail};
use super::tail::View;
use super::{CatalogIdentity, CatalogPlace, MemoryPlace, Snapshot, failed, schema, unsigned};
use crate::RegistryError;

/// Reads of the catalog, apart from the writer, with connections of their own. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Readers(Arc<Pool>);

struct Pool {
    place: CatalogPlace,
    newest: Newest,
    idle: Mutex<Vec<Reader>>,
    turns: Arc<Semaphore>,
}

/// Where the part of the indexes comes from that is not in the tables yet.
enum Newest {
    /// From the writer in this process.
    Shared(Arc<SharedTail>),
    /// From the rows, which a writer elsewhere appends.
    Followed { follower: Mutex<Follower>, run_rows: u64, changes: Changes },
}

/// A connection, in a transaction from one read to the next where nothing was committed in between: to begin one costs as much as a look-up.
struct Reader {
    connection: Connection,
    view: Option<View>,
    /// How many moves of blobs there were before it began.
    moves: u64,
}

impl Readers {
    /// Readers beside the writer of the same process, whose tail they share.
    pub(crate) fn beside(place: CatalogPlace, tail: Arc<SharedTail>, connections: usize) -> Self {
        Self::new(place, Newest::Shared(tail), connections)
    }

    /// Readers that follow a writer elsewhere, if there is one.
    pub(crate) fn following(place: CatalogPlace, connections: usize) -> Self {
        Self::following_by(place, connections, super::writer::TAIL_ROWS)
    }

    pub(super) fn following_by(place: CatalogPlace, connections: usize, run_rows: u64) -> Self {
        let changes = Changes::default();
        let newest = Newest::Followed { follower: Mutex::default(), run_rows, changes };
        Self::new(place, newest, connections)
    }

    fn new(place: CatalogPlace, newest: Newest, connections: usize) -> Self {
        let turns = Arc::new(Semaphore::new(connections));
        Self(Arc::new(Pool { place, newest, idle: Mutex::default(), turns }))
    }

    /// What tells whether something that was read before still holds. Beside a writer elsewhere, it does so only within a read.
    pub(crate) fn changes(&self) -> &Changes {
        match &self.0.newest {
            Newest::Shared(tail) => &tail.changes,
            Newest::Followed { changes, .. } => changes,
        }
    }

    /// Whether [`changes`](Self::changes) knows all that was acknowledged also apart from reads.
    pub(crate) fn is_beside_writer(&self) -> bool {
        matches!(self.0.newest, Newest::Shared(_))
    }

    /// Runs `work`, which takes some microseconds, with everything that was committed before: on the calling thread, since that costs less
    /// than the way to another one.
    pub(crate) async fn look_up<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        match &self.0.place {
            CatalogPlace::File(_) => {
                let _turn = self.0.turns.acquire().await.map_err(|_| RegistryError::Closed)?;
                self.read_in(None, work)
            }
            // It may have to wait for a commit, and the commit for a task of this thread.
            CatalogPlace::Memory(_) => self.read(work).await,
        }
    }

    /// Runs `work`, which may take long, with everything that was committed before, on one of Tokio's blocking threads. All of it sees one
    /// state. Dropping the future does not stop work that has begun.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let turn = Arc::clone(&self.0.turns).acquire_owned().await.map_err(|_| RegistryError::Closed)?;
        let readers = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            // Held until the work is done, also when nobody waits any more.
            let _turn: OwnedSemaphorePermit = turn;
            readers.read_here(work)
        });
        read.await.map_err(|_| RegistryError::Closed)?
    }

    /// The same on the calling thread.
    pub(crate) fn read_here<T>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        match &self.0.place {
            CatalogPlace::Memory(memory) => self.read_in(Some(memory), work),
            CatalogPlace::File(_) => self.read_in(None, work),
        }
    }

    fn read_in<T>(
        &self,
        memory: Option<&MemoryPlace>,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let pool = &self.0;
        let kept = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = kept.map_or_else(|| Reader::connect(&pool.place), Ok)?;
        let outcome = {
            let _turn = memory.map(|memory| memory.turns.read().unwrap_or_else(PoisonError::into_inner));
            let outcome = reader.begin(&pool.newest).and_then(|()| reader.run(work));
            // A transaction that stays would keep the writer of a database in memory out, and another process from emptying its log.
            let stays = memory.is_none() && reader.is_newest(&pool.newest);
            if stays { outcome } else { reader.end().and(outcome) }
        };
        // A database in memory vanishes with its writer: whoever reads it then finds no tables.
        if memory.is_some() && outcome.is_err() && pool.turns.is_closed() {
            return Err(RegistryError::Closed);
        }
        // One whose database failed may be in any state.
        let usable = !matches!(outcome, Err(RegistryError::Catalog { .. }));
        if usable && !pool.turns.is_closed() {
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        }
        outcome
    }

    /// Ends the transactions of idle connections that see less than what is committed: they would keep the log from being emptied.
    pub(crate) fn let_go(&self) {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain_mut(|reader| reader.is_newest(&self.0.newest) || reader.end().is_ok());
    }

    /// Ends the transactions of all idle connections.
    pub(crate) fn let_all_go(&self) {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain_mut(|reader| reader.end().is_ok());
    }

    /// Which catalog it is, for a reader without a writer; `None` where there is none, or one without tables.
    pub(crate) fn identity(&self) -> Result<Option<CatalogIdentity>, RegistryError> {
        let reader = match Reader::connect(&self.0.place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match schema::check_format(&reader.connection)? {
            0 => Ok(None),
            _ => schema::identity(&reader.connection).map(Some),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.turns.is_closed()
    }

    /// Closes the connections; further reads fail.
    pub(crate) fn close(&self) {
        self.0.turns.close();
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// How often a reader begins again before it believes that the catalog has gone back to an earlier state.
const MAX_BEGINS: usize = 8;

impl Reader {
    fn connect(place: &CatalogPlace) -> Result<Self, RegistryError> {
        let connection = place.connect(true)?;
        connection
            .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -16384;")
            .map_err(|error| failed("set up a connection for reading", error))?;
        Ok(Self { connection, view: None, moves: 0 })
    }

    /// Whether its transaction sees all that was acknowledged.
    fn is_newest(&self, newest: &Newest) -> bool {
        match (newest, &self.view) {
            (Newest::Shared(tail), Some(view)) => view.horizon >= tail.head() && self.moves == tail.moves(),
            _ => false,
        }
    }

    /// Begins to read a state that has everything that was acknowledged before.
    fn begin(&mut self, newest: &Newest) -> Result<(), RegistryError> {
        if self.is_newest(newest) {
            return Ok(());
        }
        let mut begins = 0_usize;
        while self.view.is_none() || begins == 0 {
            self.end()?;
            begins = begins.saturating_add(1);
            self.view = match newest {
                Newest::Shared(tail) => {
                    let before = tail.runs();
                    self.moves = tail.moves();
                    self.execute("BEGIN")?;
                    let head = self.head()?;
                    tail.set_head(head);
                    tail.view(before, head)
                }
                Newest::Followed { follower, run_rows, changes } => {
                    self.execute("BEGIN")?;
                    let (merged, head) = (schema::merged(&self.connection)?, self.head()?);
                    let mut follower = follower.lock().unwrap_or_else(PoisonError::into_inner);
                    if begins > MAX_BEGINS {
                        follower.clear();
                    }
                    follower.view(&self.connection, merged, head, *run_rows, changes)?
                }
            };
        }
        Ok(())
    }

    fn run<T>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let nothing = View::default();
        let tail = self.view.as_ref().unwrap_or(&nothing);
        work(&Snapshot { connection: &self.connection, tail, pending: &[] })
    }

    fn end(&mut self) -> Result<(), RegistryError> {
        self.view = None;
        if self.connection.is_autocommit() { Ok(()) } else { self.execute("ROLLBACK") }
    }

    fn execute(&self, sql: &'static str) -> Result<(), RegistryError> {
        let fail = |error| failed("begin to read", error);
        self.connection.prepare_cached(sql).map_err(fail)?.execute([]).map_err(fail)?;
        Ok(())
    }

    /// The last row that this transaction sees; asking begins it.
    fn head(&self) -> Result<u64, RegistryError> {
        let fail = |error| failed("read the last row", error);
        let mut statement =
            self.connection.prepare_cached("SELECT seq FROM row ORDER BY seq DESC LIMIT 1").map_err(fail)?;
        let head = statement.query_row([], |row| row.get::<_, i64>(0)).optional().map_err(fail)?;
        head.map_or(Ok(0), unsigned)
    }
}
