//! What the program was asked to do.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::failure::Failure;

/// What `--help` prints.
pub const USAGE: &str = "\
Validates, registers and promotes the crates that cargo has downloaded.

usage: cargo run --release --example quickstart -- [--data DIR] [--input DIR]

  --data DIR    where all state is kept (default: quickstart, in the target folder of the workspace)
  --input DIR   a folder of .crate files (default: what cargo has downloaded, below CARGO_HOME)
  --help        print this
";

/// The parsed command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Where all state is kept.
    pub data: Option<PathBuf>,
    /// A folder of `.crate` files.
    pub input: Option<PathBuf>,
    /// Whether only the usage was asked for.
    pub help: bool,
}

impl Arguments {
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        let mut parsed = Self::default();
        let mut parser = lexopt::Parser::from_args(arguments);
        let usage = |error: lexopt::Error| Failure::usage(format!("read the arguments: {error}\n\n{USAGE}"));
        while let Some(argument) = parser.next().map_err(usage)? {
            match argument {
                Long("data") => parsed.data = Some(folder(&mut parser).map_err(usage)?),
                Long("input") => parsed.input = Some(folder(&mut parser).map_err(usage)?),
                Short('h') | Long("help") => parsed.help = true,
                other => return Err(usage(other.unexpected())),
            }
        }
        Ok(parsed)
    }
}

/// The value of an option that names a folder; an empty one is most likely an unset variable.
fn folder(parser: &mut lexopt::Parser) -> Result<PathBuf, lexopt::Error> {
    let value = parser.value()?;
    if value.is_empty() { Err("an empty text is no folder".into()) } else { Ok(value.into()) }
}
