use std::sync::Arc;

use mcp_core::{Digest, ErrorKind, Name, RequestId};
use tokio::sync::MutexGuard;

use super::waiting::comes_to_rest;
use super::{Engine, Slot};
use crate::host;
use crate::journal::{Append, Chain};
use crate::machine::{Command, StageState, beside, concerns_stage, decide};
use crate::{Entry, Happened, Promotion, PromotionError, UsedRequestId};

/// How many events are read at once.
pub(super) const PAGE: usize = 4096;
/// How often a command is decided again because others were faster.
const ATTEMPTS: u32 = 32;

/// What was read of a stage's stream.
#[derive(Clone)]
pub(super) struct Loaded {
    chain: Chain,
    state: Arc<StageState>,
    /// After how many events the last snapshot was made; `None` before one was looked for.
    kept: Option<u64>,
}

impl Loaded {
    pub(super) fn nothing(stage: Name, stream: Name) -> Self {
        Self { chain: Chain::start(stream), state: Arc::new(StageState::new(stage)), kept: None }
    }

    pub(super) fn restored(chain: Chain, state: Arc<StageState>) -> Self {
        let kept = Some(chain.version());
        Self { chain, state, kept }
    }

    /// What is to be kept beside the stream now; the same is not asked for twice.
    fn due_snapshot(&mut self, after: u64) -> Option<(Chain, Arc<StageState>)> {
        let version = self.chain.version();
        let events = version.saturating_sub(self.kept.unwrap_or(0));
        if events < after.max(1) || events < self.state.entries() as u64 {
            return None;
        }
        self.kept = Some(version);
        Some((self.chain.clone(), Arc::clone(&self.state)))
    }

    /// Goes on by one stored event, or leaves everything as it was.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Entry, PromotionError> {
        let mut chain = self.chain.clone();
        let entry = chain.read(bytes)?;
        self.apply(&entry, chain.version())?;
        self.chain = chain;
        Ok(entry)
    }

    fn apply(&mut self, entry: &Entry, position: u64) -> Result<(), PromotionError> {
        Arc::make_mut(&mut self.state).apply(entry).map_err(|why| PromotionError::Corrupt {
            stream: self.chain.stream().clone(),
            position,
            reason: why.to_string(),
        })
    }

    /// The append of these events, and what is then known. Tried on a copy: what cannot have happened must not get into the journal.
    fn write(&self, entries: &[Entry]) -> Result<(Append, Self), PromotionError> {
        let (stream, before) = (self.chain.stream().clone(), self.chain.version());
        let mut after = self.clone();
        let events = entries.iter().map(|entry| after.chain.write(entry)).collect::<Result<Vec<_>, _>>()?;
        for entry in entries {
            Arc::make_mut(&mut after.state).apply(entry).map_err(|why| PromotionError::Internal {
                attempted: format!("append to stream {stream}"),
                reason: why.to_string(),
            })?;
        }
        Ok((Append::new(stream, before, events), after))
    }

    pub(super) const fn state(&self) -> &Arc<StageState> {
        &self.state
    }

    pub(super) const fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// What became of a command.
pub(super) enum Committed {
    /// Its events were appended; the first one at this position.
    Now(u64),
    /// Its request id was used before, for the same command, whose first event has this position.
    Before(u64),
    /// There was nothing to do.
    Nothing,
}

/// A command together with how it is to be appended.
pub(super) struct Change<'a> {
    pub(super) command: &'a Command,
    pub(super) request: Option<&'a RequestId>,
    /// Versions of other streams that must still hold.
    pub(super) asserts: Vec<Append>,
    /// How often it may be decided again after a lost race.
    pub(super) attempts: u32,
    /// A promotion, and the event that must still be the last one to have moved it.
    pub(super) phase: Option<(u64, u64)>,
    /// What is appended to another stream in the same step.
    pub(super) also: Option<Also<'a>>,
}

/// The stage of a lane, while both streams are appended to.
struct Whole<'a> {
    slot: &'a Slot,
    loaded: MutexGuard<'a, Loaded>,
    entries: Vec<Entry>,
}

/// What is appended to another stream, given the position of the command's first event.
pub(super) type Also<'a> = &'a (dyn Fn(u64) -> Result<Append, PromotionError> + Send + Sync);

impl<'a> Change<'a> {
    /// What a person commands: decided again until it is through or refused.
    pub(super) const fn command(command: &'a Command, request: Option<&'a RequestId>) -> Self {
        Self { command, request, asserts: Vec::new(), attempts: ATTEMPTS, phase: None, also: None }
    }

    /// What a driver does with its lease: after a lost race it must look again, from the beginning.
    pub(super) const fn drive(command: &'a Command) -> Self {
        Self { command, request: None, asserts: Vec::new(), attempts: 1, phase: None, also: None }
    }

    /// What a driver has found out or done about `promotion`, as it knew it. It still counts when only others were written to the stream since
    /// (a vote, another request), but not when the promotion was moved, or when the lease is not its own any more.
    pub(super) const fn about(command: &'a Command, promotion: &Promotion) -> Self {
        let phase = Some((promotion.id.number, promotion.entered));
        Self { command, request: None, asserts: Vec::new(), attempts: ATTEMPTS, phase, also: None }
    }
}

impl Engine {
    /// The state after everything that the journal has now.
    pub(super) async fn load(&self, slot: &Slot) -> Result<Arc<StageState>, PromotionError> {
        let mut loaded = slot.loaded.lock().await;
        self.refresh(slot, &mut loaded).await?;
        let (state, due) =
            (Arc::clone(&loaded.state), loaded.due_snapshot(self.inner.settings.snapshot_events));
        drop(loaded);
        if let Some((chain, state)) = due {
            self.keep(&chain, &state).await;
        }
        Ok(state)
    }

    /// Reads what is new; whether there was something.
    async fn refresh(&self, slot: &Slot, loaded: &mut Loaded) -> Result<bool, PromotionError> {
        let before = loaded.chain.version();
        let mut resting = Vec::new();
        if before == 0 && loaded.kept.is_none() {
            match self.restore(slot).await {
                Some(restored) => {
                    *loaded = restored;
                    slot.waiting.tell_all();
                }
                None => loaded.kept = Some(0),
            }
        }
        loop {
            let page = self.read_page(&slot.stream, loaded.chain.version(), PAGE).await?;
            for bytes in &page {
                let entry = loaded.read(bytes)?;
                resting.extend(comes_to_rest(&entry.what));
            }
            if page.is_empty() {
                break;
            }
        }
        let changed = loaded.chain.version() > before;
        if changed {
            self.tell_waiters(slot, loaded);
        }
        resting.into_iter().for_each(|number| slot.waiting.tell(number));
        Ok(changed)
    }

    fn tell_waiters(&self, slot: &Slot, loaded: &Loaded) {
        let version = loaded.chain.version();
        // A stream that was only read again is no news: a driver that waits would otherwise wake itself.
        if !slot.news.send_if_modified(|known| std::mem::replace(known, version) != version) {
            return;
        }
        Self::tell_lanes(slot, &loaded.state);
        self.inner.plan_news.tell(Some(&slot.name));
        for after in slot.after_it.iter().filter_map(|name| self.inner.slots.get(name)) {
            after.news.send_modify(|_| {});
            // A release that has succeeded here may go on in one of them.
            if let Ok(loaded) = after.loaded.try_lock() {
                Self::tell_lanes(after, &loaded.state);
            }
        }
    }

    /// Decides a command and appends its events, as one.
    pub(super) async fn commit(&self, slot: &Slot, change: Change<'_>) -> Result<Committed, PromotionError> {
        let mut loaded = slot.loaded.lock().await;
        self.refresh(slot, &mut loaded).await?;
        let used = match change.request {
            Some(id) => Some(UsedRequestId { id: id.clone(), command: fingerprint(change.command)? }),
            None => None,
        };
        for _ in 0..change.attempts.max(1) {
            if let Some(used) = &used
                && let Some(position) = loaded.state.request(&used.id)
            {
                let entry = self.entry_at(&slot.stream, position).await?;
                if entry.request.as_ref() == Some(used) {
                    return Ok(Committed::Before(position));
                }
                return Err(PromotionError::reused(&slot.name, &used.id));
            }
            if let Some((number, entered)) = change.phase
                && loaded.state.promotion(number).is_none_or(|promotion| promotion.entered != entered)
            {
                return Err(PromotionError::Contended { stream: slot.stream.clone(), attempts: 1 });
            }
            let now = self.now();
            let mut request = used.clone();
            let asked = self.asked(slot, &loaded.state, change.command).await?;
            let entries: Vec<Entry> = decide(&asked, change.command, now)?
                .into_iter()
                .map(|what| Entry { at: now, request: request.take(), what })
                .collect();
            if entries.is_empty() {
                return Ok(Committed::Nothing);
            }
            let mut whole = self.beside(slot, &loaded.state, &entries).await?;
            let mut others = change.asserts.clone();
            if let Some(also) = change.also {
                others.push(also(loaded.chain.version().saturating_add(1))?);
            }
            if self.append(slot, &mut loaded, &entries, &others, whole.as_mut()).await? {
                return Ok(Committed::Now(
                    loaded.chain.version().saturating_add(1).saturating_sub(entries.len() as u64),
                ));
            }
            let mut fresh = self.refresh(slot, &mut loaded).await?;
            if let Some(Whole { slot, loaded, .. }) = &mut whole {
                fresh |= self.refresh(slot, loaded).await?;
            }
            if !fresh && others.is_empty() {
                // The journal has another version, and yet nothing new: it is not the one that was read before.
                self.reload(slot, &mut loaded).await?;
                if let Some(Whole { slot, loaded, .. }) = &mut whole {
                    self.reload(slot, loaded).await?;
                }
            }
        }
        Err(PromotionError::Contended { stream: slot.stream.clone(), attempts: change.attempts })
    }

    /// The state, together with the promotion that the command is about, also when that has ended long ago.
    async fn asked(
        &self,
        slot: &Slot,
        state: &Arc<StageState>,
        command: &Command,
    ) -> Result<Arc<StageState>, PromotionError> {
        if let Some(number) = command.promotion()
            && state.promotion(number).is_none()
            && let Some(ended) = self.recall(&slot.stream, state, number).await?
        {
            return Ok(Arc::new(state.with_ended(ended)));
        }
        Ok(Arc::clone(state))
    }

    /// Forgets what was read, and reads it anew.
    async fn reload(&self, slot: &Slot, loaded: &mut Loaded) -> Result<(), PromotionError> {
        *loaded = Loaded::nothing(slot.name.clone(), slot.stream.clone());
        self.refresh(slot, loaded).await.map(drop)
    }

    /// The stage of a lane, where these events of the lane ask for some in the stream of the stage. It stays locked until they are appended;
    /// nobody locks a lane while a stage is.
    async fn beside(
        &self,
        slot: &Slot,
        lane: &StageState,
        entries: &[Entry],
    ) -> Result<Option<Whole<'_>>, PromotionError> {
        let Some(whole) =
            self.whole_of(slot).filter(|_| entries.iter().any(|entry| concerns_stage(&entry.what)))
        else {
            return Ok(None);
        };
        let mut loaded = whole.loaded.lock().await;
        self.refresh(whole, &mut loaded).await?;
        let events: Vec<&Happened> = entries.iter().map(|entry| &entry.what).collect();
        let at = entries.first().map_or_else(|| self.now(), |entry| entry.at);
        let happened = beside(&loaded.state, lane, &events)?;
        let entries: Vec<Entry> =
            happened.into_iter().map(|what| Entry { at, request: None, what }).collect();
        Ok((!entries.is_empty()).then_some(Whole { slot: whole, loaded, entries }))
    }

    /// Whether it was appended; `false` after a lost race.
    async fn append(
        &self,
        slot: &Slot,
        loaded: &mut Loaded,
        entries: &[Entry],
        others: &[Append],
        whole: Option<&mut Whole<'_>>,
    ) -> Result<bool, PromotionError> {
        let before = loaded.chain.version();
        let (append, after) = loaded.write(entries)?;
        let mut batch = others.to_vec();
        batch.push(append);
        let whole = match whole {
            Some(whole) => {
                let (append, after) = whole.loaded.write(&whole.entries)?;
                batch.push(append);
                Some((whole, after))
            }
            None => None,
        };
        match host::call("journal", || self.inner.journal.append(&batch)).await {
            Ok(()) => {
                self.count_append(&loaded.state, &after.state, entries);
                *loaded = after;
                self.emit(slot, &loaded.state, before, entries);
                self.tell_waiters(slot, loaded);
                let resting = entries.iter().filter_map(|entry| comes_to_rest(&entry.what));
                resting.for_each(|number| slot.waiting.tell(number));
                if let Some((whole, after)) = whole {
                    *whole.loaded = after;
                    self.tell_waiters(whole.slot, &whole.loaded);
                }
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.count_lost_race();
                Ok(false)
            }
            Err(source) => {
                Err(PromotionError::Seam { attempted: format!("append to stream {}", slot.stream), source })
            }
        }
    }
}

/// The same for the same command, and different for another one.
fn fingerprint(command: &Command) -> Result<Digest, PromotionError> {
    let json = serde_json::to_vec(command).map_err(|error| PromotionError::Internal {
        attempted: "write a command as JSON".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Digest::of(&json))
}
