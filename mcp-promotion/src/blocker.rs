use std::collections::BTreeMap;
use std::fmt;

use mcp_core::{Name, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{PromotionId, State};

/// One thing that keeps a promotion from going on, and who or what lifts it. Computed, never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Blocker {
    /// Approvals are missing: eligible people other than the requester lift it.
    Approvals {
        /// How many are missing.
        missing: u32,
        /// How many are needed.
        needed: u32,
        /// Who asked for the promotion, and cannot approve it.
        requester: Principal,
        /// The level for which they are asked now; `None` where the policy has no levels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<Name>,
        /// From which groups that level still needs somebody, and how many.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        lacking: BTreeMap<Name, u32>,
    },
    /// A freeze is on, or no window is open: time lifts it.
    Window {
        /// Which freeze; `None` where none is on and no window is open.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closed_by: Option<Name>,
        /// When it may start; `None` when that is never, or too far away to be computed: then only another policy helps.
        opens_at: Option<Timestamp>,
    },
    /// The release has not succeeded in a stage before: its success there lifts it.
    Upstream {
        /// Which stage.
        stage: Name,
    },
    /// The stage went back, or nobody knows what it runs, and nothing is promoted there by itself since: whoever may lift holds lifts it, or
    /// the success of a release that a person requests there.
    Distrusted {
        /// After which promotion.
        after: PromotionId,
    },
    /// The release ran in the stage before, and was replaced or taken back; it is not promoted by itself again: a person can request it.
    RanBefore {
        /// Which stage.
        stage: Name,
    },
    /// A person has requested another release after this one had succeeded in the stages before: a person can request this one too.
    NewerByHand {
        /// Which promotion they have requested.
        promotion: PromotionId,
    },
    /// The pipeline has lost a stage before, in which the release would have to succeed: whoever puts that stage back lifts it. Or cancel it,
    /// and request it again under the present policy.
    UpstreamGone {
        /// Which stage.
        stage: Name,
    },
    /// The pipeline has lost the stage itself, so that nobody drives it: whoever puts it back lifts it, or ends the promotion.
    StageGone {
        /// Which stage.
        stage: Name,
    },
    /// None of several stages before has seen the release succeed and soak: what lifts one of these blockers lifts it.
    AnyOf {
        /// One for each of those stages.
        of: Vec<Blocker>,
    },
    /// The release has not run long enough in a stage before: time lifts it.
    Soaking {
        /// Which stage.
        stage: Name,
        /// When it will have; `None` when the stage runs another release by now, so that only running there again helps.
        until: Option<Timestamp>,
    },
    /// An earlier request has its turn first: its end lifts it.
    Queued {
        /// Which one.
        behind: PromotionId,
    },
    /// Another promotion is under way in the stage: its end lifts it.
    InFlight {
        /// Which one.
        promotion: PromotionId,
        /// Where it stands.
        state: State,
    },
    /// As many promotions are under way in the lanes of the stage as its policy allows: the end of one of them lifts it.
    Full {
        /// How many may be under way at once.
        limit: u32,
        /// Which ones are.
        in_flight: Vec<PromotionId>,
    },
    /// A gate or a seam does not let it start: whatever `why` names lifts it. It is asked again by itself.
    Delayed {
        /// Which gate or seam, such as `gate scan`.
        by: String,
        /// What it said.
        why: String,
        /// When it is asked again, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Calls to the stage fail: they are tried again by themselves.
    CallFailing {
        /// How often in a row it failed.
        failures: u32,
        /// What it said last.
        why: String,
        /// When it is tried again.
        until: Timestamp,
    },
    /// The stage is held: whoever may lift holds lifts it.
    Held {
        /// Who put the hold there.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Another driver, which may be gone, holds the lease of a stage that cannot refuse it: that driver, or an operator who made sure that it
    /// is gone and calls `release_lease`, lifts it.
    Leased {
        /// Which driver.
        owner: Name,
    },
    /// It is paused or stuck: an operator lifts it.
    Person {
        /// Where it stands.
        state: State,
        /// Why.
        why: String,
    },
    /// This engine has no such stage: one that has it lifts it.
    NotDriven {
        /// Which stage.
        stage: Name,
    },
    /// The journal does not give the stream of a stage before: whoever keeps the journal lifts it.
    Unreadable {
        /// Which stage.
        stage: Name,
        /// What it said.
        error: String,
    },
    /// The driver of this engine cannot go on in the stage, and cannot write down why: whoever keeps the journal lifts it. It is tried again
    /// by itself.
    NotRecorded {
        /// Since when.
        since: Timestamp,
        /// How often in a row it was tried.
        times: u64,
        /// What was said last.
        error: String,
    },
}

/// Who or what can lift a [`Blocker`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LiftedBy {
    /// Nobody needs to: time.
    Time,
    /// Eligible people other than the requester, by approving it.
    Approvers,
    /// The success of the release in this stage.
    Stage(Name),
    /// The end of this promotion.
    Promotion(PromotionId),
    /// What this gate or seam waits for, such as `gate scan`. It is asked again by itself.
    Gate(String),
    /// A person who operates the stage, by a command.
    Operator,
    /// A running driver that has this stage.
    Driver(Name),
    /// Whoever keeps the journal, which is away, full or damaged.
    Journal,
    /// Whoever lifts one of several blockers.
    AnyOf(Vec<LiftedBy>),
}

impl Blocker {
    /// Who or what can lift it.
    #[must_use]
    pub fn lifted_by(&self) -> LiftedBy {
        match self {
            Self::Approvals { .. } => LiftedBy::Approvers,
            Self::Upstream { stage } | Self::Soaking { stage, until: None } => LiftedBy::Stage(stage.clone()),
            Self::Soaking { .. } | Self::CallFailing { .. } | Self::Window { opens_at: Some(_), .. } => {
                LiftedBy::Time
            }
            Self::Window { opens_at: None, .. } => LiftedBy::Operator,
            Self::AnyOf { of } => LiftedBy::AnyOf(of.iter().map(Self::lifted_by).collect()),
            Self::Queued { behind: promotion } | Self::InFlight { promotion, .. } => {
                LiftedBy::Promotion(promotion.clone())
            }
            Self::Full { in_flight, .. } => {
                LiftedBy::AnyOf(in_flight.iter().cloned().map(LiftedBy::Promotion).collect())
            }
            Self::Delayed { by, .. } => LiftedBy::Gate(by.clone()),
            Self::Leased { .. }
            | Self::Person { .. }
            | Self::UpstreamGone { .. }
            | Self::StageGone { .. }
            | Self::Held { .. }
            | Self::Distrusted { .. }
            | Self::RanBefore { .. }
            | Self::NewerByHand { .. } => LiftedBy::Operator,
            Self::NotDriven { stage } => LiftedBy::Driver(stage.clone()),
            Self::Unreadable { .. } | Self::NotRecorded { .. } => LiftedBy::Journal,
        }
    }

    /// When it is lifted, or looked at again, without anybody doing anything; `None` when that is not known, or never happens.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Soaking { until, .. }
            | Self::Window { opens_at: until, .. }
            | Self::Delayed { until, .. } => *until,
            Self::CallFailing { until, .. } => Some(*until),
            Self::AnyOf { of } => of.iter().filter_map(Self::until).min(),
            Self::Approvals { .. }
            | Self::Upstream { .. }
            | Self::UpstreamGone { .. }
            | Self::StageGone { .. }
            | Self::Queued { .. }
            | Self::InFlight { .. }
            | Self::Full { .. }
            | Self::Leased { .. }
            | Self::Held { .. }
            | Self::Distrusted { .. }
            | Self::RanBefore { .. }
            | Self::NewerByHand { .. }
            | Self::Person { .. }
            | Self::NotDriven { .. }
            | Self::Unreadable { .. }
            | Self::NotRecorded { .. } => None,
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approvals { missing, needed, requester, level, lacking } => {
                write!(
                    f,
                    "{missing} of {needed} approvals are missing; eligible people other than {requester} can give them"
                )?;
                if let Some(level) = level {
                    write!(f, ", now for level {level}")?;
                }
                for (group, people) in lacking {
                    write!(f, ", {people} of group {group}")?;
                }
                Ok(())
            }
            Self::Window { closed_by, opens_at } => {
                match closed_by {
                    Some(freeze) => write!(f, "freeze {freeze} is on")?,
                    None => f.write_str("no window is open")?,
                }
                match opens_at {
                    Some(at) => write!(f, "; it may start at {at}"),
                    None => f.write_str("; none will open: request it again under another policy"),
                }
            }
            Self::Upstream { stage } => {
                write!(f, "the release has not succeeded in {stage}; promote it there first")
            }
            Self::UpstreamGone { stage } => write!(
                f,
                "the pipeline has stage {stage} no more, and the release would have to succeed there; put it back, or cancel the promotion and request it again"
            ),
            Self::StageGone { stage } => write!(
                f,
                "the pipeline has stage {stage} no more, and nobody drives it; put it back, or cancel or acknowledge the promotion"
            ),
            Self::AnyOf { of } => {
                f.write_str("one of these must be lifted: ")?;
                for (place, blocker) in of.iter().enumerate() {
                    write!(f, "{}{blocker}", if place == 0 { "" } else { "; or " })?;
                }
                Ok(())
            }
            Self::Soaking { stage, until: Some(until) } => {
                write!(f, "the release must run in {stage} until {until}")
            }
            Self::Soaking { stage, until: None } => {
                write!(
                    f,
                    "the release did not run long enough in {stage}, and no longer does; promote it there again"
                )
            }
            Self::Queued { behind } => write!(f, "{behind} has its turn first"),
            Self::InFlight { promotion, state } => write!(f, "{promotion} is {state}; it must end first"),
            Self::Full { limit, in_flight } => {
                write!(f, "{} of {limit} are in flight:", in_flight.len())?;
                for (place, promotion) in in_flight.iter().enumerate() {
                    write!(f, "{}{promotion}", if place == 0 { " " } else { ", " })?;
                }
                f.write_str("; one of them must end first")
            }
            Self::Delayed { by, why, until } => {
                write!(f, "{by} does not let it start: {why}; it is asked again")?;
                until.map_or(Ok(()), |until| write!(f, " at {until}"))
            }
            Self::CallFailing { failures, why, until } => {
                write!(f, "calls to the stage failed {failures} times: {why}; the next attempt is at {until}")
            }
            Self::Held { by, reason } => {
                write!(
                    f,
                    "{by} holds the stage: {reason}; nothing but rollbacks starts until the hold is lifted"
                )
            }
            Self::Distrusted { after } => write!(
                f,
                "nothing is promoted here by itself after {after}; lift the hold of the stage, or promote a release by hand"
            ),
            Self::RanBefore { stage } => {
                write!(f, "the release ran in {stage} before and does not any more; request it there by hand")
            }
            Self::NewerByHand { promotion } => {
                write!(
                    f,
                    "a person has requested {promotion} since the release succeeded; request it by hand"
                )
            }
            Self::Leased { owner } => write!(
                f,
                "driver {owner} holds the lease of a stage that cannot refuse it; when it is surely gone, release the lease"
            ),
            Self::Person { state, why } => {
                let lift = if *state == State::Stuck {
                    "acknowledge it, or retry it unless it is a rollback"
                } else {
                    "resume, override or abort it"
                };
                write!(f, "it is {state}: {why}; {lift}")
            }
            Self::NotDriven { stage } => {
                write!(f, "this engine has no stage {stage}; one that has it must run")
            }
            Self::Unreadable { stage, error } => {
                write!(f, "what happened in stage {stage} cannot be read: {error}; mend the journal")
            }
            Self::NotRecorded { since, times, error } => write!(
                f,
                "the driver fails since {since}, {times} times in a row, and cannot write it down: {error}; it is tried again"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str) -> Name {
        name.parse().unwrap()
    }

    #[test]
    fn of_several_blockers_the_earliest_time_and_everybody_who_can_lift_one_is_told() {
        let at = Timestamp::from_micros;
        let soaking = |name, until| Blocker::Soaking { stage: stage(name), until };
        let of = vec![
            soaking("eu", Some(at(9_000_000))),
            soaking("us", Some(at(5_000_000))),
            Blocker::Upstream { stage: stage("asia") },
        ];
        let any = Blocker::AnyOf { of };
        assert_eq!(any.until(), Some(at(5_000_000)));
        let lifted = LiftedBy::AnyOf(vec![LiftedBy::Time, LiftedBy::Time, LiftedBy::Stage(stage("asia"))]);
        assert_eq!(any.lifted_by(), lifted);
        assert_eq!(
            any.to_string(),
            "one of these must be lifted: the release must run in eu until 1970-01-01T00:00:09.000000Z; or the release must run in us \
             until 1970-01-01T00:00:05.000000Z; or the release has not succeeded in asia; promote it there first"
        );
        assert_eq!(
            soaking("eu", None).lifted_by(),
            LiftedBy::Stage(stage("eu")),
            "only running there again helps"
        );
        let json = serde_json::to_string(&any).unwrap();
        assert_eq!(serde_json::from_str::<Blocker>(&json).unwrap(), any);
    }

    /// Each kind, who lifts it, and when it is lifted or looked at again by itself.
    #[test]
    fn every_kind_of_blocker_says_who_or_what_lifts_it_and_when() {
        let soon = Timestamp::from_micros(7_000_000);
        let (why, owner) = ("because".to_owned(), stage("one"));
        let people: Principal = "alice".parse().unwrap();
        let promotion: PromotionId = "prod/7".parse().unwrap();
        let lacking = BTreeMap::from([(stage("security"), 1)]);
        let freeze = Some(stage("freeze"));
        let table = [
            (
                Blocker::Approvals {
                    missing: 1,
                    needed: 2,
                    requester: people.clone(),
                    level: Some(stage("lead")),
                    lacking,
                },
                LiftedBy::Approvers,
                None,
            ),
            (Blocker::Window { closed_by: freeze, opens_at: Some(soon) }, LiftedBy::Time, Some(soon)),
            (Blocker::Window { closed_by: None, opens_at: None }, LiftedBy::Operator, None),
            (Blocker::Upstream { stage: stage("dev") }, LiftedBy::Stage(stage("dev")), None),
            (Blocker::UpstreamGone { stage: stage("dev") }, LiftedBy::Operator, None),
            (
                Blocker::AnyOf { of: vec![Blocker::Upstream { stage: stage("dev") }] },
                LiftedBy::AnyOf(vec![LiftedBy::Stage(stage("dev"))]),
                None,
            ),
            (Blocker::Soaking { stage: stage("dev"), until: Some(soon) }, LiftedBy::Time, Some(soon)),
            (Blocker::Soaking { stage: stage("dev"), until: None }, LiftedBy::Stage(stage("dev")), None),
            (Blocker::Queued { behind: promotion.clone() }, LiftedBy::Promotion(promotion.clone()), None),
            (
                Blocker::InFlight { promotion: promotion.clone(), state: State::Verifying },
                LiftedBy::Promotion(promotion),
                None,
            ),
            (Blocker::CallFailing { failures: 2, why: why.clone(), until: soon }, LiftedBy::Time, Some(soon)),
            (Blocker::Held { by: people, reason: why.clone() }, LiftedBy::Operator, None),
            (Blocker::Distrusted { after: "prod/3".parse().unwrap() }, LiftedBy::Operator, None),
            (Blocker::RanBefore { stage: stage("prod") }, LiftedBy::Operator, None),
            (Blocker::NewerByHand { promotion: "prod/9".parse().unwrap() }, LiftedBy::Operator, None),
            (
                Blocker::Delayed { by: "gate scan".to_owned(), why: why.clone(), until: None },
                LiftedBy::Gate("gate scan".to_owned()),
                None,
            ),
            (Blocker::Leased { owner }, LiftedBy::Operator, None),
            (Blocker::Person { state: State::Stuck, why }, LiftedBy::Operator, None),
            (Blocker::NotDriven { stage: stage("prod") }, LiftedBy::Driver(stage("prod")), None),
        ];
        for (blocker, lifted_by, until) in table {
            assert_eq!((blocker.lifted_by(), blocker.until()), (lifted_by, until), "{blocker}");
            let json = serde_json::to_string(&blocker).unwrap();
            assert_eq!(serde_json::from_str::<Blocker>(&json).unwrap(), blocker, "{json}");
        }
    }
}
