use async_trait::async_trait;
use mcp_core::{Artifact, Holder, Pin, Principal, SeamError, Timestamp};

use crate::catalog::Commit;
use crate::command::{Command, CommitContext};
use crate::feed::{PinBody, ReleaseBody, Row, RowKind, encode_body};
use crate::{Registry, RegistryError};

/// The most artifacts that one call pins.
const MAX_ARTIFACTS: usize = 10_000;

/// One artifact that a holder keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pinned {
    /// Who keeps it.
    pub holder: Holder,
    /// What is kept.
    pub artifact: Artifact,
    /// Until when; `None` until it is released.
    pub expires: Option<Timestamp>,
}

/// Artifacts to be pinned, all or none.
#[derive(Debug)]
pub(crate) struct PinCommand {
    holder: Holder,
    artifacts: Vec<Artifact>,
    expires: Option<Timestamp>,
    actor: Principal,
}

/// A holder's pins to be given up.
#[derive(Debug)]
pub(crate) struct ReleaseCommand {
    holder: Holder,
    actor: Principal,
}

impl Registry {
    /// Every pin that has not expired by the lent clock, by holder and then in the order of publishing.
    ///
    /// # Errors
    /// `Corrupt` or `Unavailable` when the catalog cannot be read.
    pub async fn pins(&self) -> Result<Vec<Pinned>, RegistryError> {
        let now = self.clock().now();
        self.readers().read(move |snapshot| snapshot.pins(now)).await
    }
}

#[async_trait]
impl Pin for Registry {
    /// At most 10,000 artifacts in one call; more is `Exhausted`. The same pins again record nothing.
    async fn pin(
        &self,
        holder: &Holder,
        artifacts: &[Artifact],
        expires: Option<Timestamp>,
    ) -> Result<(), SeamError> {
        if artifacts.len() > MAX_ARTIFACTS {
            let error = RegistryError::TooLarge {
                what: format!("pin artifacts for {holder}"),
                size: artifacts.len() as u64,
                limit: MAX_ARTIFACTS as u64,
                setting: "one call",
            };
            return Err(error.into());
        }
        let command = PinCommand {
            holder: holder.clone(),
            artifacts: artifacts.to_vec(),
            expires,
            actor: self.actor().clone(),
        };
        Ok(self.ask(|reply| Command::Pin(command, reply)).await?)
    }

    async fn release(&self, holder: &Holder) -> Result<(), SeamError> {
        let command = ReleaseCommand { holder: holder.clone(), actor: self.actor().clone() };
        Ok(self.ask(|reply| Command::Release(command, reply)).await?)
    }
}

impl PinCommand {
    pub(crate) fn apply(
        self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
    ) -> Result<(), RegistryError> {
        let mut publishes = Vec::with_capacity(self.artifacts.len());
        let mut changed = false;
        for artifact in &self.artifacts {
            let reference = &artifact.reference;
            let hit = commit.now().version(&reference.name, &reference.version)?.ok_or_else(|| {
                RegistryError::not_found(reference.to_string(), "no such version was published")
            })?;
            let found = commit.now().row(hit.seq)?.row.content.map(|content| content.digest);
            if let Some(found) = found.filter(|found| *found != artifact.digest) {
                return Err(RegistryError::OtherDigest { artifact: reference.clone(), found });
            }
            changed |= commit.now().pin(&self.holder, hit.seq)? != Some(self.expires);
            publishes.push(hit.seq);
        }
        if !changed {
            return Ok(());
        }
        let body = PinBody { holder: self.holder.clone(), artifacts: self.artifacts, expires: self.expires };
        commit
            .append(&holder_row(commit, context, RowKind::Pinned, self.actor, encode_body(&body)?), None)?;
        publishes.into_iter().try_for_each(|publish| commit.set_pin(&self.holder, publish, self.expires))
    }
}

impl ReleaseCommand {
    pub(crate) fn apply(
        self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
    ) -> Result<(), RegistryError> {
        if !commit.has_pins(&self.holder)? {
            return Ok(());
        }
        let body = ReleaseBody { holder: self.holder.clone() };
        commit
            .append(&holder_row(commit, context, RowKind::Released, self.actor, encode_body(&body)?), None)?;
        commit.remove_pins(&self.holder)
    }
}

fn holder_row(
    commit: &Commit<'_>,
    context: &CommitContext<'_>,
    kind: RowKind,
    actor: Principal,
    body: String,
) -> Row {
    let seq = commit.next_seq();
    Row { seq, kind, at: context.at, actor, request_id: None, name: None, version: None, content: None, body }
}
