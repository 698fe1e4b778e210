use mcp_core::{Event, RegistryEvent, Source, Timestamp};
use tokio::sync::oneshot;

use crate::RegistryError;
use crate::bump::Skipped;
use crate::catalog::Commit;
use crate::channel::{ChannelCommand, RemoveChannelCommand};
use crate::deprecation::DeprecateCommand;
use crate::entry::Published;
use crate::labels::LabelsCommand;
use crate::packs::WriterPacks;
use crate::pin::{PinCommand, ReleaseCommand};
use crate::publish::PublishCommand;
use crate::registry::Opening;
use crate::stored::Stored;
use crate::yank::YankCommand;

type Reply<T> = oneshot::Sender<Result<T, RegistryError>>;

/// What the committer is asked to do, and where its answer goes.
pub(crate) enum Command {
    Publish(Box<PublishCommand>, Reply<Published>),
    Yank(YankCommand, Reply<()>),
    MoveChannel(ChannelCommand, Reply<()>),
    RemoveChannel(RemoveChannelCommand, Reply<()>),
    SetLabels(LabelsCommand, Reply<()>),
    Deprecate(DeprecateCommand, Reply<()>),
    Pin(PinCommand, Reply<()>),
    Release(ReleaseCommand, Reply<()>),
    /// Finish, and give the folder back.
    Close(Reply<()>),
}

/// What the commands of one commit share.
pub(crate) struct CommitContext<'a> {
    pub(crate) at: Timestamp,
    pub(crate) packs: &'a mut WriterPacks,
    pub(crate) source: &'a Source,
    pub(crate) opening: &'a Opening,
    pub(crate) skipped: &'a mut Skipped,
    pub(crate) stored: &'a mut Stored,
    /// What will have happened once the commit is durable.
    pub(crate) events: Vec<Event>,
}

impl CommitContext<'_> {
    pub(crate) fn tell(&mut self, subject: &dyn std::fmt::Display, seq: u64, event: RegistryEvent) {
        self.events.push(Event::new(self.at, self.source.clone(), subject.to_string(), seq, event));
    }

    /// One position has at most one event: a second one about it stands apart from the feed.
    pub(crate) fn tell_apart(&mut self, subject: &dyn std::fmt::Display, event: RegistryEvent) {
        self.events.push(self.opening.event(self.at, &subject.to_string(), event));
    }
}

/// An outcome that waits for its commit to become durable.
pub(crate) enum Answer {
    Published(Reply<Published>, Result<Published, RegistryError>),
    Done(Reply<()>, Result<(), RegistryError>),
}

impl Answer {
    /// Tells the caller; one that has gone away is no error.
    pub(crate) fn give(self) {
        match self {
            Self::Published(reply, outcome) => drop(reply.send(outcome)),
            Self::Done(reply, outcome) => drop(reply.send(outcome)),
        }
    }
}

impl Command {
    /// Adds this command to a commit. `Err` means that the commit as a whole has failed; what only this command has done wrong stands in
    /// its answer.
    pub(crate) fn apply(
        self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), RegistryError> {
        let failure = match self {
            Self::Publish(mut command, reply) => {
                let (outcome, failure) = part(command.apply(commit, context));
                answers.push(Answer::Published(reply, outcome));
                failure
            }
            Self::Yank(command, reply) => done(command.apply(commit, context), reply, answers),
            Self::MoveChannel(command, reply) => done(command.apply(commit, context), reply, answers),
            Self::RemoveChannel(command, reply) => done(command.apply(commit, context), reply, answers),
            Self::SetLabels(command, reply) => done(command.apply(commit, context), reply, answers),
            Self::Deprecate(command, reply) => done(command.apply(commit, context), reply, answers),
            Self::Pin(command, reply) => done(command.apply(commit, context), reply, answers),
            Self::Release(command, reply) => done(command.apply(commit, context), reply, answers),
            // Handled before a commit begins.
            Self::Close(reply) => done(Ok(()), reply, answers),
        };
        failure.map_or(Ok(()), Err)
    }

    /// How many bytes it may add to a pack.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Publish(command, _) => command.bytes(),
            _ => 0,
        }
    }

    /// Answers without having been tried.
    pub(crate) fn refuse(self, error: RegistryError) -> Answer {
        match self {
            Self::Publish(_, reply) => Answer::Published(reply, Err(error)),
            Self::Yank(_, reply)
            | Self::MoveChannel(_, reply)
            | Self::RemoveChannel(_, reply)
            | Self::SetLabels(_, reply)
            | Self::Deprecate(_, reply)
            | Self::Pin(_, reply)
            | Self::Release(_, reply)
            | Self::Close(reply) => Answer::Done(reply, Err(error)),
        }
    }
}

fn done(
    outcome: Result<(), RegistryError>,
    reply: Reply<()>,
    answers: &mut Vec<Answer>,
) -> Option<RegistryError> {
    let (outcome, failure) = part(outcome);
    answers.push(Answer::Done(reply, outcome));
    failure
}

/// Parts what one command has done wrong from a failure of the database, which no command of the commit survives.
fn part<T>(outcome: Result<T, RegistryError>) -> (Result<T, RegistryError>, Option<RegistryError>) {
    match outcome {
        Err(error @ RegistryError::Catalog { .. }) => (Err(error.stopping()), Some(error)),
        other => (other, None),
    }
}
