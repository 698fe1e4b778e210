use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcp_core::Name;

use super::graph::Graph;
use super::{Given, Pipeline};
use crate::fault::{Fault, Faults, in_short};
use crate::policy::UpstreamRule;
use crate::{Lane, Policy, PromotionError};

/// How many stages of a cycle are named.
const NAMED: usize = 12;

pub(super) fn build(given: Vec<Given>) -> Result<Pipeline, PromotionError> {
    let mut faults = Faults::default();
    let mut check = Check { faults: &mut faults, looks: crate::window::SEARCHES };
    let stages = check.stages(given);
    check.lanes(&stages);
    let graph = check.graph(&stages);
    let faults = faults.into_list();
    if !faults.is_empty() {
        return Err(PromotionError::Pipeline { faults });
    }
    let order = graph.order();
    let mut policies: Vec<Option<(Name, Arc<Policy>)>> =
        stages.into_iter().map(|(name, policy)| Some((name, Arc::new(policy?)))).collect();
    let stages: Vec<(Name, Arc<Policy>)> =
        order.into_iter().filter_map(|place| policies.get_mut(place)?.take()).collect();
    let places = stages.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
    Ok(Pipeline { stages, places })
}

/// A stage with a proper name, which no other one has; its policy, where it has one that could be read.
type Known = (Name, Option<Policy>);

struct Check<'a> {
    faults: &'a mut Faults,
    /// How many looks at calendars are left.
    looks: usize,
}

impl Check<'_> {
    fn stages(&mut self, given: Vec<Given>) -> Vec<Known> {
        if given.is_empty() {
            self.faults.add(Fault::new("it has no stages", "name at least one"));
        }
        if given.len() > Pipeline::MAX_STAGES {
            let why = format!("it has {} stages, at most {} are allowed", given.len(), Pipeline::MAX_STAGES);
            self.faults.add(Fault::new(why, "split it into several"));
            return Vec::new();
        }
        let mut seen: BTreeMap<Name, bool> = BTreeMap::new();
        let mut stages = Vec::with_capacity(given.len());
        for Given { shown, name, policy } in given {
            let mut say = |fault: Fault| {
                self.faults.add(match &shown {
                    Some(shown) => fault.of(shown),
                    None => fault,
                });
            };
            let name = match name {
                Ok(name) => Some(name),
                Err(error) => {
                    say(Fault::new(error.to_string(), "give it another name"));
                    None
                }
            };
            if let Some(name) = name.as_ref().filter(|name| name.as_str().len() > Pipeline::MAX_STAGE_BYTES) {
                let (has, most) = (name.as_str().len(), Pipeline::MAX_STAGE_BYTES);
                say(Fault::new(
                    format!("its name has {has} bytes, at most {most} are allowed"),
                    "shorten it",
                ));
            }
            let policy = match policy {
                Ok(policy) => {
                    policy.faults_within(&mut self.looks).into_iter().for_each(&mut say);
                    Some(policy)
                }
                Err(faults) => {
                    faults.into_iter().for_each(&mut say);
                    None
                }
            };
            match name.map(|name| (seen.get(&name).copied(), name)) {
                None => {}
                Some((None, name)) => {
                    seen.insert(name.clone(), false);
                    stages.push((name, policy));
                }
                Some((Some(told), name)) => {
                    if !told {
                        say(Fault::new("it stands in the pipeline twice or more", "give each its own name"));
                    }
                    seen.insert(name, true);
                }
            }
        }
        stages
    }

    /// What goes wrong between a stage whose queue is parallel and others.
    fn lanes(&mut self, stages: &[Known]) {
        let parallel = |policy: &Policy| policy.queue.is_parallel();
        let has_lanes: BTreeSet<&Name> = stages
            .iter()
            .filter(|(_, policy)| policy.as_ref().is_some_and(parallel))
            .map(|(name, _)| name)
            .collect();
        let longest = Pipeline::MAX_STAGE_BYTES.saturating_sub(Lane::MORE_BYTES);
        for (name, policy) in stages {
            if let Some(whole) = Lane::stages_above(name).find(|above| has_lanes.contains(above)) {
                let why = format!("it has the name of a lane of {whole}, whose queue is parallel");
                self.faults.add(Fault::new(why, "give it another name").of(name.as_str()));
            }
            if has_lanes.contains(name) && name.as_str().len() > longest {
                let why =
                    format!("its lanes have longer names than it, and it has more than {longest} bytes");
                self.faults.add(Fault::new(why, "shorten it").of(name.as_str()));
            }
            let automatic = policy.as_ref().filter(|policy| policy.automatic);
            if let Some(before) =
                automatic.and_then(|p| p.after.iter().find(|before| has_lanes.contains(before)))
            {
                let why = format!("it is automatic and comes after {before}, whose queue is parallel");
                let advice = "request it by hand: no one release runs there";
                self.faults.add(Fault::new(why, advice).of(name.as_str()).at("automatic"));
            }
        }
    }

    fn graph(&mut self, stages: &[Known]) -> Graph {
        let places: BTreeMap<&Name, usize> =
            stages.iter().enumerate().map(|(place, (name, _))| (name, place)).collect();
        let name = |place: usize| stages.get(place).map_or("", |(name, _)| name.as_str());
        // Those of which it was told already why no release gets there.
        let mut told: BTreeSet<usize> = BTreeSet::new();
        let mut edges = Vec::with_capacity(stages.len());
        for (place, (stage, policy)) in stages.iter().enumerate() {
            let mut befores = Vec::new();
            for before in policy.iter().flat_map(|policy| &policy.after) {
                if let Some(known) = places.get(before) {
                    befores.push(*known);
                    continue;
                }
                told.insert(place);
                let before = in_short(before.as_str());
                let fault = Fault::new(
                    format!("it comes after {before}, which is no stage of the pipeline"),
                    "add that stage, or take it out",
                );
                self.faults.add(fault.at("after").of(stage.as_str()));
            }
            befores.sort_unstable();
            edges.push(befores);
        }
        let graph = Graph::new(edges);
        for cycle in graph.cycles() {
            let mut path: Vec<&str> = cycle.iter().take(NAMED).map(|place| name(*place)).collect();
            let rest = format!("… ({} stages in all)", cycle.len());
            path.push(if cycle.len() > NAMED {
                &rest
            } else {
                cycle.first().map_or("", |place| name(*place))
            });
            let fault = Fault::new(
                format!("stages wait for each other: {}", path.join(" -> ")),
                "take one of them out of the after of the next",
            );
            self.faults.add(fault.at("after").of(cycle.first().map_or("", |place| name(*place))));
            told.extend(cycle);
        }
        if !told.is_empty() {
            let reached = reached(stages, &graph);
            for (place, (stage, _)) in stages.iter().enumerate() {
                if reached.contains(&place) || told.contains(&place) {
                    continue;
                }
                let cause = graph.before(place).iter().find(|before| !reached.contains(before));
                let fault = Fault::new(
                    format!(
                        "no release can reach it, because none gets through {}",
                        name(*cause.unwrap_or(&place))
                    ),
                    "mend that stage first",
                );
                self.faults.add(fault.at("after").of(stage.as_str()));
            }
        }
        graph
    }
}

/// The stages into which releases can come, as far as the rules about the stages before are concerned.
fn reached(stages: &[Known], graph: &Graph) -> BTreeSet<usize> {
    let mut missing: Vec<usize> = stages
        .iter()
        .map(|(_, policy)| match policy {
            Some(policy) if policy.upstream == UpstreamRule::AnyOf => policy.after.len().min(1),
            Some(policy) => policy.after.len(),
            // What stands in a text that could not be read does not matter for the others.
            None => 0,
        })
        .collect();
    let begin = missing.iter().enumerate().filter(|(_, missing)| **missing == 0);
    let mut todo: Vec<usize> = begin.map(|(place, _)| place).collect();
    let mut reached: BTreeSet<usize> = todo.iter().copied().collect();
    while let Some(place) = todo.pop() {
        for after in graph.after(place) {
            if let Some(missing) = missing.get_mut(*after).filter(|missing| **missing > 0) {
                *missing = missing.saturating_sub(1);
                if *missing == 0 && reached.insert(*after) {
                    todo.push(*after);
                }
            }
        }
    }
    reached
}
