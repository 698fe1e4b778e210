use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcp_core::{ErrorKind, SeamError, Timestamp};
use serde_json::{Map, Value};

use super::cells::Cells;
use super::plan::{Column, path_of};
use super::sink::{Failure, FailureSink};
use super::state::{Count, KeyState, QualityState};
use super::tally::{Seen, Setting, Tally};
use super::typed::Typed;
use super::{FieldType, Quality};
use crate::pointer::Pointer;
use crate::{Document, Limits, ValidationError};

/// One look at many records, each once: what a worker holds. [`finish`](Self::finish) gives the counts.
pub struct Pass<'q> {
    pub(super) quality: &'q Quality,
    setting: Setting<'q>,
    pub(super) records: u64,
    unreadable: u64,
    pub(super) counts: Vec<Count>,
    pub(super) keys: Vec<KeyState>,
    /// Those of the policy first, in its order; then what a profile of everything finds.
    tallies: Vec<Tally>,
    /// By member of a JSON record or column of a table: whether the policy names it, else which tally it has.
    members: BTreeMap<String, Option<usize>>,
    left_out: bool,
    /// What the fields of the policy hold in the record that is looked at.
    pub(super) current: Vec<Option<Seen>>,
    /// The checks that it fails.
    pub(super) failed: Vec<usize>,
    /// The parts of the key that is looked at.
    pub(super) parts: Vec<u8>,
}

/// The columns of a table, as a pass keeps them.
#[derive(Clone, Debug)]
pub struct Header {
    names: Arc<[String]>,
    tallies: Vec<Option<usize>>,
    /// Fields of the policy that the table does not have.
    absent: Vec<usize>,
    id: Option<usize>,
}

/// What one record came to.
pub(super) enum Outcome {
    /// The checks that it fails are kept in the pass.
    Counted,
    Unreadable(String),
}

/// A record that is looked at, as an object if somebody asks.
pub(super) enum Source<'r> {
    Object(&'r Document),
    Row(&'r Header, &'r Cells<'r>, OnceCell<Document>),
}

impl Source<'_> {
    pub(super) fn document(&self, quality: &Quality) -> &Document {
        match self {
            Self::Object(document) => document,
            Self::Row(header, cells, made) => made.get_or_init(|| header.object(cells, quality).into()),
        }
    }
}

/// How much of an id is told.
const MAX_ID_BYTES: usize = 256;

impl<'q> Pass<'q> {
    pub(super) fn new(quality: &'q Quality, now: Timestamp) -> Self {
        let policy = &quality.policy;
        let tally = |column: &Arc<Column>| Tally::new(quality, Arc::clone(column));
        let mut members = BTreeMap::new();
        for column in &quality.columns {
            if let Some(name) = sole_name(&column.path) {
                members.insert(name, None);
            }
        }
        Self {
            quality,
            setting: Setting { quality, now },
            records: 0,
            unreadable: 0,
            counts: vec![Count::default(); quality.checks.len()],
            keys: quality.keys.iter().map(|_| KeyState::new(policy)).collect(),
            tallies: quality.columns.iter().map(tally).collect(),
            members,
            left_out: false,
            current: vec![None; quality.columns.len()],
            failed: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Looks at one record. A document that is no JSON object is one that cannot be read: it lacks everything and is not valid.
    ///
    /// # Errors
    /// As [`Contract::is_valid`](crate::Contract::is_valid), and [`ValidationError::NotTaken`] from the sink. In the first case nothing was
    /// counted.
    pub fn record(&mut self, record: &Document, sink: &mut dyn FailureSink) -> Result<(), ValidationError> {
        match self.document(record)? {
            Outcome::Unreadable(reason) => tell(sink, &unreadable(self.records, None, &reason)),
            Outcome::Counted if self.failed.is_empty() => Ok(()),
            Outcome::Counted => {
                let id = self.id_of(record);
                self.tell_failed(id.as_deref(), sink)
            }
        }
    }

    /// Begins with rows of these columns.
    ///
    /// # Errors
    /// [`ValidationError::NotRead`]: `Invalid` when two columns have the same name, `Exhausted` when there are more than `max_fields`.
    pub fn header(
        &mut self,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Header, ValidationError> {
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        check_header(&names, self.quality.policy.max_fields)?;
        Ok(self.known_header(names))
    }

    /// Looks at one row: null where a cell is one of the policy's null texts.
    ///
    /// # Errors
    /// As [`record`](Self::record). A row with more or fewer cells than there are columns is one that cannot be read.
    pub fn row(
        &mut self,
        header: &Header,
        cells: &[impl AsRef<str>],
        sink: &mut dyn FailureSink,
    ) -> Result<(), ValidationError> {
        let mut text = String::new();
        let mut spans = Vec::with_capacity(cells.len());
        for cell in cells {
            let start = text.len();
            text.push_str(cell.as_ref());
            spans.push((start, text.len(), false));
        }
        let cells = Cells { bytes: text.as_bytes(), unquoted: &[], spans: &spans };
        match self.cells(header, &cells)? {
            Outcome::Unreadable(reason) => tell(sink, &unreadable(self.records, None, &reason)),
            Outcome::Counted if self.failed.is_empty() => Ok(()),
            Outcome::Counted => self.tell_failed(header.id_in(&cells).as_deref(), sink),
        }
    }

    /// The counts of all records that were looked at.
    #[must_use]
    pub fn finish(mut self) -> QualityState {
        let mut fields = BTreeMap::new();
        for tally in &mut self.tallies {
            tally.drain(&self.quality.policy, &mut self.counts);
            if let Some(mut field) = tally.field.take() {
                field.settle();
                fields.insert(tally.column.path.clone(), field);
            }
        }
        for (target, count) in
            self.quality.checks.iter().zip(&mut self.counts).filter(|(target, _)| target.of_all)
        {
            debug_assert!(count.numerator <= self.records, "{}", target.text);
            count.denominator = self.records;
        }
        self.keys.iter_mut().for_each(|key| key.values.settle());
        QualityState {
            digest: self.quality.digest,
            records: self.records,
            unreadable: self.unreadable,
            counts: self.counts,
            keys: self.keys,
            fields,
            most_found: self.quality.most_found(),
            left_out: self.left_out,
        }
    }

    /// Which checks the last record failed.
    pub(super) fn failed(&self) -> &[usize] {
        &self.failed
    }

    /// Counts a record that cannot be read.
    pub(super) fn count_unreadable(&mut self) {
        self.records = self.records.saturating_add(1);
        self.unreadable = self.unreadable.saturating_add(1);
    }

    /// As [`record`](Self::record), and who fails is left in the pass.
    pub(super) fn document(&mut self, record: &Document) -> Result<Outcome, ValidationError> {
        self.failed.clear();
        if self.quality.contract.is_none() {
            record.check(&Limits::default())?;
        }
        let value = match record.value() {
            Ok(value) => value,
            Err(error) if error.kind() == ErrorKind::Invalid => {
                self.count_unreadable();
                return Ok(Outcome::Unreadable("it is not JSON".to_owned()));
            }
            Err(source) => return Err(ValidationError::NotJudged { source }),
        };
        let Value::Object(object) = value else {
            self.count_unreadable();
            return Ok(Outcome::Unreadable("it is no JSON object".to_owned()));
        };
        let source = Source::Object(record);
        let judged = self.judge(&source)?;
        let planned = self.quality.columns.len();
        for at in 0..planned {
            let Some(tally) = self.tallies.get_mut(at) else { continue };
            let value = tally.column.pointer.get(value);
            let seen = tally.json(value, self.setting, &mut self.counts, &mut self.failed);
            if tally.column.related
                && let Some(current) = self.current.get_mut(at)
            {
                *current = seen;
            }
        }
        if self.quality.policy.profile.all {
            self.members(object);
        }
        self.relate(&source, &judged);
        Ok(Outcome::Counted)
    }

    /// Figures of members that the policy does not name.
    fn members(&mut self, object: &Map<String, Value>) {
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            let at = match self.members.get(name) {
                Some(None) => continue,
                Some(Some(at)) => Some(*at),
                None => self.admit(name),
            };
            if let Some(tally) = at.and_then(|at| self.tallies.get_mut(at)) {
                tally.json(Some(value), self.setting, &mut self.counts, &mut self.failed);
            }
        }
    }

    /// A tally for a member seen for the first time. Where there are too many, those that come first in the order of their names stay: so
    /// which these are does not depend on the order of the records.
    fn admit(&mut self, name: &str) -> Option<usize> {
        let column = Arc::new(Column {
            path: path_of(name),
            pointer: Pointer::parse_single(&path_of(name)).ok()?,
            declared: FieldType::Any,
            profiled: true,
            named: false,
            related: false,
            checks: Vec::new(),
        });
        let planned = self.quality.columns.len();
        let most = usize::try_from(self.quality.policy.max_fields).unwrap_or(usize::MAX);
        let at = if self.tallies.len() < most {
            self.tallies.push(Tally::new(self.quality, column));
            self.tallies.len().saturating_sub(1)
        } else {
            self.left_out = true;
            let last = self.members.iter().rev().find_map(|(name, at)| Some((name.clone(), (*at)?)));
            let (last, at) = last.filter(|(last, at)| name < last.as_str() && *at >= planned)?;
            self.members.remove(&last);
            *self.tallies.get_mut(at)? = Tally::new(self.quality, column);
            at
        };
        self.members.insert(name.to_owned(), Some(at));
        Some(at)
    }

    /// What [`header`](Self::header) gives for names that were checked.
    pub(super) fn known_header(&mut self, names: Arc<[String]>) -> Header {
        let columns = &self.quality.columns;
        let planned = |name: &str| columns.iter().position(|column| column.path == path_of(name));
        let id = self.quality.id.and_then(|id| names.iter().position(|name| planned(name) == Some(id)));
        let mut tallies = Vec::with_capacity(names.len());
        for name in names.iter() {
            let tally = match (planned(name), self.members.get(name)) {
                (Some(at), _) => Some(at),
                (None, Some(Some(at))) => Some(*at),
                (None, _) if self.quality.policy.profile.all => self.admit(name),
                (None, _) => None,
            };
            tallies.push(tally);
        }
        let absent = (0..columns.len()).filter(|at| !tallies.contains(&Some(*at))).collect();
        Header { names, tallies, absent, id }
    }

    /// As [`row`](Self::row), and who fails is left in the pass.
    pub(super) fn cells(&mut self, header: &Header, cells: &Cells<'_>) -> Result<Outcome, ValidationError> {
        self.failed.clear();
        if cells.spans.len() != header.names.len() {
            self.count_unreadable();
            let (found, right) = (cells.spans.len(), header.names.len());
            return Ok(Outcome::Unreadable(format!("it has {found} cells, and there are {right} columns")));
        }
        let source = Source::Row(header, cells, OnceCell::new());
        let judged = self.judge(&source)?;
        for at in &header.absent {
            if let (Some(tally), Some(current)) = (self.tallies.get(*at), self.current.get_mut(*at)) {
                *current = None;
                tally.null(&mut self.failed);
            }
        }
        for (span, at) in cells.spans.iter().zip(&header.tallies) {
            let Some(at) = *at else { continue };
            let Some(tally) = self.tallies.get_mut(at) else { continue };
            let seen = tally.cell(cells, *span, self.setting, &mut self.counts, &mut self.failed);
            if let Some(current) = self.current.get_mut(at) {
                *current = seen;
            }
        }
        self.relate(&source, &judged);
        Ok(Outcome::Counted)
    }

    /// Tells that the last record fails.
    fn tell_failed(&self, id: Option<&str>, sink: &mut dyn FailureSink) -> Result<(), ValidationError> {
        for check in &self.failed {
            let check = self.quality.checks.get(*check).map(|target| &*target.text);
            tell(sink, &Failure { record: self.records, line: None, id, check, reason: None })?;
        }
        Ok(())
    }

    /// What tells `record` apart.
    pub(super) fn id_of(&self, record: &Document) -> Option<String> {
        let column = self.quality.columns.get(self.quality.id?)?;
        let value = column.pointer.get(record.value().ok()?)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(shortened(&text))
    }
}

impl Header {
    /// What tells a row apart.
    pub(super) fn id_in(&self, cells: &Cells<'_>) -> Option<String> {
        let span = cells.spans.get(self.id?)?;
        Some(cells.text(*span)).filter(|text| !text.is_empty()).map(shortened)
    }

    /// The row as an object; cells that are null are not there.
    fn object(&self, cells: &Cells<'_>, quality: &Quality) -> Value {
        let mut object = Map::new();
        for ((name, span), at) in self.names.iter().zip(cells.spans).zip(&self.tallies) {
            let text = cells.text(*span);
            if !quality.nulls.contains(text) {
                let declared = at
                    .and_then(|at| quality.columns.get(at))
                    .map_or(FieldType::Any, |column| column.declared);
                object.insert(name.clone(), Typed::of_text(text, declared).0.to_json());
            }
        }
        Value::Object(object)
    }
}

impl std::fmt::Debug for Pass<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass")
            .field("records", &self.records)
            .field("unreadable", &self.unreadable)
            .finish_non_exhaustive()
    }
}

/// Names that a table can have.
pub(super) fn check_header(names: &[String], max_fields: u32) -> Result<(), ValidationError> {
    let refuse =
        |kind, context: String| Err(ValidationError::NotRead { source: SeamError::new(kind, context) });
    if names.len() as u64 > u64::from(max_fields) {
        let context = format!(
            "read a table of {} columns: at most {max_fields} are allowed, raise max_fields",
            names.len()
        );
        return refuse(ErrorKind::Exhausted, context);
    }
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => {
            let name = crate::findings::shortened(name.clone());
            refuse(
                ErrorKind::Invalid,
                format!("read a table: two columns are called {name:?}, rename one of them"),
            )
        }
        None => Ok(()),
    }
}

pub(super) fn unreadable(record: u64, line: Option<u64>, reason: &str) -> Failure<'_> {
    Failure { record, line, id: None, check: None, reason: Some(reason) }
}

pub(super) fn tell(sink: &mut dyn FailureSink, failure: &Failure<'_>) -> Result<(), ValidationError> {
    sink.failed(failure).map_err(|source| ValidationError::NotTaken { source })
}

/// The name of the column or member, where the path has one segment.
fn sole_name(path: &str) -> Option<String> {
    let segment = path.strip_prefix('/').filter(|rest| !rest.contains('/'))?;
    Some(segment.replace("~1", "/").replace("~0", "~"))
}

fn shortened(text: &str) -> String {
    let end = (0..=MAX_ID_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or("").to_owned()
}
