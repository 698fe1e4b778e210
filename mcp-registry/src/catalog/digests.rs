use mcp_core::Digest;

use super::query::{Snapshot, VersionHit, digest_prefix};
use super::{failed, unsigned};
use crate::RegistryError;

impl Snapshot<'_> {
    /// A version of any name with this digest: one that is not yanked if there is one.
    pub(crate) fn version_with(&self, digest: &Digest) -> Result<Option<VersionHit>, RegistryError> {
        let prefix = digest_prefix(digest);
        let mut yanked = None;
        let mut newest = self.tail.next_digest(prefix, None);
        while let Some(entry) = newest {
            match self.with_digest(entry.2, digest)? {
                Some(hit) if hit.yank.is_none() => return Ok(Some(hit)),
                hit => yanked = yanked.or(hit),
            }
            newest = self.tail.next_digest(prefix, Some(&entry));
        }
        let fail = |error| failed("find a digest", error);
        let sql = "SELECT seq FROM digest WHERE prefix = ?1";
        let mut statement = self.connection.prepare_cached(sql).map_err(fail)?;
        let mut found = statement.query([prefix]).map_err(fail)?;
        while let Some(row) = found.next().map_err(fail)? {
            match self.with_digest(unsigned(row.get(0).map_err(fail)?)?, digest)? {
                Some(hit) if hit.yank.is_none() => return Ok(Some(hit)),
                hit => yanked = yanked.or(hit),
            }
        }
        Ok(yanked)
    }

    /// The version that was published by the row, if it has this digest.
    fn with_digest(&self, publish: u64, digest: &Digest) -> Result<Option<VersionHit>, RegistryError> {
        let publish = self.row(publish)?.row;
        let same = publish.content.as_ref().is_some_and(|content| content.digest == *digest);
        let (true, Some(name), Some(version)) = (same, &publish.name, &publish.version) else {
            return Ok(None);
        };
        self.version(name, version)
    }
}
