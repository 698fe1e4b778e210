//! The catalog with a tail of a few rows, so that merges happen all the time, beside a plain map.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use mcp_core::{Digest, Name, RequestId, SequentialIds, Timestamp, Version};
use proptest::prelude::*;
use tempfile::TempDir;

use super::query::{Class, Snapshot, VersionHit};
use super::{CatalogPlace, CatalogWriter, Commit, Readers};
use crate::RegistryError;
use crate::entry::Location;
use crate::feed::{Row, RowContent, RowKind};
use crate::interval::KeyRange;
use crate::pack::PackName;
use crate::version_key::VersionKey;

/// How many rows a run of the tail has here.
const RUN_ROWS: u64 = 8;
const NAMES: [&str; 4] = ["a", "a-b", "a/b", "b"];

fn name(at: usize) -> Name {
    NAMES[at].parse().expect("a name")
}

/// Releases and pre-releases, far apart and near to each other.
fn version(at: usize) -> Version {
    let (number, pre) = (at / 3, ["", "-rc.1", "-rc.2"][at % 3]);
    format!("1.{}.{}{pre}", number / 4, number % 4 * 100).parse().expect("a version")
}

const VERSIONS: usize = 48;

fn row(seq: u64, kind: RowKind, name: &Name, version: &Version) -> Row {
    Row {
        seq,
        kind,
        at: Timestamp::from_micros(1),
        actor: "test".parse().expect("actor"),
        request_id: None,
        name: Some(name.clone()),
        version: Some(version.clone()),
        content: None,
        body: r#"{"reason":"r"}"#.to_owned(),
    }
}

fn place_of(body: u8) -> Location {
    Location { pack: PackName { epoch: 1, number: 1 }, offset: u64::from(body) * 100, record_bytes: 81 }
}

fn publish(
    commit: &mut Commit<'_>,
    name: &Name,
    version: &Version,
    body: u8,
    request: Option<RequestId>,
) -> Result<u64, RegistryError> {
    let content = RowContent {
        digest: Digest::of(&[body]),
        sha256: [body; 32],
        size: 1,
        media_type: "text/plain".to_owned(),
    };
    let known = commit.location(&content.digest)?;
    assert!(known.is_none_or(|known| known == place_of(body)));
    let row = Row {
        content: Some(content),
        request_id: request,
        body: "{}".to_owned(),
        ..row(commit.next_seq(), RowKind::Published, name, version)
    };
    let seq = row.seq;
    commit.publish(row, place_of(body), known.is_none())?;
    Ok(seq)
}

fn yank(commit: &mut Commit<'_>, name: &Name, version: &Version, yanked: bool) -> Result<u64, RegistryError> {
    let publish = commit.version(name, version)?.expect("it was published").seq;
    let kind = if yanked { RowKind::Yanked } else { RowKind::Unyanked };
    let row = row(commit.next_seq(), kind, name, version);
    commit.append(&row, None)?;
    commit.set_yank(name, version, VersionHit { seq: publish, yank: yanked.then_some(row.seq) }, row.seq);
    Ok(row.seq)
}

#[derive(Clone, Debug)]
enum Op {
    Publish { name: usize, version: usize, body: u8, request: bool },
    Yank { name: usize, version: usize, yanked: bool },
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Op>),
    /// Opened again after a close, or after what a kill leaves.
    Reopen {
        closed: bool,
    },
    /// A copy of the folder is opened.
    Copy,
}

fn step() -> impl Strategy<Value = Step> {
    let publish = (0..NAMES.len(), 0..VERSIONS, 0_u8..12, any::<bool>())
        .prop_map(|(name, version, body, request)| Op::Publish { name, version, body, request });
    let yank = (0..NAMES.len(), 0..VERSIONS, any::<bool>()).prop_map(|(name, version, yanked)| Op::Yank {
        name,
        version,
        yanked,
    });
    let op = prop_oneof![3 => publish, 2 => yank];
    prop_oneof![
        12 => proptest::collection::vec(op, 1..6).prop_map(Step::Commit),
        1 => any::<bool>().prop_map(|closed| Step::Reopen { closed }),
        1 => Just(Step::Copy),
    ]
}

#[derive(Default)]
struct Model {
    versions: BTreeMap<(usize, VersionKey), (Version, u8, VersionHit)>,
    requests: BTreeMap<String, u64>,
}

impl Model {
    fn apply(&mut self, commit: &mut Commit<'_>, op: &Op) -> Result<(), RegistryError> {
        match op {
            Op::Publish { name: at, version: number, body, request } => {
                let (name, version) = (name(*at), version(*number));
                let key = (*at, VersionKey::of(&version));
                let known = self.versions.get(&key).map(|(.., hit)| *hit);
                assert_eq!(commit.version(&name, &version)?, known, "{name}@{version} within a commit");
                if known.is_none() {
                    let id = request.then(|| format!("r{}", commit.next_seq()));
                    let parsed = id.as_ref().map(|id| id.parse().expect("an id"));
                    let seq = publish(commit, &name, &version, *body, parsed)?;
                    self.requests.extend(id.map(|id| (id, seq)));
                    self.versions.insert(key, (version, *body, VersionHit { seq, yank: None }));
                }
            }
            Op::Yank { name: at, version: number, yanked } => {
                let (name, version) = (name(*at), version(*number));
                if let Some((.., hit)) = self.versions.get_mut(&(*at, VersionKey::of(&version)))
                    && hit.yank.is_some() != *yanked
                {
                    let seq = yank(commit, &name, &version, *yanked)?;
                    hit.yank = yanked.then_some(seq);
                }
            }
        }
        Ok(())
    }

    fn highest(&self, at: usize, class: Class, range: Option<&KeyRange>) -> Option<VersionHit> {
        let of_name = self.versions.iter().filter(|((name, key), (version, _, hit))| {
            let inside =
                range.is_none_or(|range| *key >= range.from && range.to.as_ref().is_none_or(|to| key < to));
            *name == at && Class::of(version, hit.yank.is_some()) == class && inside
        });
        of_name.max_by_key(|((_, key), _)| key.clone()).map(|(_, (.., hit))| *hit)
    }

    fn check(&self, now: &Snapshot<'_>) -> Result<(), RegistryError> {
        let range = |from, to: Option<usize>| KeyRange {
            from: VersionKey::of(&version(from)),
            to: to.map(|to| VersionKey::of(&version(to))),
        };
        let ranges = [None, Some(range(9, Some(30))), Some(range(20, None)), Some(range(30, Some(9)))];
        for at in 0..NAMES.len() {
            let name = name(at);
            for number in 0..VERSIONS {
                let version = version(number);
                let expected = self.versions.get(&(at, VersionKey::of(&version))).map(|(.., hit)| *hit);
                assert_eq!(now.version(&name, &version)?, expected, "{name}@{version}");
            }
            for class in Class::ALL {
                for range in &ranges {
                    let expected = self.highest(at, class, range.as_ref());
                    assert_eq!(
                        now.highest(&name, class, range.as_ref())?,
                        expected,
                        "{name} {class:?} {range:?}"
                    );
                }
            }
            let below = VersionKey::of(&version(40));
            for (below, limit) in [(None, 1000), (None, 3), (Some(&below), 5)] {
                let listed = now.versions(&name, below, limit)?;
                let listed: Vec<_> = listed.iter().map(|entry| (entry.seq, entry.yanked.is_some())).collect();
                let inside = |key: &VersionKey| below.is_none_or(|below| key < below);
                let expected = self.versions.iter().rev().filter(|((n, key), _)| *n == at && inside(key));
                let expected = expected.map(|(_, (.., hit))| (hit.seq, hit.yank.is_some()));
                assert_eq!(listed, expected.take(limit).collect::<Vec<_>>(), "versions of {name}");
            }
            for body in 0..12 {
                let of_body = self.versions.iter().filter(|((n, _), (_, b, _))| *n == at && *b == body);
                let hits = of_body.map(|(_, (.., hit))| *hit).collect::<Vec<_>>();
                let live = hits.iter().filter(|hit| hit.yank.is_none()).max_by_key(|hit| hit.seq);
                let expected = live.or(hits.iter().max_by_key(|hit| hit.seq)).copied();
                assert_eq!(now.digest_of_name(&name, &Digest::of(&[body]))?, expected, "{name} {body}");
            }
        }
        for body in 0..12 {
            let expected = self.versions.values().any(|(_, b, _)| *b == body).then(|| place_of(body));
            assert_eq!(now.location(&Digest::of(&[body]))?, expected, "the place of {body}");
        }
        for (id, seq) in &self.requests {
            let found = now.request(&id.parse().expect("an id"))?;
            assert_eq!(found.map(|row| row.seq), Some(*seq), "request {id}");
        }
        assert_eq!(now.request(&"stranger".parse().expect("an id"))?, None);
        let names: BTreeSet<Name> = self.versions.keys().map(|(at, _)| name(*at)).collect();
        let names: Vec<Name> = names.into_iter().collect();
        assert_eq!(now.names("", "", 100)?, names);
        let below_a: Vec<Name> =
            names.iter().filter(|name| name.as_str().starts_with("a/")).cloned().collect();
        assert_eq!(now.names("a/", "", 100)?, below_a);
        let yanks: BTreeSet<u64> = self.versions.values().filter_map(|(.., hit)| hit.yank).collect();
        assert_eq!(now.yanks()?, yanks);
        let counts = [
            ("version", self.versions.len()),
            ("digest", self.versions.len()),
            ("request", self.requests.len()),
        ];
        for (index, expected) in counts {
            assert_eq!(now.count(index)?, expected as u64, "entries of the index {index}");
        }
        let totals = now.totals()?;
        assert_eq!((totals.versions, totals.names), (self.versions.len() as u64, names.len() as u64));
        Ok(())
    }
}

fn open(folder: &Path) -> (CatalogWriter, Readers, Readers) {
    let place = CatalogPlace::file(folder);
    let ids = SequentialIds::starting_at(1);
    let writer = CatalogWriter::open_with(place.clone(), &ids, 0, RUN_ROWS).expect("a catalog");
    let readers = Readers::beside(place.clone(), writer.tail(), 2);
    (writer, readers, Readers::following_by(place, 2, RUN_ROWS))
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().expect("a folder");
    for file in ["catalog.db", "catalog.db-wal"] {
        if from.join(file).exists() {
            std::fs::copy(from.join(file), to.path().join(file)).expect("copied");
        }
    }
    to
}

fn run(steps: &[Step]) -> Result<(), RegistryError> {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut writer, mut readers, mut follower) = open(folder.path());
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Commit(ops) => {
                writer.commit(ops.len(), |commit| ops.iter().try_for_each(|op| model.apply(commit, op)))?;
                writer.tidy(&readers);
            }
            Step::Reopen { closed } => {
                readers.close();
                if *closed {
                    writer.close(true)?;
                } else {
                    drop(writer);
                }
                (writer, readers, follower) = open(folder.path());
            }
            Step::Copy => {
                let copy = copy(folder.path());
                let (writer, readers, follower) = open(copy.path());
                readers.read_here(|now| model.check(now))?;
                follower.read_here(|now| model.check(now))?;
                readers.close();
                writer.close(true)?;
                let (_writer, readers, _) = open(copy.path());
                readers.read_here(|now| model.check(now))?;
            }
        }
        readers.read_here(|now| model.check(now))?;
        follower.read_here(|now| model.check(now))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn tables_and_tail_together_hold_what_a_plain_map_holds(steps in proptest::collection::vec(step(), 1..30)) {
        run(&steps).expect("no failure");
    }
}

#[test]
fn invariant_2_a_yank_that_a_kill_left_half_merged_is_there_when_opened_again() {
    let publish = |version| Step::Commit(vec![Op::Publish { name: 0, version, body: 0, request: false }]);
    let yank = |version, yanked| Step::Commit(vec![Op::Yank { name: 0, version, yanked }]);
    let first = (0..24).map(publish);
    // A copy after each commit: so one falls between any two parts of a merge.
    let yanks = (0..12).flat_map(|version| [yank(version, true), Step::Copy]);
    let back = (0..12).step_by(2).flat_map(|version| [yank(version, false), Step::Copy]);
    // Back and forth within one run, ending on either side.
    let moved = (0..8).flat_map(|turn| [yank(0, turn % 2 == 1), yank(1, turn % 2 == 0), Step::Copy]);
    let rest = (24..48).flat_map(|version| [publish(version), Step::Copy]);
    run(&first.chain(yanks).chain(back).chain(moved).chain(rest).collect::<Vec<_>>()).expect("no failure");
}

#[test]
fn invariant_1_a_version_that_moves_while_the_tables_are_scanned_is_known_to_be_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let (app, taken): (Name, _) = ("app".parse().expect("a name"), version(0));
    let (mut writer, readers, _) = open(folder.path());
    let made = writer.commit(1, |commit| {
        publish(commit, &app, &taken, 0, None)?;
        yank(commit, &app, &taken, true)
    });
    made.expect("committed");
    readers.close();
    writer.close(true).expect("closed");
    let (mut writer, ..) = open(folder.path());
    assert!(!writer.known().has_since(&app, &taken), "only the scan knows it");
    writer.commit(1, |commit| yank(commit, &app, &taken, false)).expect("committed");
    assert!(writer.known().has_since(&app, &taken));
}

/// Each row publishes the next patch version: so a state is right when it has exactly the versions of the rows that it sees.
#[test]
fn readers_see_whole_states_with_all_that_was_acknowledged_while_the_tail_is_merged() {
    const COMMITS: u64 = 400;
    let folder = tempfile::tempdir().expect("a folder");
    let (mut writer, readers, follower) = open(folder.path());
    let acknowledged = AtomicU64::new(0);
    let app: Name = "app".parse().expect("a name");
    let patch = |seq: u64| Version::new(1, 0, seq);
    let end = (1..=COMMITS).map(|commit| commit % 5 + 1).sum::<u64>();
    let look = |readers: &Readers| {
        let mut turn = 0_u64;
        loop {
            let before = acknowledged.load(Ordering::SeqCst);
            let horizon = readers
                .read_here(|now| {
                    let horizon = now.horizon();
                    assert!(horizon >= before, "row {before} was acknowledged, and {horizon} is the last");
                    let highest = now.highest(&app, Class::Release, None)?.map(|hit| hit.seq);
                    assert_eq!(highest, (horizon > 0).then_some(horizon));
                    // Some of the newest, and one of all.
                    let some = (1..=20)
                        .map(|back| horizon.saturating_sub(back))
                        .chain([turn * 7919 % horizon.max(1)]);
                    for seq in some.filter(|seq| *seq > 0) {
                        let expected = Some(VersionHit { seq, yank: None });
                        assert_eq!(now.version(&app, &patch(seq))?, expected, "row {seq} of {horizon}");
                    }
                    assert_eq!(
                        now.version(&app, &patch(horizon + 1))?,
                        None,
                        "what came after row {horizon}"
                    );
                    Ok(horizon)
                })
                .expect("read");
            turn += 1;
            if horizon == end {
                return turn;
            }
        }
    };
    thread::scope(|scope| {
        let looking = [&readers, &readers, &follower].map(|readers| scope.spawn(move || look(readers)));
        for commit in 1..=COMMITS {
            let rows = commit % 5 + 1;
            let done = writer.commit(5, |commit| {
                (0..rows).try_fold(0, |_, _| {
                    let version = patch(commit.next_seq());
                    publish(commit, &app, &version, 0, None)
                })
            });
            acknowledged.store(done.expect("committed"), Ordering::SeqCst);
            writer.tidy(&readers);
        }
        for reader in looking {
            assert!(reader.join().expect("no panic") > 0);
        }
    });
}

#[test]
fn an_idle_reader_does_not_keep_the_log_from_beginning_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut writer, readers, _) = open(folder.path());
    let app: Name = "app".parse().expect("a name");
    let log = || std::fs::metadata(folder.path().join("catalog.db-wal")).expect("a log").len();
    let mut longest = 0;
    for round in 0..40_u64 {
        // About 4 MiB each.
        let committed = writer.commit(1, |commit| {
            for part in 0..16 {
                let mut row = row(commit.next_seq(), RowKind::Yanked, &app, &Version::new(round, part, 0));
                row.body = format!("{{\"reason\":\"{}\"}}", "r".repeat(256 << 10));
                commit.append(&row, None)?;
            }
            Ok(())
        });
        committed.expect("committed");
        readers.read_here(|now| now.totals()).expect("read");
        writer.tidy(&readers);
        longest = longest.max(log());
        readers.read_here(|now| now.totals()).expect("read");
    }
    assert!(longest < 48 << 20, "{longest} bytes");
}
