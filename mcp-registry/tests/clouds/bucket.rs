//! A bucket in memory behind the protocol of S3, which can be made to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::server::{Reply, Request, Server, dated};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Works,
    /// Does nothing, and says 503.
    Refuses,
    /// Does nothing, and says nothing.
    Hangs,
    /// Does what it is asked, and says nothing.
    Silent,
}

pub(crate) struct Bucket {
    pub(crate) server: Server,
    mood: Arc<Mutex<Mood>>,
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        let mood = Arc::new(Mutex::new(Mood::Works));
        let objects = Arc::new(Mutex::new(BTreeMap::new()));
        let (is, kept) = (Arc::clone(&mood), Arc::clone(&objects));
        let server = Server::start(move |request, _| {
            let mood = *is.lock().unwrap();
            match mood {
                Mood::Works => answer(request, &mut kept.lock().unwrap()),
                Mood::Refuses => Reply::error(503, "SlowDown"),
                Mood::Hangs => Reply::Hang,
                Mood::Silent => {
                    answer(request, &mut kept.lock().unwrap());
                    Reply::Close
                }
            }
        });
        Self { server: server.await, mood, objects }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        self.objects.lock().unwrap().insert(key.to_owned(), bytes.to_vec());
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }
}

fn answer(request: &Request, objects: &mut BTreeMap<String, Vec<u8>>) -> Reply {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let key = path.strip_prefix("/bucket").unwrap_or("").trim_start_matches('/').to_owned();
    match request.method.as_str() {
        "GET" if query.contains("list-type=2") => list(query, objects),
        "PUT" if request.header("if-none-match") == "*" && objects.contains_key(&key) => {
            Reply::error(412, "PreconditionFailed")
        }
        "PUT" => {
            objects.insert(key, request.body.clone());
            Reply::put()
        }
        "GET" => {
            objects.get(&key).map_or(Reply::error(404, "NoSuchKey"), |object| Reply::range(object, request))
        }
        "HEAD" => match objects.get(&key) {
            Some(object) => Reply::Answer { status: 200, headers: dated(), body: object.clone() },
            None => Reply::status(404),
        },
        "DELETE" => {
            objects.remove(&key);
            Reply::status(204)
        }
        _ => Reply::status(405),
    }
}

fn list(query: &str, objects: &BTreeMap<String, Vec<u8>>) -> Reply {
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or("");
    let prefix = asked.replace("%2F", "/");
    let entries: String = objects
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix))
        .map(|(key, object)| {
            format!(
                "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>2024-01-01T00:00:00.000Z</LastModified>\
                 <ETag>\"e\"</ETag></Contents>",
                object.len()
            )
        })
        .collect();
    let body = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>");
    Reply::with(200, &[], body)
}
