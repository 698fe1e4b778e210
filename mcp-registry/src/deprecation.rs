use mcp_core::{ArtifactDeprecated, ArtifactRef, Name, Principal, RegistryEvent, Version};

use crate::catalog::{Commit, Marks};
use crate::command::{Command, CommitContext};
use crate::feed::{DeprecationBody, Row, RowKind, YankBody};
use crate::metadata::within;
use crate::request::Request;
use crate::{Registry, RegistryError};

/// A version to be deprecated, or whose deprecation is taken back.
#[derive(Debug)]
pub(crate) struct DeprecateCommand {
    artifact: ArtifactRef,
    deprecated: bool,
    /// What its users are told, or why it is taken back.
    message: String,
    actor: Principal,
    request: Request,
}

impl Registry {
    /// Says to all who look at this version that they should not use it any more. It is found as before, by `latest` too; to take it out,
    /// [`yank`](Self::yank) it. Durable when it returns.
    ///
    /// Another message replaces the one that stands; the same one again records nothing.
    ///
    /// # Errors
    /// By kind: `NotFound` when there is no such version; `Exhausted` for a message beyond `max_metadata_bytes`; `Conflict` for a request
    /// id of another command; `Unavailable` when the outcome may be unknown: call again.
    ///
    /// # Cancel safety
    /// A dropped call has happened or has not, now or a moment later.
    pub async fn deprecate(
        &self,
        name: &Name,
        version: &Version,
        message: impl Into<String>,
    ) -> Result<(), RegistryError> {
        self.set_deprecated(name, version, true, message.into()).await
    }

    /// Takes a deprecation back. A version that is not deprecated stays so, and nothing is recorded.
    ///
    /// # Errors
    /// As [`deprecate`](Self::deprecate) has them.
    ///
    /// # Cancel safety
    /// As that of [`deprecate`](Self::deprecate).
    pub async fn undeprecate(
        &self,
        name: &Name,
        version: &Version,
        reason: impl Into<String>,
    ) -> Result<(), RegistryError> {
        self.set_deprecated(name, version, false, reason.into()).await
    }

    async fn set_deprecated(
        &self,
        name: &Name,
        version: &Version,
        deprecated: bool,
        message: String,
    ) -> Result<(), RegistryError> {
        let limit = self.settings().max_metadata_bytes;
        within("deprecate with this message", message.len(), limit, "max_metadata_bytes")?;
        let artifact = ArtifactRef::new(name.clone(), version.clone());
        let what = if deprecated { "deprecate" } else { "undeprecate" };
        let request = self.request(&[what, &artifact.to_string(), &message]);
        let actor = self.actor().clone();
        let command = DeprecateCommand { artifact, deprecated, message, actor, request };
        self.ask(|reply| Command::Deprecate(command, reply)).await
    }
}

impl DeprecateCommand {
    pub(crate) fn apply(
        self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
    ) -> Result<(), RegistryError> {
        if self.request.is_answered(commit)? {
            return Ok(());
        }
        let now = commit.now();
        let ArtifactRef { name, version } = self.artifact;
        let hit = now.version(&name, &version)?.ok_or_else(|| {
            RegistryError::not_found(format!("{name}@{version}"), "no such version was published")
        })?;
        let marks = now.marks(hit.seq)?;
        let current = now.deprecation(marks)?;
        let version = now.row(hit.seq)?.row.version.unwrap_or(version);
        let stays = match &current {
            Some(current) => self.deprecated && *current == self.message,
            None => !self.deprecated,
        };
        if stays {
            let by = marks.deprecation.unwrap_or(hit.seq);
            return self.request.note(commit, context, &self.actor, (&name, Some(&version)), by);
        }
        let (kind, body) = if self.deprecated {
            let body = DeprecationBody { message: self.message.clone() };
            (RowKind::Deprecated, self.request.encode(&body)?)
        } else {
            (RowKind::Undeprecated, self.request.encode(&YankBody { reason: self.message.clone() })?)
        };
        let row = Row {
            seq: commit.next_seq(),
            kind,
            at: context.at,
            actor: self.actor.clone(),
            request_id: self.request.id(),
            name: Some(name.clone()),
            version: Some(version.clone()),
            content: None,
            body,
        };
        commit.append(&row, None)?;
        commit.set_marks(hit.seq, Marks { deprecation: self.deprecated.then_some(row.seq), ..marks })?;
        let artifact = ArtifactRef::new(name, version);
        let event = ArtifactDeprecated::new(artifact.clone(), self.deprecated, self.message, self.actor);
        context.tell(&artifact, row.seq, RegistryEvent::Deprecated(event));
        Ok(())
    }
}
