use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mcp_core::{Digest, Digester, Name, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Policy, PromotionError, Release};

/// What somebody says about a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// It may start.
    Approve,
    /// It must not; one is enough.
    Reject,
    /// An approval is taken back.
    Revoke,
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Revoke => "revoke",
        })
    }
}

/// A vote on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ballot {
    /// Who voted; eligible at that time.
    pub voter: Principal,
    /// What they said.
    pub vote: Vote,
    /// When.
    pub at: Timestamp,
    /// What it was about: [`binding`] of the stage, release and policy that the voter saw.
    pub binding: Digest,
    /// For which level it counts; `None` where the policy has no levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Name>,
    /// Of which groups the voter was, among those that the level asks for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<Name>,
}

impl Ballot {
    /// A vote for no level in particular; for tests of [`tally`].
    #[must_use]
    pub const fn new(voter: Principal, vote: Vote, at: Timestamp, binding: Digest) -> Self {
        Self { voter, vote, at, binding, level: None, groups: BTreeSet::new() }
    }
}

/// What a vote binds to. When stage, release or policy is another one, so is the digest, and the vote does not count.
///
/// # Errors
/// As [`Policy::digest`].
pub fn binding(stage: &Name, release: &Release, policy: &Policy) -> Result<Digest, PromotionError> {
    let mut digester = Digester::new();
    digester.update(b"mcp approval 1\n").update(stage.as_str().as_bytes()).update(b"\n");
    digester.update(release.digest().as_bytes()).update(policy.digest()?.as_bytes());
    Ok(digester.digest())
}

/// How an approval stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Whose approval counts.
    pub approved_by: BTreeSet<Principal>,
    /// How many are needed.
    pub needed: u32,
    /// When the earliest of those approvals stops to count.
    pub expires: Option<Timestamp>,
    /// Each level of the policy, in order.
    pub levels: Vec<LevelTally>,
}

/// How the approval of one level stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelTally {
    /// Which level.
    pub name: Name,
    /// Whose approval counts.
    pub approved_by: BTreeSet<Principal>,
    /// How many are needed.
    pub needed: u32,
    /// From which groups somebody is missing, and how many.
    pub lacking: BTreeMap<Name, u32>,
    /// When the earliest of its approvals stops to count.
    pub expires: Option<Timestamp>,
}

impl LevelTally {
    /// Whether nobody more is needed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing() == 0
    }

    /// How many more are needed at least; more, when nobody is of all the groups that lack somebody.
    #[must_use]
    pub fn missing(&self) -> u32 {
        let missing = self.needed.saturating_sub(u32::try_from(self.approved_by.len()).unwrap_or(u32::MAX));
        self.lacking.values().copied().fold(missing, u32::max)
    }
}

impl Tally {
    /// Whether nobody more is needed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing() == 0
    }

    /// How many more are needed.
    #[must_use]
    pub fn missing(&self) -> u32 {
        if !self.levels.is_empty() {
            return self.levels.iter().fold(0, |missing, level| missing.saturating_add(level.missing()));
        }
        self.needed.saturating_sub(u32::try_from(self.approved_by.len()).unwrap_or(u32::MAX))
    }

    /// The level for which approvals are asked: the first one that is not complete.
    #[must_use]
    pub fn open_level(&self) -> Option<&LevelTally> {
        self.levels.iter().find(|level| !level.is_complete())
    }

    /// The level for which an approval of `voter` counts: the one that they have approved already, or else the open one, or else the last one.
    pub(crate) fn level_for(&self, voter: &Principal) -> Option<&LevelTally> {
        let approved = self.levels.iter().find(|level| level.approved_by.contains(voter));
        approved.or_else(|| self.open_level()).or_else(|| self.levels.last())
    }
}

/// Counts the votes that stand at `now`: the latest of each person, an approval, bound to `binding`, not older than the policy allows, and
/// not the requester's.
#[must_use]
pub fn tally(
    votes: &[Ballot],
    policy: &Policy,
    binding: Digest,
    requester: &Principal,
    now: Timestamp,
) -> Tally {
    let end = |ballot: &Ballot| {
        let level = policy.levels.iter().find(|level| Some(&level.name) == ballot.level.as_ref());
        let after = level.and_then(|level| level.expires_after).or(policy.approval_expires_after);
        after.map(|after| ballot.at.saturating_add(after))
    };
    let mut last: Vec<&Ballot> = Vec::new();
    for ballot in votes {
        last.retain(|earlier| earlier.voter != ballot.voter);
        last.push(ballot);
    }
    last.retain(|ballot| {
        ballot.vote == Vote::Approve
            && ballot.binding == binding
            && ballot.voter != *requester
            && end(ballot).is_none_or(|end| now < end)
    });
    Tally {
        approved_by: last.iter().map(|ballot| ballot.voter.clone()).collect(),
        needed: policy.levels.iter().fold(policy.approvals, |sum, level| sum.saturating_add(level.quorum)),
        expires: last.iter().filter_map(|ballot| end(ballot)).min(),
        levels: policy.levels.iter().map(|level| level.tally(&last, end)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn release(version: &str) -> Release {
        Release::of([(format!("app@{version}").as_str(), Digest::of(b"app"))]).unwrap()
    }

    fn counted(votes: &[(&str, Vote, i64)], policy: &Policy, now: i64) -> Vec<String> {
        let stage: Name = "prod".parse().unwrap();
        let binding = binding(&stage, &release("1.0.0"), policy).unwrap();
        let votes: Vec<Ballot> = votes
            .iter()
            .map(|(voter, vote, when)| Ballot {
                voter: voter.parse().unwrap(),
                vote: *vote,
                at: at(*when),
                binding,
                level: None,
                groups: BTreeSet::new(),
            })
            .collect();
        let tally = tally(&votes, policy, binding, &"alice".parse().unwrap(), at(now));
        tally.approved_by.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_person_counts_once_the_requester_never_and_a_revoked_vote_no_more() {
        use Vote::{Approve, Revoke};
        let policy = Policy::unverified("test").approvals(2);
        let count = |votes: &[(&str, Vote, i64)]| counted(votes, &policy, 100);
        assert_eq!(count(&[("bob", Approve, 1), ("bob", Approve, 2)]), ["bob"]);
        assert_eq!(count(&[("bob", Approve, 1), ("carol", Approve, 2)]), ["bob", "carol"]);
        assert_eq!(count(&[("alice", Approve, 1), ("bob", Approve, 2)]), ["bob"]);
        assert_eq!(count(&[("bob", Approve, 1), ("bob", Revoke, 2)]), [""; 0]);
        assert_eq!(count(&[("bob", Approve, 1), ("bob", Revoke, 2), ("bob", Approve, 3)]), ["bob"]);
    }

    #[test]
    fn an_approval_counts_until_the_policy_lets_it_expire() {
        let policy = Policy::unverified("test").approvals(1).approval_expires_after(Duration::from_secs(10));
        let votes = [("bob", Vote::Approve, 5)];
        assert_eq!(counted(&votes, &policy, 14), ["bob"]);
        assert_eq!(counted(&votes, &policy, 15), [""; 0]);
    }

    #[test]
    fn a_vote_does_not_count_for_another_stage_release_or_policy() {
        let (dev, prod): (Name, Name) = ("dev".parse().unwrap(), "prod".parse().unwrap());
        let policy = Policy::unverified("test").approvals(1);
        let seen = binding(&prod, &release("1.0.0"), &policy).unwrap();
        let vote = Ballot {
            voter: "bob".parse().unwrap(),
            vote: Vote::Approve,
            at: at(1),
            binding: seen,
            level: None,
            groups: BTreeSet::new(),
        };
        let others = [
            binding(&dev, &release("1.0.0"), &policy).unwrap(),
            binding(&prod, &release("1.0.1"), &policy).unwrap(),
            binding(&prod, &release("1.0.0"), &policy.clone().approvals(2)).unwrap(),
        ];
        let count = |now| {
            tally(std::slice::from_ref(&vote), &policy, now, &"alice".parse().unwrap(), at(2)).missing()
        };
        assert_eq!((count(seen), others.map(count)), (0, [1, 1, 1]));
    }
}
