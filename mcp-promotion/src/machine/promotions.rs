use std::sync::Arc;

use mcp_core::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sorted::Sorted;
use crate::{Kind, Promotion, State};

/// The promotions that a stage remembers, and where each is listed by what is due for it: with ten thousand of them waiting, a driver looks at
/// the first of a list, and a copy shares what did not change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Promotions {
    all: Sorted<u64, Arc<Promotion>>,
    /// Started, and not ended.
    started: Sorted<u64, ()>,
    /// The pending ones, in the order in which it is their turn.
    pending: Sorted<(Turn, u64), ()>,
    /// When pending ones expire.
    expiring: Sorted<(Timestamp, u64), ()>,
    /// Pending ones whose pin is to be made lasting.
    unpinned: Sorted<u64, ()>,
    /// Ended ones whose pin was not given up.
    pinned: Sorted<u64, ()>,
}

/// Which pending promotions go before others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Rollback,
    /// The glass was broken for it.
    Urgent,
    Usual,
}

/// In which lists a promotion stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Listed {
    started: bool,
    pending: Option<Turn>,
    expires: Option<Timestamp>,
    unpinned: bool,
    pinned: bool,
}

impl Listed {
    fn of(promotion: &Promotion) -> Self {
        let pending = promotion.state == State::Pending;
        let turn = match promotion.kind {
            Kind::Rollback => Turn::Rollback,
            Kind::Deploy if promotion.glass.is_some() => Turn::Urgent,
            Kind::Deploy => Turn::Usual,
        };
        let expires = || Some(promotion.requested_at.saturating_add(promotion.policy.expires_after?));
        Self {
            started: promotion.state.is_in_flight(),
            pending: pending.then_some(turn),
            expires: pending.then(expires).flatten(),
            unpinned: pending && promotion.holder.is_some() && !promotion.pin_lasts,
            pinned: promotion.state.is_terminal() && promotion.is_pinned(),
        }
    }
}

impl Promotion {
    /// Whether its artifacts are pinned, with or without an expiry.
    pub(super) const fn is_pinned(&self) -> bool {
        self.holder.is_some() && !self.pin_released
    }
}

impl Promotions {
    pub(super) const fn new() -> Self {
        Self {
            all: Sorted::new(),
            started: Sorted::new(),
            pending: Sorted::new(),
            expiring: Sorted::new(),
            unpinned: Sorted::new(),
            pinned: Sorted::new(),
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&Arc<Promotion>> {
        self.all.get(&number)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<Promotion>> {
        self.all.values()
    }

    pub(super) fn insert(&mut self, number: u64, promotion: Promotion) {
        let listed = Listed::of(&promotion);
        self.all.insert(number, Arc::new(promotion));
        self.list(number, Listed::default(), listed);
    }

    /// Changes a promotion that is remembered.
    pub(super) fn update(&mut self, number: u64, change: impl FnOnce(&mut Promotion)) {
        if let Some(promotion) = self.all.get_mut(&number) {
            let before = Listed::of(promotion);
            change(Arc::make_mut(promotion));
            let after = Listed::of(promotion);
            self.list(number, before, after);
        }
    }

    pub(super) fn remove(&mut self, number: u64) {
        if let Some(promotion) = self.all.remove(&number) {
            self.list(number, Listed::of(&promotion), Listed::default());
        }
    }

    fn list(&mut self, number: u64, before: Listed, after: Listed) {
        let flag = |listed: bool| listed.then_some(number);
        let timed = |expires: Option<Timestamp>| expires.map(|expires| (expires, number));
        let turn = |turn: Option<Turn>| turn.map(|turn| (turn, number));
        self.started.relist(flag(before.started), flag(after.started));
        self.pending.relist(turn(before.pending), turn(after.pending));
        self.expiring.relist(timed(before.expires), timed(after.expires));
        self.unpinned.relist(flag(before.unpinned), flag(after.unpinned));
        self.pinned.relist(flag(before.pinned), flag(after.pinned));
    }

    pub(super) fn in_flight(&self) -> Option<&Arc<Promotion>> {
        self.get(*self.started.keys().next()?)
    }

    pub(super) fn head(&self) -> Option<&Arc<Promotion>> {
        self.pending.keys().next().and_then(|(_, number)| self.get(*number))
    }

    /// The pending one that expires first, and when.
    pub(super) fn first_to_expire(&self) -> Option<(Timestamp, u64)> {
        self.expiring.keys().next().copied()
    }

    pub(super) fn unpinned(&self) -> impl Iterator<Item = u64> {
        self.unpinned.keys().copied()
    }

    pub(super) fn pinned(&self) -> impl Iterator<Item = u64> {
        self.pinned.keys().copied()
    }
}

/// The promotions alone: the lists follow from them.
impl Serialize for Promotions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.values())
    }
}

impl<'de> Deserialize<'de> for Promotions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut promotions = Self::new();
        for promotion in Vec::<Promotion>::deserialize(deserializer)? {
            promotions.insert(promotion.id.number, promotion);
        }
        Ok(promotions)
    }
}
