use async_trait::async_trait;
use axum::http::Uri;
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcp_core::{ErrorKind, SeamError};
use mcp_promotion::{Health, HealthCheck, HealthError};
use tokio::net::lookup_host;

/// Healthy when a `GET` is answered with 200 to 299. Redirects are not followed.
pub struct HttpCheck {
    client: Client<HttpConnector, Empty<Bytes>>,
    uri: Uri,
}

impl HttpCheck {
    /// Of an `http://` address.
    pub fn new(uri: &str) -> Result<Self, String> {
        let parsed: Uri = uri.parse().map_err(|error| format!("{uri:?} is no address: {error}"))?;
        if parsed.host().is_none() {
            return Err(format!("{uri:?} names no host"));
        }
        // Each check makes its own connection: one that was left open says nothing of whether new ones are taken.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Ok(Self { client, uri: parsed })
    }
}

#[async_trait]
impl HealthCheck for HttpCheck {
    async fn check(&self) -> Result<Health, HealthError> {
        // A name that cannot be looked up says nothing of what stands behind it.
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if let Err(error) = lookup_host((host, self.uri.port_u16().unwrap_or(80))).await {
            let context = format!("look up {host}; check the name");
            return Err(SeamError::new(ErrorKind::Unavailable, context).with_source(error));
        }
        Ok(match self.client.get(self.uri.clone()).await {
            Ok(answer) if answer.status().is_success() => Health::healthy(answer.status().to_string()),
            Ok(answer) => Health::unhealthy(answer.status().to_string()),
            Err(error) => Health::unhealthy(crate::chain(&error)),
        })
    }
}
