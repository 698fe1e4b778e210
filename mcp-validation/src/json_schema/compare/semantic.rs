//! What two schemas mean, compared as sets of values.

use jsonschema::PatternOptions;
use jsonschema::canonical::{CanonicalSchema, CanonicalizationError, Containment, options};
use serde_json::Value;

use super::emit::emit;
use super::flat::{Flat, Index, Node};

/// Compares schemas as sets of the values that they accept. The one implementation is experimental in its crate: it stays behind this.
pub(super) trait Algebra {
    /// Whether `reader` accepts every value that `writer` accepts.
    fn covers(&self, reader: &Flat, writer: &Flat) -> Answer;
}

#[derive(Debug)]
pub(super) enum Answer {
    /// It does.
    Yes,
    /// It does not. With a schema of the values that are lost, where it can be told.
    No(Option<Value>),
    /// It is not known, and why. With a schema of the values that may be lost.
    Unknown(String, Option<Value>),
}

/// By `jsonschema::canonical`.
pub(super) struct Canonical {
    pub(super) asserts_format: bool,
    pub(super) max_pattern_bytes: usize,
}

/// Set operations on more subschemas take too long: two schemas of 500 members with one difference take 0.1 s.
const MAX_NODES: usize = 5000;
/// In how many ways one value may satisfy a schema at most: set operations look at all of them, and at the pairs of them. Eight
/// conditions beside each other make 256, which took 0.9 s; sixteen did not end within two minutes.
const MAX_WAYS: u64 = 100;
/// Through how many subschemas the way down may lead: set operations recurse along it.
const MAX_DEPTH: usize = 500;
/// The ways of one value, times those of what stands inside.
const MAX_WEIGHT: u64 = 20_000;

impl Algebra for Canonical {
    fn covers(&self, reader: &Flat, writer: &Flat) -> Answer {
        let unknown = |reason: &str| Answer::Unknown(reason.to_owned(), None);
        if reader.lexical_integers != writer.lexical_integers {
            return unknown("one is of draft 4, in which 1.0 is no integer, and the other is not");
        }
        for flat in [reader, writer] {
            if let Some(reason) = &flat.opaque {
                return unknown(reason);
            }
            if flat.nodes.len() > MAX_NODES || is_heavy(flat) {
                return unknown(
                    "they have too many subschemas or alternatives to be compared as sets of values",
                );
            }
            if flat.nodes.iter().any(|node| !node.content.is_empty()) {
                return unknown("contentEncoding and contentMediaType cannot be compared as sets of values");
            }
        }
        match self.compare(reader, writer) {
            Ok(answer) => answer,
            Err(error) => unknown(&super::super::bounded(format_args!("{error}"))),
        }
    }
}

impl Canonical {
    fn compare(&self, reader: &Flat, writer: &Flat) -> Result<Answer, CanonicalizationError> {
        let reader = self.canonical(reader)?;
        let writer = self.canonical(writer)?;
        let lost = || writer.subtract(&reader).ok().map(|lost| lost.to_json_schema());
        Ok(match reader.covers(&writer)? {
            Containment::Yes => Answer::Yes,
            Containment::No => Answer::No(lost()),
            Containment::Unknown => {
                Answer::Unknown("the sets of values could not be told apart".to_owned(), lost())
            }
        })
    }

    fn canonical(&self, flat: &Flat) -> Result<CanonicalSchema, CanonicalizationError> {
        let draft =
            if flat.lexical_integers { jsonschema::Draft::Draft4 } else { jsonschema::Draft::Draft202012 };
        options()
            .offline()
            .with_draft(draft)
            .should_validate_formats(self.asserts_format)
            .with_pattern_options(PatternOptions::regex().size_limit(self.max_pattern_bytes))
            .canonicalize(&emit(flat))
    }
}

/// Whether set operations on it may take too long.
fn is_heavy(flat: &Flat) -> bool {
    let mut weights = Weights { flat, known: vec![None; flat.nodes.len()], depth: 0, deepest: 0 };
    let root = weights.of(0);
    weights.known.iter().flatten().any(|weight| weight.ways > MAX_WAYS)
        || root.all > MAX_WEIGHT
        || weights.deepest > MAX_DEPTH
}

#[derive(Clone, Copy)]
struct Weight {
    /// In how many ways one value may satisfy it.
    ways: u64,
    /// With what stands inside.
    all: u64,
}

struct Weights<'f> {
    flat: &'f Flat,
    known: Vec<Option<Weight>>,
    depth: usize,
    deepest: usize,
}

impl Weights<'_> {
    /// Recursive: there are few nodes, and each is entered once. What refers to itself counts once.
    fn of(&mut self, index: Index) -> Weight {
        let light = Weight { ways: 1, all: 1 };
        let flat = self.flat;
        let (Some(node), Some(known)) = (flat.nodes.get(index), self.known.get_mut(index)) else {
            return light;
        };
        if let Some(known) = known {
            return *known;
        }
        *known = Some(light);
        self.depth = self.depth.saturating_add(1);
        self.deepest = self.deepest.max(self.depth);
        let mut ways: u64 = 1;
        let mut inside: u64 = 1;
        let mut step = |weight: Weight, many: u64| {
            ways = ways.saturating_mul(many);
            inside = inside.saturating_add(weight.all);
        };
        for part in &node.all_of {
            let weight = self.of(*part);
            step(weight, weight.ways);
        }
        for branches in [&node.any_of, &node.one_of].into_iter().flatten() {
            let weights: Vec<Weight> = branches.iter().map(|branch| self.of(*branch)).collect();
            let sum = weights.iter().fold(0, |sum: u64, weight| sum.saturating_add(weight.ways));
            step(Weight { ways: 1, all: 0 }, sum);
            weights.into_iter().for_each(|weight| step(weight, 1));
        }
        let condition = node.condition.into_iter();
        let condition = condition.flat_map(|condition| {
            [Some(condition.when), condition.then, condition.otherwise].into_iter().flatten()
        });
        for part in condition.chain(node.not).chain(node.dependent_schemas.values().copied()) {
            let weight = self.of(part);
            step(weight, weight.ways.saturating_add(1));
        }
        for part in node.children() {
            step(self.of(part), 1);
        }
        let dependent = u32::try_from(node.dependent_required.len()).unwrap_or(u32::MAX);
        let ways = ways.saturating_mul(2_u64.saturating_pow(dependent));
        let weight = Weight { ways, all: ways.saturating_mul(inside) };
        self.depth = self.depth.saturating_sub(1);
        if let Some(known) = self.known.get_mut(index) {
            *known = Some(weight);
        }
        weight
    }
}

impl Node {
    /// What holds for values inside.
    fn children(&self) -> impl Iterator<Item = Index> {
        let members = self.properties.values().chain(self.pattern_properties.values()).copied();
        let elements = self.prefix_items.iter().copied().chain(self.contains.map(|contains| contains.schema));
        let others = [self.additional_properties, self.property_names, self.items];
        members.chain(elements).chain(others.into_iter().flatten())
    }
}
