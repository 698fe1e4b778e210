//! A program with files of its own.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A folder in which programs run.
pub struct Folder(pub tempfile::TempDir);

/// How a call ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Outcome {
    /// The lines of standard output as JSON.
    pub fn lines(&self) -> Vec<Value> {
        let read =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.out.lines().map(read).collect()
    }
}

impl Folder {
    pub fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        Self(folder)
    }

    pub fn call(&self, program: &str, arguments: &[&str]) -> Outcome {
        let mut command = command(program);
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.output().unwrap().into()
    }
}

fn command(program: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let mut command = Command::new(test.ancestors().nth(2).unwrap().join("examples").join(program));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program with `--batch`, ready for lines.
pub fn batch(program: &str) -> Child {
    let mut command = command(program);
    command.arg("--batch").stdin(Stdio::piped());
    command.spawn().expect("cargo build -p mcp-examples --examples")
}

/// What it answers to `input`.
pub fn answers(program: &str, input: impl Into<Vec<u8>>) -> Outcome {
    let mut child = batch(program);
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.into());
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output.into()
}

/// The one answer to one line.
pub fn answer(program: &str, line: &Value) -> Value {
    let outcome = answers(program, format!("{line}\n"));
    let [answer] = outcome.lines().try_into().unwrap();
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
    answer
}
