//! The program as a child process, with a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Two stages, of which the second comes after the first; nobody has to be asked.
const TWO_STAGES: &str = "
stages:
  - name: a
    command: [./stage.sh, a]
    fenced: true
    policy: {verification: {unverified: {reason: a test}}, calls: {attempts: 20, backoff_ms: 20}}
  - name: b
    command: [./stage.sh, b]
    fenced: true
    policy: {after: [a], verification: {unverified: {reason: a test}}, calls: {attempts: 20, backoff_ms: 20}}
settings: {lease_ms: 1000, poll_ms: 50}
";

/// A folder with a pipeline file, the sample script, and the journal.
pub struct Host {
    folder: tempfile::TempDir,
}

/// How a call of the program ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Outcome {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("promote")
}

impl Host {
    pub fn with(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pipeline.yaml"), pipeline).unwrap();
        std::fs::copy(samples().join("stage.sh"), folder.path().join("stage.sh")).unwrap();
        Self { folder }
    }

    pub fn with_two_stages() -> Self {
        Self::with(TWO_STAGES)
    }

    /// The pipeline that stands beside the program.
    pub fn with_the_sample() -> Self {
        Self::with(&std::fs::read_to_string(samples().join("pipeline.yaml")).unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let test = std::env::current_exe().unwrap();
        let mut command = Command::new(test.ancestors().nth(2).unwrap().join("examples").join("promote"));
        command.args(["--pipeline", "pipeline.yaml", "--data", "data"]).args(arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub fn call(&self, arguments: &[&str]) -> Outcome {
        let output = self.command(arguments).output().expect("cargo build -p mcp-examples --example promote");
        Outcome {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What it prints, of a call that must succeed.
    pub fn done(&self, arguments: &[&str]) -> String {
        let outcome = self.call(arguments);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
        outcome.out.trim_end().to_owned()
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().expect("cargo build -p mcp-examples --example promote")
    }

    /// The same, of which what it says on standard error is read.
    pub fn start_heard(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("cargo build -p mcp-examples --example promote")
    }

    /// The state of a promotion, by its name in JSON.
    pub fn state(&self, id: &str) -> String {
        self.call(&["--json", "status", id]).json()["state"].as_str().unwrap().to_owned()
    }

    /// What was done to a stage: fence, key, and the digest that runs since.
    pub fn effects(&self, stage: &str) -> Vec<(u64, String, String)> {
        let path = self.folder.path().join("data/stages").join(stage).join("log");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let read = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[0].parse().unwrap(), words[1].to_owned(), words[2..].join(" "))
        };
        text.lines().map(read).collect()
    }
}
