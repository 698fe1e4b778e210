use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{Digester, Name, RequestId, Timestamp};

use super::next::Upstream;
use super::stage_state::StageState;
use super::upstream::before;
use crate::{Blocker, Kind, Policy, Promotion, PromotionError, PromotionId, Release};

/// In whose name the engine requests what has succeeded in the stages before.
pub(crate) const AUTOMATIC: &str = "automatic";
/// In whose name it acts when a release gets worse after its success.
pub(crate) const WATCH: &str = "watch";
/// The principals in whose name the engine acts by itself. No person can use them.
pub(crate) const RESERVED: [&str; 2] = [AUTOMATIC, WATCH];

/// A release that the engine would request by itself, and what keeps it from doing so.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// The release.
    pub release: Release,
    /// When it succeeded in the stages before, by the last one.
    pub succeeded_at: Timestamp,
    /// Empty where a driver is about to request it.
    pub blockers: Vec<Blocker>,
    /// Of the same release and the same promotions before it is the same, so that it is requested once.
    pub(crate) request: RequestId,
}

impl Promotion {
    /// Whether the engine has requested it by itself because its release had succeeded in the stages before.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        self.requester.as_str() == AUTOMATIC
    }

    fn is_by_hand(&self) -> bool {
        !RESERVED.contains(&self.requester.as_str())
    }
}

impl StageState {
    /// After which promotion this one must not start by itself.
    #[must_use]
    pub fn distrust_on(&self, promotion: &Promotion) -> Option<PromotionId> {
        self.distrusted().filter(|_| promotion.is_automatic() && promotion.glass.is_none())
    }

    /// A person has brought a release here since: what the engine does by itself can be trusted again.
    pub(super) fn trust_again(&mut self, promotion: &Promotion) {
        if promotion.kind == Kind::Deploy && promotion.is_by_hand() {
            self.distrusted = None;
        }
    }
}

/// What would be requested by itself in a stage with this policy: of the releases that the stages before were brought forward to, the
/// newest one that has succeeded and soaked as the policy asks for, or else the newest one, together with what is missing.
///
/// Newest is what succeeded last. `None` where this stage runs it, has it under way, or was asked for it before.
///
/// # Errors
/// `Internal` when no request id can be made of a digest, which never happens.
pub fn candidate(
    state: &StageState,
    policy: &Policy,
    stages: &BTreeMap<Name, Arc<StageState>>,
    now: Timestamp,
) -> Result<Option<Candidate>, PromotionError> {
    let mut newest: Option<Candidate> = None;
    for release in stages.values().filter_map(|known| brought_forward(known)) {
        let digest = release.digest();
        let seen: BTreeMap<&Name, Upstream> = stages
            .iter()
            .map(|(name, known)| {
                (name, Upstream { version: known.version(), verified: known.verified(digest).copied() })
            })
            .collect();
        let at = seen.values().filter_map(|seen| seen.verified.map(|verified| verified.at)).max();
        let request = request_id(state.stage(), release, &seen)?;
        let Some(succeeded_at) = at.filter(|_| is_new(state, release, &request)) else { continue };
        let blockers = before(policy, |stage| seen.get(stage), now);
        let rank = |candidate: &Candidate| (candidate.blockers.is_empty(), candidate.succeeded_at);
        let found = Candidate { release: release.clone(), succeeded_at, blockers, request };
        if newest.as_ref().is_none_or(|newest| rank(newest) < rank(&found)) {
            newest = Some(found);
        }
    }
    if let Some(found) = &mut newest {
        found.blockers.extend(unwanted(state, &found.release, found.succeeded_at));
    }
    Ok(newest)
}

/// What a stage runs because a promotion, and not a rollback, has brought it there.
fn brought_forward(known: &StageState) -> Option<&Release> {
    let current = known.current()?;
    let promotion = known.promotion(current.promotion)?;
    (promotion.kind == Kind::Deploy).then_some(&current.release)
}

fn is_new(state: &StageState, release: &Release, request: &RequestId) -> bool {
    state.request(request).is_none() && !is_here(state, release)
}

fn is_here(state: &StageState, release: &Release) -> bool {
    let runs = state.current().is_some_and(|current| current.release == *release);
    runs || state.open().any(|open| open.release == *release)
}

/// What this stage has against a release that succeeded in the stages before at that time.
fn unwanted(state: &StageState, release: &Release, succeeded_at: Timestamp) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    if let Some(hold) = state.hold() {
        blockers.push(Blocker::Held { by: hold.by.clone(), reason: hold.reason.clone() });
    }
    if let Some(after) = state.distrusted() {
        blockers.push(Blocker::Distrusted { after });
    }
    if state.has_had(release.digest()) {
        blockers.push(Blocker::RanBefore { stage: state.stage().clone() });
    }
    let current = state.current().and_then(|current| state.promotion(current.promotion));
    let by_hand = |promotion: &&Arc<Promotion>| {
        promotion.kind == Kind::Deploy && promotion.is_by_hand() && promotion.requested_at > succeeded_at
    };
    if let Some(newer) = state.open().chain(current).find(by_hand) {
        blockers.push(Blocker::NewerByHand { promotion: newer.id.clone() });
    }
    blockers
}

/// Whether the engine may request this by itself: looked at again in the step that records the request.
pub(super) fn is_wanted(state: &StageState, release: &Release, succeeded_at: Timestamp) -> bool {
    !is_here(state, release) && unwanted(state, release, succeeded_at).is_empty()
}

fn request_id(
    stage: &Name,
    release: &Release,
    seen: &BTreeMap<&Name, Upstream>,
) -> Result<RequestId, PromotionError> {
    let mut digester = Digester::new();
    digester.update(b"mcp automatic 1\n").update(stage.as_str().as_bytes()).update(b"\n");
    digester.update(release.digest().as_bytes());
    for (before, upstream) in seen {
        if let Some(verified) = upstream.verified {
            digester.update(format!("{before}/{}\n", verified.promotion).as_bytes());
        }
    }
    Ok(format!("{AUTOMATIC}/{}", digester.digest()).parse()?)
}
