use std::time::Duration;

use mcp_core::ErrorKind;
use serde::{Deserialize, Serialize};

use crate::storage::{Key, StorageError};

/// What can be set about an object store on a network, whoever runs it. Plain data.
///
/// An attempt ends after `request_timeout`, and so does a call after `deadline`; both are a second longer for each MiB that the attempt
/// carries. In between, what may pass is tried again after a pause, drawn evenly between nothing and a bound that begins at `first_pause`
/// and doubles up to `longest_pause`. It may pass: no connection, a broken or late answer, and the statuses 408, 429 and 5xx but 501.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteSettings {
    /// Keys stand below this key, such as `teams/billing`; empty for the top of the bucket.
    pub prefix: String,
    /// Whether the endpoint may be `http`: for servers on this machine. Whoever is between sees everything, bearer tokens too.
    pub allow_http: bool,
    /// How long one attempt may take.
    pub request_timeout: Duration,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long all attempts of one call may take together. Listing takes as long again after each 1,000 objects, and a stream after each
    /// part.
    pub deadline: Duration,
    /// The bound of the pause before the second attempt.
    pub first_pause: Duration,
    /// The bound of any pause.
    pub longest_pause: Duration,
    /// The size of each part but the last in which a stream is sent, 5 MiB to 1 GiB. Up to four are held in memory, and a stream has at most
    /// 10,000.
    pub part_bytes: u64,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            allow_http: false,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(90),
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(10),
            part_bytes: 8 << 20,
        }
    }
}

impl RemoteSettings {
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        if !self.prefix.is_empty() {
            self.prefix.parse::<Key>()?;
        }
        if self.request_timeout.is_zero() || self.connect_timeout.is_zero() || self.deadline.is_zero() {
            return Err(refuse("request_timeout, connect_timeout and deadline must be above zero"));
        }
        if self.deadline > Duration::from_secs(3600) || self.request_timeout > self.deadline {
            return Err(refuse("request_timeout must be at most deadline, and that at most an hour"));
        }
        if self.first_pause > self.longest_pause {
            return Err(refuse("first_pause must be at most longest_pause"));
        }
        if !(5 << 20..=1 << 30).contains(&self.part_bytes) {
            return Err(refuse("part_bytes must be 5 MiB to 1 GiB"));
        }
        Ok(())
    }

    /// Checks where to connect to. What is wrong is not repeated: people put passwords there.
    pub(crate) fn check_endpoint(&self, endpoint: &str) -> Result<(), StorageError> {
        let (scheme, rest) = endpoint.split_once("://").unwrap_or_default();
        let plain =
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"@?#\\".contains(&byte));
        match scheme {
            "https" if plain => Ok(()),
            "http" if plain && self.allow_http => Ok(()),
            "http" if plain => Err(refuse("the endpoint must be https, unless allow_http is set")),
            _ => Err(refuse("the endpoint must be http or https, `://`, and a host without user or query")),
        }
    }
}

/// Refuses a bucket, account or region whose name would mean something else in an address.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), StorageError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 222 || name.starts_with('.') || !name.bytes().all(good) {
        return Err(refuse(&format!("the {what} must be letters, digits, '-', '_' and '.', at most 222")));
    }
    Ok(())
}

pub(crate) fn refuse(reason: &str) -> StorageError {
    StorageError::new(ErrorKind::Invalid, format!("use these settings of an object store: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let base = RemoteSettings::default();
        base.check().expect("the default ones work");
        for wrong in [
            RemoteSettings { prefix: "../x".to_owned(), ..base.clone() },
            RemoteSettings { prefix: "a/".to_owned(), ..base.clone() },
            RemoteSettings { deadline: Duration::ZERO, ..base.clone() },
            RemoteSettings { deadline: Duration::from_secs(1), ..base.clone() },
            RemoteSettings { deadline: Duration::MAX, ..base.clone() },
            RemoteSettings { first_pause: Duration::from_secs(11), ..base.clone() },
            RemoteSettings { part_bytes: 1 << 20, ..base.clone() },
            RemoteSettings { part_bytes: 2 << 30, ..base.clone() },
        ] {
            assert_eq!(wrong.check().expect_err("refused").kind(), ErrorKind::Invalid, "{wrong:?}");
        }
    }

    #[test]
    fn an_endpoint_is_an_address_alone_and_http_only_where_that_is_allowed() {
        let https = RemoteSettings::default();
        let http = RemoteSettings { allow_http: true, ..RemoteSettings::default() };
        assert!(https.check_endpoint("https://s3.example.org").is_ok());
        assert!(http.check_endpoint("http://127.0.0.1:9000").is_ok());
        for endpoint in [
            "http://127.0.0.1:9000",
            "https://",
            "ftp://x",
            "x",
            "https://a:pass@x",
            "https://x?sig=pass",
            "",
        ] {
            let error = https.check_endpoint(endpoint).expect_err(endpoint).to_string();
            assert!(!error.contains("pass"), "{error}");
        }
        for name in ["", "a/b", "a b", "a?b", "..", "a@b", "é"] {
            assert!(check_name("bucket", name).is_err(), "{name}");
        }
    }
}
