//! A server of HTTP/1.1 on loopback that answers as a test says, and keeps what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Method and target, such as `GET /bucket/a`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Nothing ever comes.
    Hang,
    /// The connection ends before an answer.
    Close,
    /// The connection ends after half of the body.
    Cut(Vec<(&'static str, String)>, Vec<u8>),
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn with(status: u16, headers: &[(&'static str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self::Answer { status, headers, body: body.into() }
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self::with(status, &[], format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
    }

    /// What S3 answers to a put.
    pub(crate) fn put() -> Self {
        Self::with(200, &[("etag", "\"e\"")], "")
    }

    /// What S3 answers to a read of a range.
    pub(crate) fn range(object: &[u8], request: &Request) -> Self {
        let Some((from, to)) = request.header("range").strip_prefix("bytes=").and_then(|r| r.split_once('-'))
        else {
            return Self::status(400);
        };
        let (from, to): (usize, usize) =
            (from.parse().unwrap_or(usize::MAX), to.parse().unwrap_or(usize::MAX));
        if from >= object.len() {
            return Self::error(416, "InvalidRange");
        }
        let to = to.min(object.len() - 1);
        let range = format!("bytes {from}-{to}/{}", object.len());
        let mut headers = dated();
        headers.push(("content-range", range));
        Self::Answer { status: 206, headers, body: object[from..=to].to_vec() }
    }
}

pub(crate) fn dated() -> Vec<(&'static str, String)> {
    let date = "Mon, 01 Jan 2024 00:00:00 GMT".to_owned();
    vec![("last-modified", date), ("etag", "\"e\"".to_owned())]
}

type Answering = dyn Fn(&Request, usize) -> Reply + Send + Sync;

pub(crate) struct Server {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<Request>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Server {
    /// `answer` gets each request, and how many came before it.
    pub(crate) async fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept): (Arc<Answering>, _) = (Arc::new(answer), Arc::clone(&seen));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&kept));
                tokio::spawn(async move { serve(stream, &*answer, &seen).await });
            }
        });
        Self { endpoint, seen, accepting }
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Request::line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, answer: &Answering, seen: &Mutex<Vec<Request>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let request = read(&mut stream).await?;
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let (status, headers, body, sent) = match answer(&request, number) {
            Reply::Answer { status, headers, body } => {
                let sent = if request.method == "HEAD" { 0 } else { body.len() };
                (status, headers, body, sent)
            }
            Reply::Cut(headers, body) => {
                let half = body.len() / 2;
                (206, headers, body, half)
            }
            Reply::Hang => std::future::pending().await,
            Reply::Close => return None,
        };
        let mut head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(&body[..sent]).await.ok()?;
        stream.flush().await.ok()?;
        if sent < body.len() && request.method != "HEAD" {
            return None;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    let mut request = Request::default();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    (request.method, request.target) = (words.next()?.to_owned(), words.next()?.to_owned());
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        request.headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}
