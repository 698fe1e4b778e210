//! Release plans: in which order artifacts that depend on each other are changed.

#[cfg(test)]
mod brute_force;
mod course;
mod edge;
mod event;
mod groups;
mod next;
mod request;
#[cfg(test)]
mod simulated;
mod state;
mod status;

use std::fmt;

use mcp_core::Name;
use serde::{Deserialize, Serialize};

use crate::PromotionError;
pub(crate) use course::{Course, Planned, Standing, kept};
pub use edge::Edge;
pub use event::{PlanEntry, PlanHappened, PlanRequested};
use groups::{exclusion, groups};
pub(crate) use next::{PlanNext, Runs, Seen, changed, failure, next};
pub use request::{Item, Need, OnFailure, PlanRequest, Present};
pub use state::PlanState;
pub use status::{Part, PartState, PlanId, PlanStatus};

/// That one side of an artifact does not work beside a side of another one.
///
/// While a release is rolled out, each artifact is either old or new. Old beside old works, since it runs; new beside new must work, or there
/// is no release. What remains are the two mixtures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Constraint {
    /// The artifact whose new version does not work...
    pub new: Name,
    /// ...beside the old version of this one.
    pub old: Name,
}

impl Constraint {
    /// The new version of `new` does not work beside the old version of `old`: so `old` is changed first, or both at once.
    #[must_use]
    pub const fn new(new: Name, old: Name) -> Self {
        Self { new, old }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the new {} does not work beside the old {}", self.new, self.old)
    }
}

/// The order in which the artifacts of a release are changed: waves, one after the other.
///
/// The artifacts of one wave may be changed in any order or at the same time, except that each lockstep group is changed at once.
/// Rolling back is the exact reverse, which passes only through states that were passed before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    waves: Vec<Wave>,
}

/// Groups that do not depend on each other.
pub type Wave = Vec<Group>;

/// Artifacts that are changed at once: usually one, several where they are in lockstep. Sorted.
pub type Group = Vec<Name>;

/// What to do when artifacts can only be changed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lockstep {
    /// Change them at once.
    Allow,
    /// Refuse the plan.
    Refuse,
}

impl Plan {
    /// Orders `artifacts` so that no state on the way breaks a constraint: strongly connected groups of constraints are in lockstep, and the
    /// groups in topological order, each in the earliest wave.
    ///
    /// # Errors
    /// `Invalid`: an artifact twice, a constraint of an unknown artifact or of one with itself; and, where lockstep is refused, artifacts that
    /// could only be changed at once, naming two constraints that exclude every order.
    pub fn order(
        artifacts: impl IntoIterator<Item = Name>,
        constraints: &[Constraint],
        lockstep: Lockstep,
    ) -> Result<Self, PromotionError> {
        let mut names: Vec<Name> = artifacts.into_iter().collect();
        names.sort();
        if let Some((twice, _)) = names.iter().zip(names.iter().skip(1)).find(|(one, other)| one == other) {
            return refuse(format!("{twice} stands in it twice"));
        }
        let mut edges = vec![Vec::new(); names.len()];
        for constraint in constraints {
            let place = |name: &Name| names.binary_search(name).ok();
            let (Some(new), Some(old)) = (place(&constraint.new), place(&constraint.old)) else {
                return refuse(format!("it has not both artifacts of a constraint: {constraint}"));
            };
            if new == old {
                return refuse(format!("{} is constrained by itself", constraint.new));
            }
            if let Some(before) = edges.get_mut(new) {
                before.push(old);
            }
        }
        Self::arrange(&names, edges, lockstep, |new, old| match (names.get(new), names.get(old)) {
            (Some(new), Some(old)) => Constraint::new(new.clone(), old.clone()).to_string(),
            _ => String::new(),
        })
    }

    /// Orders `names`, which are sorted, by `edges` from each to those that go before it; `shown` says why one does.
    fn arrange(
        names: &[Name],
        mut edges: Vec<Vec<usize>>,
        lockstep: Lockstep,
        shown: impl Fn(usize, usize) -> String,
    ) -> Result<Self, PromotionError> {
        for before in &mut edges {
            before.sort_unstable();
            before.dedup();
        }
        let mut wave_of: Vec<usize> = vec![0; names.len()];
        let mut waves: Vec<Wave> = Vec::new();
        for group in groups(&edges) {
            if group.len() > 1 && lockstep == Lockstep::Refuse {
                let [there, back] = exclusion(&edges, &group);
                let between = if there.1 == back.0 { "" } else { ", which others of the group lead back to" };
                let (there, back) = (shown(there.0, there.1), shown(back.0, back.1));
                return refuse(format!("no order satisfies both: {there}{between}, and {back}"));
            }
            let before = group.iter().filter_map(|member| edges.get(*member)).flatten();
            let after =
                before.filter(|member| !group.contains(member)).filter_map(|member| wave_of.get(*member));
            let wave = after.map(|wave| wave.saturating_add(1)).max().unwrap_or(0);
            for member in &group {
                if let Some(place) = wave_of.get_mut(*member) {
                    *place = wave;
                }
            }
            while waves.len() <= wave {
                waves.push(Vec::new());
            }
            let members: Group = group.iter().filter_map(|member| names.get(*member).cloned()).collect();
            if let Some(wave) = waves.get_mut(wave) {
                wave.push(members);
            }
        }
        waves.iter_mut().for_each(|wave| wave.sort());
        Ok(Self { waves })
    }

    /// The waves, in order.
    #[must_use]
    pub fn waves(&self) -> &[Wave] {
        &self.waves
    }

    /// The waves by which it is taken back: the exact reverse.
    #[must_use]
    pub fn rollback(&self) -> Self {
        let reversed = |wave: &Wave| wave.iter().rev().cloned().collect();
        Self { waves: self.waves.iter().rev().map(reversed).collect() }
    }
}

fn refuse<T>(reason: String) -> Result<T, PromotionError> {
    Err(PromotionError::Plan { reason })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(number: usize) -> Name {
        ["a", "b", "c", "d"][number].parse().unwrap()
    }

    fn constraint((new, old): (usize, usize)) -> Constraint {
        Constraint::new(name(new), name(old))
    }

    /// Whether the mixture with these artifacts new breaks no constraint.
    fn works(new: u32, constraints: &[(usize, usize)]) -> bool {
        constraints.iter().all(|(a, b)| new & (1 << a) == 0 || new & (1 << b) != 0)
    }

    /// Every order in which four artifacts can be changed one at a time without passing a state that does not work.
    fn orders(constraints: &[(usize, usize)]) -> Vec<Vec<usize>> {
        let mut found = vec![Vec::new()];
        for _ in 0..4 {
            found = found
                .iter()
                .flat_map(|order: &Vec<usize>| (0..4).map(move |next| [order.as_slice(), &[next]].concat()))
                .filter(|order| !order[..order.len() - 1].contains(order.last().unwrap()))
                .filter(|order| works(order.iter().fold(0, |mask, done| mask | 1 << done), constraints))
                .collect();
        }
        found
    }

    fn check(constraints: &[(usize, usize)]) -> Result<(), TestCaseError> {
        let listed: Vec<Constraint> = constraints.iter().copied().map(constraint).collect();
        let strict = Plan::order((0..4).map(name), &listed, Lockstep::Refuse);
        prop_assert_eq!(strict.is_ok(), !orders(constraints).is_empty(), "possible one at a time");
        let plan = Plan::order((0..4).map(name), &listed, Lockstep::Allow).unwrap();
        if let Ok(strict) = strict {
            prop_assert_eq!(&strict, &plan);
        }
        let bit = |name: &Name| 1 << (0..4).position(|number| self::name(number) == *name).unwrap();
        let mask = |group: &Group| group.iter().fold(0, |mask, name| mask | bit(name));
        let (mut before, mut passed) = (0_u32, vec![0_u32]);
        for wave in plan.waves() {
            // Any subset of the groups of a wave may be done already.
            for subset in 0..1_u32 << wave.len() {
                let part = wave.iter().enumerate().filter(|(place, _)| subset & (1 << place) != 0);
                let state = part.fold(before, |state, (_, group)| state | mask(group));
                prop_assert!(works(state, constraints), "state {:04b} of {:?}", state, plan);
                passed.push(state);
            }
            before |= wave.iter().fold(0, |all, group| all | mask(group));
        }
        prop_assert_eq!(before, 0b1111, "every artifact is changed");
        for group in plan.waves().iter().flatten().filter(|group| group.len() > 1) {
            // In lockstep only what must be: no proper part of it can go first, whatever else is done.
            let whole = mask(group);
            for state in (0..16_u32).filter(|state| state & whole != 0 && state & whole != whole) {
                prop_assert!(!works(state, constraints), "{:04b} splits {:?}", state, group);
            }
        }
        let mut state = before;
        for group in plan.rollback().waves().iter().flatten() {
            state &= !mask(group);
            prop_assert!(
                passed.contains(&state),
                "rolling back passes {:04b}, which was never passed",
                state
            );
        }
        prop_assert_eq!(state, 0);
        Ok(())
    }

    /// All 4,096 sets of constraints between four artifacts.
    #[test]
    fn a_plan_agrees_with_brute_force_over_every_set_of_constraints_of_four_artifacts() {
        let pairs: Vec<(usize, usize)> =
            (0..4).flat_map(|a| (0..4).map(move |b| (a, b))).filter(|(a, b)| a != b).collect();
        for set in 0..1_usize << pairs.len() {
            let chosen: Vec<(usize, usize)> = pairs
                .iter()
                .enumerate()
                .filter(|(place, _)| set & (1 << place) != 0)
                .map(|(_, pair)| *pair)
                .collect();
            check(&chosen).unwrap_or_else(|error| panic!("{chosen:?}: {error}"));
        }
    }

    #[test]
    fn waves_are_as_early_as_they_can_be() {
        let listed = [(1, 0), (2, 0), (3, 1), (3, 2)].map(constraint);
        let plan = Plan::order((0..4).map(name), &listed, Lockstep::Refuse).unwrap();
        let shown = |plan: &Plan| serde_json::to_string(plan.waves()).unwrap();
        assert_eq!(shown(&plan), r#"[[["a"]],[["b"],["c"]],[["d"]]]"#);
        assert_eq!(shown(&plan.rollback()), r#"[[["d"]],[["c"],["b"]],[["a"]]]"#);
    }

    #[test]
    fn a_refusal_names_the_two_constraints() {
        let refusal = |constraints: &[(usize, usize)]| {
            let listed: Vec<Constraint> = constraints.iter().copied().map(constraint).collect();
            Plan::order((0..4).map(name), &listed, Lockstep::Refuse).unwrap_err().to_string()
        };
        assert_eq!(
            refusal(&[(0, 1), (1, 0)]),
            "plan the release: no order satisfies both: the new a does not work beside the old b, \
             and the new b does not work beside the old a"
        );
        assert_eq!(
            refusal(&[(0, 1), (1, 2), (2, 0)]),
            "plan the release: no order satisfies both: the new a does not work beside the old b, \
             which others of the group lead back to, and the new c does not work beside the old a"
        );
        assert_eq!(refusal(&[(1, 1)]), "plan the release: b is constrained by itself");
        let twice = Plan::order([name(0), name(0)], &[], Lockstep::Allow).unwrap_err().to_string();
        assert_eq!(twice, "plan the release: a stands in it twice");
        let unknown = Plan::order([name(0)], &[constraint((0, 1))], Lockstep::Allow).unwrap_err().to_string();
        assert!(
            unknown.starts_with("plan the release: it has not both artifacts of a constraint"),
            "{unknown}"
        );
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_artifacts_does_not_overflow_the_stack() {
        let name = |number: usize| -> Name { format!("n{number}").parse().unwrap() };
        let listed: Vec<Constraint> =
            (1..100_000).map(|number| Constraint::new(name(number), name(number - 1))).collect();
        let plan = Plan::order((0..100_000).map(name), &listed, Lockstep::Refuse).unwrap();
        assert_eq!(plan.waves().len(), 100_000);
    }
}
