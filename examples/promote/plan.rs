//! Release plans: what people command and ask about them.

mod file;
mod shown;

use std::path::Path;

use mcp_promotion::{Engine, PlanId};
use serde_json::json;

use crate::Answer;
use crate::arguments::Arguments;
use crate::command;
use crate::failure::Failure;

/// `plan NAME`.
pub async fn answer(
    engine: &Engine,
    name: &str,
    about: &[&str],
    arguments: &Arguments,
) -> Result<Answer, Failure> {
    let (target, reason) =
        (about.first().copied().unwrap_or_default(), about.get(1).copied().unwrap_or_default());
    match name {
        "preview" => {
            return Ok(shown::preview(&engine.preview_plan(&file::read(Path::new(target))?).await?));
        }
        "submit" => {
            let actor = command::actor("plan submit", arguments)?;
            let id = engine.request_plan(&file::read(Path::new(target))?, actor).await?;
            return Ok(Answer::new(id.to_string(), json!({ "plan": id.to_string() })));
        }
        "show" if about.is_empty() => return shown::all(engine).await,
        _ => {}
    }
    // Also as `run` prints it, which is the name of the plan's stream.
    let id: PlanId = target.strip_prefix("plan/").unwrap_or(target).parse()?;
    match name {
        "show" => return shown::one(engine, id).await,
        "history" => return shown::history(engine, id).await,
        "wait" => {
            let state = engine.wait_plan(id).await?;
            let document = json!({ "plan": id.to_string(), "state": state });
            return Ok(Answer::new(format!("{id} is {state}"), document));
        }
        _ => {}
    }
    let actor = command::actor(&format!("plan {name}"), arguments)?;
    match name {
        "cancel" => engine.cancel_plan(id, actor).await?,
        "pause" => engine.pause_plan(id, actor, reason).await?,
        "resume" => engine.resume_plan(id, actor).await?,
        "abort" => engine.abort_plan(id, actor, reason).await?,
        _ => engine.acknowledge_plan(id, actor, reason).await?,
    }
    Ok(Answer::done(format!("plan {name} {id}: done")))
}
