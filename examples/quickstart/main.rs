//! Validates, registers and promotes the crates that cargo has downloaded: all three engines on real input.
//!
//! `cargo run --release --example quickstart`; `--help` tells the options.
//!
//! It can be killed at any point and started again: what is published stays, a promotion goes on where its journal ends, and every
//! server serves what it served before.

mod archive;
mod arguments;
mod check;
mod client;
mod contracts;
mod editions;
mod failure;
mod folder;
mod index;
mod input;
mod instance;
mod listing;
mod lookup;
mod manifest;
mod page;
mod promote;
mod prove;
mod publish;
mod read;
mod report;
mod screen;
mod site;
mod site_record;
mod stages;
mod tell;
mod timeline;

use std::process::ExitCode;
use std::sync::Arc;

use mcp_core::{Clock, Inspect, SystemClock};
use mcp_registry::{Registry, RegistryError};

use arguments::{Arguments, USAGE};
use failure::Failure;
use folder::Folder;
use input::Input;
use page::Story;
use screen::Screen;
use stages::Stages;

fn main() -> ExitCode {
    let screen = Screen::new();
    let ended = Arguments::parse(std::env::args_os().skip(1)).and_then(|arguments| {
        if arguments.help {
            screen.verbatim(USAGE);
            return Ok(true);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime
            .map_err(|error| Failure::because("start the runtime", &error))?
            .block_on(run(arguments, &screen))
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(failure::FAILED),
        Err(failure) => {
            screen.failure(&failure);
            ExitCode::from(failure.exit())
        }
    }
}

/// Does what was asked for; whether all of it could be done.
async fn run(arguments: Arguments, screen: &Screen) -> Result<bool, Failure> {
    let input = Input::find(arguments.input.as_deref())?;
    let folder = Folder::prepare(arguments.data)?;
    main_job(&input, &folder, screen).await.map_err(|failure| match folder.trouble() {
        Some(trouble) => failure.advise(trouble),
        None => failure,
    })
}

/// The six steps, each of which begins where an earlier run has ended.
async fn main_job(input: &Input, folder: &Folder, screen: &Screen) -> Result<bool, Failure> {
    let clock = SystemClock::new();
    let inspector: Arc<dyn Inspect> = Arc::new(
        contracts::index_inspector().map_err(|error| Failure::because("build the index contract", &error))?,
    );
    let registry = open(folder, &inspector).await?;
    screen.heading("Quickstart");
    screen.line(&format!("input   {}", input.place.display()));
    screen.line(&format!("data    {}", folder.path().display()));

    let reading = read::read(input, screen).await;
    tell::reading(&reading, screen);
    let checking =
        check::check(&reading.crates).map_err(|error| Failure::because("validate the manifests", &error))?;
    tell::checking(&checking, screen);
    let publishing = publish::publish(&reading.crates, &registry, &folder.registry(), &clock, screen).await?;
    let unread = |error: RegistryError| {
        Failure::because(format!("read {}", folder.registry().display()), &error).advise(promote::ADVICE)
    };
    tell::publishing(&publishing, &registry.stats().await.map_err(unread)?, screen);
    lookup::look_up(&registry, screen).await.map_err(unread)?;

    let full = listing::full_index(&registry).await.map_err(unread)?;
    if full.crates.is_empty() {
        let attempt = "make a crate index: no crate is published, for the reasons above";
        return Err(Failure::new(attempt).advise("name a folder of readable .crate files with --input DIR"));
    }
    let editions = editions::publish_editions(&full, &registry, &folder.registry()).await?;
    let stages = Stages::open(folder, &registry, inspector).await?;
    for edition in &editions {
        tell::edition(edition, screen);
        promote::promote(edition, &stages, folder, &clock, screen).await?;
        tell::servers(&prove::ask(&stages).await, screen);
        prove::ask_for(&full.crates.keys().take(3).collect::<Vec<_>>(), &stages, screen).await;
    }

    let proof = prove::verify(&registry, &stages.engine).await?;
    let timeline = timeline::Timeline::read(&stages.engine).await;
    let timeline = timeline.map_err(|error| Failure::because("read the promotion journal", &error))?;
    tell::timeline(&timeline, &editions, screen);
    let stats = registry.stats().await.map_err(unread)?;
    let story =
        Story { reading, checking, publishing, stats, servers: prove::ask(&stages).await, proof, timeline };
    let page = story.page(clock.now());
    folder.write_report(&page.html())?;
    tell::result(&story, folder, screen);
    registry.close().await.map_err(|error| Failure::because("close the registry", &error))?;
    Ok(story.is_complete())
}

/// Opens the registry, in which a crate index is published only when its contract accepts it.
async fn open(folder: &Folder, inspector: &Arc<dyn Inspect>) -> Result<Registry, Failure> {
    let path = folder.registry();
    Registry::local(&path).inspect(Arc::clone(inspector)).open().await.map_err(|error| {
        let failure = Failure::because(format!("open the registry {}", path.display()), &error);
        match error {
            RegistryError::Locked { .. } => {
                failure.advise("wait until the other run has ended, or give this one its own --data DIR")
            }
            _ => failure.advise("make room and make it writable, or name another folder with --data DIR"),
        }
    })
}
