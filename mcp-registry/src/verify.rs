mod pack_check;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mcp_core::ErrorKind;
use serde::Serialize;

use crate::error::with_causes;
use crate::pack::PackName;
use crate::replay::Replay;
use crate::{Registry, RegistryError};
use pack_check::PackCheck;

/// What [`verify`](Registry::verify) has looked at, and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// How many rows of the change feed were checked.
    pub rows: u64,
    /// How many packs.
    pub packs: u64,
    /// How many blobs were read and compared with their digests.
    pub blobs: u64,
    /// What is wrong; empty when nothing is. The first 10,000 faults, which bounds their memory.
    pub faults: Vec<Fault>,
    /// How many more faults there are.
    pub more_faults: u64,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// The row, the index, or the pack and offset.
    pub place: String,
    /// What is affected, such as `billing/invoice@1.2.0`; empty where it is no artifact.
    pub subject: String,
    /// What is wrong.
    pub reason: String,
}

/// In one line: the place, what is affected, and what is wrong.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, subject, reason } = self;
        if subject.is_empty() {
            write!(f, "{place}: {reason}")
        } else {
            write!(f, "{place}, {subject}: {reason}")
        }
    }
}

/// How far a verification is: first all rows, then the packs and their blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// How many rows of the change feed were checked.
    pub rows: u64,
    /// How many blobs were.
    pub blobs: u64,
    /// How many bytes of records that was.
    pub bytes: u64,
    /// How many blobs there are, once all rows were checked.
    pub all_blobs: u64,
    /// How many bytes their records have, once all rows were checked.
    pub all_bytes: u64,
    /// How many faults were found.
    pub faults: u64,
}

const MAX_FAULTS: usize = 10_000;

impl Verification {
    pub(crate) fn fault(
        &mut self,
        place: impl Into<String>,
        subject: impl Into<String>,
        reason: impl Into<String>,
    ) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault { place: place.into(), subject: subject.into(), reason: reason.into() });
        } else {
            self.more_faults = self.more_faults.saturating_add(1);
        }
    }

    /// What is damaged in the catalog is a fault; other errors are those of the check itself.
    pub(crate) fn readable<T>(&mut self, read: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
        self.readable_at("catalog.db", read)
    }

    /// The same, of what is at this place.
    pub(crate) fn readable_at<T>(
        &mut self,
        place: &str,
        read: Result<T, RegistryError>,
    ) -> Result<Option<T>, RegistryError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.fault(place, "", with_causes(&error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

type Tell = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>;

/// Where a verification tells how far it is, and learns that it should stop. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Watched>);

struct Watched {
    stopped: AtomicBool,
    told: Mutex<(Progress, Tell)>,
}

impl Watch {
    fn new(tell: Tell) -> Self {
        Self(Arc::new(Watched {
            stopped: AtomicBool::new(false),
            told: Mutex::new((Progress::default(), tell)),
        }))
    }

    /// Notes what has changed, to be told later.
    fn count(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.0.told.lock().unwrap_or_else(PoisonError::into_inner).0);
    }

    /// Tells what has changed, and fails when the verification should stop.
    pub(crate) fn tell(&self, change: impl FnOnce(&mut Progress)) -> Result<(), RegistryError> {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (progress, tell) = &mut *told;
        change(progress);
        if !self.0.stopped.load(Ordering::Relaxed) && tell(*progress).is_continue() {
            return Ok(());
        }
        self.stop();
        Err(RegistryError::Cancelled { what: "verify the registry" })
    }

    fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

/// Stops what still runs on a blocking thread when nobody waits for it any more.
struct StopWhenDropped(Watch);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Registry {
    /// Checks everything: the database's own integrity, the chain of the change feed, that replaying it gives the current state, the
    /// packs' headers and footers, and each blob against its digest, its SHA-256 hash and its row.
    ///
    /// Reads every byte that is stored. What is published meanwhile is not looked at. Holds some MiB, and 32 bytes for each version, 16
    /// for each name, and what the rows of yanks, channels and pins that stand take.
    ///
    /// # Errors
    /// `Unavailable` when catalog or storage do not answer. What is damaged is a fault, not an error.
    ///
    /// # Cancel safety
    /// Only reads. A dropped call stops at the next rows or blobs; the database's check of itself, with which it begins, is not interrupted.
    pub async fn verify(&self) -> Result<Verification, RegistryError> {
        self.verify_with(|_| ControlFlow::Continue(())).await
    }

    /// As [`verify`](Self::verify), and calls `progress` after every few thousand rows and every few MiB of blobs; it must be quick.
    ///
    /// # Errors
    /// As [`verify`](Self::verify) has them; `Cancelled` when `progress` says [`Break`](ControlFlow::Break).
    pub async fn verify_with(
        &self,
        progress: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Verification, RegistryError> {
        let watch = Watch::new(Box::new(progress));
        let _stop = StopWhenDropped(watch.clone());
        let watching = watch.clone();
        let (mut found, replay) = self.readers().read(move |now| Replay::check(now, &watching)).await?;
        let (stored, sealed) = (replay.stored, replay.sealed);
        watch.tell(|progress| {
            progress.all_blobs = stored.len() as u64;
            progress.all_bytes =
                stored.iter().fold(0, |sum, stored| sum.saturating_add(stored.location.record_bytes));
        })?;
        let mut names: BTreeSet<PackName> = stored.iter().map(|stored| stored.location.pack).collect();
        names.extend(sealed.keys());
        for name in names {
            // Sorted by pack and offset: each pack's are together.
            let from = stored.partition_point(|stored| stored.location.pack < name);
            let to = stored.partition_point(|stored| stored.location.pack <= name);
            found.packs = found.packs.saturating_add(1);
            PackCheck { registry: self, watch: &watch, name, found: &mut found }
                .run(sealed.get(&name).copied(), stored.get(from..to).unwrap_or_default())
                .await?;
        }
        Ok(found)
    }
}
