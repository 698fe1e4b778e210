//! The same life of a registry in SeaweedFS and in Azurite, and the conformance kit against both.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use mcp_core::{ErrorKind, Name};
use mcp_registry::{Draft, PutWhen, Registry, Select, StorageBackend, conformance};

use crate::parts::{Azurite, SeaweedFs};
use crate::{all_of, key};

type Storage = Arc<dyn StorageBackend>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seaweedfs_does_what_the_trait_demands_and_keeps_a_registry() {
    let Some(server) = SeaweedFs::start().await else { return };
    live(|prefix| Arc::new(server.storage(prefix, "SK"))).await;
    refuses(&server.storage("x", "another")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azurite_does_what_the_trait_demands_and_keeps_a_registry() {
    let Some(server) = Azurite::start().await else { return };
    live(|prefix| Arc::new(server.storage(prefix, Azurite::KEY))).await;
    refuses(&server.storage("x", "QUJD")).await;
}

async fn live(storage: impl Fn(&str) -> Storage) {
    conformance::check(&storage("kit")).await.unwrap_or_else(|violation| panic!("{violation}"));
    conformance::check(&storage(""))
        .await
        .unwrap_or_else(|violation| panic!("without a prefix: {violation}"));
    race(&storage("race"), &storage("race")).await;
    whole_life(&storage("life")).await;
    // A put that was dropped may still arrive.
    let ours = ["life/", "race/", "ready", "conformance/dropped/", "kit/conformance/dropped/"];
    let left = storage("").list("").await.unwrap();
    let left: Vec<&str> = left.iter().map(|stat| stat.key.as_str()).collect();
    assert!(left.iter().all(|key| ours.iter().any(|ours| key.starts_with(ours))), "{left:?}");
}

/// Two clients put to the same keys at once: each key has one winner, and keeps its bytes.
async fn race(one: &Storage, other: &Storage) {
    let puts = (0..40).map(|n| {
        let (storage, who) = if n % 2 == 0 { (one, "one") } else { (other, "other") };
        let (key, bytes) = (key(&format!("packs/{:02}", n / 2)), Bytes::from(format!("{who} {n}")));
        async move { storage.put(&key, bytes.clone(), PutWhen::Absent).await.map(|()| (key, bytes)) }
    });
    let outcomes = join_all(puts).await;
    let mut won = BTreeSet::new();
    for outcome in outcomes {
        match outcome {
            Ok((key, bytes)) => {
                assert_eq!(one.read(&key, 0..bytes.len() as u64).await.unwrap(), bytes);
                assert!(won.insert(key), "two winners");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{}", all_of(&error)),
        }
    }
    assert_eq!(won.len(), 20);
}

async fn whole_life(storage: &Storage) {
    let folder = tempfile::tempdir().unwrap();
    let open =
        |catalog: &str| Registry::builder(Arc::clone(storage)).catalog_in(folder.path().join(catalog)).open();
    let registry = open("first").await.unwrap_or_else(|error| panic!("{}", all_of(&error)));
    // A thousand small ones at once, each under a name of its own.
    let publishers = (0..1000).map(|n| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let name: Name = format!("app-{n}").parse().unwrap();
            registry.publish(Draft::new(&name, format!("body {n}")), &"1.0.0".parse().unwrap()).await
        })
    });
    for outcome in join_all(publishers).await {
        outcome.unwrap().unwrap_or_else(|error| panic!("{}", all_of(&error)));
    }
    let packs = storage.list("packs/").await.unwrap().len();
    println!("1,000 small artifacts in {packs} packs");
    assert!((1..=12).contains(&packs), "1,000 artifacts in {packs} packs");
    // The same bytes again, and large ones.
    let large = Bytes::from(
        (0..9_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
    );
    let names: [Name; 2] = ["large".parse().unwrap(), "copy".parse().unwrap()];
    for (n, name) in names.iter().enumerate() {
        let published =
            registry.publish(Draft::new(name, large.clone()), &"1.0.0".parse().unwrap()).await.unwrap();
        assert_eq!(published.deduplicated, n == 1);
    }
    let get =
        async |registry: &Registry, name: &Name| registry.get(name, Select::latest()).await.unwrap().bytes;
    assert_eq!(get(&registry, &names[1]).await, large);
    registry.close().await.unwrap();

    let again = open("first").await.unwrap();
    assert_eq!(get(&again, &"app-812".parse().unwrap()).await, "body 812");
    assert_eq!(get(&again, &names[0]).await, large);
    let verified = again.verify().await.unwrap();
    assert_eq!(verified.faults, []);
    again.close().await.unwrap();
    let refused = open("second").await.expect_err("another catalog");
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{}", all_of(&refused));
}

async fn refuses(storage: &dyn StorageBackend) {
    let error = storage.put(&key("a"), "x".into(), PutWhen::Absent).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Denied, "{}", all_of(&error));
}
