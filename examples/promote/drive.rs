//! `run`: drives until it is told to stop, or until only people can go on.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::{Event, EventKind, FnSink, PromotionEvent};
use mcp_promotion::{Blocker, Engine, LiftedBy, SqliteJournal, State};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::file::PipelineFile;
use crate::slot::Slot;

/// How often is looked whether there is anything left to do.
const LOOK: Duration = Duration::from_millis(100);

/// How `run` goes about it.
#[derive(Clone, Copy)]
pub struct How {
    pub until_idle: bool,
    /// Whether what happens is told as JSON, one CloudEvents document a line.
    pub json: bool,
}

pub async fn run(file: &PipelineFile, journal: SqliteJournal, data: &Path, how: How) -> Result<(), Failure> {
    let slot = Slot::take(data)?;
    let mut builder = file
        .engine(journal)
        .owner(slot.owner.as_str())
        .events(Arc::new(FnSink::new(move |event| tell(event, how.json))));
    for (name, script) in file.scripts(data) {
        builder = builder.stage(name.as_str(), script.holding(slot.file.clone()));
    }
    let engine = builder.build()?;
    let on = |kind| signal(kind).map_err(|error| Failure::unavailable("listen to signals", &error));
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    let driving = engine.clone().run();
    let told = async {
        let outcome = tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            outcome = idle(&engine), if how.until_idle => outcome,
        };
        // Finishes the step that it is in, and gives its leases up.
        engine.stop();
        outcome
    };
    let ((), outcome) = tokio::join!(driving, told);
    outcome
}

/// One line for each event of a promotion, as it happens.
fn tell(event: &Event, as_json: bool) {
    let mut out = std::io::stdout().lock();
    let told = if as_json {
        serde_json::to_string(event).map_err(Into::into).and_then(|line| writeln!(out, "{line}"))
    } else {
        writeln!(out, "{} {} {}", event.at, event.subject, what(&event.kind))
    };
    // News only: the journal has it, and whoever read them has gone away.
    drop(told.and_then(|()| out.flush()));
}

fn what(kind: &EventKind) -> String {
    match kind {
        EventKind::Promotion(PromotionEvent::Changed(changed)) if changed.reason.is_empty() => {
            changed.to.clone()
        }
        EventKind::Promotion(PromotionEvent::Changed(changed)) => {
            format!("{}: {}", changed.to, changed.reason)
        }
        other => other.type_name().to_owned(),
    }
}

/// Returns when nothing moves, and time alone moves nothing.
async fn idle(engine: &Engine) -> Result<(), Failure> {
    while !is_idle(engine).await? {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn is_idle(engine: &Engine) -> Result<bool, Failure> {
    for (stage, _) in engine.pipeline().stages() {
        let state = engine.stage_state(stage.clone()).await?;
        if state.watch().is_some() {
            return Ok(false);
        }
        for promotion in state.open() {
            let moves = match promotion.state {
                State::Pending => !engine.blockers(&promotion.id).await?.iter().any(waits_for_people),
                State::Paused | State::Stuck => false,
                _ => true,
            };
            if moves {
                return Ok(false);
            }
        }
        if let Some(candidate) = engine.candidate(stage.clone()).await?
            && !candidate.blockers.iter().any(waits_for_people)
        {
            return Ok(false);
        }
    }
    for plan in engine.plans().await? {
        let state = engine.plan_status(plan).await?.state;
        if !state.is_terminal() && !state.needs_a_person() && engine.plan_blockers(plan).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether neither time nor this driver lifts it: a person does, or something that itself waits or is looked at on its own.
fn waits_for_people(blocker: &Blocker) -> bool {
    fn people(by: &LiftedBy) -> bool {
        match by {
            LiftedBy::Time | LiftedBy::Gate(_) | LiftedBy::Driver(_) => false,
            LiftedBy::AnyOf(several) => several.iter().all(people),
            _ => true,
        }
    }
    people(&blocker.lifted_by())
}
