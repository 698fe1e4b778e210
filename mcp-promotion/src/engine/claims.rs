use std::collections::BTreeMap;

use mcp_core::{Digest, Name};

use crate::plan::{Course, PlanHappened};
use crate::{Happened, Kind, PromotionError, State};

/// What the streams of plans say of the streams of stages, to be compared with these: plan and stage are written in one append, so neither
/// can be right without the other.
#[derive(Default)]
pub(super) struct Claims {
    /// By the stream of the stage and the number of the promotion.
    of: BTreeMap<Name, BTreeMap<u64, Claim>>,
}

struct Claim {
    /// The stream of the plan, and its event.
    plan: Name,
    position: u64,
    kind: Kind,
    release: Option<Digest>,
    is_there: bool,
    /// Where the promotion stands by its stage's stream.
    state: State,
    /// How it has ended by the plan's stream, and the event that says so.
    ended: Option<(u64, State)>,
}

impl Claims {
    /// Takes note of event `position` of `stream`, which has brought the plan to `course`.
    pub(super) fn note(&mut self, stream: &Name, position: u64, what: &PlanHappened, course: &Course) {
        match what {
            PlanHappened::Asked { stage, promotion } | PlanHappened::Reversing { stage, promotion } => {
                let back = matches!(what, PlanHappened::Reversing { .. });
                let part = course.place(stage).and_then(|place| course.part(place));
                let release = part.and_then(|(planned, _)| match back {
                    true => planned.base.as_ref().map(crate::Release::digest),
                    false => Some(planned.release.digest()),
                });
                let kind = if back { Kind::Rollback } else { Kind::Deploy };
                let (plan, state) = (stream.clone(), State::Pending);
                let claim = Claim { plan, position, kind, release, is_there: false, state, ended: None };
                if let Ok(stage) = stream_of(stage) {
                    self.of.entry(stage).or_default().insert(*promotion, claim);
                }
            }
            PlanHappened::Ended { stage, state, .. } | PlanHappened::Reversed { stage, state, .. } => {
                self.end(stage, position, *state, course);
            }
            PlanHappened::Withdrawn { stage } => self.end(stage, position, State::Cancelled, course),
            _ => {}
        }
    }

    fn end(&mut self, stage: &Name, position: u64, state: State, course: &Course) {
        let part = course.place(stage).and_then(|place| course.part(place));
        let promotion = part.and_then(|(_, part)| part.promotion);
        let claims = stream_of(stage).ok().and_then(|stream| self.of.get_mut(&stream));
        if let Some(claim) = claims.zip(promotion).and_then(|(claims, number)| claims.get_mut(&number)) {
            claim.ended = Some((position, state));
        }
    }

    /// Compares them with event `position` of the stream of a stage.
    pub(super) fn compare(&mut self, stream: &Name, position: u64, what: &Happened) {
        let Some(claims) = self.of.get_mut(stream) else { return };
        match what {
            Happened::Requested(requested) => {
                if let Some(claim) = claims.get_mut(&position) {
                    claim.is_there =
                        requested.kind == claim.kind && Some(requested.release.digest()) == claim.release;
                }
            }
            Happened::Changed { promotion, to, .. } => {
                if let Some(claim) = claims.get_mut(promotion) {
                    claim.state = *to;
                }
            }
            _ => {}
        }
    }

    /// # Errors
    /// `Corrupt`, naming the event of the plan: its stage has no such promotion, or that has not ended so.
    pub(super) fn check(&self) -> Result<(), PromotionError> {
        for (stream, claims) in &self.of {
            for (number, claim) in claims {
                let Claim { plan, position, is_there, state, ended, .. } = claim;
                let (position, reason) = match ended {
                    _ if !is_there => {
                        let reason = format!("event {number} of stream {stream} is not what it asks for");
                        (*position, reason)
                    }
                    Some((position, ended)) if ended != state => {
                        let reason = format!("promotion {number} of stream {stream} is {state}, not {ended}");
                        (*position, reason)
                    }
                    _ => continue,
                };
                return Err(PromotionError::Corrupt { stream: plan.clone(), position, reason });
            }
        }
        Ok(())
    }
}

fn stream_of(stage: &Name) -> Result<Name, mcp_core::ParseError> {
    format!("stage/{stage}").parse()
}
