use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use mcp_core::{Clock, Digest, Digester, ErrorKind, SeamError, Timestamp};
use serde::{Deserialize, Serialize};

use super::plan::{Column, KeyPlan, Plan, Planner, RowCheck, Target};
use super::policy::QualityPolicy;
use super::{Pass, QualityState};
use crate::{Contract, ValidationError};

/// A side of quality, as ISO/IEC 25012 and DAMA name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dimension {
    /// What should be there is there.
    Completeness,
    /// It agrees with declared rules, or with a reference set.
    Accuracy,
    /// It is of the declared type, and does not contradict itself.
    Consistency,
    /// It is recent enough.
    Timeliness,
    /// No two records share a key.
    Uniqueness,
    /// Records satisfy a contract.
    Validity,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 6] = [
        Self::Completeness,
        Self::Accuracy,
        Self::Consistency,
        Self::Timeliness,
        Self::Uniqueness,
        Self::Validity,
    ];

    /// Its name in policies and targets.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completeness => "completeness",
            Self::Accuracy => "accuracy",
            Self::Consistency => "consistency",
            Self::Timeliness => "timeliness",
            Self::Uniqueness => "uniqueness",
            Self::Validity => "validity",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a check compares records with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Basis {
    /// What the policy declares.
    Declaration,
    /// A set of values that is known to be right.
    Reference,
    /// A contract.
    Contract,
    /// The other records.
    Records,
}

/// A policy that was found to be right, the contract that says what is valid, and the clock that says how late it is.
#[derive(Clone)]
pub struct Quality {
    pub(super) policy: QualityPolicy,
    /// Of one record each; counts are kept in this order.
    pub(super) checks: Vec<Target>,
    /// Those that the policy names.
    pub(super) columns: Vec<Arc<Column>>,
    pub(super) keys: Vec<KeyPlan>,
    pub(super) rows: Vec<RowCheck>,
    /// The column that tells failing records apart.
    pub(super) id: Option<usize>,
    pub(super) nulls: HashSet<String>,
    pub(super) contract: Option<Arc<Contract>>,
    clock: Option<Arc<dyn Clock>>,
    /// Of what is measured alone, without weights and thresholds.
    policy_digest: Digest,
    /// What states must share to be merged: what is measured, and the contract as far as it can be told from others.
    pub(super) digest: Digest,
}

impl Quality {
    /// Checks `policy`.
    ///
    /// # Errors
    /// [`ValidationError::BrokenPolicy`], `Invalid`, for a path that is none or names many places, a name that is none, a key without
    /// fields, anything that is named twice, a share that is none, a weight or threshold for a target that there is not, and more fields
    /// than `max_fields`; [`ValidationError::BrokenRule`] for a rule that cannot be checked.
    pub fn new(policy: QualityPolicy) -> Result<Self, ValidationError> {
        let policy_digest = measured(&policy)?;
        let Plan { columns, checks, rows, keys, id } = Planner::plan(&policy)?;
        let nulls = policy.nulls.iter().cloned().collect();
        let columns = columns.into_iter().map(Arc::new).collect();
        let quality = Self {
            checks,
            columns,
            keys,
            rows,
            id,
            nulls,
            contract: None,
            clock: None,
            policy_digest,
            digest: policy_digest,
            policy,
        };
        quality.check_settings()?;
        Ok(quality)
    }

    /// Records are valid that `contract` finds valid, instead of one given before; its limits hold for every record. States under
    /// contracts without a fingerprint can be merged although nobody knows whether these were the same.
    #[must_use]
    pub fn contract(mut self, contract: impl Into<Arc<Contract>>) -> Self {
        let contract = contract.into();
        let mut digester = Digester::new();
        digester.update(self.policy_digest.as_bytes()).update(b"contract");
        if let Some(fingerprint) = contract.fingerprint() {
            digester.update(fingerprint.as_bytes());
        }
        self.digest = digester.digest();
        if self.contract.is_none() {
            self.checks.push(Target {
                dimension: Dimension::Validity,
                basis: Basis::Contract,
                text: Arc::from(VALIDITY),
                of_all: true,
            });
        }
        self.contract = Some(contract);
        self
    }

    /// How old moments are is told by `clock`, asked once at the beginning of a pass.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &QualityPolicy {
        &self.policy
    }

    /// Counts of nothing yet, which other states can be merged into.
    #[must_use]
    pub fn state(&self) -> QualityState {
        QualityState::new(self)
    }

    /// Begins to look at records.
    ///
    /// # Errors
    /// [`ValidationError::BrokenPolicy`], `Invalid`, when it has a `max_age_seconds` and no [`clock`](Self::clock) was lent.
    pub fn pass(&self) -> Result<Pass<'_>, ValidationError> {
        Ok(Pass::new(self, self.now()?))
    }

    /// The moment that ages are counted from.
    pub(super) fn now(&self) -> Result<Timestamp, ValidationError> {
        match &self.clock {
            Some(clock) => Ok(clock.now()),
            None if self.policy.timely.iter().any(|timely| timely.max_age_seconds.is_some()) => refuse(
                "it has a max_age_seconds, and no clock was lent that tells how old something is".to_owned(),
            ),
            None => Ok(Timestamp::UNIX_EPOCH),
        }
    }

    /// How many fields may have figures that the policy does not name.
    pub(super) fn most_found(&self) -> u64 {
        u64::from(self.policy.max_fields).saturating_sub(self.columns.len() as u64)
    }

    /// Where in the counts the contract's check is.
    pub(super) fn validity(&self) -> Option<usize> {
        self.contract.as_ref().and(self.checks.len().checked_sub(1))
    }

    fn check_settings(&self) -> Result<(), ValidationError> {
        let policy = &self.policy;
        let is_share = |share: &f64| (0.0..=1.0).contains(share);
        if let Some(quantile) = policy.profile.quantiles.iter().find(|share| !is_share(share)) {
            return refuse(format!("the quantile {quantile} does not lie between 0 and 1"));
        }
        for (target, weight) in &policy.weights {
            self.check_target(target)?;
            if target == OVERALL || !weight.is_finite() || *weight < 0.0 {
                return refuse(format!("{target:?} cannot have the weight {weight}"));
            }
        }
        for (target, threshold) in &policy.thresholds {
            self.check_target(target)?;
            let shares = [threshold.warn, threshold.fail];
            if shares.iter().flatten().any(|share| !is_share(share)) {
                return refuse(format!("a threshold of {target:?} does not lie between 0 and 1"));
            }
        }
        for (target, drop) in &policy.changes.drops {
            self.check_target(target)?;
            if !is_share(drop) {
                return refuse(format!("the drop {drop} of {target:?} does not lie between 0 and 1"));
            }
        }
        let fields = policy
            .changes
            .means
            .keys()
            .chain(&policy.changes.new_values)
            .chain(&policy.changes.missing_values);
        for field in fields {
            if !policy.profile.all && !policy.profile.fields.contains(field) {
                return refuse(format!(
                    "changes of the field {field:?} are asked for, which is not profiled"
                ));
            }
        }
        let values = &policy.changes;
        if (!values.new_values.is_empty() || !values.missing_values.is_empty())
            && policy.profile.frequent == 0
        {
            return refuse(
                "new or missing values are asked for, and profile.frequent is 0, so none are kept".to_owned(),
            );
        }
        Ok(())
    }

    /// Whether there is such a target, or can be: a contract may still be given.
    fn check_target(&self, target: &str) -> Result<(), ValidationError> {
        let known = target == OVERALL
            || target == VALIDITY
            || Dimension::ALL.iter().any(|dimension| dimension.as_str() == target)
            || self.checks.iter().any(|check| *check.text == *target)
            || self.keys.iter().any(|key| *key.text == *target);
        if known { Ok(()) } else { refuse(format!("nothing is measured that is called {target:?}")) }
    }
}

impl fmt::Debug for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quality")
            .field("policy", &self.policy)
            .field("contract", &self.contract)
            .finish_non_exhaustive()
    }
}

/// The target of all dimensions together.
pub(super) const OVERALL: &str = "overall";
/// The target of the contract.
const VALIDITY: &str = "validity:contract";

pub(super) fn refuse<T>(reason: String) -> Result<T, ValidationError> {
    Err(ValidationError::BrokenPolicy { reason })
}

/// The digest of what decides the counts: what they are compared with afterwards does not.
fn measured(policy: &QualityPolicy) -> Result<Digest, ValidationError> {
    let mut measured = policy.clone();
    measured.weights.clear();
    measured.thresholds.clear();
    measured.changes = super::Changes::default();
    measured.profile.quantiles.clear();
    let text = serde_json::to_vec(&measured).map_err(|error| ValidationError::NotOpened {
        source: SeamError::new(ErrorKind::Internal, "write a quality policy as JSON").with_source(error),
    })?;
    Ok(Digest::of(&text))
}
