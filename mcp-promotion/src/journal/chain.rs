use mcp_core::{Digest, Digester, Name};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Entry, PromotionError};

/// The version byte of the events that this build writes.
pub const FORMAT: u8 = 1;

/// The most bytes that one event may have.
pub const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// Where the digest of the chain ends and the content begins.
const HEAD: usize = 33;

/// How far a stream was read or written: its version, and the digest that vouches for all of it.
///
/// An event is the version byte 1, the digest of the chain up to and with this event (32 bytes), and an [`Entry`] as JSON. The digest is
/// BLAKE3 of the digest before (for the first event: of `mcp journal`, a line feed and the name of the stream), the version byte and the
/// JSON. So an event that was changed, removed, moved or brought in from another stream does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    stream: Name,
    version: u64,
    head: Digest,
}

impl Chain {
    /// Of the stream before its first event.
    #[must_use]
    pub fn start(stream: Name) -> Self {
        let head = Digester::new().update(b"mcp journal\n").update(stream.as_str().as_bytes()).digest();
        Self { stream, version: 0, head }
    }

    /// Of the stream behind its event `version`, which is taken for true.
    ///
    /// # Errors
    /// `Corrupt` when `event` is shorter than any event.
    pub(crate) fn behind(stream: Name, version: u64, event: &[u8]) -> Result<Self, PromotionError> {
        match event.split_first_chunk::<HEAD>() {
            Some((&[_, ref digest @ ..], _)) => {
                Ok(Self { stream, version, head: Digest::from_bytes(*digest) })
            }
            None => {
                let reason = format!("it has {} bytes, fewer than any event", event.len());
                Err(PromotionError::Corrupt { stream, position: version, reason })
            }
        }
    }

    /// Which stream.
    #[must_use]
    pub const fn stream(&self) -> &Name {
        &self.stream
    }

    /// How many events it has.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The digest of its last event's chain.
    #[must_use]
    pub const fn head(&self) -> Digest {
        self.head
    }

    fn link(&self, format: u8, content: &[u8]) -> Digest {
        Digester::new().update(self.head.as_bytes()).update(&[format]).update(content).digest()
    }

    /// The bytes of the next event, and goes on to it.
    ///
    /// # Errors
    /// `Internal` when the entry cannot be written as JSON, `Exhausted` when it has more than [`MAX_EVENT_BYTES`].
    pub fn write(&mut self, entry: &Entry) -> Result<Vec<u8>, PromotionError> {
        self.write_as(entry)
    }

    pub(crate) fn write_as(&mut self, entry: &impl Serialize) -> Result<Vec<u8>, PromotionError> {
        let content = serde_json::to_vec(entry).map_err(|error| PromotionError::Internal {
            attempted: format!("write an event to stream {}", self.stream),
            reason: error.to_string(),
        })?;
        let length = content.len().saturating_add(HEAD);
        if length > MAX_EVENT_BYTES {
            let stream = self.stream.clone();
            return Err(PromotionError::TooLarge { stream, bytes: length, limit: MAX_EVENT_BYTES });
        }
        let head = self.link(FORMAT, &content);
        let mut bytes = Vec::with_capacity(length);
        bytes.push(FORMAT);
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&content);
        (self.version, self.head) = (self.version.saturating_add(1), head);
        Ok(bytes)
    }

    /// Reads the next event, and goes on to it.
    ///
    /// # Errors
    /// `Corrupt` when it does not fit the chain or is no event; `Unsupported` when it fits and a newer build wrote it.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Entry, PromotionError> {
        self.read_as(bytes)
    }

    pub(crate) fn read_as<E: DeserializeOwned>(&mut self, bytes: &[u8]) -> Result<E, PromotionError> {
        let (content, head) = self.fits(bytes)?;
        let position = self.version.saturating_add(1);
        let entry = serde_json::from_slice(content).map_err(|error| {
            let (stream, reason) = (self.stream.clone(), error.to_string());
            // What is JSON and fits the chain was written by a build that can do more.
            if error.is_data() {
                PromotionError::UnknownEvent { stream, position, reason }
            } else {
                PromotionError::Corrupt { stream, position, reason }
            }
        })?;
        (self.version, self.head) = (position, head);
        Ok(entry)
    }

    /// Goes on to the next event, whatever it says.
    ///
    /// # Errors
    /// `Corrupt` when it does not fit the chain; `Unsupported` when it fits and has a newer format.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<(), PromotionError> {
        let (_, head) = self.fits(bytes)?;
        (self.version, self.head) = (self.version.saturating_add(1), head);
        Ok(())
    }

    /// The content of the next event, and the digest of the chain with it.
    fn fits<'a>(&self, bytes: &'a [u8]) -> Result<(&'a [u8], Digest), PromotionError> {
        let position = self.version.saturating_add(1);
        let corrupt =
            |reason: String| PromotionError::Corrupt { stream: self.stream.clone(), position, reason };
        let Some((&[format, ref digest @ ..], content)) = bytes.split_first_chunk::<HEAD>() else {
            return Err(corrupt(format!("it has {} bytes, fewer than any event", bytes.len())));
        };
        let head = self.link(format, content);
        if head != Digest::from_bytes(*digest) {
            return Err(corrupt("it does not fit the events before it".to_owned()));
        }
        if format != FORMAT {
            return Err(PromotionError::NewerFormat { stream: self.stream.clone(), position, format });
        }
        Ok((content, head))
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::{ErrorKind, Timestamp};

    use super::*;
    use crate::Happened;

    fn written(stream: &str, count: u64) -> Vec<Vec<u8>> {
        let mut chain = Chain::start(stream.parse().unwrap());
        let entry = |promotion| Entry {
            at: Timestamp::UNIX_EPOCH,
            request: None,
            what: Happened::Pinned { promotion },
        };
        (1..=count).map(|promotion| chain.write(&entry(promotion)).unwrap()).collect()
    }

    fn read_all(stream: &str, events: &[Vec<u8>]) -> Result<u64, (u64, String)> {
        let mut chain = Chain::start(stream.parse().unwrap());
        for event in events {
            match chain.read(event) {
                Ok(_) => {}
                Err(PromotionError::Corrupt { position, reason, .. }) => return Err((position, reason)),
                Err(other) => panic!("{other}"),
            }
        }
        Ok(chain.version())
    }

    /// Invariant 4.
    #[test]
    fn an_event_that_was_changed_removed_moved_or_brought_in_is_found_where_it_stands() {
        let events = written("stage/prod", 4);
        assert_eq!(read_all("stage/prod", &events), Ok(4));
        let misfit = |position| Err((position, "it does not fit the events before it".to_owned()));
        assert_eq!(read_all("stage/dev", &events), misfit(1));
        let mut removed = events.clone();
        removed.remove(1);
        assert_eq!(read_all("stage/prod", &removed), misfit(2));
        let mut moved = events.clone();
        moved.swap(1, 2);
        assert_eq!(read_all("stage/prod", &moved), misfit(2));
        for byte in 0..events[2].len() {
            let mut changed = events.clone();
            changed[2][byte] ^= 1;
            assert_eq!(read_all("stage/prod", &changed), misfit(3), "byte {byte}");
        }
    }

    #[test]
    fn bytes_that_are_no_event_are_corrupt_and_never_a_panic() {
        for length in [0, 1, 32, 33, 34, 1000] {
            let garbage = vec![vec![7_u8; length]];
            assert_eq!(read_all("stage/prod", &garbage).unwrap_err().0, 1, "{length}");
        }
    }

    #[test]
    fn an_authentic_event_of_a_newer_build_is_told_apart_from_damage() {
        let entry = |what: &str| format!(r#"{{"at":"2026-11-23T12:00:00Z","what":{what}}}"#);
        for (format, content, kind) in [
            (9, "from the future".to_owned(), ErrorKind::Unsupported),
            (1, entry(r#"{"pinned":{"promotion":1}}"#), ErrorKind::Internal),
            (1, entry(r#"{"teleported":{"promotion":1}}"#), ErrorKind::Unsupported),
            (1, entry(r#"{"pinned":{"promotion":1}},"whither":"mars""#), ErrorKind::Unsupported),
            (1, entry(r#"{"pinned":"#), ErrorKind::Corrupt),
            (1, String::new(), ErrorKind::Corrupt),
        ] {
            let mut chain = Chain::start("stage/prod".parse().unwrap());
            let before = chain.clone();
            let head = chain.link(format, content.as_bytes());
            let bytes = [&[format], head.as_bytes().as_slice(), content.as_bytes()].concat();
            match chain.read(&bytes) {
                Ok(_) => assert_eq!((kind, chain.version()), (ErrorKind::Internal, 1), "{content}"),
                Err(error) => assert_eq!((error.kind(), &chain), (kind, &before), "{content}: {error}"),
            }
        }
    }
}
