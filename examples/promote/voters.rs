//! Who may vote, by the roles of a pipeline file.

use std::collections::BTreeSet;

use mcp_core::{Name, Principal};
use mcp_promotion::{Blocker, Engine, Policy, PromotionError, PromotionId, Roles};

use crate::failure::Failure;

/// Who may approve this level; without one, what has no levels.
fn approvers<'a>(roles: &'a Roles, level: Option<&Name>) -> BTreeSet<&'a Principal> {
    let groups = level.map_or(Some(&roles.voters), |level| roles.levels.get(level));
    let may = |of: &BTreeSet<Name>| groups.is_some_and(|groups| !of.is_disjoint(groups));
    roles.people.iter().filter(|(_, of)| may(of)).map(|(person, _)| person).collect()
}

fn listed(people: &BTreeSet<&Principal>) -> String {
    people.iter().map(|person| person.as_str()).collect::<Vec<_>>().join(", ")
}

/// What a policy asks for that so few people can never give.
pub fn faults(policy: &Policy, roles: &Roles) -> Vec<String> {
    let mut faults = Vec::new();
    let mut compare = |asked: String, needed: u32, may: &BTreeSet<&Principal>| {
        let count = may.len();
        if (count as u64) < u64::from(needed) {
            let who = match count {
                0 => "nobody may give them".to_owned(),
                1 => format!("only {} may give them", listed(may)),
                _ => format!("only {count} people may give them: {}", listed(may)),
            };
            faults.push(format!(
                "{asked} asks for {needed} approvals, and by the roles {who}; name more people there, or ask for fewer"
            ));
        }
    };
    compare("it".to_owned(), policy.approvals, &approvers(roles, None));
    let mut anybody = BTreeSet::new();
    for level in &policy.levels {
        let may = approvers(roles, Some(&level.name));
        compare(format!("level {}", level.name), level.quorum, &may);
        for (group, needed) in &level.groups {
            let is_member =
                |person: &Principal| roles.people.get(person).is_some_and(|of| of.contains(group));
            let members = may.iter().copied().filter(|person| is_member(person)).collect();
            compare(format!("group {group} of level {}", level.name), *needed, &members);
        }
        anybody.extend(may);
    }
    if faults.is_empty() {
        let needed = policy.levels.iter().fold(0_u32, |sum, level| sum.saturating_add(level.quorum));
        if (anybody.len() as u64) < u64::from(needed) {
            faults.push(format!(
                "its levels ask for {needed} approvals, one by each person, and by the roles only {} people may give them: {}; name more \
                 people there, or ask for fewer",
                anybody.len(),
                listed(&anybody)
            ));
        }
    }
    faults
}

/// The same error, with who may vote where the roles do not allow it to who tried.
pub async fn explain(
    error: PromotionError,
    vote: &str,
    (engine, id): (&Engine, &PromotionId),
    roles: Option<&Roles>,
) -> Failure {
    let (PromotionError::Denied { who, .. }, Some(roles)) = (&error, roles) else { return error.into() };
    let (Ok(promotion), Ok(blockers)) = (engine.status(id).await, engine.blockers(id).await) else {
        return error.into();
    };
    let mut may = match vote {
        "approve" if promotion.policy.levels.is_empty() => approvers(roles, None),
        "approve" => {
            let asked = blockers.iter().find_map(|blocker| match blocker {
                Blocker::Approvals { level: Some(level), .. } => Some(level),
                _ => None,
            });
            asked.map(|level| approvers(roles, Some(level))).unwrap_or_default()
        }
        _ => {
            let of_levels = roles.levels.keys().flat_map(|level| approvers(roles, Some(level)));
            of_levels.chain(approvers(roles, None)).collect()
        }
    };
    if vote == "approve" {
        may.remove(&promotion.requester);
    }
    let is_theirs = may.contains(who);
    let mut failure = Failure::from(error);
    if !is_theirs && !may.is_empty() {
        failure.message.push_str(&format!(": {}", listed(&may)));
    }
    failure
}
