use std::collections::BTreeMap;

use serde::Serialize;

use crate::{ArtifactRef, Digest, Finding, Name, Principal, Timestamp, Version};

/// What happened, by engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum EventKind {
    /// In the validation engine.
    Validation(ValidationEvent),
    /// In the registry.
    Registry(RegistryEvent),
    /// In the promotion engine.
    Promotion(PromotionEvent),
}

impl EventKind {
    /// The CloudEvents `type`; a change that readers could trip over gets a new one, ending in `.v2`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Validation(event) => event.type_name(),
            Self::Registry(event) => event.type_name(),
            Self::Promotion(event) => event.type_name(),
        }
    }
}

/// One engine's enum: its variants, and the CloudEvents type of each.
macro_rules! events {
    ($(#[$doc:meta])* $kind:ident :: $engine:ident { $($(#[$variant_doc:meta])* $variant:ident($data:ident) = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        #[non_exhaustive]
        pub enum $engine {
            $($(#[$variant_doc])* $variant($data),)+
        }

        impl $engine {
            /// The CloudEvents `type`.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)+ }
            }
        }

        impl From<$engine> for EventKind {
            fn from(event: $engine) -> Self {
                Self::$kind(event)
            }
        }
    };
}

/// The data of one event, with a constructor that takes every field.
macro_rules! data {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)+
        }

        impl $name {
            /// All fields, in their order.
            #[must_use]
            pub const fn new($($field: $type),+) -> Self {
                Self { $($field),+ }
            }
        }
    };
}

events! {
    /// What happened in the validation engine.
    Validation::ValidationEvent {
        /// A contract can be used from now on.
        ContractRegistered(ContractRegistered) = "mcp.validation.contract.registered.v1",
        /// A document was found valid or invalid.
        DocumentJudged(DocumentJudged) = "mcp.validation.document.judged.v1",
    }
}

data! {
    /// A contract can be used from now on.
    ContractRegistered {
        /// The contract's subject.
        contract: Name,
        /// The contract's version.
        version: Version,
    }
}

data! {
    /// A document was found valid or invalid.
    DocumentJudged {
        /// The contract's subject.
        contract: Name,
        /// The contract's version.
        version: Version,
        /// Whether no finding is an error.
        valid: bool,
        /// How many findings are errors, kept or not.
        errors: u64,
        /// How many findings are warnings, kept or not.
        warnings: u64,
    }
}

events! {
    /// What happened in the registry.
    Registry::RegistryEvent {
        /// A version was published.
        Published(ArtifactPublished) = "mcp.registry.artifact.published.v1",
        /// A version was published of bytes that were stored already.
        Deduplicated(ArtifactDeduplicated) = "mcp.registry.artifact.deduplicated.v1",
        /// A publish was refused by admission.
        Refused(PublishRefused) = "mcp.registry.publish.refused.v1",
        /// A version was yanked, or restored.
        Yanked(ArtifactYanked) = "mcp.registry.artifact.yanked.v1",
        /// The labels of a version were changed.
        LabelsChanged(LabelsChanged) = "mcp.registry.artifact.labels.changed.v1",
        /// A version was deprecated, or its deprecation taken back.
        Deprecated(ArtifactDeprecated) = "mcp.registry.artifact.deprecated.v1",
        /// A channel was set or moved.
        ChannelMoved(ChannelMoved) = "mcp.registry.channel.moved.v1",
        /// A channel was removed.
        ChannelRemoved(ChannelRemoved) = "mcp.registry.channel.removed.v1",
        /// Stored bytes are not what was published.
        Corrupt(ArtifactCorrupt) = "mcp.registry.artifact.corrupt.v1",
    }
}

data! {
    /// A version was published.
    ArtifactPublished {
        /// What was published.
        artifact: ArtifactRef,
        /// The digest of its bytes.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// Whether the same bytes were stored already.
        deduplicated: bool,
        /// Who published it.
        actor: Principal,
    }
}

data! {
    /// A version was published of bytes that were stored already. Told beside the event of the publish, without a place in the feed.
    ArtifactDeduplicated {
        /// What was published.
        artifact: ArtifactRef,
        /// The digest of its bytes.
        digest: Digest,
        /// How many bytes were not stored again.
        size: u64,
    }
}

data! {
    /// A publish was refused by admission.
    PublishRefused {
        /// What it would have been called.
        name: Name,
        /// The digest of the refused bytes.
        digest: Digest,
        /// Who tried.
        actor: Principal,
        /// What refused it.
        findings: Vec<Finding>,
    }
}

data! {
    /// A version was yanked, or restored.
    ArtifactYanked {
        /// Which version.
        artifact: ArtifactRef,
        /// Whether it is yanked now.
        yanked: bool,
        /// Why.
        reason: String,
        /// Who did it.
        actor: Principal,
    }
}

data! {
    /// The labels of a version were changed.
    LabelsChanged {
        /// Which version.
        artifact: ArtifactRef,
        /// All its labels now.
        labels: BTreeMap<String, String>,
        /// Who did it.
        actor: Principal,
    }
}

data! {
    /// A version was deprecated, or its deprecation taken back.
    ArtifactDeprecated {
        /// Which version.
        artifact: ArtifactRef,
        /// Whether it is deprecated now.
        deprecated: bool,
        /// What its users are told, or why it was taken back.
        message: String,
        /// Who did it.
        actor: Principal,
    }
}

data! {
    /// A channel was set or moved.
    ChannelMoved {
        /// Of which name.
        name: Name,
        /// Which channel.
        channel: Name,
        /// Where it pointed before; `None` when it was made.
        from: Option<Version>,
        /// Where it points now.
        to: Version,
        /// Who moved it.
        actor: Principal,
    }
}

data! {
    /// A channel was removed.
    ChannelRemoved {
        /// Of which name.
        name: Name,
        /// Which channel.
        channel: Name,
        /// Where it pointed.
        from: Version,
        /// Who removed it.
        actor: Principal,
    }
}

data! {
    /// Stored bytes are not what was published.
    ArtifactCorrupt {
        /// Which version.
        artifact: ArtifactRef,
        /// The pack or file, and where in it.
        place: String,
    }
}

events! {
    /// What happened in the promotion engine.
    Promotion::PromotionEvent {
        /// A promotion was requested.
        Requested(PromotionRequested) = "mcp.promotion.promotion.requested.v1",
        /// Somebody approved, rejected, or took a vote back.
        Voted(VoteCast) = "mcp.promotion.vote.cast.v1",
        /// A promotion went from one state to another.
        Changed(PromotionChanged) = "mcp.promotion.promotion.changed.v1",
        /// A gate or a seam keeps a promotion pending.
        Delayed(PromotionDelayed) = "mcp.promotion.promotion.delayed.v1",
        /// A call to a stage failed.
        CallFailed(StageCallFailed) = "mcp.promotion.call.failed.v1",
        /// Nothing but rollbacks starts in a stage from now on.
        Held(StageHeld) = "mcp.promotion.stage.held.v1",
        /// Everything may start there again.
        HoldLifted(StageHoldLifted) = "mcp.promotion.hold.lifted.v1",
        /// Somebody let a promotion start without waiting, and somebody else owes a review.
        GlassBroken(GlassBroken) = "mcp.promotion.glass.broken.v1",
        /// The review was given.
        Reviewed(GlassReviewed) = "mcp.promotion.glass.reviewed.v1",
        /// The review was not given in time.
        ReviewOverdue(ReviewOverdue) = "mcp.promotion.review.overdue.v1",
        /// A release plan was requested.
        PlanRequested(PlanRequested) = "mcp.promotion.plan.requested.v1",
        /// A release plan went from one state to another.
        PlanChanged(PlanChanged) = "mcp.promotion.plan.changed.v1",
        /// A release plan went on in one of its stages.
        PlanStageChanged(PlanStageChanged) = "mcp.promotion.plan.stage.changed.v1",
    }
}

data! {
    /// A promotion was requested.
    PromotionRequested {
        /// Into which stage.
        stage: Name,
        /// Which promotion of that stage.
        promotion: String,
        /// The digest of the release.
        release: Digest,
        /// Who asked for it.
        requester: Principal,
        /// How many approvals it waits for; 0 for none.
        approvals: u32,
    }
}

data! {
    /// Somebody approved, rejected, or took a vote back.
    VoteCast {
        /// Into which stage.
        stage: Name,
        /// Which promotion of that stage.
        promotion: String,
        /// Who voted.
        voter: Principal,
        /// `approve`, `reject` or `revoke`.
        vote: String,
        /// How many approvals are missing now.
        missing: u32,
    }
}

data! {
    /// A promotion went from one state to another.
    PromotionChanged {
        /// Into which stage.
        stage: Name,
        /// Which promotion of that stage.
        promotion: String,
        /// The state before, such as `verifying`.
        from: String,
        /// The state now, such as `rolling_back`.
        to: String,
        /// Why; empty where the state says it all.
        reason: String,
    }
}

data! {
    /// A gate or a seam keeps a promotion pending. Told once for each thing that it says.
    PromotionDelayed {
        /// Into which stage.
        stage: Name,
        /// Which promotion of that stage.
        promotion: String,
        /// Which gate or seam, such as `gate scan`.
        by: String,
        /// What it said.
        why: String,
    }
}

data! {
    /// A call to a stage failed; whether it had an effect is unknown.
    StageCallFailed {
        /// Which stage.
        stage: Name,
        /// On behalf of which promotion of that stage.
        promotion: String,
        /// Which call, such as `apply`.
        call: String,
        /// What it said.
        why: String,
    }
}

data! {
    /// Nothing but rollbacks starts in a stage from now on.
    StageHeld {
        /// Which stage.
        stage: Name,
        /// Who put the hold there; `watch` for the engine itself.
        by: Principal,
        /// Why.
        reason: String,
    }
}

data! {
    /// Everything may start in a stage again.
    StageHoldLifted {
        /// Which stage.
        stage: Name,
        /// Who lifted it.
        by: Principal,
    }
}

data! {
    /// Somebody let a promotion start without waiting.
    GlassBroken {
        /// Into which stage.
        stage: Name,
        /// Which promotion of that stage.
        promotion: String,
        /// Who did it.
        by: Principal,
        /// Why.
        reason: String,
        /// Until when somebody else must review it.
        review_by: Timestamp,
    }
}

data! {
    /// Somebody has reviewed why the glass was broken.
    GlassReviewed {
        /// Into which stage.
        stage: Name,
        /// Which promotion of that stage.
        promotion: String,
        /// Who reviewed it.
        by: Principal,
        /// What they found.
        note: String,
    }
}

data! {
    /// Nobody has reviewed in time why the glass was broken. Told once.
    ReviewOverdue {
        /// Into which stage.
        stage: Name,
        /// Which promotion of that stage.
        promotion: String,
        /// Who broke the glass.
        by: Principal,
        /// Until when it was to be reviewed.
        due: Timestamp,
    }
}

data! {
    /// A release plan was requested.
    PlanRequested {
        /// Which plan.
        plan: String,
        /// Who asked for it.
        requester: Principal,
        /// How many stages it changes.
        stages: u64,
    }
}

data! {
    /// A release plan went from one state to another.
    PlanChanged {
        /// Which plan.
        plan: String,
        /// The state before, such as `running`.
        from: String,
        /// The state now, such as `halted`.
        to: String,
        /// Why; empty where the state says it all.
        reason: String,
    }
}

data! {
    /// A release plan went on in one of its stages.
    PlanStageChanged {
        /// Which plan.
        plan: String,
        /// Which stage.
        stage: Name,
        /// The newest promotion that the plan has requested there; empty where there is none.
        promotion: String,
        /// How far it is there now: `waiting`, `asked`, `done`, `reversing`, `back` or `astray`.
        to: String,
        /// What has happened, such as `web succeeded`.
        what: String,
    }
}
