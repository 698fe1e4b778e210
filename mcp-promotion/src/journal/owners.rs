use std::any::Any;
use std::fmt;

use async_trait::async_trait;
use mcp_core::Name;

use super::JournalError;

/// Tells which owners of leases are gone: what a journal can do whose processes see each other's end, such as processes of one host.
///
/// An engine claims its name before it takes its first lease and keeps the claim until its last clone is dropped. Another engine that finds
/// a lease of a claim that has ended does not wait until the lease is over.
///
/// What must hold: a claim ends with its process, in whatever way that ends, and not before it is dropped; a process that is only paused
/// keeps it. Where that cannot be told, the owner is not gone. The checks of `conformance::journal` (feature `conformance`) include this
/// capability, except for the end of a process.
#[async_trait]
pub trait Owners: Send + Sync {
    /// Makes `owner` the name of whoever holds the claim.
    ///
    /// # Errors
    /// `Conflict` when somebody holds a claim to this name; anything else when that cannot be found out.
    ///
    /// # Cancel safety
    /// A dropped call holds no claim.
    async fn claim(&self, owner: &Name) -> Result<Claim, JournalError>;

    /// Whether `owner` was claimed once and is not claimed now. Of a name that nobody has ever claimed it says no: its engine may not
    /// know of claims, or may be on another host.
    ///
    /// # Errors
    /// Any; the engine then waits for the lease to be over.
    async fn is_gone(&self, owner: &Name) -> Result<bool, JournalError>;
}

const _: Option<&dyn Owners> = None;

/// A claim to an owner name, given up when it is dropped.
pub struct Claim(#[expect(dead_code, reason = "it only has to be kept")] Box<dyn Any + Send + Sync>);

impl Claim {
    /// A claim that lasts as long as `kept`, such as an open file with a lock.
    pub fn new(kept: impl Any + Send + Sync) -> Self {
        Self(Box::new(kept))
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim")
    }
}
