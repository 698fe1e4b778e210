use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::RegistryError;

/// What can be set about a registry. Plain data; collaborators go on the [`Builder`](crate::Builder).
///
/// ```
/// use mcp_registry::Settings;
///
/// let settings = Settings { max_artifact_bytes: 1 << 20, ..Settings::default() };
/// assert_eq!(settings.compression_level, 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The largest artifact that is published, inspected, fetched or read as one piece.
    pub max_artifact_bytes: u64,
    /// The largest artifact that is published as a stream or from a file. Reading it as a stream or in ranges has no limit.
    pub max_stream_bytes: u64,
    /// The largest metadata of one version, as JSON.
    pub max_metadata_bytes: u64,
    /// The largest `extra` within it, as JSON.
    pub max_extra_bytes: u64,
    /// How many bytes of unfinished publishes are held; further publishers wait.
    pub max_bytes_in_flight: u64,
    /// How many commands wait for the committer; further ones wait before it.
    pub max_requests_in_flight: usize,
    /// The size from which a pack is sealed, where the storage can append.
    pub pack_bytes: u64,
    /// How long a commit waits for more publishers to join, where the storage cannot append and each commit is therefore one object; at
    /// most a second. Only a crowd waits: a publisher who comes alone does not.
    pub linger: Duration,
    /// The zstd level, 1 to 19.
    pub compression_level: i32,
    /// Smaller artifacts are stored as they are; all streams of more than 4 MiB are, where this is more.
    pub compress_from_bytes: u64,
    /// How many reads use the catalog at the same time.
    pub read_connections: usize,
    /// How much of what the catalog says of versions is kept in memory, for reads by exact version; one that is asked for once is not.
    pub entry_cache_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_artifact_bytes: 64 << 20,
            max_stream_bytes: 1 << 40,
            max_metadata_bytes: 64 << 10,
            max_extra_bytes: 32 << 10,
            max_bytes_in_flight: 256 << 20,
            max_requests_in_flight: 16 << 10,
            pack_bytes: 64 << 20,
            linger: Duration::from_millis(10),
            compression_level: 3,
            compress_from_bytes: 4 << 10,
            read_connections: 4,
            entry_cache_bytes: 32 << 20,
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), RegistryError> {
        let refuse = |reason: &str| {
            Err(RegistryError::Invalid { what: "use these settings".to_owned(), reason: reason.to_owned() })
        };
        if [self.max_artifact_bytes, self.max_stream_bytes, self.max_bytes_in_flight].iter().max()
            > Some(&(1 << 40))
        {
            return refuse(
                "max_artifact_bytes, max_stream_bytes and max_bytes_in_flight must be at most 1 TiB",
            );
        }
        if self.max_artifact_bytes.saturating_add(self.max_metadata_bytes) > self.max_bytes_in_flight {
            return refuse(
                "max_bytes_in_flight must hold at least one artifact of max_artifact_bytes and its metadata",
            );
        }
        // A row of the database has less than 10^9 bytes, and JSON may show one byte of a yank's reason as six.
        if self.max_metadata_bytes > 128 << 20 {
            return refuse("max_metadata_bytes must be at most 128 MiB");
        }
        if self.max_requests_in_flight == 0 || self.max_requests_in_flight > 1 << 20 {
            return refuse("max_requests_in_flight must be 1 to 1,048,576");
        }
        if self.read_connections == 0 || self.read_connections > 64 {
            return refuse("read_connections must be 1 to 64");
        }
        if self.linger > Duration::from_secs(1) {
            return refuse("linger must be at most one second");
        }
        if !(1..=19).contains(&self.compression_level) {
            return refuse("compression_level must be 1 to 19");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_could_never_admit_a_publish_are_refused() {
        let base = Settings::default();
        assert_eq!(base.check().map_err(|error| error.to_string()), Ok(()));
        for wrong in [
            Settings { max_bytes_in_flight: 10, ..base.clone() },
            Settings { max_requests_in_flight: 0, ..base.clone() },
            Settings { read_connections: 0, ..base.clone() },
            Settings { linger: Duration::from_secs(2), ..base.clone() },
            Settings { compression_level: 0, ..base.clone() },
            Settings { max_artifact_bytes: u64::MAX, ..base.clone() },
            Settings { max_stream_bytes: u64::MAX, ..base.clone() },
            Settings { max_metadata_bytes: (128 << 20) + 1, max_bytes_in_flight: 1 << 30, ..base.clone() },
        ] {
            assert_eq!(wrong.check().expect_err("refused").kind(), mcp_core::ErrorKind::Invalid, "{wrong:?}");
        }
    }

    #[test]
    fn an_unknown_setting_is_refused_and_a_missing_one_has_its_default() {
        let read = serde_json::from_str::<Settings>(r#"{"pack_bytes": 1}"#).expect("settings");
        assert_eq!(read, Settings { pack_bytes: 1, ..Settings::default() });
        assert!(serde_json::from_str::<Settings>(r#"{"pack_byte": 1}"#).is_err());
    }
}
