use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_core::{Digest, ErrorKind, Name};

use super::Engine;
use super::claims::Claims;
use super::plan_stream::LoadedPlan;
use super::stream::{Loaded, PAGE};
use super::verify_lanes::{Agreement, Tally};
use crate::journal::Chain;
use crate::{Checkpoint, Head, PlanId, PromotionError};

/// What the names of the engine's streams begin with. What else a journal holds (the checks of `conformance` leave some) is not looked at.
const STAGES: &str = "stage/";
const PLANS: &str = "plan/";

/// What [`Engine::verify`] has looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Every stream, and every stage of the pipeline also without events, sorted by name.
    pub heads: Vec<Head>,
}

/// What is known of a stream from elsewhere.
struct Known {
    version: u64,
    head: Digest,
    from: String,
}

impl Known {
    fn refuse(&self, stream: &Name, position: u64, what: &str) -> PromotionError {
        let reason = format!("{what} that {} has", self.from);
        PromotionError::Corrupt { stream: stream.clone(), position, reason }
    }
}

/// A stream that is read from its beginning, as strictly as what is in it allows.
enum Reader {
    Stage(Loaded, Tally),
    Plan(PlanId, Arc<LoadedPlan>),
    Other(Chain),
}

impl Reader {
    fn new(stream: &Name) -> Result<Self, PromotionError> {
        if let Some(stage) = stream.as_str().strip_prefix(STAGES) {
            let loaded = Loaded::nothing(stage.parse()?, stream.clone());
            return Ok(Self::Stage(loaded, Tally::default()));
        }
        Ok(match stream.as_str().strip_prefix(PLANS) {
            Some(plan) => {
                let id = plan.parse()?;
                Self::Plan(id, Arc::new(LoadedPlan::nothing(id)?))
            }
            None => Self::Other(Chain::start(stream.clone())),
        })
    }

    fn read(&mut self, bytes: &[u8], claims: &mut Claims) -> Result<(), PromotionError> {
        match self {
            Self::Stage(loaded, tally) => {
                let entry = loaded.read(bytes)?;
                tally.count(&entry.what);
                claims.compare(loaded.chain().stream(), loaded.chain().version(), &entry.what);
            }
            Self::Plan(id, loaded) => {
                let loaded = Arc::make_mut(loaded);
                let entry = loaded.read(*id, bytes)?;
                if let Some(course) = &loaded.course {
                    claims.note(loaded.chain.stream(), loaded.chain.version(), &entry.what, course);
                }
            }
            Self::Other(chain) => chain.follow(bytes)?,
        }
        Ok(())
    }

    fn chain(&self) -> &Chain {
        match self {
            Self::Stage(loaded, _) => loaded.chain(),
            Self::Plan(_, loaded) => &loaded.chain,
            Self::Other(chain) => chain,
        }
    }

    /// Whether it has come to the same event as `remembered`, and to another state.
    fn differs(&self, remembered: &Self) -> bool {
        self.chain() == remembered.chain()
            && match (self, remembered) {
                (Self::Stage(read, _), Self::Stage(remembered, _)) => read.state() != remembered.state(),
                (Self::Plan(_, read), Self::Plan(_, remembered)) => read.course != remembered.course,
                _ => false,
            }
    }
}

impl Engine {
    /// Reads every stream from its beginning: each event must fit the chain before it, the table of states and the invariants; and what this engine remembers must be what the events say (invariant 4).
    ///
    /// An end that was cut off leaves a chain that fits, and a stream that is gone as a whole counts as new, unless this engine has read more
    /// of it before: [`verify_against`](Self::verify_against) a checkpoint finds these.
    ///
    /// # Errors
    /// `Corrupt`, naming the first event that does not fit; `Unsupported` when a newer build wrote one.
    pub async fn verify(&self) -> Result<Audit, PromotionError> {
        self.audit(None).await
    }

    /// The same, and everything that `checkpoint` knows of must still be there and be the same: finds every event that was edited, dropped,
    /// moved or cut off since, a stream that is gone, an older copy of the whole journal, and a chain that was computed anew.
    ///
    /// # Errors
    /// `Corrupt`, naming stream and event: the first one that does not fit, or that is gone; or, where the chain fits and is not the one that
    /// the checkpoint knows, the last event that the checkpoint knows.
    pub async fn verify_against(&self, checkpoint: &Checkpoint) -> Result<Audit, PromotionError> {
        self.audit(Some(checkpoint)).await
    }

    /// Verifies everything, and says what every stream is now, to be kept elsewhere. It costs as much as reading the whole journal.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify): what is damaged is not vouched for.
    pub async fn checkpoint(&self) -> Result<Checkpoint, PromotionError> {
        let at = self.now();
        Checkpoint::new(at, self.audit(None).await?.heads)
    }

    async fn audit(&self, checkpoint: Option<&Checkpoint>) -> Result<Audit, PromotionError> {
        let mut streams: BTreeSet<Name> = self.inner.slots.values().map(|slot| slot.stream.clone()).collect();
        for prefix in [PLANS, STAGES] {
            streams.extend(self.list_streams(prefix).await?);
        }
        streams.extend(checkpoint.into_iter().flat_map(Checkpoint::heads).map(|head| head.stream.clone()));
        // Plans come before the stages of which they say something.
        let (mut heads, mut claims, mut agreement) = (Vec::new(), Claims::default(), Agreement::default());
        for stream in streams {
            let mut known = Vec::new();
            if let Some((checkpoint, head)) = checkpoint.and_then(|c| Some((c, c.head(&stream)?))) {
                let from = format!("the checkpoint of {}", checkpoint.at());
                known.push(Known { version: head.version, head: head.digest, from });
            }
            // Before the stream is read, so that it can only have grown since.
            let remembered = self.remembered(&stream).await;
            if let Some(chain) = remembered.as_ref().map(Reader::chain) {
                let from = "this engine's memory".to_owned();
                known.push(Known { version: chain.version(), head: chain.head(), from });
            }
            let reader = self.read_through(&stream, &known, &mut claims).await?;
            if let Reader::Stage(loaded, tally) = &reader {
                agreement.add(loaded.state(), *tally);
            }
            if remembered.is_some_and(|remembered| reader.differs(&remembered)) {
                return Err(PromotionError::Corrupt {
                    position: reader.chain().version(),
                    stream,
                    reason: "this engine remembers another state after it".to_owned(),
                });
            }
            let (version, digest) = (reader.chain().version(), reader.chain().head());
            heads.push(Head::new(stream, version, digest));
        }
        claims.check()?;
        self.verify_lanes(agreement).await?;
        Ok(Audit { heads })
    }

    /// What this engine has read of a stream before.
    async fn remembered(&self, stream: &Name) -> Option<Reader> {
        if let Some(id) = stream.as_str().strip_prefix(PLANS).and_then(|id| id.parse().ok()) {
            return Some(Reader::Plan(id, self.remembered_plan(id).await?));
        }
        let slot = self.met(&stream.as_str().strip_prefix(STAGES)?.parse().ok()?)?;
        Some(Reader::Stage(slot.loaded.lock().await.clone(), Tally::default()))
    }

    /// Reads a stream from its beginning, independently of what is remembered of it, and compares it with what is known.
    async fn read_through(
        &self,
        stream: &Name,
        known: &[Known],
        claims: &mut Claims,
    ) -> Result<Reader, PromotionError> {
        let mut reader = Reader::new(stream)?;
        let kept = self.kept(stream).await;
        loop {
            let version = reader.chain().version();
            let page = match self.read_page(stream, version, PAGE).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    return Err(self.locate(reader, stream, error).await);
                }
                page => page?,
            };
            if page.is_empty() {
                break;
            }
            for bytes in page {
                reader.read(&bytes, claims)?;
                if let (Reader::Stage(loaded, _), Some(kept)) = (&reader, &kept)
                    && kept.misremembers(loaded)
                {
                    return Err(PromotionError::Corrupt {
                        stream: stream.clone(),
                        position: loaded.chain().version(),
                        reason: "the snapshot beside it says something else than the events up to it"
                            .to_owned(),
                    });
                }
                let (version, head) = (reader.chain().version(), reader.chain().head());
                if let Some(known) = known.iter().find(|k| k.version == version && k.head != head) {
                    return Err(known.refuse(stream, version, "the chain up to it fits, and is not the one"));
                }
            }
        }
        let version = reader.chain().version();
        if let Some(known) = known.iter().find(|known| known.version > version) {
            let what = format!("it is gone: {version} events are left of the {}", known.version);
            return Err(known.refuse(stream, version.saturating_add(1), &what));
        }
        Ok(reader)
    }

    /// Which event it is that the journal cannot give: all before it can be read one by one.
    async fn locate(&self, mut reader: Reader, stream: &Name, error: PromotionError) -> PromotionError {
        loop {
            let version = reader.chain().version();
            match self.read_page(stream, version, 1).await {
                Ok(page) => match page.first().map(|bytes| reader.read(bytes, &mut Claims::default())) {
                    Some(Ok(())) => {}
                    Some(Err(misfit)) => return misfit,
                    None => return error,
                },
                Err(again) => {
                    let why = std::error::Error::source(&again);
                    let reason = why.map_or_else(|| again.to_string(), ToString::to_string);
                    let position = version.saturating_add(1);
                    return PromotionError::Corrupt { stream: stream.clone(), position, reason };
                }
            }
        }
    }
}
