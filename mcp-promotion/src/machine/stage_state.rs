use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{Digest, Id, Name, RequestId, Timestamp, Usage, UsageReason};

use serde::{Deserialize, Serialize};

use super::lanes::Lanes;
use super::layers::Layers;
use super::promotions::Promotions;
use super::watch::Watch;
use crate::{Hold, Lease, Obligation, Promotion, PromotionError, PromotionId, Release};

/// What a stage is believed to run, and which promotion brought it there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployed {
    /// The release.
    pub release: Release,
    /// The number of the promotion.
    pub promotion: u64,
}

/// That a release succeeded in a stage, and nothing later says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// The number of the promotion.
    pub promotion: u64,
    /// When it succeeded.
    pub at: Timestamp,
    /// When another release took its place; `None` while it runs.
    pub until: Option<Timestamp>,
}

/// What the rules need of everything that the stream of one stage says.
///
/// Of a promotion that has ended, it is what others may still ask about: whole while the stage runs or would go back to what it brought, or
/// while its artifacts are pinned, and after that only that its release has succeeded (64 bytes for each release) and which request ids
/// were used (24 bytes for each). What was left behind stands in the stream.
///
/// Its JSON is what snapshots hold: the same build reads it back, and no other is asked to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageState {
    pub(super) stage: Name,
    pub(super) version: u64,
    pub(super) feed: Option<Id>,
    /// Those that have not ended, and those of which something is left to do or to keep.
    pub(super) promotions: Promotions,
    pub(super) current: Option<Deployed>,
    pub(super) previous: Option<Deployed>,
    /// A stuck promotion that was acknowledged: until the next one ends, nobody knows what runs.
    pub(super) unsettled: Option<u64>,
    /// `None` where something later says otherwise.
    pub(super) verified: Layers<Digest, Option<Verified>>,
    pub(super) lease: Option<Lease>,
    pub(super) hold: Option<Hold>,
    pub(super) watch: Option<Watch>,
    /// What was watched before the promotion in flight was started.
    pub(super) aside: Option<Watch>,
    /// What is still to be reviewed, by the number of the promotion, which may have been left behind.
    pub(super) obligations: BTreeMap<u64, Obligation>,
    /// After which promotion nothing is promoted by itself.
    pub(super) distrusted: Option<u64>,
    pub(super) lanes: Arc<Lanes>,
    /// Where each request id was used.
    requests: Layers<RequestKey, u64>,
}

/// The first half of the BLAKE3 digest of a request id. Of two ids that share it, only the first one can be used: the other is refused as
/// one that was used before, which it takes 2^64 trials to bring about.
type RequestKey = [u8; 16];

fn request_key(id: &RequestId) -> RequestKey {
    let digest = Digest::of(id.as_str().as_bytes());
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

impl StageState {
    /// Of a stage without events.
    #[must_use]
    pub fn new(stage: Name) -> Self {
        Self {
            stage,
            version: 0,
            feed: None,
            promotions: Promotions::new(),
            current: None,
            previous: None,
            unsettled: None,
            verified: Layers::new(),
            lease: None,
            hold: None,
            watch: None,
            aside: None,
            obligations: BTreeMap::new(),
            distrusted: None,
            lanes: Arc::default(),
            requests: Layers::new(),
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

    /// The promotions that are remembered, by number: those that have not ended, and those that something still refers to.
    pub fn promotions(&self) -> impl Iterator<Item = &Arc<Promotion>> {
        self.promotions.values()
    }

    /// How much it remembers: what a snapshot of it takes grows with this.
    pub(crate) fn entries(&self) -> usize {
        let lasting = self.verified.len().saturating_add(self.requests.len());
        lasting.saturating_add(self.promotions.len())
    }

    /// The promotion with this number; `None` when it was never requested, or has ended and nothing refers to it any more.
    #[must_use]
    pub fn promotion(&self, number: u64) -> Option<&Arc<Promotion>> {
        self.promotions.get(number)
    }

    /// The promotion with this number, or the error that says that there is none that is remembered.
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
        self.promotions().filter(|promotion| !promotion.state.is_terminal())
    }

    /// The promotion that was started and has not ended; there is at most one (invariant 5).
    #[must_use]
    pub fn in_flight(&self) -> Option<&Arc<Promotion>> {
        self.promotions.in_flight()
    }

    /// The pending promotion whose turn it is: rollbacks first, then those for which the glass was broken, then in the order of the requests.
    #[must_use]
    pub fn head(&self) -> Option<&Arc<Promotion>> {
        self.promotions.head()
    }

    /// That `release` succeeded here, and nothing later says otherwise.
    #[must_use]
    pub fn verified(&self, release: Digest) -> Option<&Verified> {
        self.verified.get(&release).and_then(Option::as_ref)
    }

    /// Whether `release` succeeded here at some time, or was taken back.
    pub(super) fn has_had(&self, release: Digest) -> bool {
        self.verified.get(&release).is_some()
    }

    /// The position of the event at which a request id was used; the event says for what.
    #[must_use]
    pub fn request(&self, id: &RequestId) -> Option<u64> {
        self.requests.get(&request_key(id)).copied()
    }

    pub(super) fn use_request(&mut self, id: &RequestId, position: u64) {
        self.requests.insert(request_key(id), position);
    }

    /// Leaves a promotion behind, when it has ended and nothing refers to it any more.
    pub(super) fn forget(&mut self, number: u64) {
        let pinned = self.promotion(number).is_some_and(|known| known.is_pinned());
        if !pinned && !self.is_needed(number) {
            self.promotions.remove(number);
        }
    }

    /// The same with a promotion that was left behind, for [`decide`](super::decide) to say why nothing can be done about it any more.
    #[must_use]
    pub(crate) fn with_ended(&self, promotion: Promotion) -> Self {
        let mut state = self.clone();
        state.promotions.insert(promotion.id.number, promotion);
        state
    }

    /// Whether the artifacts of this promotion must stay: it has not ended, or the stage runs or would go back to what it brought.
    #[must_use]
    pub fn is_needed(&self, number: u64) -> bool {
        let brought = |deployed: &Option<Deployed>| deployed.as_ref().is_some_and(|d| d.promotion == number);
        self.promotion(number).is_some_and(|promotion| !promotion.state.is_terminal())
            || brought(&self.current)
            || brought(&self.previous)
            || self.unsettled == Some(number)
    }

    /// The earliest promotion whose pin can be given up.
    pub(super) fn pin_to_release(&self) -> Option<u64> {
        self.promotions.pinned().find(|number| !self.is_needed(*number))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_ever_is_as_small_as_its_docs_say() {
        let sizes = [size_of::<(Digest, Option<Verified>)>(), size_of::<(RequestKey, u64)>()];
        assert_eq!(sizes, [64, 24]);
    }
}
