//! The requests that Google Cloud Storage gets, and its answers as Google documents them (the XML API). No real server was asked.

use std::sync::Mutex;

use bytes::Bytes;
use futures::StreamExt as _;
use mcp_core::ErrorKind;
use mcp_registry::{GcsCredentials, GcsSettings, GcsStorage, PutWhen, StorageBackend};

use crate::server::{Reply, Request, Server, dated};
use crate::{all_of, hasty, key};

fn gcs(endpoint: &str) -> GcsStorage {
    let remote = mcp_registry::RemoteSettings { prefix: "pre".to_owned(), part_bytes: 5 << 20, ..hasty() };
    let settings = GcsSettings { endpoint: Some(endpoint.to_owned()), remote, ..GcsSettings::new("bucket") };
    GcsStorage::new(settings, &GcsCredentials::bearer_token("token-1")).expect("settings that work")
}

fn shown(request: &Request) -> String {
    let condition = request.header("x-goog-if-generation-match");
    let condition = if condition.is_empty() { String::new() } else { format!(" if generation {condition}") };
    let range = request.header("range");
    let range = if range.is_empty() { String::new() } else { format!(" {range}") };
    assert_eq!(request.header("authorization"), "Bearer token-1");
    format!("{}{condition}{range} {}", request.line(), String::from_utf8_lossy(&request.body))
        .trim_end()
        .to_owned()
}

#[tokio::test]
async fn each_call_is_the_request_that_google_documents() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "PUT" => Reply::with(200, &[("etag", "\"e\""), ("x-goog-generation", "7")], ""),
        "GET" if request.target.contains("list-type=2") => Reply::with(
            200,
            &[],
            "<ListBucketResult><IsTruncated>false</IsTruncated>\
             <Contents><Key>pre/packs/b</Key><Size>2</Size><LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>\
             <Contents><Key>pre/packs/a</Key><Size>1</Size><LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>\
             </ListBucketResult>",
        ),
        "GET" => Reply::range(b"0123456789", request),
        "HEAD" => Reply::Answer { status: 200, headers: dated(), body: b"0123456789".to_vec() },
        _ => Reply::status(204),
    });
    let server = server.await;
    let storage = gcs(&server.endpoint);
    storage
        .put(&key("a"), "always".into(), PutWhen::Always)
        .await
        .unwrap_or_else(|e| panic!("{}", all_of(&e)));
    storage.put(&key("a"), "absent".into(), PutWhen::Absent).await.unwrap();
    assert_eq!(&storage.read(&key("a"), 2..5).await.unwrap()[..], b"234");
    assert_eq!(storage.stat(&key("a")).await.unwrap().map(|stat| stat.bytes), Some(10));
    let found = storage.list("packs/").await.unwrap();
    let found: Vec<_> = found.iter().map(|stat| (stat.key.as_str(), stat.bytes)).collect();
    assert_eq!(found, [("packs/a", 1), ("packs/b", 2)]);
    storage.delete(&key("a")).await.unwrap();
    let requests: Vec<String> = server.seen().iter().map(shown).collect();
    let expected = [
        "PUT /bucket/pre%2Fa always",
        "PUT /bucket/pre%2Fa if generation 0 absent",
        "GET /bucket/pre%2Fa bytes=2-4",
        "HEAD /bucket/pre%2Fa",
        "GET /bucket?list-type=2&prefix=pre%2Fpacks%2F",
        "DELETE /bucket/pre%2Fa",
    ];
    assert_eq!(requests, expected);
}

#[tokio::test]
async fn the_answers_that_google_documents_become_the_kinds_that_they_mean() {
    let server = Server::start(|request, _| match (request.method.as_str(), request.target.as_str()) {
        ("PUT", "/bucket/pre%2Ftaken") => Reply::error(412, "PreconditionFailed"),
        ("HEAD", "/bucket/pre%2Ftaken") => {
            Reply::Answer { status: 200, headers: dated(), body: b"other".to_vec() }
        }
        (_, "/bucket/pre%2Fdenied") => Reply::error(403, "AccessDenied"),
        (_, "/bucket/pre%2Ftoken") => Reply::error(401, "AuthenticationRequired"),
        _ => Reply::error(404, "NoSuchKey"),
    });
    let server = server.await;
    let storage = gcs(&server.endpoint);
    let put = async |at: &str| storage.put(&key(at), "x".into(), PutWhen::Absent).await.expect_err(at).kind();
    assert_eq!(put("taken").await, ErrorKind::Conflict);
    assert_eq!(put("denied").await, ErrorKind::Denied);
    assert_eq!(put("token").await, ErrorKind::Denied);
    assert_eq!(storage.read(&key("none"), 0..1).await.expect_err("none").kind(), ErrorKind::NotFound);
    assert_eq!(storage.stat(&key("none")).await.unwrap(), None);
    storage.delete(&key("none")).await.unwrap();
}

#[tokio::test]
async fn a_long_stream_is_an_upload_in_parts_as_google_documents_it() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "POST" if request.target.ends_with("?uploads=") => Reply::with(
            200,
            &[],
            "<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>pre/a</Key><UploadId>u1</UploadId>\
             </InitiateMultipartUploadResult>",
        ),
        "POST" => Reply::with(
            200,
            &[("x-goog-generation", "7")],
            "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>",
        ),
        "PUT" => Reply::with(200, &[("etag", "\"part\"")], ""),
        _ => Reply::status(400),
    });
    let server = server.await;
    let chunks = (0..11).map(|_| Ok(Bytes::from(vec![7; 1 << 20])));
    let length = gcs(&server.endpoint).put_stream(&key("a"), futures::stream::iter(chunks).boxed()).await;
    assert_eq!(length.unwrap_or_else(|error| panic!("{}", all_of(&error))), 11 << 20);
    let seen = Mutex::new(server.seen()).into_inner().unwrap();
    let mut lines: Vec<(String, usize)> = seen
        .iter()
        .map(|request| (request.line(), if request.method == "PUT" { request.body.len() } else { 0 }))
        .collect();
    lines[1..4].sort();
    let part =
        |number: u32, bytes: usize| (format!("PUT /bucket/pre%2Fa?partNumber={number}&uploadId=u1"), bytes);
    let expected = [
        ("POST /bucket/pre%2Fa?uploads=".to_owned(), 0),
        part(1, 5 << 20),
        part(2, 5 << 20),
        part(3, 1 << 20),
        ("POST /bucket/pre%2Fa?uploadId=u1".to_owned(), 0),
    ];
    assert_eq!(lines, expected);
    let completed = String::from_utf8_lossy(&seen[4].body).into_owned();
    for number in 1..=3 {
        assert!(completed.contains(&format!("<PartNumber>{number}</PartNumber>")), "{completed}");
    }
}
