//! The smallest program of each engine runs and prints what the README says; the README shows these very programs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program printed, run in `folder`. Cargo builds examples beside the tests' own folder.
fn run(example: &str, folder: &Path) -> String {
    let programs: PathBuf =
        std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples");
    let output = Command::new(programs.join(example)).current_dir(folder).output().expect(example);
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_first_validation_finds_three_errors() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        run("first_validation", folder.path()),
        "invalid: 3 errors\n\
         error schema.required (document): \"id\" is a required property\n\
         error shop.test-card /card: this card number is for tests\n\
         error rule.positive /total: expected at least 0.01\n"
    );
}

#[test]
fn the_first_registry_answers_the_same_when_it_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let expected = "billing/invoice@0.1.0 is {\"type\": \"object\"}\nfound billing/invoice 0.1.0\n";
    assert_eq!(
        [run("first_registry", folder.path()), run("first_registry", folder.path())],
        [expected, expected]
    );
}

#[test]
fn the_first_promotion_reaches_prod_after_bobs_approval() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run("first_promotion", folder.path());
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.first_chunk(), Some(&["dev/1: succeeded", "prod/1: succeeded"]), "{printed}");
    assert!(printed.contains("approve by bob") && printed.contains("verifying -> succeeded"), "{printed}");
    let digest = |stage: &str| {
        std::fs::read_to_string(folder.path().join("target/first-promotion").join(stage).join("release"))
            .unwrap()
    };
    assert_eq!(digest("dev"), digest("prod"));
}

#[test]
fn the_readme_shows_these_programs_and_each_has_at_most_25_lines() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for file in ["validation.rs", "registry.rs", "promotion/main.rs"] {
        let program = std::fs::read_to_string(root().join("examples/first").join(file)).unwrap();
        assert!(program.lines().count() <= 25, "{file} has {} lines", program.lines().count());
        assert!(
            readme.contains(&format!("```rust\n{program}```")),
            "the README does not show examples/first/{file}"
        );
    }
}
