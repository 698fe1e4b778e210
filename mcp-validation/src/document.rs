use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use mcp_core::{Digest, ErrorKind, SeamError};
use serde_json::Value;

use crate::scan::{TooDeep, scan_text};
use crate::tree::{NoTree, NotRead, Tree};
use crate::{Encoding, Limits, ValidationError};

/// What is to be judged: raw bytes and how to read them. JSON is looked over once and parsed at most once, however many contracts
/// judge it. What only a schema can decode is decoded by each contract anew: the outcome belongs to that judgement.
///
/// ```
/// use mcp_validation::Document;
///
/// let document = Document::json(r#"{"total": 12}"#);
/// assert_eq!(document.value()?["total"], 12);
/// # Ok::<(), mcp_core::SeamError>(())
/// ```
///
/// `Debug` does not show what it holds: documents hold secrets.
///
/// A clone is the same document: what one has parsed, the other has, too.
#[derive(Clone)]
pub struct Document(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    content: Content,
    encoding: Encoding,
    digest: OnceLock<Digest>,
    read: OnceLock<Result<Read, Unread>>,
    value: OnceLock<Value>,
}

#[derive(Clone)]
enum Content {
    Bytes(Bytes),
    Value(Value),
}

/// What JSON says, and what only its text shows.
#[derive(Clone)]
pub(crate) struct Read {
    pub(crate) tree: Tree,
    /// How many arrays and objects stand inside one another at most.
    pub(crate) depth: usize,
    /// Its size, or that of its compact JSON where it was given as a value.
    bytes: u64,
    /// Pointers to keys that stand more than once in their object.
    pub(crate) duplicates: Vec<String>,
    /// How many there are, kept or not.
    pub(crate) duplicate_count: u64,
    /// The value that was needed to find out what counts among duplicate keys.
    value: Option<Value>,
}

/// Why there is nothing to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The bytes are not what their encoding says, and where. How deep they seem to nest.
    NotJson { reason: String, depth: usize },
    /// It nests deeper than can be parsed.
    TooDeep,
    /// It is larger than can be parsed: 4 GiB.
    TooLarge,
}

impl Document {
    /// JSON text in UTF-8.
    #[must_use]
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self::new(Encoding::Json, bytes)
    }

    /// Bytes in some encoding. Nothing is read yet.
    #[must_use]
    pub fn new(encoding: Encoding, bytes: impl Into<Bytes>) -> Self {
        Self::of(encoding, Content::Bytes(bytes.into()))
    }

    fn of(encoding: Encoding, content: Content) -> Self {
        Self(Arc::new(Inner {
            content,
            encoding,
            digest: OnceLock::new(),
            read: OnceLock::new(),
            value: OnceLock::new(),
        }))
    }

    /// The same document, for somebody who has computed the digest of its bytes, or has verified it, such as a registry: a verdict cache
    /// then need not hash them. It is believed: under the digest of other bytes the document gets the verdict of those. Without effect
    /// on a document that was given as a value.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        Arc::make_mut(&mut self.0).digest = OnceLock::from(digest);
        self
    }

    /// How its bytes are to be read.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.0.encoding
    }

    /// Its bytes; `None` when it was given as a value.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.0.content {
            Content::Bytes(bytes) => Some(bytes),
            Content::Value(_) => None,
        }
    }

    /// The digest of its bytes, computed at most once; `None` when it was given as a value.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.bytes().map(|bytes| *self.0.digest.get_or_init(|| Digest::of(bytes)))
    }

    /// What it says. The first call parses; later ones, and those of other contracts, share the result.
    ///
    /// # Errors
    /// `Invalid` when its bytes are not what the encoding says; `Exhausted` when it nests deeper than [`Limits::DEEPEST`]. A
    /// [`Validator`](crate::Validator) never sees either: its contract has read the document before. `Unsupported` when its
    /// encoding is no JSON: there a schema of its format decodes it, and validators see the outcome instead.
    pub fn value(&self) -> Result<&Value, SeamError> {
        if !self.0.encoding.is_json() {
            return Err(SeamError::new(
                ErrorKind::Unsupported,
                format!(
                    "read a document as {}: only a schema of its format can decode it, give the contract one",
                    self.0.encoding
                ),
            ));
        }
        if let Content::Value(value) = &self.0.content {
            return Ok(value);
        }
        let read = self.read().map_err(|unread| {
            let (kind, reason) = match unread {
                Unread::NotJson { reason, .. } => (ErrorKind::Invalid, reason.clone()),
                Unread::TooDeep => {
                    (ErrorKind::Exhausted, format!("it is nested more than {} deep", Limits::DEEPEST))
                }
                Unread::TooLarge => (ErrorKind::Exhausted, "it has 4 GiB or more".to_owned()),
            };
            SeamError::new(kind, format!("read a document as {}: {reason}", self.0.encoding))
        })?;
        Ok(match &read.value {
            Some(value) => value,
            None => self.0.value.get_or_init(|| read.tree.value(0)),
        })
    }

    /// Compares it with `limits`, before anything recursive sees it. How deep it nests can be seen in JSON alone: elsewhere the
    /// schema that decodes it looks.
    ///
    /// # Errors
    /// [`ValidationError::DocumentTooLarge`] and [`ValidationError::DocumentTooDeep`], both `Exhausted`.
    pub fn check(&self, limits: &Limits) -> Result<(), ValidationError> {
        let large = |bytes: u64| {
            let max_bytes = limits.max_document_bytes;
            if bytes > max_bytes {
                return Err(ValidationError::DocumentTooLarge { bytes, max_bytes });
            }
            Ok(())
        };
        if let Content::Bytes(bytes) = &self.0.content {
            large(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
            if !self.0.encoding.is_json() {
                return Ok(());
            }
        }
        let (depth, bytes) = match self.read() {
            Ok(read) => (read.depth, read.bytes),
            Err(Unread::NotJson { depth, .. }) => (*depth, 0),
            Err(Unread::TooDeep) => return Err(Self::too_deep(limits)),
            Err(Unread::TooLarge) => {
                let max_bytes = limits.max_document_bytes.min(u64::from(u32::MAX));
                return Err(ValidationError::DocumentTooLarge {
                    bytes: max_bytes.saturating_add(1),
                    max_bytes,
                });
            }
        };
        if depth > limits.max_depth {
            return Err(Self::too_deep(limits));
        }
        large(bytes)
    }

    /// The error of a document that nests deeper than `limits` allow, or than can be parsed.
    pub(crate) fn too_deep(limits: &Limits) -> ValidationError {
        ValidationError::DocumentTooDeep { max_depth: limits.max_depth.min(Limits::DEEPEST) }
    }

    /// What it says, or why there is nothing to judge. For documents whose encoding is JSON.
    pub(crate) fn read(&self) -> Result<&Read, &Unread> {
        let read = self.0.read.get_or_init(|| match &self.0.content {
            Content::Bytes(bytes) => Read::of_text(bytes),
            Content::Value(value) => Read::of_value(value),
        });
        read.as_ref()
    }
}

impl Read {
    fn of_text(bytes: &[u8]) -> Result<Self, Unread> {
        let parsed = match std::str::from_utf8(bytes) {
            Ok(text) => Tree::parse(text, Limits::DEEPEST),
            Err(_) => Err(NotRead::Fault),
        };
        match parsed {
            Ok(tree) => Ok(Self {
                depth: tree.depth(),
                bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                tree,
                duplicates: Vec::new(),
                duplicate_count: 0,
                value: None,
            }),
            Err(NotRead::TooDeep) => Err(Unread::TooDeep),
            Err(NotRead::TooLarge) => Err(Unread::TooLarge),
            Err(NotRead::Fault | NotRead::Duplicates) => Self::of_odd_text(bytes),
        }
    }

    /// Of text that is no JSON, for the words of the parser that everybody knows, or that has a key twice, which readers understand
    /// differently: what counts is what this parser says.
    fn of_odd_text(bytes: &[u8]) -> Result<Self, Unread> {
        let shape = scan_text(bytes, Limits::DEEPEST).map_err(|TooDeep| Unread::TooDeep)?;
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| Unread::NotJson { reason: error.to_string(), depth: shape.depth })?;
        let of_value = Self::of_value(&value)?;
        Ok(Self {
            depth: shape.depth,
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            duplicates: shape.duplicates,
            duplicate_count: shape.duplicate_count,
            value: Some(value),
            ..of_value
        })
    }

    fn of_value(value: &Value) -> Result<Self, Unread> {
        let (tree, bytes) = Tree::of(value, Limits::DEEPEST).map_err(|error| match error {
            NoTree::TooDeep => Unread::TooDeep,
            NoTree::TooLarge => Unread::TooLarge,
        })?;
        Ok(Self { depth: tree.depth(), bytes, tree, duplicates: Vec::new(), duplicate_count: 0, value: None })
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("encoding", &self.0.encoding)
            .field("bytes", &self.bytes().map(Bytes::len))
            .finish_non_exhaustive()
    }
}

impl From<Value> for Document {
    /// A document that somebody else has parsed; its duplicate keys can no longer be seen.
    fn from(value: Value) -> Self {
        Self::of(Encoding::Json, Content::Value(value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limits(max_document_bytes: u64, max_depth: usize) -> Limits {
        Limits { max_document_bytes, max_depth, ..Limits::default() }
    }

    #[test]
    fn size_and_depth_are_told_apart_and_both_are_exhausted() {
        let document = Document::json("[[[1]]]");
        assert_eq!(document.check(&limits(7, 3)).map_err(|error| error.to_string()), Ok(()));
        let large = document.check(&limits(6, 3)).expect_err("seven bytes");
        assert!(matches!(large, ValidationError::DocumentTooLarge { bytes: 7, max_bytes: 6 }), "{large}");
        let deep = document.check(&limits(7, 2)).expect_err("three deep");
        assert!(matches!(deep, ValidationError::DocumentTooDeep { max_depth: 2 }), "{deep}");
        assert_eq!([large.kind(), deep.kind()], [ErrorKind::Exhausted; 2]);
    }

    #[test]
    fn a_value_is_measured_as_its_text_would_be() {
        let document = Document::from(json!([[["abc"]]]));
        assert!(matches!(
            document.check(&limits(5, 3)),
            Err(ValidationError::DocumentTooLarge { max_bytes: 5, .. })
        ));
        assert!(matches!(document.check(&limits(50, 2)), Err(ValidationError::DocumentTooDeep { .. })));
    }

    #[test]
    fn it_is_parsed_once_for_all_who_ask() {
        let document = Document::json("{\"a\":[1,2]}");
        let first: *const Value = document.value().unwrap();
        let second: *const Value = document.value().unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn what_it_holds_is_not_shown_by_debug() {
        let shown = format!("{:?}", Document::json(r#"{"pin": "hush"}"#));
        assert_eq!(shown, "Document { encoding: Json, bytes: Some(15), .. }");
        let shown = format!("{:?}", Document::from(json!({"pin": "hush"})));
        assert_eq!(shown, "Document { encoding: Json, bytes: None, .. }");
    }

    #[test]
    fn what_only_a_schema_decodes_is_measured_in_bytes_and_has_no_value_of_its_own() {
        let document = Document::new(Encoding::AvroBinary, "[".repeat(1000));
        assert_eq!(document.check(&limits(1000, 1)).map_err(|error| error.to_string()), Ok(()));
        assert!(matches!(
            document.check(&limits(999, 1)),
            Err(ValidationError::DocumentTooLarge { bytes: 1000, .. })
        ));
        assert_eq!(document.value().map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
    }

    #[test]
    fn bytes_that_are_no_json_say_where() {
        let error = Document::json("{\"a\": 1,}").value().expect_err("comma").to_string();
        assert_eq!(error, "read a document as json: trailing comma at line 1 column 9");
        let error = Document::json(&b"\"\xff\""[..]).value().expect_err("not utf-8").to_string();
        assert!(error.contains("invalid unicode code point"), "{error}");
    }
}
