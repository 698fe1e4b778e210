use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of failure it was, told by what the caller should do about it.
///
/// Every error of every engine has a `kind()`. Only [`Unavailable`](Self::Unavailable) is worth a retry of the same
/// call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong. Correct it; repeating it cannot help.
    Invalid,
    /// The thing named does not exist. Check the name, or create it first.
    NotFound,
    /// Something else is there already, or was faster. Look at what is there now, then decide.
    Conflict,
    /// A rule or a person says no. Someone entitled must act first.
    Denied,
    /// A budget or a limit ran out. Ask for less, or raise the limit that the message names.
    Exhausted,
    /// A part that is needed did not answer, and the outcome may be unknown. Repeat with the same request id.
    Unavailable,
    /// The caller stopped it. Nothing needs doing.
    Cancelled,
    /// Stored data is not what was written. Stop trusting it; verify, then restore.
    Corrupt,
    /// This build, format or backend cannot do it. Choose another way.
    Unsupported,
    /// A defect in the engine. Report it, with the message.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 10] = [
        Self::Invalid,
        Self::NotFound,
        Self::Conflict,
        Self::Denied,
        Self::Exhausted,
        Self::Unavailable,
        Self::Cancelled,
        Self::Corrupt,
        Self::Unsupported,
        Self::Internal,
    ];

    /// Whether repeating the same call may succeed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable)
    }

    /// The kind as it stands in JSON and in messages, such as `not_found`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure that crosses a seam: the error of every trait that someone outside the engines may implement.
///
/// ```
/// use mcp_core::{ErrorKind, SeamError};
///
/// let cause = std::io::Error::other("connection reset");
/// let error = SeamError::new(ErrorKind::Unavailable, "apply app@1.2.0 to cluster blue").with_source(cause);
/// assert_eq!(error.to_string(), "apply app@1.2.0 to cluster blue");
/// assert!(error.kind().is_retryable());
/// ```
#[derive(Debug)]
pub struct SeamError {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SeamError {
    /// `context` says what was attempted on what, and what to do where that is known; lower case, no full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// The error that caused this one; `context` does not repeat its text.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller should do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for SeamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl Error for SeamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Text that is not what it should be. Its kind is always [`ErrorKind::Invalid`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    what: &'static str,
    shown: String,
    reason: String,
}

impl ParseError {
    /// How much of the refused text a message repeats, in characters.
    const SHOWN_CHARS: usize = 60;

    pub(crate) fn new(what: &'static str, input: &str, reason: impl Into<String>) -> Self {
        let mut shown: String = input.chars().take(Self::SHOWN_CHARS).collect();
        if shown.len() < input.len() {
            shown.push('…');
        }
        Self { what, shown, reason: reason.into() }
    }

    /// What was expected, such as `name` or `version`.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// Why the text was refused.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Always [`ErrorKind::Invalid`].
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {:?} as {}: {}", self.shown, self.what, self.reason)
    }
}

impl Error for ParseError {}

/// What is parsed already cannot fail: so `TryInto<Name, Error: Into<ParseError>>` takes a `Name` as well as a `&str`.
impl From<Infallible> for ParseError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<ParseError> for SeamError {
    fn from(error: ParseError) -> Self {
        Self::new(ErrorKind::Invalid, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unavailable_is_worth_a_retry() {
        let retryable: Vec<_> = ErrorKind::ALL.into_iter().filter(|kind| kind.is_retryable()).collect();
        assert_eq!(retryable, [ErrorKind::Unavailable]);
    }

    #[test]
    fn a_kind_reads_the_same_in_text_and_in_json() {
        for kind in ErrorKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }

    #[test]
    fn a_seam_error_shows_its_context_and_keeps_its_cause_apart() {
        let error = SeamError::new(ErrorKind::Corrupt, "read pack 7").with_source("bad checksum");
        assert_eq!(error.to_string(), "read pack 7");
        assert_eq!(error.source().map(ToString::to_string), Some("bad checksum".to_owned()));
    }

    #[test]
    fn one_bound_takes_text_and_what_is_parsed_already() {
        fn name<N: TryInto<crate::Name, Error: Into<ParseError>>>(
            name: N,
        ) -> Result<crate::Name, ParseError> {
            name.try_into().map_err(Into::into)
        }
        let parsed = name("app").expect("a name");
        assert_eq!(name(parsed.clone()), Ok(parsed));
        assert_eq!(name("App").expect_err("a capital").what(), "name");
    }

    #[test]
    fn a_parse_error_repeats_only_the_beginning_of_long_text() {
        let error = ParseError::new("name", &"é".repeat(1000), "too long");
        assert_eq!(error.to_string(), format!("read \"{}…\" as name: too long", "é".repeat(60)));
    }
}
