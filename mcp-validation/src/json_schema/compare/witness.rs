//! Documents that show a break: made of what may show it, and run through both schemas before they are believed.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::Side;
use super::facts::Facts;
use super::flat::Types;
use super::keywords::{Difference, Place, Step};
use super::sample::Sampler;

/// So many documents are run through the schemas for one comparison.
const MAX_TRIALS: u32 = 20_000;
/// So many documents for one break.
const MAX_TRIALS_EACH: u32 = 48;

/// Looks for documents that the writer's schema accepts and the reader's refuses.
pub(super) struct Trials<'s> {
    reader: &'s Side,
    writer: &'s Side,
    sampler: Sampler<'s>,
    left: u32,
    /// A sample of what stands around, by the address of what is known of it.
    around: BTreeMap<usize, Option<Map<String, Value>>>,
}

impl<'s> Trials<'s> {
    pub(super) fn new(reader: &'s Side, writer: &'s Side) -> Self {
        Self {
            reader,
            writer,
            sampler: Sampler::new(&writer.flat),
            left: MAX_TRIALS,
            around: BTreeMap::new(),
        }
    }

    /// The first document that shows `difference`.
    pub(super) fn show(&mut self, difference: &Difference) -> Option<Value> {
        let mut trials = MAX_TRIALS_EACH;
        for value in &difference.values {
            if trials == 0 {
                return None;
            }
            let Some(document) = self.wrap(value.clone(), &difference.steps) else { continue };
            trials -= 1;
            if self.shows(&document) {
                return Some(document);
            }
        }
        None
    }

    /// The first of `documents` that shows that something is lost.
    pub(super) fn first(&mut self, documents: impl IntoIterator<Item = Value>) -> Option<Value> {
        documents.into_iter().find(|document| self.shows(document))
    }

    /// Whether the writer's schema accepts it and the reader's refuses it.
    pub(super) fn shows(&mut self, document: &Value) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        self.writer.accepts(document) == Some(true) && self.reader.accepts(document) == Some(false)
    }

    /// The whole document with `value` at the end of `steps`.
    fn wrap(&mut self, mut value: Value, steps: &[Step]) -> Option<Value> {
        for step in steps {
            value = match &step.place {
                Place::Member(name) => {
                    let mut around = self.object(&step.around, name)?;
                    around.insert(name.clone(), value);
                    Value::Object(around)
                }
                Place::Name => {
                    let Value::String(name) = value else { return None };
                    let facts = self.settled(&step.around)?;
                    self.sampler.objects_with(&facts, &name).into_iter().next()?
                }
                Place::Element(place) => {
                    let least = u64::try_from(*place).ok()?.saturating_add(1);
                    let arrays = self.sampler.arrays_of(&step.around, least);
                    let mut elements = match arrays.into_iter().next() {
                        Some(Value::Array(elements)) => elements,
                        _ => vec![Value::Null; place.saturating_add(1)],
                    };
                    *elements.get_mut(*place)? = value;
                    Value::Array(elements)
                }
            };
        }
        Some(value)
    }

    /// A sample of the object that `around` tells of, with room for the member `name`.
    fn object(&mut self, around: &Rc<Facts>, name: &str) -> Option<Map<String, Value>> {
        let address = Rc::as_ptr(around).addr();
        if let Some(known) = self.around.get(&address) {
            return known.clone();
        }
        let facts = self.settled(around)?;
        let flat = &self.writer.flat;
        let depends = facts
            .nodes(flat)
            .any(|node| !node.dependent_required.is_empty() || !node.dependent_schemas.is_empty());
        let found = if depends {
            self.sampler.objects_with(&facts, name)
        } else {
            self.sampler.samples(&facts, Types::OBJECT)
        };
        let found = match found.into_iter().next() {
            Some(Value::Object(members)) => Some(members),
            _ => Some(Map::new()),
        };
        if !depends {
            self.around.insert(address, found.clone());
        }
        found
    }

    /// With one way chosen wherever several are open, as a sample of the whole chooses them; `None` where that is no object.
    fn settled(&self, around: &Facts) -> Option<Facts> {
        let flat = &self.writer.flat;
        let mut facts = around.clone();
        while let Some((at, ways)) = facts.split(flat) {
            facts = facts.choose(flat, at, ways.first()?);
        }
        facts.types(flat).meets(Types::OBJECT).then_some(facts)
    }
}
