use mcp_core::{ArtifactRef, ChannelMoved, Name, ParseError, Principal, RegistryEvent, Version};

use crate::catalog::Commit;
use crate::command::{Command, CommitContext};
use crate::feed::{ChannelBody, Row, RowKind, encode_body};
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
        let command = ChannelCommand {
            name: name.clone(),
            channel: channel.try_into().map_err(Into::into)?,
            to: version.clone(),
            expect,
            actor: self.actor().clone(),
        };
        self.ask(|reply| Command::MoveChannel(command, reply)).await
    }
}

impl ChannelCommand {
    pub(crate) fn apply(
        self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
    ) -> Result<(), RegistryError> {
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
        let (met, expected) = match &self.expect {
            Expect::Any => (true, String::new()),
            Expect::Absent => (from.is_none(), "no version".to_owned()),
            Expect::At(version) => {
                (from.as_ref().is_some_and(|from| from.same_precedence(version)), version.to_string())
            }
        };
        // Also what a caller repeats who has not heard that it was done.
        if from.as_ref() == Some(&to) {
            return Ok(());
        }
        if !met {
            let (name, channel) = (self.name, self.channel);
            return Err(RegistryError::ChannelElsewhere { name, channel, expected, current: from });
        }
        let body = ChannelBody {
            channel: self.channel.clone(),
            from: from.clone(),
            previous: before.map(|row| row.seq),
        };
        let row = Row {
            seq: commit.next_seq(),
            kind: RowKind::ChannelMoved,
            at: context.at,
            actor: self.actor.clone(),
            request_id: None,
            name: Some(self.name.clone()),
            version: Some(to.clone()),
            content: None,
            body: encode_body(&body)?,
        };
        commit.append(&row, None)?;
        commit.set_channel(&self.name, &self.channel, row.seq)?;
        let subject = format!("{}:{}", self.name, self.channel);
        let moved = ChannelMoved::new(self.name, self.channel, from, Some(to), self.actor);
        context.tell(&subject, row.seq, RegistryEvent::ChannelMoved(moved));
        Ok(())
    }
}
