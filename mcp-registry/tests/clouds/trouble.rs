//! A registry whose bucket is slow, unreachable or silent: at opening, at a publish, at a read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::{ErrorKind, Name};
use mcp_registry::{Draft, Registry, RegistryError, RemoteSettings, Select};

use crate::bucket::{Bucket, Mood};
use crate::{all_of, hasty, s3};

async fn open(bucket: &Bucket, folder: &Path) -> Result<Registry, RegistryError> {
    let remote = RemoteSettings {
        request_timeout: Duration::from_millis(100),
        deadline: Duration::from_millis(300),
        ..hasty()
    };
    let storage = Arc::new(s3(&bucket.server.endpoint, remote));
    Registry::builder(storage).catalog_in(folder).open().await
}

fn name() -> Name {
    "app".parse().unwrap()
}

async fn publish(registry: &Registry, version: &str) -> Result<u64, RegistryError> {
    let draft = Draft::new(&name(), format!("body of {version}")).request_id(version);
    registry.publish(draft, &version.parse().unwrap()).await.map(|published| published.seq)
}

async fn read(registry: &Registry, version: &str) -> Result<String, RegistryError> {
    let content = registry.get(&name(), Select::exact(version)).await?;
    Ok(String::from_utf8(content.bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_bucket_that_cannot_be_reached_is_named_at_opening_and_opens_when_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start().await;
    for (mood, why) in [(Mood::Refuses, "the server answered 503"), (Mood::Hangs, "no answer within")] {
        bucket.set(mood);
        let error = open(&bucket, folder.path()).await.expect_err("unreachable");
        let text = all_of(&error);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{text}");
        assert!(
            text.contains("owner in S3 bucket bucket at http://127.0.0.1:") && text.contains(why),
            "{text}"
        );
    }
    bucket.set(Mood::Works);
    let registry = open(&bucket, folder.path()).await.unwrap_or_else(|error| panic!("{}", all_of(&error)));
    publish(&registry, "1.0.0").await.unwrap();
    assert_eq!(read(&registry, "1.0.0").await.unwrap(), "body of 1.0.0");
}

#[tokio::test]
async fn reads_resume_by_themselves_and_writes_when_the_registry_is_opened_again() {
    for (mood, why) in [
        (Mood::Refuses, "the server answered 503"),
        (Mood::Hangs, "no answer within"),
        // The pack arrives each time, and nobody hears of it.
        (Mood::Silent, "the connection failed"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::start().await;
        let registry = open(&bucket, folder.path()).await.unwrap();
        publish(&registry, "1.0.0").await.unwrap();

        bucket.set(mood);
        let error = read(&registry, "1.0.0").await.expect_err("unreachable");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{mood:?}: {}", all_of(&error));
        assert!(
            all_of(&error).contains("read packs/0000000001-0000000001 in S3 bucket"),
            "{}",
            all_of(&error)
        );
        let error = publish(&registry, "2.0.0").await.expect_err("unreachable");
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{mood:?}: {text}");
        assert!(text.contains("put packs/0000000001-0000000002 in S3 bucket"), "{mood:?}: {text}");
        assert!(text.contains(why) && text.ends_with("open it again"), "{mood:?}: {text}");
        assert_eq!(publish(&registry, "3.0.0").await.expect_err("stopped").kind(), ErrorKind::Unavailable);

        bucket.set(Mood::Works);
        assert_eq!(read(&registry, "1.0.0").await.unwrap(), "body of 1.0.0", "{mood:?}: reads resume");
        assert_eq!(
            publish(&registry, "3.0.0").await.expect_err("still stopped").kind(),
            ErrorKind::Unavailable
        );
        assert!(registry.close().await.is_err(), "{mood:?}: it says that the writer had stopped");

        let again = open(&bucket, folder.path()).await.unwrap();
        assert_eq!(again.verify().await.unwrap().faults, [], "{mood:?}");
        assert_eq!(read(&again, "1.0.0").await.unwrap(), "body of 1.0.0", "{mood:?}");
        assert_eq!(read(&again, "2.0.0").await.expect_err("never acknowledged").kind(), ErrorKind::NotFound);
        assert_eq!(publish(&again, "2.0.0").await.unwrap(), 2, "{mood:?}: with the same request id");
        assert_eq!(read(&again, "2.0.0").await.unwrap(), "body of 2.0.0", "{mood:?}");
        again.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_publish_goes_on_when_the_trouble_is_shorter_than_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::start().await;
    let storage = Arc::new(s3(&bucket.server.endpoint, hasty()));
    let registry = Registry::builder(storage).catalog_in(folder.path()).open().await.unwrap();
    bucket.set(Mood::Refuses);
    let before = bucket.server.seen().len();
    let heard = async {
        while bucket.server.seen().len() < before + 3 {
            tokio::task::yield_now().await;
        }
        bucket.set(Mood::Works);
    };
    let (published, ()) = tokio::join!(publish(&registry, "1.0.0"), heard);
    assert_eq!(published.unwrap(), 1);
    assert_eq!(read(&registry, "1.0.0").await.unwrap(), "body of 1.0.0");
}
