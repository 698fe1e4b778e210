use mcp_core::{Artifact, Digest, ErrorKind, Name};

use super::{Failure, ensure};
use crate::{Context, Fence, Fencing, Kind, Observed, PromotionId, Reach, Release, Stage};

/// Checks `stage`, which is told to run releases of the artifact `conformance`, and in the end nothing. Fences begin above `above`, and
/// there are four: a target that enforces them must not have been shown one as large.
///
/// A stage without canaries passes when it refuses [`Reach::Canary`] with `Unsupported` and changes nothing, or changes everything and
/// `observe` says so; one that has a canary must leave everything else as it was, until the release is applied everywhere.
///
/// # Errors
/// What does not hold.
pub async fn stage(stage: &dyn Stage, above: u64) -> Result<(), Failure> {
    let name: Name = "conformance".parse().map_err(|_| Failure::new("a name"))?;
    let release = |version: &str| -> Result<Release, Failure> {
        let reference = format!("{name}@{version}").parse().map_err(|_| Failure::new("a reference"))?;
        let artifact = Artifact::new(reference, Digest::of(version.as_bytes()));
        Release::of([artifact]).map_err(|error| Failure::new(error.to_string()))
    };
    let (one, two) = (release("1.0.0")?, release("2.0.0")?);
    let fence = |step: u64| Fence(above.saturating_add(step));
    let context = |step: u64, key: &str| {
        let promotion = PromotionId::new(name.clone(), 1);
        Context::new(fence(step), format!("conformance/{above}/{key}"), promotion, Kind::Deploy, None)
    };
    let observe = |step: u64| async move {
        stage.observe(fence(step)).await.map_err(Failure::call(format!("observe with fence {}", fence(step))))
    };

    observe(1).await?;
    stage.apply(&one, &context(1, "one")).await.map_err(Failure::call("apply a release"))?;
    let runs = |release: &Release| Observed::Running(release.digest());
    ensure(observe(1).await? == runs(&one), "once a release was applied, it is observed")?;
    stage.apply(&one, &context(1, "one")).await.map_err(Failure::call("apply with the same key again"))?;
    ensure(observe(1).await? == runs(&one), "applying with the same key again changes nothing")?;
    stage.apply(&two, &context(1, "two")).await.map_err(Failure::call("apply another release"))?;
    ensure(observe(1).await? == runs(&two), "another release takes the place of the first")?;
    stage.apply(&one, &context(1, "back")).await.map_err(Failure::call("apply the first release again"))?;
    ensure(observe(1).await? == runs(&one), "under another key the first release comes back")?;

    let mut last = 1;
    if stage.fencing() == Fencing::Enforced {
        ensure(observe(3).await? == runs(&one), "a larger fence changes nothing by itself")?;
        for step in [1, 2] {
            let late = stage.apply(&two, &context(step, "late")).await;
            refused(late, "observe was called with a larger fence, so apply with a smaller one is refused")?;
            ensure(observe(3).await? == runs(&one), "a refused call changes nothing")?;
            refused(stage.observe(fence(step)).await.map(drop), "observe with a smaller fence is refused")?;
        }
        stage.apply(&two, &context(3, "new")).await.map_err(Failure::call("apply with the largest fence"))?;
        ensure(observe(3).await? == runs(&two), "the driver with the largest fence goes on")?;
        last = 3;
    }

    apply(stage, &one, &context(last, "before the canary"), "apply a release everywhere").await?;
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
            apply(stage, &two, &canary, "apply in the canary with the same key again").await?;
            ensure(observe(last).await? == mixed(&two, &one), "the same key again changes nothing")?;
            apply(stage, &two, &context(last, "all"), "apply everywhere what the canary runs").await?;
            ensure(observe(last).await? == runs(&two), "after its canary a release reaches everything")?;
            let canary = context(last, "another canary").reaching(Reach::Canary);
            apply(stage, &one, &canary, "apply another release in the canary").await?;
            ensure(observe(last).await? == mixed(&one, &two), only)?;
            if stage.fencing() == Fencing::Enforced {
                ensure(observe(4).await? == mixed(&one, &two), "a larger fence leaves the canary alone")?;
                let late = stage.apply(&one, &context(last, "late")).await;
                refused(late, "a driver that was replaced is refused to widen its canary")?;
                ensure(observe(4).await? == mixed(&one, &two), "a refused call changes nothing")?;
                last = 4;
            }
            apply(stage, &two, &context(last, "go back"), "go back").await?;
            ensure(observe(last).await? == runs(&two), "going back reaches the canary too")?;
        }
    }

    stage
        .apply(&Release::empty(), &context(last, "remove"))
        .await
        .map_err(Failure::call("apply the empty release"))?;
    ensure(observe(last).await? == Observed::Nothing, "after the empty release nothing runs")
}

async fn apply(stage: &dyn Stage, release: &Release, context: &Context, what: &str) -> Result<(), Failure> {
    stage.apply(release, context).await.map_err(Failure::call(what))
}

fn refused(outcome: Result<(), crate::StageError>, what: &str) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        Err(error) => Err(Failure::call(format!("{what} as a conflict"))(error)),
        Ok(()) => Err(Failure::new(what)),
    }
}
