//! The program with a folder of its own.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A folder with a registry in `data`, in which the program runs.
pub struct Host(tempfile::TempDir);

/// How a call ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Outcome {
    /// The lines of standard output as JSON.
    pub fn lines(&self) -> Vec<Value> {
        let read =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.out.lines().map(read).collect()
    }
}

impl Host {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let test = std::env::current_exe().unwrap();
        let mut command = Command::new(test.ancestors().nth(2).unwrap().join("examples").join("registry"));
        command.args(["--data", "data"]).args(arguments).current_dir(self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn call(&self, arguments: &[&str]) -> Outcome {
        outcome(self.command(arguments).spawn().expect("cargo build -p mcp-examples --example registry"))
    }

    /// What it prints, of a call that must succeed and say nothing on standard error, which is no terminal.
    pub fn done(&self, arguments: &[&str]) -> String {
        let outcome = self.call(arguments);
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{arguments:?}: {outcome:?}");
        outcome.out.trim_end().to_owned()
    }

    /// The only line of a call with `--json` that must succeed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let line = self.done(&[&["--json"], arguments].concat());
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Code and message of a call that must fail.
    pub fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let outcome = self.call(arguments);
        assert!(outcome.code != Some(0) && outcome.out.is_empty(), "{arguments:?}: {outcome:?}");
        (outcome.code.unwrap(), outcome.err.trim_end().to_owned())
    }

    /// A batch that goes on until its input is dropped.
    pub fn start_batch(&self) -> Child {
        let mut command = self.command(&["publish", "--batch"]);
        command.stdin(Stdio::piped()).spawn().expect("cargo build -p mcp-examples --example registry")
    }

    pub fn batch(&self, input: impl AsRef<[u8]>) -> Outcome {
        let mut child = self.start_batch();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.as_ref().to_vec();
        let writing = std::thread::spawn(move || stdin.write_all(&input).unwrap());
        let outcome = outcome(child);
        writing.join().unwrap();
        outcome
    }
}

fn outcome(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
