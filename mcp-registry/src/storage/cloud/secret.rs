use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use object_store::CredentialProvider;

use super::settings::refuse;
use crate::StorageError;

/// Text that is shown to nobody but the server that it is for.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Refuses what cannot stand in a header of a request, without repeating it.
    pub(crate) fn check(&self, what: &str) -> Result<(), StorageError> {
        check_visible(what, &self.0)
    }
}

pub(crate) fn check_visible(what: &str, text: &str) -> Result<(), StorageError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse(&format!("the {what} must be visible ASCII characters, at least one")));
    }
    Ok(())
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Credentials that the host lends, and may replace while they are in use.
pub(crate) struct Lent<C>(Mutex<Arc<C>>);

impl<C> Lent<C> {
    pub(crate) fn new(credential: C) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Arc::new(credential))))
    }

    pub(crate) fn replace(&self, credential: C) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(credential);
    }
}

impl<C> fmt::Debug for Lent<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent(..)")
    }
}

#[async_trait]
impl<C: Send + Sync> CredentialProvider for Lent<C> {
    type Credential = C;

    async fn get_credential(&self) -> object_store::Result<Arc<C>> {
        Ok(Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
