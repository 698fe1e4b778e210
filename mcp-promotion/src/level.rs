use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mcp_core::{Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::approval::{Ballot, LevelTally};
use crate::fault::Fault;
use crate::millis;
use crate::policy::odd;

/// One of several approvals, in order: those of a level are asked for once the levels before it are complete.
///
/// A vote is cast for one level: the first one that is not complete, and it is refused when that is not the voter's to approve. So one person counts for
/// one level only. When an approval of an earlier level is revoked or expires, those of later levels stand, and nothing starts until the
/// earlier one is complete again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Level {
    /// What it is called; the [`Authorizer`](crate::Authorizer) says by this name who may approve it.
    pub name: Name,
    /// How many distinct eligible people, other than the requester, must approve; at least 1.
    pub quorum: u32,
    /// From which groups some of them must be, and how many from each, at least 1; none by default. Who is in several groups counts for each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<Name, u32>,
    /// For how long an approval of this level counts, in milliseconds; as long as the policy says, by default.
    #[serde(
        default,
        rename = "expires_after_ms",
        with = "millis::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_after: Option<Duration>,
}

impl Level {
    /// Of this name, with this quorum of whoever is eligible.
    #[must_use]
    pub const fn new(name: Name, quorum: u32) -> Self {
        Self { name, quorum, groups: BTreeMap::new(), expires_after: None }
    }

    /// At least this many of them must be of `group`.
    #[must_use]
    pub fn from_group(mut self, group: Name, people: u32) -> Self {
        self.groups.insert(group, people);
        self
    }

    /// How the approvals stand that count for it.
    pub(crate) fn tally(
        &self,
        ballots: &[&Ballot],
        end: impl Fn(&Ballot) -> Option<Timestamp>,
    ) -> LevelTally {
        let of_it = || ballots.iter().filter(|ballot| ballot.level.as_ref() == Some(&self.name));
        let approved_by: BTreeSet<_> = of_it().map(|ballot| ballot.voter.clone()).collect();
        let lacking = self.groups.iter().filter_map(|(group, needed)| {
            let members = of_it().filter(|ballot| ballot.groups.contains(group)).count();
            let lacking = needed.saturating_sub(u32::try_from(members).unwrap_or(u32::MAX));
            (lacking > 0).then(|| (group.clone(), lacking))
        });
        let lacking = lacking.collect();
        let expires = of_it().filter_map(|ballot| end(ballot)).min();
        LevelTally { name: self.name.clone(), approved_by, needed: self.quorum, lacking, expires }
    }
}

/// What of these levels cannot be obeyed.
pub(crate) fn faults(levels: &[Level]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for (place, Level { name, quorum, groups, expires_after }) in levels.iter().enumerate() {
        let mut say = |field: &str, reason: String, advice: &str| {
            faults.push(Fault::new(reason, advice).at(format!("levels[{place}].{field}")));
        };
        if !names.insert(name) {
            say("name", format!("two of its levels are called {name}"), "give each its own name");
        }
        if *quorum == 0 {
            say("quorum", format!("level {name} has a quorum of nobody"), "ask for at least 1");
        }
        for (group, people) in groups {
            let field = format!("groups.{group}");
            if *people == 0 {
                let why = format!("level {name} asks for nobody of group {group}");
                say(&field, why, "ask for at least 1, or leave the group out");
            } else if people > quorum {
                let why =
                    format!("level {name} asks for {people} of group {group}, with a quorum of {quorum}");
                say(&field, why, "raise the quorum, or ask for fewer of the group");
            }
        }
        if expires_after.is_some_and(|time| time.is_zero()) {
            let why = format!("approvals of level {name} that expire at once never count");
            say("expires_after_ms", why, "give them time, or leave it out");
        } else if let Some(Fault { reason, advice, .. }) = expires_after.and_then(odd) {
            say("expires_after_ms", reason, &advice);
        }
    }
    faults
}
