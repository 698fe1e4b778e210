//! Promotes releases through stages that are commands: the promotion engine as a small program.
//!
//! The pipeline is a YAML file (see `pipeline.yaml` and `stage.sh` beside this one); the journal is an SQLite file, shared by all commands and any
//! number of drivers on one host. Who gives a command is believed: the program is for people who may write to the folder anyway.

mod arguments;
mod command;
mod drive;
mod failure;
mod file;
mod form;
mod idle;
mod plain;
mod plan;
mod query;
mod script;
mod show;
mod slot;
mod store;
mod voters;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use arguments::{Arguments, USAGE};
use failure::Failure;
use file::PipelineFile;

/// What a command answers: text for people, a document for programs.
pub struct Answer {
    text: String,
    document: Value,
}

impl Answer {
    fn new(text: impl Into<String>, document: Value) -> Self {
        Self { text: text.into(), document }
    }

    /// Of a command that has nothing to tell but that it was done.
    fn done(text: impl Into<String>) -> Self {
        Self::new(text, json!({"done": true}))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    let outcome = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => obey(&arguments).await,
        Ok(None) => Ok(usage()),
        Err(failure) => Err(failure),
    };
    let (text, code) = match outcome {
        Ok(answer) if json && !answer.document.is_null() => (answer.document.to_string(), ExitCode::SUCCESS),
        Ok(answer) => (plain::lines(&answer.text), ExitCode::SUCCESS),
        Err(failure) => {
            eprintln!("promote: {}", plain::lines(&failure.message));
            if !json {
                return failure.exit_code();
            }
            let error = json!({"message": failure.message, "code": failure.code});
            (json!({ "error": error }).to_string(), failure.exit_code())
        }
    };
    // Whoever reads has gone away: nothing is left to be told.
    if !text.is_empty() && writeln!(std::io::stdout(), "{}", text.trim_end()).is_err() {
        return code;
    }
    code
}

async fn obey(arguments: &Arguments) -> Result<Answer, Failure> {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    let (name, about) = form::command(&words)?;
    match (name, about) {
        ("help", _) => return Ok(usage()),
        ("pipeline check", [path]) => return show::check(path.as_ref()),
        ("pipeline show", about) if !arguments.live => {
            let path = about.first().map_or(arguments.pipeline.as_path(), Path::new);
            return show::answer(&PipelineFile::read(path)?.pipeline.diagram(), arguments);
        }
        _ => {}
    }
    let path = match about {
        [path] if name == "pipeline show" => Path::new(path),
        _ => &arguments.pipeline,
    };
    let file = PipelineFile::read(path)?;
    let (journal, data) = store::open(&arguments.data, name)?;
    if name == "run" {
        let how = drive::How { until_idle: arguments.until_idle, json: arguments.json };
        drive::run(&file, journal, &data, how).await?;
        // What there was to tell was told as it happened.
        return Ok(Answer::new("", Value::Null));
    }
    // Not driven here; so that what is said about blockers is about the stage.
    let engine = file.with_stages(file.engine(journal.clone()), &data, None).build()?;
    if name == "pipeline show" {
        return show::answer(&engine.diagram().await?, arguments);
    }
    if let Some(name) = name.strip_prefix("plan ") {
        return plan::answer(&engine, name, about, arguments).await;
    }
    if command::is_one(name) {
        return command::give(&engine, file.roles(), (name, about), arguments).await;
    }
    query::answer((&engine, &journal), name, about, arguments).await
}

fn usage() -> Answer {
    Answer::new(USAGE.trim_end(), json!({ "usage": USAGE }))
}
