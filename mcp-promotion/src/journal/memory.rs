use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use mcp_core::Name;

use super::{Append, Journal, JournalError, check_shape};

/// A journal that lasts as long as the process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    streams: Arc<Mutex<BTreeMap<Name, Vec<Vec<u8>>>>>,
}

impl MemoryJournal {
    /// With no streams.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Vec<Vec<u8>>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, batch: &[Append]) -> Result<(), JournalError> {
        let mut streams = self.lock();
        check_shape(batch)?;
        for append in batch {
            append.check_version(streams.get(&append.stream).map_or(0, |events| events.len() as u64))?;
        }
        for Append { stream, events, .. } in batch {
            if !events.is_empty() {
                streams.entry(stream.clone()).or_default().extend(events.iter().cloned());
            }
        }
        Ok(())
    }

    async fn read(&self, stream: &Name, after: u64, max: usize) -> Result<Vec<Vec<u8>>, JournalError> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let streams = self.lock();
        let events = streams.get(stream).and_then(|events| events.get(after..)).unwrap_or_default();
        Ok(events.iter().take(max).cloned().collect())
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Name>, JournalError> {
        let names = self.lock();
        Ok(names.keys().filter(|name| name.as_str().starts_with(prefix)).cloned().collect())
    }
}
