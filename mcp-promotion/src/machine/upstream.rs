use mcp_core::{Name, Timestamp};

use super::next::Upstream;
use super::stage_state::Verified;
use crate::policy::UpstreamRule;
use crate::{Blocker, Policy, UpstreamEvidence};

/// Why the release cannot come out of the stages that `policy` names, if it cannot; `seen` says what is known of each.
pub(super) fn before<'a>(
    policy: &Policy,
    seen: impl Fn(&Name) -> Option<&'a Upstream>,
    now: Timestamp,
) -> Vec<Blocker> {
    let open: Vec<Blocker> = policy
        .after
        .iter()
        .filter_map(|stage| match seen(stage) {
            Some(known) => open_upstream(stage, known.verified.as_ref(), policy, now),
            None => Some(Blocker::UpstreamGone { stage: stage.clone() }),
        })
        .collect();
    match policy.upstream {
        UpstreamRule::AnyOf if open.len() < policy.after.len() => Vec::new(),
        UpstreamRule::AnyOf if open.len() > 1 => vec![Blocker::AnyOf { of: open }],
        UpstreamRule::All | UpstreamRule::AnyOf => open,
    }
}

/// Why the release cannot come out of `stage` yet, if it cannot.
pub(super) fn open_upstream(
    stage: &Name,
    verified: Option<&Verified>,
    policy: &Policy,
    now: Timestamp,
) -> Option<Blocker> {
    let Some(verified) = verified else {
        return Some(Blocker::Upstream { stage: stage.clone() });
    };
    if verified.until.unwrap_or(now).saturating_since(verified.at) >= policy.soak {
        return None;
    }
    let until = verified.until.is_none().then(|| verified.at.saturating_add(policy.soak));
    Some(Blocker::Soaking { stage: stage.clone(), until })
}

/// Whether what was seen of one stage before counts as evidence: under `AnyOf` only a success that has soaked does, and the others need
/// not even stay as they are until the start is recorded.
#[must_use]
pub(crate) fn counts(policy: &Policy, stage: &Name, verified: &Verified, now: Timestamp) -> bool {
    policy.upstream == UpstreamRule::All || open_upstream(stage, Some(verified), policy, now).is_none()
}

/// Which stages the evidence of a start does not cover; empty where the rule of the policy holds.
pub(super) fn uncovered(policy: &Policy, covered: impl Fn(&Name) -> bool) -> Vec<&Name> {
    let open: Vec<&Name> = policy.after.iter().filter(|stage| !covered(stage)).collect();
    match policy.upstream {
        UpstreamRule::AnyOf if open.len() < policy.after.len() => Vec::new(),
        UpstreamRule::All | UpstreamRule::AnyOf => open,
    }
}

/// The stages that are missing, as a refusal names them: the first of all, or every one of those of which one would do.
pub(super) fn named(policy: &Policy, open: &[&Name]) -> String {
    match policy.upstream {
        UpstreamRule::All => open.first().map(ToString::to_string).unwrap_or_default(),
        UpstreamRule::AnyOf => {
            let names: Vec<&str> = open.iter().map(|stage| stage.as_str()).collect();
            format!("any of {}", names.join(", "))
        }
    }
}

/// Whether evidence on record says that the release ran long enough in `stage`.
pub(super) fn soaked(evidence: &[UpstreamEvidence], policy: &Policy, stage: &Name) -> bool {
    let long_enough = |ran_ms: u64| u128::from(ran_ms) >= policy.soak.as_millis();
    evidence.iter().any(|seen| seen.stage == *stage && long_enough(seen.ran_ms))
}
