//! Reads JSON by an Avro schema: Avro's own encoding, which tags the values of unions, and the plain form, which does not.

use std::collections::BTreeMap;

use mcp_core::SeamError;
use serde_json::{Map, Number, Value};

use super::judgement::{Judgement, Segment, double, float};
use super::schema::{Field, Kind, Schema, Type, TypeId};
use crate::{Findings, Limits};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A value of a union other than null stands in an object whose one key names its type.
    Spec,
    /// A value of a union is that of the first branch that it fits.
    Plain,
}

/// What is wrong with one value: a code and a message.
type Fault = (&'static str, String);

/// Where a value stands in memory, by which type it is read, and how strictly.
type Trial = (usize, TypeId, bool);

pub(super) struct Reader<'a, 'j> {
    schema: &'a Schema,
    form: Form,
    judgement: &'j mut Judgement<'a>,
    /// Whether a value fits a type: asked many times where unions nest.
    tried: BTreeMap<Trial, bool>,
}

/// What is wrong with a default, if anything. Defaults are written in the plain form.
pub(super) fn default_fault(
    schema: &Schema,
    id: TypeId,
    default: &Value,
    limits: &Limits,
) -> Result<Option<String>, SeamError> {
    let mut findings = Findings::new(limits);
    let mut judgement = Judgement::new(&mut findings, limits);
    let mut reader = Reader::new(schema, Form::Plain, &mut judgement);
    if reader.fits(id, default, false)? {
        return Ok(None);
    }
    let expected = schema.get(id).label();
    Ok(Some(format!("it is no value of the type {}", crate::findings::shortened(expected.to_owned()))))
}

impl<'a, 'j> Reader<'a, 'j> {
    pub(super) const fn new(schema: &'a Schema, form: Form, judgement: &'j mut Judgement<'a>) -> Self {
        Self { schema, form, judgement, tried: BTreeMap::new() }
    }

    /// The document as the plain form has it, with defaults in place of what is missing. What is told to be wrong stands there as it
    /// was.
    pub(super) fn document(&mut self, value: &'a Value) -> Result<Value, SeamError> {
        self.read(self.schema.root, value, 0)
    }

    /// A default, which is written in the plain form, `depth` arrays and objects deep.
    pub(super) fn default(
        &mut self,
        id: TypeId,
        default: &'a Value,
        depth: usize,
    ) -> Result<Value, SeamError> {
        let form = std::mem::replace(&mut self.form, Form::Plain);
        let view = self.read(id, default, depth);
        self.form = form;
        view
    }

    /// Recursive: every level but that of a union is a level of the document or of its defaults, and their depth is counted.
    fn read(&mut self, id: TypeId, value: &'a Value, depth: usize) -> Result<Value, SeamError> {
        let schema = self.schema;
        let found = schema.get(id);
        match (&found.kind, value) {
            (Kind::Union(branches), _) => match self.form {
                Form::Spec => self.tagged(branches, value, depth),
                Form::Plain => self.untagged(branches, value, depth),
            },
            (Kind::Array(items), Value::Array(elements)) => {
                self.judgement.value(1, depth + 1)?;
                let mut view = Vec::with_capacity(elements.len());
                for (index, element) in elements.iter().enumerate() {
                    self.judgement.enter(Segment::Index(index));
                    view.push(self.read(*items, element, depth + 1)?);
                    self.judgement.leave();
                    if self.judgement.is_decided() {
                        break;
                    }
                }
                Ok(Value::Array(view))
            }
            (Kind::Map(values), Value::Object(members)) => {
                self.judgement.value(1, depth + 1)?;
                let mut view = Map::new();
                for (key, member) in members {
                    self.judgement.grow(key.len() + 3)?;
                    self.judgement.enter_key(key);
                    view.insert(key.clone(), self.read(*values, member, depth + 1)?);
                    self.judgement.leave();
                }
                Ok(Value::Object(view))
            }
            (Kind::Record(_, fields), Value::Object(members)) => self.record(fields, members, depth + 1),
            _ => {
                self.judgement.value(leaf_bytes(value), depth)?;
                match leaf(found, value, false, self.judgement.findings())? {
                    Ok(view) => Ok(view),
                    Err((code, message)) => {
                        self.judgement.tell(code, message, Some(value))?;
                        Ok(value.clone())
                    }
                }
            }
        }
    }

    fn record(
        &mut self,
        fields: &'a [Field],
        members: &'a Map<String, Value>,
        depth: usize,
    ) -> Result<Value, SeamError> {
        self.judgement.value(1, depth)?;
        let mut view = Map::new();
        for field in fields {
            self.judgement.grow(field.name.len() + 3)?;
            self.judgement.enter_key(&field.name);
            if let Some(member) = members.get(&field.name) {
                view.insert(field.name.clone(), self.read(field.type_id, member, depth)?);
            } else if let Some(default) = &field.default {
                view.insert(field.name.clone(), self.default(field.type_id, default, depth)?);
            } else {
                self.judgement.value(0, depth)?;
                self.judgement.tell(
                    "avro.missing-field",
                    "this field is missing and has no default",
                    None,
                )?;
            }
            self.judgement.leave();
            if self.judgement.is_decided() {
                return Ok(Value::Object(view));
            }
        }
        for (key, member) in members.iter().filter(|(key, _)| !view.contains_key(*key)) {
            self.judgement.enter_key(key);
            self.judgement.value(0, depth)?;
            self.judgement.tell(
                "avro.unknown-field",
                "the schema has no field of this name",
                Some(member),
            )?;
            self.judgement.leave();
        }
        Ok(Value::Object(view))
    }

    /// Null, or an object whose one key is the name of a branch.
    fn tagged(&mut self, branches: &'a [TypeId], value: &'a Value, depth: usize) -> Result<Value, SeamError> {
        let schema = self.schema;
        let named =
            |label: &str| branches.iter().copied().find(|branch| schema.get(*branch).label() == label);
        match value {
            Value::Null if named("null").is_some() => {
                self.judgement.value(4, depth)?;
                return Ok(Value::Null);
            }
            Value::Object(members) if members.len() == 1 => {
                if let Some((label, inner)) = members.iter().next()
                    && let Some(branch) = named(label).filter(|_| label != "null")
                {
                    self.judgement.enter_key(label);
                    let view = self.read(branch, inner, depth)?;
                    self.judgement.leave();
                    return Ok(view);
                }
            }
            _ => {}
        }
        let message = format!(
            "a value of a union is null or an object with the name of its type as its one key: {}",
            self.labels(branches)
        );
        self.no_branch(message, value, depth)
    }

    fn untagged(
        &mut self,
        branches: &'a [TypeId],
        value: &'a Value,
        depth: usize,
    ) -> Result<Value, SeamError> {
        for strict in [true, false] {
            for branch in branches {
                if self.fits(*branch, value, strict)? {
                    return self.read(*branch, value, depth);
                }
            }
        }
        // Where only one branch can be meant, what is wrong stands below it.
        let schema = self.schema;
        let mut meant = branches.iter().filter(|branch| is_alike(&schema.get(**branch).kind, value));
        if let (Some(branch), None) = (meant.next(), meant.next()) {
            return self.read(*branch, value, depth);
        }
        let message = format!("this is of none of the union's types: {}", self.labels(branches));
        self.no_branch(message, value, depth)
    }

    fn no_branch(&mut self, message: String, value: &Value, depth: usize) -> Result<Value, SeamError> {
        self.judgement.value(leaf_bytes(value), depth)?;
        self.judgement.tell("avro.union-branch", message, Some(value))?;
        Ok(value.clone())
    }

    fn labels(&self, branches: &[TypeId]) -> String {
        let labels: Vec<&str> = branches
            .iter()
            .take(20)
            .map(|branch| crate::findings::beginning(self.schema.get(*branch).label()))
            .collect();
        let more = if branches.len() > 20 { ", …" } else { "" };
        labels.join(", ") + more
    }

    /// Whether the value is one of this type in the plain form. Strictly: numbers are written as what they are. Recursive: as deep as
    /// the value nests.
    fn fits(&mut self, id: TypeId, value: &Value, strict: bool) -> Result<bool, SeamError> {
        let schema = self.schema;
        let found = schema.get(id);
        self.judgement.findings().spend(1)?;
        let key = (std::ptr::from_ref(value).addr(), id, strict);
        let outcome = match (&found.kind, value) {
            (Kind::Union(branches), _) => {
                for branch in branches {
                    if self.fits(*branch, value, strict)? {
                        return Ok(true);
                    }
                }
                false
            }
            (Kind::Array(_) | Kind::Map(_) | Kind::Record(..), _) if self.tried.contains_key(&key) => {
                return Ok(self.tried.get(&key).copied().unwrap_or_default());
            }
            (Kind::Array(items), Value::Array(elements)) => {
                let mut all = true;
                for element in elements {
                    all = all && self.fits(*items, element, strict)?;
                }
                all
            }
            (Kind::Map(values), Value::Object(members)) => {
                let mut all = true;
                for member in members.values() {
                    all = all && self.fits(*values, member, strict)?;
                }
                all
            }
            (Kind::Record(_, fields), Value::Object(members)) => self.fields_fit(fields, members, strict)?,
            _ => return Ok(leaf(found, value, strict, self.judgement.findings())?.is_ok()),
        };
        self.tried.insert(key, outcome);
        Ok(outcome)
    }

    fn fields_fit(
        &mut self,
        fields: &[Field],
        members: &Map<String, Value>,
        strict: bool,
    ) -> Result<bool, SeamError> {
        let mut taken = 0;
        for field in fields {
            self.judgement.findings().spend(1)?;
            match members.get(&field.name) {
                Some(member) => {
                    if !self.fits(field.type_id, member, strict)? {
                        return Ok(false);
                    }
                    taken += 1;
                }
                None if field.default.is_none() => return Ok(false),
                None => {}
            }
        }
        Ok(taken == members.len())
    }
}

/// Whether what is written looks like a value of this kind, so that a fault lies inside it.
const fn is_alike(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Null => matches!(value, Value::Null),
        Kind::Boolean => matches!(value, Value::Bool(_)),
        Kind::Int | Kind::Long | Kind::Float | Kind::Double => matches!(value, Value::Number(_)),
        Kind::Bytes | Kind::String | Kind::Fixed(..) | Kind::Enum(..) => matches!(value, Value::String(_)),
        Kind::Array(_) => matches!(value, Value::Array(_)),
        Kind::Map(_) | Kind::Record(..) => matches!(value, Value::Object(_)),
        Kind::Union(_) => false,
    }
}

fn leaf_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Number(_) => 1,
        _ => 4,
    }
}

const fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A value without others inside, as the plain form has it.
pub(super) fn leaf(
    found: &Type,
    value: &Value,
    strict: bool,
    findings: &Findings,
) -> Result<Result<Value, Fault>, SeamError> {
    let logical = found.logical;
    let meant = |reason: Option<&'static str>, view: Value| match reason {
        Some(reason) => Err(("avro.logical-type", reason.to_owned())),
        None => Ok(view),
    };
    Ok(match (&found.kind, value) {
        (Kind::Null, Value::Null) | (Kind::Boolean, Value::Bool(_)) => Ok(value.clone()),
        (kind @ (Kind::Int | Kind::Long), Value::Number(number)) => match integer(number, strict) {
            Some(integer) if matches!(kind, Kind::Int) && i32::try_from(integer).is_err() => {
                Err(("avro.range", "an int has 32 bits, and this number needs more".to_owned()))
            }
            Some(integer) => {
                meant(logical.and_then(|logical| logical.integer_fault(integer)), Value::from(integer))
            }
            None if number.as_f64().is_some_and(|number| number.fract() == 0.0) && !strict => {
                Err(("avro.range", "a long has 64 bits, and this number needs more".to_owned()))
            }
            None => Err(("avro.type", format!("expected {}, found a number with a fraction", kind.word()))),
        },
        (kind @ (Kind::Float | Kind::Double), Value::Number(number)) => real(kind, number, strict),
        (Kind::Float | Kind::Double, Value::String(text)) if !strict && is_no_number(text) => {
            Ok(value.clone())
        }
        (Kind::String, Value::String(text)) => {
            meant(logical.and_then(|logical| logical.text_fault(text)), value.clone())
        }
        (kind @ (Kind::Bytes | Kind::Fixed(..)), Value::String(text)) => {
            findings.spend(crate::meter::text_steps(text.len()))?;
            let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
            match (kind, bytes) {
                (_, Err(_)) => Err((
                    "avro.bytes",
                    "bytes are written as characters from U+0000 to U+00FF, and one is beyond".to_owned(),
                )),
                (Kind::Fixed(_, size), Ok(bytes)) if bytes.len() != *size => {
                    Err(("avro.fixed-size", format!("expected {size} bytes, found {}", bytes.len())))
                }
                (_, Ok(bytes)) => {
                    let reason = match logical {
                        Some(logical) => logical.bytes_fault(&bytes, findings)?,
                        None => None,
                    };
                    reason.map_or_else(|| Ok(value.clone()), |reason| Err(("avro.logical-type", reason)))
                }
            }
        }
        (Kind::Enum(_, symbols), Value::String(text)) => {
            findings.spend(symbols.symbols.len() as u64 / 64)?;
            if symbols.symbols.contains(text) {
                Ok(value.clone())
            } else {
                Err(("avro.symbol", format!("this is none of the enum's {} symbols", symbols.symbols.len())))
            }
        }
        (kind, value) => Err(("avro.type", format!("expected {}, found {}", kind.word(), what(value)))),
    })
}

/// An integer, also one that is written with a fraction of nothing, unless strictly.
fn integer(number: &Number, strict: bool) -> Option<i64> {
    if let Some(integer) = number.as_i64() {
        return Some(integer);
    }
    if strict || number.as_u64().is_some() {
        return None;
    }
    let float =
        number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0)?;
    #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is below 2^53")]
    Some(float as i64)
}

fn real(kind: &Kind, number: &Number, strict: bool) -> Result<Value, Fault> {
    let Some(value) = number.as_f64().filter(|value| value.is_finite()) else {
        return Err(("avro.range", format!("this number is beyond a {}", kind.word())));
    };
    let written_as_integer = number.as_i64().is_some() || number.as_u64().is_some();
    if !matches!(kind, Kind::Float) {
        return if strict && written_as_integer {
            Err(("avro.type", "this is written as an integer".to_owned()))
        } else {
            Ok(double(value))
        };
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding is what a float does; what is beyond is refused"
    )]
    let single = value as f32;
    let view = float(single);
    if !single.is_finite() {
        return Err(("avro.range", "this number is beyond a float".to_owned()));
    }
    if strict && (written_as_integer || view.as_f64() != Some(value)) {
        return Err(("avro.type", "this number is no float".to_owned()));
    }
    Ok(view)
}

/// How Java's encoder writes what is no number in JSON.
fn is_no_number(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity")
}
