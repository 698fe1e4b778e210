//! Whether everything that is valid under one schema is valid under another.
//!
//! Asked in two ways. As sets of values ([`semantic`]): that decides much and says little. Keyword by keyword ([`keywords`]): that
//! finds all places, and proves what it can, but takes some ways to say the same for a break. Where they differ, a document decides
//! ([`witness`]): the writer's schema accepts it and the reader's refuses it, and both were run to see that.

mod emit;
mod facts;
mod flat;
mod keywords;
mod sample;
mod semantic;
mod witness;

use mcp_core::SeamError;
use serde_json::Value;

use self::facts::Facts;
use self::flat::{Flat, Types};
use self::keywords::{Compared, Difference};
use self::sample::Sampler;
use self::semantic::{Algebra, Answer, Canonical};
use self::witness::Trials;
use super::fan_out::Chains;
use super::metered::{Gauge, Metered, MeteredNode};
use super::{Given, JsonSchema};
use crate::meter::Meter;
use crate::stack::with_stack;
use crate::tree::Tree;
use crate::{Break, Compatibility, Limits, SchemaSource};

/// Set operations recurse as deep as both schemas nest, and through references.
const COMPARE_BYTES: usize = 200 << 20;

/// A look at a keyword of two schemas costs as much as so many looks at a value.
const STEPS_PER_LOOK: u64 = 50;

pub(super) fn can_read(
    format: &JsonSchema,
    reader: &SchemaSource<'_>,
    writer: &SchemaSource<'_>,
) -> Result<Compatibility, SeamError> {
    let same_text = reader.text == writer.text && reader.references == writer.references;
    with_stack(COMPARE_BYTES, || {
        let readers = Side::open(format, reader)?;
        if same_text {
            return Ok(Compatibility::Yes);
        }
        let writers = Side::open(format, writer)?;
        let algebra = Canonical {
            asserts_format: format.assert_format,
            max_pattern_bytes: reader.limits.max_pattern_bytes,
        };
        Ok(decide(&readers, &writers, &algebra, reader.limits))
    })?
}

fn decide(reader: &Side, writer: &Side, algebra: &dyn Algebra, limits: &Limits) -> Compatibility {
    let compared =
        keywords::compare(&reader.flat, &writer.flat, limits.max_steps / STEPS_PER_LOOK, limits.max_findings);
    let mut trials = Trials::new(reader, writer);
    if compared.proves() {
        return Compatibility::Yes;
    }
    let mut shown = 0_usize;
    let mut breaks: Vec<Break> = Vec::new();
    for difference in &compared.differences {
        let witness = trials.show(difference);
        shown += usize::from(witness.is_some());
        breaks.push(as_break(difference, witness));
    }
    if shown > 0 {
        return Compatibility::No(breaks);
    }
    let (lost, reason, certain) = match algebra.covers(&reader.flat, &writer.flat) {
        // Another way to say the same is no break.
        Answer::Yes => return Compatibility::Yes,
        Answer::No(lost) => (lost, String::new(), true),
        Answer::Unknown(reason, lost) => (lost, reason, false),
    };
    if let Some(witness) = lost.and_then(|lost| trials.first(of_lost(&lost))) {
        breaks.insert(0, reader.refusal(witness));
        return Compatibility::No(breaks);
    }
    if !certain {
        return Compatibility::Unknown(unknown(&reason, &compared));
    }
    if breaks.is_empty() {
        breaks.push(Break::new(
            "json-schema.narrowed",
            "",
            "documents that the writer's schema accepts are refused; no small one of them was found",
            "accept again what the writer's schema accepts",
        ));
    }
    Compatibility::No(breaks)
}

fn unknown(reason: &str, compared: &Compared) -> String {
    let mut text = reason.to_owned();
    if let Some(unsure) = compared.unsure.as_ref().filter(|unsure| *unsure != reason) {
        text.push_str("; ");
        text.push_str(unsure);
    }
    let possible: Vec<String> = compared
        .differences
        .iter()
        .take(5)
        .map(|difference| format!("{} at {}", difference.rule, difference.path))
        .collect();
    if !possible.is_empty() {
        text.push_str("; possible breaks, for which no document was found: ");
        text.push_str(&possible.join(", "));
    }
    text
}

fn as_break(difference: &Difference, witness: Option<Value>) -> Break {
    let mut message = difference.message.clone();
    if witness.is_none() {
        message.push_str(" (no document was found that shows it)");
    }
    let found = Break::new(
        difference.rule,
        crate::findings::shortened(difference.path.clone()),
        message,
        difference.advice.clone(),
    );
    match witness {
        Some(witness) => found.with_witness(witness),
        None => found,
    }
}

/// Values of the schema that set operations gave, which refers to nothing but itself.
fn of_lost(lost: &Value) -> Vec<Value> {
    let draft = jsonschema::Draft::Draft202012.detect(lost);
    let flat = super::references::registry(draft, &[])
        .and_then(|registry| flat::flatten(lost, &[], draft, true, &registry));
    flat.map_or_else(|_| Vec::new(), |flat| Sampler::new(&flat).samples(&Facts::of(&flat, 0), Types::ALL))
}

/// One of the two schemas.
struct Side {
    flat: Flat,
    validator: jsonschema::Validator<Metered>,
    chains: Chains,
    max_steps: u64,
}

/// Each judgement of a possible witness takes no more steps.
const MAX_STEPS_EACH: u64 = 100_000;

impl Side {
    fn open(format: &JsonSchema, source: &SchemaSource<'_>) -> Result<Self, SeamError> {
        let given = Given::read(source)?;
        let (root, references) = (given.root(), given.references());
        let (validator, chains) = format.compile_here(root, &references, source.limits)?;
        let draft = format.draft_of(root, &references)?;
        let registry = super::references::registry(draft, &references)?;
        let flat = flat::flatten(root, &references, draft, format.assert_format, &registry)?;
        Ok(Self { flat, validator, chains, max_steps: source.limits.max_steps.min(MAX_STEPS_EACH) })
    }

    /// Whether the document is valid; `None` when that takes too much.
    fn accepts(&self, document: &Value) -> Option<bool> {
        let (tree, gauge) = self.gauge(document)?;
        let valid = self.validator.is_valid(MeteredNode::new(&tree, &gauge));
        (!gauge.is_spent()).then_some(valid)
    }

    fn gauge(&self, document: &Value) -> Option<(Tree, Gauge)> {
        let (tree, _) = Tree::of(document, Limits::DEEPEST).ok()?;
        let links = self.chains.longest(tree.depth().saturating_add(2));
        let fits = links.saturating_mul(super::BYTES_PER_LINK) < COMPARE_BYTES / 2;
        fits.then(|| {
            let gauge = Gauge::new(Meter::new(self.max_steps));
            gauge.allow_errors(1000);
            (tree, gauge)
        })
    }

    /// What refuses `witness`, which this schema was seen to refuse.
    fn refusal(&self, witness: Value) -> Break {
        let advice = "accept again what the writer's schema accepts";
        let error = self.gauge(&witness).and_then(|(tree, gauge)| {
            let errors = self.validator.iter_errors(MeteredNode::new(&tree, &gauge));
            let mut errors = errors.filter(super::metered::was_made_in_time);
            let error = errors.next()?;
            let path = error.schema_path().as_str().to_owned();
            Some((error.kind().keyword().to_owned(), path, super::message(&error)))
        });
        let found = match error {
            Some((keyword, path, message)) => Break::new(
                format!("json-schema.refused-by-{keyword}"),
                crate::findings::shortened(path),
                format!("a document that the writer's schema accepts is refused: {message}"),
                advice,
            ),
            None => {
                Break::new("json-schema.narrowed", "", "documents that were accepted are refused", advice)
            }
        };
        found.with_witness(witness)
    }
}
