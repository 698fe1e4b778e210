//! What is tried again, what is not, and when it ends.

use std::time::Duration;

use mcp_core::ErrorKind;
use mcp_registry::{PutWhen, RemoteSettings, StorageBackend};

use crate::bucket::{Bucket, Mood};
use crate::server::{Reply, Server};
use crate::{all_of, hasty, key, s3};

/// Ends soon when nothing answers.
fn impatient() -> RemoteSettings {
    RemoteSettings {
        request_timeout: Duration::from_millis(40),
        deadline: Duration::from_millis(200),
        ..hasty()
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_until_it_has() {
    type Trouble = fn(usize) -> Reply;
    let troubles: [(&str, Trouble); 5] = [
        ("503", |_| Reply::error(503, "SlowDown")),
        ("429", |_| Reply::status(429)),
        ("a lost connection", |_| Reply::Close),
        ("a request that came too slowly", |_| Reply::error(400, "RequestTimeout")),
        ("all of them", |n| [Reply::status(500), Reply::Close, Reply::status(408)][n % 3].clone()),
    ];
    for (trouble, reply) in troubles {
        let server = Server::start(move |request, n| match n {
            0..3 => reply(n),
            _ if request.method == "GET" => Reply::range(b"0123456789", request),
            _ => Reply::put(),
        });
        let server = server.await;
        let storage = s3(&server.endpoint, hasty());
        storage
            .put(&key("a"), "x".into(), PutWhen::Always)
            .await
            .unwrap_or_else(|e| panic!("{trouble}: {}", all_of(&e)));
        assert_eq!(server.lines(), ["PUT /bucket/a"; 4], "{trouble}");
        assert_eq!(&storage.read(&key("a"), 2..4).await.unwrap()[..], b"23", "{trouble}");
    }
}

#[tokio::test]
async fn what_cannot_pass_is_asked_once_and_its_kind_says_what_to_do() {
    for (status, code, kind) in [
        (403, "AccessDenied", ErrorKind::Denied),
        (401, "", ErrorKind::Denied),
        (400, "InvalidArgument", ErrorKind::Invalid),
        (301, "PermanentRedirect", ErrorKind::Invalid),
        (404, "NoSuchBucket", ErrorKind::NotFound),
        (501, "NotImplemented", ErrorKind::Unsupported),
        (507, "StorageFull", ErrorKind::Exhausted),
    ] {
        let server = Server::start(move |_, _| Reply::error(status, code)).await;
        let storage = s3(&server.endpoint, hasty());
        let error = storage.put(&key("packs/1"), "x".into(), PutWhen::Always).await.expect_err("refused");
        let text = all_of(&error);
        assert_eq!((error.kind(), server.seen().len()), (kind, 1), "{text}");
        let said = format!("the server answered {status} {code}");
        assert!(text.starts_with("put packs/1 in S3 bucket bucket at http://127.0.0.1:"), "{text}");
        assert!(text.contains(said.trim_end()), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_holds_nobody_longer_than_the_deadline() {
    let server = Server::start(|_, _| Reply::Hang).await;
    let storage = s3(&server.endpoint, impatient());
    let begun = tokio::time::Instant::now();
    let range = storage.read(&key("a"), 0..1).await.map(drop);
    let stat = storage.stat(&key("a")).await.map(drop);
    let put = storage.put(&key("a"), "x".into(), PutWhen::Absent).await;
    let list = storage.list("").await.map(drop);
    let delete = storage.delete(&key("a")).await;
    for outcome in [range, stat, put, list, delete] {
        let error = outcome.expect_err("nobody answered");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(all_of(&error).contains("no answer within"), "{}", all_of(&error));
    }
    let took = begun.elapsed();
    // Five calls of 200 ms, on a machine that may be busy.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(server.seen().len() > 10, "{} requests: each was tried again", server.seen().len());
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_given_up_with_its_last_answer() {
    let server = Server::start(|_, _| Reply::error(503, "SlowDown")).await;
    let storage = s3(&server.endpoint, impatient());
    let error = storage.stat(&key("a")).await.expect_err("it fails");
    let (text, requests) = (all_of(&error), server.seen().len());
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // A HEAD has no body, so its answer has no code.
    let told: usize =
        text.split("the server answered 503; ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    // The deadline may cut the last one short, before the server or behind it.
    assert!(
        text.contains("attempts were made; look at the network")
            && requests > 2
            && told.abs_diff(requests) <= 1,
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_read_again_whole() {
    let object: Vec<u8> = (0..100_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let whole = object.clone();
    let server = Server::start(move |request, n| match Reply::range(&object, request) {
        Reply::Answer { headers, body, .. } if n < 2 => Reply::Cut(headers, body),
        reply => reply,
    });
    let server = server.await;
    let storage = s3(&server.endpoint, hasty());
    let read = storage.read(&key("a"), 10..90_000).await.unwrap();
    assert_eq!(read[..], whole[10..90_000]);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_counts_as_done_when_its_bytes_are_there() {
    let bucket = Bucket::start().await;
    let storage =
        s3(&bucket.server.endpoint, RemoteSettings { first_pause: Duration::from_millis(5), ..hasty() });
    bucket.set(Mood::Silent);
    let a = key("a");
    let put = storage.put(&a, "mine".into(), PutWhen::Absent);
    let heard = async {
        while bucket.keys().is_empty() {
            tokio::task::yield_now().await;
        }
        bucket.set(Mood::Works);
    };
    let (outcome, ()) = tokio::join!(put, heard);
    outcome.unwrap_or_else(|error| panic!("{}", all_of(&error)));
    // It is not taken for another's, and another's not for it.
    let error = storage.put(&key("a"), "mine".into(), PutWhen::Absent).await.expect_err("it exists");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    bucket.put("b", b"that of another");
    bucket.set(Mood::Silent);
    let b = key("b");
    let put = storage.put(&b, "mine".into(), PutWhen::Absent);
    let heard = async {
        let before = bucket.server.seen().len();
        while bucket.server.seen().len() == before {
            tokio::task::yield_now().await;
        }
        bucket.set(Mood::Works);
    };
    let (outcome, ()) = tokio::join!(put, heard);
    assert_eq!(outcome.expect_err("it exists").kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn two_puts_that_met_without_an_effect_are_put_again() {
    let server = Server::start(|request, n| match (request.method.as_str(), n) {
        ("PUT", 0) => Reply::error(409, "ConditionalRequestConflict"),
        ("PUT", 1) => Reply::error(412, "PreconditionFailed"),
        ("HEAD", _) => Reply::status(404),
        _ => Reply::put(),
    });
    let server = server.await;
    let storage = s3(&server.endpoint, hasty());
    storage.put(&key("a"), "x".into(), PutWhen::Absent).await.unwrap();
    let expected = ["PUT /bucket/a", "PUT /bucket/a", "HEAD /bucket/a", "PUT /bucket/a"];
    assert_eq!(server.lines(), expected);
    assert!(server.seen().iter().filter(|r| r.method == "PUT").all(|r| r.header("if-none-match") == "*"));
}

#[tokio::test]
async fn deleting_what_is_gone_is_no_error_but_a_missing_bucket_is() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/bucket/gone" => Reply::error(404, "NoSuchKey"),
        _ => Reply::error(404, "NoSuchBucket"),
    });
    let server = server.await;
    let storage = s3(&server.endpoint, hasty());
    storage.delete(&key("gone")).await.unwrap();
    let error = storage.delete(&key("other")).await.expect_err("no bucket");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(all_of(&error).contains("404 NoSuchBucket; create it first"), "{}", all_of(&error));
}

#[tokio::test]
async fn a_listing_that_breaks_off_goes_on_behind_the_last_object() {
    let entry = |n: u32| {
        format!(
            "<Contents><Key>p/{n:04}</Key><Size>{n}</Size><LastModified>2024-01-01T00:00:00Z</LastModified></Contents>"
        )
    };
    let page = move |from: u32, token: &str| {
        let entries: String = (from..from + 1000).map(entry).collect();
        let more = !token.is_empty();
        let next = if more {
            format!("<NextContinuationToken>{token}</NextContinuationToken>")
        } else {
            String::new()
        };
        Reply::with(
            200,
            &[],
            format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{next}{entries}</ListBucketResult>"),
        )
    };
    let server = Server::start(move |_, n| match n {
        0 => page(0, "second"),
        1 => Reply::Close,
        // It does not heed what it is told: Azurite does so too.
        2 => page(0, "again"),
        _ => page(1000, ""),
    });
    let server = server.await;
    let storage = s3(&server.endpoint, hasty());
    let found = storage.list("p/").await.unwrap();
    assert_eq!(found.len(), 2000);
    assert!(found.iter().enumerate().all(|(n, stat)| stat.bytes == n as u64));
    let after: Vec<bool> = server.lines().iter().map(|line| line.contains("start-after=p%2F0999")).collect();
    assert_eq!(after, [false, false, true, true], "{:?}", server.lines());
}

#[tokio::test]
async fn a_range_beyond_the_end_is_invalid_and_nothing_of_a_huge_one_is_awaited() {
    let bucket = Bucket::start().await;
    bucket.put("p/a", b"0123456789");
    let storage = s3(&bucket.server.endpoint, RemoteSettings { prefix: "p".to_owned(), ..hasty() });
    for range in [0..11, 10..11, 5..u64::MAX, u64::MAX - 1..u64::MAX, 11..11] {
        let error = storage.read(&key("a"), range.clone()).await.expect_err("outside");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{range:?}: {}", all_of(&error));
        assert!(error.to_string().ends_with("of a, which has 10 bytes"), "{error}");
    }
    assert_eq!(storage.read(&key("b"), 0..1).await.expect_err("none").kind(), ErrorKind::NotFound);
    assert_eq!(storage.read(&key("b"), 0..0).await.expect_err("none").kind(), ErrorKind::NotFound);
    assert_eq!(storage.read(&key("a"), 10..10).await.unwrap().len(), 0);
}
