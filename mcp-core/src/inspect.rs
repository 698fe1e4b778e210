use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Digest, Finding, Name, SeamError, Version};

/// An artifact's bytes together with what is known of it, before or after it was published.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// What it is, or will be, called.
    pub name: Name,
    /// Its version, where that is known already.
    pub version: Option<Version>,
    /// Its media type, such as `application/schema+json`.
    pub media_type: String,
    /// The digest of `bytes`.
    pub digest: Digest,
    /// The whole content; the caller has checked that it is no larger than its own limit for this seam.
    pub bytes: Bytes,
}

impl Candidate {
    /// A candidate without a version yet; the digest is computed.
    #[must_use]
    pub fn new(name: Name, media_type: impl Into<String>, bytes: Bytes) -> Self {
        let digest = Digest::of(&bytes);
        Self { name, version: None, media_type: media_type.into(), digest, bytes }
    }

    /// The same, of this version.
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }
}

/// What an inspection came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Whether the artifact may go on. What refuses it stands among the findings.
    pub accepted: bool,
    /// What was seen, whether accepted or not.
    pub findings: Vec<Finding>,
    /// Whether there was more than `findings` holds.
    pub truncated: bool,
}

impl Verdict {
    /// Accepted, unless one of the findings is an error that is not only observed.
    #[must_use]
    pub fn of(findings: Vec<Finding>) -> Self {
        let accepted = !findings.iter().any(Finding::invalidates);
        Self { accepted, findings, truncated: false }
    }

    /// Refused although no finding kept is an error, as when only too many were found to keep.
    #[must_use]
    pub const fn refused(findings: Vec<Finding>) -> Self {
        Self { accepted: false, findings, truncated: false }
    }

    /// The same, and says that more was found than `findings` holds.
    #[must_use]
    pub const fn and_more(mut self) -> Self {
        self.truncated = true;
        self
    }
}

/// Looks at an artifact's bytes and judges them.
///
/// Implemented by the validation engine; asked by the registry when something is published, and by promotion as a gate.
///
/// The same candidate must get the same verdict as long as the rules behind it are the same: a driver that takes over after a crash
/// asks again.
///
/// # Cancel safety
/// Callers may drop the future at any await; an implementation leaves nothing half done.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// # Errors
    /// `Err` means that it could not be judged. Callers then refuse: an artifact that nobody judged is not accepted.
    async fn inspect(&self, candidate: &Candidate) -> Result<Verdict, SeamError>;
}

const _: Option<&dyn Inspect> = None;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;

    #[test]
    fn only_an_error_refuses() {
        let finding = |severity| Finding::new(severity, "x", "", "m");
        assert!(Verdict::of(vec![finding(Severity::Warning), finding(Severity::Info)]).accepted);
        assert!(!Verdict::of(vec![finding(Severity::Warning), finding(Severity::Error)]).accepted);
        assert!(Verdict::of(vec![finding(Severity::Error).observed()]).accepted);
        assert!(Verdict::of(Vec::new()).accepted);
        assert!(!Verdict::refused(Vec::new()).accepted);
    }
}
