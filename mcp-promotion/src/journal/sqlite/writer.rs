use std::sync::mpsc::Receiver;

use mcp_core::{ErrorKind, Name, SeamError};
use rusqlite::TransactionBehavior;

use super::file::JournalFile;
use super::{Append, JournalError, Reply, failed, rows};

/// The most appends that share one transaction.
const MAX_GROUP: usize = 1024;
/// The most bytes of events that share one transaction, the one append excepted that goes beyond.
const MAX_GROUP_BYTES: usize = 16 * 1024 * 1024;

/// One append, and who waits for it.
pub(super) struct Job {
    pub(super) batch: Vec<Append>,
    pub(super) reply: Reply<()>,
}

impl Job {
    fn bytes(&self) -> usize {
        self.batch.iter().flat_map(|append| &append.events).map(Vec::len).sum()
    }
}

/// What the thread that writes is asked for.
pub(super) enum Write {
    Append(Job),
    Keep { stream: Name, snapshot: Vec<u8>, reply: Reply<()> },
}

/// Writes until every handle is gone: appends that have come while a transaction was under way share the next one, and a snapshot waits for
/// those before it.
pub(super) fn serve(file: &mut JournalFile, waiting: &Receiver<Write>) {
    while let Ok(first) = waiting.recv() {
        let (mut bytes, mut group, mut next) = (0_usize, Vec::new(), Some(first));
        while let Some(Write::Append(job)) = next {
            bytes = bytes.saturating_add(job.bytes());
            group.push(job);
            let more = group.len() < MAX_GROUP && bytes < MAX_GROUP_BYTES;
            next = more.then(|| waiting.try_recv().ok()).flatten();
        }
        if !group.is_empty() {
            append(file, group);
        }
        if let Some(Write::Keep { stream, snapshot, reply }) = next {
            drop(reply.send(rows::keep(file.connection(), &stream, &snapshot)));
        }
    }
}

/// All in one transaction. What is wrong with one append leaves out only that one; where the database fails, none has happened.
///
/// A caller that no longer listens is no error.
pub(super) fn append(file: &mut JournalFile, group: Vec<Job>) {
    match commit(file, &group) {
        Ok(outcomes) => {
            for (job, outcome) in group.into_iter().zip(outcomes) {
                drop(job.reply.send(outcome));
            }
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            for job in group {
                let copy = SeamError::new(error.kind(), error.to_string());
                drop(job.reply.send(Err(match &cause {
                    Some(cause) => copy.with_source(cause.clone()),
                    None => copy,
                })));
            }
        }
    }
}

fn commit(file: &mut JournalFile, group: &[Job]) -> Result<Vec<Result<(), JournalError>>, JournalError> {
    const WHAT: &str = "append to the journal";
    let transaction = file
        .connection_mut()
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed(WHAT))?;
    let mut outcomes = Vec::with_capacity(group.len());
    for Job { batch, .. } in group {
        outcomes.push(match rows::check(&transaction, batch) {
            Ok(()) => Ok(rows::insert(&transaction, batch)?),
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(error) => Err(error),
        });
    }
    transaction.commit().map_err(failed(WHAT))?;
    file.is_still_there()?;
    Ok(outcomes)
}
