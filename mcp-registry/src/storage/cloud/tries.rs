use std::future::Future;
use std::time::Duration;

use mcp_core::IdSource;
use tokio::time::{Instant, sleep, timeout};

use super::failure::{Failure, Why};
use super::settings::RemoteSettings;

/// The attempts of one call: each has its limit, and all together have one.
pub(crate) struct Tries<'a> {
    settings: &'a RemoteSettings,
    ids: &'a dyn IdSource,
    limit: Duration,
    until: Instant,
    made: u32,
    last: Option<Failure>,
}

impl<'a> Tries<'a> {
    /// For attempts that carry so many bytes.
    pub(crate) fn new(settings: &'a RemoteSettings, ids: &'a dyn IdSource, bytes: u64) -> Self {
        let more = Duration::from_secs(bytes >> 20);
        let limit = settings.request_timeout.saturating_add(more);
        let until = Instant::now() + settings.deadline.saturating_add(more).min(Duration::from_secs(86_400));
        Self { settings, ids, limit, until, made: 0, last: None }
    }

    /// Makes one attempt.
    pub(crate) async fn attempt<T, E: Into<Failure>>(
        &mut self,
        attempt: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        self.made = self.made.saturating_add(1);
        let limit = self.limit.min(self.until.saturating_duration_since(Instant::now()));
        match timeout(limit, attempt).await {
            Ok(outcome) => outcome.map_err(Into::into),
            // What was cut short by the deadline tells less than the attempt before it.
            Err(_) => {
                Err(self.last.take().filter(|_| limit < self.limit).unwrap_or_else(|| Failure::late(limit)))
            }
        }
    }

    /// Pauses before the next attempt; gives the failure back when there is to be none.
    pub(crate) async fn again(&mut self, failure: Failure) -> Result<(), Failure> {
        if failure.why != Why::Passing {
            return Err(failure);
        }
        let pause = self.pause();
        if Instant::now() + pause >= self.until {
            return Err(failure.after(self.made));
        }
        self.last = Some(failure);
        sleep(pause).await;
        Ok(())
    }

    /// Between nothing and a bound that doubles: those whom one failure hit together come back apart.
    fn pause(&self) -> Duration {
        let doublings = self.made.saturating_sub(1).min(16);
        let bound = self.settings.first_pause.saturating_mul(1 << doublings).min(self.settings.longest_pause);
        let drawn = blake3::hash(&self.ids.next_id().as_u128().to_le_bytes());
        let [a, b, ..] = *drawn.as_bytes();
        bound.saturating_mul(u32::from(u16::from_le_bytes([a, b]))) / u32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use mcp_core::Id;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicU64);

    impl IdSource for Counted {
        fn next_id(&self) -> Id {
            Id::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
        }
    }

    async fn until_given_up(settings: &RemoteSettings, each: Duration) -> (u32, Duration, Failure) {
        let ids = Counted::default();
        let begun = Instant::now();
        let mut tries = Tries::new(settings, &ids, 0);
        loop {
            let attempt = async {
                sleep(each).await;
                Err::<(), _>(Failure::new(Why::Passing, "down"))
            };
            let failure = tries.attempt(attempt).await.expect_err("down");
            if let Err(failure) = tries.again(failure).await {
                return (tries.made, begun.elapsed(), failure);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_attempts_together_end_within_the_deadline() {
        let settings = RemoteSettings::default();
        let (made, took, failure) = until_given_up(&settings, Duration::from_millis(1)).await;
        assert!((10..60).contains(&made), "{made} attempts");
        assert!(took <= settings.deadline && took > settings.deadline - settings.longest_pause, "{took:?}");
        assert_eq!(
            failure.to_string(),
            format!("down; {made} attempts were made; look at the network and the server")
        );
        // Each attempt hangs until its own limit.
        let (made, took, failure) = until_given_up(&settings, Duration::from_secs(3600)).await;
        assert!((2..=4).contains(&made), "{made} attempts");
        assert!(took <= settings.deadline, "{took:?}");
        assert!(failure.to_string().starts_with("no answer within"), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_pass_is_not_tried_again() {
        let (settings, ids) = (RemoteSettings::default(), Counted::default());
        let begun = Instant::now();
        for why in [Why::Missing, Why::Taken, Why::Outside, Why::Final(mcp_core::ErrorKind::Denied)] {
            let mut tries = Tries::new(&settings, &ids, 0);
            let back = tries.again(Failure::new(why, "no")).await.expect_err("given back");
            assert_eq!((back.why, back.to_string()), (why, "no".to_owned()));
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_differ_and_their_bound_doubles_up_to_the_longest() {
        let (settings, ids) = (RemoteSettings::default(), Counted::default());
        let mut tries = Tries::new(&settings, &ids, 0);
        for (made, bound) in [(1, 200), (2, 400), (3, 800), (7, 10_000), (40, 10_000)] {
            tries.made = made;
            let drawn: Vec<u128> = (0..200).map(|_| tries.pause().as_millis()).collect();
            let (least, most) = (drawn.iter().min().expect("some"), drawn.iter().max().expect("some"));
            assert!(
                *least < bound / 10 && *most > bound * 9 / 10 && *most <= bound,
                "{made}: {least} to {most}"
            );
        }
    }
}
