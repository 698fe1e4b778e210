//! What all readers of documents share: where they are, what they tell, and what they may still spend.

use std::borrow::Cow;

use mcp_core::{ErrorKind, SeamError};
use serde_json::{Number, Value};

use crate::findings::beginning;
use crate::meter::text_steps;
use crate::pointer::push_segment;
use crate::{Findings, Limits};

/// One step down into the document.
#[derive(Clone, Debug)]
pub(super) enum Segment<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

/// One judgement of one document.
pub(super) struct Judgement<'a> {
    findings: &'a mut Findings,
    limits: &'a Limits,
    place: Vec<Segment<'a>>,
    /// What the decoded value would take as compact JSON at least so far: a number counts as one digit, an outermost array or object as one
    /// byte more than it has. So what was read from JSON takes no more than its text, but for defaults.
    view_bytes: u64,
}

impl<'a> Judgement<'a> {
    pub(super) const fn new(findings: &'a mut Findings, limits: &'a Limits) -> Self {
        Self { findings, limits, place: Vec::new(), view_bytes: 0 }
    }

    pub(super) const fn limits(&self) -> &'a Limits {
        self.limits
    }

    pub(super) const fn findings(&self) -> &Findings {
        self.findings
    }

    pub(super) fn enter(&mut self, segment: Segment<'a>) {
        self.place.push(segment);
    }

    pub(super) fn enter_key(&mut self, key: &'a str) {
        self.enter(Segment::Key(Cow::Borrowed(key)));
    }

    pub(super) fn leave(&mut self) {
        self.place.pop();
    }

    /// Notes an error about what stands here.
    pub(super) fn tell(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        value: Option<&Value>,
    ) -> Result<(), SeamError> {
        let mut path = String::new();
        for segment in &self.place {
            match segment {
                Segment::Key(key) => push_segment(&mut path, beginning(key)),
                Segment::Index(index) => push_segment(&mut path, &index.to_string()),
            }
        }
        self.findings.spend(text_steps(path.len()))?;
        self.findings.error(code, path, message, value);
        Ok(())
    }

    /// Whether nothing more needs to be found.
    pub(super) const fn is_decided(&self) -> bool {
        self.findings.is_decided()
    }

    /// Takes the steps and the room of one value with `bytes` of its own, `depth` arrays and objects deep.
    pub(super) fn value(&mut self, bytes: usize, depth: usize) -> Result<(), SeamError> {
        if depth > self.limits.max_depth {
            return Err(SeamError::new(
                ErrorKind::Exhausted,
                format!(
                    "decode an Avro document nested more than {} deep: raise max_depth (at most 127) or flatten the document",
                    self.limits.max_depth
                ),
            ));
        }
        self.findings.spend(text_steps(bytes))?;
        self.grow(bytes.saturating_add(1))
    }

    /// Takes room of the decoded value. Few bytes can say much: a block of nulls has none of its own.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), SeamError> {
        self.view_bytes = self.view_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.view_bytes > self.limits.max_document_bytes.saturating_add(1) {
            return Err(SeamError::new(
                ErrorKind::Exhausted,
                format!(
                    "decode an Avro document to no more than {} bytes of JSON: raise max_document_bytes or send less",
                    self.limits.max_document_bytes
                ),
            ));
        }
        Ok(())
    }
}

/// A double as JSON: what is no number there is text, as Java's encoder writes it.
pub(super) fn double(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => Value::from("NaN"),
        None if value > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}

/// A float as JSON: the shortest decimal that reads back as it, not the binary fraction that it is.
pub(super) fn float(value: f32) -> Value {
    double(if value.is_finite() {
        value.to_string().parse().unwrap_or_else(|_| value.into())
    } else {
        value.into()
    })
}

/// Bytes as JSON: a character for each, U+0000 to U+00FF.
pub(super) fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
