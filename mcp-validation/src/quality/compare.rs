use serde::{Deserialize, Serialize};

use super::field::FieldProfile;
use super::{Quality, QualityState};
use crate::ValidationError;

/// How two states differ, made under one policy at two times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// How many records there were before, and are after.
    pub records: (u64, u64),
    /// Every target that has a score at one of the times: `overall`, dimensions, checks.
    pub scores: Vec<ScoreChange>,
    /// Fields with figures at one of the times, by path.
    pub fields: Vec<FieldChange>,
    /// What goes further than the policy's `changes` allow, in words; empty when nothing does.
    pub breaches: Vec<String>,
}

/// How the score of one target changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScoreChange {
    /// As in policies.
    pub target: String,
    /// The share before; `None` when it was not known.
    pub before: Option<f64>,
    /// The share after.
    pub after: Option<f64>,
}

/// How the figures of one field changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FieldChange {
    /// Its path.
    pub field: String,
    /// Before; `None` when no record had it.
    pub before: Option<FieldProfile>,
    /// After.
    pub after: Option<FieldProfile>,
    /// Values that were not there before, by text; `None` unless all values of both times are kept.
    pub new_values: Option<Vec<String>>,
    /// Values that are no longer there.
    pub missing_values: Option<Vec<String>>,
}

impl Comparison {
    /// Whether nothing goes further than the policy allows.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.breaches.is_empty()
    }
}

impl Quality {
    /// What changed from `before` to `after`.
    ///
    /// # Errors
    /// [`ValidationError::PolicyMismatch`], `Conflict`, when one was made under a policy that measures something else.
    pub fn compare(
        &self,
        before: &QualityState,
        after: &QualityState,
    ) -> Result<Comparison, ValidationError> {
        let (old, new) = (self.summary(before)?, self.summary(after)?);
        let mut scores: Vec<ScoreChange> = Vec::new();
        for (target, share) in old.shares() {
            scores.push(ScoreChange { target: target.to_owned(), before: share, after: None });
        }
        for (target, share) in new.shares() {
            match scores.iter_mut().find(|score| score.target == target) {
                Some(score) => score.after = share,
                None => scores.push(ScoreChange { target: target.to_owned(), before: None, after: share }),
            }
        }
        let mut paths: Vec<&String> = before.fields.keys().chain(after.fields.keys()).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut fields = Vec::with_capacity(paths.len());
        for path in paths {
            let values =
                |state: &'_ QualityState| state.fields.get(path).and_then(|field| field.frequent().cloned());
            let (old_values, new_values) = (values(before), values(after));
            let both = old_values.as_ref().zip(new_values.as_ref());
            fields.push(FieldChange {
                field: path.clone(),
                before: old.field(path).cloned(),
                after: new.field(path).cloned(),
                new_values: both.and_then(|(old, new)| new.beyond(old)),
                missing_values: both.and_then(|(old, new)| old.beyond(new)),
            });
        }
        let mut comparison =
            Comparison { records: (before.records, after.records), scores, fields, breaches: Vec::new() };
        comparison.breaches = self.breaches(&comparison);
        Ok(comparison)
    }

    #[expect(clippy::cast_precision_loss, reason = "records are compared by share")]
    fn breaches(&self, comparison: &Comparison) -> Vec<String> {
        let changes = &self.policy.changes;
        let mut breaches = Vec::new();
        let (before, after) = comparison.records;
        if let Some(most) = changes.records
            && (after as f64) < before as f64 * (1.0 - most)
        {
            breaches.push(format!(
                "the records fell from {before} to {after}, by more than {most} of themselves"
            ));
        }
        for (target, most) in &changes.drops {
            let score = comparison.scores.iter().find(|score| score.target == *target);
            match score.map(|score| (score.before, score.after)) {
                Some((Some(before), Some(after))) if before - after > *most => {
                    breaches
                        .push(format!("{target} fell from {before:.4} to {after:.4}, by more than {most}"));
                }
                Some((Some(before), None)) => {
                    breaches.push(format!("{target} was {before:.4} and is not known any more"));
                }
                _ => {}
            }
        }
        for field in &comparison.fields {
            let mean = |profile: &Option<FieldProfile>| profile.as_ref()?.numbers.as_ref()?.mean;
            if let (Some(most), Some(before)) = (changes.means.get(&field.field), mean(&field.before)) {
                match mean(&field.after) {
                    Some(after) if (after - before).abs() <= most * before.abs() => {}
                    Some(after) => breaches.push(format!(
                        "the mean of {} moved from {before} to {after}, by more than {most} of itself",
                        field.field
                    )),
                    None => breaches.push(format!("{} has no mean any more", field.field)),
                }
            }
            values(&mut breaches, "new", &changes.new_values, &field.field, field.new_values.as_deref());
            values(
                &mut breaches,
                "missing",
                &changes.missing_values,
                &field.field,
                field.missing_values.as_deref(),
            );
        }
        breaches
    }
}

/// Values that should not be new or missing in a field.
fn values(
    breaches: &mut Vec<String>,
    which: &str,
    guarded: &[String],
    field: &String,
    values: Option<&[String]>,
) {
    if !guarded.contains(field) {
        return;
    }
    match values {
        Some([]) => {}
        Some(values) => {
            let shown: Vec<String> = values.iter().take(10).map(|value| format!("{value:?}")).collect();
            breaches.push(format!("{} values of {field} are {which}: {}", values.len(), shown.join(", ")));
        }
        None => breaches
            .push(format!("whether values of {field} are {which} is not known: it has more than max_values")),
    }
}
