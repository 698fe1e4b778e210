use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{Candidate, Change, Classify, ErrorKind, Name, SeamError};

use crate::inspector::essence;
use crate::{Compatibility, Limits, Reference, SchemaFormat, SchemaSource};

/// Compares artifacts that are schemas: of which format, an explicit map from media type and name says.
///
/// Whoever uses a schema has documents that are valid under it. So the change is
/// - [`Major`](Change::Major) when some document that the old schema accepts cannot be read under the new one;
/// - [`Minor`](Change::Minor) when all can, and the new one accepts more, or it could not be decided whether it does;
/// - [`Patch`](Change::Patch) when each reads what the other accepts, although the texts differ;
/// - [`Identical`](Change::Identical) when bytes and media type are the same;
/// - [`Unknown`](Change::Unknown) when it could not be decided, when the media types differ, and when no format is meant for them.
///
/// A media type counts without its parameters and in any case. Comparing is done on the thread that polls, without an await, for as long
/// as the limits admit.
///
/// ```
/// # #[cfg(feature = "json-schema")]
/// # fn main() {
/// use std::sync::Arc;
/// use mcp_validation::{JsonSchema, SchemaClassifier};
///
/// let classifier = SchemaClassifier::new().compare_type("application/schema+json", Arc::new(JsonSchema::new()));
/// # let _ = classifier;
/// # }
/// # #[cfg(not(feature = "json-schema"))]
/// # fn main() {}
/// ```
#[derive(Clone, Default)]
pub struct SchemaClassifier {
    by_type_and_name: BTreeMap<(String, Name), Arc<dyn SchemaFormat>>,
    by_type: BTreeMap<String, Arc<dyn SchemaFormat>>,
    references: Vec<Reference>,
    limits: Limits,
}

impl SchemaClassifier {
    /// With no format yet: every change is unknown.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Compares artifacts of this media type as schemas of `format`, unless there is one for their name.
    #[must_use]
    pub fn compare_type(mut self, media_type: &str, format: Arc<dyn SchemaFormat>) -> Self {
        self.by_type.insert(essence(media_type), format);
        self
    }

    /// Compares artifacts of this media type and name as schemas of `format`.
    #[must_use]
    pub fn compare_name(mut self, media_type: &str, name: Name, format: Arc<dyn SchemaFormat>) -> Self {
        self.by_type_and_name.insert((essence(media_type), name), format);
        self
    }

    /// What the schemas may refer to, old and new ones alike.
    #[must_use]
    pub fn references(mut self, references: impl IntoIterator<Item = Reference>) -> Self {
        self.references = references.into_iter().collect();
        self
    }

    /// What a comparison may cost.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn format(&self, old: &Candidate, new: &Candidate) -> Option<&dyn SchemaFormat> {
        let media_type = essence(&new.media_type);
        if essence(&old.media_type) != media_type {
            return None;
        }
        let by_type = self.by_type.get(&media_type);
        let by_name = self.by_type_and_name.get(&(media_type, new.name.clone()));
        by_name.or(by_type).map(Arc::as_ref)
    }

    fn compare(
        &self,
        format: &dyn SchemaFormat,
        old: &Candidate,
        new: &Candidate,
    ) -> Result<Change, SeamError> {
        let source = |text| SchemaSource::new(text, &self.references, &self.limits);
        let (old, new) = (source(text(old)?), source(text(new)?));
        Ok(match format.can_read(&new, &old)? {
            Compatibility::No(_) => Change::Major,
            Compatibility::Unknown(_) => Change::Unknown,
            // Undecided the other way round is the greater of what it can be.
            Compatibility::Yes => match format.can_read(&old, &new)? {
                Compatibility::Yes => Change::Patch,
                Compatibility::No(_) | Compatibility::Unknown(_) => Change::Minor,
            },
        })
    }
}

fn text(candidate: &Candidate) -> Result<&str, SeamError> {
    std::str::from_utf8(&candidate.bytes).map_err(|error| {
        let version = candidate.version.as_ref().map_or_else(String::new, |version| format!("@{version}"));
        SeamError::new(ErrorKind::Invalid, format!("read {}{version} as a schema", candidate.name))
            .with_source(error)
    })
}

#[async_trait]
impl Classify for SchemaClassifier {
    async fn classify(&self, old: &Candidate, new: &Candidate) -> Result<Change, SeamError> {
        let Some(format) = self.format(old, new) else { return Ok(Change::Unknown) };
        if old.digest == new.digest {
            return Ok(Change::Identical);
        }
        self.compare(format, old, new)
    }
}

impl std::fmt::Debug for SchemaClassifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchemaClassifier")
            .field("types", &self.by_type.keys())
            .field("names", &self.by_type_and_name.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "json-schema"))]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::{Draft, JsonSchema};

    const TYPE: &str = "application/schema+json";

    fn candidate(media_type: &str, bytes: impl Into<bytes::Bytes>) -> Candidate {
        Candidate::new("app".parse().expect("a name"), media_type, bytes.into())
    }

    fn classify(
        classifier: &SchemaClassifier,
        old: &Candidate,
        new: &Candidate,
    ) -> Result<Change, ErrorKind> {
        block_on(classifier.classify(old, new)).map_err(|error| error.kind())
    }

    #[test]
    fn a_change_is_what_documents_of_the_old_schema_notice_of_it() {
        let classifier = SchemaClassifier::new().compare_type(TYPE, Arc::new(JsonSchema::new()));
        let cases = [
            (r#"{"type": "integer"}"#, r#"{"type": "integer"}"#, Change::Identical),
            (r#"{"type": "integer"}"#, r#"{ "type": "integer", "title": "a number" }"#, Change::Patch),
            (r#"{"minimum": 1}"#, r#"{"allOf": [{"minimum": 1}]}"#, Change::Patch),
            (r#"{"type": "integer"}"#, r#"{"type": ["integer", "string"]}"#, Change::Minor),
            (r#"{"type": "integer"}"#, r#"{"type": "number"}"#, Change::Minor),
            (r#"{"type": ["integer", "string"]}"#, r#"{"type": "integer"}"#, Change::Major),
            (r#"{"type": "object"}"#, r#"{"type": "object", "required": ["id"]}"#, Change::Major),
            (r#"{"type": "object", "required": ["id"]}"#, r#"{"type": "object"}"#, Change::Minor),
        ];
        for (old, new, expected) in cases {
            let change = classify(&classifier, &candidate(TYPE, old), &candidate(TYPE, new));
            assert_eq!(change, Ok(expected), "{old} to {new}");
        }
    }

    #[test]
    fn what_no_format_is_meant_for_is_unknown() {
        let classifier = SchemaClassifier::new().compare_type(TYPE, Arc::new(JsonSchema::new()));
        let of = |media_type| candidate(media_type, "{}");
        let other = |media_type| candidate(media_type, "true");
        assert_eq!(classify(&classifier, &of("text/plain"), &other("text/plain")), Ok(Change::Unknown));
        assert_eq!(classify(&classifier, &of("application/json"), &other(TYPE)), Ok(Change::Unknown));
        assert_eq!(classify(&SchemaClassifier::new(), &of(TYPE), &other(TYPE)), Ok(Change::Unknown));
        let parameters = "Application/Schema+JSON; charset=utf-8";
        assert_eq!(classify(&classifier, &of(TYPE), &other(parameters)), Ok(Change::Patch));
    }

    #[test]
    fn a_name_goes_before_its_media_type() {
        let name = "app".parse().expect("a name");
        let draft4 = Arc::new(JsonSchema::new().draft(Draft::Draft4));
        let old = candidate(TYPE, r#"{"const": 1}"#);
        let new = candidate(TYPE, r#"{"const": 2}"#);
        let by_type = SchemaClassifier::new().compare_type(TYPE, Arc::new(JsonSchema::new()));
        assert_eq!(classify(&by_type, &old, &new), Ok(Change::Major));
        // Draft 4 knows no `const`.
        assert_eq!(classify(&by_type.compare_name(TYPE, name, draft4), &old, &new), Ok(Change::Patch));
    }

    #[test]
    fn what_is_no_schema_is_an_error() {
        let classifier = SchemaClassifier::new().compare_type(TYPE, Arc::new(JsonSchema::new()));
        let good = candidate(TYPE, "{}");
        for bad in [&b"{"[..], b"\xff", br#"{"type": 7}"#] {
            let bad = candidate(TYPE, bad.to_vec());
            assert_eq!(classify(&classifier, &good, &bad), Err(ErrorKind::Invalid));
            assert_eq!(classify(&classifier, &bad, &good), Err(ErrorKind::Invalid));
        }
        let narrow = classifier.limits(Limits { max_schema_bytes: 10, ..Limits::default() });
        let long = candidate(TYPE, r#"{"minimum": 1}"#);
        assert_eq!(classify(&narrow, &good, &long), Err(ErrorKind::Exhausted));
    }
}
