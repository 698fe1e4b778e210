use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp_core::{ErrorKind, Event, EventKind, Recorder, RegistryEvent};

use crate::RegistryError;
use crate::entry::Published;
use crate::stats::Activity;

/// What a registry has done since it was opened: numbers that only grow, without a lock.
#[derive(Default)]
pub(crate) struct Counters {
    created: AtomicU64,
    repeated: AtomicU64,
    deduplicated: AtomicU64,
    refused: AtomicU64,
    conflicts: AtomicU64,
    failed: AtomicU64,
    bytes_in: AtomicU64,
    resolves: AtomicU64,
    cache_hits: AtomicU64,
    reads: AtomicU64,
    bytes_out: AtomicU64,
    corrupt: AtomicU64,
    publish: Recorder,
    wait: Recorder,
    commit: Recorder,
    batch: Recorder,
    search: Recorder,
}

/// What one commit has done, so that it counts each number once.
#[derive(Default)]
pub(crate) struct Outcomes {
    repeated: u64,
    conflicts: u64,
    failed: u64,
}

impl Outcomes {
    pub(crate) fn outcome(&mut self, outcome: &Result<Published, RegistryError>) {
        let count = match outcome {
            // From its event.
            Ok(Published { created: true, .. }) => return,
            Ok(_) => &mut self.repeated,
            Err(error) if error.kind() == ErrorKind::Conflict => &mut self.conflicts,
            Err(_) => &mut self.failed,
        };
        *count = count.saturating_add(1);
    }
}

impl Counters {
    /// A commit with so many commands, which took so long, and what it told.
    pub(crate) fn commit(&self, commands: usize, took: Duration, outcomes: &Outcomes, events: &[Event]) {
        self.batch.record(commands as u64);
        self.commit.record(micros(took));
        let (mut created, mut deduplicated, mut bytes) = (0_u64, 0_u64, 0_u64);
        for event in events {
            if let EventKind::Registry(RegistryEvent::Published(published)) = &event.kind {
                created = created.saturating_add(1);
                deduplicated = deduplicated.saturating_add(u64::from(published.deduplicated));
                bytes = bytes.saturating_add(published.size);
            }
        }
        for (counter, count) in [
            (&self.created, created),
            (&self.deduplicated, deduplicated),
            (&self.bytes_in, bytes),
            (&self.repeated, outcomes.repeated),
            (&self.conflicts, outcomes.conflicts),
            (&self.failed, outcomes.failed),
        ] {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Somebody waited so long for a publish, whatever became of it.
    pub(crate) fn publish_took(&self, took: Duration) {
        self.publish.record(micros(took));
    }

    /// A publish waited so long for room among those in flight.
    pub(crate) fn waited(&self, took: Duration) {
        self.wait.record(micros(took));
    }

    pub(crate) fn search_took(&self, took: Duration) {
        self.search.record(micros(took));
    }

    pub(crate) fn resolved(&self) {
        self.resolves.fetch_add(1, Ordering::Relaxed);
    }

    /// A selection was answered from memory.
    pub(crate) fn remembered(&self) {
        self.cache_hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes that were compared with what was published.
    pub(crate) fn gave(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What is told without a place in the feed is counted where it is told.
    pub(crate) fn told(&self, event: &RegistryEvent) {
        let counter = match event {
            RegistryEvent::Refused(_) => &self.refused,
            RegistryEvent::Corrupt(_) => &self.corrupt,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Activity {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Activity {
            created: load(&self.created),
            repeated: load(&self.repeated),
            deduplicated: load(&self.deduplicated),
            refused: load(&self.refused),
            conflicts: load(&self.conflicts),
            failed: load(&self.failed),
            bytes_in: load(&self.bytes_in),
            resolves: load(&self.resolves),
            cache_hits: load(&self.cache_hits),
            reads: load(&self.reads),
            bytes_out: load(&self.bytes_out),
            corrupt_reads: load(&self.corrupt),
            requests_in_flight: 0,
            bytes_in_flight: 0,
            publish_us: self.publish.snapshot(),
            wait_us: self.wait.snapshot(),
            commit_us: self.commit.snapshot(),
            batch: self.batch.snapshot(),
            search_us: self.search.snapshot(),
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
