//! Reads one value, given in Avro's JSON encoding, as a reader would: by the value, and not by the table of pairs, so that what is shown as
//! a break was seen to be one.

use mcp_core::SeamError;
use serde_json::Value;

use super::json::leaf;
use super::resolve::{by_name, is_same_name, may_read, written_field};
use super::schema::{Kind, Schema, TypeId};
use crate::{Findings, Limits};

/// Whether the reader reads what the writer wrote, which is valid by the writer's schema.
pub(super) fn reads(
    reader: &Schema,
    writer: &Schema,
    value: &Value,
    limits: &Limits,
) -> Result<bool, SeamError> {
    let steps = Findings::new(limits);
    Reading { reader, writer, steps }.reads(reader.root, writer.root, value)
}

struct Reading<'a> {
    reader: &'a Schema,
    writer: &'a Schema,
    steps: Findings,
}

impl Reading<'_> {
    /// Recursive: as deep as the value nests.
    fn reads(&self, reader_id: TypeId, writer_id: TypeId, value: &Value) -> Result<bool, SeamError> {
        self.steps.spend(1)?;
        let (read, written) = (self.reader.get(reader_id), self.writer.get(writer_id));
        match (&read.kind, &written.kind, value) {
            (_, Kind::Union(branches), _) => {
                let (label, inner) = match value.as_object().and_then(|members| members.iter().next()) {
                    Some((label, inner)) => (label.as_str(), inner),
                    None => ("null", value),
                };
                let branch = branches.iter().find(|branch| self.writer.get(**branch).label() == label);
                branch.map_or(Ok(false), |branch| self.reads(reader_id, *branch, inner))
            }
            (Kind::Union(branches), _, _) => {
                for branch in branches {
                    if self.reads(*branch, writer_id, value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Kind::Array(items), Kind::Array(written), Value::Array(elements)) => {
                for element in elements {
                    if !self.reads(*items, *written, element)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Kind::Map(values), Kind::Map(written), Value::Object(members)) => {
                for member in members.values() {
                    if !self.reads(*values, *written, member)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Kind::Record(named, fields), Kind::Record(was, written), Value::Object(members)) => {
                let index = by_name(written);
                for field in fields {
                    let found = written_field(field, &index).and_then(|found| written.get(found));
                    let reads = match found {
                        Some(found) => {
                            let member = members.get(&found.name).or(found.default.as_ref());
                            let member = member.unwrap_or(&Value::Null);
                            self.reads(field.type_id, found.type_id, member)?
                        }
                        None => field.default.is_some(),
                    };
                    if !reads {
                        return Ok(false);
                    }
                }
                Ok(is_same_name(named, was))
            }
            (Kind::Enum(named, symbols), Kind::Enum(was, _), Value::String(symbol)) => {
                Ok(is_same_name(named, was)
                    && (symbols.default.is_some() || symbols.symbols.contains(symbol)))
            }
            // Bytes are written as characters of one byte each, so text that is promoted is compared by its logical type alone.
            (Kind::Bytes, Kind::String, _) => Ok(read.logical.is_none()),
            _ => Ok(may_read(read, written) && leaf(read, value, false, &self.steps)?.is_ok()),
        }
    }
}
