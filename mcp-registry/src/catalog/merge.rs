use std::ops::Bound;
use std::sync::Arc;

use mcp_core::{Name, RequestId};
use rusqlite::{Connection, params};

use super::query::{Class, VersionHit};
use super::tail::{ByText, DigestEntry, Run, Slot};
use super::{failed, signed};
use crate::RegistryError;

/// Puts the entries of a run that no longer grows into their tables, a part with each commit, in the order of the tables: so that a page
/// that many of them belong to is changed once.
///
/// Where it is is known in memory alone. After a crash all entries of rows behind the merged ones are put in again, which changes
/// nothing where they are in already.
#[derive(Debug)]
pub(super) struct Merge {
    run: Arc<Run>,
    /// The last row that the run holds.
    pub(super) last: u64,
    at: Cursor,
    left: usize,
}

#[derive(Clone, Debug)]
enum Cursor {
    Versions(Option<Slot>),
    Digests(Option<DigestEntry>),
    Requests(Option<ByText<RequestId>>),
    Done,
}

fn behind<T>(last: Option<&T>) -> (Bound<&T>, Bound<&T>) {
    (last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

impl Merge {
    pub(super) fn new(run: Arc<Run>, last: u64) -> Self {
        let left = run.read().len();
        Self { run, last, at: Cursor::Versions(None), left }
    }

    /// How many entries are left.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Merges about `count` further entries, and says whether these were the last.
    pub(super) fn step(&mut self, connection: &Connection, count: usize) -> Result<bool, RegistryError> {
        let mut room = count;
        while room > 0 && !matches!(self.at, Cursor::Done) {
            let done = self.part(connection, room)?;
            self.left = self.left.saturating_sub(done);
            room = room.saturating_sub(done);
        }
        Ok(matches!(self.at, Cursor::Done))
    }

    /// Merges at most `count` entries of the table that is in turn, and goes on to the next table at its end.
    fn part(&mut self, connection: &Connection, count: usize) -> Result<usize, RegistryError> {
        let fail = |error| failed("merge the index", error);
        let entries = self.run.read();
        let mut done = 0_usize;
        let next = match &self.at {
            Cursor::Versions(last) => {
                let mut put = connection
                    .prepare_cached("INSERT OR REPLACE INTO version VALUES (?1, ?2, ?3, ?4, ?5)")
                    .map_err(fail)?;
                let mut remove = connection
                    .prepare_cached("DELETE FROM version WHERE name = ?1 AND class = ?2 AND key = ?3")
                    .map_err(fail)?;
                let mut end = None;
                let mut range = entries.versions.range(behind(last.as_ref())).peekable();
                while let Some((slot, state)) = range.next_if(|_| done < count) {
                    let (name, class, key) = (slot.name.as_str(), slot.class as i64, slot.key.as_bytes());
                    let mut put = |class: Class, hit: &VersionHit| {
                        let yank = hit.yank.map(signed).transpose()?;
                        put.execute(params![name, class as i64, key, signed(hit.seq)?, yank]).map_err(fail)
                    };
                    // Only where it stands in the end counts. After a crash between two parts an opening must find it in one of its two
                    // classes: the live ones come first, so it is put among the yanked before it leaves them.
                    let last = range
                        .peek()
                        .is_none_or(|(next, _)| !next.is(&slot.name, slot.class) || next.key != slot.key);
                    match state {
                        _ if !last => {}
                        Some(hit) => drop(put(slot.class, hit)?),
                        None => {
                            let other = Slot { class: slot.class.other(), ..slot.clone() };
                            if let (false, Some(Some(hit))) =
                                (slot.class.is_yanked(), entries.versions.get(&other))
                            {
                                put(other.class, hit)?;
                            }
                            remove.execute(params![name, class, key]).map_err(fail)?;
                        }
                    }
                    end = Some(slot);
                    done = done.saturating_add(1);
                }
                if done < count { Cursor::Digests(None) } else { Cursor::Versions(end.cloned()) }
            }
            Cursor::Digests(last) => {
                let mut put = connection
                    .prepare_cached("INSERT OR IGNORE INTO digest VALUES (?1, ?2, ?3)")
                    .map_err(fail)?;
                let mut end = None;
                for entry in entries.digests.range(behind(last.as_ref())).take(count) {
                    let (prefix, name, seq) = entry;
                    let name = name.as_ref().map(Name::as_str);
                    put.execute(params![prefix, name, signed(*seq)?]).map_err(fail)?;
                    end = Some(entry);
                    done = done.saturating_add(1);
                }
                if done < count { Cursor::Requests(None) } else { Cursor::Digests(end.cloned()) }
            }
            Cursor::Requests(last) => {
                let mut put = connection
                    .prepare_cached("INSERT OR IGNORE INTO request VALUES (?1, ?2)")
                    .map_err(fail)?;
                let mut end = None;
                let range = entries.requests.range::<ByText<RequestId>, _>(behind(last.as_ref()));
                for (id, seq) in range.take(count) {
                    put.execute(params![id.0.as_str(), signed(*seq)?]).map_err(fail)?;
                    end = Some(id);
                    done = done.saturating_add(1);
                }
                if done < count { Cursor::Done } else { Cursor::Requests(end.cloned()) }
            }
            Cursor::Done => Cursor::Done,
        };
        drop(entries);
        self.at = next;
        Ok(done)
    }
}
