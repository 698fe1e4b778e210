use mcp_core::Name;

use super::Engine;
use crate::PromotionError;
use crate::host;

impl Engine {
    /// Makes sure that no other living engine has this one's owner name, where the journal can tell.
    pub(super) async fn claim(&self) -> Result<(), PromotionError> {
        let Some(owners) = self.inner.journal.owners() else { return Ok(()) };
        let owner = &self.inner.owner;
        let claim = || async {
            let claimed = host::call("journal", || owners.claim(owner)).await;
            claimed.map_err(PromotionError::seam(format!("take a lease as {owner}")))
        };
        self.inner.claim.get_or_try_init(claim).await.map(drop)
    }

    /// Whether the engine of that name is known to be gone. When in doubt it lives, and its lease ends in its time.
    pub(super) async fn is_gone(&self, owner: &Name) -> bool {
        match self.inner.journal.owners() {
            Some(owners) => host::call("journal", || owners.is_gone(owner)).await.unwrap_or(false),
            None => false,
        }
    }
}
