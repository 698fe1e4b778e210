use mcp_core::ErrorKind;

use super::probe::{Probe, refused};
use super::{Failure, ensure, late};
use crate::{Fencing, Observed, Reach, Release, Stage};

/// Checks `stage`, which is told to run releases of the artifact `conformance`, and in the end nothing. Fences begin above `above`, and
/// there are eight: a target that enforces them must not have been shown one as large.
///
/// A stage without canaries passes when it refuses [`Reach::Canary`] with `Unsupported` and changes nothing, or changes everything and
/// `observe` says so; one that has a canary must leave everything else as it was, until the release is applied everywhere. A stage that
/// cannot be sampled in this moment has no data, and passes.
///
/// # Errors
/// What does not hold.
pub async fn stage(stage: &dyn Stage, above: u64) -> Result<(), Failure> {
    check(&Probe::new(stage, above, None)?).await
}

/// The same, where the host counts the effects of its calls: processes begun, requests sent, files written. It is enough that `effects` grows
/// with each of them.
///
/// # Errors
/// What does not hold, also where a call that must change nothing is made to have an effect that `observe` does not show.
pub async fn stage_with_effects(
    stage: &dyn Stage,
    above: u64,
    effects: &(dyn Fn() -> u64 + Sync),
) -> Result<(), Failure> {
    check(&Probe::new(stage, above, Some(effects))?).await
}

async fn check(probe: &Probe<'_>) -> Result<(), Failure> {
    let last = again(probe).await?;
    late::keys(probe, last).await?;
    let last = canary(probe, last).await?;
    let last = late::fences(probe, last).await?;
    late::samples(probe, last).await?;
    late::removal(probe, last).await
}

fn runs(release: &Release) -> Observed {
    Observed::Running(release.digest())
}

/// One driver, and then a newer one.
async fn again(probe: &Probe<'_>) -> Result<u64, Failure> {
    let (one, two) = (probe.release("1.0.0")?, probe.release("2.0.0")?);
    let (stage, observe, context) =
        (probe.stage, |step| probe.observe(step), |step, key| probe.context(step, key));
    observe(1).await?;
    let begin = probe.effects();
    probe.apply(&one, &context(1, "one"), "apply a release").await?;
    ensure(observe(1).await? == runs(&one), "once a release was applied, it is observed")?;
    let before = probe.effects();
    ensure(begin.is_none() || begin != before, "applying a release has an effect that is counted")?;
    probe.apply(&one, &context(1, "one"), "apply with the same key again").await?;
    let nothing = "applying with the same key again changes nothing";
    ensure(observe(1).await? == runs(&one), nothing)?;
    probe.no_effect_since(before, nothing)?;
    probe.apply(&two, &context(1, "two"), "apply another release").await?;
    ensure(observe(1).await? == runs(&two), "another release takes the place of the first")?;
    probe.apply(&one, &context(1, "back"), "apply the first release again").await?;
    ensure(observe(1).await? == runs(&one), "under another key the first release comes back")?;
    if stage.fencing() == Fencing::Unfenced {
        return Ok(1);
    }
    ensure(observe(3).await? == runs(&one), "a larger fence changes nothing by itself")?;
    for step in [1, 2] {
        let late = stage.apply(&two, &context(step, "late")).await;
        refused(late, "observe was called with a larger fence, so apply with a smaller one is refused")?;
        ensure(observe(3).await? == runs(&one), "a refused call changes nothing")?;
        let late = stage.observe(probe.fence(step)).await.map(drop);
        refused(late, "observe with a smaller fence is refused")?;
    }
    probe.apply(&two, &context(3, "new"), "apply with the largest fence").await?;
    ensure(observe(3).await? == runs(&two), "the driver with the largest fence goes on")?;
    Ok(3)
}

/// A canary, or the refusal of one. The last fence that was used.
async fn canary(probe: &Probe<'_>, mut last: u64) -> Result<u64, Failure> {
    let (one, two) = (probe.release("1.0.0")?, probe.release("2.0.0")?);
    let (stage, observe, context) =
        (probe.stage, |step| probe.observe(step), |step, key| probe.context(step, key));
    probe.apply(&one, &context(last, "before the canary"), "apply a release everywhere").await?;
    let canary = context(last, "canary").reaching(Reach::Canary);
    match stage.apply(&two, &canary).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            ensure(observe(last).await? == runs(&one), "a canary that is refused changes nothing")?;
        }
        Err(error) => {
            return Err(Failure::call("a release is applied in the canary only, or that is unsupported")(
                error,
            ));
        }
        // It has none, and says so.
        Ok(()) if observe(last).await? == runs(&two) => {}
        Ok(()) => {
            let mixed = |canary: &Release, rest: &Release| Observed::Canary {
                canary: canary.digest(),
                rest: Some(rest.digest()),
            };
            let only = "a release applied in the canary only is observed there, and the one before elsewhere";
            ensure(observe(last).await? == mixed(&two, &one), only)?;
            probe.apply(&two, &canary, "apply in the canary with the same key again").await?;
            ensure(observe(last).await? == mixed(&two, &one), "the same key again changes nothing")?;
            probe.apply(&two, &context(last, "all"), "apply everywhere what the canary runs").await?;
            ensure(observe(last).await? == runs(&two), "after its canary a release reaches everything")?;
            let canary = context(last, "another canary").reaching(Reach::Canary);
            probe.apply(&one, &canary, "apply another release in the canary").await?;
            ensure(observe(last).await? == mixed(&one, &two), only)?;
            if stage.fencing() == Fencing::Enforced {
                ensure(observe(4).await? == mixed(&one, &two), "a larger fence leaves the canary alone")?;
                let late = stage.apply(&one, &context(last, "late")).await;
                refused(late, "a driver that was replaced is refused to widen its canary")?;
                ensure(observe(4).await? == mixed(&one, &two), "a refused call changes nothing")?;
                last = 4;
            }
            probe.apply(&two, &context(last, "go back"), "go back").await?;
            ensure(observe(last).await? == runs(&two), "going back reaches the canary too")?;
        }
    }
    Ok(last)
}
