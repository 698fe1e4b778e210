use mcp_core::SeamError;

/// A record that fails a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure<'f> {
    /// Which record of the pass or the input, from 1; unreadable ones count, blank lines do not.
    pub record: u64,
    /// On which line of the input it begins, from 1; `None` for a record that is not read from lines.
    pub line: Option<u64>,
    /// What the policy's field `id` holds, cut after 256 bytes; `None` where it is null, or the record cannot be read.
    pub id: Option<&'f str>,
    /// The check's target, such as `completeness:/email`; `None` when the record cannot be read.
    pub check: Option<&'f str>,
    /// Why it cannot be read.
    pub reason: Option<&'f str>,
}

/// Where all failing records are told, as they are found; nothing of them is kept here.
///
/// Called on the thread that reads, in the order of the records; once for each check that a record fails, and once for a record that cannot be
/// read. Whether a key is unique is no property of one record, so uniqueness tells none.
pub trait FailureSink {
    /// Takes one.
    ///
    /// # Errors
    /// Whatever keeps it from being taken; this ends the pass with [`ValidationError::NotTaken`](crate::ValidationError::NotTaken).
    fn failed(&mut self, failure: &Failure<'_>) -> Result<(), SeamError>;
}

impl<F: FnMut(&Failure<'_>) -> Result<(), SeamError>> FailureSink for F {
    fn failed(&mut self, failure: &Failure<'_>) -> Result<(), SeamError> {
        self(failure)
    }
}

/// Takes all and keeps none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlisted;

impl FailureSink for Unlisted {
    fn failed(&mut self, _: &Failure<'_>) -> Result<(), SeamError> {
        Ok(())
    }
}

const _: fn(&mut dyn FailureSink) = |_| {};
