//! What reading a document needs, whichever encoding it has: where we are, what was seen, what may still be spent.

use mcp_core::{ErrorKind, Finding, SeamError, Severity};
use serde_json::Value;

use super::schema::{Field, Message, Schema};
use crate::findings::Findings;
use crate::pointer::push_segment;

/// One document while it is read.
pub(super) struct Reading<'s, 'f> {
    pub(super) schema: &'s Schema,
    pub(super) findings: &'f mut Findings,
    /// What the schema does not know is an error.
    pub(super) refuses_unknown: bool,
    /// Messages inside one another.
    pub(super) max_depth: usize,
    path: String,
    bytes_left: u64,
    is_broken: bool,
}

/// What was read may take so many times the bytes that a document may have, and `FLAT_BYTES`. A message of 4 bytes takes 200 times as
/// many, and repeats names of any length.
const BYTES_PER_BYTE: u64 = 32;
const FLAT_BYTES: u64 = 4 << 20;
/// About what a value takes beside its text.
const VALUE_BYTES: u64 = 64;
/// About what an object with a first member takes.
pub(super) const OBJECT_BYTES: usize = 640;

impl<'s, 'f> Reading<'s, 'f> {
    pub(super) const fn new(
        schema: &'s Schema,
        findings: &'f mut Findings,
        refuses_unknown: bool,
        max_depth: usize,
        max_document_bytes: u64,
    ) -> Self {
        let bytes_left = max_document_bytes.saturating_mul(BYTES_PER_BYTE).saturating_add(FLAT_BYTES);
        Self {
            schema,
            findings,
            refuses_unknown,
            max_depth,
            path: String::new(),
            bytes_left,
            is_broken: false,
        }
    }

    /// Calls `work` one step further down.
    pub(super) fn at<T>(&mut self, segment: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        push_segment(&mut self.path, segment);
        let done = work(self);
        self.path.truncate(before);
        done
    }

    /// The same for an element of a list.
    pub(super) fn at_index<T>(&mut self, index: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        self.at(&index.to_string(), work)
    }

    pub(super) fn error(&mut self, code: &'static str, message: impl Into<String>, value: Option<&Value>) {
        self.findings.error(code, self.path.clone(), message, value);
    }

    /// Notes that from here on nothing can be made of the document.
    pub(super) const fn break_off(&mut self) {
        self.is_broken = true;
    }

    /// Whether what was read is not worth being looked at.
    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    pub(super) fn note(&mut self, severity: Severity, code: &'static str, message: impl Into<String>) {
        self.findings.add(Finding::new(severity, code, self.path.clone(), message));
    }

    /// One step, and one for every 64 bytes.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), SeamError> {
        self.findings.spend(crate::meter::text_steps(bytes))
    }

    /// Pays for a value with `bytes` of text.
    pub(super) fn pay(&mut self, bytes: usize) -> Result<(), SeamError> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(VALUE_BYTES);
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or_else(|| {
            SeamError::new(
                ErrorKind::Exhausted,
                format!(
                    "read a Protobuf document: in memory it takes more than {BYTES_PER_BYTE} times what a document may have, raise max_document_bytes or send less"
                ),
            )
        })?;
        Ok(())
    }

    pub(super) fn check_depth(&self, depth: usize) -> Result<(), SeamError> {
        if depth <= self.max_depth { Ok(()) } else { Err(self.too_deep()) }
    }

    pub(super) fn too_deep(&self) -> SeamError {
        SeamError::new(
            ErrorKind::Exhausted,
            format!(
                "read a Protobuf document whose messages are nested more than {} deep: raise max_depth (at most 127)",
                self.max_depth
            ),
        )
    }

    /// Tells every required field that `is_there` does not see.
    pub(super) fn check_required(
        &mut self,
        message: &Message,
        is_there: impl Fn(&Field) -> bool,
    ) -> Result<(), SeamError> {
        self.findings.spend(u64::try_from(message.required.len()).unwrap_or(u64::MAX))?;
        for field in message.required.iter().filter_map(|number| message.fields.get(number)) {
            if !is_there(field) {
                self.error(
                    "protobuf.required",
                    format!("the field {} is missing, which {} requires", field.name, message.name),
                    None,
                );
            }
        }
        Ok(())
    }
}
