//! Judges files by a schema and rules: as text, as JSON, as SARIF for code reviews, or line by line in a pipeline.
//!
//! `cargo run --example validate -- --help` tells what there is; the README shows it at work.

mod batch {
    #[path = "../batch/answer.rs"]
    pub mod answer;
    #[path = "../batch/case.rs"]
    pub mod case;
    #[path = "../batch/contracts.rs"]
    pub mod contracts;
    #[path = "../batch/input.rs"]
    pub mod input;
    #[path = "../batch/pipe.rs"]
    pub mod pipe;
    #[path = "../batch/validate.rs"]
    pub mod validate;
}
#[path = "validate/arguments.rs"]
mod arguments;
#[path = "validate/files.rs"]
mod files;
#[path = "validate/place.rs"]
mod place;
#[path = "promote/plain.rs"]
mod plain;
#[path = "validate/sarif.rs"]
mod sarif;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use arguments::{Command, USAGE};
use batch::validate::{Judge, refuse};

impl batch::pipe::Answers for Judge {
    fn answer(&self, line: &[u8]) -> String {
        Self::answer(self, line)
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
        Ok(Command::Files(wanted)) => files::judge(&wanted),
        Err(reason) => Err(format!("{reason}; see --help")),
    };
    outcome.unwrap_or_else(|reason| {
        eprintln!("validate: {}", plain::lines(&reason));
        ExitCode::from(2)
    })
}

fn lines() -> Result<ExitCode, String> {
    match batch::pipe::run(Arc::new(Judge::default()), io::stdin(), io::stdout().lock()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Who reads the answers has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(format!("judge the lines: {error}")),
    }
}
