use mcp_core::{Artifact, Digest, ErrorKind, Name};

use super::{Failure, ensure};
use crate::{Context, Fence, Fencing, Kind, Observed, PromotionId, Release, Stage};

/// Checks `stage`, which is told to run releases of the artifact `conformance`, and in the end nothing. Fences begin above `above`: a target
/// that enforces them must not have been shown one as large.
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
    stage
        .apply(&Release::empty(), &context(last, "remove"))
        .await
        .map_err(Failure::call("apply the empty release"))?;
    ensure(observe(last).await? == Observed::Nothing, "after the empty release nothing runs")
}

fn refused(outcome: Result<(), crate::StageError>, what: &str) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        Err(error) => Err(Failure::call(format!("{what} as a conflict"))(error)),
        Ok(()) => Err(Failure::new(what)),
    }
}
