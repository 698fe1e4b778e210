use std::fmt;
use std::sync::Arc;

use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use serde::{Deserialize, Serialize};

use super::cloud::{
    Cloud, Connector, Lent, RemoteSettings, Secret, backend_of_its_cloud, check_name, no_retries, not_made,
    refuse,
};
use crate::StorageError;

/// Which bucket of Google Cloud Storage. Plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcsSettings {
    /// The bucket. It must exist.
    pub bucket: String,
    /// The address of the XML API without the bucket; Google's when absent.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What all object stores have in common.
    #[serde(default)]
    pub remote: RemoteSettings,
}

impl GcsSettings {
    /// A bucket at Google, with default settings.
    #[must_use]
    pub fn new(bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), endpoint: None, remote: RemoteSettings::default() }
    }
}

/// Who asks Google.
#[derive(Clone)]
pub struct GcsCredentials(Kind);

#[derive(Clone)]
enum Kind {
    ServiceAccount(Secret),
    BearerToken(Secret),
}

impl GcsCredentials {
    /// The key of a service account, as the JSON that Google gives out. Tokens are then asked for as they are needed.
    #[must_use]
    pub fn service_account(json: impl Into<Secret>) -> Self {
        Self(Kind::ServiceAccount(json.into()))
    }

    /// An OAuth token, such as the metadata server gives; it expires: [`GcsStorage::renew`] in time.
    #[must_use]
    pub fn bearer_token(token: impl Into<Secret>) -> Self {
        Self(Kind::BearerToken(token.into()))
    }
}

impl fmt::Debug for GcsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcsCredentials(..)")
    }
}

/// Keeps objects in a bucket of Google Cloud Storage. Clones share the connections.
///
/// **It was tested against the requests and answers that Google documents, played by a small server, and never against Google's or any other
/// real one.** Needs a Tokio runtime with time and I/O enabled. A put with [`PutWhen::Absent`](crate::PutWhen::Absent) whose answer was lost
/// counts as done when the object that is there then has its very bytes. Let a rule of the bucket delete unfinished multipart uploads.
#[derive(Clone)]
pub struct GcsStorage {
    pub(super) cloud: Cloud,
    token: Option<Arc<Lent<GcpCredential>>>,
}

impl GcsStorage {
    /// Makes a client. Nothing is asked of the server yet.
    ///
    /// # Errors
    /// `Invalid` for settings or credentials that cannot work; `Unavailable` when the system's certificates cannot be read.
    pub fn new(settings: GcsSettings, credentials: &GcsCredentials) -> Result<Self, StorageError> {
        let GcsSettings { bucket, endpoint, remote } = settings;
        remote.check()?;
        check_name("bucket", &bucket)?;
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&bucket)
            .with_retry(no_retries())
            .with_http_connector(Connector::new(&remote)?);
        let place = match &endpoint {
            Some(endpoint) => {
                remote.check_endpoint(endpoint)?;
                builder = builder.with_base_url(endpoint);
                format!("GCS bucket {bucket} at {endpoint}")
            }
            None => format!("GCS bucket {bucket}"),
        };
        let mut token = None;
        builder = match &credentials.0 {
            Kind::ServiceAccount(json) => builder.with_service_account_key(json.reveal()),
            Kind::BearerToken(bearer) => {
                let lent = Lent::new(bearer_of(bearer)?);
                token = Some(Arc::clone(&lent));
                builder.with_credentials(lent)
            }
        };
        let store = builder.build().map_err(|_| not_made(&place))?;
        Ok(Self { cloud: Cloud::new(store, place, remote)?, token })
    }

    /// Sends this OAuth token with every request from now on, in all clones.
    ///
    /// # Errors
    /// `Invalid` for a token that cannot work, and for a client of a service account, which gets its tokens itself.
    pub fn renew(&self, bearer_token: impl Into<Secret>) -> Result<(), StorageError> {
        let lent = self.token.as_ref().ok_or_else(|| refuse("a service account gets its tokens itself"))?;
        lent.replace(bearer_of(&bearer_token.into())?);
        Ok(())
    }
}

fn bearer_of(token: &Secret) -> Result<GcpCredential, StorageError> {
    token.check("bearer token")?;
    Ok(GcpCredential { bearer: token.reveal().to_owned() })
}

backend_of_its_cloud!(GcsStorage);
