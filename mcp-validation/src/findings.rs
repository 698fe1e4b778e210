use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::time::Duration;

use mcp_core::{Finding, SeamError, Severity};
use serde_json::Value;

use crate::Limits;
use crate::meter::{Meter, Timer};

/// What was seen of one document so far: a bounded collection, and the steps that are left.
///
/// Of more findings than fit it keeps the worst, those that were only observed go first, and of equally bad ones those that come first in the report's order; so what is kept
/// does not depend on the order in which they were seen.
#[derive(Debug)]
pub struct Findings {
    /// The one that would go first stands on top.
    kept: BinaryHeap<(bool, Severity, Finding)>,
    max_findings: usize,
    counts: Counts,
    meter: Meter,
    with_values: bool,
    verdict_only: bool,
}

/// How many findings there were of each severity, kept or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) errors: u64,
    pub(crate) warnings: u64,
    pub(crate) infos: u64,
    /// Of any severity, by rules that are not enforced; in none of the others.
    pub(crate) observed: u64,
    /// More was there than was counted.
    pub(crate) at_least: bool,
}

/// The longest message, path or shown value, in bytes; longer ones are cut and end in `…`.
const MAX_TEXT_BYTES: usize = 2048;

impl Findings {
    /// With nothing seen yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            kept: BinaryHeap::new(),
            max_findings: limits.max_findings,
            counts: Counts::default(),
            meter: Meter::new(limits.max_steps),
            with_values: false,
            verdict_only: false,
        }
    }

    /// The same, and the values that were found are shown. Documents hold secrets: only where the report may hold them too.
    #[must_use]
    pub const fn with_values(mut self) -> Self {
        self.with_values = true;
        self
    }

    /// The same, for no longer than `limits` allow by this clock.
    pub(crate) fn timed(mut self, limits: &Limits, timer: &Timer) -> Self {
        self.meter =
            Meter::new(limits.max_steps).timed(timer.clone(), Duration::from_millis(limits.max_time_ms));
        self
    }

    /// Lends them to somebody on another thread. What stays here keeps nothing, and has no step left.
    #[cfg(feature = "json-schema")]
    pub(crate) fn lend(&mut self) -> Self {
        std::mem::replace(self, Self::new(&Limits { max_steps: 0, ..Limits::default() }))
    }

    /// Lends what is left to somebody who counts without these findings, until [`return_meter`](Self::return_meter).
    #[cfg(feature = "json-schema")]
    pub(crate) const fn lend_meter(&mut self) -> Meter {
        std::mem::replace(&mut self.meter, Meter::new(0))
    }

    #[cfg(feature = "json-schema")]
    pub(crate) fn return_meter(&mut self, meter: Meter) {
        self.meter = meter;
    }

    /// The same, for somebody who asks only whether there is an error.
    pub(crate) const fn verdict_only(mut self) -> Self {
        self.verdict_only = true;
        self
    }

    /// Notes `finding`. Its value is dropped unless values were asked for; long texts are cut.
    pub fn add(&mut self, mut finding: Finding) {
        let count = match finding.severity {
            _ if finding.observed => &mut self.counts.observed,
            Severity::Error => &mut self.counts.errors,
            Severity::Warning => &mut self.counts.warnings,
            Severity::Info => &mut self.counts.infos,
        };
        *count = count.saturating_add(1);
        finding.path = shortened(finding.path);
        finding.schema_path = shortened(finding.schema_path);
        finding.message = shortened(finding.message);
        finding.value = finding.value.filter(|_| self.with_values).map(shortened);
        self.kept.push((finding.observed, finding.severity, finding));
        if self.kept.len() > self.max_findings {
            self.kept.pop();
        }
    }

    /// Notes an error about `value` at `path`.
    pub fn error(
        &mut self,
        code: impl Into<Cow<'static, str>>,
        path: impl Into<String>,
        message: impl Into<String>,
        value: Option<&Value>,
    ) {
        let finding = Finding::new(Severity::Error, code, path, message);
        let value = self.shown(value);
        self.add(match value {
            Some(value) => finding.with_value(value),
            None => finding,
        });
    }

    /// The value as a finding would show it: nothing, unless values were asked for.
    pub(crate) fn shown(&self, value: Option<&Value>) -> Option<String> {
        value.filter(|_| self.with_values).map(|value| {
            let mut text = Bounded::default();
            // The formatter stops with an error where the text is full, which is what is wanted.
            let _full = std::fmt::Write::write_fmt(&mut text, format_args!("{value}"));
            text.finish()
        })
    }

    /// Takes `steps` from what this judgement may cost.
    ///
    /// # Errors
    /// `Exhausted` when they are not to be had; a validator passes it on.
    pub fn spend(&self, steps: u64) -> Result<(), SeamError> {
        if self.meter.take(steps) { Ok(()) } else { Err(Meter::exhausted()) }
    }

    /// Whether nothing more needs to be found: only the verdict was asked for, and it is known.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        self.verdict_only && self.counts.errors > 0
    }

    /// Whether only the verdict was asked for, so that one error needs no details.
    pub(crate) const fn wants_verdict_only(&self) -> bool {
        self.verdict_only
    }

    /// Counts an error for somebody who asks only whether there is one.
    #[cfg(feature = "json-schema")]
    pub(crate) const fn decide(&mut self) {
        self.counts.errors = self.counts.errors.saturating_add(1);
    }

    /// Whether values were asked for.
    #[cfg(feature = "json-schema")]
    pub(crate) const fn shows_values(&self) -> bool {
        self.with_values
    }

    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Notes that there was more than could be counted.
    pub(crate) const fn and_more(&mut self) {
        self.counts.at_least = true;
    }

    pub(crate) const fn errors(&self) -> u64 {
        self.counts.errors
    }

    /// What was kept, in the report's order, and how many there were.
    pub(crate) fn finish(self) -> (Vec<Finding>, Counts) {
        let mut findings: Vec<Finding> = self.kept.into_iter().map(|(_, _, finding)| finding).collect();
        findings.sort();
        (findings, self.counts)
    }
}

/// The text, cut at [`MAX_TEXT_BYTES`].
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(boundary(&text, MAX_TEXT_BYTES));
        text.push('…');
    }
    text
}

/// A little more of the text than [`shortened`] leaves, so that it still sees that something was cut.
pub(crate) fn beginning(text: &str) -> &str {
    text.get(..boundary(text, MAX_TEXT_BYTES + 4)).unwrap_or(text)
}

/// The last place up to `most` between two characters.
fn boundary(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0)
}

/// Takes text up to a little over [`MAX_TEXT_BYTES`], then refuses, so that nobody formats megabytes to throw them away.
#[derive(Debug, Default)]
pub(crate) struct Bounded(String);

impl Bounded {
    pub(crate) fn finish(self) -> String {
        shortened(self.0)
    }
}

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = (MAX_TEXT_BYTES + 1).saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        // One character over the limit is kept, so that the end shows that it was cut.
        self.0.extend(text.chars().take(room));
        Err(std::fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_findings: usize) -> Limits {
        Limits { max_findings, max_steps: 10, ..Limits::default() }
    }

    fn finding(severity: Severity, path: &str) -> Finding {
        Finding::new(severity, "x", path, "m")
    }

    #[test]
    fn what_is_kept_does_not_depend_on_the_order_of_arrival() {
        let seen = [
            finding(Severity::Info, "/a"),
            finding(Severity::Error, "/z"),
            finding(Severity::Warning, "/b"),
            finding(Severity::Error, "/y"),
        ];
        let kept = |order: [usize; 4]| {
            let mut findings = Findings::new(&limits(3));
            order.into_iter().for_each(|index| findings.add(seen[index].clone()));
            findings.finish()
        };
        let (first, counts) = kept([0, 1, 2, 3]);
        let paths: Vec<&str> = first.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(paths, ["/b", "/y", "/z"], "the errors stay, the info goes");
        assert_eq!((counts.errors, counts.warnings, counts.infos), (2, 1, 1));
        for order in [[3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
            assert_eq!(kept(order).0, first, "{order:?}");
        }
    }

    #[test]
    fn a_value_is_shown_only_where_values_were_asked_for() {
        let secret = Value::from("secret");
        let add = |mut findings: Findings| {
            findings.error("x", "", "m", Some(&secret));
            findings.add(finding(Severity::Error, "/v").with_value("\"secret\""));
            findings.finish().0.into_iter().map(|finding| finding.value).collect::<Vec<_>>()
        };
        assert_eq!(add(Findings::new(&limits(9))), [None, None]);
        let shown = Some("\"secret\"".to_owned());
        assert_eq!(add(Findings::new(&limits(9)).with_values()), [shown.clone(), shown]);
    }

    #[test]
    fn long_texts_are_cut_on_a_character() {
        let mut findings = Findings::new(&limits(9)).with_values();
        let long = "é".repeat(5000);
        findings.error("x", long.clone(), long.clone(), Some(&Value::from(long)));
        let (findings, _) = findings.finish();
        let finding = &findings[0];
        for text in [&finding.path, &finding.message, finding.value.as_ref().unwrap()] {
            assert!(text.len() <= MAX_TEXT_BYTES + 3 && text.ends_with('…'), "{} bytes", text.len());
        }
    }

    #[test]
    fn steps_run_out_as_exhausted() {
        let findings = Findings::new(&limits(1));
        assert_eq!(findings.spend(10).map_err(|error| error.kind()), Ok(()));
        assert_eq!(findings.spend(1).map_err(|error| error.kind()), Err(mcp_core::ErrorKind::Exhausted));
    }
}
