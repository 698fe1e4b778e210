//! The registry engine as a small command line: publishes artifacts as immutable versions, finds, reads and checks them.
//!
//! `cargo run --example registry -- --help` tells what there is; the README shows it at work. Commands that only read open the registry
//! read-only, and so work beside one that writes. Whoever may write to the folder is believed.

#[path = "registry/arguments.rs"]
mod arguments;
#[path = "registry/batch.rs"]
mod batch;
#[path = "registry/check.rs"]
mod check;
#[path = "registry/failure.rs"]
mod failure;
#[path = "registry/output.rs"]
mod output;
#[path = "promote/plain.rs"]
mod plain;
#[path = "registry/progress.rs"]
mod progress;
#[path = "registry/read.rs"]
mod read;
#[path = "registry/reference.rs"]
mod reference;
#[path = "registry/show.rs"]
mod show;
#[path = "registry/write.rs"]
mod write;

use std::process::ExitCode;
use std::sync::Arc;

use mcp_registry::Registry;
use mcp_validation::{ContractClassifier, JsonSchema};
use serde_json::json;

use arguments::{Arguments, Command, USAGE};
use failure::Failure;
use output::Output;

#[tokio::main]
async fn main() -> ExitCode {
    // Known before the arguments are, so that what is wrong with them is told in the same form.
    let json = std::env::args_os().any(|argument| argument == "--json");
    let output = Output::new(json);
    let outcome = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => obey(&arguments, &output).await,
        Ok(None) => output.tell(USAGE.trim_end(), || json!({ "usage": USAGE })).map(|()| ExitCode::SUCCESS),
        Err(failure) => Err(failure),
    };
    outcome.unwrap_or_else(|failure| {
        output.fail(&failure);
        failure.exit_code()
    })
}

/// Does the one command; `Ok` with the code for what went as it should, or was told as it went.
async fn obey(arguments: &Arguments, output: &Output) -> Result<ExitCode, Failure> {
    let writes = arguments.command.writes();
    let registry = if writes {
        let schemas = ContractClassifier::new().compare_type("application/schema+json", JsonSchema::new());
        Registry::local(&arguments.data).classify(Arc::new(schemas)).open().await?
    } else {
        Registry::open_read_only(&arguments.data).await?
    };
    let outcome = match &arguments.command {
        Command::Publish(publish) => write::publish(&registry, publish, output).await,
        Command::PublishBatch => batch::publish(&registry, output).await,
        Command::Channel { name, channel, version, expect } => {
            write::move_channel(&registry, (name, channel), version, expect, output).await
        }
        Command::Channels { name } => read::channels(&registry, name, output).await,
        Command::Say { name, version, what } => write::say(&registry, name, version, what, output).await,
        Command::Labels { name, version, set, removed } if writes => {
            write::labels(&registry, (name, version), (set, removed), output).await
        }
        Command::Labels { name, version, .. } => read::labels(&registry, name, version, output).await,
        Command::Dependents { name, admitting } => {
            read::dependents(&registry, name, admitting.as_ref(), output).await
        }
        Command::Get { reference, file } => read::get(&registry, reference, file.as_deref(), output).await,
        Command::Resolve { reference } => read::resolve(&registry, reference, output).await,
        Command::Versions { name } => read::versions(&registry, name, output).await,
        Command::Search { text, tags, limit } => read::search(&registry, text, tags, *limit, output).await,
        Command::Changes { after } => read::changes(&registry, *after, output).await,
        Command::Verify => check::verify(&registry, output).await,
        Command::Stats => read::stats(&registry, output).await,
    };
    // What was answered stands; a writer that cannot be closed says so all the same.
    match (outcome, registry.close().await) {
        (Ok(_), Err(error)) if writes => Err(error.into()),
        (outcome, _) => outcome,
    }
}
