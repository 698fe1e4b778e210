use std::fmt;

use async_trait::async_trait;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use mcp_core::{ErrorKind, Name, SeamError};

use super::signer::{Signature, Signer, Verifier};

/// Signs with Ed25519 (RFC 8032). The name of the key is `ed25519/` and the public key in 64 hexadecimal digits.
///
/// The secret is wiped from memory when it is dropped, and no `Debug` shows it.
pub struct Ed25519Signer {
    secret: SigningKey,
    key: Name,
}

impl Ed25519Signer {
    /// With this secret key: 32 bytes that were drawn at random, and that only the host knows.
    ///
    /// # Errors
    /// `Internal` when its name cannot be written; this does not happen.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, SeamError> {
        let secret = SigningKey::from_bytes(secret);
        let key = name(&secret.verifying_key())?;
        Ok(Self { secret, key })
    }

    /// The public key, for an [`Ed25519Verifier`].
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.secret.verifying_key().to_bytes()
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Signer").field("key", &self.key).finish_non_exhaustive()
    }
}

#[async_trait]
impl Signer for Ed25519Signer {
    async fn sign(&self, bytes: &[u8]) -> Result<Signature, SeamError> {
        Ok(Signature { key: self.key.clone(), bytes: self.secret.sign(bytes).to_bytes().to_vec() })
    }
}

/// Trusts signatures of some Ed25519 keys.
#[derive(Clone, Debug)]
pub struct Ed25519Verifier {
    keys: Vec<(Name, VerifyingKey)>,
}

impl Ed25519Verifier {
    /// Trusts these public keys.
    ///
    /// # Errors
    /// `Invalid` when one of them is none.
    pub fn of(keys: impl IntoIterator<Item = [u8; 32]>) -> Result<Self, SeamError> {
        let trusted = |bytes: [u8; 32]| {
            let key = VerifyingKey::from_bytes(&bytes).map_err(|error| {
                SeamError::new(ErrorKind::Invalid, "trust an Ed25519 key").with_source(error.to_string())
            })?;
            Ok((name(&key)?, key))
        };
        Ok(Self { keys: keys.into_iter().map(trusted).collect::<Result<_, SeamError>>()? })
    }
}

impl Verifier for Ed25519Verifier {
    fn verify(&self, bytes: &[u8], signature: &Signature) -> Result<(), SeamError> {
        let denied = |why: &str| {
            let context = format!("verify a signature by {}", signature.key);
            SeamError::new(ErrorKind::Denied, context).with_source(why.to_owned())
        };
        let (_, key) = self
            .keys
            .iter()
            .find(|(name, _)| *name == signature.key)
            .ok_or_else(|| denied("the key is not among those that are trusted"))?;
        let proof = ed25519_dalek::Signature::from_slice(&signature.bytes)
            .map_err(|_| denied("it is not as long as Ed25519 signatures are"))?;
        // Strict: also refuses weak keys, and every second way to write the same signature.
        key.verify_strict(bytes, &proof).map_err(|_| denied("it does not fit what was signed"))
    }
}

fn name(key: &VerifyingKey) -> Result<Name, SeamError> {
    let digits: String = key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("ed25519/{digits}")
        .parse()
        .map_err(|error| SeamError::new(ErrorKind::Internal, "name an Ed25519 key").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[tokio::test]
    async fn it_signs_as_the_published_vector_says() {
        let bytes = |digits: &str| -> Vec<u8> {
            let digits: Vec<u32> = digits.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
            digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
        };
        let secret = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                        085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        let signer = Ed25519Signer::from_secret(&secret.try_into().unwrap()).unwrap();
        let signature = signer.sign(&[0x72]).await.unwrap();
        assert_eq!(signature.key.as_str(), format!("ed25519/{public}"));
        assert_eq!(signature.bytes, bytes(expected));
        assert_eq!(signer.public_key().to_vec(), bytes(public));
        let shown = format!("{signer:?}");
        assert!(!shown.contains("4ccd") && shown.contains(public), "{shown}");
    }
}
