use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::{Bytes, BytesMut};
use mcp_core::{Candidate, Change, Digest, Name, RequestId};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit};

use crate::draft::DraftContent;
use crate::entry::Published;
use crate::input::{self, Input};
use crate::publish::{Target, highest_live};
use crate::registry::give_back;
use crate::{Bump, Draft, Registry, RegistryError};

/// How often a comparison is made anew because somebody else published in between.
const MAX_ATTEMPTS: usize = 32;

/// Those who let the next version of a name be chosen by comparison take turns, each name for itself: each would otherwise move the
/// head of all others, and all but one would compare in vain.
#[derive(Default)]
pub(crate) struct Turns(Mutex<BTreeMap<Name, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn take(&self, name: &Name) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(name).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(name.clone(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

impl Registry {
    /// Publishes under the version that a comparison with the highest one gives. Comparing happens outside the commit; the commit looks
    /// whether that version is still the highest, and if not it is compared again.
    pub(crate) async fn publish_auto(&self, mut draft: Draft) -> Result<Published, RegistryError> {
        draft.check()?;
        let (bytes, reserved) = self.gather(&mut draft).await?;
        let reserved = Arc::new(reserved);
        let _turn = self.turns().take(&draft.name).await;
        for _ in 0..MAX_ATTEMPTS {
            let target = if self.is_answered(draft.request_id.clone()).await? {
                // The commit gives the first answer before it looks at a head; no row is 0.
                Target::After { head: Some(0), bump: None }
            } else {
                self.compare_with_head(&draft.name, &draft.media_type, &bytes).await?
            };
            let attempt = draft.attempt(bytes.clone());
            match self.publish_within(attempt, target, Some(Arc::clone(&reserved))).await {
                Err(RegistryError::HeadMoved { .. }) => {}
                outcome => return outcome,
            }
        }
        Err(RegistryError::HeadMoved { name: draft.name })
    }

    async fn is_answered(&self, id: Option<RequestId>) -> Result<bool, RegistryError> {
        let Some(id) = id else { return Ok(false) };
        self.readers().read(move |now| Ok(now.request(&id)?.is_some())).await
    }

    async fn compare_with_head(
        &self,
        name: &Name,
        media_type: &str,
        bytes: &Bytes,
    ) -> Result<Target, RegistryError> {
        let classify = self.classify().ok_or_else(|| RegistryError::Unsupported {
            what: format!("choose the next version of {}", name),
            reason: "the registry was opened without a Classify; say which number counts up",
        })?;
        let of = name.clone();
        let found = self
            .readers()
            .read(move |now| highest_live(*now, &of)?.map(|hit| now.entry(hit)).transpose())
            .await?;
        let Some((entry, location)) = found else { return Ok(Target::After { head: None, bump: None }) };
        let (head, version) = (entry.seq, entry.artifact.version.clone());
        let change = if entry.media_type == media_type && entry.digest == Digest::of(bytes) {
            Change::Identical
        } else {
            let limit = self.settings().max_artifact_bytes;
            if entry.size > limit {
                let what = format!("compare with {}", entry.artifact);
                let (size, setting) = (entry.size, "max_artifact_bytes");
                return Err(RegistryError::TooLarge { what, size, limit, setting });
            }
            let old = self.content(Arc::new(entry), location).await?;
            let old_type = old.entry.media_type.clone();
            let old = Candidate::new(name.clone(), old_type, old.bytes).with_version(version.clone());
            let new = Candidate::new(name.clone(), media_type, bytes.clone());
            let change = classify.classify(&old, &new).await;
            change.map_err(|source| RegistryError::Classification { name: name.clone(), source })?
        };
        Ok(Target::After { head: Some(head), bump: Bump::after(change, &version) })
    }

    /// All bytes of a draft, since they are compared as a whole, and what is reserved for them and its metadata.
    async fn gather(&self, draft: &mut Draft) -> Result<(Bytes, OwnedSemaphorePermit), RegistryError> {
        let body = draft.metadata.encode(self.settings())?.len() as u64;
        let (limit, setting) =
            (self.settings().max_artifact_bytes, "max_artifact_bytes, since it must be compared");
        let content = std::mem::replace(&mut draft.content, DraftContent::Bytes(Bytes::new()));
        let (stream, most) = match content {
            DraftContent::Bytes(bytes) if bytes.len() as u64 > limit => {
                let (what, size) = (format!("publish {}", draft.name), bytes.len() as u64);
                return Err(RegistryError::TooLarge { what, size, limit, setting: "max_artifact_bytes" });
            }
            DraftContent::Bytes(bytes) => {
                let reserved = self.reserve(body.saturating_add(bytes.len() as u64)).await?;
                return Ok((bytes, reserved));
            }
            DraftContent::Stream(stream) => (stream, limit),
            DraftContent::File(path) => {
                let (stream, bytes) = input::file(&draft.name, path).await?;
                (stream, bytes.min(limit))
            }
        };
        let mut reserved = self.reserve(body.saturating_add(most)).await?;
        let mut input = Input::new(&draft.name, stream, limit, setting);
        let mut whole = BytesMut::new();
        while let Some(chunk) = input.next_chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        give_back(&mut reserved, body.saturating_add(whole.len() as u64));
        Ok((whole.freeze(), reserved))
    }
}
