//! Runs that nobody disturbs.

use std::collections::{BTreeMap, BTreeSet};

use mcp_core::Digest;

use crate::archives::{HOSTILE, THIRTY, write_thirty};
use crate::outcome::{Outcome, windows_of_prod};
use crate::program::{run, start, start_over};

/// What the registry must hold of the thirty: their own bytes, under lower-case names; of two that claim one version, the first by file
/// name.
fn expected_versions() -> BTreeMap<String, String> {
    let mut files: Vec<_> = THIRTY.iter().map(|one| (one.file_name(), one)).collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut taken, mut versions) = (BTreeSet::new(), BTreeMap::new());
    for (_, one) in files {
        let name = one.name.to_lowercase();
        let precedence = one.version.split('+').next().unwrap();
        if taken.insert((name.clone(), precedence)) {
            versions.insert(format!("{name}@{}", one.version), Digest::of(&one.archive()).to_string());
        }
    }
    versions
}

#[test]
fn a_whole_run_publishes_every_crate_and_prod_ends_with_the_index_before_the_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (folder.path().join("input"), folder.path().join("data"));
    write_thirty(&input);
    let ended = run(&input, &data);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);

    let outcome = Outcome::of(&data);
    let (index, crates): (BTreeMap<_, _>, BTreeMap<_, _>) =
        outcome.versions.into_iter().partition(|(reference, _)| reference.starts_with("quickstart/"));
    assert_eq!(crates, expected_versions());
    let editions: Vec<&str> = index.keys().map(String::as_str).collect();
    let named = |version: &str| format!("quickstart/crate-index@{version}");
    assert_eq!(editions, [named("1.0.0"), named("1.1.0"), named("1.2.0")]);
    let releases = ["dev", "prod", "staging"].map(|stage| outcome.releases[stage].clone());
    assert_eq!(releases, [named("1.2.0"), named("1.1.0"), named("1.2.0")]);

    // The damaged index met its canary's clients only: three windows in which a third of them was sent away, and nobody else.
    let windows = windows_of_prod(&data);
    let last = windows.last().unwrap().promotion;
    let damaged: Vec<_> = windows.iter().filter(|window| window.promotion == last).collect();
    assert_eq!(damaged.len(), 3);
    for window in damaged {
        assert_eq!((window.canary.instances, window.baseline.instances), (1, 2));
        assert_eq!((window.canary.total, window.baseline.total, window.baseline.bad()), (45, 90, 0));
        assert!((12..=18).contains(&window.canary.bad()), "{window:?}");
    }

    // What it says is what happened.
    let said = |line: &str| assert!(ended.stdout.contains(line), "{line:?} is missing in\n{}", ended.stdout);
    said("30 of 30 archives read");
    said("28 of 30 manifests are valid (93.3 %)");
    said("quickstart.licence-present in 1 manifest, such as /package of unlicensed-1.0.0.crate");
    said("invalid: hostile-1.0.0.crate: error schema.");
    said("rule.description-not-empty in 1 manifest, such as /package/description of undescribed-1.0.0.crate");
    said("28 published");
    said("collision: mixed-case-1.0.0.crate");
    said("collision: built-1.0.0+b.crate");
    said("serde ^1 is serde@1.0.200");
    said("alice's own vote is refused");
    said("prod    rolled back: ");
    said("of 45 requests failed, the 3rd window in a row");
    said("prod    canary, baseline-1, baseline-2: quickstart/crate-index@1.1.0");
    assert!(!ended.stdout.contains('\u{1b}'), "a crate's description steers the terminal");

    let page = std::fs::read_to_string(data.join("report.html")).unwrap();
    assert!(page.contains("1.2.0 into prod") && page.contains("28 of 30"), "{page}");
    for outside in [HOSTILE, "<script", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page holds {outside:?}");
    }
}

#[test]
fn a_second_run_publishes_nothing_and_ends_where_the_first_one_did() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (folder.path().join("input"), folder.path().join("data"));
    write_thirty(&input);
    let first = run(&input, &data);
    let outcome = Outcome::of(&data);
    let second = run(&input, &data);
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{}{}", first.stderr, second.stderr);
    assert_eq!(second.result(), first.result());
    assert_eq!(Outcome::of(&data), outcome);
    assert!(second.stdout.contains("nothing new: all 28 are published already"), "{}", second.stdout);
    assert!(second.stdout.contains("prod    rolled back, in an earlier run: "), "{}", second.stdout);
}

#[test]
fn more_crates_than_before_give_an_index_of_the_next_major_version() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (folder.path().join("input"), folder.path().join("data"));
    write_thirty(&input);
    let (late, late_path) = ("word-2.0.0.crate", folder.path().join("word-2.0.0.crate"));
    std::fs::rename(input.join(late), &late_path).unwrap();
    assert_eq!(run(&input, &data).code, Some(0));
    std::fs::rename(&late_path, input.join(late)).unwrap();
    let second = run(&input, &data);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(second.stdout.contains("1 published, 27 known already"), "{}", second.stdout);
    let releases = Outcome::of(&data).releases;
    assert_eq!(releases["prod"], "quickstart/crate-index@2.1.0");
    assert_eq!(releases["staging"], "quickstart/crate-index@2.2.0");
}

#[test]
fn a_second_run_at_the_same_time_is_told_who_works_there_and_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (folder.path().join("input"), folder.path().join("data"));
    write_thirty(&input);
    let mut first = start_over(&input, &data);
    // It prints only once it has the lock.
    first.wait(1, std::time::Duration::from_secs(60));
    let second = run(&input, &data);
    assert_eq!((second.code, second.stdout.as_str()), (Some(1), ""));
    let lock = data.join("registry").join("LOCK");
    assert!(
        second.stderr.contains(&format!("open {} for writing: it is locked by process", lock.display())),
        "{}",
        second.stderr
    );
    let first = first.end();
    assert_eq!(first.code, Some(0), "{}", first.stderr);
}

#[test]
fn what_it_does_not_know_is_answered_with_the_usage_and_2() {
    let ended = start(&["--speed", "11"]).end();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(
        ended.stderr.starts_with("error: read the arguments: invalid option '--speed'"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("usage: cargo run --release --example quickstart"), "{}", ended.stderr);
    let help = start(&["--help"]).end();
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("--input DIR"), "{}", help.stdout);
}
