use mcp_core::{ErrorKind, Timestamp};

use super::probe::{Probe, refused};
use super::{Failure, ensure};
use crate::{Counts, Fencing, Observed, Reach, Release, Window};

/// A call that was delivered twice, the second time after another change had taken its place.
pub(super) async fn keys(probe: &Probe<'_>, last: u64) -> Result<(), Failure> {
    let (one, two) = (probe.release("1.0.0")?, probe.release("2.0.0")?);
    probe.apply(&one, &probe.context(last, "late one"), "apply a release").await?;
    probe.apply(&two, &probe.context(last, "late two"), "apply another release").await?;
    let before = probe.effects();
    match probe.stage.apply(&one, &probe.context(last, "late one")).await {
        Err(error) if error.kind() != ErrorKind::Conflict => {
            return Err(Failure::call("a key that was used before succeeds, or is a conflict")(error));
        }
        Ok(()) | Err(_) => {}
    }
    let nothing = "a key that was used before another one took its place brings nothing back";
    ensure(probe.observe(last).await? == Observed::Running(two.digest()), nothing)?;
    probe.no_effect_since(before, nothing)
}

/// Drivers that were replaced, whatever they call; for a target that enforces fences. The last fence that was used.
pub(super) async fn fences(probe: &Probe<'_>, last: u64) -> Result<u64, Failure> {
    if probe.stage.fencing() == Fencing::Unfenced {
        return Ok(last);
    }
    let (one, two) = (probe.release("1.0.0")?, probe.release("2.0.0")?);
    let (old, new) = (last, last.saturating_add(1));
    probe.apply(&one, &probe.context(old, "before"), "apply a release").await?;
    ensure(probe.observe(new).await? == Observed::Running(one.digest()), "a larger fence changes nothing")?;
    let before = probe.effects();
    let used = probe.context(old, "before");
    let canary = probe.context(old, "old canary").reaching(Reach::Canary);
    for (release, context, what) in [
        (&two, probe.context(old, "old"), "a driver that was replaced is refused to apply a release"),
        (
            &Release::empty(),
            probe.context(old, "old removal"),
            "a driver that was replaced is refused to remove",
        ),
        (&two, canary, "a driver that was replaced is refused to reach a canary"),
        (&one, used, "a driver that was replaced is refused also with a key that was used before"),
    ] {
        match probe.stage.apply(release, &context).await {
            // It has no canaries, whoever asks.
            Err(error) if error.kind() == ErrorKind::Unsupported && context.reach == Reach::Canary => {}
            outcome => refused(outcome, what)?,
        }
        ensure(
            probe.observe(new).await? == Observed::Running(one.digest()),
            "a refused call changes nothing",
        )?;
    }
    let late = probe.stage.observe(probe.fence(old)).await.map(drop);
    refused(late, "a driver that was replaced is refused to observe")?;
    probe.no_effect_since(before, "a refused call has no effect")?;

    // Many at once, beside the one that may.
    let stale = (0..16).map(|at| {
        let (release, context) =
            (if at % 2 == 0 { &one } else { &two }, probe.context(old, &format!("stale {at}")));
        async move { probe.stage.apply(release, &context).await }
    });
    let fresh = probe.context(new, "fresh");
    let (stale, fresh) = futures::join!(futures::future::join_all(stale), probe.stage.apply(&two, &fresh));
    fresh.map_err(Failure::call("apply with the largest fence beside drivers that were replaced"))?;
    for outcome in stale {
        refused(outcome, "drivers that were replaced are refused also when they call at once")?;
    }
    let alone = "beside drivers that were replaced, the one with the largest fence gets what it asked for";
    ensure(probe.observe(new).await? == Observed::Running(two.digest()), alone)?;

    // A call under way while the next driver comes.
    let (next, under_way) = (new.saturating_add(1), probe.context(new, "under way"));
    let (outcome, seen) = futures::join!(probe.stage.apply(&one, &under_way), probe.observe(next));
    let seen = seen?;
    if let Err(error) = outcome
        && error.kind() != ErrorKind::Conflict
    {
        return Err(Failure::call("a call during which another driver comes succeeds, or is a conflict")(
            error,
        ));
    }
    let stays =
        "what was observed with a new fence is not changed by a call that was under way with an older one";
    ensure(probe.observe(next).await? == seen, stays)?;
    Ok(next)
}

/// To run nothing, also where nothing runs.
pub(super) async fn removal(probe: &Probe<'_>, last: u64) -> Result<(), Failure> {
    let (nothing, one) = (Release::empty(), probe.release("1.0.0")?);
    probe.apply(&one, &probe.context(last, "to remove"), "apply a release").await?;
    for (key, what) in [
        ("remove", "apply the empty release"),
        ("remove", "apply the empty release with the same key again"),
        ("remove again", "apply the empty release where nothing runs"),
    ] {
        probe.apply(&nothing, &probe.context(last, key), what).await?;
        ensure(probe.observe(last).await? == Observed::Nothing, "after the empty release nothing runs")?;
    }
    probe.apply(&one, &probe.context(last, "anew"), "apply a release where nothing runs").await?;
    let runs = "a release can be applied where nothing runs";
    ensure(probe.observe(last).await? == Observed::Running(one.digest()), runs)?;
    probe.apply(&nothing, &probe.context(last, "end"), "apply the empty release").await?;
    ensure(probe.observe(last).await? == Observed::Nothing, "after the empty release nothing runs")
}

/// What it counts can be believed, and counting changes nothing; that there is no data is no flaw.
pub(super) async fn samples(probe: &Probe<'_>, last: u64) -> Result<(), Failure> {
    let one = probe.release("1.0.0")?;
    probe.apply(&one, &probe.context(last, "sampled"), "apply a release").await?;
    let before = probe.effects();
    let window = Window { from: Timestamp::UNIX_EPOCH, to: Timestamp::from_micros(60_000_000) };
    if let Ok(samples) = probe.stage.sample(window).await {
        Counts::of(&samples).map_err(|why| Failure::new(format!("samples can be believed: {why}")))?;
        let mut instances = std::collections::BTreeSet::new();
        let once = samples.iter().all(|sample| instances.insert((sample.arm, sample.instance.as_str())));
        ensure(once, "each instance is sampled once")?;
    }
    ensure(probe.observe(last).await? == Observed::Running(one.digest()), "sampling changes nothing")?;
    probe.no_effect_since(before, "neither sampling nor observing has an effect")
}
