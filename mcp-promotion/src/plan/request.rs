use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use mcp_core::{Artifact, Name, Requirement, Version};
use serde::{Deserialize, Serialize};

use super::{Edge, Lockstep, Plan, refuse};
use crate::{PromotionError, Release};

/// What an artifact needs beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// Which artifact.
    pub name: Name,
    /// Which of its versions will do.
    pub version: Requirement,
}

impl Need {
    /// A need for a version of `name` that `version` admits, such as `("ledger", "^1.2")`.
    ///
    /// # Errors
    /// `Invalid` for text that is neither.
    pub fn new(name: &str, version: &str) -> Result<Self, PromotionError> {
        Ok(Self { name: name.parse()?, version: version.parse()? })
    }
}

/// One artifact that a plan changes, or leaves as it is in a stage that it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Item {
    /// Into which stage. All items of one stage are one release there, and are changed at once.
    pub stage: Name,
    /// The new version.
    pub artifact: Artifact,
    /// The version that runs in the stage; `None` where none does. The same as the new one where it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    /// What the new version needs; all of it must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// What the version that runs needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed_before: Vec<Need>,
}

impl Item {
    /// A first version, without needs.
    #[must_use]
    pub const fn new(stage: Name, artifact: Artifact) -> Self {
        Self { stage, artifact, from: None, needs: Vec::new(), needed_before: Vec::new() }
    }

    /// The version that runs now.
    #[must_use]
    pub fn from(mut self, version: Version) -> Self {
        self.from = Some(version);
        self
    }

    /// Something that the new version needs.
    #[must_use]
    pub fn need(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// Something that the version that runs needs.
    #[must_use]
    pub fn needed_before(mut self, need: Need) -> Self {
        self.needed_before.push(need);
        self
    }

    pub(super) const fn name(&self) -> &Name {
        &self.artifact.reference.name
    }

    pub(super) const fn version(&self) -> &Version {
        &self.artifact.reference.version
    }
}

/// An artifact that runs somewhere, and that the plan leaves alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Present {
    /// Which artifact.
    pub name: Name,
    /// Which of its versions runs.
    pub version: Version,
    /// What it needs, before and after the plan and at every moment between.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
}

/// What becomes of a plan of which a part has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// All or nothing: what has succeeded is taken back, in exact reverse order.
    #[default]
    RollBack,
    /// What has succeeded stays, and nothing more is started, until a person resumes or aborts.
    Halt,
}

/// Artifacts that are to be released, and what they need of each other: what a plan is made from.
///
/// Nothing is looked up: the requirements are part of the request, so that a recorded request means the same for ever.
///
/// ```
/// use mcp_promotion::PlanRequest;
///
/// let request: PlanRequest = serde_json::from_str(r#"{"items": [
///     {"stage": "billing", "from": "1.0.0",
///      "artifact": {"ref": "billing@2.0.0", "digest": "blake3:0000000000000000000000000000000000000000000000000000000000000001"},
///      "needs": [{"name": "ledger", "version": "^1.2"}], "needed_before": [{"name": "ledger", "version": "^1.0"}]},
///     {"stage": "ledger", "from": "1.1.0",
///      "artifact": {"ref": "ledger@1.2.0", "digest": "blake3:0000000000000000000000000000000000000000000000000000000000000002"}}
/// ]}"#)?;
/// assert_eq!(serde_json::to_string(request.plan()?.waves())?, r#"[[["ledger"]],[["billing"]]]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PlanRequest {
    /// What is changed; each artifact once.
    pub items: Vec<Item>,
    /// What else runs and is needed, or needs something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub present: Vec<Present>,
    /// What to do with stages that can only be changed at once; refused where absent. Where it is allowed, their promotions are requested
    /// together, and there may be a moment at which one stage has changed and the other one has not. To change artifacts at the very same
    /// moment, give them one stage.
    #[serde(default = "Lockstep::refuse", skip_serializing_if = "Lockstep::is_refuse")]
    pub lockstep: Lockstep,
    /// How many groups are under way at a time; as many as a wave has where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<NonZeroU32>,
    /// What becomes of it when a part fails; rolled back where absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,
    /// Whether a version may be replaced by one of lower precedence; not where absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub downgrades: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl PlanRequest {
    /// The most items, and the most artifacts that are present.
    pub const MAX_ITEMS: usize = 10_000;
    /// The most needs, of all of them together.
    pub const MAX_NEEDS: usize = 100_000;

    /// A plan for these items: all or nothing, without lockstep, downgrades or a limit on parallelism.
    #[must_use]
    pub fn new(items: impl IntoIterator<Item = Item>) -> Self {
        Self {
            items: items.into_iter().collect(),
            present: Vec::new(),
            lockstep: Lockstep::Refuse,
            parallelism: None,
            on_failure: OnFailure::RollBack,
            downgrades: false,
        }
    }

    /// The release that each stage runs in the end.
    ///
    /// # Errors
    /// `Invalid`: an artifact twice in a stage, or too many.
    pub fn releases(&self) -> Result<BTreeMap<Name, Release>, PromotionError> {
        let mut stages: BTreeMap<&Name, Vec<Artifact>> = BTreeMap::new();
        for item in &self.items {
            stages.entry(&item.stage).or_default().push(item.artifact.clone());
        }
        stages.into_iter().map(|(stage, set)| Ok((stage.clone(), Release::of(set)?))).collect()
    }

    /// The order in which the stages are changed, so that every state on the way has what each of its artifacts needs.
    ///
    /// For a need of artifact A for artifact B there are four mixtures of their old and new versions. Old beside old and new beside new must
    /// work. If the new A does not work beside the old B, then B goes first; if the old A does not beside the new B, then A does; if both,
    /// they can only be changed at once. The time is that of `n log n` for the items and needs together.
    ///
    /// # Errors
    /// `Invalid`, naming the artifacts and what they need: no items or too many; an artifact twice; a downgrade that was not allowed; a need
    /// that nothing fulfils, or that is not fulfilled before the plan or after it; two needs that exclude every order.
    pub fn plan(&self) -> Result<Plan, PromotionError> {
        let (stages, known) = self.placed()?;
        let mut edges = vec![Vec::new(); stages.len()];
        for rule in self.rules() {
            let [new, old] = rule?.orders(&known)?;
            for (later, first) in [new, old].into_iter().flatten() {
                if let Some(before) = edges.get_mut(later) {
                    before.push(first);
                }
            }
        }
        Plan::arrange(&stages, edges, self.lockstep, |later, first| self.reason(&known, later, first))
    }

    /// Why one stage goes before another one, for each pair that needs an order, sorted by the later stage and then the first.
    ///
    /// # Errors
    /// Those of [`plan`](Self::plan) except needs that exclude every order: then there are edges both ways.
    pub fn edges(&self) -> Result<Vec<Edge>, PromotionError> {
        let (stages, known) = self.placed()?;
        let mut reasons = BTreeMap::new();
        for rule in self.rules() {
            let rule = rule?;
            let ([new, old], other) = (rule.orders(&known)?, known.get(&rule.need.name));
            let (before, after) = (other.and_then(|other| other.old), other.and_then(|other| other.new));
            for (edge, own, other) in [(new, rule.new, before), (old, rule.old, after)] {
                if let Some(edge) = edge {
                    reasons.entry(edge).or_insert_with(|| rule.shown(own, other));
                }
            }
        }
        let edge = |((later, first), why): ((usize, usize), String)| {
            Some(Edge { first: stages.get(first)?.clone(), later: stages.get(later)?.clone(), why })
        };
        Ok(reasons.into_iter().filter_map(edge).collect())
    }

    /// The stages, sorted, and everything that runs, which knows the place of its stage: so that needs find it without comparing names.
    fn placed(&self) -> Result<(Vec<Name>, BTreeMap<&Name, Side<'_>>), PromotionError> {
        let known = self.known()?;
        let stages: BTreeSet<&Name> = self.items.iter().map(|item| &item.stage).collect();
        let stages: Vec<Name> = stages.into_iter().cloned().collect();
        let place = |side: Side<'_>| side.stage.and_then(|stage| stages.binary_search(stage).ok());
        let known = known.into_iter().map(|(name, side)| (name, Side { place: place(side), ..side }));
        let known = known.collect();
        Ok((stages, known))
    }

    /// Everything that runs before, after, or all the time, by name.
    fn known(&self) -> Result<BTreeMap<&Name, Side<'_>>, PromotionError> {
        if self.items.is_empty() {
            return refuse("it has no items".to_owned());
        }
        for (count, what) in [(self.items.len(), "items"), (self.present.len(), "artifacts that are present")]
        {
            if count > Self::MAX_ITEMS {
                return refuse(format!("it has {count} {what}, at most {} are allowed", Self::MAX_ITEMS));
            }
        }
        let needs = self.items.iter().map(|item| item.needs.len().saturating_add(item.needed_before.len()));
        let needs: usize = needs.chain(self.present.iter().map(|present| present.needs.len())).sum();
        if needs > Self::MAX_NEEDS {
            return refuse(format!("it has {needs} needs, at most {} are allowed", Self::MAX_NEEDS));
        }
        let mut known = BTreeMap::new();
        for item in &self.items {
            let new = item.version();
            match &item.from {
                Some(old) if new.cmp_precedence(old).is_lt() && !self.downgrades => {
                    return refuse(format!(
                        "{} would be downgraded from {old} to {new}; allow downgrades if that is meant",
                        item.name()
                    ));
                }
                None if !item.needed_before.is_empty() => {
                    return refuse(format!(
                        "{} is new, and yet it says what the version before needs",
                        item.name()
                    ));
                }
                _ => {}
            }
            let side =
                Side { old: item.from.as_ref(), new: Some(new), stage: Some(&item.stage), place: None };
            if known.insert(item.name(), side).is_some() {
                return refuse(format!("{} stands in it twice", item.name()));
            }
        }
        for present in &self.present {
            let version = Some(&present.version);
            let side = Side { old: version, new: version, stage: None, place: None };
            if known.insert(&present.name, side).is_some() {
                return refuse(format!("{} stands in it twice", present.name));
            }
        }
        Ok(known)
    }

    /// What each version needs.
    fn rules(&self) -> impl Iterator<Item = Result<Rule<'_>, PromotionError>> {
        let items = self.items.iter().flat_map(move |item| {
            let after =
                item.needs.iter().map(move |need| Rule::new(item.name(), None, Some(item.version()), need));
            let before = item.needed_before.iter();
            after.chain(before.map(move |need| Rule::new(item.name(), item.from.as_ref(), None, need)))
        });
        let always = self.present.iter().flat_map(move |present| {
            let version = Some(&present.version);
            present.needs.iter().map(move |need| Rule::new(&present.name, version, version, need))
        });
        items.chain(always)
    }

    /// Why `first` goes before `later`: the first rule that says so.
    fn reason(&self, known: &BTreeMap<&Name, Side<'_>>, later: usize, first: usize) -> String {
        for rule in self.rules().flatten() {
            let Some(other) = known.get(&rule.need.name) else { continue };
            match rule.orders(known) {
                Ok([Some(edge), _]) if edge == (later, first) => return rule.shown(rule.new, other.old),
                Ok([_, Some(edge)]) if edge == (later, first) => return rule.shown(rule.old, other.new),
                _ => {}
            }
        }
        String::new()
    }
}

impl Lockstep {
    const fn refuse() -> Self {
        Self::Refuse
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    const fn is_refuse(&self) -> bool {
        matches!(self, Self::Refuse)
    }
}

/// The versions of one artifact before and after the plan.
#[derive(Clone, Copy)]
struct Side<'a> {
    old: Option<&'a Version>,
    new: Option<&'a Version>,
    /// In which stage it is changed; `None` where it is not.
    stage: Option<&'a Name>,
    place: Option<usize>,
}

/// One need of the old version, the new one, or both.
#[derive(Clone, Copy)]
struct Rule<'a> {
    who: &'a Name,
    old: Option<&'a Version>,
    new: Option<&'a Version>,
    need: &'a Need,
}

impl<'a> Rule<'a> {
    fn new(
        who: &'a Name,
        old: Option<&'a Version>,
        new: Option<&'a Version>,
        need: &'a Need,
    ) -> Result<Self, PromotionError> {
        if *who == need.name {
            return refuse(format!("{who} is constrained by itself"));
        }
        Ok(Self { who, old, new, need })
    }

    /// Which stage goes before which, as (later, first): because the new version does not work beside the old one of what it needs, and
    /// because the old one does not work beside the new one.
    fn orders(
        &self,
        known: &BTreeMap<&Name, Side<'_>>,
    ) -> Result<[Option<(usize, usize)>; 2], PromotionError> {
        let (Some(own), Some(other)) = (known.get(self.who), known.get(&self.need.name)) else {
            let Need { name, version } = self.need;
            let own = self.new.or(self.old).map(ToString::to_string).unwrap_or_default();
            return refuse(format!(
                "{} {own} needs {name} {version}, and {name} neither stands in it nor is present",
                self.who
            ));
        };
        let fits =
            |version: Option<&Version>| version.is_some_and(|version| self.need.version.matches(version));
        let (old_fits, new_fits) = (fits(other.old), fits(other.new));
        if self.old.is_some() && !old_fits {
            return refuse(format!("before it already, {}", self.shown(self.old, other.old)));
        }
        if self.new.is_some() && !new_fits {
            return refuse(format!("after it, {}", self.shown(self.new, other.new)));
        }
        // What changes at the same moment, or does not change, needs no order.
        let edge = |later: Option<usize>, first: Option<usize>| {
            later.zip(first).filter(|(later, first)| later != first)
        };
        let new = if self.new.is_some() && !old_fits { edge(own.place, other.place) } else { None };
        let old = if self.old.is_some() && !new_fits { edge(other.place, own.place) } else { None };
        Ok([new, old])
    }

    fn shown(&self, own: Option<&Version>, other: Option<&Version>) -> String {
        let Need { name, version } = self.need;
        let own = own.map(ToString::to_string).unwrap_or_default();
        let other = other.map_or_else(|| "is not there".to_owned(), |other| format!("is {other}"));
        format!("{} {own} needs {name} {version}, which {other}", self.who)
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::Digest;

    use super::*;

    fn name(number: usize) -> Name {
        format!("a{number}").parse().unwrap()
    }

    fn item(stage: &str, reference: &str, from: Option<&str>) -> Item {
        let artifact = Artifact::try_from((reference, Digest::of(reference.as_bytes()))).unwrap();
        let item = Item::new(stage.parse().unwrap(), artifact);
        Item { from: from.map(|version| version.parse().unwrap()), ..item }
    }

    fn need(name: &str, version: &str) -> Need {
        Need::new(name, version).unwrap()
    }

    #[track_caller]
    fn refusal(request: &PlanRequest) -> String {
        request.plan().unwrap_err().to_string().strip_prefix("plan the release: ").unwrap().to_owned()
    }

    fn waves(request: &PlanRequest) -> String {
        serde_json::to_string(request.plan().unwrap().waves()).unwrap()
    }

    #[test]
    fn the_four_mixtures_of_two_versions_decide_which_goes_first() {
        let billing = || item("billing", "billing@2.0.0", Some("1.0.0"));
        let ledger = || item("ledger", "ledger@2.0.0", Some("1.0.0"));
        let of = |billing, ledger| PlanRequest::new([billing, ledger]);
        // The new one needs the new one.
        let first = of(billing().need(need("ledger", "^2")), ledger());
        assert_eq!(waves(&first), r#"[[["ledger"]],[["billing"]]]"#);
        // The old one needs the old one.
        let last = of(billing().needed_before(need("ledger", "^1")), ledger());
        assert_eq!(waves(&last), r#"[[["billing"]],[["ledger"]]]"#);
        // Either works beside either.
        assert_eq!(
            waves(&of(billing().need(need("ledger", ">=1")), ledger())),
            r#"[[["billing"],["ledger"]]]"#
        );
        // Both: at once or not at all.
        let both = of(billing().need(need("ledger", "^2")).needed_before(need("ledger", "^1")), ledger());
        assert_eq!(
            refusal(&both),
            "no order satisfies both: billing 2.0.0 needs ledger ^2, which is 1.0.0, \
             and billing 1.0.0 needs ledger ^1, which is 2.0.0"
        );
        let allowed = PlanRequest { lockstep: Lockstep::Allow, ..both.clone() };
        assert_eq!(waves(&allowed), r#"[[["billing","ledger"]]]"#);
        // One release changes both at the same moment.
        let mut together = both;
        for item in &mut together.items {
            item.stage = "prod".parse().unwrap();
        }
        assert_eq!(waves(&together), r#"[[["prod"]]]"#);
    }

    #[test]
    fn what_cannot_be_a_plan_is_refused_with_its_reason() {
        let a = || item("a", "a@2.0.0", Some("1.0.0"));
        let b = || item("b", "b@2.0.0", Some("1.0.0"));
        let cases = [
            (vec![], "it has no items"),
            (vec![a(), a()], "a stands in it twice"),
            (
                vec![item("a", "a@1.0.0", Some("2.0.0"))],
                "a would be downgraded from 2.0.0 to 1.0.0; allow downgrades if that is meant",
            ),
            (
                vec![a().need(need("b", "^1"))],
                "a 2.0.0 needs b ^1, and b neither stands in it nor is present",
            ),
            (vec![a().need(need("a", "^2"))], "a is constrained by itself"),
            (vec![a().need(need("b", "^1")), b()], "after it, a 2.0.0 needs b ^1, which is 2.0.0"),
            (
                vec![a().needed_before(need("b", "^2")), b()],
                "before it already, a 1.0.0 needs b ^2, which is 1.0.0",
            ),
            (
                vec![a().needed_before(need("b", "^2")), item("b", "b@2.0.0", None)],
                "before it already, a 1.0.0 needs b ^2, which is not there",
            ),
            (
                vec![item("a", "a@1.0.0", None).needed_before(need("b", "^2")), b()],
                "a is new, and yet it says what the version before needs",
            ),
        ];
        for (items, reason) in cases {
            assert_eq!(refusal(&PlanRequest::new(items)), reason);
        }
        let needs = vec![need("b", "^1")];
        let version = "1.0.0".parse().unwrap();
        let mut request = PlanRequest::new([b()]);
        request.present.push(Present { name: "web".parse().unwrap(), version, needs });
        assert_eq!(refusal(&request), "after it, web 1.0.0 needs b ^1, which is 2.0.0");
    }

    /// Invariant 9.
    #[test]
    fn a_plan_of_a_hundred_thousand_items_or_needs_is_refused_and_the_largest_one_is_made() {
        let many = |count: usize| {
            PlanRequest::new((0..count).map(|number| {
                let item = item(name(number).as_str(), &format!("a{number}@1.0.0"), None);
                let before = number.checked_sub(1).map(|before| need(&format!("a{before}"), "^1"));
                before.into_iter().fold(item, Item::need)
            }))
        };
        assert_eq!(refusal(&many(100_000)), "it has 100000 items, at most 10000 are allowed");
        assert_eq!(many(10_000).plan().unwrap().waves().len(), 10_000);
        let greedy = (0..100_001).fold(item("b", "b@1.0.0", None), |item, _| item.need(need("a0", "*")));
        let request = PlanRequest::new([item("a", "a0@1.0.0", None), greedy]);
        assert_eq!(refusal(&request), "it has 100001 needs, at most 100000 are allowed");
    }

    #[test]
    fn a_request_is_read_back_from_json_and_what_is_absent_is_the_careful_choice() {
        let request = PlanRequest::new([item("a", "a@2.0.0", Some("1.0.0")).need(need("b", "^1"))]);
        let json = serde_json::to_value(&request).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 1, "only the items are written: {json}");
        assert_eq!(serde_json::from_value::<PlanRequest>(json).unwrap(), request);
        let full = PlanRequest {
            lockstep: Lockstep::Allow,
            parallelism: NonZeroU32::new(2),
            on_failure: OnFailure::Halt,
            downgrades: true,
            ..request
        };
        assert_eq!(
            serde_json::from_str::<PlanRequest>(&serde_json::to_string(&full).unwrap()).unwrap(),
            full
        );
    }
}
