mod check;
mod graph;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{Name, ParseError};

use crate::fault::Fault;
use crate::{Policy, PromotionError};

pub use text::PipelineText;

/// Stages with their policies, which form a graph without cycles: checked when built.
///
/// Written as JSON it is what [`PipelineText`] reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Every stage behind those that it comes after.
    stages: Vec<(Name, Arc<Policy>)>,
    /// Where each stands in there.
    places: BTreeMap<Name, usize>,
}

impl Pipeline {
    /// The longest name of a stage, in bytes: the names of its stream and of its part of the event feed are longer.
    pub const MAX_STAGE_BYTES: usize = 200;
    /// The most stages.
    pub const MAX_STAGES: usize = 100_000;

    /// With no stages yet.
    #[must_use]
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::default()
    }

    /// Reads and checks a pipeline: see [`PipelineText`] for the form.
    ///
    /// # Errors
    /// [`PromotionError::Pipeline`], with everything that is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, PromotionError> {
        PipelineText::from_json(text)?.build()
    }

    /// The stages and their policies, every stage behind those that it comes after.
    pub fn stages(&self) -> impl Iterator<Item = (&Name, &Arc<Policy>)> {
        self.stages.iter().map(|(name, policy)| (name, policy))
    }

    /// The policy of `stage`.
    #[must_use]
    pub fn policy(&self, stage: &Name) -> Option<&Arc<Policy>> {
        let (_, policy) = self.stages.get(*self.places.get(stage)?)?;
        Some(policy)
    }

    /// For each stage that others come after, which ones.
    pub(crate) fn followers(&self) -> BTreeMap<&Name, Vec<&Name>> {
        let mut followers: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
        for (name, policy) in &self.stages {
            for before in &policy.after {
                followers.entry(before).or_default().push(name);
            }
        }
        followers
    }

    /// The same with one more gate in every stage.
    pub(crate) fn with_gate(mut self, gate: &Name) -> Self {
        for (_, policy) in &mut self.stages {
            Arc::make_mut(policy).gates.insert(gate.clone());
        }
        self
    }
}

/// Collects the stages of a [`Pipeline`].
#[derive(Clone, Debug, Default)]
pub struct PipelineBuilder {
    stages: Vec<Given>,
}

/// A stage as somebody gave it.
#[derive(Clone, Debug)]
struct Given {
    /// What it was called, where that is known.
    shown: Option<String>,
    name: Result<Name, ParseError>,
    /// What is wrong with its text, where it could not be read.
    policy: Result<Policy, Vec<Fault>>,
}

impl PipelineBuilder {
    /// Adds a stage.
    #[must_use]
    pub fn stage(mut self, name: impl TryInto<Name, Error = ParseError>, policy: Policy) -> Self {
        let name = name.try_into();
        let shown = name.as_ref().ok().map(ToString::to_string);
        self.stages.push(Given { shown, name, policy: Ok(policy) });
        self
    }

    /// Checks that the stages form a graph without cycles, and that each policy can be obeyed.
    ///
    /// # Errors
    /// [`PromotionError::Pipeline`] (`Invalid`) with every fault, in this order: stage by stage, as they were given, a name that is wrong, too long or
    /// there twice, and what in the policy contradicts itself, field by field; then stages after unknown ones; one cycle, as `a -> b -> a`, of
    /// each group of stages that wait for each other; and the stages that no release can reach because of those. Of more than 200
    /// faults only the number is told.
    pub fn build(self) -> Result<Pipeline, PromotionError> {
        check::build(self.stages)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Calendar, Guardrail, JudgeChoice, Level, UpstreamRule};

    fn plain() -> Policy {
        Policy::unverified("test")
    }

    fn faults(refused: Result<Pipeline, PromotionError>) -> Vec<String> {
        match refused {
            Err(PromotionError::Pipeline { faults }) => faults.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_stage_stands_behind_those_that_it_comes_after() {
        let pipeline = Pipeline::builder()
            .stage("prod", plain().after("eu").after("us"))
            .stage("us", plain().after("dev"))
            .stage("eu", plain().after("dev"))
            .stage("dev", plain())
            .build()
            .unwrap();
        let order: Vec<&str> = pipeline.stages().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["dev", "us", "eu", "prod"]);
        let eu: Name = "eu".parse().unwrap();
        assert_eq!(pipeline.policy(&eu).unwrap().after.first().unwrap().as_str(), "dev");
        assert_eq!(
            pipeline.followers()[&"dev".parse::<Name>().unwrap()],
            ["us", "eu"].map(|n| n.parse().unwrap()).each_ref()
        );
    }

    #[test]
    fn everything_that_is_wrong_with_a_pipeline_is_told_at_once_and_in_a_fixed_order() {
        let long = "a".repeat(201);
        let build = || {
            Pipeline::builder()
                .stage("first", plain().soak(Duration::from_secs(1)).canary())
                .stage("a", plain().after("c").after("first"))
                .stage("b", plain().after("a"))
                .stage("c", plain().after("b"))
                .stage("itself", plain().after("itself"))
                .stage("last", plain().after("c"))
                .stage("either", plain().after("c").after("first").upstream(UpstreamRule::AnyOf))
                .stage("first", plain())
                .stage("lost", plain().after("nowhere").after("first"))
                .stage("Upper", plain())
                .stage("behind", plain().after("lost").after("Lower").gate("?"))
                .stage(long.as_str(), plain())
                .build()
        };
        let (first, second) = (build().unwrap_err().to_string(), build().unwrap_err().to_string());
        assert_eq!(first, second);
        let not_allowed = "is not allowed: only a to z, 0 to 9, '_', '-', and '.' or '/' between segments";
        let expected = [
            "stage first, canary: it asks for a canary, but nobody looks whether it is well; name a judge, or leave canary out".to_owned(),
            "stage first, soak_ms: it asks for a soak time, but comes after no stage; name a stage in after, or leave soak_ms out".to_owned(),
            "stage first: it stands in the pipeline twice or more; give each its own name".to_owned(),
            format!("read \"Upper\" as name: 'U' {not_allowed}; give it another name"),
            format!("stage behind: read \"Lower\" as name: 'L' {not_allowed}; give the name of a stage or a gate"),
            format!("stage behind: read \"?\" as name: '?' {not_allowed}; give the name of a stage or a gate"),
            format!("stage {}…: its name has 201 bytes, at most 200 are allowed; shorten it", "a".repeat(60)),
            "stage lost, after: it comes after nowhere, which is no stage of the pipeline; add that stage, or take it out".to_owned(),
            "stage a, after: stages wait for each other: a -> b -> c -> a; take one of them out of the after of the next".to_owned(),
            "stage itself, after: stages wait for each other: itself -> itself; take one of them out of the after of the next".to_owned(),
            "stage last, after: no release can reach it, because none gets through c; mend that stage first".to_owned(),
            "stage behind, after: no release can reach it, because none gets through lost; mend that stage first".to_owned(),
        ];
        assert_eq!(faults(build()), expected);
        assert_eq!(first, format!("build the pipeline: {}", expected.join(". ")));
        assert_eq!(faults(Pipeline::builder().build()), ["it has no stages; name at least one"]);
    }

    #[test]
    fn a_policy_that_contradicts_itself_is_told_with_its_field_and_what_to_do() {
        let second = Duration::from_secs(1);
        let guardrail = Guardrail { bake: Duration::from_micros(1500), ..Guardrail::default() };
        let judged = Policy::healthy_for(Duration::from_secs(60));
        let day = |from: &str, to: &str| Calendar::span("day", "UTC", from, to).unwrap();
        let cases = [
            (plain().soak(second), "soak_ms: it asks for a soak time, but comes after no stage"),
            (
                plain().upstream(UpstreamRule::AnyOf),
                "upstream: one of the stages before is enough for it, but it comes after no stage",
            ),
            (
                plain().approval_expires_after(second),
                "approval_expires_after_ms: its approvals expire, but it asks for none",
            ),
            (
                plain().approvals(1).approval_expires_after(Duration::ZERO),
                "approval_expires_after_ms: approvals that expire at once never count",
            ),
            (
                plain().approvals(1).level(Level::new("lead".parse().unwrap(), 1)),
                "approvals: it asks for approvals without levels and for levels",
            ),
            (
                plain().level(Level::new("lead".parse().unwrap(), 0)),
                "levels[0].quorum: level lead has a quorum of nobody",
            ),
            (
                plain()
                    .level(Level::new("lead".parse().unwrap(), 1).from_group("security".parse().unwrap(), 2)),
                "levels[0].groups.security: level lead asks for 2 of group security, with a quorum of 1",
            ),
            (
                Policy::judged_by(JudgeChoice::Guardrail(Guardrail::default()), Duration::ZERO),
                "verification.judged.window_ms: a window of no length never ends",
            ),
            (plain().canary(), "canary: it asks for a canary, but nobody looks whether it is well"),
            (plain().watch(second), "watch_ms: it asks for a watch, but nobody looks whether it is well"),
            (judged.clone().watch(Duration::ZERO), "watch_ms: a watch of no length sees nothing"),
            (judged.clone().watch(second), "watch_ms: a watch of 1s ends before its first window of 10s"),
            (
                judged.clone().guardrail(guardrail),
                "verification.judged.guardrails[0]: bake of 1.5ms is not a whole number of milliseconds",
            ),
            (
                plain().after("b").soak(second).expires_after(Some(second / 2)),
                "expires_after_ms: a request expires after 500ms, before its soak time of 1s has passed",
            ),
            (
                plain().expires_after(Some(Duration::ZERO)),
                "expires_after_ms: a request that expires at once never starts",
            ),
            (
                plain().expires_after(Some(Duration::from_millis(u64::MAX))),
                "expires_after_ms: 18446744073709551615 ms is more than a thousand years",
            ),
            (
                plain().calls(crate::Calls { attempts: 0, ..crate::Calls::default() }),
                "calls.attempts: with no attempts nothing can ever be applied",
            ),
            (
                plain()
                    .allow(day("2026-01-02T00:00", "2026-01-03T00:00"))
                    .deny(Calendar::span("freeze", "UTC", "2026-01-01T00:00", "2026-01-04T00:00").unwrap()),
                "windows: its windows do not open: freezes cover a thousand of them in a row, or all",
            ),
            (
                Policy::unverified(" "),
                "verification.unverified.reason: nobody looks whether a release is well, and the reason for that is empty",
            ),
        ];
        for (policy, why) in cases {
            let told: Vec<String> = policy.faults().iter().map(ToString::to_string).collect();
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(told[0].rsplit_once("; ").unwrap().0, why);
        }
        let fine = judged.after("b").soak(second).watch(Duration::from_secs(10)).canary();
        assert_eq!(fine.faults(), []);
    }

    /// Invariant 9.
    #[test]
    fn a_pipeline_of_a_hundred_thousand_stages_is_checked_in_proportion_to_its_size() {
        let name = |n: usize| format!("stage-{n}");
        let chain = |last: usize, first: Policy| {
            let mut builder = Pipeline::builder();
            // The last one first: nothing is in order.
            for n in (1..last).rev() {
                builder = builder.stage(name(n).as_str(), plain().after(name(n - 1).as_str()));
            }
            builder.stage(name(0).as_str(), first).build()
        };
        let pipeline = chain(20_000, plain()).unwrap();
        assert_eq!(pipeline.stages().next().unwrap().0.as_str(), "stage-0");
        let circle = faults(chain(20_000, plain().after("stage-19999")));
        assert_eq!(circle.len(), 1);
        assert!(circle[0].contains("-> … (20000 stages in all); take"), "{}", circle[0]);
        let many = faults(chain(20_000, plain().after("nowhere")));
        assert_eq!((many.len(), many[200].as_str()), (201, "there are 19800 more faults; mend these first"));
        let mut builder = Pipeline::builder();
        for _ in 0..=Pipeline::MAX_STAGES {
            builder = builder.stage("same", plain());
        }
        assert_eq!(
            faults(builder.build()),
            ["it has 100001 stages, at most 100000 are allowed; split it into several"]
        );
    }

    /// Freezes that interlock with windows cost a thousand looks each; over many stages they cost no more than the budget.
    #[test]
    fn windows_that_never_open_are_looked_for_within_a_budget() {
        let week = [
            crate::Day::Mon,
            crate::Day::Tue,
            crate::Day::Wed,
            crate::Day::Thu,
            crate::Day::Fri,
            crate::Day::Sat,
            crate::Day::Sun,
        ];
        let mut policy = plain();
        for n in 0..60 {
            policy = policy.deny(
                Calendar::weekly(format!("freeze{n}").as_str(), "Europe/Berlin", week, "00:00", "24:00")
                    .unwrap(),
            );
        }
        let mut builder = Pipeline::builder();
        for n in 0..1000 {
            builder = builder.stage(format!("s{n}").as_str(), policy.clone());
        }
        let found = faults(builder.build());
        assert_eq!(found.len(), 2, "100,000 looks at 60 calendars, of which each search takes 1000");
    }
}
