use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use mcp_core::{Name, ParseError, Principal, RequestId, Requirement};
use serde_json::Value;

use crate::metadata::{MAX_DEPTH, Metadata, check_media_type, is_shallow};
use crate::storage::{ByteStream, StorageError};
use crate::{BuildInfo, Dependency, DependencyKind, RegistryError};

/// What is to be published: bytes, a stream of them or a file, and what is said about them; the version is given when it is published.
///
/// What is wrong with a part comes back from the publish.
#[derive(Debug)]
#[must_use = "a draft does nothing until it is published"]
pub struct Draft {
    pub(crate) name: Name,
    pub(crate) content: DraftContent,
    pub(crate) media_type: String,
    pub(crate) actor: Option<Principal>,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) metadata: Metadata,
    problem: Option<RegistryError>,
}

/// Where the bytes of a draft come from.
pub(crate) enum DraftContent {
    Bytes(Bytes),
    Stream(ByteStream),
    File(PathBuf),
}

impl fmt::Debug for DraftContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stream(_) => f.write_str("a stream"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Draft {
    /// Of these bytes, of the media type `application/octet-stream`, without metadata, by the actor of the handle that publishes it.
    pub fn new(name: &Name, bytes: impl Into<Bytes>) -> Self {
        Self::of(name, DraftContent::Bytes(bytes.into()))
    }

    /// As [`new`](Self::new), of the bytes that `stream` gives until it ends, which may be more than fit into memory. An error of the stream
    /// fails the publish.
    pub fn stream(
        name: &Name,
        stream: impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static,
    ) -> Self {
        Self::of(name, DraftContent::Stream(stream.boxed()))
    }

    /// As [`new`](Self::new), of the bytes of a file, which is opened when the draft is published and read as a stream.
    pub fn file(name: &Name, path: impl Into<PathBuf>) -> Self {
        Self::of(name, DraftContent::File(path.into()))
    }

    fn of(name: &Name, content: DraftContent) -> Self {
        Self {
            name: name.clone(),
            content,
            media_type: "application/octet-stream".to_owned(),
            actor: None,
            request_id: None,
            metadata: Metadata::default(),
            problem: None,
        }
    }

    /// What kind of bytes these are, such as `application/schema+json`.
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = media_type.into();
        let checked = check_media_type(&self.media_type);
        self.note(checked)
    }

    /// Who publishes.
    pub fn actor<P: TryInto<Principal, Error: Into<ParseError>>>(mut self, actor: P) -> Self {
        match actor.try_into() {
            Ok(actor) => self.actor = Some(actor),
            Err(error) => return self.note(Err(error.into().into())),
        }
        self
    }

    /// Makes a repetition answer what the first publish with this id did. A second, different publish needs another id.
    pub fn request_id<R: TryInto<RequestId, Error: Into<ParseError>>>(mut self, id: R) -> Self {
        match id.try_into() {
            Ok(id) => self.request_id = Some(id),
            Err(error) => return self.note(Err(error.into().into())),
        }
        self
    }

    /// What it is, for people.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.metadata.description = text.into();
        self
    }

    /// Who wrote it, in this order.
    pub fn authors<A: Into<String>>(mut self, authors: impl IntoIterator<Item = A>) -> Self {
        self.metadata.authors = authors.into_iter().map(Into::into).collect();
        self
    }

    /// Under which terms, such as `MIT OR Apache-2.0`.
    pub fn license(mut self, license: impl Into<String>) -> Self {
        self.metadata.license = license.into();
        self
    }

    /// One more word to find it by.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.metadata.tags.insert(tag.into());
        self
    }

    /// One more label; the same key again replaces it. [`set_labels`](crate::Registry::set_labels) changes them later.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.labels.insert(key.into(), value.into());
        self
    }

    /// One more thing that it needs: a version of `name` that satisfies `requirement`.
    pub fn dependency<N, R>(mut self, name: N, requirement: R, kind: DependencyKind) -> Self
    where
        N: TryInto<Name, Error: Into<ParseError>>,
        R: TryInto<Requirement, Error: Into<ParseError>>,
    {
        let parsed = name.try_into().map_err(Into::into);
        let parsed =
            parsed.and_then(|name| Ok((name, requirement.try_into().map_err(Into::<ParseError>::into)?)));
        let (name, requirement) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return self.note(Err(error.into())),
        };
        self.metadata.dependencies.push(Dependency::new(name, requirement, kind));
        // In one order, and each once: so that equal metadata has equal text.
        self.metadata.dependencies.sort_by_cached_key(|dependency| {
            (dependency.name.clone(), dependency.kind.clone(), dependency.requirement.to_string())
        });
        self.metadata.dependencies.dedup();
        self
    }

    /// What it was built from, and where. It is kept with the first publish; a repetition with another one is the same publish.
    pub fn build(mut self, build: BuildInfo) -> Self {
        self.metadata.build = Some(build).filter(|build| *build != BuildInfo::default());
        self
    }

    /// Anything else, as JSON nested at most 64 deep and at most `max_extra_bytes` long.
    pub fn extra(mut self, mut json: Value) -> Self {
        if !is_shallow(&json) {
            return self.note(Err(RegistryError::Invalid {
                what: "publish with this extra metadata".to_owned(),
                reason: format!("it is nested more than {MAX_DEPTH} deep"),
            }));
        }
        json.sort_all_objects();
        self.metadata.extra = json;
        self
    }

    fn note(mut self, outcome: Result<(), RegistryError>) -> Self {
        // The first problem is the one to mend first.
        self.problem = self.problem.or(outcome.err());
        self
    }

    /// The same draft with these bytes, for one of several attempts.
    pub(crate) fn attempt(&self, bytes: Bytes) -> Self {
        Self {
            name: self.name.clone(),
            content: DraftContent::Bytes(bytes),
            media_type: self.media_type.clone(),
            actor: self.actor.clone(),
            request_id: self.request_id.clone(),
            metadata: self.metadata.clone(),
            problem: None,
        }
    }

    /// With the request id of a handle, where it has none of its own.
    pub(crate) fn by_request(mut self, id: Option<&RequestId>) -> Self {
        self.request_id = self.request_id.or_else(|| id.cloned());
        self
    }

    pub(crate) fn check(&mut self) -> Result<(), RegistryError> {
        self.problem.take().map_or(Ok(()), Err)
    }
}
