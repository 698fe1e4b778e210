//! What people command.

use std::path::Path;

use mcp_core::{Artifact, ArtifactRef, Digest};
use mcp_promotion::{Actor, Engine, PromotionId, Release};
use serde_json::json;

use crate::Answer;
use crate::arguments::Arguments;
use crate::failure::Failure;

/// Whether `name` is a command about this many things.
pub fn is_one(name: &str, about: usize) -> bool {
    match name {
        "request" => about >= 2,
        "approve" | "reject" | "revoke" | "cancel" | "resume" | "retry" | "rollback" | "lift"
        | "release-lease" => about == 1,
        "veto" | "pause" | "abort" | "override" | "acknowledge" | "break-glass" | "review" | "hold" => {
            about == 2
        }
        _ => false,
    }
}

pub async fn give(
    engine: &Engine,
    name: &str,
    about: &[&str],
    arguments: &Arguments,
) -> Result<Answer, Failure> {
    let Some(who) = arguments.who.as_deref() else {
        return Err(Failure::usage(format!("{name} needs --as PERSON")));
    };
    let mut actor = Actor::new(who)?;
    if let Some(id) = &arguments.request_id {
        actor = actor.request_id(id.as_str())?;
    }
    let (target, reason) =
        (about.first().copied().unwrap_or_default(), about.get(1).copied().unwrap_or_default());
    let requested = |id: PromotionId| Answer::new(id.to_string(), json!({ "promotion": id }));
    match name {
        "request" => {
            let artifacts: Result<Vec<Artifact>, Failure> =
                about.iter().skip(1).map(|text| artifact(text)).collect();
            let release = Release::of(artifacts?)?;
            return Ok(requested(engine.request(target, &release, actor).await?));
        }
        "rollback" => return Ok(requested(engine.rollback(target, actor).await?)),
        "hold" => engine.hold(target, actor, reason).await?,
        "lift" => engine.lift_hold(target, actor).await?,
        "release-lease" => engine.release_lease(target, actor).await?,
        _ => about_promotion(engine, name, &target.parse()?, actor, reason).await?,
    }
    Ok(Answer::done(format!("{name} {target}: done")))
}

async fn about_promotion(
    engine: &Engine,
    name: &str,
    id: &PromotionId,
    actor: Actor,
    reason: &str,
) -> Result<(), Failure> {
    match name {
        "approve" => engine.approve(id, actor).await?,
        "reject" => engine.reject(id, actor).await?,
        "revoke" => engine.revoke(id, actor).await?,
        "veto" => engine.veto(id, actor, reason).await?,
        "cancel" => engine.cancel(id, actor).await?,
        "pause" => engine.pause(id, actor, reason).await?,
        "resume" => engine.resume(id, actor).await?,
        "override" => engine.override_with(id, actor, reason).await?,
        "abort" => engine.abort(id, actor, reason).await?,
        "acknowledge" => engine.acknowledge(id, actor, reason).await?,
        "retry" => engine.retry(id, actor).await?,
        "break-glass" => engine.break_glass(id, actor, reason).await?,
        "review" => engine.review(id, actor, reason).await?,
        other => return Err(Failure::usage(format!("no such command: {other}; see --help"))),
    }
    Ok(())
}

/// `app@1.2.0=build/app.tar`, of which the digest is computed, or `app@1.2.0=blake3:...`.
fn artifact(text: &str) -> Result<Artifact, Failure> {
    let Some((reference, content)) = text.split_once('=') else {
        let reason = "it is not a reference, '=' and a file or digest, such as app@1.2.0=build/app.tar";
        return Err(Failure::usage(format!("read {text:?} as artifact: {reason}")));
    };
    let reference: ArtifactRef = reference.parse()?;
    if content.starts_with("blake3:") {
        return Ok(Artifact::new(reference, content.parse()?));
    }
    let bytes = std::fs::read(Path::new(content))
        .map_err(|error| Failure::usage(format!("read the artifact {content}: {error}")))?;
    Ok(Artifact::new(reference, Digest::of(&bytes)))
}
