use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;

use super::{Health, HealthCheck, HealthError};

/// Healthy when every one of its checks is. All are asked at once; of none it is healthy.
///
/// One that is unhealthy decides, also when others could not find out; otherwise the first error is what it says.
#[derive(Default)]
pub struct AllOf(Named);

/// Healthy when one of its checks is. All are asked at once; of none it is unhealthy.
///
/// One that is healthy decides; otherwise the first error is what it says, because that one might have been.
#[derive(Default)]
pub struct AnyOf(Named);

#[derive(Default)]
struct Named(Vec<(String, Arc<dyn HealthCheck>)>);

impl Named {
    /// What the healthy ones and the unhealthy ones say, and the first error.
    async fn ask(&self) -> (Vec<String>, Vec<String>, Option<HealthError>) {
        let answers = join_all(self.0.iter().map(|(_, check)| check.check())).await;
        let (mut healthy, mut unhealthy, mut trouble) = (Vec::new(), Vec::new(), None);
        for ((name, _), answer) in self.0.iter().zip(answers) {
            match answer {
                Ok(health) => {
                    let seen = health.seen();
                    let said = if seen.is_empty() { name.clone() } else { format!("{name}: {seen}") };
                    if health.is_healthy() { &mut healthy } else { &mut unhealthy }.push(said);
                }
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        (healthy, unhealthy, trouble)
    }
}

macro_rules! list {
    ($list:ident) => {
        impl $list {
            /// Without a check.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// With one check more, under a name for what it says.
            #[must_use]
            pub fn and(mut self, name: impl Into<String>, check: impl HealthCheck + 'static) -> Self {
                self.0.0.push((name.into(), Arc::new(check)));
                self
            }
        }
    };
}

list!(AllOf);
list!(AnyOf);

#[async_trait]
impl HealthCheck for AllOf {
    async fn check(&self) -> Result<Health, HealthError> {
        let (healthy, unhealthy, trouble) = self.0.ask().await;
        match trouble {
            _ if !unhealthy.is_empty() => Ok(Health::unhealthy(unhealthy.join("; "))),
            Some(error) => Err(error),
            None => Ok(Health::healthy(healthy.join("; "))),
        }
    }
}

#[async_trait]
impl HealthCheck for AnyOf {
    async fn check(&self) -> Result<Health, HealthError> {
        let (healthy, unhealthy, trouble) = self.0.ask().await;
        match trouble {
            _ if !healthy.is_empty() => Ok(Health::healthy(healthy.join("; "))),
            Some(error) => Err(error),
            None if unhealthy.is_empty() => Ok(Health::unhealthy("there is nothing to ask")),
            None => Ok(Health::unhealthy(unhealthy.join("; "))),
        }
    }
}
