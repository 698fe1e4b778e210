//! The same enumeration for a plan of three artifacts: it succeeds, its second wave fails, or somebody aborts it.
//!
//! Every crash is tried, and of the pairs of points some, drawn by their numbers. With `MCP_EVERY_PAIR` set all of them are, which takes
//! some minutes in a release build.

use crate::fleet::{Fate, Fleet};
use crate::world::Switches;
use crate::{Pairs, crashes, pauses, points};

const FATES: [Fate; 3] = [Fate::Succeeds, Fate::RollsBack, Fate::Aborted];

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how much time there is")]
pub(crate) fn one_in(count: u64) -> Pairs {
    if std::env::var_os("MCP_EVERY_PAIR").is_some() { Pairs::All } else { Pairs::OneIn(count) }
}

/// Invariants 4, 5, 6, 7 and 11.
#[test]
fn no_crash_breaks_an_invariant_of_a_plan() {
    for fate in FATES {
        let begin = Fleet::new(fate, Switches::default());
        let (single, pairs) = crashes(&begin, one_in(50));
        single.expect_none(&format!("{fate}, single crashes"));
        pairs.expect_none(&format!("{fate}, pairs of crashes"));
        assert_eq!(single.runs, 3 * points(&begin));
        assert!(pairs.runs > 100, "{}", pairs.runs);
    }
}

/// Invariants 4, 5, 6, 7 and 11.
#[test]
fn no_pause_with_a_takeover_breaks_an_invariant_of_a_plan() {
    for fate in FATES {
        let begin = Fleet::new(fate, Switches::default());
        let pauses = pauses(&begin, one_in(25));
        pauses.expect_none(&format!("{fate}, pauses"));
        assert!(pauses.runs > 150, "{}", pauses.runs);
    }
}

#[test]
fn without_fences_or_expected_versions_the_enumeration_finds_violations_of_a_plan() {
    let cases = [
        ("the target ignores fences", Switches { target_ignores_fences: true, ..Switches::default() }),
        ("observe registers no fence", Switches { observe_registers_no_fence: true, ..Switches::default() }),
        ("the journal ignores versions", Switches { journal_ignores_versions: true, ..Switches::default() }),
        ("the target ignores keys", Switches { target_ignores_keys: true, ..Switches::default() }),
    ];
    for (what, switches) in cases {
        // As many pairs as are needed to find one.
        let found = [25, 5, 1].into_iter().any(|count| {
            let pauses = pauses(&Fleet::new(Fate::RollsBack, switches), one_in(count));
            println!("{what}: violations in {} of {} pauses", pauses.violations.len(), pauses.runs);
            !pauses.violations.is_empty()
        });
        assert!(found, "{what}: no violations");
    }
}
