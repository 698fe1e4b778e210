use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcp_core::{Artifact, Digest, Holder, Name, Principal, RequestId, Timestamp, Usage, UsageReason};

use super::status::{Part, PartState, PlanId, PlanStatus};
use super::{Plan, PlanEntry, PlanHappened, PlanRequest, PlanState};
use crate::{Release, State};

/// A plan as its events tell it.
///
/// A driver tries every event on a copy before it is appended, so what never changes is shared, and the rest is small: 24 bytes for each
/// stage. Stages are known by their place in the order of their names, groups by their place in the order of the waves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Course {
    fixed: Arc<Fixed>,
    pub(crate) state: PlanState,
    pub(crate) reason: String,
    pin: Pinning,
    parts: Vec<Standing>,
    /// The stages that have succeeded and were not taken back, in the order in which they did.
    pub(crate) done: Vec<usize>,
    /// What each request id was used for.
    pub(crate) requests: BTreeMap<RequestId, Digest>,
}

/// What the first event says.
#[derive(Debug, PartialEq)]
struct Fixed {
    id: PlanId,
    requester: Principal,
    requested_at: Timestamp,
    request: PlanRequest,
    plan: Plan,
    /// Sorted by name.
    stages: Vec<Planned>,
    groups: Vec<Vec<usize>>,
    holder: Option<Holder>,
}

/// How far the pin of a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pinning {
    /// It has none.
    None,
    /// It expires by itself.
    Expiring,
    Lasting,
    Released,
}

/// One stage, as planned.
#[derive(Debug, PartialEq)]
pub(crate) struct Planned {
    pub(crate) stage: Name,
    pub(crate) release: Release,
    pub(crate) base: Option<Release>,
    group: usize,
    wave: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    pub(crate) state: PartState,
    pub(crate) promotion: Option<u64>,
}

impl Course {
    /// What the first event of the stream `id` says.
    pub(crate) fn begin(id: PlanId, entry: &PlanEntry) -> Result<Self, String> {
        let PlanHappened::Requested(requested) = &entry.what else {
            return Err("a plan begins with its request".to_owned());
        };
        let mut releases = requested.request.releases().map_err(|error| error.to_string())?;
        let (mut stages, mut groups) = (Vec::new(), Vec::new());
        for (wave, members) in requested.plan.waves().iter().enumerate() {
            for members in members {
                for stage in members {
                    let Some(release) = releases.remove(stage) else {
                        return Err(format!("no item of it brings anything into {stage}, or two waves do"));
                    };
                    let base = requested.base.get(stage).cloned();
                    let group = groups.len();
                    stages.push(Planned { stage: stage.clone(), release, base, group, wave });
                }
                groups.push(Vec::new());
            }
        }
        if let Some(stage) = releases.keys().next() {
            return Err(format!("none of its waves has {stage}"));
        }
        stages.sort_by(|one, other| one.stage.cmp(&other.stage));
        for (place, planned) in stages.iter().enumerate() {
            if let Some(group) = groups.get_mut(planned.group) {
                group.push(place);
            }
        }
        let parts = vec![Standing { state: PartState::Waiting, promotion: None }; stages.len()];
        let fixed = Fixed {
            id,
            requester: requested.requester.clone(),
            requested_at: entry.at,
            request: requested.request.clone(),
            plan: requested.plan.clone(),
            stages,
            groups,
            holder: requested.holder.clone(),
        };
        Ok(Self {
            pin: if fixed.holder.is_some() { Pinning::Expiring } else { Pinning::None },
            fixed: Arc::new(fixed),
            state: PlanState::Running,
            reason: String::new(),
            parts,
            done: Vec::new(),
            requests: entry.request.iter().map(|used| (used.id.clone(), used.command)).collect(),
        })
    }

    pub(crate) fn requester(&self) -> &Principal {
        &self.fixed.requester
    }

    pub(crate) fn request(&self) -> &PlanRequest {
        &self.fixed.request
    }

    /// The stages in the order of their names, and how far each is.
    pub(crate) fn parts(&self) -> impl DoubleEndedIterator<Item = (usize, &Planned, Standing)> {
        let parts = self.fixed.stages.iter().zip(&self.parts);
        parts.enumerate().map(|(place, (planned, progress))| (place, planned, *progress))
    }

    /// The stages that are in this state, in the order of their names.
    pub(crate) fn in_state(&self, state: PartState) -> impl Iterator<Item = (usize, &Planned, Standing)> {
        self.parts().filter(move |(_, _, progress)| progress.state == state)
    }

    pub(crate) fn part(&self, place: usize) -> Option<(&Planned, Standing)> {
        self.fixed.stages.get(place).zip(self.parts.get(place).copied())
    }

    pub(crate) fn place(&self, stage: &Name) -> Option<usize> {
        self.fixed.stages.binary_search_by(|planned| planned.stage.cmp(stage)).ok()
    }

    pub(crate) fn all(&self, mut allowed: impl FnMut(PartState) -> bool) -> bool {
        self.parts.iter().all(|part| allowed(part.state))
    }

    /// The stages that are changed at once with this one, which is among them.
    pub(crate) fn group(&self, place: usize) -> &[usize] {
        let group = self.fixed.stages.get(place).and_then(|planned| self.fixed.groups.get(planned.group));
        group.map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn is(&self, place: usize, state: PartState) -> bool {
        self.parts.get(place).is_some_and(|part| part.state == state)
    }

    /// Everything, for whoever asks.
    pub(crate) fn status(&self) -> PlanStatus {
        let Fixed { id, requester, requested_at, request, plan, .. } = &*self.fixed;
        let part = |(_, planned, progress): (usize, &Planned, Standing)| {
            let Planned { stage, release, base, .. } = planned;
            let Standing { state, promotion } = progress;
            (stage.clone(), Part { release: release.clone(), base: base.clone(), state, promotion })
        };
        PlanStatus {
            id: *id,
            requester: requester.clone(),
            requested_at: *requested_at,
            request: request.clone(),
            plan: plan.clone(),
            state: self.state,
            reason: self.reason.clone(),
            parts: self.parts().map(part).collect(),
            done: self.done.iter().filter_map(|place| Some(self.part(*place)?.0.stage.clone())).collect(),
        }
    }

    /// Goes on by one event. Replaying a stream checks it: an event that breaks the order of the waves, the reverse order of the way back, or
    /// the table of states is refused with the reason, and nothing has changed.
    pub(crate) fn apply(&mut self, entry: &PlanEntry) -> Result<(), String> {
        if self.state.is_terminal() && entry.what != PlanHappened::Unpinned {
            return Err(format!("the plan is {}, and nothing comes after that", self.state));
        }
        match &entry.what {
            PlanHappened::Requested(_) => return Err("the plan was requested before".to_owned()),
            PlanHappened::Asked { stage, promotion } => {
                let place = self.expect(stage, &[PartState::Waiting])?;
                self.may_ask(place)?;
                self.go_on(place, PartState::Asked, Some(*promotion));
            }
            PlanHappened::Ended { stage, state: State::Succeeded, .. } => {
                let place = self.expect(stage, &[PartState::Asked])?;
                self.go_on(place, PartState::Done, None);
            }
            PlanHappened::Ended { stage, state, back } => {
                ended(*state)?;
                let place = self.expect(stage, &[PartState::Asked])?;
                self.go_on(place, settled(*back), None);
            }
            PlanHappened::Withdrawn { stage } => {
                let place = self.expect(stage, &[PartState::Asked])?;
                self.go_on(place, PartState::Back, None);
            }
            PlanHappened::Lost { stage, back } => {
                let place = self.expect(stage, &[PartState::Done])?;
                self.go_on(place, settled(*back), None);
            }
            PlanHappened::Reversing { stage, promotion } => {
                let place = self.expect(stage, &[PartState::Done, PartState::Astray])?;
                self.may_reverse(place)?;
                self.go_on(place, PartState::Reversing, Some(*promotion));
            }
            PlanHappened::Reversed { stage, state, back } => {
                ended(*state)?;
                let place = self.expect(stage, &[PartState::Reversing])?;
                self.go_on(place, settled(*back), None);
            }
            PlanHappened::Settled { stage } => {
                let place = self.expect(stage, &[PartState::Done, PartState::Astray])?;
                self.go_on(place, PartState::Back, None);
            }
            PlanHappened::Pinned => {
                let to = if self.pin == Pinning::Expiring { Some(Pinning::Lasting) } else { None };
                self.pin = to.ok_or("it has no pin that could be made lasting")?;
            }
            PlanHappened::Unpinned => {
                let to = if self.is_pinned() { Some(Pinning::Released) } else { None };
                let to = to.filter(|_| self.state.is_terminal());
                self.pin = to.ok_or("it has no pin that could be given up")?;
            }
            PlanHappened::Changed { from, to, reason, .. } => {
                self.may_change(*from, *to)?;
                if *to == PlanState::Running {
                    for part in &mut self.parts {
                        if matches!(part.state, PartState::Back | PartState::Astray) {
                            part.state = PartState::Waiting;
                        }
                    }
                }
                (self.state, self.reason) = (*to, reason.clone());
            }
        }
        if let Some(used) = &entry.request {
            self.requests.insert(used.id.clone(), used.command);
        }
        Ok(())
    }

    fn expect(&self, stage: &Name, allowed: &[PartState]) -> Result<usize, String> {
        match self.place(stage).and_then(|place| Some((place, self.parts.get(place)?.state))) {
            Some((place, state)) if allowed.contains(&state) => Ok(place),
            Some((_, state)) => Err(format!("{stage} is {state:?}, which does not allow this")),
            None => Err(format!("the plan has no stage {stage}")),
        }
    }

    fn go_on(&mut self, place: usize, state: PartState, promotion: Option<u64>) {
        if let Some(part) = self.parts.get_mut(place) {
            part.state = state;
            part.promotion = promotion.or(part.promotion);
        }
        match state {
            PartState::Done => self.done.push(place),
            PartState::Back | PartState::Astray => self.done.retain(|done| *done != place),
            _ => {}
        }
    }

    /// The stages that may be asked for now: of the first wave that is not done, as far as there is room; those of a group that has begun come
    /// first, and need none.
    pub(crate) fn startable(&self) -> Vec<usize> {
        if self.state != PlanState::Running {
            return Vec::new();
        }
        let open = self.parts().filter(|(_, _, progress)| progress.state != PartState::Done);
        let Some(wave) = open.map(|(_, planned, _)| planned.wave).min() else {
            return Vec::new();
        };
        let (mut begun, mut others, mut under_way) = (Vec::new(), Vec::new(), 0_usize);
        for group in self.groups_of(wave) {
            let waiting = group.iter().copied().filter(|place| self.is(*place, PartState::Waiting));
            let has_begun = group.iter().any(|place| !self.is(*place, PartState::Waiting));
            under_way = under_way.saturating_add(usize::from(self.is_under_way(group)));
            if has_begun { begun.extend(waiting) } else { others.extend(waiting) }
        }
        if under_way < self.limit() {
            begun.append(&mut others);
        }
        begun
    }

    /// The groups of a wave, which follow each other.
    fn groups_of(&self, wave: usize) -> impl Iterator<Item = &[usize]> {
        let before = self.fixed.plan.waves().iter().take(wave).map(Vec::len).sum();
        let count = self.fixed.plan.waves().get(wave).map_or(0, Vec::len);
        self.fixed.groups.iter().skip(before).take(count).map(Vec::as_slice)
    }

    fn is_under_way(&self, group: &[usize]) -> bool {
        group.iter().any(|place| self.is(*place, PartState::Asked))
    }

    fn limit(&self) -> usize {
        self.fixed.request.parallelism.map_or(usize::MAX, |limit| limit.get() as usize)
    }

    /// Every wave before must be done, and there must be room for the group.
    fn may_ask(&self, place: usize) -> Result<(), String> {
        if self.state != PlanState::Running {
            return Err(format!("the plan is {}, and starts nothing", self.state));
        }
        let Some((planned, _)) = self.part(place) else {
            return Err(format!("the plan has no stage {place}"));
        };
        let mut earlier = self.parts().filter(|(_, other, _)| other.wave < planned.wave);
        if let Some((_, missing, _)) = earlier.find(|(_, _, progress)| progress.state != PartState::Done) {
            return Err(format!("{} comes after {}, which is not done", planned.stage, missing.stage));
        }
        let begun = self.group(place).iter().any(|place| !self.is(*place, PartState::Waiting));
        let others = self.groups_of(planned.wave).filter(|group| self.is_under_way(group)).count();
        if begun || others < self.limit() {
            Ok(())
        } else {
            Err(format!("{others} groups are under way already"))
        }
    }

    pub(crate) fn wave(&self, place: usize) -> Option<usize> {
        self.fixed.stages.get(place).map(|planned| planned.wave)
    }

    /// The stages that may have to be taken back, those of them that `wanted` takes by place and wave: first what is astray, then what has
    /// succeeded, the newest first.
    pub(crate) fn to_take_back(&self, wanted: impl Fn(usize, usize) -> bool) -> Vec<usize> {
        let astray = self.in_state(PartState::Astray).map(|(place, ..)| place);
        let done = self.done.iter().rev().copied().filter(|place| self.is(*place, PartState::Done));
        let wanted = |place: &usize| self.wave(*place).is_some_and(|wave| wanted(*place, wave));
        astray.chain(done).filter(wanted).collect()
    }

    /// Nothing may be under way forward, and everything of its wave or a later one that was done later must be back, except its own group.
    fn may_reverse(&self, place: usize) -> Result<(), String> {
        if self.state != PlanState::RollingBack {
            return Err(format!("the plan is {}, and takes nothing back", self.state));
        }
        let own = self.group(place);
        let mut busy = self.parts().filter(|(other, _, progress)| {
            progress.state == PartState::Asked
                || (progress.state == PartState::Reversing && !own.contains(other))
        });
        if let Some((_, other, _)) = busy.next() {
            return Err(format!("{} is under way", other.stage));
        }
        // A group that has begun to go back is completed, whatever was done between its stages.
        if own.iter().any(|other| *other != place && self.is(*other, PartState::Reversing)) {
            return Ok(());
        }
        let later = self.done.iter().rev().take_while(|done| **done != place);
        let mut later = later.filter(|done| !own.contains(done) && self.wave(**done) >= self.wave(place));
        match later.next().and_then(|done| self.part(*done)) {
            Some((done, _)) if self.done.contains(&place) => {
                Err(format!("{} was done later, and is not back", done.stage))
            }
            _ => Ok(()),
        }
    }

    fn may_change(&self, from: PlanState, to: PlanState) -> Result<(), String> {
        if from != self.state || !from.may_become(to) {
            return Err(format!("the plan is {}, and cannot go from {from} to {to}", self.state));
        }
        let fits = match to {
            PlanState::Succeeded => self.all(|part| part == PartState::Done),
            PlanState::RolledBack => self.all(|part| matches!(part, PartState::Waiting | PartState::Back)),
            PlanState::Cancelled => self.all(|part| part == PartState::Waiting),
            _ => true,
        };
        if fits { Ok(()) } else { Err(format!("its stages do not stand so that it could be {to}")) }
    }

    pub(crate) fn holder(&self) -> Option<&Holder> {
        self.fixed.holder.as_ref()
    }

    /// Whether its artifacts are pinned, with or without an expiry.
    pub(crate) fn is_pinned(&self) -> bool {
        matches!(self.pin, Pinning::Expiring | Pinning::Lasting)
    }

    /// Whether its pin must be made lasting before anything is asked for.
    pub(crate) fn needs_pin(&self) -> bool {
        self.pin == Pinning::Expiring
    }

    /// Whether nothing is left to be done, also about its pin.
    pub(crate) fn is_over(&self) -> bool {
        self.state.is_terminal() && !self.is_pinned()
    }

    /// Everything that it brings, and may bring back.
    pub(crate) fn artifacts(&self) -> Vec<Artifact> {
        let stages = self.fixed.stages.iter();
        kept(stages.flat_map(|planned| std::iter::once(&planned.release).chain(&planned.base)))
    }

    /// Every artifact that must stay until it has ended, and why.
    pub(crate) fn usage(&self) -> Vec<Usage> {
        let mut usage = Vec::new();
        for (_, planned, _) in self.parts().filter(|_| !self.state.is_terminal()) {
            let planned_release = (Some(&planned.release), UsageReason::InFlight);
            for (release, reason) in [planned_release, (planned.base.as_ref(), UsageReason::RollbackTarget)] {
                let artifacts = release.map(Release::artifacts).unwrap_or_default();
                usage.extend(
                    artifacts
                        .iter()
                        .map(|artifact| Usage::new(artifact.clone(), reason, planned.stage.as_str())),
                );
            }
        }
        usage
    }
}

/// The artifacts of these releases, each once.
pub(crate) fn kept<'a>(releases: impl Iterator<Item = &'a Release>) -> Vec<Artifact> {
    let artifacts: BTreeSet<&Artifact> = releases.flat_map(Release::artifacts).collect();
    artifacts.into_iter().cloned().collect()
}

fn ended(state: State) -> Result<(), String> {
    if state.is_terminal() { Ok(()) } else { Err(format!("{state} is no end of a promotion")) }
}

const fn settled(back: bool) -> PartState {
    if back { PartState::Back } else { PartState::Astray }
}
