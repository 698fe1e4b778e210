use super::stage_state::{Deployed, StageState};
use crate::judge::Judgement;
use crate::verification::Verification;
use crate::{Kind, Observed, Promotion, Reach, Release, State};

/// What the next change on behalf of a promotion in flight is to bring about.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// The release; empty for nothing.
    pub release: Release,
    /// How much of the stage is to run it.
    pub reach: Reach,
}

impl Promotion {
    /// Whether its release, which was judged well in the canary, is now brought to everything else: the verdict stands in the journal, and
    /// its success does not yet.
    ///
    /// A canary that a person has overridden goes on in the same way, judged or not.
    #[must_use]
    pub fn is_widening(&self) -> bool {
        if self.state != State::Verifying {
            return false;
        }
        let well = match (&self.policy.verification, &self.verification) {
            (Verification::Unverified { .. }, _) => true,
            (Verification::Judged(_), progress) => {
                progress.as_ref().is_some_and(|progress| progress.judgement == Judgement::Pass)
            }
        };
        self.overridden.is_some() || (self.reach == Some(Reach::Canary) && well)
    }
}

impl StageState {
    /// How much of the stage the first change on behalf of `promotion` reaches: the canary, where its policy says so and another release
    /// runs to compare with; everything otherwise.
    #[must_use]
    pub fn first_reach(&self, promotion: &Promotion) -> Reach {
        if promotion.policy.canary && !self.stands_alone(promotion) { Reach::Canary } else { Reach::All }
    }

    /// Whether `promotion` has nothing to be compared with: nothing ran before, or its release did, or it takes away the one that does.
    #[must_use]
    pub fn stands_alone(&self, promotion: &Promotion) -> bool {
        let other = |current: &Deployed| current.release.digest() != promotion.release.digest();
        promotion.kind == Kind::Rollback || !self.current().is_some_and(other)
    }

    /// What there is to say about a pass in a window with so many baseline instances; empty where the verdict says it all.
    pub(super) fn remark(&self, promotion: &Promotion, baselines: u64) -> &'static str {
        let compares =
            matches!(&promotion.policy.verification, Verification::Judged(judged) if judged.judge.compares());
        if compares && baselines == 0 && self.stands_alone(promotion) {
            "nothing ran beside it to compare it with"
        } else {
            ""
        }
    }

    /// Whether the success of `promotion` needs one more change than it has had: at most its canary runs the release.
    #[must_use]
    pub fn needs_widening(&self, promotion: &Promotion) -> bool {
        self.first_reach(promotion) == Reach::Canary && promotion.reach != Some(Reach::All)
    }

    /// What the next change on behalf of `promotion` is to bring about; `None` where nothing is to be changed.
    #[must_use]
    pub fn goal(&self, promotion: &Promotion) -> Option<Goal> {
        match promotion.state {
            State::Deploying => {
                Some(Goal { release: promotion.release.clone(), reach: self.first_reach(promotion) })
            }
            State::Verifying if promotion.is_widening() => {
                Some(Goal { release: promotion.release.clone(), reach: Reach::All })
            }
            State::RollingBack => Some(Goal { release: self.rollback_target(), reach: Reach::All }),
            _ => None,
        }
    }

    /// How far `goal` was reached, by what the stage runs; `None` when it was not.
    ///
    /// More than was asked for is not what was asked for, unless a person has accepted that the stage runs something unexpected.
    #[must_use]
    pub fn reached(&self, promotion: &Promotion, goal: &Goal, observed: &Observed) -> Option<Reach> {
        let wanted = (!goal.release.is_empty()).then(|| goal.release.digest());
        let before = self.current().map(|current| current.release.digest());
        let (canary, rest) = parts(observed)?;
        let tolerated = promotion.accepts_drift || self.is_unsettled();
        match goal.reach {
            Reach::All => ((canary, rest) == (wanted, wanted)).then_some(Reach::All),
            Reach::Canary if (canary, rest) == (wanted, before) => Some(Reach::Canary),
            Reach::Canary if tolerated && (canary, rest) == (wanted, wanted) => Some(Reach::All),
            Reach::Canary => (tolerated && canary == wanted).then_some(Reach::Canary),
        }
    }
}

/// What the canary and everything else run; `None` where that is not known.
pub(super) fn parts(observed: &Observed) -> Option<(Option<mcp_core::Digest>, Option<mcp_core::Digest>)> {
    match observed {
        Observed::Running(digest) => Some((Some(*digest), Some(*digest))),
        Observed::Nothing => Some((None, None)),
        Observed::Canary { canary, rest } => Some((Some(*canary), *rest)),
        Observed::Unknown(_) => None,
    }
}
