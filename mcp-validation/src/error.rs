use mcp_core::{ErrorKind, Name, SeamError, Version};
use thiserror::Error;

use crate::{Break, Mode};

/// Why a document could not be judged, or a contract not be made. An invalid document is no error but a [`Report`](crate::Report).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ValidationError {
    /// The document has too many bytes.
    #[error(
        "judge a document of {bytes} bytes: at most {max_bytes} are allowed, raise max_document_bytes or send less"
    )]
    DocumentTooLarge {
        /// How many it has.
        bytes: u64,
        /// How many it may have.
        max_bytes: u64,
    },
    /// Too many arrays and objects stand inside one another.
    #[error(
        "judge a document nested more than {max_depth} deep: raise max_depth (at most 127) or flatten the document"
    )]
    DocumentTooDeep {
        /// How deep it may be.
        max_depth: usize,
    },
    /// The judgement took too many steps.
    #[error(
        "judge a document in {max_steps} steps: they ran out before it was decided, raise max_steps or simplify the contract"
    )]
    StepsExhausted {
        /// How many were allowed.
        max_steps: u64,
    },
    /// The judgement took too long.
    #[error(
        "judge a document within {max_time_ms} ms: they ran out before it was decided, raise max_time_ms or simplify the contract"
    )]
    TimeExhausted {
        /// How many were allowed.
        max_time_ms: u64,
    },
    /// No such encoding of documents.
    #[error(
        "read a document encoded as {encoding:?}: this encoding is not known, see Encoding::ALL for those that are"
    )]
    UnknownEncoding {
        /// What was asked for.
        encoding: String,
    },
    /// No such mode of compatibility.
    #[error(
        "read {mode:?} as a compatibility mode: use none, backward, forward, full, or one of the last three with _transitive"
    )]
    UnknownMode {
        /// What was asked for.
        mode: String,
    },
    /// The schema does not compile; the source says why and where.
    #[error("compile a schema of the format {format}")]
    BrokenSchema {
        /// The schema's format.
        format: String,
        /// What is wrong.
        source: SeamError,
    },
    /// A rule cannot be checked.
    #[error("prepare the rule {rule:?}: {reason}")]
    BrokenRule {
        /// The rule's name.
        rule: String,
        /// What is wrong.
        reason: String,
    },
    /// Text does not give rules that can be checked.
    #[error("read rules, line {line}, column {column}, {}: {reason}", if path.is_empty() { "(the whole text)" } else { path })]
    BrokenRules {
        /// The line, counted from 1.
        line: u64,
        /// The character of that line, counted from 1.
        column: u64,
        /// The part of the text, as a JSON Pointer; empty where none could be told.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A limit has a value that cannot be kept.
    #[error("use the limit {limit}: {reason}")]
    BrokenLimits {
        /// Which one.
        limit: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A policy for data quality cannot be followed.
    #[error("prepare a quality policy: {reason}")]
    BrokenPolicy {
        /// What is wrong.
        reason: String,
    },
    /// A quality state was made under another policy.
    #[error(
        "use a quality state: it was made under another policy or contract, so its counts do not mean the same"
    )]
    PolicyMismatch,
    /// A saved quality state is not as it was written.
    #[error("load a quality state: {reason}, make it again from the records")]
    DamagedState {
        /// What is wrong.
        reason: String,
    },
    /// Records could not be read; the source says why.
    #[error("read records to measure their quality")]
    NotRead {
        /// What was wrong.
        source: SeamError,
    },
    /// The sink for failing records did not take one; the source says why.
    #[error("tell that a record fails a check")]
    NotTaken {
        /// What the sink said.
        source: SeamError,
    },
    /// No schema format of this name was registered.
    #[error("find the schema format {format}: nothing is registered under this name, register it first")]
    UnknownFormat {
        /// What was asked for.
        format: String,
    },
    /// No contract was registered under this subject.
    #[error("find a contract for {subject}: this subject has none, register one first")]
    UnknownSubject {
        /// What was asked for.
        subject: Name,
    },
    /// The subject has contracts, but not of this version.
    #[error("find the contract {subject}@{version}: the subject has other versions only")]
    UnknownVersion {
        /// Of which subject.
        subject: Name,
        /// What was asked for.
        version: Version,
    },
    /// The subject has pre-releases only.
    #[error("find the latest contract for {subject}: it has pre-releases only, name the version")]
    NoRelease {
        /// Of which subject.
        subject: Name,
    },
    /// Another contract has this version already.
    #[error("register the contract {subject}@{version}: {reason}, choose another version")]
    VersionTaken {
        /// Of which subject.
        subject: Name,
        /// Which version.
        version: Version,
        /// What stands there.
        reason: String,
    },
    /// The schema breaks what its subject promises.
    #[error("register the schema {subject}@{version}: it is not {mode} compatible: {}", listed(breaks))]
    Incompatible {
        /// Of which subject.
        subject: Name,
        /// Which version.
        version: Version,
        /// What the subject promises.
        mode: Mode,
        /// Everything that breaks it.
        breaks: Vec<Break>,
    },
    /// It could not be decided whether the schema breaks what its subject promises.
    #[error(
        "register the schema {subject}@{version}: whether it is {mode} compatible could not be decided: {reason}, simplify it, or change the subject's mode"
    )]
    Undecided {
        /// Of which subject.
        subject: Name,
        /// Which version.
        version: Version,
        /// What the subject promises.
        mode: Mode,
        /// Why it could not.
        reason: String,
    },
    /// The store of contracts did not do its part; the source says why.
    #[error("use the store of contracts")]
    NotStored {
        /// What the store said.
        source: SeamError,
    },
    /// A validator could not judge the document; the source says why.
    #[error("judge a document by a validator")]
    NotJudged {
        /// What the validator said.
        source: SeamError,
    },
    /// Something that the host lends was not to be had; the source says what.
    #[error("open the validation engine")]
    NotOpened {
        /// What was missing.
        source: SeamError,
    },
}

/// All of them in one line.
fn listed(breaks: &[Break]) -> String {
    breaks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl ValidationError {
    /// What the caller should do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::DocumentTooLarge { .. }
            | Self::DocumentTooDeep { .. }
            | Self::StepsExhausted { .. }
            | Self::TimeExhausted { .. } => ErrorKind::Exhausted,
            Self::UnknownEncoding { .. } => ErrorKind::Unsupported,
            Self::BrokenRule { .. }
            | Self::BrokenRules { .. }
            | Self::BrokenLimits { .. }
            | Self::BrokenPolicy { .. }
            | Self::UnknownMode { .. } => ErrorKind::Invalid,
            Self::UnknownFormat { .. }
            | Self::UnknownSubject { .. }
            | Self::UnknownVersion { .. }
            | Self::NoRelease { .. } => ErrorKind::NotFound,
            Self::VersionTaken { .. }
            | Self::PolicyMismatch
            | Self::Incompatible { .. }
            | Self::Undecided { .. } => ErrorKind::Conflict,
            Self::DamagedState { .. } => ErrorKind::Corrupt,
            Self::BrokenSchema { source, .. }
            | Self::NotRead { source }
            | Self::NotTaken { source }
            | Self::NotJudged { source }
            | Self::NotStored { source }
            | Self::NotOpened { source } => source.kind(),
        }
    }
}

impl From<ValidationError> for SeamError {
    /// The whole error becomes the source, so that nothing of it is lost.
    fn from(error: ValidationError) -> Self {
        match error {
            ValidationError::NotJudged { source } => source,
            other => Self::new(other.kind(), "judge by a contract").with_source(other),
        }
    }
}
