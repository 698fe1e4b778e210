use mcp_core::{ParseError, Principal, RequestId};

use crate::PromotionError;

/// Who gives a command, and under which request id.
///
/// Wherever a command asks for one, a name such as `"alice"` will do.
///
/// ```
/// use mcp_promotion::Actor;
///
/// let actor = Actor::new("alice")?.request_id("build-812")?;
/// assert_eq!(actor.request.map(|id| id.to_string()).as_deref(), Some("build-812"));
/// # Ok::<(), mcp_promotion::PromotionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Actor {
    /// Who.
    pub who: Principal,
    /// Makes a repeated command answer what the first one did; of one command of one stage, or of one lane of it. A stage that is given lanes
    /// between a command and its repetition knows nothing of the first.
    pub request: Option<RequestId>,
}

impl Actor {
    /// Without a request id: a repeated command is another one.
    ///
    /// # Errors
    /// `Invalid` for text that is no principal.
    pub fn new(who: impl TryInto<Principal, Error: Into<PromotionError>>) -> Result<Self, PromotionError> {
        Ok(Self { who: who.try_into().map_err(Into::into)?, request: None })
    }

    /// With this request id.
    ///
    /// # Errors
    /// `Invalid` for text that is no request id.
    pub fn request_id(
        mut self,
        id: impl TryInto<RequestId, Error: Into<PromotionError>>,
    ) -> Result<Self, PromotionError> {
        self.request = Some(id.try_into().map_err(Into::into)?);
        Ok(self)
    }
}

impl From<Principal> for Actor {
    fn from(who: Principal) -> Self {
        Self { who, request: None }
    }
}

impl TryFrom<&str> for Actor {
    type Error = ParseError;

    fn try_from(who: &str) -> Result<Self, ParseError> {
        Ok(Self { who: who.parse()?, request: None })
    }
}
