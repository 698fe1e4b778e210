use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use mcp_core::{Name, Severity, Timestamp};
use serde_json::Value;

use super::FieldType;
use super::distinct::Identity;
use super::policy::{Accuracy, Key, QualityPolicy, Timeliness};
use super::prepare::{Basis, Dimension, refuse};
use super::typed::{Known, Typed};
use crate::pointer::Pointer;
use crate::rule::{Check, Operator, Rule, RuleMode};
use crate::{Contract, ValidationError};

/// What a count is about.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) dimension: Dimension,
    pub(super) basis: Basis,
    pub(super) text: Arc<str>,
    /// Of all records, readable or not.
    pub(super) of_all: bool,
}

/// One field, and what is checked of its value alone.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) path: String,
    pub(super) pointer: Pointer,
    pub(super) declared: FieldType,
    pub(super) profiled: bool,
    /// Whether the policy names it.
    pub(super) named: bool,
    /// Whether what is checked of whole records looks at it.
    pub(super) related: bool,
    /// At most 64.
    pub(super) checks: Vec<(usize, CellCheck)>,
}

pub(super) enum CellCheck {
    Complete,
    Type,
    Rule(Contract),
    Allowed(HashSet<Identity>),
    Age { max_age_micros: Option<i64>, deadline: Option<i64> },
}

impl fmt::Debug for CellCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CellCheck")
    }
}

#[derive(Clone, Debug)]
pub(super) struct KeyPlan {
    pub(super) text: Arc<str>,
    pub(super) columns: Vec<usize>,
}

/// A check of more than one field.
#[derive(Clone)]
pub(super) enum RowCheck {
    Lookup { check: usize, key: usize, field: usize, entries: Arc<HashMap<Identity, Identity>> },
    Compare { check: usize, left: usize, operator: Operator, right: usize, contract: Arc<Contract> },
    Rule { check: usize, contract: Arc<Contract> },
}

/// More checks of one field have no place in the bits that are kept with each value.
const MAX_CHECKS: usize = 64;

/// Finds out of a policy what is looked at.
pub(super) struct Planner<'p> {
    policy: &'p QualityPolicy,
    columns: Vec<Column>,
    checks: Vec<Target>,
    rows: Vec<RowCheck>,
}

/// What a policy comes to.
pub(super) struct Plan {
    pub(super) columns: Vec<Column>,
    pub(super) checks: Vec<Target>,
    pub(super) rows: Vec<RowCheck>,
    pub(super) keys: Vec<KeyPlan>,
    pub(super) id: Option<usize>,
}

impl<'p> Planner<'p> {
    /// All that `policy` names.
    pub(super) fn plan(policy: &'p QualityPolicy) -> Result<Plan, ValidationError> {
        let mut plan = Self { policy, columns: Vec::new(), checks: Vec::new(), rows: Vec::new() };
        plan.complete()?;
        plan.types()?;
        plan.rules()?;
        plan.accuracy()?;
        plan.timeliness()?;
        let keys = plan.keys()?;
        for path in &policy.profile.fields {
            let at = plan.column(path)?;
            plan.at(at, |column| column.profiled = true);
        }
        let id = policy.id.as_ref().map(|path| plan.column(path)).transpose()?;
        let Self { columns, checks, rows, .. } = plan;
        if columns.len() as u64 > u64::from(policy.max_fields) {
            let (fields, most) = (columns.len(), policy.max_fields);
            return refuse(format!("it names {fields} fields, at most {most} are allowed, raise max_fields"));
        }
        if let Some(column) = columns.iter().find(|column| column.checks.len() > MAX_CHECKS) {
            return refuse(format!("the field {:?} has more than {MAX_CHECKS} checks", column.path));
        }
        Ok(Plan { columns, checks, rows, keys, id })
    }
    fn column(&mut self, path: &str) -> Result<usize, ValidationError> {
        if let Some(at) = self.columns.iter().position(|column| column.path == path) {
            return Ok(at);
        }
        let pointer =
            Pointer::parse_single(path).map_err(|reason| ValidationError::BrokenPolicy { reason })?;
        let timely = self.policy.timely.iter().any(|timely| timely.field == path);
        let undeclared = if timely { FieldType::Timestamp } else { FieldType::Any };
        self.columns.push(Column {
            path: path.to_owned(),
            pointer,
            declared: self.policy.types.get(path).copied().unwrap_or(undeclared),
            profiled: self.policy.profile.all,
            named: true,
            related: false,
            checks: Vec::new(),
        });
        Ok(self.columns.len().saturating_sub(1))
    }

    fn at(&mut self, column: usize, change: impl FnOnce(&mut Column)) {
        if let Some(column) = self.columns.get_mut(column) {
            change(column);
        }
    }

    /// A field that more than itself is compared with.
    fn related(&mut self, path: &str) -> Result<usize, ValidationError> {
        let at = self.column(path)?;
        self.at(at, |column| column.related = true);
        Ok(at)
    }

    fn target(&mut self, dimension: Dimension, basis: Basis, name: &str) -> Result<usize, ValidationError> {
        let text = format!("{dimension}:{name}");
        if self.checks.iter().any(|check| *check.text == *text) {
            return refuse(format!("{text:?} is named twice"));
        }
        let of_all = dimension == Dimension::Completeness;
        self.checks.push(Target { dimension, basis, text: text.into(), of_all });
        Ok(self.checks.len().saturating_sub(1))
    }

    fn named(&mut self, dimension: Dimension, basis: Basis, name: &str) -> Result<usize, ValidationError> {
        check_name(name)?;
        self.target(dimension, basis, name)
    }

    fn cell(&mut self, path: &str, check: usize, cell: CellCheck) -> Result<(), ValidationError> {
        let at = self.column(path)?;
        self.at(at, |column| column.checks.push((check, cell)));
        Ok(())
    }

    fn complete(&mut self) -> Result<(), ValidationError> {
        for path in &self.policy.complete {
            self.column(path)?;
            let check = self.target(Dimension::Completeness, Basis::Declaration, path)?;
            self.cell(path, check, CellCheck::Complete)?;
        }
        Ok(())
    }

    fn types(&mut self) -> Result<(), ValidationError> {
        for (path, declared) in &self.policy.types {
            self.column(path)?;
            if *declared != FieldType::Any {
                let check = self.target(Dimension::Consistency, Basis::Declaration, path)?;
                self.cell(path, check, CellCheck::Type)?;
            }
        }
        Ok(())
    }

    fn rules(&mut self) -> Result<(), ValidationError> {
        for rule in &self.policy.consistent {
            self.rule(Dimension::Consistency, rule)?;
        }
        Ok(())
    }

    /// A rule about one field is checked once for each value, one about two where they stand, any other on the whole record.
    fn rule(&mut self, dimension: Dimension, rule: &Rule) -> Result<(), ValidationError> {
        let check = self.named(dimension, Basis::Declaration, &rule.name)?;
        let mut strict = rule.clone();
        strict.severity = Severity::Error;
        strict.mode = RuleMode::Enforce;
        let contract = Contract::builder().rule(strict).build()?;
        let one_place = |path: &str| Pointer::parse_single(path).is_ok();
        match (&rule.check, sole_field(&rule.check)) {
            (_, Some(path)) if one_place(path) => {
                let path = path.to_owned();
                self.cell(&path, check, CellCheck::Rule(contract))
            }
            (Check::Compare(compare), _) if one_place(&compare.path) && one_place(&compare.other) => {
                let (left, right) = (self.related(&compare.path)?, self.related(&compare.other)?);
                let operator = compare.operator;
                self.rows.push(RowCheck::Compare {
                    check,
                    left,
                    operator,
                    right,
                    contract: Arc::new(contract),
                });
                Ok(())
            }
            _ => {
                self.rows.push(RowCheck::Rule { check, contract: Arc::new(contract) });
                Ok(())
            }
        }
    }

    fn accuracy(&mut self) -> Result<(), ValidationError> {
        for accuracy in &self.policy.accurate {
            match accuracy {
                Accuracy::Rule(rule) => self.rule(Dimension::Accuracy, rule)?,
                Accuracy::Allowed(allowed) => {
                    let check = self.named(Dimension::Accuracy, Basis::Reference, &allowed.name)?;
                    let at = self.column(&allowed.field)?;
                    let declared = self.declared(at);
                    let identities = allowed.values.iter().flat_map(|value| identities(value, declared));
                    self.cell(&allowed.field, check, CellCheck::Allowed(identities.collect()))?;
                }
                Accuracy::Lookup(lookup) => {
                    let check = self.named(Dimension::Accuracy, Basis::Reference, &lookup.name)?;
                    let (key, field) = (self.related(&lookup.key)?, self.related(&lookup.field)?);
                    let (key_type, field_type) = (self.declared(key), self.declared(field));
                    let mut entries = HashMap::new();
                    for (key, value) in &lookup.entries {
                        let value = Typed::of_json(value, field_type).0.identity();
                        for key in identities(&Value::from(key.as_str()), key_type) {
                            entries.insert(key, value);
                        }
                    }
                    self.rows.push(RowCheck::Lookup { check, key, field, entries: Arc::new(entries) });
                }
            }
        }
        Ok(())
    }

    fn declared(&self, column: usize) -> FieldType {
        self.columns.get(column).map_or(FieldType::Any, |column| column.declared)
    }

    fn timeliness(&mut self) -> Result<(), ValidationError> {
        for Timeliness { name, field, max_age_seconds, deadline } in &self.policy.timely {
            let check = self.named(Dimension::Timeliness, Basis::Declaration, name)?;
            let micros = |seconds: u64| i64::try_from(seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
            if max_age_seconds.is_none() && deadline.is_none() {
                return refuse(format!("{name:?} has neither max_age_seconds nor deadline"));
            }
            let max_age_micros = max_age_seconds.map(micros);
            let deadline = deadline.map(Timestamp::as_micros);
            self.cell(field, check, CellCheck::Age { max_age_micros, deadline })?;
        }
        Ok(())
    }

    fn keys(&mut self) -> Result<Vec<KeyPlan>, ValidationError> {
        let mut keys = Vec::with_capacity(self.policy.unique.len());
        let mut names = BTreeSet::new();
        for Key { name, fields } in &self.policy.unique {
            check_name(name)?;
            if fields.is_empty() {
                return refuse(format!("the key {name:?} has no fields"));
            }
            if !names.insert(name) {
                return refuse(format!("the key {name:?} is named twice"));
            }
            let columns: Result<Vec<usize>, ValidationError> =
                fields.iter().map(|field| self.related(field)).collect();
            keys.push(KeyPlan {
                text: format!("{}:{name}", Dimension::Uniqueness).into(),
                columns: columns?,
            });
        }
        Ok(keys)
    }
}

fn check_name(name: &str) -> Result<(), ValidationError> {
    match name.parse::<Name>() {
        Ok(_) => Ok(()),
        Err(error) => refuse(error.to_string()),
    }
}

/// A value of a reference set, and for text also as a cell of CSV would be read.
fn identities(value: &Value, declared: FieldType) -> impl Iterator<Item = Identity> {
    let as_cell = value.as_str().map(|text| Typed::of_text(text, declared).0.identity());
    std::iter::once(Typed::of_json(value, declared).0.identity()).chain(as_cell)
}

/// The field that a check is about, if it is about one and nothing but what stands there.
fn sole_field(check: &Check) -> Option<&str> {
    match check {
        Check::Type(check) => Some(&check.path),
        Check::Format(check) => Some(&check.path),
        Check::Range(check) => Some(&check.path),
        Check::Length(check) => Some(&check.path),
        Check::Pattern(check) => Some(&check.path),
        Check::OneOf(check) => Some(&check.path),
        _ => None,
    }
}

impl CellCheck {
    /// Whether it is asked of a value that is there, and whether the value passes.
    pub(super) fn judge(
        &self,
        column: &Column,
        typed: &Typed<'_>,
        fits: bool,
        identity: Identity,
        now: Timestamp,
    ) -> (bool, bool) {
        match self {
            Self::Complete => (true, true),
            Self::Type => (true, fits),
            Self::Allowed(values) => (true, values.contains(&identity)),
            // What could not be judged within its limits does not pass.
            Self::Rule(contract) => {
                let document = crate::Document::from(nested(&column.path, typed.to_json()));
                (true, contract.is_valid(&document).unwrap_or(false))
            }
            Self::Age { max_age_micros, deadline } => {
                let (Known::Date(moment) | Known::Moment(moment)) = typed.known() else {
                    return (false, true);
                };
                let age = now.as_micros().saturating_sub(moment);
                let young = max_age_micros.is_none_or(|most| age <= most);
                (true, young && deadline.is_none_or(|deadline| moment <= deadline))
            }
        }
    }
}

/// An object in which `value` stands at `path`.
fn nested(path: &str, value: Value) -> Value {
    let segments = path.split('/').skip(1);
    let segments: Vec<String> =
        segments.map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect();
    segments.into_iter().rev().fold(value, |inner, key| Value::Object([(key, inner)].into_iter().collect()))
}

/// The path of a member.
pub(super) fn path_of(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
