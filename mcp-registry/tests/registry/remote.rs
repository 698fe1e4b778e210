//! Storage that cannot append: what a commit costs there, and what is left when it fails.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use mcp_core::ErrorKind;
use mcp_registry::{
    Append, ByteStream, Draft, Key, LocalStorage, MemoryStorage, PutWhen, Registry, Select, Settings, Stat,
    StorageBackend, StorageError,
};

use crate::{assert_sound, name, put, text, version};

/// Counts the packs that are put.
#[derive(Default)]
struct Counting {
    inner: MemoryStorage,
    packs: AtomicU64,
}

#[async_trait]
impl StorageBackend for Counting {
    async fn put(&self, key: &Key, bytes: Bytes, when: PutWhen) -> Result<(), StorageError> {
        if key.as_str().starts_with("packs/") {
            self.packs.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.put(key, bytes, when).await
    }

    async fn put_stream(&self, key: &Key, stream: ByteStream) -> Result<u64, StorageError> {
        self.inner.put_stream(key, stream).await
    }

    async fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.inner.read(key, range).await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Stat>, StorageError> {
        self.inner.stat(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Stat>, StorageError> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, key: &Key) -> Result<(), StorageError> {
        self.inner.delete(key).await
    }

    fn append(&self) -> Option<&dyn Append> {
        None
    }
}

/// Publishes so many small artifacts at once, each under a name of its own.
pub(crate) async fn publish_at_once(registry: &Registry, artifacts: u64) {
    let publishers = (0..artifacts).map(|n| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let draft = Draft::new(&name(&format!("app-{n}")), format!("body {n}"));
            registry.publish(draft, &version("1.0.0")).await
        })
    });
    for outcome in join_all(publishers).await {
        outcome.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_small_artifacts_published_at_once_cost_a_handful_of_objects() {
    let storage = Arc::new(Counting::default());
    let registry = Registry::builder(Arc::clone(&storage) as Arc<dyn StorageBackend>).open().await.unwrap();
    publish_at_once(&registry, 1000).await;
    let packs = storage.packs.load(Ordering::SeqCst);
    assert!((1..=8).contains(&packs), "1,000 artifacts in {packs} objects");
    assert_eq!(text(&registry, "app-812", Select::exact("1.0.0")).await.unwrap(), "body 812");
    assert_sound(&registry).await;
}

#[tokio::test]
async fn who_publishes_alone_does_not_linger() {
    let settings = Settings { linger: std::time::Duration::from_secs(1), ..Settings::default() };
    let registry = Registry::in_memory().settings(settings).open().await.unwrap();
    let alone = async {
        for n in 0..100_u64 {
            publish_at_once(&registry, n % 2).await;
        }
    };
    // A hundred lingers would be a hundred seconds.
    tokio::time::timeout(std::time::Duration::from_secs(30), alone).await.unwrap();
}

#[tokio::test]
async fn a_second_catalog_is_refused_by_a_storage_that_has_an_owner_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn StorageBackend> = Arc::new(MemoryStorage::new());
    let open = |catalog: &str| {
        let builder = Registry::builder(Arc::clone(&storage)).catalog_in(folder.path().join(catalog));
        builder.holder(format!("the owner of {catalog}")).open()
    };
    let first = open("first").await.unwrap();
    put(&first, "app@1.0.0", "x").await;
    let refused = open("second").await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains("the owner of first"), "{refused}");
    assert!(!folder.path().join("second/catalog.db").exists(), "nothing is made for it");
    first.close().await.unwrap();
    let again = open("first").await.unwrap();
    assert_eq!(text(&again, "app", Select::latest()).await.unwrap(), "x");
    let refused = open("second").await.expect_err("still refused");
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
}

#[tokio::test]
async fn a_folder_that_holds_catalog_and_packs_needs_no_owner_object() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    registry.close().await.unwrap();
    assert!(!folder.path().join("owner").exists());
}

#[tokio::test]
async fn a_folder_whose_packs_belong_to_another_catalog_is_refused_by_one_that_would_be_in_it() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let storage: Arc<dyn StorageBackend> = Arc::new(LocalStorage::new(folder.path()));
    let first = Registry::builder(Arc::clone(&storage)).catalog_in(elsewhere.path()).open().await.unwrap();
    put(&first, "app@1.0.0", "x").await;
    for _ in 0..2 {
        let refused = Registry::open(folder.path()).await.expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        assert!(!folder.path().join("catalog.db").exists(), "nothing is made for it");
    }
    put(&first, "app@2.0.0", "y").await;
    assert_sound(&first).await;
    first.close().await.unwrap();
    // Where it is the owner's own catalog, both ways lead to it.
    let own = tempfile::tempdir().unwrap();
    let storage: Arc<dyn StorageBackend> = Arc::new(LocalStorage::new(own.path()));
    let registry = Registry::builder(storage).catalog_in(own.path()).open().await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    registry.close().await.unwrap();
    let registry = Registry::open(own.path()).await.unwrap();
    assert_eq!(text(&registry, "app", Select::latest()).await.unwrap(), "x");
}
