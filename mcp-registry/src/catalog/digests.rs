use mcp_core::Digest;

use super::query::{Snapshot, VersionHit, digest_prefix};
use super::{failed, unsigned};
use crate::RegistryError;

impl Snapshot<'_> {
    /// A version of any name with this digest: one that is not yanked if there is one.
    pub(crate) fn version_with(&self, digest: &Digest) -> Result<Option<VersionHit>, RegistryError> {
        let fail = |error| failed("find a digest", error);
        let sql = "SELECT seq FROM digest WHERE prefix = ?1";
        let mut statement = self.0.prepare_cached(sql).map_err(fail)?;
        let mut found = statement.query([digest_prefix(digest)]).map_err(fail)?;
        let mut yanked = None;
        while let Some(row) = found.next().map_err(fail)? {
            let publish = self.row(unsigned(row.get(0).map_err(fail)?)?)?.row;
            let same = publish.content.as_ref().is_some_and(|content| content.digest == *digest);
            let (true, Some(name), Some(version)) = (same, &publish.name, &publish.version) else { continue };
            match self.version(name, version)? {
                Some(hit) if hit.yank.is_none() => return Ok(Some(hit)),
                hit => yanked = yanked.or(hit),
            }
        }
        Ok(yanked)
    }
}
