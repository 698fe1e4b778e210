use std::sync::Arc;

use bytes::Bytes;
use mcp_core::{ErrorKind, Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::storage::{Key, PutWhen, StorageBackend, StorageError};
use crate::{RegistryError, format};

const KEY: &str = "owner";
/// What somebody else has written there is not read beyond this.
const MAX_BYTES: u64 = 4 << 10;
const MAX_HOLDER_CHARS: usize = 300;

/// What the owner object says: which catalog the packs beside it belong to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Owner {
    format: u32,
    catalog: Id,
    /// Who claimed it, and when: for people.
    holder: String,
    at: Timestamp,
}

impl Owner {
    /// Refuses every catalog but the one that owns the storage; `None` is one that does not exist yet.
    pub(crate) fn check(&self, catalog: Option<Id>) -> Result<(), RegistryError> {
        if catalog == Some(self.catalog) {
            return Ok(());
        }
        Err(RegistryError::OwnedByAnother {
            catalog: catalog.map_or_else(|| "that is new".to_owned(), |id| id.to_string()),
            owner: self.catalog,
            holder: self.holder.clone(),
            at: self.at,
        })
    }
}

/// What owns the storage, if anything does yet.
pub(crate) async fn find(storage: &Arc<dyn StorageBackend>) -> Result<Option<Owner>, RegistryError> {
    read(&**storage, &Key::known(KEY.to_owned())).await
}

/// Makes a storage that nothing owns the catalog's own, durably.
pub(crate) async fn claim(
    storage: &Arc<dyn StorageBackend>,
    catalog: Id,
    holder: &str,
    at: Timestamp,
) -> Result<(), RegistryError> {
    let key = Key::known(KEY.to_owned());
    let holder = holder.chars().take(MAX_HOLDER_CHARS).collect();
    let mut bytes = serde_json::to_vec(&Owner { format: format::FORMAT, catalog, holder, at })
        .map_err(|error| corrupt(error.to_string()))?;
    bytes.push(b'\n');
    match storage.put(&key, Bytes::from(bytes), PutWhen::Absent).await {
        Ok(()) => Ok(()),
        // Another was faster: unless it was a put of this very catalog whose answer was lost.
        Err(error) if error.kind() == ErrorKind::Conflict => match read(&**storage, &key).await? {
            Some(owner) => owner.check(Some(catalog)),
            None => Err(failed("writing its owner object", error)),
        },
        Err(error) => Err(failed("writing its owner object", error)),
    }
}

async fn read(storage: &dyn StorageBackend, key: &Key) -> Result<Option<Owner>, RegistryError> {
    let fail = |error| failed("reading its owner object", error);
    let Some(stat) = storage.stat(key).await.map_err(fail)? else { return Ok(None) };
    if stat.bytes > MAX_BYTES {
        return Err(corrupt(format!("it has {} bytes, more than {MAX_BYTES}", stat.bytes)));
    }
    let bytes = storage.read(key, 0..stat.bytes).await.map_err(fail)?;
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let found: Format = serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
    if found.format > format::FORMAT {
        return Err(RegistryError::NewerFormat { found: found.format, known: format::FORMAT });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| corrupt(error.to_string()))
}

fn failed(what: &str, source: StorageError) -> RegistryError {
    RegistryError::Storage { what: what.to_owned(), source }
}

fn corrupt(reason: String) -> RegistryError {
    RegistryError::Corrupt { what: "the owner of the storage".to_owned(), place: KEY.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStorage;

    fn storage() -> Arc<dyn StorageBackend> {
        Arc::new(MemoryStorage::new())
    }

    async fn claim_at(storage: &Arc<dyn StorageBackend>, catalog: u128) -> Result<(), RegistryError> {
        let catalog = Id::from_u128(catalog);
        match find(storage).await? {
            Some(owner) => owner.check(Some(catalog)),
            None => claim(storage, catalog, "process 7", Timestamp::UNIX_EPOCH).await,
        }
    }

    #[tokio::test]
    async fn the_first_catalog_owns_a_storage_and_a_second_learns_which() {
        let storage = storage();
        claim_at(&storage, 1).await.expect("claimed");
        claim_at(&storage, 1).await.expect("still its own");
        let error = claim_at(&storage, 2).await.expect_err("another's");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let text = error.to_string();
        assert!(text.contains("00000000-0000-0000-0000-000000000001 (process 7, 1970-01-01"), "{text}");
        let key: Key = KEY.parse().expect("a key");
        let expected = concat!(
            r#"{"format":1,"catalog":"00000000-0000-0000-0000-000000000001","holder":"process 7","#,
            r#""at":"1970-01-01T00:00:00.000000Z"}"#,
            "\n"
        );
        let length = expected.len() as u64;
        assert_eq!(&storage.read(&key, 0..length).await.expect("read")[..], expected.as_bytes());
    }

    #[tokio::test]
    async fn of_catalogs_that_claim_at_once_one_wins() {
        let storage = storage();
        let claims = (0..20).map(|catalog| claim_at(&storage, catalog));
        let outcomes = futures::future::join_all(claims).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }

    #[tokio::test]
    async fn an_owner_that_this_build_cannot_read_is_never_replaced() {
        for (text, kind) in [
            (r#"{"format":2,"who":"?"}"#, ErrorKind::Unsupported),
            (r#"{"format":1}"#, ErrorKind::Corrupt),
            ("", ErrorKind::Corrupt),
            (&"x".repeat(5000), ErrorKind::Corrupt),
        ] {
            let storage = storage();
            let key: Key = KEY.parse().expect("a key");
            storage.put(&key, Bytes::from(text.to_owned()), PutWhen::Always).await.expect("put");
            let error = claim_at(&storage, 1).await.expect_err(text);
            assert_eq!(error.kind(), kind, "{text:.20}");
            let stat = storage.stat(&key).await.expect("stat").expect("there");
            assert_eq!(stat.bytes, text.len() as u64);
        }
    }
}
