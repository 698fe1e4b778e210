use std::sync::Arc;

use mcp_registry::{LocalStorage, MemoryStorage, PutWhen, StorageBackend, conformance};

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

#[tokio::test]
async fn a_put_that_a_kill_cut_short_is_not_written_through_by_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = ("packs/old".parse().unwrap(), "packs/new".parse().unwrap());
    let storage = LocalStorage::new(folder.path());
    storage.put(&old, "old bytes".into(), PutWhen::Absent).await.unwrap();
    // A kill between the link and the removal leaves the temporary name on the same file; a process number comes back, in a container often.
    let packs = folder.path().join("packs");
    std::fs::hard_link(packs.join("old"), packs.join(format!(".put-{}-0", std::process::id()))).unwrap();
    let again = LocalStorage::new(folder.path());
    again.put(&new, "new bytes".into(), PutWhen::Absent).await.unwrap();
    assert_eq!(&again.read(&old, 0..9).await.unwrap()[..], b"old bytes");
    assert_eq!(&again.read(&new, 0..9).await.unwrap()[..], b"new bytes");
}
