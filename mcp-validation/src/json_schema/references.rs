//! What a schema may refer to, and what stands in the place of all that was not given.
//!
//! The crate looks for everything that any document names before it compiles anything. Whoever gives a whole collection with each of its
//! schemas gives documents that lack something, are of a draft that is not known, or are no schema; that matters only where a schema
//! leads there. So what is missing is a text that is no schema, and compiling it is what fails.

use std::collections::BTreeMap;
use std::fmt;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, Registry, Retrieve, Uri, ValidationError as SchemaError};
use mcp_core::{ErrorKind, SeamError};
use referencing::{RegistryBuilder, ResourceRef};
use serde_json::Value;

use super::bounded;

/// Stands for each document that was not given. Nothing is fetched.
pub(super) struct Absent;

/// How such a document begins; its URI follows.
const ABSENT: &str = "mcp-validation: nothing was given under this URI: ";

impl Retrieve for Absent {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Value::String(format!("{ABSENT}{uri}")))
    }
}

/// The draft that a schema's `$schema` names, else 2020-12. A meta-schema of somebody's own is of the draft that its own names.
pub(super) fn draft_of(root: &Value, references: &[(&str, &Value)]) -> Result<Draft, SeamError> {
    let mut schema = root;
    // Each names another, so more of them than there are go in a circle.
    for _ in 0..=references.len() {
        let draft = Draft::Draft202012.detect(schema);
        if draft != Draft::Unknown {
            return Ok(draft);
        }
        let named = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let plain = named.trim_end_matches('#');
        let is_named = |uri: &str| uri.trim_end_matches('#') == plain;
        let found = references.iter().find(|(uri, document)| {
            is_named(uri) || document.get("$id").and_then(Value::as_str).is_some_and(is_named)
        });
        let Some((_, found)) = found else {
            let named = crate::findings::shortened(named.to_owned());
            return Err(broken_reference(&format_args!(
                "nothing was given under {named}, which $schema names"
            )));
        };
        schema = found;
    }
    Err(broken_reference(&"the meta-schemas that $schema names go in a circle"))
}

/// The documents that a schema of `draft` may refer to. One that cannot be used at all is left out, unless it is all that is wrong with
/// its name.
pub(super) fn registry<'a>(
    draft: Draft,
    references: &[(&str, &'a Value)],
) -> Result<Registry<'a>, SeamError> {
    let given = check_names(references)?;
    let whole = prepared(draft, &given);
    if whole.is_ok() {
        return whole.map_err(|error| broken_reference(&error));
    }
    let usable: BTreeMap<&str, &Value> = given
        .into_iter()
        .filter(|(uri, document)| prepared(draft, &[(*uri, *document)].into()).is_ok())
        .collect();
    prepared(draft, &usable).map_err(|error| broken_reference(&error))
}

fn check_names<'n, 'a>(
    references: &[(&'n str, &'a Value)],
) -> Result<BTreeMap<&'n str, &'a Value>, SeamError> {
    let mut given: BTreeMap<&str, &Value> = BTreeMap::new();
    for (uri, document) in references {
        if uri.split_once('#').is_some_and(|(_, fragment)| !fragment.is_empty()) {
            return Err(misnamed(
                uri,
                &"it names a part of a document, give the whole document under the URI before '#'",
            ));
        }
        if given.insert(uri, document).is_some_and(|before| before != *document) {
            return Err(misnamed(uri, &"another document has the same URI"));
        }
        let empty: RegistryBuilder<'_> = Registry::new();
        empty.add(*uri, *document).map_err(|error| misnamed(uri, &error))?;
    }
    Ok(given)
}

fn misnamed(uri: &str, reason: &dyn fmt::Display) -> SeamError {
    let uri = crate::findings::shortened(uri.to_owned());
    let reason = bounded(format_args!("{reason}"));
    SeamError::new(ErrorKind::Invalid, format!("read the URI of the reference {uri:?}: {reason}"))
}

fn prepared<'a>(
    draft: Draft,
    references: &BTreeMap<&str, &'a Value>,
) -> Result<Registry<'a>, referencing::Error> {
    let mut registry = Registry::new().draft(draft).retriever(Absent);
    for (uri, document) in references {
        // A `$schema` of its own counts; the builder's draft would be forced upon it.
        let own = match draft.detect(document) {
            Draft::Unknown => draft,
            own => own,
        };
        registry = registry.add(uri, ResourceRef::new(document, own))?;
    }
    registry.prepare()
}

/// The same, with the schema itself under `uri`.
pub(super) fn with_root<'a>(
    registry: &'a Registry<'a>,
    uri: &str,
    root: &'a Value,
    draft: Draft,
) -> Result<Registry<'a>, SeamError> {
    let builder = registry.add(uri, root).map_err(|error| broken_reference(&error))?;
    builder.draft(draft).retriever(Absent).prepare().map_err(|error| broken_reference(&error))
}

pub(super) fn broken_reference(error: &dyn fmt::Display) -> SeamError {
    let reason = bounded(format_args!("{error}"));
    SeamError::new(
        ErrorKind::NotFound,
        format!("resolve what the schema refers to: {reason}, give it with reference(uri, text)"),
    )
}

/// Why a schema does not compile, where that is a reference; `lost` is one that leads nowhere.
pub(super) fn broken(error: &SchemaError<'_>, lost: Option<&str>) -> Option<SeamError> {
    if let Some(uri) = error.instance().as_str().and_then(|text| text.strip_prefix(ABSENT)) {
        return Some(broken_reference(&format_args!("nothing was given under {uri}")));
    }
    match error.kind() {
        ValidationErrorKind::Referencing(reason) => Some(match lost {
            Some(lost) => broken_reference(&format_args!("nothing is at {lost}: {reason}")),
            None => broken_reference(reason),
        }),
        _ => None,
    }
}
