mod check;
#[cfg(test)]
mod fields;

use std::collections::BTreeSet;
use std::time::Duration;

use mcp_core::{Digest, Name, ParseError};
use serde::{Deserialize, Serialize};

use crate::verification::{JudgeChoice, Judged, OnInconclusive, Verification};
use crate::{Calendar, Guardrail, Level, PromotionError, Windows, millis};

pub(crate) use check::odd;

/// What must hold before a release goes into a stage, and what happens while it does. Plain data; recorded with every request, so that
/// a later change of the pipeline leaves what is under way alone.
///
/// Durations are whole milliseconds.
#[doc = include_str!("policy/fields.md")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Policy {
    /// How the release is judged once it runs.
    pub verification: Verification,
    /// Whether the engine requests by itself, in the name of `automatic`, what has succeeded and soaked in the stages before; false by
    /// default. Only what came there forward, and each release once: not what ran in this stage before, not in place of what a person
    /// requested since, and after the stage went back not before somebody lifts the hold or promotes a release by hand. Approvals, gates,
    /// windows and all the rest count as for a person's request. A newer one takes the place of one that is still pending, and so does a
    /// person's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// Stages in which this very release must have succeeded before; none by default.
    #[serde(default)]
    pub after: BTreeSet<Name>,
    /// Whether all of those count or one is enough; all by default.
    #[serde(default, skip_serializing_if = "UpstreamRule::is_all")]
    pub upstream: UpstreamRule,
    /// How long it must have run in each stage that counts, in milliseconds; 0 by default.
    #[serde(default, rename = "soak_ms", with = "millis")]
    pub soak: Duration,
    /// How many distinct eligible people, other than the requester, must approve; 0 by default.
    #[serde(default)]
    pub approvals: u32,
    /// Approvals in several levels, in order, instead of `approvals`; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<Level>,
    /// For how long an approval counts, in milliseconds; for ever by default.
    #[serde(default, rename = "approval_expires_after_ms", with = "millis::option")]
    pub approval_expires_after: Option<Duration>,
    /// Gates that must pass, by the names under which the engine's builder got them; none by default.
    #[serde(default)]
    pub gates: BTreeSet<Name>,
    /// What happens to requests that wait; each gets its turn, by default.
    #[serde(default)]
    pub queue: Queue,
    /// After how long a request that was not started expires, in milliseconds; seven days by default, never where absent in JSON.
    #[serde(default, rename = "expires_after_ms", with = "millis::option")]
    pub expires_after: Option<Duration>,
    /// Calendars within which it may start, and freezes within which it may not; at any time by default.
    #[serde(default, skip_serializing_if = "Windows::is_empty")]
    pub windows: Windows,
    /// What rolling back means when nothing ran before; to pause, by default.
    #[serde(default)]
    pub on_no_predecessor: OnNoPredecessor,
    /// Whether the release first reaches the canary only, and everything else once it was judged well; false by default. The first
    /// release of a stage, and one that it runs already, have nothing to be compared with and reach everything at once; how they are judged
    /// then, [`Judged`](crate::Judged) says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// For how long the judge goes on to look after a success, in milliseconds; not at all by default. A regression in that time asks for
    /// a rollback and holds the stage. The judge begins anew, and may spend its false-rollback budget once more.
    ///
    /// A rank or count judge sees a regression only in windows in which the stage still reports baseline instances. Most stages have none
    /// once everything runs the release: put a [`Guardrail`] beside the judge. A watch without a window to judge by ends with an event
    /// that says so.
    #[serde(default, rename = "watch_ms", with = "millis::option", skip_serializing_if = "Option::is_none")]
    pub watch: Option<Duration>,
    /// How calls to the stage are repeated and bounded.
    #[serde(default)]
    pub calls: Calls,
    /// How soon somebody must review it after the glass was broken, in milliseconds; three days by default.
    #[serde(
        default = "three_days",
        rename = "review_within_ms",
        with = "millis",
        skip_serializing_if = "is_three_days"
    )]
    pub review_within: Duration,
    /// Names that could not be parsed; reported when the pipeline is built.
    #[serde(skip)]
    refused: Vec<ParseError>,
}

const fn three_days() -> Duration {
    Duration::from_secs(3 * 24 * 60 * 60)
}

fn is_three_days(duration: &Duration) -> bool {
    *duration == three_days()
}

/// How many of the stages before must have seen a release succeed, and soak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UpstreamRule {
    /// Every one.
    #[default]
    All,
    /// One is enough, whichever.
    AnyOf,
}

impl UpstreamRule {
    const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// What happens to requests that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Queue {
    /// Each gets its turn, in the order of the requests.
    #[default]
    Serial,
    /// A new request takes the place of those that are still pending.
    SupersedePending,
    /// Up to this many promotions are under way at once, at least 1, each in a [`Lane`](crate::Lane) of the stage: releases of the same
    /// artifacts share a lane, in which each gets its turn, and lanes have no artifact in common.
    ///
    /// A lane is a stage of its own inside the stage: what it runs, what it goes back to, its watch and its driver are its own, and its
    /// promotions are called after it, such as `prod/app/7`. A release whose artifacts are partly those of a lane is refused. A request
    /// is made in the stage and finds its lane; a rollback is asked for in a lane. A hold of the stage holds all of its lanes, and one of a
    /// lane that lane. A stage after this one looks at the lane with exactly the artifacts of its release. Request ids count within a
    /// lane. The engine is given the stage with [`EngineBuilder::lanes`](crate::EngineBuilder::lanes).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use mcp_core::Digest;
    /// # use mcp_promotion::*;
    /// # async fn example(site: impl Fn(&Lane) -> Arc<dyn Stage> + Send + Sync + 'static) -> Result<(), PromotionError> {
    /// let policy = Policy::unverified("demo").queue(Queue::Parallel(2));
    /// let pipeline = Pipeline::builder().stage("prod", policy).build()?;
    /// let engine = Engine::builder(pipeline, MemoryJournal::new()).lanes("prod", site).build()?;
    /// let shop = engine.request("prod", &Release::of([("shop@2.0.0", Digest::of(b"s"))])?, "alice").await?;
    /// let blog = engine.request("prod", &Release::of([("blog@1.1.0", Digest::of(b"b"))])?, "alice").await?;
    /// println!("{shop} and {blog} may be under way at once"); // prod/shop/1 and prod/blog/1
    /// engine.rollback("prod/shop", "bob").await?; // the blog stays as it is
    /// # Ok(())
    /// # }
    /// ```
    Parallel(u32),
}

impl Queue {
    /// Whether the stage has lanes.
    #[must_use]
    pub const fn is_parallel(self) -> bool {
        matches!(self, Self::Parallel(_))
    }
}

/// What rolling back means when nothing ran before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnNoPredecessor {
    /// A person decides.
    #[default]
    Pause,
    /// The stage is told to run nothing.
    Remove,
}

/// How calls to a stage, a gate or another seam are repeated and bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Calls {
    /// How often a failing change is tried before the engine gives it up; 3 by default, at least 1.
    pub attempts: u32,
    /// How long to wait after a first failure, in milliseconds; doubled after each further one, up to five minutes. 1 s by default.
    #[serde(rename = "backoff_ms", with = "millis")]
    pub backoff: Duration,
    /// How long one call may take, in milliseconds; 30 s by default. Only `run` has a timer for it, `step` has none.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
}

impl Default for Calls {
    fn default() -> Self {
        Self { attempts: 3, backoff: Duration::from_secs(1), timeout: Duration::from_secs(30) }
    }
}

impl Calls {
    /// The longest wait between two attempts.
    pub const MAX_BACKOFF: Duration = Duration::from_secs(300);

    /// The shortest wait between two attempts at what a policy does not count.
    pub(crate) const MIN_BACKOFF: Duration = Duration::from_millis(1);

    /// How long to wait after this many failures in a row.
    #[must_use]
    pub fn backoff_after(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(doubled).min(Self::MAX_BACKOFF)
    }
}

impl Policy {
    /// With this verification, and every other field at its default.
    #[must_use]
    pub fn verified_by(verification: Verification) -> Self {
        Self {
            verification,
            automatic: false,
            after: BTreeSet::new(),
            upstream: UpstreamRule::default(),
            soak: Duration::ZERO,
            approvals: 0,
            levels: Vec::new(),
            approval_expires_after: None,
            gates: BTreeSet::new(),
            queue: Queue::default(),
            expires_after: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            windows: Windows::default(),
            on_no_predecessor: OnNoPredecessor::default(),
            canary: false,
            watch: None,
            calls: Calls::default(),
            review_within: three_days(),
            refused: Vec::new(),
        }
    }

    /// Nobody looks whether the release is well, for `reason`.
    #[must_use]
    pub fn unverified(reason: impl Into<String>) -> Self {
        Self::verified_by(Verification::Unverified { reason: reason.into() })
    }

    /// The release must be well for `duration`: a [`Guardrail`] with that bake time, over windows of a sixth of it (but no shorter than a
    /// millisecond and no longer than a minute), that pauses after five bake times without data.
    #[must_use]
    pub fn healthy_for(duration: Duration) -> Self {
        let window = (duration / 6).clamp(Duration::from_millis(1), Duration::from_secs(60));
        let window = Duration::from_millis(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        let guardrail =
            Guardrail { bake: duration, patience: duration.saturating_mul(5), ..Guardrail::default() };
        Self::judged_by(JudgeChoice::Guardrail(guardrail), window)
    }

    /// `judge` decides, over windows of this length.
    #[must_use]
    pub fn judged_by(judge: JudgeChoice, window: Duration) -> Self {
        Self::verified_by(Verification::Judged(Judged::by(judge, window)))
    }

    /// `guardrail` stands beside the judge, and fails the release by itself; without effect where nothing is judged.
    #[must_use]
    pub fn guardrail(mut self, guardrail: Guardrail) -> Self {
        if let Verification::Judged(judged) = &mut self.verification {
            judged.guardrails.push(guardrail);
        }
        self
    }

    /// `judge` is asked too, and what it says is journaled and never acted upon; without effect where nothing is judged.
    #[must_use]
    pub fn shadow(mut self, judge: JudgeChoice) -> Self {
        if let Verification::Judged(judged) = &mut self.verification {
            judged.shadow.push(judge);
        }
        self
    }

    /// This very release must have succeeded in `stage` before.
    #[must_use]
    pub fn after(mut self, stage: impl TryInto<Name, Error = ParseError>) -> Self {
        match stage.try_into() {
            Ok(stage) => drop(self.after.insert(stage)),
            Err(error) => self.refused.push(error),
        }
        self
    }

    /// What has succeeded in the stages before is requested without anybody asking.
    #[must_use]
    pub const fn automatic(mut self) -> Self {
        self.automatic = true;
        self
    }

    /// How many of the stages before must have seen it succeed, and soak.
    #[must_use]
    pub const fn upstream(mut self, rule: UpstreamRule) -> Self {
        self.upstream = rule;
        self
    }

    /// The gate that the engine knows under `name` must pass.
    #[must_use]
    pub fn gate(mut self, name: impl TryInto<Name, Error = ParseError>) -> Self {
        match name.try_into() {
            Ok(name) => drop(self.gates.insert(name)),
            Err(error) => self.refused.push(error),
        }
        self
    }

    /// It must have run in the stages before for this long.
    #[must_use]
    pub const fn soak(mut self, soak: Duration) -> Self {
        self.soak = soak;
        self
    }

    /// This many distinct eligible people, other than the requester, must approve.
    #[must_use]
    pub const fn approvals(mut self, approvals: u32) -> Self {
        self.approvals = approvals;
        self
    }

    /// One more level of approvals, after those that were given.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.levels.push(level);
        self
    }

    /// An approval counts for this long.
    #[must_use]
    pub const fn approval_expires_after(mut self, duration: Duration) -> Self {
        self.approval_expires_after = Some(duration);
        self
    }

    /// What happens to requests that wait.
    #[must_use]
    pub const fn queue(mut self, queue: Queue) -> Self {
        self.queue = queue;
        self
    }

    /// A request that was not started expires after this long; `None` for never.
    #[must_use]
    pub const fn expires_after(mut self, duration: Option<Duration>) -> Self {
        self.expires_after = duration;
        self
    }

    /// It may start while this calendar takes place, or another one that was given so.
    #[must_use]
    pub fn allow(mut self, calendar: Calendar) -> Self {
        self.windows.allow.push(calendar);
        self
    }

    /// A freeze: it does not start while this calendar takes place. A rollback that somebody requests does, unless
    /// [`Windows::rollbacks_too`] is set.
    #[must_use]
    pub fn deny(mut self, calendar: Calendar) -> Self {
        self.windows.deny.push(calendar);
        self
    }

    /// What rolling back means when nothing ran before.
    #[must_use]
    pub const fn on_no_predecessor(mut self, choice: OnNoPredecessor) -> Self {
        self.on_no_predecessor = choice;
        self
    }

    /// The release first reaches the canary only, and everything else once it was judged well.
    #[must_use]
    pub const fn canary(mut self) -> Self {
        self.canary = true;
        self
    }

    /// The judge goes on to look for this long after a success.
    #[must_use]
    pub const fn watch(mut self, duration: Duration) -> Self {
        self.watch = Some(duration);
        self
    }

    /// What an inconclusive judgement leads to; without effect where nothing is judged.
    #[must_use]
    pub const fn on_inconclusive(mut self, choice: OnInconclusive) -> Self {
        if let Verification::Judged(judged) = &mut self.verification {
            judged.on_inconclusive = choice;
        }
        self
    }

    /// How calls to the stage are repeated and bounded.
    #[must_use]
    pub const fn calls(mut self, calls: Calls) -> Self {
        self.calls = calls;
        self
    }

    /// How soon somebody must review it after the glass was broken.
    #[must_use]
    pub const fn review_within(mut self, duration: Duration) -> Self {
        self.review_within = duration;
        self
    }

    /// What identifies it: the digest of its JSON.
    ///
    /// # Errors
    /// `Internal` when it cannot be written as JSON, which no policy should cause.
    pub fn digest(&self) -> Result<Digest, PromotionError> {
        let json = serde_json::to_vec(self).map_err(|error| PromotionError::Internal {
            attempted: "write a policy as JSON".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Digest::of(&json))
    }

    /// The policy of a rollback into the same stage: no approvals, no stages before, everywhere at once, the same gates and verification. It
    /// never expires: what it would leave runs for as long as it waits.
    pub(crate) fn for_rollback(&self) -> Self {
        Self {
            automatic: false,
            after: BTreeSet::new(),
            upstream: UpstreamRule::All,
            soak: Duration::ZERO,
            approvals: 0,
            levels: Vec::new(),
            queue: if self.queue.is_parallel() { self.queue } else { Queue::Serial },
            windows: if self.windows.rollbacks_too { self.windows.clone() } else { Windows::default() },
            canary: false,
            watch: None,
            expires_after: None,
            ..self.clone()
        }
    }

    /// What is left of it when somebody breaks the glass: success in the stages before, and the gates, as far as these are not skipped.
    pub(crate) fn with_broken_glass(&self) -> Self {
        Self {
            soak: Duration::ZERO,
            approvals: 0,
            levels: Vec::new(),
            windows: Windows::default(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_json_and_its_digest_tells_every_field_apart() {
        let base = Policy::healthy_for(Duration::from_secs(60));
        let variants = [
            base.clone(),
            base.clone().after("dev"),
            base.clone().automatic(),
            base.clone().upstream(UpstreamRule::AnyOf),
            base.clone().gate("scan"),
            base.clone().approvals(2),
            base.clone().level(Level::new("lead".parse().unwrap(), 2)),
            base.clone().expires_after(None),
            base.clone().soak(Duration::from_secs(1)),
            base.clone().queue(Queue::SupersedePending),
            base.clone().queue(Queue::Parallel(2)),
            base.clone().queue(Queue::Parallel(3)),
            base.clone().on_inconclusive(OnInconclusive::RollBack),
            base.clone().on_no_predecessor(OnNoPredecessor::Remove),
            base.clone().canary(),
            base.clone()
                .deny(Calendar::span("freeze", "UTC", "2026-12-24T00:00", "2026-12-27T00:00").unwrap()),
            base.clone().guardrail(Guardrail::default()),
            base.clone().shadow(JudgeChoice::Guardrail(Guardrail::default())),
            base.clone().watch(Duration::from_secs(7)),
            base.clone().review_within(Duration::from_secs(8)),
            base.clone().approval_expires_after(Duration::from_secs(9)),
            base.calls(Calls { attempts: 9, ..Calls::default() }),
            Policy::unverified("demo"),
        ];
        let mut digests = BTreeSet::new();
        for policy in variants {
            let json = serde_json::to_string(&policy).unwrap();
            assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy, "{json}");
            assert!(digests.insert(policy.digest().unwrap()), "{json}");
        }
    }

    /// Votes bind to the digest of the policy: one that was recorded before there were canaries must keep its own.
    #[test]
    fn a_policy_without_a_canary_reads_and_writes_as_before_there_were_canaries() {
        let json = serde_json::to_string(&Policy::unverified("demo")).unwrap();
        for added in ["canary", "upstream", "watch", "review", "automatic"] {
            assert!(!json.contains(added), "{json}");
        }
        assert!(!serde_json::from_str::<Policy>(&json).unwrap().canary);
        let asks = serde_json::to_string(&Policy::healthy_for(Duration::from_secs(60)).canary()).unwrap();
        assert!(asks.contains("\"canary\":true"), "{asks}");
    }

    /// The same for what stands beside the judge, and for what guardrails can limit.
    #[test]
    fn a_policy_without_guardrails_and_shadows_keeps_the_digest_that_it_had_before_there_were_any() {
        let policy = Policy::healthy_for(Duration::from_secs(60));
        let json = concat!(
            r#"{"verification":{"judged":{"judge":{"guardrail":{"max_errors_ppm":10000,"consecutive":3,"min_requests":1,"min_windows":3,"#,
            r#""bake_ms":60000,"patience_ms":300000}},"window_ms":10000,"on_inconclusive":"pause"}},"#
        );
        let written = serde_json::to_string(&policy).unwrap();
        assert!(written.starts_with(json), "{written}");
        let rank = serde_json::to_string(&JudgeChoice::Rank(crate::RankTest::default())).unwrap();
        let count = serde_json::to_string(&JudgeChoice::Count(crate::CountTest::default())).unwrap();
        assert!(!rank.contains("metric") && !count.contains("min_instances"), "{rank} {count}");
    }

    #[test]
    fn waiting_doubles_up_to_five_minutes() {
        let calls = Calls::default();
        let waits: Vec<u64> = [1, 2, 3, 9, 10, 40, u32::MAX].map(|n| calls.backoff_after(n).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 256, 300, 300, 300]);
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let json = r#"{"verification":{"unverified":{"reason":"demo"}},"aprovals":2}"#;
        let error = serde_json::from_str::<Policy>(json).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `aprovals`"), "{error}");
    }
}
