//! `run`: drives until it is told to stop, or until only people can go on.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use mcp_core::{Event, EventKind, FnSink, PromotionEvent};
use mcp_promotion::SqliteJournal;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::file::PipelineFile;
use crate::slot::Slot;
use crate::{idle, plain};

/// How `run` goes about it.
#[derive(Clone, Copy)]
pub struct How {
    pub until_idle: bool,
    /// Whether what happens is told as JSON, one CloudEvents document a line.
    pub json: bool,
}

pub async fn run(file: &PipelineFile, journal: SqliteJournal, data: &Path, how: How) -> Result<(), Failure> {
    let slot = Slot::take(data)?;
    let builder = file
        .engine(journal)
        .owner(slot.owner.as_str())
        .events(Arc::new(FnSink::new(move |event| tell(event, how.json))));
    let engine = file.with_stages(builder, data, Some(&slot.file)).build()?;
    let on = |kind| signal(kind).map_err(|error| Failure::unavailable("listen to signals", &error));
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    let driving = engine.clone().run();
    let told = async {
        let outcome = tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            outcome = idle::wait(&engine, file, &slot.owner), if how.until_idle => outcome,
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
        writeln!(out, "{} {} {}", event.at, event.subject, plain::line(&what(&event.kind)))
    };
    // News only: the journal has it, and whoever read them has gone away.
    drop(told.and_then(|()| out.flush()));
}

fn what(kind: &EventKind) -> String {
    use PromotionEvent as Told;
    let EventKind::Promotion(event) = kind else { return kind.type_name().to_owned() };
    let because = |to: &str, reason: &str| {
        if reason.is_empty() { to.to_owned() } else { format!("{to}: {reason}") }
    };
    match event {
        Told::Requested(requested) => format!("requested by {}", requested.requester),
        Told::Changed(changed) => because(&changed.to, &changed.reason),
        Told::Delayed(delayed) => because(&format!("delayed by {}", delayed.by), &delayed.why),
        Told::CallFailed(failed) => because(&format!("{} failed", failed.call), &failed.why),
        Told::Held(held) => because(&format!("held by {}", held.by), &held.reason),
        Told::ReviewOverdue(owed) => format!("the review that {} caused is overdue", owed.by),
        Told::PlanChanged(changed) => because(&changed.to, &changed.reason),
        Told::PlanStageChanged(changed) => {
            because(&format!("{} {}", changed.stage, changed.to), &changed.what)
        }
        // What people do is told where they do it.
        other => other.type_name().to_owned(),
    }
}
