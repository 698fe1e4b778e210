use mcp_core::{Digest, Digester, Name, Principal, RequestId, Version};
use serde::{Deserialize, Serialize};

use crate::catalog::Commit;
use crate::command::CommitContext;
use crate::feed::{AnsweredBody, Row, RowKind};
use crate::{Registry, RegistryError};

/// By which request a command was sent, and which command that is: a repetition is told from another command with the same id.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    id: Option<RequestId>,
    command: Digest,
}

/// What stands beside the body of each row that a request made, but for publishes: their content says which command it was.
#[derive(Serialize)]
struct WithCommand<'a, T> {
    #[serde(flatten)]
    body: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Digest>,
}

#[derive(Deserialize)]
struct CommandOf {
    command: Option<Digest>,
}

impl Registry {
    /// The request of a command that consists of `parts`.
    pub(crate) fn request(&self, parts: &[&str]) -> Request {
        Request::new(self.request_id().cloned(), parts)
    }
}

impl Request {
    pub(crate) fn new(id: Option<RequestId>, parts: &[&str]) -> Self {
        let mut digester = Digester::new();
        if id.is_some() {
            for part in parts {
                digester.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
            }
        }
        Self { id, command: digester.digest() }
    }

    pub(crate) fn id(&self) -> Option<RequestId> {
        self.id.clone()
    }

    /// Whether this very command was answered before. Another command with its id is a conflict.
    pub(crate) fn is_answered(&self, commit: &Commit<'_>) -> Result<bool, RegistryError> {
        let Some(id) = &self.id else { return Ok(false) };
        let Some(row) = commit.now().request(id)? else { return Ok(false) };
        // A publish keeps no digest: it is another command in any case.
        if row.kind != RowKind::Published && self.is_of(&row)? {
            return Ok(true);
        }
        Err(reused(id, &row))
    }

    /// Whether `row` was made by this command.
    pub(crate) fn is_of(&self, row: &Row) -> Result<bool, RegistryError> {
        Ok(row.read_body::<CommandOf>()?.command == Some(self.command))
    }

    /// The JSON of a row that this command makes.
    pub(crate) fn encode(&self, body: &impl Serialize) -> Result<String, RegistryError> {
        crate::feed::encode_body(&WithCommand { body, command: self.id.as_ref().map(|_| self.command) })
    }

    /// Records, where there is an id, that the command had nothing to do since the row `by`.
    pub(crate) fn note(
        &self,
        commit: &mut Commit<'_>,
        context: &CommitContext<'_>,
        actor: &Principal,
        (name, version): (&Name, Option<&Version>),
        by: u64,
    ) -> Result<(), RegistryError> {
        if self.id.is_none() {
            return Ok(());
        }
        let row = Row {
            seq: commit.next_seq(),
            kind: RowKind::Answered,
            at: context.at,
            actor: actor.clone(),
            request_id: self.id(),
            name: Some(name.clone()),
            version: version.cloned(),
            content: None,
            body: self.encode(&AnsweredBody { by })?,
        };
        commit.append(&row, None)
    }
}

/// The id belongs to the command that made `row`.
pub(crate) fn reused(id: &RequestId, row: &Row) -> RegistryError {
    let verb = match row.kind {
        RowKind::Published => "published",
        RowKind::Yanked => "yanked",
        RowKind::Unyanked => "restored",
        RowKind::ChannelMoved => "moved a channel of",
        RowKind::ChannelRemoved => "removed a channel of",
        RowKind::LabelsChanged => "changed the labels of",
        RowKind::Deprecated => "deprecated",
        RowKind::Undeprecated => "took back the deprecation of",
        RowKind::Answered => "asked for something of",
        RowKind::Pinned | RowKind::Released => "changed the pins of",
    };
    let name = row.name.as_ref().map_or_else(String::new, ToString::to_string);
    let version = row.version.as_ref().map_or_else(String::new, |version| format!("@{version}"));
    RegistryError::RequestReused {
        request_id: id.clone(),
        seq: row.seq,
        did: format!("{verb} {name}{version}"),
    }
}
