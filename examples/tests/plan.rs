//! The example of a release plan, as a child process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use std::process::Command;

#[test]
fn two_artifacts_are_changed_in_waves_and_an_impossible_plan_is_refused_with_both_needs() {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples").join("plan");
    let output = Command::new(program).output().expect("cargo build -p mcp-examples --example plan");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    // The number of a promotion depends on when the driver gave its leases up.
    let lines: Vec<&str> = printed.lines().map(|line| line.split('/').next().unwrap_or_default()).collect();
    assert_eq!(
        lines,
        [
            "waves: [[[\"ledger\"]],[[\"billing\"]]]",
            "ledger before billing: billing 2.0.0 needs ledger ^2, which is 1.0.0",
            "refused: plan the release: no order satisfies both: billing 2.0.0 needs ledger ^2, which is 1.0.0, \
             and billing 1.0.0 needs ledger ^1, which is 2.0.0",
            "the plan succeeded",
            "  requested by alice: 2 stages in 2 waves",
            "  ledger",
            "  ledger succeeded",
            "  billing",
            "  billing succeeded",
            "  running -> succeeded",
        ]
    );
}
