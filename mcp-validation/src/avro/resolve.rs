//! Whether data written by one schema can be read by another (Avro specification, "Schema Resolution"), with everything that is against it.
//!
//! Pairs of a reader's and a writer's type are rows; a row holds when nothing in it is against it and every row that it needs holds.
//! What refers to itself holds unless something is found: the greatest fixpoint, computed without recursion.

use std::collections::{BTreeMap, BTreeSet};

use mcp_core::SeamError;
use serde_json::Value;

use super::hazard::{Against, hazard};
use super::sample::Step;
use super::schema::{Field, Kind, Named, Schema, Type, TypeId};
use crate::findings::{beginning, shortened};
use crate::{Findings, Limits};

/// What every pair of types comes to.
pub(super) struct Resolution<'a> {
    reader: &'a Schema,
    writer: &'a Schema,
    rows: Vec<Row>,
    of: BTreeMap<(TypeId, TypeId), usize>,
}

pub(super) struct Row {
    pub(super) reader: TypeId,
    pub(super) writer: TypeId,
    pub(super) against: Vec<Against>,
    pub(super) needs: Vec<Need>,
    holds: bool,
}

/// One of these rows must hold.
pub(super) struct Need {
    pub(super) any_of: Vec<usize>,
    /// Down into the reader's schema.
    pub(super) below: Vec<String>,
    /// Down into what is written.
    pub(super) step: Option<Step>,
}

impl<'a> Resolution<'a> {
    /// Compares everything that can meet.
    pub(super) fn new(reader: &'a Schema, writer: &'a Schema, limits: &Limits) -> Result<Self, SeamError> {
        let mut resolution = Self { reader, writer, rows: Vec::new(), of: BTreeMap::new() };
        let steps = Findings::new(limits);
        resolution.row(reader.root, writer.root);
        let mut next = 0;
        while let Some((reader, writer)) = resolution.rows.get(next).map(|row| (row.reader, row.writer)) {
            let (against, needs) = resolution.look(reader, writer, &steps)?;
            if let Some(row) = resolution.rows.get_mut(next) {
                row.holds = against.is_empty();
                row.against = against;
                row.needs = needs;
            }
            next += 1;
        }
        resolution.settle();
        Ok(resolution)
    }

    /// Whether what is written as `writer` can be read as `reader`.
    pub(super) fn holds(&self, reader: TypeId, writer: TypeId) -> bool {
        self.of.get(&(reader, writer)).and_then(|row| self.rows.get(*row)).is_some_and(|row| row.holds)
    }

    pub(super) const fn reader(&self) -> &'a Schema {
        self.reader
    }

    pub(super) const fn writer(&self) -> &'a Schema {
        self.writer
    }

    /// A pair of types; the first is that of the two schemas.
    pub(super) fn get(&self, row: usize) -> Option<&Row> {
        self.rows.get(row)
    }

    /// As which type the reader reads what is written as `writer`, no union: the branch of the same name, else of the same kind, else
    /// the first that it is promoted to.
    pub(super) fn branch(&self, reader: TypeId, writer: TypeId) -> TypeId {
        let Kind::Union(branches) = &self.reader.get(reader).kind else { return reader };
        let written = self.writer.get(writer);
        let readable = || branches.iter().copied().filter(|branch| self.holds(*branch, writer));
        let of_name = readable().find(|branch| self.reader.get(*branch).label() == written.label());
        let of_kind =
            || readable().find(|branch| self.reader.get(*branch).kind.word() == written.kind.word());
        of_name.or_else(of_kind).or_else(|| readable().next()).unwrap_or(reader)
    }

    /// Whether everything can be read.
    pub(super) fn is_readable(&self) -> bool {
        self.holds(self.reader.root, self.writer.root)
    }

    fn row(&mut self, reader: TypeId, writer: TypeId) -> usize {
        let next = self.rows.len();
        let row = *self.of.entry((reader, writer)).or_insert(next);
        if row == next {
            self.rows.push(Row { reader, writer, against: Vec::new(), needs: Vec::new(), holds: true });
        }
        row
    }

    fn look(
        &mut self,
        reader_id: TypeId,
        writer_id: TypeId,
        steps: &Findings,
    ) -> Result<(Vec<Against>, Vec<Need>), SeamError> {
        let (reader, writer) = (self.reader, self.writer);
        let (read, written) = (reader.get(reader_id), writer.get(writer_id));
        steps.spend(1)?;
        let mut needs = Vec::new();
        match (&read.kind, &written.kind) {
            (_, Kind::Union(branches)) => {
                for branch in branches {
                    steps.spend(1)?;
                    let any_of = vec![self.row(reader_id, *branch)];
                    needs.push(Need { any_of, below: Vec::new(), step: Some(Step::Branch(*branch)) });
                }
                return Ok((Vec::new(), needs));
            }
            (Kind::Union(branches), _) => {
                let mut any_of = Vec::new();
                let mut below = Vec::new();
                // A branch of the very type that is written is taken before any that it is promoted to, whatever its logical type.
                let is_same = |branch: &TypeId| {
                    let read = reader.get(*branch);
                    read.named().is_none() && read.kind.word() == written.kind.word()
                };
                let only = branches.iter().position(is_same);
                for (index, branch) in branches.iter().enumerate() {
                    steps.spend(1)?;
                    if only.is_none_or(|only| only == index) && may_read(reader.get(*branch), written) {
                        any_of.push(self.row(*branch, writer_id));
                        below = vec![index.to_string()];
                    }
                }
                if any_of.is_empty() {
                    return Ok((vec![lacks_branch(written)], needs));
                }
                needs.push(Need { any_of, below, step: None });
                return Ok((Vec::new(), needs));
            }
            _ => {}
        }
        let mut against = Vec::new();
        match (&read.kind, &written.kind) {
            (Kind::Array(items), Kind::Array(written)) => {
                let any_of = vec![self.row(*items, *written)];
                needs.push(Need { any_of, below: vec!["items".to_owned()], step: Some(Step::Item) });
            }
            (Kind::Map(values), Kind::Map(written)) => {
                let any_of = vec![self.row(*values, *written)];
                needs.push(Need { any_of, below: vec!["values".to_owned()], step: Some(Step::Value) });
            }
            (Kind::Fixed(named, size), Kind::Fixed(was, written)) => {
                against.extend(renamed(named, was));
                if size != written {
                    against.push(Against {
                        rule: "avro.fixed-size-mismatch",
                        below: "/size".to_owned(),
                        message: format!("{} has {size} bytes, and {written} are written", show(&named.full)),
                        advice: "keep the size of a fixed, or give the new size a type and a field of its own".to_owned(),
                        witness: None,
                        is_witnessed: true,
                    });
                }
            }
            (Kind::Enum(named, symbols), Kind::Enum(was, written)) => {
                against.extend(renamed(named, was));
                if symbols.default.is_none() {
                    let known: BTreeSet<&str> = symbols.symbols.iter().map(String::as_str).collect();
                    steps.spend(written.symbols.len() as u64)?;
                    let missing: Vec<&str> =
                        written.symbols.iter().map(String::as_str).filter(|symbol| !known.contains(symbol)).collect();
                    if let Some(first) = missing.first() {
                        let some: Vec<&str> = missing.iter().take(20).map(|symbol| beginning(symbol)).collect();
                        let more = if missing.len() > 20 { ", …" } else { "" };
                        against.push(Against {
                            rule: "avro.missing-enum-symbol",
                            below: "/symbols".to_owned(),
                            message: format!(
                                "{} lacks symbols that are written: {}{more}",
                                show(&named.full),
                                some.join(", ")
                            ),
                            advice: "keep the symbols, or give the enum a default".to_owned(),
                            witness: Some(Value::from(*first)),
                            is_witnessed: true,
                        });
                    }
                }
            }
            (Kind::Record(named, fields), Kind::Record(was, written)) => {
                against.extend(renamed(named, was));
                steps.spend(fields.len() as u64 + written.len() as u64)?;
                let index = by_name(written);
                for (position, field) in fields.iter().enumerate() {
                    match written_field(field, &index) {
                        Some(found) => {
                            let Some(written) = written.get(found) else { continue };
                            let any_of = vec![self.row(field.type_id, written.type_id)];
                            let below = vec!["fields".to_owned(), position.to_string(), "type".to_owned()];
                            needs.push(Need { any_of, below, step: Some(Step::Field(writer_id, found)) });
                        }
                        None if field.default.is_none() => against.push(Against {
                            rule: "avro.reader-field-missing-default",
                            below: format!("/fields/{position}"),
                            message: format!(
                                "{} has the field {}, which is not written and has no default",
                                show(&named.full),
                                show(&field.name)
                            ),
                            advice: "give the field a default, or an alias of the name that it is written under".to_owned(),
                            witness: None,
                            is_witnessed: true,
                        }),
                        None => {}
                    }
                }
            }
            _ if !may_read(read, written) => against.push(Against {
                rule: "avro.type-mismatch",
                below: String::new(),
                message: format!("{} is read where {} is written", show(read.label()), show(written.label())),
                advice: "keep the type, change it to one that the specification promotes it to, or read a union of both".to_owned(),
                witness: None,
                is_witnessed: true,
            }),
            _ => {}
        }
        if may_read(read, written) {
            against.extend(hazard(read, written));
        }
        Ok((against, needs))
    }

    /// Takes away what needs something that does not hold, until nothing changes.
    fn settle(&mut self) {
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); self.rows.len()];
        for (row, entry) in self.rows.iter().enumerate() {
            for needed in entry.needs.iter().flat_map(|need| &need.any_of) {
                if let Some(needed_by) = needed_by.get_mut(*needed) {
                    needed_by.push(row);
                }
            }
        }
        let fallen = self.rows.iter().enumerate().filter(|(_, row)| !row.holds).map(|(row, _)| row);
        let mut fallen: Vec<usize> = fallen.collect();
        while let Some(row) = fallen.pop() {
            for above in needed_by.get(row).into_iter().flatten() {
                let falls = self
                    .rows
                    .get(*above)
                    .is_some_and(|entry| entry.holds && entry.needs.iter().any(|need| !self.is_met(need)));
                if falls && let Some(entry) = self.rows.get_mut(*above) {
                    entry.holds = false;
                    fallen.push(*above);
                }
            }
        }
    }

    pub(super) fn is_met(&self, need: &Need) -> bool {
        need.any_of.iter().any(|row| self.rows.get(*row).is_some_and(|row| row.holds))
    }
}

fn show(name: &str) -> String {
    shortened(name.to_owned())
}

pub(super) fn lacks_branch(written: &Type) -> Against {
    Against {
        rule: "avro.missing-union-branch",
        below: String::new(),
        message: format!("none of the union's types reads {}, which is written", show(written.label())),
        advice: "keep the branch, or add one that it is promoted to".to_owned(),
        witness: None,
        is_witnessed: true,
    }
}

fn renamed(read: &Named, written: &Named) -> Option<Against> {
    (!is_same_name(read, written)).then(|| Against {
        rule: "avro.name-mismatch",
        below: "/name".to_owned(),
        message: format!("{} is read where {} is written", show(&read.full), show(&written.full)),
        advice: "keep the name, or add the name that is written to the aliases".to_owned(),
        witness: None,
        is_witnessed: true,
    })
}

/// The names without namespaces are the same, or the reader knows the writer's name as an alias. A union tells types apart by their
/// full names, but reads what is written as its only branch of that name.
pub(super) fn is_same_name(read: &Named, written: &Named) -> bool {
    read.short() == written.short() || read.aliases.contains(&written.full)
}

/// Whether values of one type are read as the other, as far as can be seen without looking inside.
pub(super) fn may_read(read: &Type, written: &Type) -> bool {
    match (&read.kind, &written.kind) {
        (Kind::Long, Kind::Int)
        | (Kind::Float, Kind::Int | Kind::Long)
        | (Kind::Double, Kind::Int | Kind::Long | Kind::Float)
        | (Kind::Bytes, Kind::String)
        | (Kind::String, Kind::Bytes) => true,
        (read_kind, written_kind) => match (read.named(), written.named()) {
            (Some(read), Some(written)) => {
                read_kind.word() == written_kind.word() && is_same_name(read, written)
            }
            _ => read_kind.word() == written_kind.word(),
        },
    }
}

/// The places of a writer's fields.
pub(super) fn by_name(fields: &[Field]) -> BTreeMap<&str, usize> {
    fields.iter().enumerate().map(|(index, field)| (field.name.as_str(), index)).collect()
}

/// Which of the writer's fields the reader's field takes its values from.
pub(super) fn written_field(field: &Field, written: &BTreeMap<&str, usize>) -> Option<usize> {
    let by_alias = || field.aliases.iter().find_map(|alias| written.get(alias.as_str()));
    written.get(field.name.as_str()).or_else(by_alias).copied()
}
