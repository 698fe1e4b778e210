use super::decide::give_up;
use super::stage_state::StageState;
use crate::{Observed, Promotion, State};

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
/// wanted, unless a person has resumed or retried since it was seen.
#[must_use]
pub fn consequence(
    state: &StageState,
    promotion: &Promotion,
    observed: &Observed,
    looking: Looking,
) -> Option<(State, String)> {
    let halt = if promotion.state == State::RollingBack { State::Stuck } else { State::Paused };
    let wanted = Observed::Running(promotion.release.digest());
    let before = match state.current() {
        Some(current) => Observed::Running(current.release.digest()),
        None => Observed::Nothing,
    };
    let foreign = || format!("the stage runs {observed}, which nobody here put there");
    if let Observed::Unknown(_) = observed {
        return Some((halt, format!("the stage runs {observed}")));
    }
    let expected = *observed == wanted || *observed == before;
    let tolerated = promotion.accepts_drift || state.is_unsettled();
    match looking {
        Looking::BeforeApply => {
            // Going back replaces whatever a failed attempt left, also nothing at all.
            let fine = expected
                || tolerated
                || (promotion.state == State::RollingBack && *observed == Observed::Nothing);
            (!fine).then(|| (halt, foreign()))
        }
        Looking::BeforeSample => (*observed != wanted).then(|| (halt, foreign())),
        Looking::AfterLastAttempt => {
            let last = promotion.last_failure.as_ref().map_or("", |(_, why)| why.as_str());
            let why = format!("{} attempts failed, the last one with {last}", promotion.failures);
            Some(if *observed == before && !state.is_unsettled() {
                (State::Failed, format!("nothing was applied: {why}"))
            } else if expected || tolerated {
                give_up(state, promotion, &why)
            } else {
                (halt, foreign())
            })
        }
    }
}
