use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcp_core::{Digest, Id, Name, RequestId, Timestamp, Usage, UsageReason};

use crate::{Kind, Lease, Promotion, PromotionError, PromotionId, Release, State};

/// What a stage is believed to run, and which promotion brought it there.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// The release.
    pub release: Release,
    /// The number of the promotion.
    pub promotion: u64,
}

/// That a release succeeded in a stage, and nothing later says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of the promotion.
    pub promotion: u64,
    /// When it succeeded.
    pub at: Timestamp,
    /// When another release took its place; `None` while it runs.
    pub until: Option<Timestamp>,
}

/// Everything that the stream of one stage says.
#[derive(Clone, Debug, PartialEq)]
pub struct StageState {
    pub(super) stage: Name,
    pub(super) version: u64,
    pub(super) feed: Option<Id>,
    pub(super) promotions: BTreeMap<u64, Arc<Promotion>>,
    /// Those that have not ended, so that the others need not be looked through.
    pub(super) open: BTreeSet<u64>,
    /// Those whose pin was neither made lasting nor given up, or may be given up.
    pub(super) pinned: BTreeSet<u64>,
    pub(super) current: Option<Deployed>,
    pub(super) previous: Option<Deployed>,
    /// A stuck promotion that was acknowledged: until the next one ends, nobody knows what runs.
    pub(super) unsettled: Option<u64>,
    pub(super) verified: BTreeMap<Digest, Verified>,
    pub(super) lease: Option<Lease>,
    pub(super) requests: BTreeMap<RequestId, (u64, Digest)>,
}

impl StageState {
    /// Of a stage without events.
    #[must_use]
    pub const fn new(stage: Name) -> Self {
        Self {
            stage,
            version: 0,
            feed: None,
            promotions: BTreeMap::new(),
            open: BTreeSet::new(),
            pinned: BTreeSet::new(),
            current: None,
            previous: None,
            unsettled: None,
            verified: BTreeMap::new(),
            lease: None,
            requests: BTreeMap::new(),
        }
    }

    /// Which stage.
    #[must_use]
    pub const fn stage(&self) -> &Name {
        &self.stage
    }

    /// How many events it was computed from.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// What identifies the stream among those of all journals: the unique id of its first request.
    #[must_use]
    pub const fn feed(&self) -> Option<Id> {
        self.feed
    }

    /// What the stage runs, as far as no promotion is in flight; and what a promotion in flight would go back to.
    #[must_use]
    pub const fn current(&self) -> Option<&Deployed> {
        self.current.as_ref()
    }

    /// What a rollback would bring back.
    #[must_use]
    pub const fn previous(&self) -> Option<&Deployed> {
        self.previous.as_ref()
    }

    /// The newest lease, if it was not given up.
    #[must_use]
    pub const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Whether an acknowledged failure leaves it open what runs.
    #[must_use]
    pub const fn is_unsettled(&self) -> bool {
        self.unsettled.is_some()
    }

    /// Every promotion ever requested, by number.
    pub fn promotions(&self) -> impl Iterator<Item = &Arc<Promotion>> {
        self.promotions.values()
    }

    /// The promotion with this number.
    #[must_use]
    pub fn promotion(&self, number: u64) -> Option<&Arc<Promotion>> {
        self.promotions.get(&number)
    }

    /// The promotion with this number, or the error that says that there is none.
    pub(crate) fn find(&self, number: u64) -> Result<&Arc<Promotion>, PromotionError> {
        self.promotion(number).ok_or_else(|| PromotionError::UnknownPromotion { promotion: self.id(number) })
    }

    /// The id of the promotion with this number.
    #[must_use]
    pub fn id(&self, number: u64) -> PromotionId {
        PromotionId::new(self.stage.clone(), number)
    }

    /// The promotions that have not ended, by number.
    pub fn open(&self) -> impl Iterator<Item = &Arc<Promotion>> {
        self.open.iter().filter_map(|number| self.promotions.get(number))
    }

    /// The promotion that was started and has not ended; there is at most one (invariant 5).
    #[must_use]
    pub fn in_flight(&self) -> Option<&Arc<Promotion>> {
        self.open().find(|promotion| promotion.state.is_in_flight())
    }

    /// The pending promotion whose turn it is: rollbacks first, then in the order of the requests.
    #[must_use]
    pub fn head(&self) -> Option<&Arc<Promotion>> {
        let pending = || self.open().filter(|promotion| promotion.state == State::Pending);
        pending().find(|promotion| promotion.kind == Kind::Rollback).or_else(|| pending().next())
    }

    /// That `release` succeeded here, and nothing later says otherwise.
    #[must_use]
    pub fn verified(&self, release: Digest) -> Option<&Verified> {
        self.verified.get(&release)
    }

    /// The position of the event at which a request id was used, and the digest of the command.
    #[must_use]
    pub fn request(&self, id: &RequestId) -> Option<(u64, Digest)> {
        self.requests.get(id).copied()
    }

    /// Whether the artifacts of this promotion must stay: it has not ended, or the stage runs or would go back to what it brought.
    #[must_use]
    pub fn is_needed(&self, number: u64) -> bool {
        let brought = |deployed: &Option<Deployed>| deployed.as_ref().is_some_and(|d| d.promotion == number);
        self.open.contains(&number)
            || brought(&self.current)
            || brought(&self.previous)
            || self.unsettled == Some(number)
    }

    /// The earliest promotion whose pin can be given up.
    pub(super) fn pin_to_release(&self) -> Option<u64> {
        self.pinned.iter().copied().find(|number| !self.is_needed(*number))
    }

    /// Every artifact that must stay, and why.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let mut usage = Vec::new();
        let mut add = |release: &Release, reason| {
            for artifact in release.artifacts() {
                usage.push(Usage::new(artifact.clone(), reason, self.stage.as_str()));
            }
        };
        if let Some(current) = &self.current {
            add(&current.release, UsageReason::Deployed);
            if self.in_flight().is_some() {
                add(&current.release, UsageReason::RollbackTarget);
            }
        }
        if let Some(previous) = &self.previous {
            add(&previous.release, UsageReason::RollbackTarget);
        }
        for promotion in self.open() {
            add(&promotion.release, UsageReason::InFlight);
        }
        if let Some(promotion) = self.unsettled.and_then(|number| self.promotion(number)) {
            add(&promotion.release, UsageReason::Deployed);
        }
        usage.sort();
        usage.dedup();
        usage
    }
}
