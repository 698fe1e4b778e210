use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use mcp_core::{Name, Principal, SeamError};
use serde::{Deserialize, Serialize};

use super::{Authorizer, OperateRequest, Operation, Permission, Standing, VoteRequest};
use crate::{Policy, Vote};

/// Who is in which group, and which groups may vote on what and operate. Plain data, the same for every stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Roles {
    /// The groups of each person; who is not named here may not vote.
    pub people: BTreeMap<Principal, BTreeSet<Name>>,
    /// The groups that may approve where a policy has no levels, and that may reject; none by default.
    pub voters: BTreeSet<Name>,
    /// The groups that may approve each level, and that may reject; nobody may approve a level that is not named.
    pub levels: BTreeMap<Name, BTreeSet<Name>>,
    /// The groups that may operate: cancel, pause, hold, roll back, ask for plans and all the rest but what the next two say; none by
    /// default. Who requested a promotion or a plan may always cancel it, and who may vote may veto.
    pub operators: BTreeSet<Name>,
    /// The groups that may break the glass; none by default.
    pub glass_breakers: BTreeSet<Name>,
    /// The groups that may review why the glass was broken; none by default.
    pub reviewers: BTreeSet<Name>,
}

impl Roles {
    /// What `person` may vote on under `policy`; `None` for nothing.
    fn of(&self, person: &Principal, vote: Vote, policy: &Policy) -> Option<Standing> {
        let groups = self.people.get(person)?;
        let theirs = self.levels.iter().filter(|(_, may)| !may.is_disjoint(groups));
        let levels: BTreeSet<Name> = theirs.map(|(level, _)| level.clone()).collect();
        let (votes, approves) = (!self.voters.is_disjoint(groups), !levels.is_empty());
        let may = match vote {
            Vote::Approve if policy.levels.is_empty() => votes,
            Vote::Approve => approves,
            Vote::Reject | Vote::Revoke => votes || approves,
        };
        may.then(|| Standing::of(levels, groups.clone()))
    }

    fn permission(&self, request: &OperateRequest<'_>) -> Permission {
        let of_promotion = request.promotion.map(|promotion| &promotion.requester);
        let own = of_promotion.or(request.plan.map(|plan| plan.requester)) == Some(request.who);
        let groups = match request.operation {
            Operation::Veto => return Permission::Granted,
            Operation::Cancel if own => return Permission::Granted,
            Operation::BreakGlass => &self.glass_breakers,
            Operation::Review => &self.reviewers,
            _ => &self.operators,
        };
        let may = |of: &BTreeSet<Name>| !of.is_disjoint(groups);
        if self.people.get(request.who).is_some_and(may) {
            return Permission::Granted;
        }
        let people = self.people.iter().filter(|(_, of)| may(of)).map(|(person, _)| person.to_string());
        Permission::Denied { who_may: people.collect() }
    }
}

#[async_trait]
impl Authorizer for Roles {
    async fn standing(&self, request: &VoteRequest<'_>) -> Result<Option<Standing>, SeamError> {
        Ok(self.of(request.voter, request.vote, request.policy))
    }

    async fn may_operate(&self, request: &OperateRequest<'_>) -> Result<Permission, SeamError> {
        Ok(self.permission(request))
    }
}
