use std::fmt;
use std::sync::Arc;

use object_store::azure::{AzureAccessKey, AzureCredential, MicrosoftAzureBuilder};
use serde::{Deserialize, Serialize};

use super::cloud::{
    Cloud, Connector, Lent, RemoteSettings, Secret, backend_of_its_cloud, check_name, no_retries, not_made,
    refuse,
};
use crate::StorageError;

/// Which container of Azure Blob Storage. Plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureSettings {
    /// The storage account.
    pub account: String,
    /// The container. It must exist.
    pub container: String,
    /// The address of the account, such as `http://127.0.0.1:10000/devstoreaccount1`; Azure's for the account when absent.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// What all object stores have in common.
    #[serde(default)]
    pub remote: RemoteSettings,
}

impl AzureSettings {
    /// A container at Azure, with default settings.
    #[must_use]
    pub fn new(account: impl Into<String>, container: impl Into<String>) -> Self {
        Self {
            account: account.into(),
            container: container.into(),
            endpoint: None,
            remote: RemoteSettings::default(),
        }
    }
}

/// Who asks Azure.
#[derive(Clone)]
pub struct AzureCredentials(Kind);

#[derive(Clone)]
enum Kind {
    AccessKey(Secret),
    BearerToken(Secret),
}

impl AzureCredentials {
    /// One of the account's two access keys, in Base64 as Azure shows them.
    #[must_use]
    pub fn access_key(key: impl Into<Secret>) -> Self {
        Self(Kind::AccessKey(key.into()))
    }

    /// A token of Microsoft Entra, such as a managed identity gets; it expires: [`AzureStorage::renew`] in time.
    #[must_use]
    pub fn bearer_token(token: impl Into<Secret>) -> Self {
        Self(Kind::BearerToken(token.into()))
    }

    fn credential(&self) -> Result<AzureCredential, StorageError> {
        match &self.0 {
            Kind::AccessKey(key) => AzureAccessKey::try_new(key.reveal())
                .map(AzureCredential::AccessKey)
                .map_err(|_| refuse("the access key must be Base64")),
            Kind::BearerToken(token) => {
                token.check("bearer token")?;
                Ok(AzureCredential::BearerToken(token.reveal().to_owned()))
            }
        }
    }
}

impl fmt::Debug for AzureCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AzureCredentials(..)")
    }
}

/// Keeps objects as block blobs in a container of Azure Blob Storage. Clones share the connections.
///
/// Needs a Tokio runtime with time and I/O enabled. A put with [`PutWhen::Absent`](crate::PutWhen::Absent) whose answer was lost counts as
/// done when the object that is there then has its very bytes. A stream that is given up leaves blocks which Azure deletes after a week.
#[derive(Clone)]
pub struct AzureStorage {
    pub(super) cloud: Cloud,
    credentials: Arc<Lent<AzureCredential>>,
}

impl AzureStorage {
    /// Makes a client. Nothing is asked of the server yet.
    ///
    /// # Errors
    /// `Invalid` for settings or credentials that cannot work; `Unavailable` when the system's certificates cannot be read.
    pub fn new(settings: AzureSettings, credentials: &AzureCredentials) -> Result<Self, StorageError> {
        let AzureSettings { account, container, endpoint, remote } = settings;
        remote.check()?;
        check_name("account", &account)?;
        check_name("container", &container)?;
        let place = match &endpoint {
            Some(endpoint) => {
                remote.check_endpoint(endpoint)?;
                format!("Azure container {container} at {endpoint}")
            }
            None => format!("Azure container {container} of {account}"),
        };
        let credentials = Lent::new(credentials.credential()?);
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(account)
            .with_container_name(container)
            .with_credentials(Arc::clone(&credentials) as _)
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
    pub fn renew(&self, credentials: &AzureCredentials) -> Result<(), StorageError> {
        self.credentials.replace(credentials.credential()?);
        Ok(())
    }
}

backend_of_its_cloud!(AzureStorage);
