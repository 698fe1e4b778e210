use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use mcp_core::ErrorKind;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};

use super::settings::RemoteSettings;
use crate::StorageError;

/// An answer that is not what was asked for: all that an error may tell of it, since a body can repeat what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The server's word for it, letters and digits alone, such as `SlowDown`.
    pub(crate) code: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.status)?;
        self.code.as_ref().map_or(Ok(()), |code| write!(f, " {code}"))
    }
}

impl std::error::Error for Refusal {}

/// Answers beyond this are cut where only their code is wanted.
const MAX_REFUSAL_BYTES: usize = 64 << 10;
const MAX_CODE_BYTES: usize = 64;

/// Sends requests over connections of its own: no proxy and no trust comes from the surroundings, but for the system's certificates.
#[derive(Clone, Debug)]
pub(crate) struct Connector(reqwest::Client);

impl Connector {
    pub(crate) fn new(settings: &RemoteSettings) -> Result<Self, StorageError> {
        let fail = |error: Box<dyn std::error::Error + Send + Sync>| {
            StorageError::new(ErrorKind::Unavailable, "set up TLS with the system's certificates")
                .with_source(error)
        };
        let tls = tls(settings.allow_http).map_err(|error| fail(error.into()))?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(!settings.allow_http)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(20))
            .build()
            .map_err(|error| fail(error.into()))?;
        Ok(Self(client))
    }
}

fn tls(certificates_may_lack: bool) -> Result<rustls::ClientConfig, rustls::Error> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let builder = || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
    };
    match builder()?.with_platform_verifier() {
        Ok(builder) => Ok(builder.with_no_client_auth()),
        // A machine without certificates can still reach a server without TLS.
        Err(_) if certificates_may_lack => {
            Ok(builder()?.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
        }
        Err(error) => Err(error),
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // S3 answers 200 before it knows, and tells a failure in the body.
        let completes = request.method().as_str() == "POST"
            && request.uri().query().is_some_and(|query| query.contains("uploadId="));
        let response = self.0.call(request).await?;
        let status = response.status();
        if status.is_success() && !completes {
            return Ok(response);
        }
        let header =
            response.headers().get("x-ms-error-code").and_then(|value| value.to_str().ok()).and_then(code);
        let (parts, body) = response.into_parts();
        let mut text = Vec::new();
        let mut stream = body.bytes_stream();
        while let Some(chunk) = stream.next().await {
            text.extend_from_slice(&chunk?);
            if text.len() > MAX_REFUSAL_BYTES {
                break;
            }
        }
        let said = String::from_utf8_lossy(&text);
        if status.is_success() && !said.contains("<Error>") {
            return Ok(HttpResponse::from_parts(parts, text.into()));
        }
        let code = header.or_else(|| between(&said, "<Code>", "</Code>")).or_else(|| json_code(&said));
        Err(HttpError::new(HttpErrorKind::Unknown, Refusal { status: status.as_u16(), code }))
    }
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).and_then(|(found, _)| code(found))
}

/// Of a token service: `{"error": "invalid_grant", ..}`.
fn json_code(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.get("error")?.as_str().and_then(code)
}

fn code(text: &str) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good = !text.is_empty() && text.len() <= MAX_CODE_BYTES && text.bytes().all(word);
    good.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_only_its_code_is_told() {
        let xml = "<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>token=secret</Message></Error>";
        assert_eq!(between(xml, "<Code>", "</Code>").as_deref(), Some("SlowDown"));
        assert_eq!(between("<Code>a secret</Code>", "<Code>", "</Code>"), None);
        assert_eq!(
            json_code(r#"{"error":"invalid_grant","error_description":"x"}"#).as_deref(),
            Some("invalid_grant")
        );
        assert_eq!(json_code(r#"{"error":{"code":403}}"#), None);
        let shown = Refusal { status: 503, code: Some("SlowDown".to_owned()) }.to_string();
        assert_eq!(shown, "the server answered 503 SlowDown");
    }
}
