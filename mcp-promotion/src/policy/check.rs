//! What contradicts itself in a policy: whatever can be seen in it alone.

use std::time::Duration;

use super::{Policy, Queue, UpstreamRule};
use crate::fault::{Fault, Faults};
use crate::verification::{Judged, Verification};

/// The longest duration: a thousand years of 366 days. Who wants to wait longer wants no limit.
const LONGEST: Duration = Duration::from_secs(1000 * 366 * 24 * 60 * 60);
/// How large a policy may be as compact JSON: it is recorded with every request, in an event that has a limit too.
const MAX_BYTES: usize = 1 << 20;

impl Policy {
    /// Everything in it that cannot be obeyed, in the order of its fields; what other stages, gates and judges it names is not looked at.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut budget = crate::window::SEARCHES;
        self.faults_within(&mut budget)
    }

    /// The same, with so many looks at calendars left; when none is left, windows that never open are not found.
    pub(crate) fn faults_within(&self, budget: &mut usize) -> Vec<Fault> {
        let mut faults = Faults::default();
        let mut say = |fault: Fault| faults.add(fault);
        for error in &self.refused {
            say(Fault::new(error.to_string(), "give the name of a stage or a gate"));
        }
        match &self.verification {
            Verification::Unverified { reason } => {
                if reason.trim().is_empty() {
                    let why = "nobody looks whether a release is well, and the reason for that is empty";
                    say(Fault::new(why, "say why, or name a judge").at("verification.unverified.reason"));
                }
                if self.watch.is_some() {
                    let why = "it asks for a watch, but nobody looks whether it is well";
                    say(Fault::new(why, "name a judge, or leave watch_ms out").at("watch_ms"));
                }
                if self.canary {
                    let why = "it asks for a canary, but nobody looks whether it is well";
                    say(Fault::new(why, "name a judge, or leave canary out").at("canary"));
                }
            }
            Verification::Judged(judged) => {
                judged.faults().into_iter().for_each(&mut say);
                self.watch_faults(judged).into_iter().for_each(&mut say);
            }
        }
        self.upstream_faults().into_iter().for_each(&mut say);
        self.approval_faults().into_iter().for_each(&mut say);
        self.time_faults().into_iter().for_each(&mut say);
        self.windows.faults(budget).into_iter().for_each(&mut say);
        match serde_json::to_vec(self) {
            Ok(json) if json.len() > MAX_BYTES => {
                let why = format!("it has {} bytes as JSON, at most {MAX_BYTES} are allowed", json.len());
                say(Fault::new(why, "shorten its texts and lists"));
            }
            Ok(_) => {}
            Err(error) => say(Fault::new(format!("it is no JSON: {error}"), "leave out what is no number")),
        }
        faults.into_list()
    }

    fn watch_faults(&self, judged: &Judged) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.watch.is_some_and(|watch| watch.is_zero()) {
            faults.push(Fault::new("a watch of no length sees nothing", "leave watch_ms out").at("watch_ms"));
        } else if let Some(watch) = self.watch.filter(|watch| *watch < judged.window) {
            let why = format!("a watch of {watch:?} ends before its first window of {:?}", judged.window);
            faults.push(Fault::new(why, "watch for at least one window").at("watch_ms"));
        }
        faults
    }

    fn upstream_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.after.is_empty() && !self.soak.is_zero() {
            let why = "it asks for a soak time, but comes after no stage";
            faults.push(Fault::new(why, "name a stage in after, or leave soak_ms out").at("soak_ms"));
        }
        if self.after.is_empty() && self.automatic {
            let why = "it asks for automatic promotion, but comes after no stage";
            faults.push(Fault::new(why, "name a stage in after, or leave automatic out").at("automatic"));
        }
        if self.after.is_empty() && self.upstream == UpstreamRule::AnyOf {
            let why = "one of the stages before is enough for it, but it comes after no stage";
            faults.push(Fault::new(why, "name stages in after, or leave upstream out").at("upstream"));
        }
        faults
    }

    fn approval_faults(&self) -> Vec<Fault> {
        let mut faults = crate::level::faults(&self.levels);
        if self.approvals > 0 && !self.levels.is_empty() {
            let why = "it asks for approvals without levels and for levels";
            faults.push(Fault::new(why, "say it with levels alone").at("approvals"));
        }
        if let Some(after) = self.approval_expires_after {
            let field = "approval_expires_after_ms";
            if self.approvals == 0 && self.levels.is_empty() {
                let why = "its approvals expire, but it asks for none";
                faults.push(Fault::new(why, format!("ask for approvals, or leave {field} out")).at(field));
            }
            if after.is_zero() {
                let why = "approvals that expire at once never count";
                faults.push(Fault::new(why, format!("give them time, or leave {field} out")).at(field));
            }
        }
        faults
    }

    fn time_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (field, duration) in [
            ("soak_ms", Some(self.soak)),
            ("approval_expires_after_ms", self.approval_expires_after),
            ("expires_after_ms", self.expires_after),
            ("watch_ms", self.watch),
            ("review_within_ms", Some(self.review_within)),
            ("calls.backoff_ms", Some(self.calls.backoff)),
            ("calls.timeout_ms", Some(self.calls.timeout)),
        ] {
            faults.extend(duration.and_then(odd).map(|fault| fault.at(field)));
        }
        if self.review_within.is_zero() {
            let why = "a review that is due at once is always overdue";
            faults.push(Fault::new(why, "give people time for it").at("review_within_ms"));
        }
        if self.queue == Queue::Parallel(0) {
            let why = "with a queue of parallel 0 nothing can ever start";
            faults.push(Fault::new(why, "allow at least 1").at("queue"));
        }
        if self.queue.is_parallel() && self.automatic {
            let why = "its queue is parallel, and what is promoted by itself goes into a stage as a whole";
            faults.push(Fault::new(why, "leave one of them out").at("queue"));
        }
        if self.calls.attempts == 0 {
            let why = "with no attempts nothing can ever be applied";
            faults.push(Fault::new(why, "allow at least 1").at("calls.attempts"));
        }
        if self.calls.timeout.is_zero() {
            let why = "with a timeout of nothing no call can ever succeed";
            faults.push(Fault::new(why, "give the stage time to answer").at("calls.timeout_ms"));
        }
        if let Some(expiry) = self.expires_after {
            let field = "expires_after_ms";
            if expiry.is_zero() {
                let why = "a request that expires at once never starts";
                let advice = "give it time, or leave it out for requests that never expire";
                faults.push(Fault::new(why, advice).at(field));
            } else if expiry < self.soak {
                let why = format!(
                    "a request expires after {expiry:?}, before its soak time of {:?} has passed",
                    self.soak
                );
                faults.push(Fault::new(why, "let requests live longer than the soak time").at(field));
            }
        }
        faults
    }
}

/// What is wrong with a duration of a policy, whatever it is for.
pub(crate) fn odd(duration: Duration) -> Option<Fault> {
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        let why = format!("{duration:?} is not a whole number of milliseconds");
        return Some(Fault::new(why, "round it"));
    }
    (duration > LONGEST).then(|| {
        let why = format!("{} ms is more than a thousand years", duration.as_millis());
        Fault::new(why, "choose a shorter time")
    })
}
