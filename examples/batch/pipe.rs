//! JSON lines in, one line out for each, in order, judged by several threads.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A longer line is not read, and no more bytes of lines wait for their answers at the same time.
pub const MAX_LINE_BYTES: usize = 256 << 20;
/// Of a line that is too long, so much is kept: what it is called usually stands there.
const KEPT: usize = 64 << 10;
/// Lines are handed on together, up to so many and so many bytes; never waiting for more of them to come.
const CHUNK_LINES: usize = 64;
const CHUNK_BYTES: usize = 256 << 10;

/// What makes of a line its answer, without the end of the line.
pub trait Answers: Send + Sync + 'static {
    /// The answer to one line.
    fn answer(&self, line: &[u8]) -> String;
    /// The answer to a line that could not be used; as much of it as was kept, and why.
    fn refuse(&self, line: &[u8], reason: &str) -> String;
}

/// One line, or the beginning of one and why it was not read.
struct Line {
    bytes: Vec<u8>,
    fault: Option<String>,
}

struct Chunk {
    lines: Vec<Line>,
    answers: SyncSender<Vec<u8>>,
}

struct Waiting {
    answers: Receiver<Vec<u8>>,
    bytes: usize,
}

/// How many bytes of lines may still be read.
struct Room {
    left: Mutex<usize>,
    more: Condvar,
}

impl Room {
    fn left(&self) -> MutexGuard<'_, usize> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for so many bytes; there always is when nothing else is held.
    fn take(&self, bytes: usize) {
        let enough = bytes.min(MAX_LINE_BYTES);
        let left = self.more.wait_while(self.left(), |left| *left < enough);
        let mut left = left.unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_sub(enough);
    }

    fn give(&self, bytes: usize) {
        let mut left = self.left();
        *left = left.saturating_add(bytes.min(MAX_LINE_BYTES));
        self.more.notify_all();
    }
}

/// Answers each line of `input` by one of `output`, in order. The threads end with the program: when `output` is closed, the one that reads
/// may wait for a line still.
///
/// # Errors
/// Those of `output`; and those of `input`, when all that was read before has been answered.
pub fn run(
    answers: Arc<impl Answers>,
    input: impl Read + Send + 'static,
    mut output: impl Write,
) -> io::Result<()> {
    let threads = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let room = Arc::new(Room { left: Mutex::new(MAX_LINE_BYTES), more: Condvar::new() });
    let (work, works) = mpsc::sync_channel::<Chunk>(threads);
    let (order, ordered) = mpsc::sync_channel::<Waiting>(threads * 4);
    let works = Arc::new(Mutex::new(works));
    for _ in 0..threads {
        let (works, answers) = (Arc::clone(&works), Arc::clone(&answers));
        thread::Builder::new().name("judge".to_owned()).spawn(move || work_off(&works, answers.as_ref()))?;
    }
    let reading = Arc::clone(&room);
    let input = BufReader::with_capacity(CHUNK_BYTES, input);
    let reader = thread::spawn(move || read(input, &reading, &work, &order));
    for waiting in ordered {
        let answered =
            waiting.answers.recv().map_err(|_| io::Error::other("a thread that judges has ended"))?;
        output.write_all(&answered)?;
        output.flush()?;
        room.give(waiting.bytes);
    }
    reader.join().unwrap_or_else(|_| Err(io::Error::other("the thread that reads has ended")))
}

fn read(
    mut input: BufReader<impl Read>,
    room: &Room,
    work: &SyncSender<Chunk>,
    order: &SyncSender<Waiting>,
) -> io::Result<()> {
    while let Some(first) = next_line(&mut input)? {
        let (mut lines, mut bytes, mut fault) = (vec![first], 0_usize, None);
        bytes += lines.iter().map(|line| line.bytes.len()).sum::<usize>();
        while lines.len() < CHUNK_LINES && bytes < CHUNK_BYTES && input.buffer().contains(&b'\n') {
            match next_line(&mut input) {
                Ok(Some(line)) => {
                    bytes += line.bytes.len();
                    lines.push(line);
                }
                Ok(None) => break,
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        room.take(bytes);
        let (answers, answered) = mpsc::sync_channel(1);
        // Nobody takes them any more once the output is closed.
        if work.send(Chunk { lines, answers }).is_err()
            || order.send(Waiting { answers: answered, bytes }).is_err()
        {
            return Ok(());
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
    }
    Ok(())
}

/// The next line without its end; `None` behind the last.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    loop {
        let part = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            part => part?,
        };
        if part.is_empty() && length == 0 {
            return Ok(None);
        }
        let end = part.iter().position(|byte| *byte == b'\n');
        let taken = part.get(..end.unwrap_or(part.len())).unwrap_or_default();
        let ended = end.is_some() || part.is_empty();
        length = length.saturating_add(taken.len());
        if length <= MAX_LINE_BYTES {
            bytes.extend_from_slice(taken);
        } else if bytes.len() > KEPT {
            bytes.truncate(KEPT);
            bytes.shrink_to_fit();
        }
        // Counted, so that an empty line is not taken for the end.
        length = length.saturating_add(usize::from(end.is_some()));
        let consumed = taken.len().saturating_add(usize::from(end.is_some()));
        input.consume(consumed);
        if ended {
            let length = length.saturating_sub(usize::from(end.is_some()));
            let fault = (length > MAX_LINE_BYTES)
                .then(|| format!("the line has {length} bytes, at most {MAX_LINE_BYTES} are read"));
            return Ok(Some(Line { bytes, fault }));
        }
    }
}

fn work_off(works: &Mutex<Receiver<Chunk>>, answers: &impl Answers) {
    loop {
        let received = works.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(chunk) = received else { return };
        let mut text = Vec::new();
        for line in chunk.lines {
            text.extend_from_slice(one(answers, &line).as_bytes());
            text.push(b'\n');
        }
        // Whoever writes has given up: so does whoever reads.
        let _sent = chunk.answers.send(text);
    }
}

/// Whatever it is, the next line gets its answer, too.
fn one(answers: &impl Answers, line: &Line) -> String {
    if let Some(fault) = &line.fault {
        return answers.refuse(&line.bytes, fault);
    }
    let answered = panic::catch_unwind(AssertUnwindSafe(|| answers.answer(&line.bytes)));
    answered.unwrap_or_else(|_| {
        answers.refuse(&line.bytes, "judge the line: the judge panicked, which is a fault of it")
    })
}
