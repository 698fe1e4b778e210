//! The program under test, as a child process.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a whole run did.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The lines below the heading `Result`, but for those that name the folder of this run.
    pub fn result(&self) -> Vec<&str> {
        let lines = self.stdout.lines().skip_while(|line| *line != "Result").skip(1);
        lines.filter(|line| !line.trim_start().starts_with("report")).collect()
    }
}

/// A run that goes on.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: JoinHandle<String>,
    pub seen: Vec<String>,
    pub started: Instant,
}

/// The example, built by the same cargo as this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples").join("quickstart");
    assert!(
        program.is_file(),
        "{} is missing: cargo build -p mcp-examples --example quickstart",
        program.display()
    );
    program
}

/// Starts it with these arguments.
pub fn start(arguments: &[&str]) -> Running {
    let mut child = Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut errors = child.stderr.take().unwrap();
    let stderr = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        text
    });
    #[expect(clippy::disallowed_methods, reason = "a hanging child is told by real time")]
    let started = Instant::now();
    Running { child, lines, stderr, seen: Vec::new(), started }
}

/// Runs it over these folders to its end.
pub fn run(input: &Path, data: &Path) -> Ended {
    start_over(input, data).end()
}

/// Starts it over these folders.
pub fn start_over(input: &Path, data: &Path) -> Running {
    start(&["--input", input.to_str().unwrap(), "--data", data.to_str().unwrap()])
}

impl Running {
    /// Waits until it has printed this many lines, until `deadline` after its start, or until it closes its output.
    pub fn wait(&mut self, lines: usize, deadline: Duration) {
        while self.seen.len() < lines {
            match self.lines.recv_timeout(deadline.saturating_sub(self.started.elapsed())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// SIGKILL: nothing of it runs on. Whether it was still running.
    pub fn kill(mut self) -> bool {
        let running = self.child.try_wait().unwrap().is_none();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        running
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> Ended {
        self.wait(usize::MAX, PATIENCE);
        if self.child.try_wait().unwrap().is_none() && self.started.elapsed() >= PATIENCE {
            self.child.kill().unwrap();
            panic!("it hangs after {PATIENCE:?}; its last line was {:?}", self.seen.last());
        }
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout: self.seen.join("\n"), stderr: self.stderr.join().unwrap() }
    }
}
