//! What is known of a value that satisfies several subschemas at once.

use std::collections::{BTreeMap, BTreeSet};

use mcp_core::Digest;
use regex::Regex;
use serde_json::{Number, Value};

use super::flat::{Bound, Flat, Index, Node, Types};
use crate::number;

/// Subschemas that all hold for one value, with everything that holds in place of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Facts {
    /// In order, without repetition.
    pub(super) nodes: Vec<Index>,
    /// The subschemas of which one alternative was chosen already.
    pub(super) chosen: BTreeSet<Fork>,
}

/// Where a value may go one of several ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Choice {
    AnyOf,
    OneOf,
    Condition,
}

/// The subschema in which the ways part.
pub(super) type Fork = (Index, Choice);
/// What holds besides, on one way.
pub(super) type Way = Vec<Index>;

/// The matchers of a schema's patterns.
pub(super) struct Patterns {
    /// `None` for one that is not understood here.
    known: BTreeMap<String, Option<Regex>>,
    /// So many questions are answered yet.
    left: u32,
}

/// How many matches one comparison may ask for.
const MAX_MATCHES: u32 = 1_000_000;
/// How many patterns it keeps.
const MAX_PATTERNS: usize = 1000;

impl Default for Patterns {
    fn default() -> Self {
        Self { known: BTreeMap::new(), left: MAX_MATCHES }
    }
}

impl Patterns {
    /// Whether `pattern` matches somewhere in `text`; `None` where it is not certain.
    pub(super) fn matches(&mut self, pattern: &str, text: &str) -> Option<bool> {
        // Beyond ASCII, the classes of JSON Schema's expressions and of this engine differ.
        if !text.is_ascii() {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        if !self.known.contains_key(pattern) {
            if self.known.len() >= MAX_PATTERNS {
                return None;
            }
            let regex = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build().ok();
            self.known.insert(pattern.to_owned(), regex);
        }
        Some(self.known.get(pattern)?.as_ref()?.is_match(text))
    }
}

impl Facts {
    /// Those of `index`, and of everything that holds where it does.
    pub(super) fn of(flat: &Flat, index: Index) -> Self {
        Self::default().and(flat, &[index])
    }

    pub(super) fn and(mut self, flat: &Flat, more: &[Index]) -> Self {
        let mut waiting = more.to_vec();
        while let Some(index) = waiting.pop() {
            if let Err(place) = self.nodes.binary_search(&index) {
                self.nodes.insert(place, index);
                waiting.extend(flat.nodes.get(index).into_iter().flat_map(|node| &node.all_of));
            }
        }
        self
    }

    pub(super) fn nodes<'f>(&self, flat: &'f Flat) -> impl Iterator<Item = &'f Node> + use<'f, '_> {
        self.nodes.iter().filter_map(|index| flat.nodes.get(*index))
    }

    /// The types that are left.
    pub(super) fn types(&self, flat: &Flat) -> Types {
        let mut types = Types::ALL;
        for node in self.nodes(flat) {
            if node.never {
                return Types::NONE;
            }
            types = types.and(node.types.unwrap_or(Types::ALL));
            for values in node.values() {
                let of = |value: &Value| match Types::of(value) {
                    // In draft 4 it depends on how the number is written.
                    number if flat.lexical_integers && number.meets(Types::NUMBER) => Types::NUMBER,
                    other => other,
                };
                types = types.and(values.iter().map(of).fold(Types::NONE, Types::or));
            }
        }
        types
    }

    /// The only values that are left, where there is a list of them.
    pub(super) fn values(&self, flat: &Flat) -> Option<Vec<Value>> {
        let mut left: Option<Vec<Value>> = None;
        for values in self.nodes(flat).flat_map(Node::values) {
            left = Some(match left {
                None => values.to_vec(),
                Some(left) => {
                    let known = digests(values);
                    left.into_iter().filter(|value| known.contains(&digest(value))).collect()
                }
            });
        }
        left
    }

    /// The first place where a value may go one of several ways, and these, each as what holds besides.
    pub(super) fn split(&self, flat: &Flat) -> Option<(Fork, Vec<Way>)> {
        for index in &self.nodes {
            let node = flat.nodes.get(*index)?;
            let open = |choice: Choice| !self.chosen.contains(&(*index, choice));
            for (choice, branches) in [(Choice::AnyOf, &node.any_of), (Choice::OneOf, &node.one_of)] {
                if let Some(branches) = branches.as_ref().filter(|_| open(choice)) {
                    return Some(((*index, choice), branches.iter().map(|branch| vec![*branch]).collect()));
                }
            }
            if let Some(condition) = node.condition.filter(|_| open(Choice::Condition)) {
                let held = [Some(condition.when), condition.then].into_iter().flatten().collect();
                let failed = condition.otherwise.into_iter().collect();
                return Some(((*index, Choice::Condition), vec![held, failed]));
            }
        }
        None
    }

    /// With one way chosen.
    pub(super) fn choose(&self, flat: &Flat, at: Fork, way: &[Index]) -> Self {
        let mut chosen = self.clone();
        chosen.chosen.insert(at);
        chosen.and(flat, way)
    }

    /// Where a bound is tightest. The `tighter` of two limits is the one that leaves fewer values.
    pub(super) fn bound<'f>(
        &self,
        flat: &'f Flat,
        of: impl Fn(&'f Node) -> Option<&'f Bound>,
        tighter: std::cmp::Ordering,
    ) -> Option<&'f Bound> {
        let mut best: Option<&Bound> = None;
        for bound in self.nodes(flat).filter_map(of) {
            if best.is_none_or(|best| is_tighter(bound, best, tighter)) {
                best = Some(bound);
            }
        }
        best
    }

    pub(super) fn multiples<'f>(&self, flat: &'f Flat) -> impl Iterator<Item = &'f Number> + use<'f, '_> {
        self.nodes(flat).filter_map(|node| node.multiple_of.as_ref())
    }

    pub(super) fn most(&self, flat: &Flat, of: impl Fn(&Node) -> Option<u64>) -> u64 {
        self.nodes(flat).filter_map(of).max().unwrap_or(0)
    }

    pub(super) fn least(&self, flat: &Flat, of: impl Fn(&Node) -> Option<u64>) -> Option<u64> {
        self.nodes(flat).filter_map(of).min()
    }

    pub(super) fn required(&self, flat: &Flat) -> BTreeSet<String> {
        self.nodes(flat).flat_map(|node| node.required.iter().cloned()).collect()
    }

    /// What holds for the member `name`, and whether any subschema names it.
    pub(super) fn member(&self, flat: &Flat, name: &str, patterns: &mut Patterns) -> (Self, bool) {
        let mut found = Vec::new();
        let mut declared = false;
        for node in self.nodes(flat) {
            let mut evaluated = false;
            if let Some(index) = node.properties.get(name) {
                found.push(*index);
                evaluated = true;
                declared = true;
            }
            for (pattern, index) in &node.pattern_properties {
                match patterns.matches(pattern, name) {
                    Some(true) => {
                        found.push(*index);
                        evaluated = true;
                        declared = true;
                    }
                    Some(false) => {}
                    // It may be evaluated, so nothing else can be said of it.
                    None => evaluated = true,
                }
            }
            if !evaluated {
                found.extend(node.additional_properties);
            }
        }
        (Self::default().and(flat, &found), declared)
    }

    /// What holds for members that no subschema names.
    pub(super) fn other_members(&self, flat: &Flat) -> Self {
        let found: Vec<_> = self.nodes(flat).filter_map(|node| node.additional_properties).collect();
        Self::default().and(flat, &found)
    }

    /// What holds for the element at `place`.
    pub(super) fn element(&self, flat: &Flat, place: usize) -> Self {
        let at = |node: &Node| node.prefix_items.get(place).copied().or(node.items);
        let found: Vec<_> = self.nodes(flat).filter_map(at).collect();
        Self::default().and(flat, &found)
    }

    pub(super) fn prefix(&self, flat: &Flat) -> usize {
        self.nodes(flat).map(|node| node.prefix_items.len()).max().unwrap_or(0)
    }

    /// That no value is left is certain; that one is left is not.
    pub(super) fn is_empty(&self, flat: &Flat) -> bool {
        self.types(flat).is_empty() || self.values(flat).is_some_and(|values| values.is_empty())
    }
}

impl Node {
    /// The lists of values of which a value must be one.
    pub(super) fn values(&self) -> impl Iterator<Item = &[Value]> {
        let listed = self.allowed.as_ref().map(|(_, values)| values.as_slice());
        listed.into_iter().chain(self.also_allowed.as_ref().map(std::slice::from_ref))
    }

    /// Every value satisfies it.
    pub(super) fn is_trivial(&self) -> bool {
        let nothing = Self { path: self.path.clone(), named: self.named, ..Self::default() };
        self.types.is_none_or(|types| types == Types::ALL) && Self { types: None, ..self.clone() } == nothing
    }
}

pub(super) fn digest(value: &Value) -> Digest {
    crate::canonical::digest(value).0
}

pub(super) fn digests(values: &[Value]) -> BTreeSet<Digest> {
    values.iter().map(digest).collect()
}

/// Whether `bound` leaves fewer values than `other`, or as many.
pub(super) fn is_tighter(bound: &Bound, other: &Bound, tighter: std::cmp::Ordering) -> bool {
    match number::compare(&bound.limit, &other.limit) {
        Some(std::cmp::Ordering::Equal) => bound.exclusive || !other.exclusive,
        Some(order) => order == tighter,
        None => false,
    }
}

/// Whether a value lies within `bound`, which is a lower one where `tighter` is `Greater`.
pub(super) fn is_within(value: &Number, bound: &Bound, tighter: std::cmp::Ordering) -> bool {
    match number::compare(value, &bound.limit) {
        Some(std::cmp::Ordering::Equal) => !bound.exclusive,
        Some(order) => order == tighter,
        None => false,
    }
}
