//! The planner against every order of up to five stages, and against every way in which a request can be no plan.

use std::collections::{BTreeMap, BTreeSet};

use mcp_core::{Artifact, Digest, Name, Version};

use super::{Group, Item, Lockstep, Need, Plan, PlanRequest, Present};

/// SplitMix64 (Steele, Lea and Flood 2014): a case is known by its seed.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

const NEEDS: [&str; 7] = ["^1", "^2", "*", ">=1.1", "<2", "=1.1.0", ">=1, <3"];
const VERSIONS: [&str; 5] = ["1.0.0", "1.1.0", "2.0.0", "2.1.0", "3.0.0"];

fn name(number: usize) -> Name {
    format!("a{number}").parse().unwrap()
}

fn item(stage: usize, number: usize, version: &str, from: Option<&str>) -> Item {
    let reference = format!("a{number}@{version}");
    let artifact = Artifact::try_from((reference.as_str(), Digest::of(reference.as_bytes()))).unwrap();
    Item { from: from.map(|version| version.parse().unwrap()), ..Item::new(name(stage), artifact) }
}

/// What two artifacts of one pair were built for: the major version that the other one has on the same side.
fn pair(chance: &mut Chance, request: &mut PlanRequest, who: &Name, whom: &Name) {
    let Some(target) = request.items.iter().find(|item| item.name() == whom).cloned() else { return };
    let Some(item) = request.items.iter_mut().find(|item| item.name() == who) else { return };
    let exact = |version: &Version| Need::new(whom.as_str(), &format!("^{}", version.major())).unwrap();
    let which = chance.below(4);
    if which != 1 {
        item.needs.push(exact(target.version()));
    }
    if which != 0 && item.from.is_some() {
        item.needed_before.extend(target.from.as_ref().map(exact));
    }
}

/// Up to five artifacts, mostly in stages of their own, whose needs mostly can be met.
pub(super) fn possible(chance: &mut Chance) -> PlanRequest {
    let count = 2 + chance.below(4);
    let mut request = PlanRequest { downgrades: true, ..PlanRequest::new([]) };
    for number in 0..count {
        let (old, new) = (VERSIONS[chance.below(5)], VERSIONS[chance.below(5)]);
        let stage = if chance.one_in(10) { 0 } else { number };
        request.items.push(item(stage, number, new, Some(old)));
    }
    for _ in 0..chance.below(2 * count) {
        let (who, whom) = (name(chance.below(count)), name(chance.below(count)));
        if who != whom {
            pair(chance, &mut request, &who, &whom);
        }
    }
    if chance.one_in(2) {
        request.lockstep = Lockstep::Allow;
    }
    request
}

/// The same, with whatever can be wrong.
fn any(chance: &mut Chance) -> PlanRequest {
    let mut request = possible(chance);
    let count = request.items.len();
    for number in 0..count {
        let place = number % request.items.len();
        match chance.below(16) {
            0 => {
                request.items[place].from = None;
                if chance.one_in(2) {
                    request.items[place].needed_before.clear();
                }
            }
            1 if request.items.len() > 1 => {
                let item = request.items.remove(place);
                let (name, version) = (item.name().clone(), item.version().clone());
                request.present.push(Present { name, version, needs: item.needs });
            }
            _ => {}
        }
    }
    for _ in 0..chance.below(4) {
        let (who, whom) = (chance.below(request.items.len()), name(chance.below(count)));
        let need = Need { name: whom, version: NEEDS[chance.below(7)].parse().unwrap() };
        if *request.items[who].name() == need.name && !chance.one_in(8) {
            continue;
        }
        if chance.one_in(2) || request.items[who].from.is_none() {
            request.items[who].needs.push(need);
        } else {
            request.items[who].needed_before.push(need);
        }
    }
    match chance.below(24) {
        0 => {
            let mut twice = request.items[chance.below(request.items.len())].clone();
            twice.stage = name(chance.below(count));
            request.items.push(twice);
        }
        1 => {
            let twice = request.items[0].name().clone();
            request.present.push(Present {
                name: twice,
                version: VERSIONS[0].parse().unwrap(),
                needs: Vec::new(),
            });
        }
        2 => {
            let ghost = Need::new("ghost", NEEDS[chance.below(7)]).unwrap();
            let place = chance.below(request.items.len());
            request.items[place].needs.push(ghost);
        }
        _ => {}
    }
    if chance.one_in(4) {
        request.downgrades = false;
    }
    request
}

/// Whether everything that runs has what it needs; `new` says which stages have changed.
fn works(request: &PlanRequest, new: impl Fn(&Name) -> bool) -> bool {
    let runs = |wanted: &Name| {
        let items = request.items.iter().filter(|item| item.name() == wanted);
        let item = items.map(|item| if new(&item.stage) { Some(item.version()) } else { item.from.as_ref() });
        let present = request.present.iter().filter(|present| present.name == *wanted);
        item.flatten().chain(present.map(|present| &present.version)).next()
    };
    let of = |item: &'_ Item| if new(&item.stage) { item.needs.clone() } else { item.needed_before.clone() };
    let always = request.present.iter().flat_map(|present| present.needs.clone());
    let mut needs = always.chain(request.items.iter().flat_map(of));
    needs.all(|need| runs(&need.name).is_some_and(|version| need.version.matches(version)))
}

/// The stages as bits, and the states that work.
pub(super) fn states(request: &PlanRequest) -> (Vec<Name>, Vec<bool>) {
    let stages: BTreeSet<Name> = request.items.iter().map(|item| item.stage.clone()).collect();
    let stages: Vec<Name> = stages.into_iter().collect();
    let is_new = |state: usize, stage: &Name| state >> stages.binary_search(stage).unwrap() & 1 == 1;
    let works = (0..1 << stages.len()).map(|state| works(request, |stage| is_new(state, stage))).collect();
    (stages, works)
}

/// How many orders of one stage after the other pass only states that work.
fn orders(stages: usize, works: &[bool], state: usize) -> usize {
    if !works[state] {
        return 0;
    }
    let left = (0..stages).filter(|stage| state >> stage & 1 == 0);
    let ways: usize = left.map(|stage| orders(stages, works, state | 1 << stage)).sum();
    if state + 1 == works.len() { 1 } else { ways }
}

/// Every refusal that would be true, but for orders.
fn faults(request: &PlanRequest) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    let mut seen: BTreeMap<&Name, [Option<&Version>; 2]> = BTreeMap::new();
    for item in &request.items {
        let (name, new) = (item.name(), item.version());
        if let Some(old) =
            item.from.as_ref().filter(|old| !request.downgrades && new.cmp_precedence(old).is_lt())
        {
            told.insert(format!(
                "{name} would be downgraded from {old} to {new}; allow downgrades if that is meant"
            ));
        }
        if item.from.is_none() && !item.needed_before.is_empty() {
            told.insert(format!("{name} is new, and yet it says what the version before needs"));
        }
        if seen.insert(name, [item.from.as_ref(), Some(new)]).is_some() {
            told.insert(format!("{name} stands in it twice"));
        }
    }
    for Present { name, version, .. } in &request.present {
        if seen.insert(name, [Some(version); 2]).is_some() {
            told.insert(format!("{name} stands in it twice"));
        }
    }
    for (who, sides, need) in needs(request) {
        if *who == need.name {
            told.insert(format!("{who} is constrained by itself"));
        }
        let own = sides[1].or(sides[0]).map(ToString::to_string).unwrap_or_default();
        let Need { name, version } = need;
        let Some(others) = seen.get(name) else {
            told.insert(format!(
                "{who} {own} needs {name} {version}, and {name} neither stands in it nor is present"
            ));
            continue;
        };
        for (when, own, other) in
            [("before it already", sides[0], others[0]), ("after it", sides[1], others[1])]
        {
            if let Some(own) = own.filter(|_| !other.is_some_and(|other| version.matches(other))) {
                told.insert(format!("{when}, {}", shown(who, own, need, other)));
            }
        }
    }
    told
}

fn shown(who: &Name, own: &Version, need: &Need, other: Option<&Version>) -> String {
    let other = other.map_or_else(|| "is not there".to_owned(), |other| format!("is {other}"));
    format!("{who} {own} needs {} {}, which {other}", need.name, need.version)
}

/// Who needs what, and in which of its versions, before and after.
fn needs(request: &PlanRequest) -> Vec<(&Name, [Option<&Version>; 2], &Need)> {
    let mut all = Vec::new();
    for item in &request.items {
        all.extend(item.needs.iter().map(|need| (item.name(), [None, Some(item.version())], need)));
        all.extend(item.needed_before.iter().map(|need| (item.name(), [item.from.as_ref(), None], need)));
    }
    for Present { name, version, needs } in &request.present {
        all.extend(needs.iter().map(|need| (name, [Some(version); 2], need)));
    }
    all
}

/// Every mixture of two stages that a need forbids: what says so, and (which goes first, which later).
fn forbidden(request: &PlanRequest) -> Vec<(String, (Name, Name))> {
    let of = |name: &Name| request.items.iter().find(|item| item.name() == name);
    let mut all = Vec::new();
    for (who, sides, need) in needs(request) {
        let (Some(own), Some(other)) = (of(who), of(&need.name)) else { continue };
        let fits = |version: Option<&Version>| version.is_some_and(|version| need.version.matches(version));
        if let Some(new) = sides[1].filter(|_| !fits(other.from.as_ref())) {
            let text = shown(who, new, need, other.from.as_ref());
            all.push((text, (other.stage.clone(), own.stage.clone())));
        }
        if let Some(old) = sides[0].filter(|_| !fits(Some(other.version()))) {
            let text = shown(who, old, need, Some(other.version()));
            all.push((text, (own.stage.clone(), other.stage.clone())));
        }
    }
    all.retain(|(_, (first, later))| first != later);
    all
}

/// Whether `from` must come before `to`, by any number of edges.
fn leads(edges: &[(String, (Name, Name))], from: &Name, to: &Name) -> bool {
    let mut known = BTreeSet::from([from]);
    loop {
        let next: Vec<&Name> =
            edges.iter().filter(|(_, edge)| known.contains(&edge.0)).map(|(_, edge)| &edge.1).collect();
        let before = known.len();
        known.extend(next);
        if known.len() == before {
            return known.contains(to);
        }
    }
}

/// That the two needs that a refusal names stand in the request and exclude every order.
fn check_exclusion(request: &PlanRequest, refusal: &str) {
    let (one, other) = refusal.split_once(", and ").unwrap();
    let around = one.strip_suffix(", which others of the group lead back to");
    let one = around.unwrap_or(one);
    let edges = forbidden(request);
    let named = |text: &str| -> Vec<&(Name, Name)> {
        edges.iter().filter(|(shown, _)| shown == text).map(|(_, edge)| edge).collect()
    };
    let (ones, others) = (named(one), named(other));
    assert!(!ones.is_empty() && !others.is_empty(), "{refusal:?} names what the request does not say");
    let contradict = |one: &(Name, Name), other: &(Name, Name)| {
        // No order of the stages satisfies both, by themselves or because of what leads from the later one back to the first.
        one.1 == other.0
            && match around {
                None => other.1 == one.0,
                Some(_) => other.1 != one.0 && leads(&edges, &other.1, &one.0),
            }
    };
    assert!(
        ones.iter().any(|one| others.iter().any(|other| contradict(one, other))),
        "{refusal:?} names needs that do not contradict each other: {edges:?}"
    );
}

/// What the plan for a request that can be made passes, there and back.
fn check_plan(plan: &Plan, stages: &[Name], works: &[bool]) {
    let all = works.len() - 1;
    let bits =
        |group: &Group| group.iter().fold(0, |bits, stage| bits | 1 << stages.binary_search(stage).unwrap());
    let (mut before, mut passed) = (0_usize, BTreeSet::from([0_usize]));
    for wave in plan.waves() {
        // As many at a time as anybody likes: any subset of the groups of a wave may be done already.
        for subset in 0..1_usize << wave.len() {
            let part = wave.iter().enumerate().filter(|(place, _)| subset >> place & 1 == 1);
            let state = part.fold(before, |state, (_, group)| state | bits(group));
            assert!(works[state], "state {state:b} of {plan:?}");
            passed.insert(state);
        }
        before |= wave.iter().fold(0, |all, group| all | bits(group));
    }
    assert_eq!(before, all, "every stage is changed");
    for group in plan.waves().iter().flatten().filter(|group| group.len() > 1) {
        // In lockstep only what must be: no proper part of it can go first, whatever else is done.
        let whole = bits(group);
        for state in (0..works.len()).filter(|state| ![0, whole].contains(&(state & whole))) {
            assert!(!works[state], "{state:b} splits {group:?}");
        }
    }
    let (there, back) = (plan.waves().iter().flatten(), plan.rollback());
    assert!(there.rev().eq(back.waves().iter().flatten()), "the way back is the exact reverse");
    for group in back.waves().iter().flatten() {
        before &= !bits(group);
        assert!(passed.contains(&before), "rolling back passes {before:b} for the first time");
    }
    assert_eq!(before, 0, "everything is taken back");
}

fn check(request: &PlanRequest) -> &'static str {
    let faults = faults(request);
    let told = |error: crate::PromotionError| {
        error.to_string().strip_prefix("plan the release: ").unwrap().to_owned()
    };
    let planned = request.plan().map_err(told);
    if !faults.is_empty() {
        let refusal = planned.unwrap_err();
        assert!(faults.contains(&refusal), "{refusal:?} is none of {faults:?}");
        return match refusal {
            told if told.contains("twice") => "an artifact twice",
            told if told.contains("downgraded") => "a downgrade",
            told if told.contains("neither stands") => "a missing dependency",
            told if told.contains("by itself") => "a need of itself",
            told if told.contains("and yet") => "a first version with needs before",
            told if told.starts_with("before") => "broken before",
            _ => "broken after",
        };
    }
    let (stages, works) = states(request);
    assert!(works[0] && works[works.len() - 1], "each end works");
    let possible = orders(stages.len(), &works, 0) > 0;
    match planned {
        Ok(plan) => {
            assert!(possible || request.lockstep == Lockstep::Allow, "no order works, and yet {plan:?}");
            let grouped = plan.waves().iter().flatten().any(|group| group.len() > 1);
            assert_eq!(grouped, !possible, "{plan:?}");
            check_plan(&plan, &stages, &works);
            if grouped { "in lockstep" } else { "one at a time" }
        }
        Err(refusal) => {
            assert!(!possible && request.lockstep == Lockstep::Refuse, "{refusal} and yet an order works");
            check_exclusion(request, refusal.strip_prefix("no order satisfies both: ").unwrap());
            if refusal.contains("lead back") { "no order, over others" } else { "no order" }
        }
    }
}

/// Runs `check` for each seed, and says which one it was that failed.
pub(super) fn for_seeds(seeds: u64, mut check: impl FnMut(u64)) {
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(seed)));
        assert!(outcome.is_ok(), "with seed {seed}; what was wrong stands above");
    }
}

#[test]
fn a_plan_or_its_refusal_agrees_with_brute_force_over_every_order_of_up_to_five_stages() {
    let mut seen = BTreeMap::<&str, usize>::new();
    for_seeds(20_000, |seed| {
        let request = any(&mut Chance::seeded(seed));
        let what = check(&request);
        *seen.entry(what).or_default() += 1;
    });
    println!("seeds 0 to 19999: {seen:?}");
    assert_eq!(seen.len(), 11, "each kind was seen: {seen:?}");
    assert!(seen.values().all(|count| *count > 20), "each kind was seen often: {seen:?}");
}
