//! What two schemas mean, compared as sets of values.

use jsonschema::PatternOptions;
use jsonschema::canonical::{CanonicalSchema, CanonicalizationError, Containment, options};
use serde_json::Value;

use super::emit::emit;
use super::flat::Flat;

/// Compares schemas as sets of the values that they accept. The one implementation is experimental in its crate: it stays behind this.
pub(super) trait Algebra {
    /// Whether `reader` accepts every value that `writer` accepts.
    fn covers(&self, reader: &Flat, writer: &Flat) -> Answer;
}

#[derive(Debug)]
pub(super) enum Answer {
    /// It does.
    Yes,
    /// It does not. With schemas of values that are lost, where they can be told.
    No(Option<Value>),
    /// It is not known, and why. With a schema of the values that may be lost.
    Unknown(String, Option<Value>),
}

/// By `jsonschema::canonical`.
pub(super) struct Canonical {
    pub(super) asserts_format: bool,
    pub(super) max_pattern_bytes: usize,
}

/// With more subschemas in either schema it takes too long: its set operations can multiply them with each other.
const MAX_NODES: usize = 10_000;
/// With more alternatives in either schema, for the same reason.
const MAX_ALTERNATIVES: usize = 200;

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
            if flat.nodes.len() > MAX_NODES || alternatives(flat) > MAX_ALTERNATIVES {
                return unknown(
                    "it has too many subschemas or alternatives to be compared as a set of values",
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

/// How many ways there are, counted over all places where a value may go one of several.
fn alternatives(flat: &Flat) -> usize {
    let of = |branches: &Option<Vec<usize>>| {
        branches.as_ref().map_or(0, |branches| branches.len().saturating_sub(1))
    };
    let nodes = flat.nodes.iter();
    let count = |node: &super::flat::Node| {
        of(&node.any_of)
            + of(&node.one_of)
            + usize::from(node.condition.is_some())
            + usize::from(node.not.is_some())
            + node.dependent_schemas.len()
            + node.dependent_required.len()
    };
    nodes.map(count).fold(0, usize::saturating_add)
}
