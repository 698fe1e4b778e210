use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mcp_core::{
    ArtifactDeduplicated, ArtifactPublished, ArtifactRef, Digest, Name, Principal, RegistryEvent, Version,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::blob::Blob;
use crate::bump::{Head, Skipped, numbered};
use crate::catalog::{Class, Commit, Snapshot, VersionHit, needed};
use crate::chunked::CHUNKED_FROM_BYTES;
use crate::command::{Command, CommitContext};
use crate::deposit::Deposit;
use crate::draft::DraftContent;
use crate::entry::{Location, Published};
use crate::feed::{AnsweredBody, Row, RowContent, RowKind};
use crate::input::{self, Input};
use crate::interval::KeyRange;
use crate::metadata::same_but_build;
use crate::registry::give_back;
use crate::request::{Request, reused};
use crate::version_key::VersionKey;
use crate::{Bump, Draft, Metadata, Registry, RegistryError, admission};

/// What a large stream takes of the bytes in flight while it is written: the chunks that are read, compressed and handed to the storage,
/// each twice.
const STREAM_BYTES: u64 = 2 * CHUNKED_FROM_BYTES;

/// From this size on, hashing and compressing leave the caller's thread.
const HEAVY_BYTES: usize = 64 << 10;

/// Which version a publish wants.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Exact(Version),
    Next(Bump),
    /// What [`Bump::Auto`] came to, as long as the publish of the row `head` is still the head: the next version, or that one.
    After {
        head: Option<u64>,
        bump: Option<Bump>,
    },
}

/// A publish, made ready on the caller's side: what is left is to decide and to write.
#[derive(Debug)]
pub(crate) struct PublishCommand {
    name: Name,
    target: Target,
    blob: Blob,
    /// Where the blob was written already; otherwise it goes into the committer's pack.
    deposit: Option<Arc<Deposit>>,
    media_type: String,
    body: String,
    /// The names that it needs, each once.
    needed: Vec<Name>,
    actor: Principal,
    request: Request,
    /// Its part of the bytes in flight, given back when the command is dropped.
    _reserved: Option<Arc<OwnedSemaphorePermit>>,
}

impl Registry {
    /// Publishes `draft` under `version`, durably when it returns.
    ///
    /// The same content under the same version again succeeds with [`created`](Published::created) being `false`. Bytes, media type and
    /// metadata count, the labels that were first given among them; what it was built from does not, and the first build stays.
    ///
    /// # Errors
    /// By kind: `Invalid` for a draft that is not well-formed; `Conflict` ([`VersionTaken`](RegistryError::VersionTaken)) when the
    /// version, build metadata aside, exists with other content; `Denied` ([`Refused`](RegistryError::Refused)) when admission refuses
    /// it; `Exhausted` when it is larger than a setting allows, and for a stream that must be inspected and is larger than
    /// `max_artifact_bytes`; the kind of its own error for a stream or file that cannot be read; `Unavailable` when the outcome may be unknown: a repetition with the same
    /// request id then gives the first one's answer.
    ///
    /// # Cancel safety
    /// A dropped call has published the whole draft or nothing, now or a moment later. What was written of a stream by then is deleted,
    /// or stays as a pack that nothing refers to.
    pub async fn publish(&self, draft: Draft, version: &Version) -> Result<Published, RegistryError> {
        let draft = draft.by_request(self.request_id());
        self.publish_at(draft, Target::Exact(version.clone())).await
    }

    pub(crate) async fn publish_at(&self, draft: Draft, target: Target) -> Result<Published, RegistryError> {
        self.publish_within(draft, target, None).await
    }

    /// As [`publish_at`](Self::publish_at), of bytes that are in memory, within what was `reserved` for them before.
    pub(crate) async fn publish_within(
        &self,
        draft: Draft,
        target: Target,
        reserved: Option<Arc<OwnedSemaphorePermit>>,
    ) -> Result<Published, RegistryError> {
        let began = self.clock().monotonic();
        let outcome = match self.submit(draft, target, reserved).await {
            Ok(submitted) => self.published(submitted).await,
            Err(error) => Err(error),
        };
        self.counters().publish_took(self.clock().monotonic().saturating_sub(began));
        outcome
    }

    /// Publishes `draft` under the version that `bump` gives, chosen within the commit: of many at once, each gets its own, without gaps.
    ///
    /// # Errors
    /// As [`publish`](Self::publish) has them, but for a taken version; `Invalid` for an id that cannot stand in a pre-release. With
    /// [`Bump::Auto`]: `Unsupported` when the registry was opened without a [`Classify`](mcp_core::Classify); the kind of its own error
    /// when the comparison could not be made; `Exhausted` when the new or the old artifact is larger than `max_artifact_bytes`; `Conflict`
    /// ([`HeadMoved`](RegistryError::HeadMoved)) when others published the name in each of 32 attempts.
    ///
    /// # Cancel safety
    /// As that of [`publish`](Self::publish); only a request id tells whether a dropped call has happened.
    pub async fn publish_next(&self, draft: Draft, bump: Bump) -> Result<Published, RegistryError> {
        let draft = draft.by_request(self.request_id());
        if bump == Bump::Auto {
            return self.publish_auto(draft).await;
        }
        self.publish_at(draft, Target::Next(bump)).await
    }

    /// Publishes many drafts, which share commits; each has its own outcome, in the order of the drafts.
    ///
    /// # Cancel safety
    /// A dropped call has published some of them, each whole.
    pub async fn publish_many(
        &self,
        drafts: impl IntoIterator<Item = (Draft, Version)> + Send,
    ) -> Vec<Result<Published, RegistryError>> {
        let mut answers = Vec::new();
        let began = self.clock().monotonic();
        for (draft, version) in drafts.into_iter().collect::<Vec<_>>() {
            answers.push(self.submit(draft, Target::Exact(version), None).await);
        }
        let mut outcomes = Vec::with_capacity(answers.len());
        for answer in answers {
            outcomes.push(match answer {
                Ok(submitted) => self.published(submitted).await,
                Err(error) => Err(error),
            });
            self.counters().publish_took(self.clock().monotonic().saturating_sub(began));
        }
        outcomes
    }

    /// Makes a publish ready, and hands it to the committer. For bytes in memory, `shared` may be what was reserved before.
    async fn submit(
        &self,
        mut draft: Draft,
        target: Target,
        shared: Option<Arc<OwnedSemaphorePermit>>,
    ) -> Result<Submitted, RegistryError> {
        draft.check()?;
        let settings = self.settings();
        if let DraftContent::Bytes(bytes) = &draft.content {
            self.check_size(&draft.name, bytes.len() as u64)?;
        }
        if let Target::Next(Bump::Pre(id)) = &target {
            numbered((0, 0, 0), id, 1)?;
        }
        let body = draft.metadata.encode(settings)?;
        let actor = draft.actor.take().unwrap_or_else(|| self.actor().clone());
        let inspect = admission::inspector(self, draft.request_id.as_ref()).await?;
        let name = &draft.name;
        let (content, mut reserved) = match draft.content {
            DraftContent::Bytes(bytes) => (Content::Whole(bytes), None),
            DraftContent::Stream(stream) => {
                let (limit, setting) = self.input_limit(inspect.is_some());
                let most = if inspect.is_some() { limit } else { STREAM_BYTES };
                let reserved = self.reserve(most.saturating_add(body.len() as u64)).await?;
                let input = Input::new(name, stream, limit, setting);
                (gather(input, inspect.is_some()).await?, Some(reserved))
            }
            DraftContent::File(path) => {
                let (limit, setting) = self.input_limit(inspect.is_some());
                let (stream, bytes) = input::file(name, path).await?;
                let most = if inspect.is_some() { bytes.min(limit) } else { bytes.min(STREAM_BYTES) };
                let reserved = self.reserve(most.saturating_add(body.len() as u64)).await?;
                let input = Input::new(name, stream, limit, setting);
                (gather(input, inspect.is_some()).await?, Some(reserved))
            }
        };
        let (blob, deposit) = match content {
            Content::Whole(bytes) => {
                let digest = match inspect {
                    Some(inspect) => {
                        let media_type = &draft.media_type;
                        Some(
                            admission::admit(self, inspect, name, media_type, &bytes, &target, &actor)
                                .await?,
                        )
                    }
                    None => None,
                };
                let needed = (bytes.len() as u64).saturating_add(body.len() as u64);
                match &mut reserved {
                    Some(reserved) => give_back(reserved, needed),
                    // A second one could wait for whoever waits for the turn that this publish has.
                    None if shared.is_some() => {}
                    None => reserved = Some(self.reserve(needed).await?),
                }
                (self.make_blob(bytes, digest).await?, None)
            }
            Content::Large(first, input) => {
                // All that is known of its size is that it is more than this.
                let compresses = settings.compress_from_bytes <= CHUNKED_FROM_BYTES;
                let level = compresses.then_some(settings.compression_level);
                let (deposit, blob) = Deposit::write(self, first, input, level).await?;
                (blob, Some(deposit))
            }
        };
        let needed = needed(&draft.metadata);
        let request = match draft.request_id {
            None => Request::new(None, &[]),
            id => {
                // What it was built from may differ when it is repeated.
                let metadata = Metadata { build: None, ..draft.metadata }.encode(settings)?;
                // So may the bump, and whether a version was named: what counts is the name, the content, and a version that is named.
                let digest = blob.digest.to_string();
                let parts = ["publish", draft.name.as_str(), &digest, &draft.media_type, &metadata];
                Request::new(id, &parts)
            }
        };
        let command = PublishCommand {
            name: draft.name,
            target,
            blob,
            deposit: deposit.clone(),
            media_type: draft.media_type,
            body,
            needed,
            actor,
            request,
            _reserved: reserved.map(Arc::new).or(shared),
        };
        let (reply, answer) = oneshot::channel();
        self.send(Command::Publish(Box::new(command), reply)).await?;
        Ok(Submitted { answer, deposit })
    }

    fn check_size(&self, name: &Name, size: u64) -> Result<(), RegistryError> {
        let limit = self.settings().max_artifact_bytes;
        if size > limit {
            let what = format!("publish {name}");
            return Err(RegistryError::TooLarge { what, size, limit, setting: "max_artifact_bytes" });
        }
        Ok(())
    }

    /// The most bytes that a stream may have, and which setting says so: what is inspected is gathered in memory.
    fn input_limit(&self, inspected: bool) -> (u64, &'static str) {
        let settings = self.settings();
        if inspected && settings.max_artifact_bytes < settings.max_stream_bytes {
            (settings.max_artifact_bytes, "max_artifact_bytes, since it must be inspected")
        } else {
            (settings.max_stream_bytes, "max_stream_bytes")
        }
    }

    async fn make_blob(&self, bytes: Bytes, digest: Option<Digest>) -> Result<Blob, RegistryError> {
        let (level, from) = (self.settings().compression_level, self.settings().compress_from_bytes);
        let heavy = bytes.len() >= HEAVY_BYTES;
        let make = move || {
            let digest = digest.unwrap_or_else(|| Digest::of(&bytes));
            Blob::new(&bytes, digest, level, from)
        };
        if heavy {
            tokio::task::spawn_blocking(make).await.map_err(|_| RegistryError::Closed)
        } else {
            Ok(make())
        }
    }

    /// Waits for the outcome of a publish.
    async fn published(&self, submitted: Submitted) -> Result<Published, RegistryError> {
        let outcome = self.answer(submitted.answer).await;
        if let Some(deposit) = submitted.deposit {
            deposit.clear().await;
        }
        outcome
    }
}

/// A publish that waits for its commit.
struct Submitted {
    answer: oneshot::Receiver<Result<Published, RegistryError>>,
    deposit: Option<Arc<Deposit>>,
}

/// What a stream or file turned out to hold.
enum Content {
    Whole(Bytes),
    /// More than fits: the first chunks, and where the others come from.
    Large(Vec<Bytes>, Input),
}

/// Reads until it is known whether the input is large, or, for `all` of it, to its end.
async fn gather(mut input: Input, all: bool) -> Result<Content, RegistryError> {
    let mut first = Vec::new();
    while let Some(chunk) = input.next_chunk().await? {
        first.push(chunk);
        if !all && input.taken() > CHUNKED_FROM_BYTES {
            return Ok(Content::Large(first, input));
        }
    }
    if first.len() < 2 {
        return Ok(Content::Whole(first.pop().unwrap_or_default()));
    }
    let mut whole = BytesMut::with_capacity(usize::try_from(input.taken()).unwrap_or_default());
    first.iter().for_each(|chunk| whole.extend_from_slice(chunk));
    Ok(Content::Whole(whole.freeze()))
}

impl PublishCommand {
    pub(crate) fn bytes(&self) -> usize {
        self.blob.record.len()
    }

    /// Decides what becomes of it, within a commit, and adds what it needs to the commit and to the pack.
    ///
    /// To be called once: the row takes its texts.
    pub(crate) fn apply(
        &mut self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
    ) -> Result<Published, RegistryError> {
        if let Some(first) = self.answered_before(commit)? {
            return Ok(first);
        }
        let version = match &self.target {
            Target::Exact(version) => {
                if let Some(hit) = commit.version(&self.name, version)? {
                    let found = self.compare(commit, hit, version)?;
                    if let Some(location) = commit.location(&self.blob.digest)? {
                        self.restore(commit, context, location)?;
                    }
                    let about = (&found.artifact.name, Some(&found.artifact.version));
                    self.request.note(commit, context, &self.actor, about, found.seq)?;
                    return Ok(found);
                }
                version.clone()
            }
            Target::Next(bump) => next_version(commit, context.skipped, &self.name, bump)?,
            Target::After { head, bump } => {
                let now = highest_live(commit.now(), &self.name)?.map(|hit| hit.seq);
                if now != *head {
                    return Err(RegistryError::HeadMoved { name: self.name.clone() });
                }
                match (bump, head) {
                    (None, Some(head)) => {
                        let found = published(&commit.now().row(*head)?.row)?;
                        let about = (&found.artifact.name, Some(&found.artifact.version));
                        self.request.note(commit, context, &self.actor, about, found.seq)?;
                        return Ok(found);
                    }
                    (Some(bump), _) => next_version(commit, context.skipped, &self.name, bump)?,
                    (None, None) => next_version(commit, context.skipped, &self.name, &Bump::Minor)?,
                }
            }
        };
        let known = commit.location(&self.blob.digest)?;
        let location = match known {
            Some(location) => self.restore(commit, context, location)?,
            None => self.store(commit, context)?,
        };
        let row = Row {
            seq: commit.next_seq(),
            kind: RowKind::Published,
            at: context.at,
            actor: self.actor.clone(),
            request_id: self.request.id(),
            name: Some(self.name.clone()),
            version: Some(version.clone()),
            content: Some(RowContent {
                digest: self.blob.digest,
                sha256: self.blob.sha256,
                size: self.blob.size,
                media_type: std::mem::take(&mut self.media_type),
            }),
            body: std::mem::take(&mut self.body),
        };
        let seq = row.seq;
        commit.publish(row, location, known.is_none())?;
        commit.add_dependencies((&self.name, &version), &self.needed, seq)?;
        let artifact = ArtifactRef::new(self.name.clone(), version);
        let event = ArtifactPublished::new(
            artifact.clone(),
            self.blob.digest,
            self.blob.size,
            known.is_some(),
            self.actor.clone(),
        );
        context.tell(&artifact, seq, RegistryEvent::Published(event));
        if known.is_some() {
            let event = ArtifactDeduplicated::new(artifact.clone(), self.blob.digest, self.blob.size);
            context.tell_apart(&artifact, RegistryEvent::Deduplicated(event));
        }
        Ok(Published {
            artifact,
            digest: self.blob.digest,
            seq,
            created: true,
            deduplicated: known.is_some(),
        })
    }

    /// Adds its bytes to what the commit writes.
    fn store(
        &self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
    ) -> Result<Location, RegistryError> {
        match &self.deposit {
            Some(deposit) => deposit.take(commit),
            None => context.packs.add(self.blob.digest, &self.blob.record),
        }
    }

    /// Where its bytes lie, which the catalog knows: where they are damaged or gone they are stored again, and what led there leads to
    /// the new place.
    fn restore(
        &self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
        known: Location,
    ) -> Result<Location, RegistryError> {
        if context.stored.holds(&self.blob.digest, self.blob.size, known) {
            return Ok(known);
        }
        let location = self.store(commit, context)?;
        commit.move_blob(&self.blob.digest, known, location)?;
        Ok(location)
    }

    /// The answer to the first command with this request id.
    fn answered_before(&self, commit: &Commit<'_>) -> Result<Option<Published>, RegistryError> {
        let Some(id) = self.request.id() else { return Ok(None) };
        let Some(row) = commit.request(&id)? else { return Ok(None) };
        let first = match row.kind {
            RowKind::Published => published(&row)?,
            RowKind::Answered if self.request.is_of(&row)? => {
                published(&commit.now().row(row.read_body::<AnsweredBody>()?.by)?.row)?
            }
            _ => return Err(reused(&id, &row)),
        };
        let same_version = match &self.target {
            Target::Exact(version) => *version == first.artifact.version,
            Target::Next(_) | Target::After { .. } => true,
        };
        let same_content = row.kind == RowKind::Answered || self.difference(&row).is_none();
        if same_version && first.artifact.name == self.name && same_content {
            return Ok(Some(first));
        }
        Err(reused(&id, &row))
    }

    /// The version exists: it is the same, or a conflict.
    fn compare(
        &self,
        commit: &Commit<'_>,
        hit: VersionHit,
        version: &Version,
    ) -> Result<Published, RegistryError> {
        let row = commit.now().row(hit.seq)?.row;
        let found = published(&row)?;
        let reason = if found.artifact.version != *version {
            "versions that differ in build metadata only are the same version"
        } else if let Some(reason) = self.difference(&row) {
            reason
        } else {
            return Ok(found);
        };
        Err(RegistryError::VersionTaken { artifact: found.artifact, existing: found.digest, reason })
    }

    fn difference(&self, row: &Row) -> Option<&'static str> {
        match &row.content {
            Some(content) if content.digest == self.blob.digest => {
                if content.media_type != self.media_type {
                    Some("the media type is another")
                } else if !same_but_build(&row.body, &self.body) {
                    Some("the metadata is other")
                } else {
                    None
                }
            }
            _ => Some("the bytes are others"),
        }
    }
}

/// What a publish's row says to whoever repeats it.
fn published(row: &Row) -> Result<Published, RegistryError> {
    match (row.kind, &row.name, &row.version, &row.content) {
        (RowKind::Published, Some(name), Some(version), Some(content)) => Ok(Published {
            artifact: ArtifactRef::new(name.clone(), version.clone()),
            digest: content.digest,
            seq: row.seq,
            created: false,
            deduplicated: false,
        }),
        _ => {
            let seq = i64::try_from(row.seq).unwrap_or(i64::MAX);
            Err(RegistryError::corrupt_row(seq, "it is not the publish that the index says it is"))
        }
    }
}

/// What the next version is compared with: the highest release that is not yanked, or else the highest pre-release.
pub(crate) fn highest_live(now: Snapshot<'_>, name: &Name) -> Result<Option<VersionHit>, RegistryError> {
    let release = now.highest(name, Class::Release, None)?;
    release.map_or_else(|| now.highest(name, Class::PreRelease, None), |hit| Ok(Some(hit)))
}

/// The version that `bump` gives with everything committed and in this commit.
fn next_version(
    commit: &Commit<'_>,
    skipped: &mut Skipped,
    name: &Name,
    bump: &Bump,
) -> Result<Version, RegistryError> {
    let highest = |class| -> Result<Option<Version>, RegistryError> {
        let hit = commit.now().highest(name, class, None)?;
        hit.map(|hit| Ok(published(&commit.now().row(hit.seq)?.row)?.artifact.version)).transpose()
    };
    let head = Head { release: highest(Class::Release)?, pre_release: highest(Class::PreRelease)? };
    let Bump::Pre(id) = bump else {
        let first = bump.first(&head)?;
        if commit.version(name, &first)?.is_none() {
            return Ok(first);
        }
        let mut version = skipped.behind(name, bump, &first).unwrap_or_else(|| first.clone());
        while commit.version(name, &version)?.is_some() {
            version = bump.next(&version)?;
        }
        skipped.note(name, bump, first, version.clone());
        return Ok(version);
    };
    let target = bump.pre_release_target(&head)?;
    let (from, to) = VersionKey::numbered(target, id);
    let range = KeyRange { from, to: Some(to) };
    let too_great = |taken: &Version| RegistryError::Invalid {
        what: format!("count up version {taken}"),
        reason: "its number is too great".to_owned(),
    };
    let mut next = 1_u64;
    for class in [Class::PreRelease, Class::YankedPreRelease] {
        if let Some(hit) = commit.now().highest(name, class, Some(&range))? {
            let taken = published(&commit.now().row(hit.seq)?.row)?.artifact.version;
            let number = taken.pre_release().get(id.len().saturating_add(1)..).unwrap_or_default();
            let number = number.split('.').next().unwrap_or_default();
            let number = number.parse::<u64>().ok().and_then(|number| number.checked_add(1));
            next = next.max(number.ok_or_else(|| too_great(&taken))?);
        }
    }
    numbered(target, id, next)
}
