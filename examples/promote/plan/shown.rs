//! Plans, as people and programs see them.

use std::fmt::Write as _;

use mcp_core::Name;
use mcp_promotion::{Engine, Part, PartState, Plan, PlanId, PlanPreview, PlanStatus, PromotionId, Release};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::{Answer, plain, query};

/// What a plan would do.
pub fn preview(preview: &PlanPreview) -> Answer {
    let PlanPreview { plan, edges, base, .. } = preview;
    let mut text = String::new();
    for (place, wave) in plan.waves().iter().enumerate() {
        let groups: Vec<String> = wave.iter().map(|group| joined(group, " together with ")).collect();
        // Writing to a string cannot fail.
        let _written = writeln!(text, "wave {}: {}", place + 1, groups.join(", "));
    }
    for edge in edges {
        let _written = writeln!(text, "  {edge}");
    }
    let back: Vec<String> =
        plan.rollback().waves().iter().flatten().map(|group| joined(group, ", ")).collect();
    let _written = writeln!(text, "if a part fails: {}", back.join(", then "));
    let base: Map<String, Value> =
        base.iter().map(|(stage, release)| (stage.to_string(), json!(release))).collect();
    let (waves, back) = (plan.waves(), plan.rollback());
    Answer::new(text, json!({ "waves": waves, "edges": edges, "base": base, "rollback": back.waves() }))
}

fn joined(names: &[Name], with: &str) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(with)
}

/// Every plan of the journal, a line each.
pub async fn all(engine: &Engine) -> Result<Answer, Failure> {
    let mut plans = Vec::new();
    for id in engine.plans().await? {
        plans.push(engine.plan_status(id).await?);
    }
    plans.sort_by_key(|plan| (plan.requested_at, plan.id));
    let text: Vec<String> = plans.iter().map(head).collect();
    let list: Vec<Value> = plans.iter().map(document).collect();
    let text = if text.is_empty() { "no plans".to_owned() } else { text.join("\n") };
    Ok(Answer::new(text, json!({ "plans": list })))
}

/// One plan: how far each stage is, and what blocks it.
pub async fn one(engine: &Engine, id: PlanId) -> Result<Answer, Failure> {
    let (plan, blocked) = (engine.plan_status(id).await?, engine.plan_blockers(id).await?);
    let mut text = format!("{}\n", head(&plan));
    let wide = plan.parts.keys().map(|stage| stage.as_str().len()).max().unwrap_or_default();
    for (place, wave) in plan.plan.waves().iter().enumerate() {
        let _written = writeln!(text, "  wave {}", place + 1);
        for stage in wave.iter().flatten() {
            if let Some(part) = plan.parts.get(stage) {
                let _written = writeln!(text, "    {:<wide$} {}", stage.as_str(), line(stage, part));
            }
        }
    }
    for (promotion, blockers) in &blocked {
        for blocker in blockers {
            let _written = writeln!(text, "  {promotion} is blocked: {}", plain::line(&blocker.to_string()));
        }
    }
    if let Some(by) = plan.lifted_by() {
        let _written = writeln!(text, "  goes on with {by}");
    }
    let mut document = document(&plan);
    let list: Vec<Value> = blocked.iter().map(|(id, blockers)| query::blocked(id, blockers)).collect();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("blocked".to_owned(), list.into());
    }
    Ok(Answer::new(text, document))
}

/// What happened to a plan, event by event.
pub async fn history(engine: &Engine, id: PlanId) -> Result<Answer, Failure> {
    let entries = engine.plan_history(id).await?;
    let text: Vec<String> = entries
        .iter()
        .map(|entry| format!("{} {}", entry.at, plain::line(&entry.what.to_string())))
        .collect();
    Ok(Answer::new(text.join("\n"), json!({ "plan": id.to_string(), "entries": entries })))
}

fn head(plan: &PlanStatus) -> String {
    let PlanStatus { id, requester, requested_at, state, reason, parts, .. } = plan;
    let why = if reason.is_empty() { String::new() } else { format!(": {}", plain::line(reason)) };
    let stages = parts.len();
    let done = plan.done.len();
    format!("{id} of {requester} at {requested_at}, {done} of {stages} stages done, is {state}{why}")
}

fn line(stage: &Name, part: &Part) -> String {
    let from = part.base.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let promotion = part.promotion.map(|number| format!(" ({})", PromotionId::new(stage.clone(), number)));
    format!("{from} -> {}: {}{}", part.release, word(part.state), promotion.unwrap_or_default())
}

/// How far a part is, as in JSON.
const fn word(state: PartState) -> &'static str {
    match state {
        PartState::Waiting => "waiting",
        PartState::Asked => "asked",
        PartState::Done => "done",
        PartState::Reversing => "reversing",
        PartState::Back => "back",
        PartState::Astray => "astray",
        _ => "unknown",
    }
}

fn document(plan: &PlanStatus) -> Value {
    let part = |(stage, part): (&Name, &Part)| {
        let promotion = part.promotion.map(|number| PromotionId::new(stage.clone(), number));
        let (release, base) = (digest(&part.release), part.base.as_ref().map(digest));
        let shown = json!({
            "state": word(part.state),
            "release": part.release,
            "digest": release,
            "base": part.base,
            "base_digest": base,
            "promotion": promotion,
        });
        (stage.to_string(), shown)
    };
    let parts: Map<String, Value> = plan.parts.iter().map(part).collect();
    json!({
        "plan": plan.id.to_string(),
        "requester": plan.requester,
        "requested_at": plan.requested_at,
        "state": plan.state,
        "reason": plan.reason,
        "waves": Plan::waves(&plan.plan),
        "parts": parts,
        "done": plan.done,
        "lifted_by": plan.lifted_by(),
    })
}

fn digest(release: &Release) -> Value {
    json!(release.digest())
}
