use mcp_core::{
    ArtifactRef, ChannelMoved, ChannelRemoved, Name, ParseError, Principal, RegistryEvent, Version,
};

use crate::catalog::Commit;
use crate::command::{Command, CommitContext};
use crate::feed::{ChannelBody, Row, RowKind};
use crate::request::Request;
use crate::{Registry, RegistryError};

/// Where a channel must point for it to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nowhere: there is no such channel yet.
    Absent,
    /// At this version.
    At(Version),
    /// Wherever it points, or not.
    Any,
}

/// A channel to be moved.
#[derive(Debug)]
pub(crate) struct ChannelCommand {
    name: Name,
    channel: Name,
    to: Version,
    expect: Expect,
    actor: Principal,
    request: Request,
}

/// A channel to be removed.
#[derive(Debug)]
pub(crate) struct RemoveChannelCommand {
    name: Name,
    channel: Name,
    expect: Expect,
    actor: Principal,
    request: Request,
}

impl Expect {
    /// Whether a channel that points at `current` is where it was expected.
    fn is_met(&self, current: Option<&Version>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => current.is_none(),
            Self::At(version) => current.is_some_and(|current| current.same_precedence(version)),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Any => "any version".to_owned(),
            Self::Absent => "no version".to_owned(),
            Self::At(version) => version.to_string(),
        }
    }
}

impl Registry {
    /// Points `channel` of `name` at `version`, if it points where `expect` says: compare and swap. Durable when it returns.
    ///
    /// A channel that is where it shall go stays, whatever was expected, and nothing is recorded: so a call can be repeated.
    ///
    /// # Errors
    /// By kind: `Invalid` for a channel that is no [`Name`]; `NotFound` when there is no such version; `Conflict` when the version is
    /// yanked ([`Yanked`](RegistryError::Yanked)) or the channel points elsewhere
    /// ([`ChannelElsewhere`](RegistryError::ChannelElsewhere)); `Unavailable` when the outcome may be unknown: call again.
    ///
    /// # Cancel safety
    /// A dropped call has moved the channel or has not, now or a moment later.
    pub async fn set_channel<C: TryInto<Name, Error: Into<ParseError>>>(
        &self,
        name: &Name,
        channel: C,
        version: &Version,
        expect: Expect,
    ) -> Result<(), RegistryError> {
        let channel = channel.try_into().map_err(Into::into)?;
        let (shown, to) = (expect.shown(), version.to_string());
        let request = self.request(&["set channel", name.as_str(), channel.as_str(), &to, &shown]);
        let command = ChannelCommand {
            name: name.clone(),
            channel,
            to: version.clone(),
            expect,
            actor: self.actor().clone(),
            request,
        };
        self.ask(|reply| Command::MoveChannel(command, reply)).await
    }

    /// Removes `channel` of `name`, if it points where `expect` says: compare and swap. Durable when it returns. Its history stays, and
    /// it may be made again.
    ///
    /// A channel that was removed already stays so, whatever was expected, and nothing is recorded.
    ///
    /// # Errors
    /// By kind: `Invalid` for a channel that is no [`Name`]; `NotFound` when there never was such a channel; `Conflict` when it points
    /// elsewhere ([`ChannelElsewhere`](RegistryError::ChannelElsewhere)); `Unavailable` when the outcome may be unknown: call again.
    ///
    /// # Cancel safety
    /// A dropped call has removed the channel or has not, now or a moment later.
    pub async fn remove_channel<C: TryInto<Name, Error: Into<ParseError>>>(
        &self,
        name: &Name,
        channel: C,
        expect: Expect,
    ) -> Result<(), RegistryError> {
        let channel = channel.try_into().map_err(Into::into)?;
        let request = self.request(&["remove channel", name.as_str(), channel.as_str(), &expect.shown()]);
        let actor = self.actor().clone();
        let command = RemoveChannelCommand { name: name.clone(), channel, expect, actor, request };
        self.ask(|reply| Command::RemoveChannel(command, reply)).await
    }
}

impl ChannelCommand {
    pub(crate) fn apply(
        self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
    ) -> Result<(), RegistryError> {
        if self.request.is_answered(commit)? {
            return Ok(());
        }
        let artifact = ArtifactRef::new(self.name.clone(), self.to.clone());
        let hit = commit
            .now()
            .version(&self.name, &self.to)?
            .ok_or_else(|| RegistryError::not_found(artifact.to_string(), "no such version was published"))?;
        if hit.yank.is_some() {
            return Err(RegistryError::Yanked { what: "move a channel", artifact });
        }
        // As it was published, build metadata included.
        let to = commit.now().row(hit.seq)?.row.version.unwrap_or(self.to);
        let before = commit.now().channel(&self.name, &self.channel)?;
        let from = before.as_ref().and_then(|row| row.version.clone());
        // Also what a caller repeats who has not heard that it was done.
        if let Some(row) = before.as_ref().filter(|_| from.as_ref() == Some(&to)) {
            return self.request.note(commit, context, &self.actor, (&self.name, Some(&to)), row.seq);
        }
        if !self.expect.is_met(from.as_ref()) {
            let (name, channel, expected) = (self.name, self.channel, self.expect.shown());
            return Err(RegistryError::ChannelElsewhere { name, channel, expected, current: from });
        }
        let body = ChannelBody {
            channel: self.channel.clone(),
            from: from.clone(),
            previous: before.map(|row| row.seq),
        };
        let seq = commit.next_seq();
        let row = Row {
            seq,
            kind: RowKind::ChannelMoved,
            at: context.at,
            actor: self.actor.clone(),
            request_id: self.request.id(),
            name: Some(self.name.clone()),
            version: Some(to.clone()),
            content: None,
            body: self.request.encode(&body)?,
        };
        commit.append(&row, None)?;
        commit.set_channel(&self.name, &self.channel, seq)?;
        let subject = format!("{}:{}", self.name, self.channel);
        let moved = ChannelMoved::new(self.name, self.channel, from, to, self.actor);
        context.tell(&subject, seq, RegistryEvent::ChannelMoved(moved));
        Ok(())
    }
}

impl RemoveChannelCommand {
    pub(crate) fn apply(
        self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
    ) -> Result<(), RegistryError> {
        if self.request.is_answered(commit)? {
            return Ok(());
        }
        let before = commit.now().channel(&self.name, &self.channel)?.ok_or_else(|| {
            RegistryError::not_found(format!("channel {} of {}", self.channel, self.name), "it was never set")
        })?;
        let Some(from) = before.version else {
            return self.request.note(commit, context, &self.actor, (&self.name, None), before.seq);
        };
        if !self.expect.is_met(Some(&from)) {
            let (name, channel, expected) = (self.name, self.channel, self.expect.shown());
            return Err(RegistryError::ChannelElsewhere { name, channel, expected, current: Some(from) });
        }
        let body = ChannelBody {
            channel: self.channel.clone(),
            from: Some(from.clone()),
            previous: Some(before.seq),
        };
        let row = Row {
            seq: commit.next_seq(),
            kind: RowKind::ChannelRemoved,
            at: context.at,
            actor: self.actor.clone(),
            request_id: self.request.id(),
            name: Some(self.name.clone()),
            version: None,
            content: None,
            body: self.request.encode(&body)?,
        };
        commit.append(&row, None)?;
        commit.set_channel(&self.name, &self.channel, row.seq)?;
        let subject = format!("{}:{}", self.name, self.channel);
        let removed = ChannelRemoved::new(self.name, self.channel, from, self.actor);
        context.tell(&subject, row.seq, RegistryEvent::ChannelRemoved(removed));
        Ok(())
    }
}
