//! What can be asked.

use std::fmt::{Display, Write as _};
use std::path::Path;

use mcp_core::Name;
use mcp_promotion::{
    Audit, Blocker, Checkpoint, Engine, History, Journal, Promotion, PromotionError, PromotionId, Release,
    SqliteJournal,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Answer;
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::{command, plain};

/// Answers a question, which `name` is.
pub async fn answer(
    (engine, journal): (&Engine, &SqliteJournal),
    name: &str,
    about: &[&str],
    arguments: &Arguments,
) -> Result<Answer, Failure> {
    match (name, about) {
        ("preview", [stage, artifacts @ ..]) => {
            let (release, who) = (command::release(artifacts)?, arguments.person(name)?);
            Ok(shown(&engine.preview(*stage, &release, who).await?))
        }
        ("preview rollback", [stage]) => {
            Ok(shown(&engine.preview_rollback(*stage, arguments.person(name)?).await?))
        }
        ("status", []) => all(engine).await,
        ("status", [target]) => match Target::of(engine, target)? {
            Target::Stage(name) => stage(engine, &name).await,
            Target::Promotion(id) => {
                let promotion = engine.status(&id).await?;
                Ok(Answer::new(line(&promotion), document(&promotion)))
            }
        },
        ("blockers", [id]) => blockers(engine, &id.parse()?).await,
        ("explain", [target]) => match Target::of(engine, target)? {
            Target::Stage(name) => explain(engine, name).await,
            Target::Promotion(id) => Ok(shown(&engine.explain(&id).await?)),
        },
        ("timeline", [target]) => Ok(shown(&history(engine, target).await?.timeline())),
        ("history", [target]) => Ok(shown(&history(engine, target).await?)),
        ("wait", [id]) => {
            let id: PromotionId = id.parse()?;
            let state = engine.wait(&id).await?;
            Ok(Answer::new(format!("{id} is {state}"), json!({ "promotion": id, "state": state })))
        }
        ("obligations", _) => obligations(engine).await,
        ("checkpoint", _) => {
            let checkpoint = match engine.checkpoint().await {
                Ok(checkpoint) => checkpoint,
                Err(error) => return Err(unsound(journal, error).await),
            };
            Ok(Answer::new(json!(checkpoint).to_string(), json!(checkpoint)))
        }
        _ => verify(engine, journal, arguments.against.as_deref()).await,
    }
}

/// What is said of a stage beside what it runs.
const UNSETTLED: &str =
    ", or something else: a failure was acknowledged, and nothing has succeeded since; not known what runs";

/// What the library shows to people and to programs.
fn shown(what: &(impl Display + Serialize)) -> Answer {
    Answer::new(what.to_string(), json!(what))
}

/// Why a stage runs what it runs; of one with lanes, each of them.
async fn explain(engine: &Engine, stage: Name) -> Result<Answer, Failure> {
    let lanes = engine.lanes(stage.clone()).await?;
    if lanes.is_empty() {
        return Ok(shown(&engine.explain_stage(stage).await?));
    }
    let (mut text, mut list) = (String::new(), Vec::new());
    for status in lanes {
        let explained = engine.explain_stage(status.lane.name.clone()).await?;
        let _written = write!(text, "{}: {explained}", status.lane);
        list.push(json!({ "lane": status.lane, "explained": explained }));
    }
    Ok(Answer::new(text, json!({ "stage": stage, "lanes": list })))
}

/// What a question is about.
enum Target {
    Stage(Name),
    Promotion(PromotionId),
}

impl Target {
    /// A stage of the pipeline, a promotion, or else a lane or a stage that the pipeline has no more.
    fn of(engine: &Engine, text: &str) -> Result<Self, Failure> {
        let stage: Name = text.parse()?;
        if engine.pipeline().policy(&stage).is_some() {
            return Ok(Self::Stage(stage));
        }
        Ok(text.parse().map_or(Self::Stage(stage), Self::Promotion))
    }
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
    let unsettled = state.is_unsettled();
    let doubt = if unsettled { UNSETTLED } else { "" };
    let mut text = format!("{name} runs {runs}{doubt}\n");
    if let Some(hold) = state.hold() {
        let _written = writeln!(text, "  {}", plain::line(&hold.to_string()));
    }
    let mut open = Vec::new();
    for promotion in state.open() {
        let _written = writeln!(text, "  {}", line(promotion));
        open.push(document(promotion));
    }
    let mut lanes = Vec::new();
    if engine.pipeline().policy(name).is_some_and(|policy| policy.queue.is_parallel()) {
        for status in engine.lanes(name.clone()).await? {
            let Answer { text: shown, document } = Box::pin(stage(engine, &status.lane.name)).await?;
            shown.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
            lanes.push(document);
        }
    }
    let hold = state.hold().map(|hold| json!({"by": hold.by, "reason": hold.reason, "since": hold.since}));
    let current = current.map(|deployed| {
        let id = PromotionId::new(name.clone(), deployed.promotion);
        json!({ "promotion": id, "release": deployed.release, "digest": deployed.release.digest() })
    });
    let mut document =
        json!({ "stage": name, "current": current, "unsettled": unsettled, "hold": hold, "open": open });
    if let (false, Some(fields)) = (lanes.is_empty(), document.as_object_mut()) {
        fields.insert("lanes".to_owned(), lanes.into());
    }
    Ok(Answer::new(text, document))
}

fn artifacts(release: &Release) -> String {
    let all: Vec<String> =
        release.artifacts().iter().map(|artifact| artifact.reference.to_string()).collect();
    all.join(", ")
}

fn line(promotion: &Promotion) -> String {
    let Promotion { id, release, state, since, reason, .. } = promotion;
    let why = if reason.is_empty() { String::new() } else { format!(": {}", plain::line(reason)) };
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
    let text: Vec<String> = blockers.iter().map(|blocker| plain::line(&blocker.to_string())).collect();
    let text = if text.is_empty() {
        format!("nothing keeps {id} from going on, or it has ended")
    } else {
        text.join("\n")
    };
    Ok(Answer::new(text, blocked(id, &blockers)))
}

/// What blocks a promotion, for programs.
pub fn blocked(id: &PromotionId, blockers: &[Blocker]) -> Value {
    let shown = |blocker: &Blocker| {
        json!({
            "blocker": blocker,
            "text": blocker.to_string(),
            "lifted_by": blocker.lifted_by(),
            "until": blocker.until(),
        })
    };
    let list: Vec<Value> = blockers.iter().map(shown).collect();
    json!({ "promotion": id, "blockers": list })
}

async fn history(engine: &Engine, target: &str) -> Result<History, Failure> {
    Ok(match Target::of(engine, target)? {
        Target::Stage(stage) => engine.timeline(stage).await?,
        Target::Promotion(id) => engine.history(&id).await?,
    })
}

async fn obligations(engine: &Engine) -> Result<Answer, Failure> {
    let open = engine.obligations().await?;
    let shown = |owed: &mcp_promotion::Obligation| {
        format!(
            "{}: {} broke the glass ({}); to be reviewed until {}",
            owed.promotion,
            owed.by,
            plain::line(&owed.reason),
            owed.due
        )
    };
    let text: Vec<String> = open.iter().map(shown).collect();
    let text = if text.is_empty() { "nothing is to be reviewed".to_owned() } else { text.join("\n") };
    Ok(Answer::new(text, json!({ "obligations": open })))
}

/// Why the journal is not sound, with every cause that it names itself; that it should be verified is what was just done.
async fn unsound(journal: &SqliteJournal, error: PromotionError) -> Failure {
    let PromotionError::Corrupt { stream, position, reason } = &error else { return error.into() };
    let mut why = reason.clone();
    let read = journal.read(stream, position.saturating_sub(1), 1).await;
    let mut cause = read.as_ref().err().map(|error| error as &dyn std::error::Error);
    while let Some(error) = cause {
        let told = error.to_string();
        if !why.contains(&told) {
            why = format!("{why}: {told}");
        }
        cause = error.source();
    }
    let position = format!("event {position} of stream {stream}");
    Failure::damaged(format!(
        "verify the journal: read {position}: {why}; restore it from a copy that is sound"
    ))
}

async fn verify(engine: &Engine, journal: &SqliteJournal, against: Option<&Path>) -> Result<Answer, Failure> {
    let audit = match against {
        None => engine.verify().await,
        Some(path) => {
            let wrong =
                |why: String| Failure::usage(format!("read the checkpoint {}: {why}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            let checkpoint: Checkpoint =
                serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
            engine.verify_against(&checkpoint).await
        }
    };
    let Audit { heads, .. } = match audit {
        Ok(audit) => audit,
        Err(error) => return Err(unsound(journal, error).await),
    };
    let text: Vec<String> = heads
        .iter()
        .map(|head| format!("{}: {} events, sound, {}", head.stream, head.version, head.digest))
        .collect();
    Ok(Answer::new(text.join("\n"), json!({ "sound": true, "heads": heads })))
}
