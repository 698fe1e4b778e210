//! Schemas that are JSON text, read within limits.

use mcp_core::{ErrorKind, SeamError};
use serde_json::Value;

use crate::document::{Read, Unread};
use crate::{Document, Limits};

/// Parses a schema or a document that it refers to, within limits, and without keys that stand twice.
pub(crate) fn read(text: &str, what: &str, limits: &Limits) -> Result<Document, SeamError> {
    let refuse = |kind, reason: String| Err(SeamError::new(kind, format!("read {what}: {reason}")));
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if bytes > limits.max_schema_bytes {
        let reason = format!(
            "it has {bytes} bytes, at most {} are allowed, raise max_schema_bytes",
            limits.max_schema_bytes
        );
        return refuse(ErrorKind::Exhausted, reason);
    }
    let document = Document::json(text.to_owned());
    let sized = Limits { max_document_bytes: limits.max_schema_bytes, ..limits.clone() };
    if document.check(&sized).is_err() {
        let reason =
            format!("it is nested more than {} deep, raise max_depth (at most 127)", limits.max_depth);
        return refuse(ErrorKind::Exhausted, reason);
    }
    match document.read() {
        Err(Unread::NotJson { reason, .. }) => {
            refuse(ErrorKind::Invalid, format!("it is not JSON: {reason}"))?;
        }
        Ok(Read { duplicates, .. }) => {
            if let Some(path) = duplicates.first() {
                let reason = format!("the key at {path} stands more than once in its object");
                refuse(ErrorKind::Invalid, reason)?;
            }
        }
        Err(_) => {}
    }
    Ok(document)
}

/// The value of a document that was read before.
pub(crate) fn value_of(document: &Document) -> &Value {
    document.value().unwrap_or(&Value::Null)
}
