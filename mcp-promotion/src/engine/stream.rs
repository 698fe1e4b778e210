use std::sync::Arc;

use mcp_core::{Digest, ErrorKind, Name, RequestId};

use super::{Engine, Slot};
use crate::journal::{Append, Chain};
use crate::machine::{Command, StageState, decide};
use crate::{Entry, Promotion, PromotionError, UsedRequestId};

/// How many events are read at once.
const PAGE: usize = 4096;
/// How often a command is decided again because others were faster.
const ATTEMPTS: u32 = 32;

/// What was read of a stage's stream.
pub(super) struct Loaded {
    chain: Chain,
    state: Arc<StageState>,
}

impl Loaded {
    pub(super) fn nothing(stage: Name, stream: Name) -> Self {
        Self { chain: Chain::start(stream), state: Arc::new(StageState::new(stage)) }
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
}

impl<'a> Change<'a> {
    /// What a person commands: decided again until it is through or refused.
    pub(super) const fn command(command: &'a Command, request: Option<&'a RequestId>) -> Self {
        Self { command, request, asserts: Vec::new(), attempts: ATTEMPTS, phase: None }
    }

    /// What a driver does with its lease: after a lost race it must look again, from the beginning.
    pub(super) const fn drive(command: &'a Command) -> Self {
        Self { command, request: None, asserts: Vec::new(), attempts: 1, phase: None }
    }

    /// What a driver has found out or done about `promotion`, as it knew it. It still counts when only others were written to the stream since
    /// (a vote, another request), but not when the promotion was moved, or when the lease is not its own any more.
    pub(super) const fn about(command: &'a Command, promotion: &Promotion) -> Self {
        let phase = Some((promotion.id.number, promotion.entered));
        Self { command, request: None, asserts: Vec::new(), attempts: ATTEMPTS, phase }
    }
}

impl Engine {
    /// The state after everything that the journal has now.
    pub(super) async fn load(&self, slot: &Slot) -> Result<Arc<StageState>, PromotionError> {
        let mut loaded = slot.loaded.lock().await;
        self.refresh(slot, &mut loaded).await?;
        Ok(Arc::clone(&loaded.state))
    }

    /// Reads what is new; whether there was something.
    async fn refresh(&self, slot: &Slot, loaded: &mut Loaded) -> Result<bool, PromotionError> {
        let before = loaded.chain.version();
        loop {
            let page = self.read_page(&slot.stream, loaded.chain.version(), PAGE).await?;
            for bytes in &page {
                loaded.read(bytes)?;
            }
            if page.is_empty() {
                break;
            }
        }
        let changed = loaded.chain.version() > before;
        if changed {
            self.tell_waiters(slot, loaded.chain.version());
        }
        Ok(changed)
    }

    fn tell_waiters(&self, slot: &Slot, version: u64) {
        slot.news.send_replace(version);
        for after in slot.after_it.iter().filter_map(|name| self.inner.slots.get(name)) {
            after.news.send_modify(|_| {});
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
            if self.append(slot, &mut loaded, &entries, &change.asserts).await? {
                return Ok(Committed::Now(
                    loaded.chain.version().saturating_add(1).saturating_sub(entries.len() as u64),
                ));
            }
            if !self.refresh(slot, &mut loaded).await? && change.asserts.is_empty() {
                // The journal has another version, and yet nothing new: it is not the one that was read before.
                *loaded = Loaded::nothing(slot.name.clone(), slot.stream.clone());
                self.refresh(slot, &mut loaded).await?;
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

    /// Whether it was appended; `false` after a lost race.
    async fn append(
        &self,
        slot: &Slot,
        loaded: &mut Loaded,
        entries: &[Entry],
        asserts: &[Append],
    ) -> Result<bool, PromotionError> {
        let before = loaded.chain.version();
        let mut chain = loaded.chain.clone();
        let events = entries.iter().map(|entry| chain.write(entry)).collect::<Result<Vec<_>, _>>()?;
        // Tried on a copy first: what cannot have happened must not get into the journal.
        let mut state = Arc::clone(&loaded.state);
        for entry in entries {
            Arc::make_mut(&mut state).apply(entry).map_err(|why| PromotionError::Internal {
                attempted: format!("append to stream {}", slot.stream),
                reason: why.to_string(),
            })?;
        }
        let mut batch = asserts.to_vec();
        batch.push(Append::new(slot.stream.clone(), before, events));
        match self.inner.journal.append(&batch).await {
            Ok(()) => {
                (loaded.chain, loaded.state) = (chain, state);
                self.emit(slot, &loaded.state, before, entries);
                self.tell_waiters(slot, loaded.chain.version());
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
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
