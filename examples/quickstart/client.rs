//! Asks the servers, as anybody outside would.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

/// An answer that takes longer is none.
const TIMEOUT: Duration = Duration::from_secs(2);
/// An answer that is larger is none, in bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// An HTTP client that keeps its connections.
#[derive(Clone, Debug)]
pub struct Client(Pooled<HttpConnector, Empty<Bytes>>);

/// What a server said: the status code, and the body where it is JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Such as 200 or 404.
    pub status: u16,
    /// `Null` where the body is no JSON.
    pub body: Value,
}

impl Client {
    /// Without connections yet.
    pub fn new() -> Self {
        Self(Pooled::builder(TokioExecutor::new()).build_http())
    }

    /// `GET http://address/path`; the error says in one line why there is no answer.
    pub async fn get(&self, address: SocketAddr, path: &str) -> Result<Answer, String> {
        let uri = format!("http://{address}{path}")
            .parse()
            .map_err(|error| format!("{path:?} is no path: {error}"))?;
        let ask = async {
            let answer = self.0.get(uri).await.map_err(|error| crate::failure::chain(&error))?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
            let bytes = body.map_err(|error| error.to_string())?.to_bytes();
            Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() })
        };
        timeout(TIMEOUT, ask).await.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}")))
    }

    /// Asks for these crates one after the other; how many were answered with 200, of how many.
    pub async fn count(&self, address: SocketAddr, names: &[&String]) -> (u64, u64) {
        let (mut good, mut total) = (0, 0);
        for name in names {
            let well =
                self.get(address, &format!("/crates/{name}")).await.is_ok_and(|answer| answer.status == 200);
            good += u64::from(well);
            total += 1;
        }
        (good, total)
    }
}
