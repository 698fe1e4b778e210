use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{CatalogIdentity, CatalogPlace, Snapshot, failed, schema};
use crate::RegistryError;

/// Reads of the catalog, apart from the writer: connections of their own, on Tokio's blocking threads. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Readers(Arc<Pool>);

struct Pool {
    place: CatalogPlace,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(place: CatalogPlace, connections: usize) -> Self {
        Self(Arc::new(Pool { place, idle: Mutex::default(), turns: Arc::new(Semaphore::new(connections)) }))
    }

    /// Runs `work` with everything that was committed before. Dropping the future does not stop work that has begun.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let turn = Arc::clone(&self.0.turns).acquire_owned().await.map_err(|_| RegistryError::Closed)?;
        let readers = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            // Held until the work is done, also when nobody waits any more.
            let _turn = turn;
            readers.read_here(work)
        });
        read.await.map_err(|_| RegistryError::Closed)?
    }

    /// The same on the calling thread.
    pub(crate) fn read_here<T>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let pool = &self.0;
        let kept = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = kept.map_or_else(|| connect(&pool.place), Ok)?;
        let outcome = {
            let _turn = match &pool.place {
                CatalogPlace::Memory(memory) => {
                    Some(memory.turns.read().unwrap_or_else(PoisonError::into_inner))
                }
                CatalogPlace::File(_) => None,
            };
            work(&Snapshot(&connection))
        };
        // One whose database failed may be in any state.
        let usable = !matches!(outcome, Err(RegistryError::Catalog { .. }));
        if usable && !pool.turns.is_closed() {
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        outcome
    }

    /// Which catalog it is, for a reader without a writer.
    pub(crate) fn identity(&self) -> Result<CatalogIdentity, RegistryError> {
        self.read_here(|snapshot| {
            schema::check_format(snapshot.0)?;
            schema::identity(snapshot.0)
        })
    }

    /// Closes the connections; further reads fail.
    pub(crate) fn close(&self) {
        self.0.turns.close();
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn connect(place: &CatalogPlace) -> Result<Connection, RegistryError> {
    let connection = place.connect(true)?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -16384;")
        .map_err(|error| failed("set up a connection for reading", error))?;
    Ok(connection)
}
