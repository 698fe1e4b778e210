use super::decide::give_up;
use super::reach::{Goal, parts};
use super::stage_state::StageState;
use crate::{Kind, Observed, Promotion, Reach, State};

/// What the driver was about to do when it looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looking {
    /// To apply a release, forwards or back.
    BeforeApply,
    /// To sample.
    BeforeSample,
    /// Nothing more: every attempt to apply the release has failed.
    AfterLastAttempt,
}

/// Where a promotion in flight goes because of what the stage runs; `None` when the driver may do what it was about to.
///
/// Never a guess: what is unknown pauses the way forward and makes the way back stuck, and so does a release that neither was there nor was
/// wanted, and one that is wanted in a place that it should not have reached yet, unless a person has resumed, overridden or retried since
/// it was seen.
#[must_use]
pub fn consequence(
    state: &StageState,
    promotion: &Promotion,
    observed: &Observed,
    looking: Looking,
) -> Option<(State, String)> {
    let halt = if promotion.state == State::RollingBack { State::Stuck } else { State::Paused };
    if let Observed::Unknown(_) = observed {
        return Some((halt, format!("the stage runs {observed}")));
    }
    let expected = is_expected(state, promotion, observed);
    let tolerated = promotion.accepts_drift || state.is_unsettled();
    let halted = || (halt, unexpected(state, promotion, observed));
    match looking {
        Looking::BeforeApply => (!expected && !tolerated).then(halted),
        Looking::BeforeSample => {
            let reach = promotion.reach.unwrap_or_default();
            let goal = Goal { release: promotion.release.clone(), reach };
            state.reached(promotion, &goal, observed).is_none().then(halted)
        }
        Looking::AfterLastAttempt => {
            let last = promotion.last_failure.as_ref().map_or("", |(_, why)| why.as_str());
            let why = format!("{} attempts failed, the last one with {last}", promotion.failures);
            let before = match state.current() {
                Some(current) => Observed::Running(current.release.digest()),
                None => Observed::Nothing,
            };
            let untouched =
                promotion.state == State::Deploying && *observed == before && !state.is_unsettled();
            // That nothing was applied is no harm on the way forward. Who wanted to go back is left with what they wanted to leave.
            Some(if untouched && promotion.kind == Kind::Deploy {
                (State::Failed, format!("nothing was applied: {why}"))
            } else if expected || tolerated {
                give_up(state, promotion, &why)
            } else {
                halted()
            })
        }
    }
}

/// Whether the stage may be found like this before a change, or after one that failed.
fn is_expected(state: &StageState, promotion: &Promotion, observed: &Observed) -> bool {
    let wanted = Some(promotion.release.digest());
    let before = state.current().map(|current| current.release.digest());
    let Some((canary, rest)) = parts(observed) else {
        return false;
    };
    let known = |part| part == wanted || part == before;
    match promotion.state {
        // Going back replaces whatever a failed attempt left, also nothing at all.
        State::RollingBack => [canary, rest].into_iter().all(|part| known(part) || part.is_none()),
        // The canary was judged: it must still be there. An earlier attempt may have reached everything.
        State::Verifying => canary == wanted && known(rest),
        // Nothing was judged yet that could reach more than the canary.
        _ if state.first_reach(promotion) == Reach::Canary => rest == before && known(canary),
        _ => known(canary) && known(rest),
    }
}

fn unexpected(state: &StageState, promotion: &Promotion, observed: &Observed) -> String {
    let everywhere = *observed == Observed::Running(promotion.release.digest());
    let why = if everywhere && promotion.state != State::RollingBack && state.needs_widening(promotion) {
        "although only its canary was told to; if it has none, its policy must not ask for one"
    } else {
        "which nobody here put there"
    };
    format!("the stage runs {observed}, {why}")
}
