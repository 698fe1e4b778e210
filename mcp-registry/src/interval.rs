use mcp_core::Requirement;
use semver::{Comparator, Op};

use crate::version_key::VersionKey;

/// Versions from the first key up to, and without, the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) from: VersionKey,
    /// `None`: no end.
    pub(crate) to: Option<VersionKey>,
}

/// Where the versions lie that a requirement admits: all its comparators must hold, so releases lie in one interval, and pre-releases,
/// which are admitted only where a comparator names one of the same three numbers, in one interval for each such comparator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// `None`: no release.
    pub(crate) releases: Option<KeyRange>,
    pub(crate) pre_releases: Vec<KeyRange>,
}

type Triple = (u64, u64, u64);

/// Triples from the first up to, and without, the second; `None`: no end.
type Triples = (Triple, Option<Triple>);

const EMPTY: Triples = ((1, 0, 0), Some((0, 0, 0)));

pub(crate) fn admitted(requirement: &Requirement) -> Admitted {
    // The text of a requirement is always a requirement. One that could not be read would admit nothing.
    let comparators =
        semver::VersionReq::parse(&requirement.to_string()).map(|parsed| parsed.comparators).ok();
    let Some(comparators) = comparators else {
        return Admitted { releases: None, pre_releases: Vec::new() };
    };
    let (from, to) = comparators.iter().map(releases).fold(((0, 0, 0), None), |(from, to), (low, high)| {
        (from.max(low), [to, high].into_iter().flatten().min())
    });
    let releases = to
        .is_none_or(|to| from < to)
        .then(|| KeyRange { from: VersionKey::triple(from), to: to.map(VersionKey::triple) });
    Admitted { releases, pre_releases: pre_releases(&comparators) }
}

/// The releases that one comparator admits: those of semver 1.0.28, `src/eval.rs`.
fn releases(comparator: &Comparator) -> Triples {
    let (major, minor, patch) = (comparator.major, comparator.minor, comparator.patch);
    let low = (major, minor.unwrap_or(0), patch.unwrap_or(0));
    let pre = !comparator.pre.is_empty();
    // What is not given may be anything.
    let behind = match (minor, patch) {
        (None, _) => next_major(major),
        (Some(minor), None) => next_minor(major, minor),
        (Some(minor), Some(patch)) => next_patch(major, minor, patch),
    };
    match comparator.op {
        Op::Exact if pre => EMPTY,
        Op::Exact | Op::Wildcard => (low, behind),
        // The release follows its pre-release.
        Op::Greater if pre => (low, None),
        Op::Greater => behind.map_or(EMPTY, |behind| (behind, None)),
        Op::GreaterEq => (low, None),
        Op::Less => ((0, 0, 0), Some(low)),
        Op::LessEq if pre => ((0, 0, 0), Some(low)),
        Op::LessEq => ((0, 0, 0), behind),
        Op::Tilde => (low, minor.map_or(behind, |minor| next_minor(major, minor))),
        Op::Caret => (low, caret_end(major, minor, patch)),
        // An operator of a later semver: the match at the end of each look-up decides.
        _ => ((0, 0, 0), None),
    }
}

fn caret_end(major: u64, minor: Option<u64>, patch: Option<u64>) -> Option<Triple> {
    match (major, minor, patch) {
        (0, Some(0), Some(patch)) => next_patch(0, 0, patch),
        (0, Some(minor), _) => next_minor(0, minor),
        _ => next_major(major),
    }
}

fn next_major(major: u64) -> Option<Triple> {
    major.checked_add(1).map(|major| (major, 0, 0))
}

fn next_minor(major: u64, minor: u64) -> Option<Triple> {
    minor.checked_add(1).map_or_else(|| next_major(major), |minor| Some((major, minor, 0)))
}

fn next_patch(major: u64, minor: u64, patch: u64) -> Option<Triple> {
    patch.checked_add(1).map_or_else(|| next_minor(major, minor), |patch| Some((major, minor, patch)))
}

/// For each triple of which a comparator names a pre-release, its pre-releases that lie between the bounds named for it.
fn pre_releases(comparators: &[Comparator]) -> Vec<KeyRange> {
    let triple_of = |comparator: &Comparator| -> Option<Triple> {
        Some((comparator.major, comparator.minor?, comparator.patch?))
    };
    let named = comparators.iter().filter(|comparator| !comparator.pre.is_empty());
    let mut triples: Vec<Triple> = named.filter_map(triple_of).collect();
    triples.sort_unstable();
    triples.dedup();
    let range = |triple: Triple| {
        let mut from = VersionKey::triple(triple);
        let mut to = VersionKey::after_pre_releases(triple);
        for comparator in comparators.iter().filter(|comparator| triple_of(comparator) == Some(triple)) {
            let bound = bound_key(triple, comparator);
            let Some(bound) = bound else { continue };
            match comparator.op {
                Op::Exact => {
                    to = to.min(bound.clone().successor());
                    from = from.max(bound);
                }
                Op::Greater => from = from.max(bound.successor()),
                Op::GreaterEq | Op::Caret | Op::Tilde => from = from.max(bound),
                Op::Less => to = to.min(bound),
                Op::LessEq => to = to.min(bound.successor()),
                _ => {}
            }
        }
        KeyRange { from, to: Some(to) }
    };
    triples.into_iter().map(range).collect()
}

fn bound_key((major, minor, patch): Triple, comparator: &Comparator) -> Option<VersionKey> {
    let pre = &comparator.pre;
    let text = if pre.is_empty() {
        format!("{major}.{minor}.{patch}")
    } else {
        format!("{major}.{minor}.{patch}-{pre}")
    };
    text.parse().ok().map(|version| VersionKey::of(&version))
}

#[cfg(test)]
mod tests {
    use mcp_core::Version;
    use proptest::prelude::*;

    use super::*;

    impl KeyRange {
        fn has(&self, key: &VersionKey) -> bool {
            self.from <= *key && self.to.as_ref().is_none_or(|to| key < to)
        }
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        let number = || prop_oneof![0_u64..4, Just(u64::MAX)];
        let operator = prop_oneof![
            Just("="),
            Just(">"),
            Just(">="),
            Just("<"),
            Just("<="),
            Just("~"),
            Just("^"),
            Just("")
        ];
        let part = (
            operator,
            number(),
            proptest::option::of((number(), proptest::option::of((number(), "(-(rc|a)(\\.[0-3])?)?")))),
        );
        let part = part.prop_map(|(operator, major, rest)| match rest {
            None => format!("{operator}{major}"),
            Some((minor, None)) => format!("{operator}{major}.{minor}"),
            Some((minor, Some((patch, pre)))) => format!("{operator}{major}.{minor}.{patch}{pre}"),
        });
        let wild = prop_oneof![Just("*".to_owned()), Just("1.*".to_owned()), Just("1.2.*".to_owned())];
        prop_oneof![3 => proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join(",")), 1 => wild]
            .prop_map(|text| text.parse().expect("a requirement"))
    }

    fn version() -> impl Strategy<Value = Version> {
        let number = || prop_oneof![0_u64..4, Just(u64::MAX)];
        (number(), number(), number(), "(-(rc|a|b)(\\.[0-3])?)?")
            .prop_map(|(a, b, c, pre)| format!("{a}.{b}.{c}{pre}").parse().expect("a version"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]
        #[test]
        fn a_release_lies_in_the_interval_exactly_when_it_matches(requirement in requirement(), version in version()) {
            let admitted = admitted(&requirement);
            let key = VersionKey::of(&version);
            if version.is_pre_release() {
                if requirement.matches(&version) {
                    prop_assert!(admitted.pre_releases.iter().any(|range| range.has(&key)), "{requirement} {version}");
                }
            } else {
                let inside = admitted.releases.is_some_and(|range| range.has(&key));
                prop_assert_eq!(inside, requirement.matches(&version), "{} {}", requirement, version);
            }
        }
    }
}
