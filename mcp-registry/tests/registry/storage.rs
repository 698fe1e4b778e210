use std::sync::Arc;

use mcp_registry::{LocalStorage, MemoryStorage, StorageBackend, conformance};

#[tokio::test]
async fn memory_storage_does_what_the_trait_demands() {
    let storage: Arc<dyn StorageBackend> = Arc::new(MemoryStorage::new());
    conformance::check(&storage).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test]
async fn local_storage_does_what_the_trait_demands() {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn StorageBackend> = Arc::new(LocalStorage::new(folder.path().join("a/b")));
    conformance::check(&storage).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test]
async fn local_storage_lists_only_objects() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["packs/.put-1-1", "packs/Strange", ".hidden", "packs/good"] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    }
    let keys: Vec<String> = LocalStorage::new(folder.path())
        .list("")
        .await
        .unwrap()
        .iter()
        .map(|stat| stat.key.to_string())
        .collect();
    assert_eq!(keys, ["packs/good"]);
}
