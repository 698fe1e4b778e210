use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{ErrorKind, Name};
use tokio::sync::Mutex;

use super::Engine;
use crate::PromotionError;
use crate::host;
use crate::journal::{Append, Chain};
use crate::plan::{Course, PlanEntry, PlanId};

/// How many events are read at once.
const PAGE: usize = 4096;
pub(super) const PREFIX: &str = "plan/";

/// What was read of a plan's stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LoadedPlan {
    pub(super) chain: Chain,
    /// `None` before its first event.
    pub(super) course: Option<Course>,
}

/// The plans that this engine has read.
pub(super) type Plans = Mutex<BTreeMap<PlanId, Arc<LoadedPlan>>>;

impl LoadedPlan {
    pub(super) fn nothing(id: PlanId) -> Result<Self, PromotionError> {
        Ok(Self { chain: Chain::start(stream(id)?), course: None })
    }

    pub(super) fn is_over(&self) -> bool {
        self.course.as_ref().is_some_and(Course::is_over)
    }

    fn apply(&mut self, id: PlanId, entry: &PlanEntry) -> Result<(), String> {
        match &mut self.course {
            Some(course) => course.apply(entry),
            None => {
                self.course = Some(Course::begin(id, entry)?);
                Ok(())
            }
        }
    }

    /// Goes on by one stored event.
    pub(super) fn read(&mut self, id: PlanId, bytes: &[u8]) -> Result<PlanEntry, PromotionError> {
        let mut chain = self.chain.clone();
        let entry: PlanEntry = chain.read_as(bytes)?;
        self.apply(id, &entry).map_err(|reason| PromotionError::Corrupt {
            stream: chain.stream().clone(),
            position: chain.version(),
            reason,
        })?;
        self.chain = chain;
        Ok(entry)
    }

    /// The append of these events behind what was read, tried on a copy first, and what is then known.
    pub(super) fn write(&self, id: PlanId, entries: &[PlanEntry]) -> Result<(Append, Self), PromotionError> {
        let mut after = self.clone();
        let mut events = Vec::with_capacity(entries.len());
        for entry in entries {
            events.push(after.chain.write_as(entry)?);
            after.apply(id, entry).map_err(|reason| PromotionError::Internal {
                attempted: format!("append to stream {}", self.chain.stream()),
                reason,
            })?;
        }
        Ok((Append::new(self.chain.stream().clone(), self.chain.version(), events), after))
    }
}

pub(super) fn stream(id: PlanId) -> Result<Name, PromotionError> {
    Ok(format!("{PREFIX}{id}").parse()?)
}

impl Engine {
    /// What the journal says of a plan now.
    pub(super) async fn load_plan(&self, id: PlanId) -> Result<Arc<LoadedPlan>, PromotionError> {
        let mut plans = self.inner.plans.lock().await;
        let known = match plans.get(&id) {
            Some(known) => Arc::clone(known),
            None => Arc::new(LoadedPlan::nothing(id)?),
        };
        let loaded = self.replay_plan(id, known, |_| ()).await?;
        if loaded.course.is_some() {
            plans.insert(id, Arc::clone(&loaded));
        }
        Ok(loaded)
    }

    pub(super) async fn replay_plan(
        &self,
        id: PlanId,
        mut loaded: Arc<LoadedPlan>,
        mut each: impl FnMut(PlanEntry),
    ) -> Result<Arc<LoadedPlan>, PromotionError> {
        let stream = stream(id)?;
        loop {
            let page = self.read_page(&stream, loaded.chain.version(), PAGE).await?;
            if page.is_empty() {
                return Ok(loaded);
            }
            let reading = Arc::make_mut(&mut loaded);
            for bytes in page {
                each(reading.read(id, &bytes)?);
            }
        }
    }

    /// What this engine remembers of a plan.
    pub(super) async fn remembered_plan(&self, id: PlanId) -> Option<Arc<LoadedPlan>> {
        self.inner.plans.lock().await.get(&id).cloned()
    }

    /// What is known after the events were appended; `None` after a lost race.
    pub(super) async fn append_plan(
        &self,
        id: PlanId,
        loaded: &LoadedPlan,
        entries: &[PlanEntry],
    ) -> Result<Option<Arc<LoadedPlan>>, PromotionError> {
        let (append, after) = loaded.write(id, entries)?;
        match host::call("journal", || self.inner.journal.append(std::slice::from_ref(&append))).await {
            Ok(()) => {
                let after = Arc::new(after);
                self.remember_plan(id, &after).await;
                self.emit_plan(id, loaded.chain.version(), entries, after.course.as_ref());
                self.inner.plan_news.tell(None);
                Ok(Some(after))
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(source) => {
                Err(PromotionError::Seam { attempted: format!("append to stream {PREFIX}{id}"), source })
            }
        }
    }

    pub(super) async fn remember_plan(&self, id: PlanId, after: &Arc<LoadedPlan>) {
        let mut plans = self.inner.plans.lock().await;
        if plans.get(&id).is_none_or(|known| known.chain.version() < after.chain.version()) {
            plans.insert(id, Arc::clone(after));
        }
    }
}
