//! A stage that is a command: called with `observe`, `apply` or `sample` as its last argument.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{Digest, ErrorKind, Name, SeamError};
use mcp_promotion::{
    Context, Fence, Fencing, Kind, Observed, Reach, Release, Sample, Stage, StageError, Window,
};
use tokio::process::Command;

/// The exit code by which a command says that it has seen a larger fence.
const STALE: i32 = 3;
/// The exit code by which a command says that it cannot do this at all, such as a canary.
const UNSUPPORTED: i32 = 4;
/// How much of an error message is kept, in characters.
const TOLD: usize = 500;

/// Where a program is that a pipeline file in `folder` names by a path; `None` for a plain name, which is looked up as usual.
pub fn path(program: &str, folder: &Path) -> Option<PathBuf> {
    program.contains('/').then(|| folder.join(program))
}

/// Runs the command of one stage, or of one lane of it.
pub struct Script {
    /// The stage, or the lane.
    stage: Name,
    command: Vec<String>,
    folder: PathBuf,
    data: PathBuf,
    fenced: bool,
    /// Standard input of every call: see [`crate::slot`].
    slot: Option<Arc<File>>,
}

impl Script {
    /// `command` is run in `folder`, and told where the `data` are; every call gets `slot` as its standard input.
    pub const fn new(
        stage: Name,
        command: Vec<String>,
        folder: PathBuf,
        data: PathBuf,
        fenced: bool,
        slot: Option<Arc<File>>,
    ) -> Self {
        Self { stage, command, folder, data, fenced, slot }
    }

    async fn call(&self, what: &str, variables: Vec<(&str, String)>) -> Result<String, StageError> {
        let attempted = format!("{what} stage {} with {}", self.stage, self.command.join(" "));
        let failed = |error: std::io::Error| {
            SeamError::new(ErrorKind::Unavailable, attempted.clone()).with_source(error)
        };
        let stdin = match &self.slot {
            Some(slot) => Stdio::from(slot.try_clone().map_err(failed)?),
            None => Stdio::null(),
        };
        let mut words = self.command.iter();
        let program = words.next().map_or("", String::as_str);
        let mut command = Command::new(path(program, &self.folder).unwrap_or_else(|| program.into()));
        command.args(words).arg(what).current_dir(&self.folder);
        command.env("PROMOTE_STAGE", self.stage.as_str()).env("PROMOTE_DATA", &self.data);
        command.envs(variables).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A call that takes too long is given up: the engine goes on with a new fence.
        let output = command.kill_on_drop(true).output().await.map_err(failed)?;
        let Output { status, stdout, stderr } = output;
        let kind = match status.code() {
            Some(0) => return Ok(String::from_utf8_lossy(&stdout).into_owned()),
            Some(STALE) => ErrorKind::Conflict,
            Some(UNSUPPORTED) => ErrorKind::Unsupported,
            _ => ErrorKind::Unavailable,
        };
        let said: String = String::from_utf8_lossy(&stderr).trim().chars().take(TOLD).collect();
        Err(SeamError::new(kind, format!("{attempted}: {status}: {said}")))
    }
}

/// What the first line of an answer to `observe` says.
fn observed(text: &str) -> Observed {
    let digest = |word: &str| word.parse::<Digest>().ok();
    let line = text.lines().next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let known = match words.as_slice() {
        ["nothing"] => Some(Observed::Nothing),
        ["running", release] => digest(release).map(Observed::Running),
        ["canary", canary, "nothing"] => digest(canary).map(|canary| Observed::Canary { canary, rest: None }),
        ["canary", canary, rest] => digest(canary)
            .zip(digest(rest))
            .map(|(canary, rest)| Observed::Canary { canary, rest: Some(rest) }),
        _ => None,
    };
    known.unwrap_or_else(|| Observed::Unknown(line.to_owned()))
}

/// The digest of a release, or `nothing`.
fn shown(release: &Release) -> String {
    if release.is_empty() { "nothing".to_owned() } else { release.digest().to_string() }
}

#[async_trait]
impl Stage for Script {
    fn fencing(&self) -> Fencing {
        if self.fenced { Fencing::Enforced } else { Fencing::Unfenced }
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        Ok(observed(&self.call("observe", vec![("PROMOTE_FENCE", fence.to_string())]).await?))
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        let artifacts: Vec<String> = release.artifacts().iter().map(ToString::to_string).collect();
        let kind = if context.kind == Kind::Rollback { "rollback" } else { "deploy" };
        let reach = if context.reach == Reach::Canary { "canary" } else { "all" };
        let variables = vec![
            ("PROMOTE_FENCE", context.fence.to_string()),
            ("PROMOTE_KEY", context.key.clone()),
            ("PROMOTE_PROMOTION", context.promotion.to_string()),
            ("PROMOTE_RELEASE", shown(release)),
            ("PROMOTE_ARTIFACTS", artifacts.join("\n")),
            ("PROMOTE_PREVIOUS", context.previous.as_ref().map_or_else(|| "nothing".to_owned(), shown)),
            ("PROMOTE_KIND", kind.to_owned()),
            ("PROMOTE_REACH", reach.to_owned()),
        ];
        self.call("apply", variables).await.map(drop)
    }

    async fn sample(&self, window: Window) -> Result<Vec<Sample>, StageError> {
        let variables =
            vec![("PROMOTE_FROM", window.from.to_string()), ("PROMOTE_TO", window.to.to_string())];
        let text = self.call("sample", variables).await?;
        let read = |line: &str| {
            serde_json::from_str(line).map_err(|error| {
                let context = format!("read the sample {line:?} of stage {}", self.stage);
                SeamError::new(ErrorKind::Invalid, context).with_source(error)
            })
        };
        text.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
    }
}
