//! Prints what each step came to.

use mcp_registry::Stats;

use crate::check::{Checking, FIELDS};
use crate::editions::Published;
use crate::folder::Folder;
use crate::page::Story;
use crate::prove::{Proof, alike};
use crate::publish::Publishing;
use crate::read::Reading;
use crate::report::StageCard;
use crate::screen::{Screen, megabytes, percent};
use crate::timeline::Timeline;

/// How many entries of a list are printed.
const SHOWN: usize = 8;

/// The archives.
pub fn reading(reading: &Reading, screen: &Screen) {
    screen.heading("1. Read the manifests");
    let (readable, unreadable) = (reading.crates.len(), reading.unreadable.len());
    let bytes = reading.crates.iter().map(|one| one.bytes).sum();
    screen.line(&format!("{readable} of {} archives read, {}", readable + unreadable, megabytes(bytes)));
    // All of them: each is a reason why the run is not complete.
    for (file, why) in &reading.unreadable {
        screen.item(&format!("not read: {}: {why}", file.display()));
    }
}

/// The manifests.
pub fn checking(checking: &Checking, screen: &Screen) {
    screen.heading("2. Validate them, and measure their quality");
    if let Some(valid) = checking.validity() {
        let share = percent(valid.numerator, valid.denominator);
        screen.line(&format!("{valid} manifests are valid ({share})"));
    }
    let invalid = checking.invalid.iter().map(|(file, error)| format!("invalid: {file}: {error}"));
    list(invalid, screen);
    for kind in checking.findings.iter().take(SHOWN) {
        let plural = if kind.manifests == 1 { "manifest" } else { "manifests" };
        screen.item(&format!("{} in {} {plural}, such as {}", kind.code, kind.manifests, kind.example));
    }
    screen.line("completeness, by field");
    for field in FIELDS {
        if let Some(score) = checking.completeness(field) {
            screen.share(field, score.numerator, score.denominator);
        }
    }
    screen.line("validity and uniqueness");
    if let Some(score) = checking.validity() {
        screen.share("valid", score.numerator, score.denominator);
    }
    if let Some(score) = checking.uniqueness() {
        screen.share("name and version", score.numerator, score.denominator);
    }
}

/// The registry.
pub fn publishing(publishing: &Publishing, stats: &Stats, screen: &Screen) {
    screen.heading("3. Publish every crate");
    let (new, bytes) = publishing.new;
    if new == 0 {
        screen.line(&format!("nothing new: all {} are published already", publishing.known));
    } else {
        #[expect(clippy::cast_precision_loss, reason = "shown as a rate")]
        let rate = |amount: u64| amount as f64 / publishing.took.as_secs_f64().max(0.000_001);
        let known = if publishing.known == 0 {
            String::new()
        } else {
            format!(", {} known already", publishing.known)
        };
        screen.line(&format!("{new} published{known}, in {:.2} s", publishing.took.as_secs_f64()));
        screen.line(&format!("{:.0} artifacts/s, {:.1} MB/s", rate(new), rate(bytes) / 1e6));
    }
    let (stored, logical) = (stats.stored_bytes, stats.logical_bytes);
    screen.line(&format!("stored {} for {}", megabytes(stored), megabytes(logical)));
    list(publishing.collisions.iter().map(|why| format!("collision: {why}")), screen);
    list(publishing.refused.iter().map(|why| format!("not published: {why}")), screen);
}

/// One edition of the index, before it is promoted.
pub fn edition(published: &Published, screen: &Screen) {
    let Published { edition, artifact, crates, created } = published;
    let version = &artifact.reference.version;
    let number = 4 + version.minor().min(2);
    screen.heading(&format!("{number}. Promote {}", artifact.reference));
    let known = if *created { "" } else { ", published earlier" };
    screen.line(&format!("{crates} crates{known}; it {}", edition.story()));
}

/// What each server said that it runs.
pub fn servers(stages: &[StageCard], screen: &Screen) {
    screen.line("asked over HTTP:");
    for stage in stages {
        for (servers, answer) in alike(&stage.servers) {
            screen.detail(&format!("{:<7} {servers}: {answer}", stage.name));
        }
    }
}

/// What the journal tells of the last stage, about these editions.
pub fn timeline(timeline: &Timeline, editions: &[Published], screen: &Screen) {
    screen.heading("7. What the journal tells of prod");
    let titles: Vec<String> =
        editions.iter().map(|edition| format!("{} into prod", edition.artifact.reference.version)).collect();
    for moment in timeline.moments().iter().filter(|moment| titles.contains(&moment.place)) {
        let version = moment.place.trim_end_matches(" into prod");
        screen.item(&format!("{} {version} {}", moment.time_of_day(), moment.what));
    }
}

/// What remains.
pub fn result(story: &Story, folder: &Folder, screen: &Screen) {
    screen.heading("Verified");
    let Proof { rows, blobs, events, streams, in_use, content } = &story.proof;
    screen.line(&format!("catalog  a chain of {rows} rows, and the bytes of {blobs} blobs"));
    screen.line(&format!("journal  {streams} chains of {events} events"));
    screen.line(&format!("in use   {in_use} artifacts, each kept by the registry for promotion"));
    screen.heading("Result");
    screen.line(&format!("crates   {} versions of {} names", story.stats.versions, story.stats.names));
    screen.line(&format!("content  {}", content));
    for stage in &story.servers {
        screen.line(&format!("{:<8} {}", stage.name, stage.runs));
    }
    screen.line(&format!("report   {}", folder.report().display()));
    if !story.is_complete() {
        screen.line(&format!("not complete: {}", story.shortcomings()));
    }
}

/// The first few, and how many more there are.
fn list(lines: impl ExactSizeIterator<Item = String>, screen: &Screen) {
    let more = lines.len().saturating_sub(SHOWN);
    lines.take(SHOWN).for_each(|line| screen.item(&line));
    if more > 0 {
        screen.item(&format!("and {more} more"));
    }
}
