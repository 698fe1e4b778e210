use std::borrow::Cow;

use serde_json::Value;

use super::{Guardrail, Judgement};
use crate::verification::{JudgeChoice, Judged};
use crate::{Arm, Progress, Sample};

/// How many of a million requests may fail before the guardrail that stands in takes a release for one that does not work at all.
const MOSTLY_FAILS_PPM: u32 = 500_000;

/// For what judges are asked about a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// A release beside which another one runs, or may run.
    Beside,
    /// A release that has nothing to be compared with: the first one, one that ran already, or one that is brought back.
    Alone,
    /// A release that has succeeded. It may get worse at any time, so that no bake time ends the judging.
    Watch,
}

impl Occasion {
    /// Whether a judge that compares is not waited for in this window: it has no baseline, and something else tells that the release lives.
    pub(super) fn is_alone(self, judged: &Judged, samples: &[Sample]) -> bool {
        let compared = samples.iter().any(|sample| sample.arm == Arm::Baseline);
        if !judged.judge.compares() || compared {
            return false;
        }
        let guarded = !judged.guardrails.is_empty();
        match self {
            Self::Beside => false,
            Self::Alone => guarded || samples.iter().any(tells),
            Self::Watch => guarded || samples.iter().any(|sample| sample.total > 0),
        }
    }

    /// The guardrails as they are asked: beside a judge that compares, in a policy without any, one stands in where a comparison may be
    /// impossible. It fails what fails most of its requests, and passes after the judge's own time.
    pub(super) fn guardrails(self, judged: &Judged) -> Cow<'_, [Guardrail]> {
        let bakes = judged.judge.bakes();
        let Some((min_windows, bake, patience)) =
            bakes.filter(|_| self != Self::Beside && judged.guardrails.is_empty())
        else {
            return Cow::Borrowed(&judged.guardrails);
        };
        let max_errors_ppm = MOSTLY_FAILS_PPM;
        Cow::Owned(vec![Guardrail { max_errors_ppm, min_windows, bake, patience, ..Guardrail::default() }])
    }

    /// The judge as it is asked: in a watch, a sequential one never passes. Its e-process may be looked at for as long as one likes, so the
    /// budget of false rollbacks holds all the same.
    pub(super) fn choice(self, choice: &JudgeChoice) -> Cow<'_, JudgeChoice> {
        if self == Self::Watch && choice.compares() {
            Cow::Owned(choice.without_end())
        } else {
            Cow::Borrowed(choice)
        }
    }

    /// Whether somebody has resumed the promotion after it had been given up as inconclusive.
    pub(super) fn is_resumed(self, kept: &Progress) -> bool {
        self != Self::Watch && matches!(kept.judgement, Judgement::Inconclusive { .. })
    }
}

/// Whether it counts no requests, but something else: then a guardrail on errors has nothing to say.
pub(super) fn only_numbers(samples: &[Sample]) -> bool {
    samples.iter().all(|sample| sample.total == 0) && samples.iter().any(tells)
}

/// Whether it says anything of the release.
fn tells(sample: &Sample) -> bool {
    sample.total > 0 || !sample.numbers.is_empty()
}

/// Whether a judge that compares has counted any window. It is asked in the windows behind it as well: those of a baseline that is silent for
/// a while look like those of one that is gone.
pub(super) fn has_compared(state: &Value) -> bool {
    let counted =
        |state: &Value| state.get("counted").and_then(Value::as_u64).is_some_and(|counted| counted > 0);
    counted(state)
        || state.get("judges").and_then(Value::as_array).is_some_and(|judges| judges.iter().any(counted))
}

/// What a built-in judge or a guardrail kept, with all its patience before it: the evidence stays.
pub(super) fn patient(state: &Value) -> Value {
    let mut state = state.clone();
    if let Some(kept) = state.as_object_mut() {
        if let Some(silent) = kept.get_mut("silent_us") {
            *silent = Value::from(0);
        }
        if let Some(Value::Array(judges)) = kept.get_mut("judges") {
            for judge in judges {
                *judge = patient(judge);
            }
        }
    }
    state
}
