use std::collections::{BTreeMap, BTreeSet, HashSet};

use mcp_core::{ArtifactRef, Digest, ErrorKind, Holder, Name, Timestamp};

use crate::catalog::{Marks, Snapshot, StoredRow, Totals, needed};
use crate::entry::Location;
use crate::error::with_causes;
use crate::feed::{AnsweredBody, ChannelBody, LabelsBody, PinBody, ReleaseBody, Row, RowKind, genesis};
use crate::pack::PackName;
use crate::verify::Watch;
use crate::version_key::VersionKey;
use crate::{Metadata, RegistryError, Verification};

/// How many rows are read at a time, unless their bodies are large.
const STEP_ROWS: usize = 4096;

/// The state that the change feed gives when it is replayed from its first row, to be compared with the indexes.
#[derive(Default)]
pub(crate) struct Replay {
    /// Once the whole feed was read: sorted by place, each place once.
    pub(crate) stored: Vec<StoredAt>,
    pub(crate) sealed: BTreeMap<PackName, u64>,
    /// Each name as 16 bytes of its hash, since there may be very many.
    names: HashSet<[u8; 16]>,
    /// The row of each yank that stands, or `None` where one was taken back.
    yanks: BTreeMap<(Name, VersionKey), Option<u64>>,
    channels: BTreeMap<(Name, Name), u64>,
    /// By the row of the publish.
    marks: BTreeMap<u64, Marks>,
    dependents: u64,
    pins: BTreeMap<(Holder, u64), Option<Timestamp>>,
    requests: u64,
    totals: Totals,
}

/// Where a blob lies, and the first row that refers to it. There is one for each version, so it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredAt {
    pub(crate) location: Location,
    pub(crate) seq: u64,
}

impl Replay {
    /// Checks the catalog against itself: pages, chain, and that the feed gives what the indexes say.
    pub(crate) fn check(now: &Snapshot<'_>, watch: &Watch) -> Result<(Verification, Self), RegistryError> {
        let mut found = Verification::default();
        for fault in found.readable(now.integrity())?.unwrap_or_default() {
            found.fault("catalog.db", "", fault);
        }
        let sealed = found.readable(now.sealed_packs())?.unwrap_or_default();
        let mut replay = Self { sealed: sealed.into_iter().collect(), ..Self::default() };
        let mut last = 0;
        // Without the id nothing can be said of the first row's chain.
        let mut chain = found.readable(now.identity())?.map(|identity| genesis(identity.id));
        loop {
            let rows = match now.rows(last, STEP_ROWS) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let next = behind_unreadable(now, watch, last)?;
                    found.fault(unreadable(last, next), "", with_causes(&error));
                    let Some(next) = next else { break };
                    // The chain begins anew behind what cannot be read.
                    (last, chain) = (next.saturating_sub(1), None);
                    continue;
                }
                rows => rows?,
            };
            if rows.is_empty() {
                break;
            }
            watch.tell(|progress| {
                progress.rows = found.rows;
                progress.faults = found.faults.len() as u64;
            })?;
            for row in rows {
                let next = last.saturating_add(1);
                match row {
                    Ok(stored) => {
                        let seq = stored.row.seq;
                        if seq != next {
                            found.fault(
                                format!("row {next}"),
                                "",
                                format!("rows are missing up to row {seq}"),
                            );
                        } else if chain.is_some_and(|chain| stored.row.chain(&chain) != stored.chain) {
                            found.fault(format!("row {seq}"), subject(&stored.row), "the chain is broken");
                        }
                        // From here on what is stored counts: so one damaged row is one fault.
                        chain = Some(stored.chain);
                        last = seq;
                        found.rows = found.rows.saturating_add(1);
                        if let Err(error) = replay.apply(now, stored, &mut found) {
                            found.fault(format!("row {seq}"), "", with_causes(&error));
                        }
                    }
                    Err(error) => {
                        found.fault(format!("row {next}"), "", with_causes(&error));
                        chain = None;
                        last = next;
                    }
                }
            }
        }
        replay.sort_stored();
        replay.compare(now, &mut found)?;
        Ok((found, replay))
    }

    fn apply(
        &mut self,
        now: &Snapshot<'_>,
        stored: StoredRow,
        found: &mut Verification,
    ) -> Result<(), RegistryError> {
        let StoredRow { row, location, .. } = stored;
        let place = format!("row {}", row.seq);
        if let (RowKind::Published, Some(name), Some(content), Some(location)) =
            (row.kind, &row.name, &row.content, location)
        {
            // Before any index is asked, which may be damaged: the packs are checked all the same.
            self.names.insert(short_hash(name.as_str()));
            self.totals.versions = self.totals.versions.saturating_add(1);
            self.totals.logical_bytes = self.totals.logical_bytes.saturating_add(content.size);
            self.stored.push(StoredAt { location, seq: row.seq });
        }
        if let Some(id) = &row.request_id {
            self.requests = self.requests.saturating_add(1);
            if now.request(id)?.is_none_or(|first| first.seq != row.seq) {
                found.fault(&place, subject(&row), "the index of requests does not lead here");
            }
        }
        match (row.kind, &row.name, &row.version) {
            (RowKind::Published, Some(name), Some(version)) => {
                let (Some(content), Some(_)) = (&row.content, location) else {
                    found.fault(place, subject(&row), "a publish lacks its content");
                    return Ok(());
                };
                if now.version(name, version)?.is_none_or(|hit| hit.seq != row.seq) {
                    found.fault(&place, subject(&row), "the index of versions does not lead here");
                }
                if !now.has_digest(&content.digest, name, row.seq)? {
                    found.fault(&place, subject(&row), "the index of digests does not lead here");
                }
                for dependency in needed(&row.read_body::<Metadata>()?) {
                    self.dependents = self.dependents.saturating_add(1);
                    if !now.has_dependent(&dependency, (name, version), row.seq)? {
                        found.fault(&place, subject(&row), "the index of dependents does not lead here");
                    }
                }
            }
            (RowKind::Yanked | RowKind::Unyanked, Some(name), Some(version)) => {
                let yank = (row.kind == RowKind::Yanked).then_some(row.seq);
                self.yanks.insert((name.clone(), VersionKey::of(version)), yank);
                let live = now.version(name, version)?;
                if live.is_none() {
                    found.fault(place, subject(&row), "it names a version that was never published");
                }
            }
            (RowKind::ChannelMoved, Some(name), Some(_)) | (RowKind::ChannelRemoved, Some(name), None) => {
                let body: ChannelBody = row.read_body()?;
                let before = self.channels.insert((name.clone(), body.channel), row.seq);
                if body.previous != before {
                    found.fault(place, subject(&row), "it does not follow the channel's move before");
                }
            }
            (
                RowKind::LabelsChanged | RowKind::Deprecated | RowKind::Undeprecated,
                Some(name),
                Some(version),
            ) => {
                let Some(hit) = now.version(name, version)? else {
                    found.fault(place, subject(&row), "it names a version that was never published");
                    return Ok(());
                };
                let marks = self.marks.entry(hit.seq).or_default();
                match row.kind {
                    RowKind::LabelsChanged => {
                        let before = marks.labels.replace(row.seq);
                        if row.read_body::<LabelsBody>()?.previous != before {
                            found.fault(
                                place,
                                subject(&row),
                                "it does not follow the change of labels before",
                            );
                        }
                    }
                    RowKind::Deprecated => marks.deprecation = Some(row.seq),
                    _ => marks.deprecation = None,
                }
            }
            (RowKind::Answered, Some(_), _) => {
                let by = row.read_body::<AnsweredBody>()?.by;
                if by == 0 || by >= row.seq || row.request_id.is_none() {
                    found.fault(place, subject(&row), "it is the answer to nothing");
                }
            }
            (RowKind::Pinned, ..) => {
                let body: PinBody = row.read_body()?;
                for artifact in body.artifacts {
                    let reference = artifact.reference;
                    match now.version(&reference.name, &reference.version)? {
                        Some(hit) => {
                            self.pins.insert((body.holder.clone(), hit.seq), body.expires);
                        }
                        None => found.fault(
                            &place,
                            reference.to_string(),
                            "it names a version that was never published",
                        ),
                    }
                }
            }
            (RowKind::Released, ..) => {
                let body: ReleaseBody = row.read_body()?;
                self.pins.retain(|(holder, _), _| *holder != body.holder);
            }
            _ => found.fault(place, "", "a part that its kind needs is missing"),
        }
        Ok(())
    }

    /// Leaves the first row of each place.
    fn sort_stored(&mut self) {
        self.stored.sort_unstable();
        self.stored.dedup_by_key(|stored| stored.location);
        self.totals.blobs = self.stored.len() as u64;
        let bytes = self.stored.iter().map(|stored| stored.location.record_bytes);
        self.totals.stored_bytes = bytes.fold(0, u64::saturating_add);
    }

    /// The indexes hold what was replayed, and nothing else. What cannot be read of one does not hide what the others say.
    fn compare(&mut self, now: &Snapshot<'_>, found: &mut Verification) -> Result<(), RegistryError> {
        self.totals.names = self.names.len() as u64;
        if found.readable_at("index total", now.totals())?.is_some_and(|totals| totals != self.totals) {
            found.fault("index total", "", "the totals are not those of the rows");
        }
        let yanked: BTreeSet<u64> = self.yanks.values().flatten().copied().collect();
        if found.readable_at("index version", now.yanks())?.is_some_and(|yanks| yanks != yanked) {
            found.fault("index version", "", "other versions are yanked than the rows say");
        }
        for ((name, channel), seq) in &self.channels {
            let Some(row) = found.readable_at("index channel", now.channel(name, channel))? else { continue };
            if row.is_none_or(|row| row.seq != *seq) {
                found.fault(
                    "index channel",
                    format!("{name}:{channel}"),
                    "it does not point where the rows say",
                );
            }
        }
        for (publish, marks) in &self.marks {
            if found.readable_at("index mark", now.marks(*publish))?.is_some_and(|marked| marked != *marks) {
                found.fault(
                    "index mark",
                    "",
                    format!("labels or deprecation of row {publish} are not as the rows say"),
                );
            }
        }
        for ((holder, publish), expires) in &self.pins {
            if found
                .readable_at("index pin", now.pin(holder, *publish))?
                .is_some_and(|pin| pin != Some(*expires))
            {
                found.fault(
                    "index pin",
                    holder.as_str(),
                    format!("the pin of row {publish} is not as the rows say"),
                );
            }
        }
        let counts = [
            ("version", self.totals.versions),
            ("digest", self.totals.versions),
            ("request", self.requests),
            ("channel", self.channels.len() as u64),
            ("mark", self.marks.len() as u64),
            ("dependent", self.dependents),
            ("pin", self.pins.len() as u64),
        ];
        for (index, expected) in counts {
            let place = format!("index {index}");
            let Some(count) = found.readable_at(&place, now.count(index))? else { continue };
            if count != expected {
                found.fault(place, "", format!("it has {count} entries, the rows give {expected}"));
            }
        }
        Ok(())
    }
}

/// The first row behind `last` that can be read, one by one; `None` where there is none.
fn behind_unreadable(now: &Snapshot<'_>, watch: &Watch, last: u64) -> Result<Option<u64>, RegistryError> {
    for seq in last.saturating_add(1)..=now.horizon() {
        match now.rows(seq.saturating_sub(1), 1) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            rows => {
                let first = rows?.into_iter().next();
                return Ok(first.map(|row| row.map_or(seq, |stored| stored.row.seq)));
            }
        }
        if seq % STEP_ROWS as u64 == 0 {
            watch.tell(|_| ())?;
        }
    }
    Ok(None)
}

fn unreadable(last: u64, next: Option<u64>) -> String {
    let first = last.saturating_add(1);
    match next.map(|next| next.saturating_sub(1)) {
        Some(end) if end > first => format!("rows {first} to {end}"),
        Some(_) => format!("row {first}"),
        None => format!("rows from {first} on"),
    }
}

fn short_hash(text: &str) -> [u8; 16] {
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(Digest::of(text.as_bytes()).as_bytes()) {
        *to = *from;
    }
    short
}

pub(crate) fn subject(row: &Row) -> String {
    match (&row.name, &row.version) {
        (Some(name), Some(version)) => ArtifactRef::new(name.clone(), version.clone()).to_string(),
        _ => String::new(),
    }
}
