use std::fmt;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AwsCredential, S3ConditionalPut};
use serde::{Deserialize, Serialize};

use super::cloud::{
    Cloud, Connector, Lent, RemoteSettings, Secret, backend_of_its_cloud, check_name, check_visible,
    no_retries, not_made,
};
use crate::StorageError;

/// Which bucket of S3, or of a server that speaks its protocol. Plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    /// The bucket. It must exist.
    pub bucket: String,
    /// The region that requests are signed for, such as `eu-central-1`; servers other than Amazon's often take `us-east-1`.
    pub region: String,
    /// The address of the server without the bucket, such as `https://minio.example.org`; Amazon's for the region when absent.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What all object stores have in common.
    #[serde(default)]
    pub remote: RemoteSettings,
}

impl S3Settings {
    /// A bucket at Amazon, with default settings.
    #[must_use]
    pub fn new(bucket: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: region.into(),
            endpoint: None,
            remote: RemoteSettings::default(),
        }
    }
}

/// Who asks S3.
#[derive(Clone)]
pub struct S3Credentials {
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

impl S3Credentials {
    /// An access key that lasts.
    #[must_use]
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<Secret>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
        }
    }

    /// With the session token of an access key that expires: [`S3Storage::renew`] in time.
    #[must_use]
    pub fn session_token(mut self, token: impl Into<Secret>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    fn credential(&self) -> Result<AwsCredential, StorageError> {
        check_visible("access key id", &self.access_key_id)?;
        self.secret_access_key.check("secret access key")?;
        self.session_token.as_ref().map_or(Ok(()), |token| token.check("session token"))?;
        Ok(AwsCredential {
            key_id: self.access_key_id.clone(),
            secret_key: self.secret_access_key.reveal().to_owned(),
            token: self.session_token.as_ref().map(|token| token.reveal().to_owned()),
        })
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Credentials(..)")
    }
}

/// Keeps objects in a bucket of S3, or of a server that speaks its protocol. Clones share the connections.
///
/// Needs a Tokio runtime with time and I/O enabled. The server must know conditional writes (`If-None-Match: *`), as Amazon's does. A put with
/// [`PutWhen::Absent`](crate::PutWhen::Absent) whose answer was lost counts as done when the object that is there then has its very bytes.
/// Let a rule of the bucket delete unfinished multipart uploads: those that a killed process leaves behind cost space, and are nowhere listed.
///
/// ```no_run
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use mcp_registry::{Registry, S3Credentials, S3Settings, S3Storage};
///
/// let credentials = S3Credentials::new("AKIA...", "the secret access key");
/// let storage = S3Storage::new(S3Settings::new("artifacts", "eu-central-1"), &credentials)?;
/// // Packs go into the bucket. The catalog stays in a local folder, which is to be backed up.
/// let registry = Registry::builder(Arc::new(storage)).catalog_in("/var/lib/registry").open().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct S3Storage {
    pub(super) cloud: Cloud,
    credentials: Arc<Lent<AwsCredential>>,
}

impl S3Storage {
    /// Makes a client. Nothing is asked of the server yet.
    ///
    /// # Errors
    /// `Invalid` for settings or credentials that cannot work; `Unavailable` when the system's certificates cannot be read.
    pub fn new(settings: S3Settings, credentials: &S3Credentials) -> Result<Self, StorageError> {
        let S3Settings { bucket, region, endpoint, remote } = settings;
        remote.check()?;
        check_name("bucket", &bucket)?;
        check_name("region", &region)?;
        let place = match &endpoint {
            Some(endpoint) => {
                remote.check_endpoint(endpoint)?;
                format!("S3 bucket {bucket} at {endpoint}")
            }
            None => format!("S3 bucket {bucket} in {region}"),
        };
        let credentials = Lent::new(credentials.credential()?);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(region)
            .with_credentials(Arc::clone(&credentials) as _)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_disable_bulk_delete(true)
            .with_allow_http(remote.allow_http)
            .with_retry(no_retries())
            .with_http_connector(Connector::new(&remote)?);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let store = builder.build().map_err(|_| not_made(&place))?;
        Ok(Self { cloud: Cloud::new(store, place, remote)?, credentials })
    }

    /// Signs every request from now on with these credentials, in all clones.
    ///
    /// # Errors
    /// `Invalid` for credentials that cannot work; the former ones stay.
    pub fn renew(&self, credentials: &S3Credentials) -> Result<(), StorageError> {
        self.credentials.replace(credentials.credential()?);
        Ok(())
    }
}

backend_of_its_cloud!(S3Storage);
