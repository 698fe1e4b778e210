use mcp_core::{Digest, SeamError};

use crate::{Document, Findings};

/// Why a validator could not judge: a kind, what was attempted, and the cause.
pub type ValidatorError = SeamError;

/// Judges documents: the plug-in for checks that neither a schema nor a rule that is data can express, and so the trait of rules in code. For
/// a rule that is one closure see [`rule::from_fn`](crate::rule::from_fn). Also a reference, a `Box` or an `Arc` to one is a validator.
///
/// Called by a [`Contract`](crate::Contract), from many threads at once, for documents that were read and are within its limits.
///
/// The same document must get the same findings as long as the fingerprint is the same. Long work takes steps from
/// [`Findings::spend`], and may stop early once [`Findings::is_decided`].
///
/// ```
/// use mcp_core::Digest;
/// use mcp_validation::{Document, Findings, Validator, ValidatorError};
///
/// struct NoTestCard;
///
/// impl Validator for NoTestCard {
///     fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
///         let card = &document.value()?["card"];
///         if card == "4111111111111111" {
///             findings.error("shop.test-card", "/card", "this card number is for tests", Some(card));
///         }
///         Ok(())
///     }
///
///     fn fingerprint(&self) -> Option<Digest> {
///         Some(Digest::of(b"NoTestCard 1"))
///     }
/// }
/// ```
pub trait Validator: Send + Sync {
    /// Adds what it sees to `findings`.
    ///
    /// # Errors
    /// A bad document is a finding; `Err` means that it could not be judged. `Exhausted` from [`Findings::spend`] is passed on.
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError>;

    /// What identifies its behaviour, settings included: it changes when a finding can. `None` when nothing does, so that nothing
    /// may be remembered of what it said, and no two contracts that hold it count as the same.
    fn fingerprint(&self) -> Option<Digest>;
}

macro_rules! validates_behind {
    ($($pointer:ty),+) => {
        $(impl<V: Validator + ?Sized> Validator for $pointer {
            fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
                (**self).validate(document, findings)
            }

            fn fingerprint(&self) -> Option<Digest> {
                (**self).fingerprint()
            }
        })+
    };
}

validates_behind!(&V, Box<V>, std::sync::Arc<V>);

const _: Option<&dyn Validator> = None;
