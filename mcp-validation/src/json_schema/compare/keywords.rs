//! Two schemas compared keyword by keyword: what the reader's asks is looked for in what the writer's grants.
//!
//! What is granted everywhere proves that the reader accepts whatever the writer does. What is not is a difference: a break, or only
//! another way to say the same; a document that shows it tells them apart.

mod arrays;
mod objects;
mod scalars;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value;

use super::facts::{Facts, Patterns};
use super::flat::{Flat, Index, Node, Types};
use super::sample::Sampler;

/// Something that the reader asks and the writer does not grant.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    pub(super) rule: &'static str,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) advice: String,
    /// Values that may show it, at the place where it is.
    pub(super) values: Vec<Value>,
    /// How to get from there to the whole document, the innermost step first.
    pub(super) steps: Vec<Step>,
}

/// Where a value stands within another one, and what the writer grants of that.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) around: Rc<Facts>,
    pub(super) place: Place,
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    Member(String),
    Element(usize),
    /// The value is the name of a member.
    Name,
}

impl Difference {
    fn new(rule: &'static str, path: String, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            rule,
            path,
            message: message.into(),
            advice: advice.into(),
            values: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn shown_by(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.values.extend(values);
        self
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) differences: Vec<Difference>,
    /// Why no differences prove nothing.
    pub(super) unsure: Option<String>,
}

impl Compared {
    /// That the reader accepts all that the writer does.
    pub(super) fn proves(&self) -> bool {
        self.differences.is_empty() && self.unsure.is_none()
    }
}

/// Compares the roots.
pub(super) fn compare(reader: &Flat, writer: &Flat, max_steps: u64, max_differences: usize) -> Compared {
    let mut compare = Compare {
        reader,
        writer,
        patterns: Patterns::default(),
        sampler: Sampler::new(writer),
        steps_left: max_steps,
        open: Vec::new(),
        lowest: usize::MAX,
        proved: BTreeSet::new(),
        failed: BTreeMap::new(),
        unsure: reader.opaque.clone().or_else(|| writer.opaque.clone()),
        max_differences,
    };
    let found = compare.covers(0, &Facts::of(writer, 0));
    let mut seen = BTreeMap::new();
    let mut differences: Vec<Difference> = Vec::new();
    for difference in found {
        let key = (difference.path.clone(), difference.rule);
        match seen.get(&key).and_then(|place: &usize| differences.get_mut(*place)) {
            // The same break, reached another way, may be the one that can be shown.
            Some(before) if before.values.is_empty() => *before = difference,
            Some(_) => {}
            None => {
                seen.insert(key, differences.len());
                differences.push(difference);
            }
        }
    }
    differences.truncate(max_differences);
    Compared { differences, unsure: compare.unsure }
}

struct Compare<'f> {
    reader: &'f Flat,
    writer: &'f Flat,
    patterns: Patterns,
    sampler: Sampler<'f>,
    steps_left: u64,
    /// The questions that are being answered. A document ends somewhere, so that a question which comes up again further down in it
    /// may be taken for answered: what it depends on is found on the way.
    open: Vec<(Index, Facts)>,
    /// The outermost open question that was taken for answered.
    lowest: usize,
    /// Answered for good, without taking an open question for answered.
    proved: BTreeSet<(Index, Facts)>,
    /// Answered with differences, and the first of them: the others were told where the question first came up.
    failed: BTreeMap<(Index, Facts), Difference>,
    unsure: Option<String>,
    max_differences: usize,
}

/// So many places inside one another are looked at; a schema itself can nest no deeper, but its references can lead on.
const MAX_OPEN: usize = 300;
/// So far down it is looked whether two schemas can meet.
const MAX_APART: u32 = 8;
/// So many choices of the writer are taken apart for one value.
const MAX_CHOSEN: usize = 4;

impl<'f> Compare<'f> {
    fn give_up(&mut self, reason: &str) {
        self.unsure.get_or_insert_with(|| reason.to_owned());
    }

    fn spend(&mut self, steps: usize) -> bool {
        let left = self.steps_left.checked_sub(u64::try_from(steps).unwrap_or(u64::MAX));
        self.steps_left = left.unwrap_or(0);
        if left.is_none() {
            self.give_up("comparing them keyword by keyword takes more than max_steps");
        }
        left.is_some()
    }

    /// What the reader's subschema asks and `granted` does not grant.
    fn covers(&mut self, reader: Index, granted: &Facts) -> Vec<Difference> {
        let sizes = granted.nodes(self.writer).chain(self.reader.nodes.get(reader)).map(Node::size);
        if !self.spend(sizes.fold(1, usize::saturating_add)) || granted.is_empty(self.writer) {
            return Vec::new();
        }
        let question = (reader, granted.clone());
        if self.proved.contains(&question) {
            return Vec::new();
        }
        if let Some(first) = self.failed.get(&question) {
            return vec![first.clone()];
        }
        if let Some(place) = self.open.iter().position(|open| *open == question) {
            self.lowest = self.lowest.min(place);
            return Vec::new();
        }
        if self.open.len() >= MAX_OPEN {
            self.give_up("their references lead further down than is followed");
            return Vec::new();
        }
        let place = self.open.len();
        let outer = std::mem::replace(&mut self.lowest, usize::MAX);
        self.open.push(question);
        let found = self.answer(reader, granted);
        let is_final = self.lowest >= place;
        self.lowest = if is_final { outer } else { self.lowest.min(outer) };
        match (self.open.pop(), found.first()) {
            (Some(question), Some(first)) => {
                self.failed.insert(question, first.clone());
            }
            (Some(question), None) if is_final && self.unsure.is_none() => {
                self.proved.insert(question);
            }
            _ => {}
        }
        found
    }

    fn answer(&mut self, reader: Index, granted: &Facts) -> Vec<Difference> {
        let flat = self.reader;
        let Some(node) = flat.nodes.get(reader) else { return Vec::new() };
        if granted.nodes.iter().any(|writer| self.same(reader, *writer)) {
            return Vec::new();
        }
        let mut found = self.asks(node, granted);
        for part in &node.all_of {
            found.extend(self.covers(*part, granted));
        }
        if found.is_empty() || granted.chosen.len() >= MAX_CHOSEN || found.len() >= self.max_differences {
            return found;
        }
        // Each way that the writer leaves open grants more than all of them do together.
        let Some((at, ways)) = granted.split(self.writer) else { return found };
        let mut split = Vec::new();
        for way in ways {
            let chosen = granted.choose(self.writer, at, &way);
            split.extend(self.covers(reader, &chosen));
        }
        split
    }

    fn asks(&mut self, node: &Node, granted: &Facts) -> Vec<Difference> {
        let mut found = Vec::new();
        if node.never {
            let mut values = self.sampler.samples(granted, Types::ALL);
            values.truncate(4);
            found.push(
                Difference::new(
                    "json-schema.false",
                    node.path.clone(),
                    "nothing is accepted here any more",
                    "accept again what was accepted",
                )
                .shown_by(values),
            );
            return found;
        }
        let left = self.types(node, granted, &mut found);
        self.listed(node, granted, &mut found);
        if left.meets(Types::NUMBER) {
            self.numbers(node, granted, left, &mut found);
        }
        if left.meets(Types::STRING) {
            self.strings(node, granted, &mut found);
        }
        if left.meets(Types::ARRAY) {
            self.arrays(node, granted, &mut found);
        }
        if left.meets(Types::OBJECT) {
            self.objects(node, granted, &mut found);
        }
        self.alternatives(node, granted, &mut found);
        found
    }

    fn alternatives(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        if let Some(branches) = &node.any_of {
            self.any_of(node, branches, granted, found);
        }
        if let Some(branches) = &node.one_of {
            self.one_of(node, branches, granted, found);
        }
        if let Some(not) = node.not {
            let held = granted.nodes(self.writer).filter_map(|writer| writer.not).collect::<Vec<_>>();
            let nots = self.reader.nodes.get(not);
            let apart = nots.is_some_and(|not| !self.may_meet(not, granted, MAX_APART));
            if !apart && !held.into_iter().any(|writer| self.same(not, writer)) {
                let values = self.sampler.samples_of_reader(self.reader, not);
                found.push(
                    Difference::new(
                        "json-schema.not-added",
                        format!("{}/not", node.path),
                        "values are excluded that were not excluded before",
                        "exclude no more than before",
                    )
                    .shown_by(values),
                );
            }
        }
        if let Some(condition) = node.condition {
            let granted_too = granted.nodes(self.writer).filter_map(|writer| writer.condition);
            let branches = [condition.then, condition.otherwise];
            let same = granted_too.collect::<Vec<_>>().into_iter().any(|writer| {
                let pairs = [(condition.then, writer.then), (condition.otherwise, writer.otherwise)];
                self.same(condition.when, writer.when)
                    && pairs.into_iter().all(|pair| match pair {
                        (Some(reader), Some(writer)) => self.same(reader, writer),
                        (None, _) => true,
                        (Some(_), None) => false,
                    })
            });
            if !same {
                let mut inner = Vec::new();
                for branch in branches.into_iter().flatten() {
                    inner.extend(self.covers(branch, granted));
                }
                if !inner.is_empty() {
                    let mut values: Vec<Value> = self.sampler.samples_of_reader(self.reader, condition.when);
                    values.extend(self.sampler.samples(granted, Types::ALL));
                    let shown = inner.iter().find(|inner| !inner.values.is_empty());
                    let mut difference = Difference::new(
                        "json-schema.condition-changed",
                        format!("{}/if", node.path),
                        "what is asked under a condition was not asked before",
                        "keep the condition, or ask no more under it",
                    );
                    if let Some(inner) = shown.filter(|inner| !inner.steps.is_empty()) {
                        difference.values.clone_from(&inner.values);
                        difference.steps.clone_from(&inner.steps);
                    } else {
                        values.extend(inner.into_iter().flat_map(|inner| inner.values));
                        difference.values = values;
                    }
                    found.push(difference);
                }
            }
        }
    }

    fn any_of(&mut self, node: &Node, branches: &[Index], granted: &Facts, found: &mut Vec<Difference>) {
        let mut failed: Vec<Vec<Difference>> = Vec::new();
        for branch in branches {
            let before = self.unsure.clone();
            let inner = self.covers(*branch, granted);
            if inner.is_empty() && self.unsure == before {
                return;
            }
            failed.push(inner);
        }
        self.narrowed(node, "anyOf", "json-schema.any-of-narrowed", failed, granted, found);
    }

    fn one_of(&mut self, node: &Node, branches: &[Index], granted: &Facts, found: &mut Vec<Difference>) {
        let mut failed: Vec<Vec<Difference>> = Vec::new();
        for branch in branches {
            let before = self.unsure.clone();
            let inner = self.covers(*branch, granted);
            if inner.is_empty() && self.unsure == before {
                let others = branches.iter().filter(|other| *other != branch);
                let flat = self.reader;
                if others
                    .filter_map(|other| flat.nodes.get(*other))
                    .all(|other| !self.may_meet(other, granted, MAX_APART))
                {
                    return;
                }
            }
            failed.push(inner);
        }
        self.narrowed(node, "oneOf", "json-schema.one-of-narrowed", failed, granted, found);
    }

    /// No branch takes what is granted. Where only one could by its type, what that one asks is what breaks.
    fn narrowed(
        &mut self,
        node: &Node,
        keyword: &str,
        rule: &'static str,
        mut failed: Vec<Vec<Difference>>,
        granted: &Facts,
        found: &mut Vec<Difference>,
    ) {
        let of_another_kind = |inner: &Vec<Difference>| {
            inner.iter().any(|inner| inner.steps.is_empty() && KINDS.contains(&inner.rule))
        };
        let near: Vec<usize> = (0..failed.len())
            .filter(|place| failed.get(*place).is_some_and(|inner| !of_another_kind(inner)))
            .collect();
        if let [only] = near.as_slice()
            && granted.split(self.writer).is_none()
            && failed.get(*only).is_some_and(|inner| !inner.is_empty())
        {
            found.append(&mut failed.swap_remove(*only));
            return;
        }
        let mut values = self.sampler.samples(granted, Types::ALL);
        let inner = failed.into_iter().flatten();
        values.extend(inner.filter(|inner| inner.steps.is_empty()).flat_map(|inner| inner.values).take(12));
        found.push(
            Difference::new(
                rule,
                format!("{}/{keyword}", node.path),
                "no alternative accepts everything that the writer's schema accepts here",
                "add an alternative for what is not accepted any more",
            )
            .shown_by(values),
        );
    }

    /// Whether a value may satisfy both; false is certain.
    fn may_meet(&mut self, node: &Node, granted: &Facts, depth: u32) -> bool {
        if node.never {
            return false;
        }
        let flat = self.writer;
        let kinds = Facts::types(granted, flat);
        if node.types.is_some_and(|types| !types.meets(kinds)) {
            return false;
        }
        if let (Some(mine), Some(theirs)) = (node.values().next(), granted.values(flat)) {
            let theirs = super::facts::digests(&theirs);
            if !mine.iter().any(|value| theirs.contains(&super::facts::digest(value))) {
                return false;
            }
        }
        if depth == 0 || !self.spend(node.required.len().saturating_add(1)) {
            return true;
        }
        if kinds == Types::OBJECT {
            let granted_names = granted.required(flat);
            let flat_of_reader = self.reader;
            for (name, index) in &node.properties {
                let Some(member) = flat_of_reader.nodes.get(*index) else { continue };
                // A member that is always there, and never as the other wants it.
                if granted_names.contains(name) || node.required.contains(name) {
                    let theirs = granted.member(flat, name, &mut self.patterns).0;
                    if granted_names.contains(name) && !self.may_meet(member, &theirs, depth - 1) {
                        return false;
                    }
                }
            }
            for name in &node.required {
                if granted.member(flat, name, &mut self.patterns).0.is_empty(flat) {
                    return false;
                }
            }
        }
        let parts = node.all_of.iter().filter_map(|part| self.reader.nodes.get(*part)).collect::<Vec<_>>();
        parts.into_iter().all(|part| self.may_meet(part, granted, depth - 1))
    }

    /// Whether both say the same in the same words.
    fn same(&mut self, reader: Index, writer: Index) -> bool {
        let mut assumed = BTreeSet::new();
        let mut waiting = vec![(reader, writer)];
        let (readers, writers) = (self.reader, self.writer);
        if readers.lexical_integers != writers.lexical_integers {
            return false;
        }
        while let Some((reader, writer)) = waiting.pop() {
            if !assumed.insert((reader, writer)) {
                continue;
            }
            let (Some(mine), Some(theirs)) = (readers.nodes.get(reader), writers.nodes.get(writer)) else {
                return false;
            };
            if !self.spend(mine.size()) || !mine.says_the_same_but_for_subschemas(theirs) {
                return false;
            }
            waiting.extend(mine.subschemas().into_iter().zip(theirs.subschemas()));
        }
        true
    }
}

/// Breaks that say that a branch is meant for something else.
const KINDS: [&str; 5] = [
    "json-schema.type-changed",
    "json-schema.type-narrowed",
    "json-schema.const-changed",
    "json-schema.enum-narrowed",
    "json-schema.false",
];

impl Node {
    /// How much there is to be looked at.
    fn size(&self) -> usize {
        let listed = self.allowed.as_ref().map_or(0, |(_, values)| values.len());
        1 + listed
            + self.properties.len()
            + self.pattern_properties.len()
            + self.required.len()
            + self.prefix_items.len()
            + self.all_of.len()
    }

    /// Everything but what stands in subschemas; how many there are of them, and where, counts.
    fn says_the_same_but_for_subschemas(&self, other: &Self) -> bool {
        let shape = |node: &Self| {
            let mut shape = Self { path: String::new(), named: false, ..node.clone() };
            for index in shape.subschemas_mut() {
                *index = 0;
            }
            shape
        };
        shape(self) == shape(other)
    }

    fn subschemas(&self) -> Vec<Index> {
        self.clone().subschemas_mut().into_iter().map(|index| *index).collect()
    }

    fn subschemas_mut(&mut self) -> Vec<&mut Index> {
        let mut all: Vec<&mut Index> = Vec::new();
        all.extend(self.prefix_items.iter_mut());
        all.extend(self.items.iter_mut());
        all.extend(self.contains.iter_mut().map(|contains| &mut contains.schema));
        all.extend(self.properties.values_mut());
        all.extend(self.pattern_properties.values_mut());
        all.extend(self.additional_properties.iter_mut());
        all.extend(self.property_names.iter_mut());
        all.extend(self.dependent_schemas.values_mut());
        all.extend(self.all_of.iter_mut());
        all.extend(self.any_of.iter_mut().flatten());
        all.extend(self.one_of.iter_mut().flatten());
        all.extend(self.not.iter_mut());
        if let Some(condition) = &mut self.condition {
            all.push(&mut condition.when);
            all.extend(condition.then.iter_mut());
            all.extend(condition.otherwise.iter_mut());
        }
        all.extend(self.unevaluated_properties.iter_mut());
        all.extend(self.unevaluated_items.iter_mut());
        all
    }
}
