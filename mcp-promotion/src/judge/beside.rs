use std::borrow::Cow;

use mcp_core::{ErrorKind, Name, SeamError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::occasion::{Occasion, has_compared, only_numbers, patient};
use super::{Judge, JudgeError, Judgement, MAX_JUDGE_STATE_BYTES};
use crate::host;
use crate::verification::{JudgeChoice, Judged};
use crate::{Progress, Sample, Window};

/// What stands beside a judge: guardrails, which decide too, and shadow judges, which never do. In the order of the policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Beside {
    /// What each guardrail keeps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Value>,
    /// What each shadow judge keeps and said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<Shadow>,
}

impl Beside {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.guardrails.is_empty() && self.shadow.is_empty()
    }
}

/// A judge that is asked and not obeyed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Shadow {
    /// Which: `rank`, `count`, `together`, `guardrail` or the name of a host's one.
    pub judge: String,
    /// What it keeps; its evidence is in there.
    pub state: Value,
    /// What it said last. That it passed or failed is final; a judge that fails to judge is inconclusive.
    pub judgement: Judgement,
}

/// What a judge and all that stands beside it make of a window.
pub(crate) struct Heard {
    pub(crate) judge: Value,
    pub(crate) judgement: Judgement,
    pub(crate) beside: Beside,
}

/// The most that a shadow judge may keep, as compact JSON: its state is journaled with each window too.
const MAX_SHADOW_STATE_BYTES: usize = 16 << 10;

/// Asks all of them, but for a judge that compares where there is nothing to compare with, or once its patience with a baseline that there was
/// has run out: then guardrails decide, those of the policy or one that stands in; where only numbers are reported, and the policy has none,
/// it passes in the first window with them. `named` finds the host's judges.
///
/// # Errors
/// Those of the judge and of the guardrails, `NotFound` where the host has no judge of that name, and `Exhausted` where the judge keeps too
/// much. A shadow judge has none.
pub(crate) fn hear<'a>(
    judged: &Judged,
    occasion: Occasion,
    kept: Option<&Progress>,
    window: Window,
    samples: &[Sample],
    named: &dyn Fn(&Name) -> Option<&'a dyn Judge>,
) -> Result<Heard, JudgeError> {
    let null = Value::Null;
    let resumed = kept.is_some_and(|progress| occasion.is_resumed(progress));
    let patience = |state| if resumed { Cow::Owned(patient(state)) } else { Cow::Borrowed(state) };
    let before = kept.map_or(&null, |progress| &progress.judge);
    let alone = occasion.is_alone(judged, samples);
    let (judge, mut judgement) = if alone && !has_compared(before) {
        (before.clone(), Judgement::Pass)
    } else {
        let own = matches!(judged.judge, JudgeChoice::Named(_));
        let before = if own { Cow::Borrowed(before) } else { patience(before) };
        ask(&occasion.choice(&judged.judge), &before, window, samples, named)?
    };
    if alone && matches!(judgement, Judgement::Inconclusive { .. }) {
        judgement = Judgement::Pass;
    }
    let bytes = judge.to_string().len();
    if bytes > MAX_JUDGE_STATE_BYTES {
        let context =
            format!("keep its state of {bytes} bytes: at most {MAX_JUDGE_STATE_BYTES} are journaled");
        return Err(SeamError::new(ErrorKind::Exhausted, context));
    }
    let mut beside = Beside::default();
    let silent = judged.guardrails.is_empty() && only_numbers(samples);
    for (at, guardrail) in occasion.guardrails(judged).iter().enumerate() {
        let before = kept.and_then(|progress| progress.beside.guardrails.get(at)).unwrap_or(&null);
        if silent {
            beside.guardrails.push(before.clone());
            continue;
        }
        let (state, said) = host::ask("guardrail", || guardrail.judge(&patience(before), window, samples))?;
        beside.guardrails.push(state);
        judgement = worse(judgement, said);
    }
    for (at, choice) in judged.shadow.iter().enumerate() {
        let before = kept.and_then(|progress| progress.beside.shadow.get(at));
        beside.shadow.push(ask_shadow(&occasion.choice(choice), before, window, samples, named));
    }
    Ok(Heard { judge, judgement: judgement.in_short(), beside })
}

fn ask<'a>(
    choice: &JudgeChoice,
    state: &Value,
    window: Window,
    samples: &[Sample],
    named: &dyn Fn(&Name) -> Option<&'a dyn Judge>,
) -> Result<(Value, Judgement), JudgeError> {
    let judge: &dyn Judge = match choice {
        JudgeChoice::Guardrail(guardrail) => guardrail,
        JudgeChoice::Rank(rank) => rank,
        JudgeChoice::Count(count) => count,
        JudgeChoice::Together(together) => together,
        JudgeChoice::Named(name) => named(name).ok_or_else(|| {
            let context = format!("find judge {name}: this engine has none of this name");
            SeamError::new(ErrorKind::NotFound, context)
        })?,
    };
    let (state, judgement) = host::ask("judge", || judge.judge(state, window, samples))?;
    // No data is never a pass, whatever a host's judge says.
    let passes = judgement == Judgement::Pass && samples.is_empty();
    Ok((state, if passes { Judgement::Undecided } else { judgement }))
}

fn ask_shadow<'a>(
    choice: &JudgeChoice,
    before: Option<&Shadow>,
    window: Window,
    samples: &[Sample],
    named: &dyn Fn(&Name) -> Option<&'a dyn Judge>,
) -> Shadow {
    if let Some(shadow) = before
        && matches!(shadow.judgement, Judgement::Pass | Judgement::Fail { .. })
    {
        return shadow.clone();
    }
    let kept = before.map_or(&Value::Null, |shadow| &shadow.state);
    let (state, judgement) = match ask(choice, kept, window, samples, named) {
        Ok((state, judgement)) if state.to_string().len() <= MAX_SHADOW_STATE_BYTES => (state, judgement),
        Ok(_) => {
            let why =
                format!("it keeps more than the {MAX_SHADOW_STATE_BYTES} bytes that a shadow judge may");
            (kept.clone(), Judgement::Inconclusive { why })
        }
        Err(error) => (kept.clone(), Judgement::Inconclusive { why: format!("the judge failed: {error}") }),
    };
    Shadow { judge: choice.name().to_owned(), state, judgement: judgement.in_short() }
}

/// The one of two judgements that decides: a failure, what is inconclusive, what is undecided, in this order, and a pass only where both are.
fn worse(one: Judgement, other: Judgement) -> Judgement {
    const fn rank(judgement: &Judgement) -> u8 {
        match judgement {
            Judgement::Fail { .. } => 3,
            Judgement::Inconclusive { .. } => 2,
            Judgement::Undecided => 1,
            Judgement::Pass => 0,
        }
    }
    if rank(&other) > rank(&one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcp_core::Timestamp;

    use super::*;
    use crate::{Guardrail, Limit, RankTest};

    const MINUTE: Window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::from_micros(60_000_000) };

    /// Fails in every window, or breaks, or passes in every window, or keeps too much.
    struct Hostile(u8);

    impl Judge for Hostile {
        fn judge(&self, _: &Value, _: Window, _: &[Sample]) -> Result<(Value, Judgement), JudgeError> {
            match self.0 {
                0 => Ok((Value::from(1), Judgement::Fail { why: "always".to_owned() })),
                1 => Err(SeamError::new(ErrorKind::Unavailable, "think")),
                3 => Ok((Value::Null, Judgement::Pass)),
                _ => Ok((Value::from("x".repeat(MAX_SHADOW_STATE_BYTES)), Judgement::Pass)),
            }
        }
    }

    fn judged(bake: u64) -> Judged {
        let bake = Duration::from_secs(bake * 60);
        let window = Duration::from_secs(60);
        let mut judged = Judged::by(JudgeChoice::Rank(RankTest { bake, ..RankTest::default() }), window);
        let limit = Limit::Number { name: "heap".to_owned(), max: 10.0 };
        judged.guardrails = vec![
            Guardrail { bake, ..Guardrail::default() },
            Guardrail { bake, limit, patience: Duration::from_secs(120), ..Guardrail::default() },
        ];
        judged
    }

    fn fleet(bad: u64, heap: Option<f64>) -> Vec<Sample> {
        let canary = Sample::canary("c", 1000 - bad, 1000);
        let canary = heap.into_iter().fold(canary, |canary, heap| canary.number("heap", heap));
        std::iter::once(canary)
            .chain((0..19).map(|at| Sample::baseline(format!("b{at}"), 995 + at % 5, 1000)))
            .collect()
    }

    fn progress(heard: Heard) -> Progress {
        let Heard { judge, judgement, beside } = heard;
        Progress { until: Timestamp::UNIX_EPOCH, windows: 0, judge, judgement, beside }
    }

    /// What is said window by window; each time through the text of the journal.
    fn say(judged: &Judged, windows: &[Vec<Sample>], hostile: &Hostile) -> (Vec<String>, Beside) {
        let (mut kept, mut said): (Option<Progress>, _) = (None, Vec::new());
        for samples in windows {
            let heard =
                hear(judged, Occasion::Beside, kept.as_ref(), MINUTE, samples, &|_| Some(hostile)).unwrap();
            let mut next = progress(heard);
            next.judge = serde_json::from_str(&next.judge.to_string()).unwrap();
            next.beside = serde_json::from_str(&serde_json::to_string(&next.beside).unwrap()).unwrap();
            said.push(next.judgement.to_string());
            kept = Some(next);
        }
        (said, kept.unwrap().beside)
    }

    #[test]
    fn the_first_failure_of_the_judge_or_a_guardrail_decides() {
        let last =
            |bad, heap| say(&judged(30), &vec![fleet(bad, Some(heap)); 3], &Hostile(0)).0.pop().unwrap();
        assert!(last(9, 1.0).starts_with("fail: after 3 windows the evidence"), "{}", last(9, 1.0));
        assert_eq!(last(2, 11.0), "fail: heap was 11, the 3rd window in a row above 10");
        assert_eq!(last(2, 1.0), "undecided");
    }

    #[test]
    fn it_passes_only_when_the_judge_and_every_guardrail_pass() {
        let mut slow = judged(5);
        assert_eq!(say(&slow, &vec![fleet(2, Some(1.0)); 5], &Hostile(0)).0.pop().unwrap(), "pass");
        slow.guardrails[1].bake = Duration::from_secs(8 * 60);
        let said = say(&slow, &vec![fleet(2, Some(1.0)); 8], &Hostile(0)).0;
        assert_eq!((said[6].as_str(), said[7].as_str()), ("undecided", "pass"));
        let open = [vec![fleet(2, Some(1.0)); 7], vec![fleet(2, Some(11.0))]].concat();
        assert_eq!(say(&slow, &open, &Hostile(0)).0[7], "undecided", "a row of bad windows is open");
    }

    #[test]
    fn a_guardrail_without_data_makes_it_inconclusive_and_never_a_pass() {
        let said = say(&judged(0), &vec![fleet(2, None); 9], &Hostile(0)).0;
        assert_eq!(said[0], "undecided");
        let why = "inconclusive: no window of the last 120000 ms had the number \"heap\"; 0 of 3 windows counted so far";
        assert_eq!(said[1], why);
        // To be asked again means that somebody has resumed it.
        assert_eq!((said[2].as_str(), said[3].as_str()), ("undecided", why));
        assert!(!said.contains(&"pass".to_owned()), "{said:?}");
    }

    #[test]
    fn a_judge_that_passes_without_data_is_not_believed() {
        let named = JudgeChoice::Named("host".parse().unwrap());
        let mut judged = Judged::by(named.clone(), Duration::from_secs(60));
        judged.shadow = vec![named];
        let (said, beside) = say(&judged, &[Vec::new(), Vec::new()], &Hostile(3));
        assert_eq!(
            (said, &beside.shadow[0].judgement),
            (vec!["undecided".to_owned(); 2], &Judgement::Undecided)
        );
        let (said, beside) = say(&judged, &[Vec::new(), fleet(0, None)], &Hostile(3));
        assert_eq!((said[1].as_str(), &beside.shadow[0].judgement), ("pass", &Judgement::Pass));
    }

    #[test]
    fn a_shadow_judge_is_heard_and_never_obeyed() {
        let mut shadowed = judged(5);
        shadowed.shadow =
            vec![JudgeChoice::Named("host".parse().unwrap()), JudgeChoice::Guardrail(Guardrail::default())];
        let windows = vec![fleet(2, Some(1.0)); 5];
        let plain = say(&judged(5), &windows, &Hostile(0)).0;
        for (hostile, said_of_it, state) in [
            (0, "fail: always", Value::from(1)),
            (1, "inconclusive: the judge failed: think", Value::Null),
            (2, "inconclusive: it keeps more than the 16384 bytes that a shadow judge may", Value::Null),
        ] {
            let (said, beside) = say(&shadowed, &windows, &Hostile(hostile));
            assert_eq!(said, plain);
            let [host, guardrail] = &beside.shadow[..] else { panic!("{beside:?}") };
            assert_eq!(
                (host.judge.as_str(), host.judgement.to_string().as_str(), &host.state),
                ("host", said_of_it, &state)
            );
            assert_eq!((guardrail.judge.as_str(), &guardrail.judgement), ("guardrail", &Judgement::Pass));
        }
    }
}
