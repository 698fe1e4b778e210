//! The same enumeration for two lanes of one stage, of which both or only one at a time may be under way.

use crate::dock::Dock;
use crate::plans::one_in;
use crate::world::Switches;
use crate::{crashes, pauses, points};

/// Invariants 4, 5, 6, 7 and 11.
#[test]
fn no_crash_breaks_an_invariant_of_two_lanes() {
    for limit in [1, 2] {
        let begin = Dock::new(limit, Switches::default());
        let (single, pairs) = crashes(&begin, one_in(60));
        single.expect_none(&format!("{limit} of two lanes, single crashes"));
        pairs.expect_none(&format!("{limit} of two lanes, pairs of crashes"));
        let most = *begin.most.lock().unwrap();
        assert_eq!((single.runs, most), (3 * points(&begin), limit as usize));
        assert!(pairs.runs > 100, "{}", pairs.runs);
    }
}

/// Invariants 4, 5, 6, 7 and 11.
#[test]
fn no_pause_with_a_takeover_breaks_an_invariant_of_two_lanes() {
    for limit in [1, 2] {
        let pauses = pauses(&Dock::new(limit, Switches::default()), one_in(30));
        pauses.expect_none(&format!("{limit} of two lanes, pauses"));
        assert!(pauses.runs > 100, "{}", pauses.runs);
    }
}

#[test]
fn without_fences_or_expected_versions_the_enumeration_finds_violations_of_two_lanes() {
    let cases = [
        ("the target ignores fences", Switches { target_ignores_fences: true, ..Switches::default() }),
        ("observe registers no fence", Switches { observe_registers_no_fence: true, ..Switches::default() }),
        ("the journal ignores versions", Switches { journal_ignores_versions: true, ..Switches::default() }),
        ("the target ignores keys", Switches { target_ignores_keys: true, ..Switches::default() }),
    ];
    for (what, switches) in cases {
        // As many pairs as are needed to find one.
        let found = [30, 5, 1].into_iter().any(|count| {
            let pauses = pauses(&Dock::new(1, switches), one_in(count));
            println!("{what}: violations in {} of {} pauses", pauses.violations.len(), pauses.runs);
            !pauses.violations.is_empty()
        });
        assert!(found, "{what}: no violations");
    }
}
