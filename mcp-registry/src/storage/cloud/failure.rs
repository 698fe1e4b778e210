use std::error::Error;
use std::fmt;
use std::time::Duration;

use mcp_core::ErrorKind;
use object_store::client::HttpError;

use super::http::Refusal;

/// Why an attempt did not do what it should.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) why: Why,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It may pass, and whether the attempt had its effect is unknown.
    Passing,
    /// There is no such object.
    Missing,
    /// The condition does not hold.
    Taken,
    /// The object ends before the range does.
    Outside,
    /// The answer was not one that such a server gives.
    Strange,
    /// Nothing that a further attempt would change.
    Final(ErrorKind),
}

impl Failure {
    pub(crate) fn new(why: Why, text: impl Into<String>) -> Self {
        Self { why, text: text.into() }
    }

    pub(crate) fn late(limit: Duration) -> Self {
        Self::new(Why::Passing, format!("no answer within {limit:?}"))
    }

    /// The same after so many attempts: nothing more is tried.
    pub(crate) fn after(self, attempts: u32) -> Self {
        Self {
            text: format!("{}; {attempts} attempts were made; look at the network and the server", self.text),
            ..self
        }
    }

    pub(crate) const fn kind(&self) -> ErrorKind {
        match self.why {
            Why::Passing | Why::Strange => ErrorKind::Unavailable,
            Why::Missing => ErrorKind::NotFound,
            Why::Taken => ErrorKind::Conflict,
            Why::Outside => ErrorKind::Invalid,
            Why::Final(kind) => kind,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {}

impl From<object_store::Error> for Failure {
    /// Texts of the other library are left out: they repeat addresses and answers.
    fn from(error: object_store::Error) -> Self {
        if let Some(refusal) = cause::<Refusal>(&error) {
            return refusal.into();
        }
        if let Some(error) = cause::<HttpError>(&error) {
            return Self::new(Why::Passing, format!("the connection failed: {}", last_cause(error)));
        }
        use object_store::Error as E;
        match &error {
            E::NotFound { .. } => Self::new(Why::Missing, "it does not exist"),
            E::AlreadyExists { .. } | E::Precondition { .. } => Self::new(Why::Taken, "it exists"),
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
                Self::new(Why::Final(ErrorKind::Denied), "the server refused the credentials")
            }
            E::NotSupported { .. } | E::NotImplemented { .. } => {
                Self::new(Why::Final(ErrorKind::Unsupported), "this cannot be done there")
            }
            _ => Self::new(
                Why::Strange,
                "the answer was not understood; look whether the endpoint is such a server",
            ),
        }
    }
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Self {
        let code = refusal.code.as_deref().unwrap_or_default();
        let (why, advice) = match (refusal.status, code) {
            (404, "NoSuchBucket" | "ContainerNotFound") => {
                (Why::Final(ErrorKind::NotFound), "create it first, or correct its name")
            }
            (404, _) => (Why::Missing, ""),
            (304 | 412, _) | (409, "BlobAlreadyExists") => (Why::Taken, ""),
            (416, _) => (Why::Outside, ""),
            (413 | 507, _) | (403, "QuotaExceeded" | "AccountQuotaExceeded") => {
                (Why::Final(ErrorKind::Exhausted), "its store is full, or the object too large for it")
            }
            (401 | 403, _)
            | (
                400,
                "ExpiredToken"
                | "InvalidToken"
                | "InvalidAccessKeyId"
                | "invalid_grant"
                | "invalid_client"
                | "unauthorized_client",
            ) => (Why::Final(ErrorKind::Denied), "look at the credentials, and at what they may do there"),
            (405 | 501 | 505, _) => (Why::Final(ErrorKind::Unsupported), "this cannot be done there"),
            // A success that told of a failure counts as one of the server's.
            (200..=299 | 408 | 409 | 429 | 500..=599, _) | (400, "RequestTimeout" | "IncompleteBody") => {
                (Why::Passing, "")
            }
            (300..=399, _) => {
                (Why::Final(ErrorKind::Invalid), "the bucket is elsewhere: correct region and endpoint")
            }
            _ => (Why::Final(ErrorKind::Invalid), "correct bucket, region and endpoint"),
        };
        let text = if advice.is_empty() { refusal.to_string() } else { format!("{refusal}; {advice}") };
        Self::new(why, text)
    }
}

fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref::<T>())
}

fn last_cause(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_becomes_the_kind_that_tells_the_caller_what_to_do() {
        for (status, code, why) in [
            (404, "", Why::Missing),
            (404, "NoSuchBucket", Why::Final(ErrorKind::NotFound)),
            (412, "PreconditionFailed", Why::Taken),
            (409, "BlobAlreadyExists", Why::Taken),
            (409, "ConditionalRequestConflict", Why::Passing),
            (416, "InvalidRange", Why::Outside),
            (401, "", Why::Final(ErrorKind::Denied)),
            (403, "SignatureDoesNotMatch", Why::Final(ErrorKind::Denied)),
            (400, "ExpiredToken", Why::Final(ErrorKind::Denied)),
            (400, "RequestTimeout", Why::Passing),
            (400, "InvalidArgument", Why::Final(ErrorKind::Invalid)),
            (301, "PermanentRedirect", Why::Final(ErrorKind::Invalid)),
            (507, "XMinioStorageFull", Why::Final(ErrorKind::Exhausted)),
            (501, "NotImplemented", Why::Final(ErrorKind::Unsupported)),
            (408, "", Why::Passing),
            (429, "", Why::Passing),
            (503, "SlowDown", Why::Passing),
            (200, "InternalError", Why::Passing),
        ] {
            let code = (!code.is_empty()).then(|| code.to_owned());
            let refusal = Refusal { status, code };
            assert_eq!(Failure::from(&refusal).why, why, "{refusal}");
        }
    }
}
