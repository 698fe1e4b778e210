use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcp_core::{Name, ParseError};

use crate::{Policy, PromotionError};

/// Stages with their policies, which form a graph without cycles: checked when built.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Every stage behind those that it comes after.
    stages: Vec<(Name, Arc<Policy>)>,
}

impl Pipeline {
    /// The longest name of a stage, in bytes: the names of its stream and of its part of the event feed are longer.
    pub const MAX_STAGE_BYTES: usize = 200;

    /// With no stages yet.
    #[must_use]
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::default()
    }

    /// The stages and their policies, every stage behind those that it comes after.
    pub fn stages(&self) -> impl Iterator<Item = (&Name, &Arc<Policy>)> {
        self.stages.iter().map(|(name, policy)| (name, policy))
    }

    /// The policy of `stage`.
    #[must_use]
    pub fn policy(&self, stage: &Name) -> Option<&Arc<Policy>> {
        self.stages.iter().find(|(name, _)| name == stage).map(|(_, policy)| policy)
    }

    /// The same with one more gate in every stage.
    pub(crate) fn with_gate(self, gate: &Name) -> Self {
        let add = |(name, policy): (Name, Arc<Policy>)| {
            let mut policy = Arc::unwrap_or_clone(policy);
            policy.gates.insert(gate.clone());
            (name, Arc::new(policy))
        };
        Self { stages: self.stages.into_iter().map(add).collect() }
    }
}

/// Collects the stages of a [`Pipeline`].
#[derive(Clone, Debug, Default)]
pub struct PipelineBuilder {
    stages: Vec<(Name, Policy)>,
    refused: Option<ParseError>,
}

impl PipelineBuilder {
    /// Adds a stage.
    #[must_use]
    pub fn stage(mut self, name: impl TryInto<Name, Error = ParseError>, policy: Policy) -> Self {
        match name.try_into() {
            Ok(name) => self.stages.push((name, policy)),
            Err(error) => self.refused = Some(error),
        }
        self
    }

    /// Checks that the stages form a graph without cycles, and that each policy can be obeyed.
    ///
    /// # Errors
    /// `Invalid`, naming the stages: none at all, a name that is wrong, too long or there twice, a stage after an unknown one, a cycle, a
    /// policy that contradicts itself.
    pub fn build(self) -> Result<Pipeline, PromotionError> {
        let refuse = |reason: String| Err(PromotionError::Pipeline { reason });
        if let Some(error) = self.refused {
            return Err(error.into());
        }
        if self.stages.is_empty() {
            return refuse("it has no stages".to_owned());
        }
        let mut rest: BTreeMap<Name, Policy> = BTreeMap::new();
        let mut order = Vec::new();
        for (name, policy) in self.stages {
            if name.as_str().len() > Pipeline::MAX_STAGE_BYTES {
                let bytes = Pipeline::MAX_STAGE_BYTES;
                return refuse(format!("the name of stage {name} has more than {bytes} bytes"));
            }
            if let Some(why) = policy.contradiction() {
                return refuse(format!("the policy of stage {name} cannot be obeyed: {why}"));
            }
            order.push(name.clone());
            if rest.insert(name.clone(), policy).is_some() {
                return refuse(format!("stage {name} stands in it twice"));
            }
        }
        for (name, policy) in &rest {
            if let Some(unknown) = policy.after.iter().find(|before| !rest.contains_key(*before)) {
                return refuse(format!("stage {name} comes after {unknown}, which is no stage of it"));
            }
        }
        let mut sorted = Vec::new();
        let mut placed = BTreeSet::new();
        while !rest.is_empty() {
            // In the order in which they were given, as far as that is possible.
            let ready: Vec<Name> = order
                .iter()
                .filter(|name| rest.get(*name).is_some_and(|policy| policy.after.is_subset(&placed)))
                .cloned()
                .collect();
            if ready.is_empty() {
                return refuse(format!("stages wait for each other: {}", cycle(&rest)));
            }
            for name in ready {
                if let Some(policy) = rest.remove(&name) {
                    placed.insert(name.clone());
                    sorted.push((name, Arc::new(policy)));
                }
            }
        }
        Ok(Pipeline { stages: sorted })
    }
}

/// One cycle among stages of which each comes after another of them, such as `a after b after a`.
fn cycle(rest: &BTreeMap<Name, Policy>) -> String {
    let mut path: Vec<&Name> = Vec::new();
    let mut here = rest.keys().next();
    while let Some(name) = here {
        let seen = path.iter().position(|earlier| *earlier == name);
        path.push(name);
        if let Some(start) = seen {
            return path.iter().skip(start).map(|name| name.as_str()).collect::<Vec<_>>().join(" after ");
        }
        here =
            rest.get(name).and_then(|policy| policy.after.iter().find(|before| rest.contains_key(*before)));
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn plain() -> Policy {
        Policy::unverified("test")
    }

    fn refusal(builder: PipelineBuilder) -> String {
        builder.build().unwrap_err().to_string()
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
    }

    #[test]
    fn what_is_wrong_with_a_pipeline_is_named() {
        let empty = refusal(Pipeline::builder());
        assert_eq!(empty, "build the pipeline: it has no stages");
        let twice = refusal(Pipeline::builder().stage("a", plain()).stage("a", plain()));
        assert_eq!(twice, "build the pipeline: stage a stands in it twice");
        let unknown = refusal(Pipeline::builder().stage("a", plain().after("b")));
        assert_eq!(unknown, "build the pipeline: stage a comes after b, which is no stage of it");
        let cyclic = Pipeline::builder()
            .stage("first", plain())
            .stage("a", plain().after("c").after("first"))
            .stage("b", plain().after("a"))
            .stage("c", plain().after("b"))
            .stage("last", plain().after("c"));
        assert_eq!(
            refusal(cyclic),
            "build the pipeline: stages wait for each other: a after c after b after a"
        );
        let itself = Pipeline::builder().stage("a", plain().after("a"));
        assert_eq!(refusal(itself), "build the pipeline: stages wait for each other: a after a");
        let name = refusal(Pipeline::builder().stage("A", plain()));
        assert!(name.starts_with("read \"A\" as name: 'A' is not allowed"), "{name}");
        let long = "a".repeat(201);
        let long = refusal(Pipeline::builder().stage(long.as_str(), plain()));
        assert!(long.ends_with("has more than 200 bytes"), "{long}");
    }

    #[test]
    fn a_policy_that_contradicts_itself_is_named_with_its_stage() {
        let cases = [
            (plain().soak(Duration::from_secs(1)), "it asks for a soak time, but comes after no stage"),
            (
                plain().approval_expires_after(Duration::from_secs(1)),
                "its approvals expire, but it asks for none",
            ),
            (
                Policy::judged_by(crate::JudgeChoice::Guardrail(crate::Guardrail::default()), Duration::ZERO),
                "a window of no length never ends",
            ),
            (plain().canary(), "it asks for a canary, but nobody looks whether it is well"),
            (
                Policy::healthy_for(Duration::from_micros(1500)),
                "bake of 1.5ms is not a whole number of milliseconds",
            ),
        ];
        for (policy, why) in cases {
            let shown = refusal(Pipeline::builder().stage("a", policy));
            assert_eq!(shown, format!("build the pipeline: the policy of stage a cannot be obeyed: {why}"));
        }
        let name = refusal(Pipeline::builder().stage("a", plain().after("B")));
        assert!(name.contains("stage a cannot be obeyed: read \"B\" as name"), "{name}");
    }
}
