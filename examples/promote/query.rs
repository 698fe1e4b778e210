//! What can be asked.

use std::fmt::Write as _;
use std::path::Path;

use mcp_core::Name;
use mcp_promotion::{Audit, Blocker, Checkpoint, Engine, History, Promotion, PromotionId, Release};
use serde_json::{Value, json};

use crate::Answer;
use crate::failure::Failure;
use crate::file::PipelineFile;

/// Whether `name` is a question about this many things.
pub fn is_one(name: &str, about: usize) -> bool {
    match name {
        "status" => about <= 1,
        "blockers" | "history" | "wait" => about == 1,
        "obligations" | "checkpoint" | "verify" => about == 0,
        _ => false,
    }
}

pub async fn answer(
    engine: &Engine,
    name: &str,
    about: &[&str],
    against: Option<&Path>,
) -> Result<Answer, Failure> {
    match (name, about) {
        ("status", []) => all(engine).await,
        ("status", [target]) => match engine.pipeline().policy(&target.parse()?) {
            Some(_) => stage(engine, &target.parse()?).await,
            None => {
                let promotion = engine.status(&target.parse()?).await?;
                Ok(Answer::new(line(&promotion), document(&promotion)))
            }
        },
        ("blockers", [id]) => blockers(engine, &id.parse()?).await,
        ("history", [target]) => history(engine, target).await,
        ("wait", [id]) => {
            let id: PromotionId = id.parse()?;
            let state = engine.wait(&id).await?;
            Ok(Answer::new(format!("{id} is {state}"), json!({ "promotion": id, "state": state })))
        }
        ("obligations", _) => obligations(engine).await,
        ("checkpoint", _) => {
            let checkpoint = engine.checkpoint().await?;
            Ok(Answer::new(json!(checkpoint).to_string(), json!(checkpoint)))
        }
        _ => verify(engine, against).await,
    }
}

/// `pipeline check`: reads the file, and shows what it says.
pub fn check(path: &Path) -> Result<Answer, Failure> {
    let file = PipelineFile::read(path)?;
    let mut text = String::new();
    let mut stages = Vec::new();
    for (name, policy) in file.pipeline.stages() {
        let after: Vec<&str> = policy.after.iter().map(Name::as_str).collect();
        let (after, approvals) = (after.join(", "), policy.approvals);
        // Writing to a string cannot fail.
        let _written = writeln!(
            text,
            "{name}{}{}",
            if after.is_empty() { String::new() } else { format!(" after {after}") },
            if approvals == 0 { String::new() } else { format!(", {approvals} approvals") }
        );
        stages.push(json!({ "stage": name, "policy": **policy }));
    }
    Ok(Answer::new(text, json!({ "stages": stages })))
}

async fn all(engine: &Engine) -> Result<Answer, Failure> {
    let (mut text, mut stages) = (String::new(), Vec::new());
    for (name, _) in engine.pipeline().stages() {
        let Answer { text: shown, document } = stage(engine, name).await?;
        text.push_str(&shown);
        stages.push(document);
    }
    Ok(Answer::new(text, json!({ "stages": stages })))
}

async fn stage(engine: &Engine, name: &Name) -> Result<Answer, Failure> {
    let state = engine.stage_state(name.clone()).await?;
    let current = state.current();
    let runs = current.map_or_else(|| "nothing".to_owned(), |deployed| artifacts(&deployed.release));
    let mut text = format!("{name} runs {runs}\n");
    if let Some(hold) = state.hold() {
        let _written = writeln!(text, "  {hold}");
    }
    let mut open = Vec::new();
    for promotion in state.open() {
        let _written = writeln!(text, "  {}", line(promotion));
        open.push(document(promotion));
    }
    let hold = state.hold().map(|hold| json!({"by": hold.by, "reason": hold.reason, "since": hold.since}));
    let current = current.map(|deployed| {
        let id = PromotionId::new(name.clone(), deployed.promotion);
        json!({ "promotion": id, "release": deployed.release, "digest": deployed.release.digest() })
    });
    Ok(Answer::new(text, json!({ "stage": name, "current": current, "hold": hold, "open": open })))
}

fn artifacts(release: &Release) -> String {
    let all: Vec<String> =
        release.artifacts().iter().map(|artifact| artifact.reference.to_string()).collect();
    all.join(", ")
}

fn line(promotion: &Promotion) -> String {
    let Promotion { id, release, state, since, reason, .. } = promotion;
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("{id} {} is {state} since {since}{why}", artifacts(release))
}

fn document(promotion: &Promotion) -> Value {
    json!({
        "promotion": promotion.id,
        "kind": promotion.kind,
        "release": promotion.release,
        "digest": promotion.release.digest(),
        "requester": promotion.requester,
        "requested_at": promotion.requested_at,
        "state": promotion.state,
        "since": promotion.since,
        "reason": promotion.reason,
        "failures": promotion.failures,
    })
}

async fn blockers(engine: &Engine, id: &PromotionId) -> Result<Answer, Failure> {
    let blockers = engine.blockers(id).await?;
    let text: Vec<String> = blockers.iter().map(ToString::to_string).collect();
    let shown = |blocker: &Blocker| {
        json!({
            "blocker": blocker,
            "text": blocker.to_string(),
            "lifted_by": blocker.lifted_by(),
            "until": blocker.until(),
        })
    };
    let list: Vec<Value> = blockers.iter().map(shown).collect();
    Ok(Answer::new(text.join("\n"), json!({ "promotion": id, "blockers": list })))
}

async fn history(engine: &Engine, target: &str) -> Result<Answer, Failure> {
    let stage: Name = target.parse()?;
    let history: History = match engine.pipeline().policy(&stage) {
        Some(_) => engine.timeline(stage).await?,
        None => engine.history(&target.parse()?).await?,
    };
    Ok(Answer::new(history.to_string(), json!(history)))
}

async fn obligations(engine: &Engine) -> Result<Answer, Failure> {
    let open = engine.obligations().await?;
    let shown = |owed: &mcp_promotion::Obligation| {
        format!(
            "{}: {} broke the glass ({}); to be reviewed until {}",
            owed.promotion, owed.by, owed.reason, owed.due
        )
    };
    let text: Vec<String> = open.iter().map(shown).collect();
    Ok(Answer::new(text.join("\n"), json!({ "obligations": open })))
}

async fn verify(engine: &Engine, against: Option<&Path>) -> Result<Answer, Failure> {
    let Audit { heads, .. } = match against {
        None => engine.verify().await?,
        Some(path) => {
            let wrong =
                |why: String| Failure::usage(format!("read the checkpoint {}: {why}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            let checkpoint: Checkpoint =
                serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
            engine.verify_against(&checkpoint).await?
        }
    };
    let text: Vec<String> = heads
        .iter()
        .map(|head| format!("{}: {} events, sound, {}", head.stream, head.version, head.digest))
        .collect();
    Ok(Answer::new(text.join("\n"), json!({ "sound": true, "heads": heads })))
}
