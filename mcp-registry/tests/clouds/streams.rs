//! Uploads in parts: what is held, what is tried again, and what is left when they do not end well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt as _;
use mcp_core::ErrorKind;
use mcp_registry::{ByteStream, RemoteSettings, StorageBackend, StorageError};

use crate::server::{Reply, Request, Server, dated};
use crate::{all_of, hasty, key, s3};

const BEGIN: &str = "POST /bucket/a?uploads=";
const COMPLETE: &str = "POST /bucket/a?uploadId=u1";
const ABORT: &str = "DELETE /bucket/a?uploadId=u1";

/// How S3 answers each step of an upload.
fn step(request: &Request) -> Reply {
    match request.line().as_str() {
        BEGIN => Reply::with(
            200,
            &[],
            "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
        ),
        COMPLETE => Reply::with(
            200,
            &[],
            "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>",
        ),
        ABORT => Reply::status(204),
        _ => Reply::put(),
    }
}

fn small_parts() -> RemoteSettings {
    RemoteSettings { part_bytes: 5 << 20, ..hasty() }
}

/// So many MiB, and how many of them were taken.
fn mebibytes(count: usize) -> (ByteStream, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let chunk = Bytes::from(vec![7; 1 << 20]);
    let chunks = (0..count).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(chunk.clone())
    });
    (futures::stream::iter(chunks).boxed(), taken)
}

fn count(server: &Server, line: &str) -> usize {
    server.lines().iter().filter(|seen| *seen == line).count()
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), met).await.expect("it comes about");
}

#[tokio::test]
async fn a_short_stream_is_one_conditional_put() {
    let server = Server::start(|_, _| Reply::put()).await;
    let (stream, _) = mebibytes(4);
    assert_eq!(s3(&server.endpoint, small_parts()).put_stream(&key("a"), stream).await.unwrap(), 4 << 20);
    let seen = server.seen();
    assert_eq!(
        (seen.len(), seen[0].line(), seen[0].header("if-none-match")),
        (1, "PUT /bucket/a".to_owned(), "*")
    );
}

#[tokio::test]
async fn steps_that_fail_for_a_while_are_tried_again_and_the_parts_stay_in_order() {
    let server = Server::start(|request, n| match (request.line().as_str(), n) {
        (_, 0 | 2 | 4) => Reply::error(503, "SlowDown"),
        (COMPLETE, _) if request.header("again").is_empty() && n < 8 => {
            Reply::with(200, &[], "<Error><Code>InternalError</Code></Error>")
        }
        _ if request.method == "PUT" => {
            let number = request.target.split(['=', '&']).nth(1).unwrap_or("").to_owned();
            Reply::with(200, &[("etag", &format!("\"part {number}\""))], "")
        }
        _ => step(request),
    });
    let server = server.await;
    let (stream, _) = mebibytes(12);
    let length = s3(&server.endpoint, small_parts()).put_stream(&key("a"), stream).await;
    assert_eq!(length.unwrap_or_else(|error| panic!("{}", all_of(&error))), 12 << 20);
    let completed = server.seen().into_iter().rfind(|request| request.line() == COMPLETE).expect("completed");
    let body = String::from_utf8(completed.body).unwrap();
    let places: Vec<usize> = (1..=3).map(|n| body.find(&format!("part {n}")).expect("each part")).collect();
    assert!(places.is_sorted(), "{body}");
    assert_eq!(count(&server, ABORT), 0);
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_counts_when_the_object_is_there() {
    for (size, outcome) in [(11_usize << 20, Ok(11 << 20)), (5, Err(ErrorKind::Unavailable))] {
        let completions = AtomicUsize::new(0);
        let server = Server::start(move |request, _| match request.line().as_str() {
            COMPLETE if completions.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Close,
            COMPLETE => Reply::error(404, "NoSuchUpload"),
            "HEAD /bucket/a" => Reply::Answer { status: 200, headers: dated(), body: vec![0; size] },
            _ => step(request),
        });
        let server = server.await;
        let (stream, _) = mebibytes(11);
        let put = s3(&server.endpoint, small_parts()).put_stream(&key("a"), stream).await;
        assert_eq!(put.map_err(|error| error.kind()), outcome);
    }
}

#[tokio::test]
async fn a_stream_that_fails_and_a_part_that_is_refused_leave_no_upload_behind() {
    let server = Server::start(|request, _| step(request)).await;
    let (good, _) = mebibytes(12);
    let torn = StorageError::new(ErrorKind::Cancelled, "its source ended early");
    let stream = good.chain(futures::stream::iter([Err(torn)])).boxed();
    let error = s3(&server.endpoint, small_parts()).put_stream(&key("a"), stream).await.expect_err("torn");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!((count(&server, ABORT), count(&server, COMPLETE)), (1, 0));

    let server = Server::start(|request, _| match request.line() {
        line if line.contains("partNumber=2") => Reply::error(403, "AccessDenied"),
        _ => step(request),
    });
    let server = server.await;
    let (stream, _) = mebibytes(12);
    let error = s3(&server.endpoint, small_parts()).put_stream(&key("a"), stream).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!((count(&server, ABORT), count(&server, COMPLETE)), (1, 0));
}

#[tokio::test]
async fn a_dropped_put_gives_its_upload_up_and_never_took_more_than_a_few_parts() {
    let server =
        Server::start(|request, _| if request.method == "PUT" { Reply::Hang } else { step(request) }).await;
    let storage = s3(&server.endpoint, small_parts());
    let (stream, taken) = mebibytes(1000);
    let put = tokio::spawn(async move { storage.put_stream(&key("a"), stream).await });
    until(|| server.lines().iter().filter(|line| line.contains("partNumber")).count() == 3).await;
    put.abort();
    assert!(put.await.expect_err("aborted").is_cancelled());
    until(|| count(&server, ABORT) == 1).await;
    assert!(taken.load(Ordering::SeqCst) <= 20, "{taken:?} MiB were taken");
    assert_eq!(count(&server, COMPLETE), 0);
}

#[tokio::test]
async fn an_upload_that_begins_after_its_put_was_dropped_is_given_up_too() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let server = Server::start(move |request, _| {
        if request.line() == BEGIN {
            // Answers only when the one who asked has gone.
            tokio::task::block_in_place(|| held.lock().unwrap().recv().unwrap());
        }
        step(request)
    });
    // A thread of its own for the server, since it blocks.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.spawn(server).await.unwrap();
    let storage = s3(&server.endpoint, small_parts());
    let (stream, _) = mebibytes(12);
    let put = tokio::spawn(async move { storage.put_stream(&key("a"), stream).await });
    until(|| count(&server, BEGIN) == 1).await;
    put.abort();
    assert!(put.await.expect_err("aborted").is_cancelled());
    release.send(()).unwrap();
    until(|| count(&server, ABORT) == 1).await;
    runtime.shutdown_background();
}
