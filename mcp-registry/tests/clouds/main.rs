//! S3, Google Cloud Storage and Azure: against small servers that fail on purpose, and against SeaweedFS and Azurite.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests stop at the first surprise, and say what they skip"
)]

mod bucket;
mod gcs;
mod parts;
mod real;
mod retries;
mod secrets;
mod server;
mod streams;
mod trouble;

use std::error::Error;
use std::time::Duration;

use mcp_registry::{Key, RemoteSettings, S3Credentials, S3Settings, S3Storage};

pub(crate) fn key(text: &str) -> Key {
    text.parse().expect(text)
}

/// Settings under which a test need not wait.
pub(crate) fn hasty() -> RemoteSettings {
    RemoteSettings {
        allow_http: true,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        ..RemoteSettings::default()
    }
}

pub(crate) fn s3(endpoint: &str, remote: RemoteSettings) -> S3Storage {
    let settings =
        S3Settings { endpoint: Some(endpoint.to_owned()), remote, ..S3Settings::new("bucket", "us-east-1") };
    S3Storage::new(settings, &S3Credentials::new("AK", "SK")).expect("settings that work")
}

/// An error with all its causes, as a log shows it.
pub(crate) fn all_of(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(|error| format!("{error} {error:?}")).collect::<Vec<_>>().join(": ")
}
