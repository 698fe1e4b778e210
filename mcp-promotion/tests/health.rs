//! Health checks: what they say together, in time, and again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mcp_core::{Digest, ErrorKind, Name, Principal, SeamError, Timestamp};
use mcp_promotion::{
    AllOf, AnyOf, CheckFn, Gate, GateAnswer, GateRequest, Health, HealthCheck, HealthCheckExt, HealthGate,
    Kind, Probes, PromotionId, Release, Sample,
};

#[derive(Clone, Copy)]
enum Is {
    Well,
    Bad,
    Unknown,
    /// Never answers.
    Silent,
}

fn check(is: Is) -> impl HealthCheck + 'static {
    CheckFn::new(move || async move {
        match is {
            Is::Well => Ok(Health::healthy("up")),
            Is::Bad => Ok(Health::unhealthy("down")),
            Is::Unknown => Err(SeamError::new(ErrorKind::Unavailable, "look up the name")),
            Is::Silent => std::future::pending().await,
        }
    })
}

fn shown(answer: Result<Health, SeamError>) -> String {
    answer.map_or_else(|error| format!("error: {error}"), |health| health.to_string())
}

async fn all_and_any(checks: &[Is]) -> [String; 2] {
    let (mut all, mut any) = (AllOf::new(), AnyOf::new());
    for (name, is) in ["a", "b", "c"].iter().zip(checks) {
        (all, any) = (all.and(*name, check(*is)), any.and(*name, check(*is)));
    }
    [shown(all.check().await), shown(any.check().await)]
}

#[tokio::test]
async fn all_of_is_as_its_worst_and_any_of_as_its_best() {
    use Is::{Bad, Unknown, Well};
    for (checks, expected) in [
        (&[][..], ["healthy", "unhealthy: there is nothing to ask"]),
        (&[Well, Well], ["healthy: a: up; b: up", "healthy: a: up; b: up"]),
        (&[Well, Bad], ["unhealthy: b: down", "healthy: a: up"]),
        (&[Bad, Unknown, Bad], ["unhealthy: a: down; c: down", "error: look up the name"]),
        (&[Well, Unknown], ["error: look up the name", "healthy: a: up"]),
    ] {
        assert_eq!(all_and_any(checks).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_answer_in_time_is_unhealthy_and_says_how_long_it_was_waited_for() {
    let began = tokio::time::Instant::now();
    let answer = check(Is::Silent).within(Duration::from_secs(2)).check().await;
    assert_eq!(shown(answer), "unhealthy: no answer within 2s");
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert_eq!(shown(check(Is::Well).within(Duration::from_secs(2)).check().await), "healthy: up");
}

/// Well from the `n`-th time on; counts how often it was asked.
fn well_from(n: u32) -> (Arc<AtomicU32>, impl HealthCheck) {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let check = CheckFn::new(move || {
        let time = counter.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            if time >= n { Ok(Health::healthy("")) } else { Ok(Health::unhealthy(format!("time {time}"))) }
        }
    });
    (asked, check)
}

#[tokio::test(start_paused = true)]
async fn a_check_is_asked_again_until_it_is_healthy_or_its_attempts_are_used_up() {
    for (attempts, well_at, expected, times, waited) in [
        (3, 1, "healthy", 1, 0),
        (3, 3, "healthy", 3, 20),
        (3, 4, "unhealthy: time 3", 3, 20),
        (0, 2, "unhealthy: time 1", 1, 0),
    ] {
        let began = tokio::time::Instant::now();
        let (asked, check) = well_from(well_at);
        assert_eq!(shown(check.retried(attempts, Duration::from_secs(10)).check().await), expected);
        assert_eq!(asked.load(Ordering::Relaxed), times);
        assert_eq!(began.elapsed(), Duration::from_secs(waited));
    }
}

#[tokio::test]
async fn probes_count_what_was_learned_and_leave_out_instances_of_which_nothing_was() {
    let (_, flapping) = well_from(2);
    let probes = Probes::new()
        .canary("new", flapping)
        .baseline("old", check(Is::Well))
        .baseline("lost", check(Is::Unknown));
    let expected = [Sample::canary("new", 2, 3), Sample::baseline("old", 3, 3)];
    assert_eq!(probes.sample(3).await, expected);
    assert_eq!(Probes::new().canary("c", check(Is::Bad)).sample(0).await, [Sample::canary("c", 0, 1)]);
    assert_eq!(Probes::new().sample(5).await, []);
}

#[tokio::test]
async fn a_health_gate_passes_waits_or_is_asked_again_and_never_denies() {
    let (stage, release): (Name, _) = ("prod".parse().unwrap(), release());
    let promotion = PromotionId::new(stage, 1);
    let requester: Principal = "alice".parse().unwrap();
    let request = GateRequest::new(&promotion, Kind::Deploy, &release, &requester, Timestamp::UNIX_EPOCH);
    assert_eq!(HealthGate::new(check(Is::Well)).check(&request).await.unwrap(), GateAnswer::pass("up"));
    assert_eq!(
        HealthGate::new(check(Is::Bad)).check(&request).await.unwrap(),
        GateAnswer::wait(None, "down")
    );
    let error = HealthGate::new(check(Is::Unknown)).check(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

fn release() -> Release {
    Release::of([("app@1.0.0", Digest::of(b"app"))]).unwrap()
}
