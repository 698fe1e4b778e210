use std::future::Future;

use async_trait::async_trait;

use super::{Health, HealthCheck, HealthError};

/// A health check made of a closure.
///
/// ```
/// use mcp_promotion::{CheckFn, Health, HealthCheck};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mcp_core::SeamError> {
/// let queue = CheckFn::new(|| async {
///     let waiting = 7; // asked of the queue
///     Ok(if waiting < 100 { Health::healthy("7 wait") } else { Health::unhealthy("100 or more wait") })
/// });
/// assert_eq!(queue.check().await?, Health::healthy("7 wait"));
/// # Ok(())
/// # }
/// ```
pub struct CheckFn<F>(F);

impl<F, A> CheckFn<F>
where
    F: Fn() -> A + Send + Sync,
    A: Future<Output = Result<Health, HealthError>> + Send,
{
    /// Asks `check`.
    pub const fn new(check: F) -> Self {
        Self(check)
    }
}

#[async_trait]
impl<F, A> HealthCheck for CheckFn<F>
where
    F: Fn() -> A + Send + Sync,
    A: Future<Output = Result<Health, HealthError>> + Send,
{
    async fn check(&self) -> Result<Health, HealthError> {
        (self.0)().await
    }
}
