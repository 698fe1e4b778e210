use std::sync::Arc;

use futures::future::join_all;

use super::HealthCheck;
use crate::{Arm, Sample};

/// The health checks of a stage's instances, for [`Stage::sample`](crate::Stage::sample) of a host that has no counts of requests.
///
/// One round asks each instance once, all at the same time. An instance that is well has one good request of one, one that is not has none
/// of one, and one of which nothing was learned is left out. A [`Guardrail`](crate::Guardrail) with `consecutive` decides on those; the
/// sequential judges want the counts of real traffic.
#[derive(Default)]
pub struct Probes(Vec<(String, Arm, Arc<dyn HealthCheck>)>);

impl Probes {
    /// Of no instance.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one instance more that runs the new release.
    #[must_use]
    pub fn canary(self, instance: impl Into<String>, check: impl HealthCheck + 'static) -> Self {
        self.with(instance.into(), Arm::Canary, Arc::new(check))
    }

    /// With one instance more that runs the previous release at the same time.
    #[must_use]
    pub fn baseline(self, instance: impl Into<String>, check: impl HealthCheck + 'static) -> Self {
        self.with(instance.into(), Arm::Baseline, Arc::new(check))
    }

    fn with(mut self, instance: String, arm: Arm, check: Arc<dyn HealthCheck>) -> Self {
        self.0.push((instance, arm, check));
        self
    }

    /// Asks each instance `rounds` times in a row (at least once), and counts; instances of which nothing was learned are left out.
    ///
    /// # Cancel safety
    /// Nothing is kept between calls.
    pub async fn sample(&self, rounds: u32) -> Vec<Sample> {
        let ask = |(instance, arm, check): &(String, Arm, Arc<dyn HealthCheck>)| {
            let (instance, arm, check) = (instance.clone(), *arm, Arc::clone(check));
            async move {
                let (mut good, mut total) = (0, 0);
                for _ in 0..rounds.max(1) {
                    if let Ok(health) = check.check().await {
                        total += 1;
                        good += u64::from(health.is_healthy());
                    }
                }
                (total > 0).then(|| Sample { arm, ..Sample::canary(instance, good, total) })
            }
        };
        join_all(self.0.iter().map(ask)).await.into_iter().flatten().collect()
    }
}
