use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FieldType;
use crate::rule::Rule;

/// What is measured, what is expected of it, and what it may cost: data, to be kept beside the records.
///
/// Fields are named by JSON Pointers; a column of a table by a pointer of one segment, as in `/price`. Null is not there; in CSV, the
/// texts of `nulls` are null.
///
/// Each check has a target: its dimension, a colon, and its field or name, as in `completeness:/email`. Weights and thresholds name such
/// targets, or a whole dimension (`completeness`), or `overall`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct QualityPolicy {
    /// Completeness: fields that should be there in every record.
    pub complete: Vec<String>,
    /// Consistency: what the values of fields should be. In CSV, it is also how their cells are read.
    pub types: BTreeMap<String, FieldType>,
    /// Consistency: rules that relate fields of one record to each other.
    pub consistent: Vec<Rule>,
    /// Accuracy: agreement with declared rules, or with a reference set.
    pub accurate: Vec<Accuracy>,
    /// Timeliness: how late moments may be.
    pub timely: Vec<Timeliness>,
    /// Uniqueness: keys that no two records should share.
    pub unique: Vec<Key>,
    /// Which figures are made of which fields, checked or not.
    pub profile: Profile,
    /// The field whose value tells failing records apart; they have their number besides.
    pub id: Option<String>,
    /// Cells of CSV that say that nothing is there.
    pub nulls: Vec<String>,
    /// How much a target counts, unless 1: a check within its dimension, a dimension within the overall score.
    pub weights: BTreeMap<String, f64>,
    /// What a target's score should reach.
    pub thresholds: BTreeMap<String, Threshold>,
    /// How far things may change from one time to the next.
    pub changes: Changes,
    /// How many different values of one key are told apart, about 30 bytes of memory for each and worker. Uniqueness is exact up to this
    /// number, and estimated from a sample of this size beyond it.
    pub max_distinct: u64,
    /// The same for the figures of one field, about 150 bytes for each and worker: distinct values, quantiles, most frequent values.
    pub max_values: u64,
    /// The most fields that are looked at; a table with more columns, or a policy with more fields, is refused. Of JSON records, further
    /// fields have no figures.
    pub max_fields: u32,
}

/// One or more fields that identify a record together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Key {
    /// What it is called, in the form of a [`Name`](mcp_core::Name).
    pub name: String,
    /// Its fields. A record that lacks one has no such key.
    pub fields: Vec<String>,
}

/// What accuracy is measured by. Without something to compare with, it can only be agreement with what was declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Accuracy {
    /// A declared rule. Of the records that have all fields it names, or of all readable ones where it does not say which those are.
    Rule(Rule),
    /// A reference set of values: of the records that have the field.
    Allowed(Allowed),
    /// A reference set by key: of the records that have the field and whose key is in the set.
    Lookup(Lookup),
}

/// The values that a field may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Allowed {
    /// What the check is called, in the form of a [`Name`](mcp_core::Name).
    pub name: String,
    /// Which field.
    pub field: String,
    /// Its values.
    pub values: Vec<Value>,
}

/// The value that a field should have, by another field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Lookup {
    /// What the check is called, in the form of a [`Name`](mcp_core::Name).
    pub name: String,
    /// The field whose value is looked up.
    pub key: String,
    /// The field that should have what is found.
    pub field: String,
    /// What should stand there, by key: the key as a cell would be written.
    pub entries: BTreeMap<String, Value>,
}

/// How late the moments of a field may be: of the records that have such a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Timeliness {
    /// What the check is called, in the form of a [`Name`](mcp_core::Name).
    pub name: String,
    /// The field, a date or a timestamp; declared as such unless `types` declares another type.
    pub field: String,
    /// How many seconds old it may be when it is looked at, by the clock that is lent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    /// No later than this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<mcp_core::Timestamp>,
}

/// Which figures are made of which fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Profile {
    /// Of these.
    pub fields: Vec<String>,
    /// Of every column, and of every member of a JSON record.
    pub all: bool,
    /// Which quantiles, from 0 to 1.
    pub quantiles: Vec<f64>,
    /// How many of the most frequent values. These show what the records hold; 0 keeps none.
    pub frequent: u32,
}

/// What a score should reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Threshold {
    /// Below this share it is a warning.
    pub warn: Option<f64>,
    /// Below this share it fails.
    pub fail: Option<f64>,
}

/// How far things may change from one time to the next. What goes further fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Changes {
    /// By how much the share of a target may fall, as `{"completeness:/email": 0.02}`.
    pub drops: BTreeMap<String, f64>,
    /// By which share of itself before the mean of a field may move, as `{"/price": 0.1}`.
    pub means: BTreeMap<String, f64>,
    /// By which share of itself before the number of records may fall.
    pub records: Option<f64>,
    /// Fields in which no value may be new.
    pub new_values: Vec<String>,
    /// Fields from which no value may go.
    pub missing_values: Vec<String>,
}

impl Default for QualityPolicy {
    /// Nothing is measured but how many records there are. One million values of a key, 16,384 of a field, 1,000 fields; the texts that are
    /// null are the empty one, `NA`, `N/A`, `NULL`, `null`, `NaN` and `nan`.
    fn default() -> Self {
        Self {
            complete: Vec::new(),
            types: BTreeMap::new(),
            consistent: Vec::new(),
            accurate: Vec::new(),
            timely: Vec::new(),
            unique: Vec::new(),
            profile: Profile::default(),
            id: None,
            nulls: ["", "NA", "N/A", "NULL", "null", "NaN", "nan"].map(str::to_owned).to_vec(),
            weights: BTreeMap::new(),
            thresholds: BTreeMap::new(),
            changes: Changes::default(),
            max_distinct: 1_000_000,
            max_values: 16_384,
            max_fields: 1000,
        }
    }
}

impl QualityPolicy {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The field at `path` should be there.
    #[must_use]
    pub fn complete(mut self, path: impl Into<String>) -> Self {
        self.complete.push(path.into());
        self
    }

    /// The values of the field at `path` should be of this type.
    #[must_use]
    pub fn typed(mut self, path: impl Into<String>, field_type: FieldType) -> Self {
        self.types.insert(path.into(), field_type);
        self
    }

    /// Records should agree with a rule that relates their fields.
    #[must_use]
    pub fn consistent(mut self, rule: Rule) -> Self {
        self.consistent.push(rule);
        self
    }

    /// Records should agree with a declared rule.
    #[must_use]
    pub fn accurate(mut self, rule: Rule) -> Self {
        self.accurate.push(Accuracy::Rule(rule));
        self
    }

    /// The field at `path` should have one of these values.
    #[must_use]
    pub fn allowed(
        mut self,
        name: impl Into<String>,
        path: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Value>>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.accurate.push(Accuracy::Allowed(Allowed { name: name.into(), field: path.into(), values }));
        self
    }

    /// No two records should have the same values at all of `fields`.
    #[must_use]
    pub fn unique(
        mut self,
        name: impl Into<String>,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.unique.push(Key { name: name.into(), fields: fields.into_iter().map(Into::into).collect() });
        self
    }

    /// All figures of every field: null and type counts, distinct values, least, greatest, sum, mean, standard deviation; these quantiles,
    /// and this many of the most frequent values.
    #[must_use]
    pub fn profile_all(mut self, quantiles: impl Into<Vec<f64>>, frequent: u32) -> Self {
        self.profile = Profile { fields: Vec::new(), all: true, quantiles: quantiles.into(), frequent };
        self
    }

    /// The score of `target` should reach this.
    #[must_use]
    pub fn threshold(mut self, target: impl Into<String>, warn: f64, fail: f64) -> Self {
        self.thresholds.insert(target.into(), Threshold { warn: Some(warn), fail: Some(fail) });
        self
    }

    /// How many different values of one key are told apart.
    #[must_use]
    pub const fn max_distinct(mut self, max_distinct: u64) -> Self {
        self.max_distinct = max_distinct;
        self
    }

    /// How many different values of one field are told apart.
    #[must_use]
    pub const fn max_values(mut self, max_values: u64) -> Self {
        self.max_values = max_values;
        self
    }
}
