use std::sync::Arc;

use mcp_core::Holder;

use super::call::told;
use super::drive::{Step, Turn};
use super::{Driving, Engine};
use crate::judge::{Heard, Judgement, Occasion};
use crate::machine::{Command, Response, WATCH};
use crate::{Counts, Observed, PromotionError, Sampled, Window};

impl Engine {
    /// Samples one window after the success of a promotion, and judges it. No data, and a stage that runs something else, are recorded and
    /// lead to nothing.
    pub(super) async fn watch(
        &self,
        turn: &Turn<'_>,
        driving: &mut Driving,
        number: u64,
        window: Window,
    ) -> Result<Step, PromotionError> {
        let promotion = turn.state.find(number)?;
        let limit = promotion.policy.calls.timeout;
        let mut trouble = None;
        if !driving.shown {
            let wanted = Observed::Running(promotion.release.digest());
            match self.observe(turn, driving, limit).await {
                Ok(observed) if observed == wanted => {}
                Ok(observed) => trouble = Some(format!("the stage runs {observed}")),
                Err(error) => trouble = Some(format!("observe: {}", told(&error))),
            }
        }
        let mut samples = Vec::new();
        if trouble.is_none() {
            match self.take_samples(turn, driving, limit, window).await {
                Ok(taken) => samples = taken,
                Err(why) => trouble = Some(why),
            }
        }
        let kept = turn.state.watch().map(|watch| &watch.progress);
        let heard = self.judge(promotion, Occasion::Watch, kept, window, &samples);
        let Heard { judge, judgement, beside } = match heard {
            Ok(heard) => heard,
            Err(error) => {
                trouble.get_or_insert(format!("the judge failed: {}", told(&error)));
                let (judge, beside) =
                    kept.map(|kept| (kept.judge.clone(), kept.beside.clone())).unwrap_or_default();
                Heard { judge, judgement: Judgement::Undecided, beside }
            }
        };
        let (canary, baseline) = Counts::of(&samples).unwrap_or_default();
        let sampled = Box::new(Sampled {
            promotion: number,
            window,
            canary,
            baseline,
            trouble,
            judge,
            judgement,
            beside,
        });
        let unique = [self.inner.ids.next_id(), self.inner.ids.next_id()];
        let [own, _] = unique;
        let holder: Option<Holder> = match &self.inner.pin {
            Some(_) => Some(format!("promotion/{own}").parse()?),
            None => None,
        };
        let policy = Arc::new(turn.slot.policy.for_rollback());
        let response = Response { by: WATCH.parse()?, policy, unique, holder };
        self.record_about(turn, number, &Command::Watched { fence: turn.fence, sampled, response }).await
    }
}
