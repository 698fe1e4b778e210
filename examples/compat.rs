//! Compares versions of a schema: the verdict, each break with its advice, and a document that shows it; or line by line in a pipeline.
//!
//! `cargo run --example compat -- --help` tells what there is; the README shows it at work.

mod batch {
    #[path = "../batch/case.rs"]
    pub mod case;
    #[path = "../batch/compat.rs"]
    pub mod compat;
    #[path = "../batch/input.rs"]
    pub mod input;
    #[path = "../batch/pipe.rs"]
    pub mod pipe;
}
#[path = "compat/arguments.rs"]
mod arguments;
#[path = "promote/plain.rs"]
mod plain;
#[path = "compat/show.rs"]
mod show;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use arguments::{Command, USAGE, Wanted};
use batch::compat::{Question, answer, refuse};
use batch::input;

struct Compare;

impl batch::pipe::Answers for Compare {
    fn answer(&self, line: &[u8]) -> String {
        answer(line)
    }

    fn refuse(&self, line: &[u8], reason: &str) -> String {
        refuse(line, reason)
    }
}

fn main() -> ExitCode {
    let outcome = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Ok(Command::Batch) => lines(),
        Ok(Command::Compare(wanted)) => compare(wanted),
        Err(reason) => Err(format!("{reason}; see --help")),
    };
    outcome.unwrap_or_else(|reason| {
        eprintln!("compat: {}", plain::lines(&reason));
        ExitCode::from(2)
    })
}

fn lines() -> Result<ExitCode, String> {
    match batch::pipe::run(Arc::new(Compare), io::stdin(), io::stdout().lock()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Who reads the answers has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(format!("compare the lines: {error}")),
    }
}

fn compare(wanted: Wanted) -> Result<ExitCode, String> {
    let format = match wanted.format {
        Some(format) => format,
        None => {
            let (format, why) = input::format_of(&wanted.new, &input::bytes(&wanted.new)?);
            let name = plain::line(&wanted.new);
            eprintln!(
                "compat: {name} is taken for a schema of {} {why}; --format says otherwise",
                format.name()
            );
            format
        }
    };
    let read = |file: &String| input::schema(file, format);
    let references = wanted.references.iter().map(|reference| {
        input::named(reference, format).map(|(name, text)| mcp_validation::Reference::new(name, text))
    });
    let question = Question {
        format,
        settings: wanted.settings,
        mode: wanted.mode,
        old: wanted.old.iter().map(read).collect::<Result<_, _>>()?,
        new: read(&wanted.new)?,
        references: references.collect::<Result<_, _>>()?,
    };
    let outcome = question.answer();
    let text = if wanted.json {
        serde_json::to_string(&outcome).map_err(|error| format!("write the verdict: {error}"))?
    } else {
        plain::lines(&show::outcome(&outcome, &wanted.old))
    };
    // Nobody may read it: the exit code tells as well.
    let _told = writeln!(io::stdout(), "{text}");
    Ok(match outcome.verdict {
        "yes" => 0,
        "no" => 1,
        "unknown" => 3,
        _ => 2,
    }
    .into())
}
