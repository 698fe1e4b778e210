//! What people command.

use std::path::Path;

use mcp_core::{Artifact, ArtifactRef, Digest};
use mcp_promotion::{Actor, Engine, PromotionError, PromotionId, Release, Roles};
use serde_json::json;

use crate::Answer;
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::voters;

/// Whether `name` is a command of a person about a stage or a promotion.
pub fn is_one(name: &str) -> bool {
    matches!(
        name,
        "request"
            | "rollback"
            | "approve"
            | "reject"
            | "revoke"
            | "veto"
            | "cancel"
            | "pause"
            | "resume"
            | "retry"
            | "override"
            | "abort"
            | "acknowledge"
            | "break-glass"
            | "review"
            | "hold"
            | "lift"
            | "release-lease"
    )
}

pub async fn give(
    engine: &Engine,
    roles: Option<&Roles>,
    (name, about): (&str, &[&str]),
    arguments: &Arguments,
) -> Result<Answer, Failure> {
    let actor = actor(name, arguments)?;
    let (target, reason) =
        (about.first().copied().unwrap_or_default(), about.get(1).copied().unwrap_or_default());
    let requested = |id: PromotionId| Answer::new(id.to_string(), json!({ "promotion": id }));
    match name {
        "request" => {
            let release = release(about.get(1..).unwrap_or_default())?;
            return Ok(requested(engine.request(target, &release, actor).await?));
        }
        "rollback" => return Ok(requested(engine.rollback(target, actor).await?)),
        "hold" => engine.hold(target, actor, reason).await?,
        "lift" => engine.lift_hold(target, actor).await?,
        "release-lease" => engine.release_lease(target, actor).await?,
        _ => {
            let id = target.parse()?;
            if let Err(error) = about_promotion(engine, name, &id, actor, reason).await {
                return Err(match name {
                    "approve" | "reject" | "veto" => voters::explain(error, name, (engine, &id), roles).await,
                    _ => error.into(),
                });
            }
        }
    }
    Ok(Answer::done(format!("{name} {target}: done")))
}

async fn about_promotion(
    engine: &Engine,
    name: &str,
    id: &PromotionId,
    actor: Actor,
    reason: &str,
) -> Result<(), PromotionError> {
    match name {
        "approve" => engine.approve(id, actor).await,
        "reject" => engine.reject(id, actor).await,
        "revoke" => engine.revoke(id, actor).await,
        "veto" => engine.veto(id, actor, reason).await,
        "cancel" => engine.cancel(id, actor).await,
        "pause" => engine.pause(id, actor, reason).await,
        "resume" => engine.resume(id, actor).await,
        "override" => engine.override_with(id, actor, reason).await,
        "abort" => engine.abort(id, actor, reason).await,
        "acknowledge" => engine.acknowledge(id, actor, reason).await,
        "retry" => engine.retry(id, actor).await,
        "break-glass" => engine.break_glass(id, actor, reason).await,
        // The last of those that `is_one` knows.
        _ => engine.review(id, actor, reason).await,
    }
}

/// Who gives the command, under the request id that was given.
pub fn actor(name: &str, arguments: &Arguments) -> Result<Actor, Failure> {
    let actor = Actor::new(arguments.person(name)?)?;
    Ok(match &arguments.request_id {
        Some(id) => actor.request_id(id.as_str())?,
        None => actor,
    })
}

/// A release of artifacts as they stand on the command line.
pub fn release(texts: &[&str]) -> Result<Release, Failure> {
    let artifacts: Result<Vec<Artifact>, Failure> =
        texts.iter().map(|text| artifact(text, Path::new("."))).collect();
    Ok(Release::of(artifacts?)?)
}

/// `app@1.2.0=build/app.tar`, a file below `folder` of which the digest is computed, or `app@1.2.0=blake3:...`.
pub fn artifact(text: &str, folder: &Path) -> Result<Artifact, Failure> {
    let Some((reference, content)) = text.split_once('=') else {
        let reason = "it is not a reference, '=' and a file or digest, such as app@1.2.0=build/app.tar";
        return Err(Failure::usage(format!("read {text:?} as artifact: {reason}")));
    };
    let reference: ArtifactRef = reference.parse()?;
    if content.starts_with("blake3:") {
        return Ok(Artifact::new(reference, content.parse()?));
    }
    let path = folder.join(content);
    let bytes = std::fs::read(&path)
        .map_err(|error| Failure::usage(format!("read the artifact {}: {error}", path.display())))?;
    Ok(Artifact::new(reference, Digest::of(&bytes)))
}
