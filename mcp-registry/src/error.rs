use std::collections::BTreeMap;
use std::error::Error;

use mcp_core::{
    ArtifactRef, Digest, ErrorKind, Finding, Id, Name, ParseError, RequestId, SeamError, Timestamp, Version,
};

/// Why the registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Text that is not a name, version, channel or the like.
    #[error(transparent)]
    Malformed {
        /// What was read, and why it was refused.
        source: ParseError,
    },
    /// A request that makes no sense as it is.
    #[error("{what}: {reason}")]
    Invalid {
        /// What was attempted.
        what: String,
        /// Why it cannot be done.
        reason: String,
    },
    /// Nothing is there under what was asked for.
    #[error("find {what}: {reason}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// What there is instead.
        reason: String,
    },
    /// The version exists with other content: a published version never changes.
    #[error("publish {artifact}: it exists with {existing}, and {reason}; publish another version")]
    VersionTaken {
        /// The version as it exists, build metadata included.
        artifact: ArtifactRef,
        /// The digest that is there.
        existing: Digest,
        /// What differs.
        reason: &'static str,
    },
    /// The channel does not point where the caller expected.
    #[error("move channel {channel} of {name}, expected at {expected}: it is at {}", shown(.current))]
    ChannelElsewhere {
        /// Of which name.
        name: Name,
        /// Which channel.
        channel: Name,
        /// What the caller expected.
        expected: String,
        /// Where it points; `None` when there is no such channel.
        current: Option<Version>,
    },
    /// The version is yanked, and what was asked for needs one that is not.
    #[error("{what}: {artifact} is yanked")]
    Yanked {
        /// What was attempted.
        what: &'static str,
        /// Which version.
        artifact: ArtifactRef,
    },
    /// The version exists with another digest than the caller names.
    #[error("pin {artifact} with another digest: it has {found}")]
    OtherDigest {
        /// Which version.
        artifact: ArtifactRef,
        /// The digest that was published.
        found: Digest,
    },
    /// The labels are not those that the caller expected.
    #[error(
        "change the labels of {artifact}: they are {current:?}, and other ones were expected; look at them first"
    )]
    LabelsElsewhere {
        /// Of which version.
        artifact: ArtifactRef,
        /// What they are.
        current: BTreeMap<String, String>,
    },
    /// The request id belongs to another command.
    #[error("use request id {request_id}: it {did} in row {seq}, which is something else; choose a new one")]
    RequestReused {
        /// Which id.
        request_id: RequestId,
        /// The row of the change feed that it made.
        seq: u64,
        /// What it did, such as `published app@1.0.0`.
        did: String,
    },
    /// Admission refused the artifact; nothing was stored.
    #[error("publish {name}: refused with {} findings, the first being: {}", .findings.len(), first(.findings))]
    Refused {
        /// What it would have been called.
        name: Name,
        /// What was seen.
        findings: Vec<Finding>,
        /// Whether there was more than `findings` holds.
        truncated: bool,
    },
    /// Admission could not be asked; nothing was stored.
    #[error("inspect {name} before it is published")]
    Inspection {
        /// What it would have been called.
        name: Name,
        /// Why there is no verdict.
        source: SeamError,
    },
    /// The stream or file that is to be published could not be read; nothing was stored.
    #[error("read the bytes of {name} that are to be published")]
    Input {
        /// What it would have been called.
        name: Name,
        /// Why they could not be read.
        source: SeamError,
    },
    /// The artifact could not be compared with the one before it; nothing was stored.
    #[error("compare {name} with its highest version")]
    Classification {
        /// What was to be published.
        name: Name,
        /// Why there is no answer.
        source: SeamError,
    },
    /// Others published the name each time that it was compared with its highest version.
    #[error(
        "publish the next version of {name}: its highest version changed whenever it was compared; try again"
    )]
    HeadMoved {
        /// What was to be published.
        name: Name,
    },
    /// What was asked for needs something that the registry was opened without.
    #[error("{what}: {reason}")]
    Unsupported {
        /// What was attempted.
        what: String,
        /// What is missing.
        reason: &'static str,
    },
    /// More than a limit allows.
    #[error("{what}: {size} is more than {limit}, the limit of {setting}")]
    TooLarge {
        /// What was attempted.
        what: String,
        /// How much there is.
        size: u64,
        /// How much is allowed.
        limit: u64,
        /// Which setting or argument allows it.
        setting: &'static str,
    },
    /// Another process, or another handle of this one, writes to the folder.
    #[error("open {place} for writing: it is locked by {holder}; wait for it, or open read-only")]
    Locked {
        /// The lock file.
        place: String,
        /// What its holder says of itself.
        holder: String,
    },
    /// The packs in the storage belong to another catalog.
    #[error(
        "open the storage for catalog {catalog}: its object `owner` names catalog {owner} ({holder}, {at}); open it with that \
         catalog, restored if it was lost, or give this one a prefix of its own"
    )]
    OwnedByAnother {
        /// The id of the catalog that was opened, or that it is new.
        catalog: String,
        /// The catalog that the storage belongs to.
        owner: Id,
        /// Who claimed the storage for it.
        holder: String,
        /// When that was.
        at: Timestamp,
    },
    /// The writer stopped after a failure, and nothing is written until the registry is opened again. When a call ends in this, its
    /// outcome is unknown: a repetition with the same request id, after the cause is gone, gives the first one's answer.
    #[error("write to the registry: its writer stopped because {reason}; open it again")]
    WriterStopped {
        /// `Exhausted` when the disk is full, `Denied` when it may not be written, `Corrupt` when what is stored is damaged; otherwise
        /// `Unavailable`.
        kind: ErrorKind,
        /// What went wrong.
        reason: String,
    },
    /// The caller has stopped what it asked for.
    #[error("{what}: stopped before its end")]
    Cancelled {
        /// What was attempted.
        what: &'static str,
    },
    /// The registry was closed, or its runtime ended.
    #[error("use the registry: it is closed; open it again")]
    Closed,
    /// The handle reads only.
    #[error("{what}: the registry was opened read-only")]
    ReadOnly {
        /// What was attempted.
        what: &'static str,
    },
    /// The folder was written by a later build.
    #[error("open a registry of format {found}: this build knows up to {known}; use a newer one")]
    NewerFormat {
        /// The format that was found.
        found: u32,
        /// The newest that this build knows.
        known: u32,
    },
    /// Stored data is not what was written.
    #[error("read {what} at {place}: {reason}; verify the registry, then restore")]
    Corrupt {
        /// Which artifact, or which part of the catalog.
        what: String,
        /// The pack and offset, or the file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The storage failed.
    #[error("use the storage for {what}")]
    Storage {
        /// What was attempted.
        what: String,
        /// What the backend says.
        source: SeamError,
    },
    /// The catalog's database failed.
    #[error("{what} in the catalog")]
    Catalog {
        /// What was attempted.
        what: &'static str,
        /// What the caller should do.
        kind: ErrorKind,
        /// What the database says.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl RegistryError {
    /// What the caller should do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. } | Self::Invalid { .. } => ErrorKind::Invalid,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::VersionTaken { .. }
            | Self::ChannelElsewhere { .. }
            | Self::LabelsElsewhere { .. }
            | Self::HeadMoved { .. }
            | Self::Yanked { .. }
            | Self::OtherDigest { .. }
            | Self::RequestReused { .. }
            | Self::OwnedByAnother { .. } => ErrorKind::Conflict,
            Self::Refused { .. } => ErrorKind::Denied,
            Self::TooLarge { .. } => ErrorKind::Exhausted,
            Self::Locked { .. } | Self::Closed => ErrorKind::Unavailable,
            Self::Cancelled { .. } => ErrorKind::Cancelled,
            Self::Unsupported { .. } | Self::ReadOnly { .. } | Self::NewerFormat { .. } => {
                ErrorKind::Unsupported
            }
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Inspection { source, .. }
            | Self::Classification { source, .. }
            | Self::Input { source, .. }
            | Self::Storage { source, .. } => source.kind(),
            Self::WriterStopped { kind, .. } | Self::Catalog { kind, .. } => *kind,
        }
    }

    pub(crate) fn not_found(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::NotFound { what: what.into(), reason: reason.into() }
    }

    /// That the writer stopped because of this error.
    pub(crate) fn stopping(&self) -> Self {
        if let Self::WriterStopped { kind, reason } = self {
            return Self::WriterStopped { kind: *kind, reason: reason.clone() };
        }
        let kind = match self.kind() {
            lasting @ (ErrorKind::Exhausted | ErrorKind::Denied | ErrorKind::Corrupt) => lasting,
            _ => ErrorKind::Unavailable,
        };
        Self::WriterStopped { kind, reason: with_causes(self) }
    }

    /// That the writer stopped for a reason that may pass.
    pub(crate) fn stopped(reason: impl Into<String>) -> Self {
        Self::WriterStopped { kind: ErrorKind::Unavailable, reason: reason.into() }
    }

    pub(crate) fn corrupt_row(seq: i64, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            what: "a row of the catalog".to_owned(),
            place: format!("row {seq}"),
            reason: reason.into(),
        }
    }
}

impl From<ParseError> for RegistryError {
    fn from(source: ParseError) -> Self {
        Self::Malformed { source }
    }
}

impl From<RegistryError> for SeamError {
    fn from(error: RegistryError) -> Self {
        let kind = error.kind();
        match error.source() {
            // Its text says it all.
            None => Self::new(kind, error.to_string()),
            Some(_) => Self::new(kind, error.to_string()).with_source(error),
        }
    }
}

/// The error with all its causes, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn shown(current: &Option<Version>) -> String {
    current.as_ref().map_or_else(|| "no version".to_owned(), ToString::to_string)
}

fn first(findings: &[Finding]) -> String {
    findings.first().map_or_else(|| "(none)".to_owned(), ToString::to_string)
}
