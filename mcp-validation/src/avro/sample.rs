//! Small values of a schema, in Avro's JSON encoding, to show what a reader does not read.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::judgement::latin;
use super::logical::Logical;
use super::schema::{Kind, Schema, TypeId};

/// One step down into what is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Into the field of this record at this place.
    Field(TypeId, usize),
    Item,
    Value,
    /// Into this branch of a union.
    Branch(TypeId),
}

/// A value deeper than this is not shown.
pub(super) const DEEPEST: u32 = 60;
/// Nor one of more parts.
const MOST_PARTS: u32 = 10_000;

pub(super) struct Samples<'a> {
    schema: &'a Schema,
    /// How deep the flattest value of each type is; none where every value would be deeper than [`DEEPEST`].
    heights: Vec<Option<u32>>,
}

impl<'a> Samples<'a> {
    pub(super) fn of(schema: &'a Schema) -> Self {
        let mut samples = Self { schema, heights: vec![None; schema.types.len()] };
        for _ in 0..=DEEPEST {
            let heights: Vec<Option<u32>> = (0..schema.types.len())
                .map(|id| samples.height(id).filter(|height| *height <= DEEPEST))
                .collect();
            if heights == samples.heights {
                break;
            }
            samples.heights = heights;
        }
        samples
    }

    fn known(&self, id: TypeId) -> Option<u32> {
        self.heights.get(id).copied().flatten()
    }

    fn height(&self, id: TypeId) -> Option<u32> {
        match &self.schema.get(id).kind {
            Kind::Record(_, fields) => {
                let mut deepest = 0;
                for field in fields {
                    deepest = deepest.max(self.known(field.type_id)?);
                }
                Some(deepest + 1)
            }
            Kind::Union(branches) => Some(1 + self.known(self.flattest(branches)?)?),
            Kind::Enum(_, symbols) => symbols.symbols.first().map(|_| 0),
            _ => Some(0),
        }
    }

    fn flattest(&self, branches: &[TypeId]) -> Option<TypeId> {
        let known = branches.iter().filter_map(|branch| Some((self.known(*branch)?, *branch)));
        known.min_by_key(|(height, _)| *height).map(|(_, branch)| branch)
    }

    /// A small value of this type.
    pub(super) fn value(&self, id: TypeId) -> Option<Value> {
        self.part(id, &Cell::new(MOST_PARTS))
    }

    /// Recursive: no deeper than the type's height.
    fn part(&self, id: TypeId, left: &Cell<u32>) -> Option<Value> {
        self.known(id)?;
        left.set(left.get().checked_sub(1)?);
        let found = self.schema.get(id);
        Some(match &found.kind {
            Kind::Null => Value::Null,
            Kind::Boolean => Value::Bool(false),
            Kind::Int | Kind::Long => Value::from(0),
            Kind::Float | Kind::Double => Value::from(0.5),
            Kind::String if found.logical == Some(Logical::Uuid) => {
                Value::from("00000000-0000-4000-8000-000000000000")
            }
            Kind::String => Value::from("a"),
            // The unscaled integer 0 in one byte, behind its length, and the scale 0.
            Kind::Bytes if found.logical == Some(Logical::BigDecimal) => Value::from(latin(&[2, 0, 0])),
            Kind::Bytes => Value::from(latin(&[0])),
            Kind::Fixed(_, size) => {
                left.set(left.get().checked_sub(u32::try_from(*size).ok()?)?);
                Value::from(latin(&vec![0; *size]))
            }
            Kind::Enum(_, symbols) => Value::from(symbols.symbols.first()?.as_str()),
            Kind::Array(_) => Value::Array(Vec::new()),
            Kind::Map(_) => Value::Object(Map::new()),
            Kind::Union(branches) => {
                let branch = self.flattest(branches)?;
                self.tagged(branch, self.part(branch, left)?)
            }
            Kind::Record(_, fields) => {
                let mut members = Map::new();
                for field in fields {
                    members.insert(field.name.clone(), self.part(field.type_id, left)?);
                }
                Value::Object(members)
            }
        })
    }

    fn tagged(&self, branch: TypeId, value: Value) -> Value {
        let found = self.schema.get(branch);
        match found.kind {
            Kind::Null => Value::Null,
            _ => Value::Object(Map::from_iter([(found.label().to_owned(), value)])),
        }
    }

    /// A small value that has `value` where the step leads.
    pub(super) fn around(&self, value: Value, step: Step) -> Option<Value> {
        Some(match step {
            Step::Item => Value::Array(vec![value]),
            Step::Value => Value::Object(Map::from_iter([("key".to_owned(), value)])),
            Step::Branch(branch) => self.tagged(branch, value),
            Step::Field(record, position) => {
                let Kind::Record(_, fields) = &self.schema.get(record).kind else { return None };
                let left = Cell::new(MOST_PARTS);
                let mut members = Map::new();
                let others = fields.iter().enumerate().filter(|(index, _)| *index != position);
                for (_, field) in others {
                    members.insert(field.name.clone(), self.part(field.type_id, &left)?);
                }
                members.insert(fields.get(position)?.name.clone(), value);
                Value::Object(members)
            }
        })
    }
}
