//! Publishes what comes as JSON lines, many at the same time, and answers line by line in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use mcp_core::Name;
use mcp_registry::{DependencyKind, Draft, Published, Registry};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{RwLock, Semaphore, mpsc};

use crate::failure::Failure;
use crate::output::Output;
use crate::reference::{Target, need};
use crate::{progress, show};

/// How many lines are published at the same time.
const IN_FLIGHT: usize = 512;
/// A longer line is not read, and no more bytes of lines are held at the same time.
const MAX_LINE_BYTES: usize = 256 << 20;

/// One line of the input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    version: String,
    file: Option<PathBuf>,
    text: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    tags: BTreeSet<String>,
    media_type: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Each `NAME@REQUIREMENT`.
    #[serde(default)]
    needs: BTreeSet<String>,
}

/// What became of one line, and the exit code that it alone would give.
type Outcome = Result<Published, (Value, u8)>;

/// What keeps lines in their order where it matters: one waits for those before it of the same name and version, and one whose version
/// is to be chosen for all those before it of its name. Names share a few of these.
struct Turns {
    names: Vec<Arc<RwLock<()>>>,
    versions: Vec<Arc<RwLock<()>>>,
}

/// A line that may be published at the same time as all the others that are ready.
struct Ready {
    draft: Draft,
    target: Target,
    /// Of its name and of its version, given up when it is done.
    turns: Box<dyn Send>,
}

pub async fn publish(registry: &Registry, output: &Output) -> Result<ExitCode, Failure> {
    let turns = Turns::new();
    let room = Arc::new(Semaphore::new(MAX_LINE_BYTES));
    let input = stream::unfold((lines(), 1_u64), async |(mut lines, number)| {
        let line = lines.recv().await?;
        let length = u32::try_from(line.as_ref().map_or(0, Vec::len)).unwrap_or(u32::MAX);
        let held = Arc::clone(&room).acquire_many_owned(length).await.ok()?;
        Some(((turns.ready(line, number).await, held), (lines, number.saturating_add(1))))
    });
    let outcomes = input.map(async |(ready, held)| {
        let outcome = match ready {
            Ok(ready) => one(registry, ready).await,
            Err(refused) => Err(refused),
        };
        drop(held);
        outcome
    });
    let outcomes = outcomes.buffered(IN_FLIGHT);
    let mut outcomes = std::pin::pin!(outcomes.enumerate());
    let working = progress::working("publishing".to_owned());
    let (mut worst, mut published) = (0, 0_u64);
    while let Some((number, outcome)) = outcomes.next().await {
        let line = number.saturating_add(1);
        let document = match outcome {
            Ok(done) => {
                published = published.saturating_add(1);
                let mut document = show::published(&done);
                document.as_object_mut().map(|members| members.insert("line".to_owned(), json!(line)));
                document
            }
            Err((error, code)) => {
                worst = worst.max(code);
                json!({"line": line, "error": error})
            }
        };
        output.tell_json(&document)?;
        working.set_message(format!("{published} of {line} lines published"));
    }
    working.finish_and_clear();
    Ok(worst.into())
}

async fn one(registry: &Registry, ready: Ready) -> Outcome {
    let Ready { draft, target, turns } = ready;
    let published = match target {
        Target::Exact(version) => registry.publish(draft, &version).await,
        Target::Next(bump) => registry.publish_next(draft, bump).await,
    };
    drop(turns);
    published.map_err(|error| {
        let document = show::error(&error);
        (document, Failure::from(error).code)
    })
}

impl Turns {
    fn new() -> Self {
        let some = || (0..1024).map(|_| Arc::default()).collect();
        Self { names: some(), versions: some() }
    }

    /// Reads a line, and waits for its turn.
    async fn ready(&self, line: Result<Vec<u8>, String>, number: u64) -> Result<Ready, (Value, u8)> {
        let refused =
            |message: String| (json!({"kind": "invalid", "message": format!("line {number}: {message}")}), 1);
        let wanted = line.and_then(|line| serde_json::from_slice(&line).map_err(|error| unread(&error)));
        let wanted: Wanted = wanted.map_err(refused)?;
        let name: Name =
            wanted.name.parse().map_err(|error: mcp_core::ParseError| refused(error.to_string()))?;
        let target: Target = wanted.version.parse().map_err(|failure: Failure| refused(failure.message))?;
        let draft = match (wanted.text, wanted.file) {
            (Some(text), None) => Draft::new(&name, text),
            (None, Some(file)) => Draft::file(&name, file),
            _ => return Err(refused("a line needs either file or text".to_owned())),
        };
        let draft = draft.description(wanted.description);
        let mut draft = wanted.labels.into_iter().fold(draft, |draft, (key, value)| draft.label(key, value));
        for needed in wanted.needs {
            let (name, requirement) = need(&needed).map_err(|failure| refused(failure.message))?;
            draft = draft.dependency(name, requirement, DependencyKind::Runtime);
        }
        if let Some(media_type) = wanted.media_type {
            draft = draft.media_type(media_type);
        }
        let draft = wanted.tags.into_iter().fold(draft, Draft::tag);
        let of_name = pick(&self.names, name.as_str());
        let turns: Box<dyn Send> = match &target {
            Target::Exact(version) => {
                let of_version = pick(&self.versions, &(name.as_str(), version.without_build()));
                Box::new((of_name.read_owned().await, of_version.write_owned().await))
            }
            Target::Next(_) => Box::new(of_name.write_owned().await),
        };
        Ok(Ready { draft, target, turns })
    }
}

/// What is wrong with a line that is no JSON, or other JSON; the parser counts lines within it.
fn unread(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(text) => format!("{text}, at column {}", error.column()),
        None => text,
    }
}

fn pick(turns: &[Arc<RwLock<()>>], by: &(impl Hash + ?Sized)) -> Arc<RwLock<()>> {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(by);
    let place = usize::try_from(hash % 1024).unwrap_or_default();
    turns.get(place).cloned().unwrap_or_default()
}

/// The lines of standard input without their ends, read by a thread of its own: at the end of the program nothing waits for it.
fn lines() -> mpsc::Receiver<Result<Vec<u8>, String>> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let (line, more) = match next_line(&mut input) {
                Ok(None) => return,
                Ok(Some(line)) => (line, true),
                // What comes behind can no more be told apart.
                Err(error) => (Err(format!("read standard input: {error}")), false),
            };
            if sender.blocking_send(line).is_err() || !more {
                return;
            }
        }
    });
    lines
}

/// The next line; `None` behind the last one. One that is too long is passed over, and an error.
fn next_line(input: &mut impl BufRead) -> std::io::Result<Option<Result<Vec<u8>, String>>> {
    let (mut line, mut length) = (Vec::new(), 0_usize);
    loop {
        let part = input.fill_buf()?;
        if part.is_empty() && length == 0 {
            return Ok(None);
        }
        let end = part.iter().position(|byte| *byte == b'\n');
        let taken = part.get(..end.unwrap_or(part.len())).unwrap_or_default();
        let ended = end.is_some() || part.is_empty();
        length = length.saturating_add(taken.len());
        if length <= MAX_LINE_BYTES {
            line.extend_from_slice(taken);
        }
        let consumed = taken.len().saturating_add(usize::from(end.is_some()));
        input.consume(consumed);
        if !ended {
            continue;
        }
        if length > MAX_LINE_BYTES {
            let reason = format!("the line has {length} bytes, at most {MAX_LINE_BYTES} are read");
            return Ok(Some(Err(reason)));
        }
        return Ok(Some(Ok(line)));
    }
}
