use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mcp_core::Name;

use super::{Engine, Slot};
use crate::PromotionError;
use crate::plan::{Course, PlanId, Planned, Runs, Seen, Standing};

/// What a driver has seen of the stages of a plan, by their place.
///
/// What is seen may be behind what other processes have done, as if they did it later. But it is never behind the plan: a stage is looked at
/// again when an event of the plan has named it.
#[derive(Debug, Default)]
pub(super) struct Sight {
    pub(super) seen: Vec<Option<Seen>>,
    /// How far the plan was in each stage when that was looked at.
    parts: Vec<Standing>,
    /// The stages, by their place.
    stages: Vec<Name>,
    /// Those that are to be looked at again.
    again: Vec<usize>,
    /// How many changes of stages this engine knew of.
    news: u64,
}

impl Sight {
    /// Looks again, the next time, at the stages that `wanted` takes.
    pub(super) fn forget(&mut self, wanted: impl Fn(&Name) -> bool) {
        let places = self.stages.iter().enumerate().filter(|(_, stage)| wanted(stage));
        self.again = places.map(|(place, _)| place).collect();
    }
}

/// What [`Engine::step`] has seen of each plan, from one step to the next one.
#[derive(Debug, Default)]
pub(super) struct Sights(Mutex<BTreeMap<PlanId, Sight>>);

impl Sights {
    /// Nothing, while somebody else has it.
    pub(super) fn take(&self, id: PlanId) -> Sight {
        self.lock().remove(&id).unwrap_or_default()
    }

    pub(super) fn keep(&self, id: PlanId, sight: Sight) {
        if !sight.seen.is_empty() {
            self.lock().insert(id, sight);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PlanId, Sight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looking at the stages of plans.
impl Engine {
    /// Looks at all stages, or at those that have changed since the last look.
    pub(super) async fn look(&self, course: &Course, sight: &mut Sight) -> Result<(), PromotionError> {
        let mut places = std::mem::take(&mut sight.again);
        match self.inner.plan_news.since(sight.news) {
            Some((changed, news)) if !sight.seen.is_empty() => {
                places.extend(changed.iter().filter_map(|stage| course.place(stage)));
                sight.news = news;
            }
            _ => {
                sight.news = self.inner.plan_news.end();
                (sight.seen, sight.parts) = (Vec::new(), Vec::new());
                sight.stages = course.parts().map(|(_, planned, _)| planned.stage.clone()).collect();
            }
        }
        for (place, _, part) in course.parts() {
            match sight.parts.get_mut(place) {
                Some(known) if *known == part => continue,
                Some(known) => *known = part,
                None => sight.parts.push(part),
            }
            places.push(place);
        }
        sight.seen.resize(sight.parts.len(), None);
        for place in places {
            if let Err(error) = self.look_at(course, sight, place).await {
                // What was not seen is looked at the next time.
                *sight = Sight::default();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Looks at one stage, as far as this pipeline knows it; whether something else was known of it.
    pub(super) async fn look_at(
        &self,
        course: &Course,
        sight: &mut Sight,
        place: usize,
    ) -> Result<bool, PromotionError> {
        let (Some((planned, part)), Some(known)) = (course.part(place), sight.seen.get_mut(place)) else {
            return Ok(false);
        };
        let seen = match self.part_slot(planned).await {
            Ok(None) => None,
            Ok(Some(slot)) => {
                let state = self.load(slot).await?;
                let promotion = match part.promotion {
                    Some(number) => {
                        let known = self.promotion(slot, &state, number).await?;
                        Some((known.state, known.since))
                    }
                    None => None,
                };
                Some(Seen { promotion, runs: Runs::of(planned, &state) })
            }
            // Nothing runs there, and what is in the way is said when it is asked for.
            Err(PromotionError::Lane { .. }) => Some(Seen { promotion: None, runs: Runs::Base }),
            Err(error) => return Err(error),
        };
        Ok(std::mem::replace(known, seen) != seen)
    }

    /// The stage or the lane of a part of a plan, as far as this pipeline knows it.
    pub(super) async fn part_slot(&self, planned: &Planned) -> Result<Option<&Slot>, PromotionError> {
        match self.slot(&planned.stage).await {
            Err(PromotionError::UnknownStage { .. }) => self.new_lane(&planned.stage, &planned.release).await,
            slot => slot.map(Some),
        }
    }
}
