//! A blob that is stored once more, since where it lay it is damaged: all versions of these bytes lead to the new place.

use std::collections::BTreeSet;

use mcp_core::{Digest, ErrorKind};
use rusqlite::params;

use super::query::{StoredRow, digest_prefix};
use super::writer::Commit;
use super::{failed, signed, unsigned};
use crate::RegistryError;
use crate::entry::Location;

impl Commit<'_> {
    /// Leads the rows with this digest that lead to `from` to `to`.
    pub(crate) fn move_blob(
        &mut self,
        digest: &Digest,
        from: Location,
        to: Location,
    ) -> Result<(), RegistryError> {
        for seq in self.rows_of_digest(digest)? {
            let found = match self.now().row(seq) {
                // It is told by whoever reads it.
                Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                found => found?,
            };
            let StoredRow { row, location, .. } = found;
            let same = row.content.is_some_and(|content| content.digest == *digest);
            if !same || location != Some(from) {
                continue;
            }
            if let (Some(name), Some(version)) = (&row.name, &row.version) {
                self.note_change(name, version);
            }
            if !self.move_pending(seq, to) {
                self.run(
                    "note where a blob lies",
                    "UPDATE row SET pack_epoch = ?2, pack_number = ?3, pack_offset = ?4, record_bytes = ?5 WHERE seq = ?1",
                    params![signed(seq)?, to.pack.epoch, to.pack.number, signed(to.offset)?, signed(to.record_bytes)?],
                )?;
            }
        }
        self.note_move(from.record_bytes, to.record_bytes);
        Ok(())
    }

    /// Those whose digests begin so, at least.
    fn rows_of_digest(&self, digest: &Digest) -> Result<BTreeSet<u64>, RegistryError> {
        let now = self.now();
        let prefix = digest_prefix(digest);
        let fail = |error| failed("find the rows of a digest", error);
        let mut statement =
            now.connection.prepare_cached("SELECT seq FROM digest WHERE prefix = ?1").map_err(fail)?;
        let mut seqs = BTreeSet::new();
        for seq in statement.query_map([prefix], |row| row.get::<_, i64>(0)).map_err(fail)? {
            seqs.insert(unsigned(seq.map_err(fail)?)?);
        }
        let mut entry = now.tail.next_digest(prefix, None);
        while let Some(found) = entry {
            seqs.insert(found.2);
            entry = now.tail.next_digest(prefix, Some(&found));
        }
        Ok(seqs)
    }
}
