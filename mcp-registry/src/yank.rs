use mcp_core::{ArtifactRef, ArtifactYanked, Name, Principal, RegistryEvent, Version};

use crate::catalog::{Commit, VersionHit};
use crate::command::{Command, CommitContext};
use crate::feed::{Row, RowKind, YankBody};
use crate::request::Request;
use crate::{Registry, RegistryError};

/// A version to be yanked or restored.
#[derive(Debug)]
pub(crate) struct YankCommand {
    artifact: ArtifactRef,
    yanked: bool,
    reason: String,
    actor: Principal,
    request: Request,
}

impl Registry {
    /// Takes a version out of `latest` and of requirements; exactly, by channel and by digest it is still found. Durable when it returns.
    ///
    /// One that is yanked already stays so, with its first reason, and nothing is recorded.
    ///
    /// # Errors
    /// By kind: `NotFound` when there is no such version; `Exhausted` for a reason beyond `max_metadata_bytes`; `Conflict` for a request
    /// id of another command; `Unavailable` when the outcome may be unknown: call again.
    ///
    /// # Cancel safety
    /// A dropped call has happened or has not, now or a moment later.
    pub async fn yank(
        &self,
        name: &Name,
        version: &Version,
        reason: impl Into<String>,
    ) -> Result<(), RegistryError> {
        self.set_yanked(name, version, true, reason.into()).await
    }

    /// Takes a yank back. A version that is not yanked stays so, and nothing is recorded.
    ///
    /// # Errors
    /// As [`yank`](Self::yank) has them.
    ///
    /// # Cancel safety
    /// As that of [`yank`](Self::yank).
    pub async fn unyank(
        &self,
        name: &Name,
        version: &Version,
        reason: impl Into<String>,
    ) -> Result<(), RegistryError> {
        self.set_yanked(name, version, false, reason.into()).await
    }

    async fn set_yanked(
        &self,
        name: &Name,
        version: &Version,
        yanked: bool,
        reason: String,
    ) -> Result<(), RegistryError> {
        let (size, limit) = (reason.len() as u64, self.settings().max_metadata_bytes);
        if size > limit {
            let what = format!("yank {name}@{version} with this reason");
            return Err(RegistryError::TooLarge { what, size, limit, setting: "max_metadata_bytes" });
        }
        let artifact = ArtifactRef::new(name.clone(), version.clone());
        let what = if yanked { "yank" } else { "unyank" };
        let request = self.request(&[what, name.as_str(), &version.to_string(), &reason]);
        let command = YankCommand { artifact, yanked, reason, actor: self.actor().clone(), request };
        self.ask(|reply| Command::Yank(command, reply)).await
    }
}

impl YankCommand {
    pub(crate) fn apply(
        self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
    ) -> Result<(), RegistryError> {
        if self.request.is_answered(commit)? {
            return Ok(());
        }
        let ArtifactRef { name, version } = self.artifact;
        let hit = commit.now().version(&name, &version)?.ok_or_else(|| {
            RegistryError::not_found(format!("{name}@{version}"), "no such version was published")
        })?;
        if hit.yank.is_some() == self.yanked {
            let by = hit.yank.unwrap_or(hit.seq);
            return self.request.note(commit, context, &self.actor, (&name, Some(&version)), by);
        }
        let version = commit.now().row(hit.seq)?.row.version.unwrap_or(version);
        let seq = commit.next_seq();
        let row = Row {
            seq,
            kind: if self.yanked { RowKind::Yanked } else { RowKind::Unyanked },
            at: context.at,
            actor: self.actor.clone(),
            request_id: self.request.id(),
            name: Some(name.clone()),
            version: Some(version.clone()),
            content: None,
            body: self.request.encode(&YankBody { reason: self.reason.clone() })?,
        };
        commit.append(&row, None)?;
        commit.set_yank(&name, &version, VersionHit { seq: hit.seq, yank: self.yanked.then_some(seq) }, seq);
        let artifact = ArtifactRef::new(name, version);
        let event = ArtifactYanked::new(artifact.clone(), self.yanked, self.reason, self.actor);
        context.tell(&artifact, seq, RegistryEvent::Yanked(event));
        Ok(())
    }
}
