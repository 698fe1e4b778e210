use async_trait::async_trait;
use mcp_core::{Name, SeamError};

/// A signature, and which key it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Which key, such as `ed25519/` and the public key, or a name in a key service.
    pub key: Name,
    /// What the algorithm gives.
    pub bytes: Vec<u8>,
}

/// Signs checkpoints. Implemented by hosts, over a key service for example, and here with Ed25519 (feature `ed25519`).
///
/// # Cancel safety
/// Nothing depends on a signature that nobody received.
#[async_trait]
pub trait Signer: Send + Sync {
    /// Signs exactly these bytes.
    ///
    /// # Errors
    /// As the host sees fit: `Unavailable` when the key cannot be reached, `Denied` when it may not be used.
    async fn sign(&self, bytes: &[u8]) -> Result<Signature, SeamError>;
}

/// Says whether a signature was made by somebody who is trusted. Implemented by hosts, and here with Ed25519 (feature `ed25519`).
///
/// Which keys are trusted is the verifier's to know: the name of the key in a signature is only what the signature says of itself.
pub trait Verifier: Send + Sync {
    /// Returns when `signature` is one over exactly these bytes by a key that is trusted.
    ///
    /// # Errors
    /// `Denied` when the key is not trusted, or the signature is not its own.
    fn verify(&self, bytes: &[u8], signature: &Signature) -> Result<(), SeamError>;
}

const _: Option<(&dyn Signer, &dyn Verifier)> = None;
