use std::collections::BTreeSet;

use async_trait::async_trait;
use mcp_core::{Name, Principal, SeamError};

use crate::{PromotionError, PromotionId, Release, Vote};

/// What somebody wants to vote on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VoteRequest<'a> {
    /// Who.
    pub voter: &'a Principal,
    /// Approve or reject; who approved may always revoke.
    pub vote: Vote,
    /// Which promotion.
    pub promotion: &'a PromotionId,
    /// What it would bring into the stage.
    pub release: &'a Release,
    /// Who asked for it.
    pub requester: &'a Principal,
}

impl VoteRequest<'_> {
    /// Into which stage.
    #[must_use]
    pub const fn stage(&self) -> &Name {
        &self.promotion.stage
    }
}

/// Says who may vote.
///
/// Implemented by hosts, or [`AllowList`]; asked once for every approval and rejection, before it is recorded. The requester is refused by
/// the engine itself.
///
/// # Cancel safety
/// Callers may drop the future at any await.
#[async_trait]
pub trait Authorizer: Send + Sync {
    /// Whether the vote is this person's to cast.
    ///
    /// # Errors
    /// `Err` means that it could not be found out; the vote is then not recorded.
    async fn is_eligible(&self, request: &VoteRequest<'_>) -> Result<bool, SeamError>;
}

const _: Option<&dyn Authorizer> = None;

/// The same people for every stage.
#[derive(Clone, Debug)]
pub struct AllowList(BTreeSet<Principal>);

impl AllowList {
    /// These people.
    ///
    /// # Errors
    /// `Invalid` for text that is no principal.
    pub fn of<P>(people: impl IntoIterator<Item = P>) -> Result<Self, PromotionError>
    where
        P: TryInto<Principal, Error: Into<PromotionError>>,
    {
        let people: Result<_, PromotionError> =
            people.into_iter().map(|person| person.try_into().map_err(Into::into)).collect();
        Ok(Self(people?))
    }
}

#[async_trait]
impl Authorizer for AllowList {
    async fn is_eligible(&self, request: &VoteRequest<'_>) -> Result<bool, SeamError> {
        Ok(self.0.contains(request.voter))
    }
}
