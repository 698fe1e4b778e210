use std::sync::Arc;

use mcp_core::Name;

use super::{Engine, Slot};
use crate::host;
use crate::journal::Chain;
use crate::machine::StageState;
use crate::{Entry, Happened, Promotion, PromotionError, PromotionId};

/// How many events are read at once: as many as the life of one promotion mostly has.
const PAGE: usize = 64;

/// What the state of a stage has left behind is read from the journal when somebody asks for it.
///
/// Each event that is read is checked against the one before it. That all of them are those from which the state was computed, only
/// [`verify`](Engine::verify) tells.
impl Engine {
    /// A promotion that `state` remembers, or else the journal: then its events are read, from its request to its end.
    pub(super) async fn promotion(
        &self,
        slot: &Slot,
        state: &StageState,
        number: u64,
    ) -> Result<Arc<Promotion>, PromotionError> {
        if let Some(promotion) = state.promotion(number) {
            return Ok(Arc::clone(promotion));
        }
        match self.recall(&slot.stream, state, number).await? {
            Some(promotion) => Ok(Arc::new(promotion)),
            None => Err(PromotionError::UnknownPromotion { promotion: state.id(number) }),
        }
    }

    /// A promotion that has ended and that `state` does not remember; `None` when there was none.
    pub(super) async fn recall(
        &self,
        stream: &Name,
        state: &StageState,
        number: u64,
    ) -> Result<Option<Promotion>, PromotionError> {
        if number == 0 || number > state.version() {
            return Ok(None);
        }
        let (mut chain, mut page) = self.read_from(stream, number, PAGE).await?;
        let mut promotion: Option<Promotion> = None;
        loop {
            for bytes in &page {
                let Entry { at, what, .. } = chain.read(bytes)?;
                match (&mut promotion, &what) {
                    (None, Happened::Requested(requested)) => {
                        let id = PromotionId::new(state.stage().clone(), number);
                        promotion = Some(Promotion::requested(id, at, requested));
                    }
                    (None, _) => return Ok(None),
                    (Some(promotion), what) if what.promotion(chain.version()) == Some(number) => {
                        promotion.follow(chain.version(), at, what);
                    }
                    (Some(_), _) => {}
                }
                if let Some(mut promotion) = promotion.take_if(|promotion| promotion.state.is_terminal()) {
                    // That it is left behind means that its pin, if it had one, was given up, which may stand much later in the stream.
                    promotion.pin_released = promotion.holder.is_some();
                    return Ok(Some(promotion));
                }
            }
            page = self.read_page(stream, chain.version(), PAGE).await?;
            if page.is_empty() {
                return Err(PromotionError::Corrupt {
                    stream: stream.clone(),
                    position: number,
                    reason: "this engine has read the end of this promotion, and it is not there".to_owned(),
                });
            }
        }
    }

    /// The event at `position`.
    pub(super) async fn entry_at(&self, stream: &Name, position: u64) -> Result<Entry, PromotionError> {
        let (mut chain, page) = self.read_from(stream, position, 1).await?;
        match page.first() {
            Some(bytes) => chain.read(bytes),
            None => Err(PromotionError::Corrupt {
                stream: stream.clone(),
                position,
                reason: "this engine has read it before, and it is not there".to_owned(),
            }),
        }
    }

    /// Some events from `position` on, and the chain that they must fit: that of the event before them.
    async fn read_from(
        &self,
        stream: &Name,
        position: u64,
        max: usize,
    ) -> Result<(Chain, Vec<Vec<u8>>), PromotionError> {
        let before = position.saturating_sub(1);
        let Some(after) = before.checked_sub(1) else {
            return Ok((Chain::start(stream.clone()), self.read_page(stream, 0, max).await?));
        };
        let mut page = self.read_page(stream, after, max.saturating_add(1)).await?;
        let rest = page.split_off(page.len().min(1));
        let last = page.first().map(Vec::as_slice).unwrap_or_default();
        Ok((Chain::behind(stream.clone(), before, last)?, rest))
    }

    pub(super) async fn read_page(
        &self,
        stream: &Name,
        after: u64,
        max: usize,
    ) -> Result<Vec<Vec<u8>>, PromotionError> {
        let read = host::call("journal", || self.inner.journal.read(stream, after, max)).await;
        read.map_err(|source| PromotionError::Seam {
            attempted: format!("read stream {stream} after event {after}"),
            source,
        })
    }

    /// The streams whose names begin with `prefix`.
    pub(super) async fn list_streams(&self, prefix: &str) -> Result<Vec<Name>, PromotionError> {
        let listed = host::call("journal", || self.inner.journal.streams(prefix)).await;
        listed.map_err(PromotionError::seam("list the streams of the journal"))
    }
}
