use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{Candidate, Change, Classify, ErrorKind, Name, SeamError};

use crate::inspector::essence;
use crate::{Compatibility, Limits, Reference, SchemaFormat, SchemaSource};

/// Tells how far one schema is from the one before it: of which format they are, an explicit map from media type and name says.
///
/// Equal bytes, or schemas of one [identity](SchemaFormat::identity), are `Identical`. Where each reads all that the other wrote, the
/// change is a `Patch`; where only the new one does, `Minor`; else `Major`. What is not mapped, changes its media type, or cannot be
/// decided is `Unknown`. Comparing is done on the thread that polls, without an await, for as long as the limits admit.
///
/// ```
/// # #[cfg(feature = "json-schema")]
/// # fn main() {
/// use mcp_validation::{ContractClassifier, JsonSchema};
///
/// let classifier = ContractClassifier::new().compare_type("application/schema+json", JsonSchema::new());
/// # let _ = classifier;
/// # }
/// # #[cfg(not(feature = "json-schema"))]
/// # fn main() {}
/// ```
#[derive(Default)]
pub struct ContractClassifier {
    by_type_and_name: BTreeMap<(String, Name), Arc<dyn SchemaFormat>>,
    by_type: BTreeMap<String, Arc<dyn SchemaFormat>>,
    references: Vec<Reference>,
    limits: Limits,
}

impl ContractClassifier {
    /// With no format yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Compares artifacts of this media type as schemas of `format`, unless there is one for their name. A media type counts without
    /// its parameters and in any case.
    #[must_use]
    pub fn compare_type(mut self, media_type: &str, format: impl SchemaFormat + 'static) -> Self {
        self.by_type.insert(essence(media_type), Arc::new(format));
        self
    }

    /// Compares artifacts of this media type and name as schemas of `format`.
    #[must_use]
    pub fn compare_name(mut self, media_type: &str, name: Name, format: impl SchemaFormat + 'static) -> Self {
        self.by_type_and_name.insert((essence(media_type), name), Arc::new(format));
        self
    }

    /// Gives a document that every schema may refer to by `uri`.
    #[must_use]
    pub fn reference(mut self, uri: impl Into<String>, text: impl Into<String>) -> Self {
        self.references.push(Reference::new(uri, text));
        self
    }

    /// What one comparison may cost, instead of the default.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn format(&self, candidate: &Candidate) -> Option<&dyn SchemaFormat> {
        let media_type = essence(&candidate.media_type);
        let by_type = self.by_type.get(&media_type);
        let by_name = self.by_type_and_name.get(&(media_type, candidate.name.clone()));
        by_name.or(by_type).map(Arc::as_ref)
    }

    fn compare(&self, old: &Candidate, new: &Candidate) -> Result<Change, SeamError> {
        if essence(&old.media_type) != essence(&new.media_type) {
            return Ok(Change::Unknown);
        }
        if old.bytes == new.bytes {
            return Ok(Change::Identical);
        }
        let Some(format) = self.format(new) else { return Ok(Change::Unknown) };
        let (old, new) = (self.source(old)?, self.source(new)?);
        if format.identity(&old)? == format.identity(&new)? {
            return Ok(Change::Identical);
        }
        Ok(match format.can_read(&new, &old)? {
            Compatibility::No(_) => Change::Major,
            Compatibility::Unknown(_) => Change::Unknown,
            Compatibility::Yes => match format.can_read(&old, &new)? {
                Compatibility::Yes => Change::Patch,
                Compatibility::No(_) => Change::Minor,
                // It is one of the two; which, is not known.
                Compatibility::Unknown(_) => Change::Minor,
            },
        })
    }

    fn source<'a>(&'a self, candidate: &'a Candidate) -> Result<SchemaSource<'a>, SeamError> {
        let text = std::str::from_utf8(&candidate.bytes).map_err(|error| {
            SeamError::new(
                ErrorKind::Invalid,
                format!("compare {} as a schema: it is not text in UTF-8", candidate.name),
            )
            .with_source(error)
        })?;
        Ok(SchemaSource::new(text, &self.references, &self.limits))
    }
}

#[async_trait]
impl Classify for ContractClassifier {
    async fn classify(&self, old: &Candidate, new: &Candidate) -> Result<Change, SeamError> {
        self.compare(old, new)
    }
}

impl std::fmt::Debug for ContractClassifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContractClassifier")
            .field("types", &self.by_type.keys())
            .field("names", &self.by_type_and_name.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "json-schema")]
#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::JsonSchema;

    const SCHEMA: &str = "application/schema+json";

    fn candidate(media_type: &str, text: &str) -> Candidate {
        Candidate::new("app".parse().unwrap(), media_type, text.to_owned().into())
    }

    fn change(old: &str, new: &str) -> Result<Change, ErrorKind> {
        let classifier = ContractClassifier::new().compare_type(SCHEMA, JsonSchema::new());
        let classified = block_on(classifier.classify(&candidate(SCHEMA, old), &candidate(SCHEMA, new)));
        classified.map_err(|error| error.kind())
    }

    #[test]
    fn a_change_is_named_by_who_can_read_whom() {
        let integer = r#"{"type": "integer"}"#;
        for (new, expected) in [
            (integer, Change::Identical),
            ("{ \"type\":\"integer\" }", Change::Identical),
            (r#"{"type": "integer", "title": "count"}"#, Change::Patch),
            (r#"{"type": "number"}"#, Change::Minor),
            (r#"{"type": "integer", "minimum": 0}"#, Change::Major),
            (r#"{"type": "string"}"#, Change::Major),
        ] {
            assert_eq!(change(integer, new), Ok(expected), "{new}");
        }
        let undecided = change(r#"{"pattern": "^[a-b]$"}"#, r#"{"pattern": "^(a|b)$"}"#);
        assert_eq!(undecided, Ok(Change::Unknown));
    }

    #[test]
    fn what_is_not_mapped_is_unknown_unless_its_bytes_are_equal() {
        let classifier =
            ContractClassifier::new().compare_name(SCHEMA, "app".parse().unwrap(), JsonSchema::new());
        let classify = |old: (&str, &str), new: (&str, &str)| {
            let (old, new) = (candidate(old.0, old.1), candidate(new.0, new.1));
            block_on(classifier.classify(&old, &new)).map_err(|error| error.kind())
        };
        assert_eq!(classify(("text/plain", "{}"), ("text/plain", "{ }")), Ok(Change::Unknown));
        assert_eq!(classify(("text/plain", "a"), ("Text/Plain; x=y", "a")), Ok(Change::Identical));
        assert_eq!(classify((SCHEMA, "{}"), ("text/plain", "{}")), Ok(Change::Unknown));
        assert_eq!(classify((SCHEMA, "{}"), (SCHEMA, "true")), Ok(Change::Patch));
    }

    #[test]
    fn what_is_no_schema_is_an_error() {
        assert_eq!(change("{}", "{"), Err(ErrorKind::Invalid));
        assert_eq!(change("{}", r#"{"type": "txt"}"#), Err(ErrorKind::Invalid));
        let latin = Candidate::new("app".parse().unwrap(), SCHEMA, b"\"\xe9\"".to_vec().into());
        let classifier = ContractClassifier::new().compare_type(SCHEMA, JsonSchema::new());
        let error = block_on(classifier.classify(&candidate(SCHEMA, "{}"), &latin)).expect_err("no text");
        assert_eq!(error.to_string(), "compare app as a schema: it is not text in UTF-8");
    }
}

#[cfg(all(feature = "avro", feature = "protobuf"))]
#[cfg(test)]
mod formats {
    use futures::executor::block_on;

    use super::*;
    use crate::{Avro, Protobuf};

    fn change(media_type: &str, old: &str, new: &str) -> Result<Change, ErrorKind> {
        let classifier = ContractClassifier::new()
            .compare_type("application/vnd.apache.avro.schema+json", Avro)
            .compare_type("text/x-protobuf", Protobuf::new());
        let candidate =
            |text: &str| Candidate::new("app".parse().unwrap(), media_type, text.to_owned().into());
        block_on(classifier.classify(&candidate(old), &candidate(new))).map_err(|error| error.kind())
    }

    #[test]
    fn changes_of_avro_and_protobuf_are_named_by_who_can_read_whom() {
        let avro = |old: &str, new: &str| change("application/vnd.apache.avro.schema+json; v=1", old, new);
        assert_eq!(avro("\"int\"", " \"int\""), Ok(Change::Identical));
        assert_eq!(avro("\"int\"", "\"long\""), Ok(Change::Minor));
        assert_eq!(avro("\"int\"", "\"string\""), Ok(Change::Major));
        assert_eq!(avro("\"int\"", r#"{"type": "int", "doc": "count"}"#), Ok(Change::Patch));
        assert_eq!(avro("\"int\"", "\"nit\""), Err(ErrorKind::NotFound));
        let proto = |old: &str, new: &str| {
            change(
                "text/x-protobuf",
                &format!("syntax = \"proto3\"; {old}"),
                &format!("syntax = \"proto3\"; {new}"),
            )
        };
        assert_eq!(
            proto("message M { int32 a = 1; }", "message M { int32 a = 1; int32 b = 2; }"),
            Ok(Change::Patch)
        );
        assert_eq!(proto("message M { int32 a = 1; }", "message M { string a = 1; }"), Ok(Change::Major));
        assert_eq!(proto("message M { }", "message M {"), Err(ErrorKind::Invalid));
    }
}
