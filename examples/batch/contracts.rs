//! Contracts that were built before: many lines judge by the same schema.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mcp_core::Digest;
use mcp_validation::Contract;

use super::answer::Refusal;

/// So many contracts are kept, made of so many bytes of text; then all are let go.
const MOST: usize = 1024;
const MOST_BYTES: usize = 16 << 20;

type Slot = Arc<OnceLock<Result<Contract, Refusal>>>;

#[derive(Default)]
struct Kept {
    slots: HashMap<Digest, Slot>,
    bytes: usize,
}

/// Contracts by the digest of all that they are made of.
#[derive(Default)]
pub struct Contracts(Mutex<Kept>);

impl Contracts {
    /// The contract that is made of `parts`; `build` is called at most once for it at a time, whoever asks.
    pub fn of(&self, parts: &[&str], build: impl FnOnce() -> Result<Contract, Refusal>) -> Slot {
        let mut digester = mcp_core::Digester::new();
        for part in parts {
            digester.update(&part.len().to_le_bytes()).update(part.as_bytes());
        }
        let slot = self.slot(digester.digest(), parts.iter().map(|part| part.len()).sum());
        slot.get_or_init(build);
        slot
    }

    fn slot(&self, digest: Digest, bytes: usize) -> Slot {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = kept.slots.get(&digest) {
            return Arc::clone(slot);
        }
        if kept.slots.len() >= MOST || kept.bytes.saturating_add(bytes) > MOST_BYTES {
            *kept = Kept::default();
        }
        kept.bytes = kept.bytes.saturating_add(bytes);
        Arc::clone(kept.slots.entry(digest).or_default())
    }
}
