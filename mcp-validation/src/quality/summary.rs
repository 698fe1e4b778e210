use std::fmt;

use serde::{Deserialize, Serialize};

use super::distinct::Estimate;
use super::field::FieldProfile;
use super::policy::Threshold;
use super::prepare::{Basis, Dimension, OVERALL, Quality};
use super::{QualityState, Score};
use crate::ValidationError;

/// Whether scores reach what is expected of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They do, or nothing is expected.
    Pass,
    /// One lies below a threshold that warns.
    Warn,
    /// One that something is expected of is not known, since no record was asked.
    Unknown,
    /// One lies below a threshold that fails.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Fail => "fail",
        })
    }
}

/// Scores and figures over all records that were looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QualitySummary {
    /// How many records there were.
    pub records: u64,
    /// How many of them could not be read.
    pub unreadable: u64,
    /// The worst of all verdicts.
    pub verdict: Verdict,
    /// The mean of the dimensions that are measured, by their weights; `None` when there is none.
    pub score: Option<f64>,
    /// Those that are measured.
    pub dimensions: Vec<DimensionScore>,
    /// In the policy's order.
    pub checks: Vec<CheckScore>,
    /// Fields that the policy profiles, by path.
    pub fields: Vec<FieldProfile>,
    /// Whether records have more fields than the policy's `max_fields`, which have no figures.
    pub fields_left_out: bool,
}

/// The mean of the checks of one dimension, by their weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DimensionScore {
    /// Which one.
    pub dimension: Dimension,
    /// From 0 to 1; `None` when none of its checks was asked of any record.
    pub score: Option<f64>,
    /// By how much it may be wrong, from 0 to 1; 0 where all was counted.
    pub error: f64,
    /// How much it counts.
    pub weight: f64,
    /// Whether it reaches its threshold.
    pub verdict: Verdict,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckScore {
    /// What it is called in policies: its dimension, a colon, and its field or name.
    pub target: String,
    /// Which side of quality it is of.
    pub dimension: Dimension,
    /// What records are compared with.
    pub basis: Basis,
    /// How many records pass, of how many that were asked.
    pub score: Score,
    /// How much it counts within its dimension.
    pub weight: f64,
    /// What is expected.
    pub threshold: Threshold,
    /// Whether it reaches that.
    pub verdict: Verdict,
    /// Of a key: how many different ones there are.
    pub distinct: Option<Estimate>,
}

impl QualitySummary {
    /// The score of a check, by its target.
    #[must_use]
    pub fn check(&self, target: &str) -> Option<&CheckScore> {
        self.checks.iter().find(|check| check.target == target)
    }

    /// The figures of a field, by its path.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<&FieldProfile> {
        self.fields.iter().find(|field| field.field == path)
    }

    /// Every target that has a score, with its share.
    pub(super) fn shares(&self) -> impl Iterator<Item = (&str, Option<f64>)> {
        let overall = std::iter::once((OVERALL, self.score));
        let dimensions =
            self.dimensions.iter().map(|dimension| (dimension.dimension.as_str(), dimension.score));
        let checks = self.checks.iter().map(|check| (check.target.as_str(), check.score.ratio()));
        overall.chain(dimensions).chain(checks)
    }
}

impl Quality {
    /// The scores of `state`, and whether they reach what is expected.
    ///
    /// # Errors
    /// [`ValidationError::PolicyMismatch`], `Conflict`, when it was made under a policy that measures something else.
    pub fn summary(&self, state: &QualityState) -> Result<QualitySummary, ValidationError> {
        if state.digest != self.digest {
            return Err(ValidationError::PolicyMismatch);
        }
        let mut checks = Vec::with_capacity(self.checks.len().saturating_add(self.keys.len()));
        for (target, count) in self.checks.iter().zip(&state.counts) {
            let score = Score::new(count.numerator, count.denominator);
            checks.push(self.check_score(&target.text, target.dimension, target.basis, score, None));
        }
        for (plan, key) in self.keys.iter().zip(&state.keys) {
            let (score, distinct) = (key.values.unique(key.records), key.values.distinct());
            let dimension = Dimension::Uniqueness;
            checks.push(self.check_score(&plan.text, dimension, Basis::Records, score, Some(distinct)));
        }
        let dimensions: Vec<DimensionScore> =
            Dimension::ALL.iter().filter_map(|dimension| self.dimension_score(*dimension, &checks)).collect();
        let score = mean(dimensions.iter().map(|dimension| (dimension.score, dimension.weight)));
        let verdicts =
            checks.iter().map(|check| check.verdict).chain(dimensions.iter().map(|one| one.verdict));
        let verdict = verdicts.chain([self.verdict(OVERALL, score)]).max().unwrap_or(Verdict::Pass);
        let readable = state.records.saturating_sub(state.unreadable);
        let profile =
            |(path, field): (&String, &super::field::FieldState)| field.profile(&self.policy, path, readable);
        Ok(QualitySummary {
            records: state.records,
            unreadable: state.unreadable,
            verdict,
            score,
            dimensions,
            checks,
            fields: state.fields.iter().map(profile).collect(),
            fields_left_out: state.left_out,
        })
    }

    fn check_score(
        &self,
        target: &str,
        dimension: Dimension,
        basis: Basis,
        score: Score,
        distinct: Option<Estimate>,
    ) -> CheckScore {
        CheckScore {
            target: target.to_owned(),
            dimension,
            basis,
            score,
            weight: self.weight(target),
            threshold: self.policy.thresholds.get(target).copied().unwrap_or_default(),
            verdict: self.verdict(target, score.ratio()),
            distinct,
        }
    }

    fn dimension_score(&self, dimension: Dimension, checks: &[CheckScore]) -> Option<DimensionScore> {
        let name = dimension.as_str();
        let mut own = checks.iter().filter(|check| check.dimension == dimension).peekable();
        if own.peek().is_none() && !self.policy.thresholds.contains_key(name) {
            return None;
        }
        let own: Vec<&CheckScore> = own.collect();
        let score = mean(own.iter().map(|check| (check.score.ratio(), check.weight)));
        let error =
            mean(own.iter().map(|check| (check.score.ratio().map(|_| check.score.error), check.weight)));
        Some(DimensionScore {
            dimension,
            score,
            error: error.unwrap_or(0.0),
            weight: self.weight(name),
            verdict: self.verdict(name, score),
        })
    }

    fn weight(&self, target: &str) -> f64 {
        self.policy.weights.get(target).copied().unwrap_or(1.0)
    }

    fn verdict(&self, target: &str, share: Option<f64>) -> Verdict {
        let Some(threshold) = self.policy.thresholds.get(target) else { return Verdict::Pass };
        let below = |least: Option<f64>| share.zip(least).is_some_and(|(share, least)| share < least);
        match share {
            None => Verdict::Unknown,
            Some(_) if below(threshold.fail) => Verdict::Fail,
            Some(_) if below(threshold.warn) => Verdict::Warn,
            Some(_) => Verdict::Pass,
        }
    }
}

/// The mean by weight of those that are known.
fn mean(shares: impl Iterator<Item = (Option<f64>, f64)>) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (share, weight) in shares.filter_map(|(share, weight)| Some((share?, weight))) {
        sum += share * weight;
        weights += weight;
    }
    (weights > 0.0).then(|| sum / weights)
}
