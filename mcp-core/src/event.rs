use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::{EventKind, Id, Name, Timestamp};

/// Which feed an event belongs to: a relative URI such as `/mcp/registry/0192f0c1-…`.
///
/// Where the engine keeps a feed (the registry's change feed, a stream of the promotion journal), the id is that of the feed. Where it
/// keeps none, the id is new at each opening, so that source and position together never repeat.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(Arc<str>);

impl Source {
    /// The feed `feed` of the engine `engine`, such as `registry`.
    #[must_use]
    pub fn new(engine: &Name, feed: Id) -> Self {
        Self(format!("/mcp/{engine}/{feed}").into())
    }

    /// A part of this feed with positions of its own, such as one stage's stream.
    #[must_use]
    pub fn part(&self, name: &Name) -> Self {
        Self(format!("{}/{name}", self.0).into())
    }

    /// The relative URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.0)
    }
}

/// Something that happened: data only.
///
/// Serialised, it is a [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md) JSON
/// document, with the `sequence` extension attribute carrying `seq`.
///
/// ```
/// use mcp_core::{ContractRegistered, Event, Id, Source, Timestamp, ValidationEvent};
///
/// let source = Source::new(&"validation".parse()?, Id::from_u128(7));
/// let kind = ValidationEvent::ContractRegistered(ContractRegistered::new("invoice".parse()?, "1.0.0".parse()?));
/// let event = Event::new(Timestamp::UNIX_EPOCH, source, "invoice@1.0.0", 3, kind);
/// let json = serde_json::to_value(&event)?;
/// assert_eq!(json["type"], "mcp.validation.contract.registered.v1");
/// assert_eq!(json["id"], "/mcp/validation/00000000-0000-0000-0000-000000000007#3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When it happened, by the engine's clock.
    pub at: Timestamp,
    /// Which feed it belongs to.
    pub source: Source,
    /// What it happened to, such as `billing/invoice@1.2.0`; not empty.
    pub subject: String,
    /// Its position in the feed. One position has at most one event.
    pub seq: u64,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// An event of `kind` at position `seq` of `source`.
    #[must_use]
    pub fn new(
        at: Timestamp,
        source: Source,
        subject: impl Into<String>,
        seq: u64,
        kind: impl Into<EventKind>,
    ) -> Self {
        Self { at, source, subject: subject.into(), seq, kind: kind.into() }
    }

    /// Source and position: the same for the same event, wherever and however often it is told.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}#{}", self.source, self.seq)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has_subject = !self.subject.is_empty();
        let mut map = serializer.serialize_map(Some(if has_subject { 9 } else { 8 }))?;
        map.serialize_entry("specversion", "1.0")?;
        map.serialize_entry("id", &self.id())?;
        map.serialize_entry("source", self.source.as_str())?;
        map.serialize_entry("type", self.kind.type_name())?;
        map.serialize_entry("time", &self.at)?;
        // CloudEvents: a subject, where there is one, must not be empty.
        if has_subject {
            map.serialize_entry("subject", &self.subject)?;
        }
        // A string of equal length sorts as its number does, which is what the extension asks for.
        map.serialize_entry("sequence", &format!("{:020}", self.seq))?;
        map.serialize_entry("datacontenttype", "application/json")?;
        map.serialize_entry("data", &self.kind)?;
        map.end()
    }
}
