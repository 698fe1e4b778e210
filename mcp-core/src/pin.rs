use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;

use crate::text::{check_printable, text_newtype};
use crate::{Artifact, ParseError, SeamError, Timestamp};

/// Who keeps artifacts from being deleted: 1 to 255 bytes of printable ASCII without spaces.
///
/// A holder is a purpose, not a person: `promotion/0192f0c1-…/prod/7`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(Arc<str>);

impl Holder {
    /// The longest holder, in bytes.
    pub const MAX_BYTES: usize = 255;
}

impl FromStr for Holder {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        check_printable("holder", text, Self::MAX_BYTES, false)?;
        Ok(Self(text.into()))
    }
}

text_newtype!(Holder);

/// Keeps artifacts for a holder until they are released.
///
/// Implemented by the registry; called by promotion before a request is recorded, and released when the artifact is no rollback
/// target any more. Both calls are idempotent, so that a driver which takes over after a crash just calls again.
///
/// # Cancel safety
/// A dropped call has happened or has not, never in part.
#[async_trait]
pub trait Pin: Send + Sync {
    /// Keeps all of `artifacts`, or none, for `holder` until released or until `expires`; durable when it returns. Pins of the
    /// same holder add up, and a later call replaces the expiry of an earlier one for the same artifact.
    ///
    /// # Errors
    /// By kind: `NotFound` when one was never published or is gone; `Conflict` when one has another digest; `Unavailable`.
    async fn pin(
        &self,
        holder: &Holder,
        artifacts: &[Artifact],
        expires: Option<Timestamp>,
    ) -> Result<(), SeamError>;

    /// Gives up everything that `holder` keeps. A holder that keeps nothing is no error.
    ///
    /// # Errors
    /// `Unavailable`; the artifacts are then still kept.
    async fn release(&self, holder: &Holder) -> Result<(), SeamError>;
}

const _: Option<&dyn Pin> = None;
