//! Who may do what: the host says so, or plain data does.

mod operation;
mod roles;

use std::collections::BTreeSet;

use async_trait::async_trait;
use mcp_core::{Name, Principal, SeamError};

use crate::{Policy, PromotionError, PromotionId, Release, Vote};

pub use operation::{OperateRequest, OperatedPlan, Operation, Permission};
pub use roles::Roles;

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
    /// The policy that counts for it, which says what levels there are.
    pub policy: &'a Policy,
}

impl<'a> VoteRequest<'a> {
    /// As the engine asks; for tests of an authorizer.
    #[must_use]
    pub const fn new(
        voter: &'a Principal,
        vote: Vote,
        promotion: &'a PromotionId,
        release: &'a Release,
        requester: &'a Principal,
        policy: &'a Policy,
    ) -> Self {
        Self { voter, vote, promotion, release, requester, policy }
    }

    /// Into which stage.
    #[must_use]
    pub const fn stage(&self) -> &Name {
        &self.promotion.stage
    }
}

/// What a person who may vote is eligible for. What of it counts is recorded in the vote, so that a replay asks nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// The levels that are theirs to approve; `None` for all.
    pub levels: Option<BTreeSet<Name>>,
    /// The groups that they belong to.
    pub groups: BTreeSet<Name>,
}

impl Standing {
    /// Every level, and no group.
    #[must_use]
    pub fn every_level() -> Self {
        Self::default()
    }

    /// These levels and groups.
    #[must_use]
    pub const fn of(levels: BTreeSet<Name>, groups: BTreeSet<Name>) -> Self {
        Self { levels: Some(levels), groups }
    }

    /// Whether this level is theirs to approve.
    #[must_use]
    pub fn may_approve(&self, level: &Name) -> bool {
        self.levels.as_ref().is_none_or(|levels| levels.contains(level))
    }
}

/// Says who may vote, and who may operate.
///
/// Implemented by hosts, or [`AllowList`], or [`Roles`]; asked once for every approval, every rejection and every other command but a request, before it is
/// recorded; for a command about a plan, its request included, once for each stage of the plan. That nobody approves what they requested, or reviews what they did, the engine looks after itself.
///
/// # Cancel safety
/// Callers may drop the future at any await.
#[async_trait]
pub trait Authorizer: Send + Sync {
    /// What this person is eligible for; `None` when the vote is not theirs to cast at all.
    ///
    /// # Errors
    /// `Err` means that it could not be found out; the vote is then not recorded.
    async fn standing(&self, request: &VoteRequest<'_>) -> Result<Option<Standing>, SeamError>;

    /// Whether this person may do this. Unless it is said otherwise, everybody may do everything, except that nobody may break the glass. A
    /// decorator must forward it.
    ///
    /// # Errors
    /// `Err` means that it could not be found out; the command is then not recorded.
    async fn may_operate(&self, request: &OperateRequest<'_>) -> Result<Permission, SeamError> {
        Ok(request.operation.by_default())
    }
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
    async fn standing(&self, request: &VoteRequest<'_>) -> Result<Option<Standing>, SeamError> {
        Ok(self.0.contains(request.voter).then(Standing::every_level))
    }
}
