use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use mcp_core::{ErrorKind, SeamError, Timestamp};

use super::chunks::{Chunks, Piece};
use super::csv::{Csv, Rows, lines_in};
use super::pass::{Header, Outcome, Pass, check_header, tell, unreadable};
use super::sink::{Failure, FailureSink};
use super::{Quality, QualityState};
use crate::{Document, ValidationError};

/// How records are read from bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// How they are written.
    pub format: RecordFormat,
    /// How many threads look at them. The caller's reads; with one worker it does both. With more, the contract's validators are called on
    /// several threads at once.
    pub workers: NonZeroUsize,
    /// The longest record, in bytes. One that is longer cannot be read.
    pub max_record_bytes: usize,
}

/// How records are written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordFormat {
    /// One JSON object on each line; blank lines are none.
    JsonLines,
    /// A table.
    Csv(Csv),
}

impl Reading {
    /// By one worker, records of at most 1 MiB.
    #[must_use]
    pub const fn new(format: RecordFormat) -> Self {
        Self { format, workers: NonZeroUsize::MIN, max_record_bytes: 1 << 20 }
    }

    /// JSON lines.
    #[must_use]
    pub const fn json_lines() -> Self {
        Self::new(RecordFormat::JsonLines)
    }

    /// CSV with commas, double quotes, and a first row with names.
    #[must_use]
    pub fn csv() -> Self {
        Self::new(RecordFormat::Csv(Csv::default()))
    }

    /// The same with this many workers.
    #[must_use]
    pub const fn workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = workers;
        self
    }
}

impl Quality {
    /// Looks at all records of `input` in one pass. The counts are the same for any number of workers, but for the most frequent values
    /// beyond `max_values`.
    ///
    /// What cannot be read is counted and told to `sink`, with its line and why, and does not end the pass: a row with another number of
    /// cells than there are columns, bytes that are not UTF-8, a quote that is not closed within the longest record (then each line is a
    /// record), a line that is no JSON object, a record beyond `max_record_bytes` or the limits of the contract.
    ///
    /// # Errors
    /// [`ValidationError::NotRead`]: the kind `Unavailable` from the input; `Invalid` for a table without a first row, or with two columns of
    /// one name; `Exhausted` for more columns than `max_fields`. [`ValidationError::NotTaken`] from the sink.
    /// [`ValidationError::NotJudged`] from a validator of the contract. Those of [`pass`](Self::pass).
    pub fn read(
        &self,
        input: impl Read,
        reading: &Reading,
        sink: &mut dyn FailureSink,
    ) -> Result<QualityState, ValidationError> {
        let now = self.now()?;
        let csv = match &reading.format {
            RecordFormat::JsonLines => None,
            RecordFormat::Csv(csv) => Some(csv),
        };
        let mut chunks = Chunks::new(input, csv, reading.max_record_bytes);
        let mut first = chunks.advance()?;
        let mut table = None;
        if let Some(csv) = csv {
            let (names, begin) = header(csv, first.as_ref(), reading.max_record_bytes)?;
            check_header(&names, self.policy.max_fields)?;
            if let Some(Piece::Records { bytes, first_line, .. }) = &mut first {
                *first_line = first_line.saturating_add(lines_in(bytes.get(..begin).unwrap_or_default()));
                bytes.drain(..begin);
            }
            table = Some((csv, names));
        }
        let work = Work { quality: self, now, table, max_record_bytes: reading.max_record_bytes };
        let mut told = Told { quality: self, sink, records: 0 };
        let mut pieces = std::iter::from_fn(|| match first.take() {
            Some(piece) => Some(Ok(piece)),
            None => chunks.advance().transpose(),
        });
        if reading.workers.get() == 1 {
            let mut worker = work.begin();
            for piece in pieces {
                told.tell(&worker.look(&piece?)?)?;
            }
            return Ok(worker.pass.finish());
        }
        in_parallel(&work, reading.workers.get(), &mut pieces, &mut told)
    }
}

/// The names of the columns, and where in the first piece the rows begin.
fn header(
    csv: &Csv,
    first: Option<&Piece>,
    max_record_bytes: usize,
) -> Result<(Arc<[String]>, usize), ValidationError> {
    let refuse = |reason: &str| {
        let context = format!("read the first row of a table, which names its columns: {reason}");
        Err(ValidationError::NotRead { source: SeamError::new(ErrorKind::Invalid, context) })
    };
    if let Some(names) = &csv.columns {
        return Ok((names.as_slice().into(), 0));
    }
    let Some(piece) = first else { return refuse("the input is empty") };
    let Piece::Records { bytes, lines_only, .. } = piece else {
        return refuse(&format!("it is longer than {max_record_bytes} bytes"));
    };
    let mut rows = Rows::new(csv, bytes, *lines_only);
    let row = loop {
        match rows.advance() {
            Some(row) if row.blank => {}
            Some(row) => break row,
            None => return refuse("the input has blank lines only"),
        }
    };
    if row.open {
        return refuse("it has a quote that is never closed");
    }
    if bytes.get(row.start..row.end).is_none_or(|row| std::str::from_utf8(row).is_err()) {
        return refuse("it is not UTF-8");
    }
    let cells = rows.cells();
    Ok((cells.spans.iter().map(|span| cells.text(*span).to_owned()).collect(), rows.at()))
}

/// What is the same for all workers.
struct Work<'q> {
    quality: &'q Quality,
    now: Timestamp,
    table: Option<(&'q Csv, Arc<[String]>)>,
    max_record_bytes: usize,
}

impl<'q> Work<'q> {
    fn begin(&self) -> Worker<'_, 'q> {
        let mut pass = Pass::new(self.quality, self.now);
        let header = self.table.as_ref().map(|(_, names)| pass.known_header(Arc::clone(names)));
        Worker { work: self, pass, header }
    }
}

struct Worker<'w, 'q> {
    work: &'w Work<'q>,
    pass: Pass<'q>,
    header: Option<Header>,
}

/// What was found in one piece.
#[derive(Default)]
struct Found {
    records: u64,
    failures: Vec<Failed>,
}

/// A failure that is told later.
struct Failed {
    /// Within its piece, from 1.
    record: u64,
    line: u64,
    id: Option<Arc<str>>,
    /// Which check, or why it cannot be read.
    what: Result<usize, Box<str>>,
}

impl Worker<'_, '_> {
    fn look(&mut self, piece: &Piece) -> Result<Found, ValidationError> {
        let mut found = Found::default();
        match piece {
            Piece::TooLong { line } => self.too_long(*line, &mut found),
            Piece::Records { bytes, first_line, lines_only } => match (&self.work.table, self.header.clone())
            {
                (Some((csv, _)), Some(header)) => {
                    let rows = Rows::new(csv, bytes, *lines_only);
                    self.rows(rows, bytes, *first_line, &header, &mut found)?;
                }
                _ => self.lines(bytes, *first_line, &mut found)?,
            },
        }
        Ok(found)
    }

    fn rows(
        &mut self,
        mut rows: Rows<'_>,
        bytes: &[u8],
        first_line: u64,
        header: &Header,
        found: &mut Found,
    ) -> Result<(), ValidationError> {
        let all_text = std::str::from_utf8(bytes).is_ok();
        let mut line = first_line;
        while let Some(row) = rows.advance() {
            let begins = line;
            line = line.saturating_add(row.lines);
            if row.blank {
                continue;
            }
            let text = bytes.get(row.start..row.end).unwrap_or_default();
            if text.len() > self.work.max_record_bytes {
                self.too_long(begins, found);
            } else if row.open {
                self.unreadable(begins, "it has a quote that is never closed", found);
            } else if !all_text && std::str::from_utf8(text).is_err() {
                self.unreadable(begins, "it is not UTF-8", found);
            } else {
                let cells = rows.cells();
                let outcome = self.pass.cells(header, &cells);
                let id = || header.id_in(&cells);
                self.note(outcome, begins, id, found)?;
            }
        }
        Ok(())
    }

    fn lines(&mut self, bytes: &[u8], first_line: u64, found: &mut Found) -> Result<(), ValidationError> {
        for (line, text) in (first_line..).zip(bytes.split(|byte| *byte == b'\n')) {
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if text.len() > self.work.max_record_bytes {
                self.too_long(line, found);
                continue;
            }
            let record = Document::json(Bytes::copy_from_slice(text));
            let outcome = self.pass.document(&record);
            let id = matches!(outcome, Ok(Outcome::Counted) if !self.pass.failed().is_empty())
                .then(|| self.pass.id_of(&record))
                .flatten();
            self.note(outcome, line, || id, found)?;
        }
        Ok(())
    }

    fn note(
        &mut self,
        outcome: Result<Outcome, ValidationError>,
        line: u64,
        id: impl FnOnce() -> Option<String>,
        found: &mut Found,
    ) -> Result<(), ValidationError> {
        match outcome {
            Ok(Outcome::Counted) => {
                found.records = found.records.saturating_add(1);
                if !self.pass.failed().is_empty() {
                    let id: Option<Arc<str>> = id().map(Into::into);
                    let record = found.records;
                    let failed = |check: &usize| Failed { record, line, id: id.clone(), what: Ok(*check) };
                    found.failures.extend(self.pass.failed().iter().map(failed));
                }
            }
            Ok(Outcome::Unreadable(reason)) => found.unreadable(line, &reason),
            // What is too much for the contract's limits is too much of this record alone.
            Err(error) if error.kind() == ErrorKind::Exhausted => {
                self.unreadable(line, &error.to_string(), found)
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn too_long(&mut self, line: u64, found: &mut Found) {
        let reason = format!("it is longer than {} bytes", self.work.max_record_bytes);
        self.unreadable(line, &reason, found);
    }

    fn unreadable(&mut self, line: u64, reason: &str, found: &mut Found) {
        self.pass.count_unreadable();
        found.unreadable(line, reason);
    }
}

impl Found {
    fn unreadable(&mut self, line: u64, reason: &str) {
        self.records = self.records.saturating_add(1);
        self.failures.push(Failed { record: self.records, line, id: None, what: Err(reason.into()) });
    }
}

/// Tells failures in the order of the records.
struct Told<'s> {
    quality: &'s Quality,
    sink: &'s mut dyn FailureSink,
    records: u64,
}

impl Told<'_> {
    fn tell(&mut self, found: &Found) -> Result<(), ValidationError> {
        for failed in &found.failures {
            let (record, line) = (self.records.saturating_add(failed.record), Some(failed.line));
            match &failed.what {
                Err(reason) => tell(self.sink, &unreadable(record, line, reason))?,
                Ok(check) => {
                    let check = self.quality.checks.get(*check).map(|target| &*target.text);
                    tell(
                        self.sink,
                        &Failure { record, line, id: failed.id.as_deref(), check, reason: None },
                    )?;
                }
            }
        }
        self.records = self.records.saturating_add(found.records);
        Ok(())
    }
}

type Numbered<T> = (u64, T);
type Looked = Numbered<Result<Found, ValidationError>>;

/// Gives each piece to whichever worker is free. No more than two for each worker are in memory.
fn in_parallel(
    work: &Work<'_>,
    workers: usize,
    pieces: &mut dyn Iterator<Item = Result<Piece, ValidationError>>,
    told: &mut Told<'_>,
) -> Result<QualityState, ValidationError> {
    let (give, taken) = sync_channel::<Numbered<Piece>>(workers);
    let (tell, looked) = channel::<Looked>();
    let taken = Arc::new(Mutex::new(taken));
    thread::scope(|scope| {
        let mut threads = Vec::with_capacity(workers);
        for _ in 0..workers {
            let (taken, tell) = (Arc::clone(&taken), tell.clone());
            let thread = thread::Builder::new()
                .name("mcp-quality".to_owned())
                .spawn_scoped(scope, move || run(work, &taken, &tell))
                .map_err(|error| {
                    let context = format!("start {workers} workers that look at records");
                    not_opened(SeamError::new(ErrorKind::Unavailable, context).with_source(error))
                })?;
            threads.push(thread);
        }
        // What is left belongs to the workers: when the last of them ends, so does its channel.
        drop((tell, taken));
        hand_out(workers, give, &looked, pieces, told)?;
        let mut all = work.quality.state();
        for thread in threads {
            let state = thread.join().map_err(|_| {
                not_opened(SeamError::new(ErrorKind::Internal, "look at records: a worker panicked"))
            })?;
            all.merge(state)?;
        }
        Ok(all)
    })
}

fn not_opened(source: SeamError) -> ValidationError {
    ValidationError::NotOpened { source }
}

/// Hands out all pieces and tells what was found in them, in their order. However it ends, no worker waits for more afterwards.
fn hand_out(
    workers: usize,
    give: SyncSender<Numbered<Piece>>,
    looked: &Receiver<Looked>,
    pieces: &mut dyn Iterator<Item = Result<Piece, ValidationError>>,
    told: &mut Told<'_>,
) -> Result<(), ValidationError> {
    let most = (workers as u64).saturating_mul(2);
    let gone = || not_opened(SeamError::new(ErrorKind::Internal, "look at records: the workers are gone"));
    let mut waiting = BTreeMap::new();
    let (mut given, mut done) = (0_u64, 0_u64);
    let mut give = Some(give);
    loop {
        if given.saturating_sub(done) < most
            && let Some(sender) = &give
        {
            match pieces.next().transpose()? {
                Some(piece) => {
                    sender.send((given, piece)).map_err(|_| gone())?;
                    given = given.saturating_add(1);
                    continue;
                }
                None => give = None,
            }
        }
        if done == given {
            return Ok(());
        }
        let (number, found) = looked.recv().map_err(|_| gone())?;
        waiting.insert(number, found?);
        while let Some(found) = waiting.remove(&done) {
            told.tell(&found)?;
            done = done.saturating_add(1);
        }
    }
}

/// Looks at pieces until there are no more.
fn run(work: &Work<'_>, taken: &Mutex<Receiver<Numbered<Piece>>>, tell: &Sender<Looked>) -> QualityState {
    let mut worker = work.begin();
    loop {
        let piece = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, piece)) = piece else { break };
        if tell.send((number, worker.look(&piece))).is_err() {
            break;
        }
    }
    worker.pass.finish()
}
