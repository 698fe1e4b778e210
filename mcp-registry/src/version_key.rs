use mcp_core::Version;

/// A version as bytes that sort by precedence (section 11 of semver 2.0.0); build metadata is left out.
///
/// Three numbers, each as a count of bytes and then that many, big-endian without leading zeros; then [`RELEASE`], or for each
/// pre-release identifier [`NUMERIC`], a count and its digits, or [`ALPHANUMERIC`], its characters and a zero, and at the end [`END`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VersionKey(Vec<u8>);

/// Behind the last identifier: fewer identifiers precede more.
const END: u8 = 0;
/// Numbers precede words.
const NUMERIC: u8 = 1;
const ALPHANUMERIC: u8 = 2;
/// A release follows all its pre-releases.
const RELEASE: u8 = 3;

impl VersionKey {
    pub(crate) fn of(version: &Version) -> Self {
        let mut key = Self::triple((version.major(), version.minor(), version.patch()));
        if version.is_pre_release() {
            key.push_identifiers(version.pre_release());
            key.0.push(END);
        } else {
            key.0.push(RELEASE);
        }
        key
    }

    /// What the keys of all versions with these three numbers begin with; it precedes them all.
    pub(crate) fn triple((major, minor, patch): (u64, u64, u64)) -> Self {
        let mut key = Vec::with_capacity(16);
        for number in [major, minor, patch] {
            let bytes = number.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            key.push(8_u8.saturating_sub(u8::try_from(zeros).unwrap_or(8)));
            key.extend(bytes.iter().skip(zeros));
        }
        Self(key)
    }

    /// It follows every pre-release with these three numbers, and precedes the release.
    pub(crate) fn after_pre_releases(triple: (u64, u64, u64)) -> Self {
        let mut key = Self::triple(triple);
        key.0.push(RELEASE);
        key
    }

    /// All pre-releases `identifiers.<number>…` of these three numbers lie from the first key up to, and without, the second.
    pub(crate) fn numbered(triple: (u64, u64, u64), identifiers: &str) -> (Self, Self) {
        let mut from = Self::triple(triple);
        from.push_identifiers(identifiers);
        let mut to = from.clone();
        from.0.push(NUMERIC);
        to.0.push(ALPHANUMERIC);
        (from, to)
    }

    /// It precedes all keys.
    pub(crate) const fn first() -> Self {
        Self(Vec::new())
    }

    /// It follows all keys.
    pub(crate) fn last() -> Self {
        Self(vec![u8::MAX])
    }

    /// A key as it was stored.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key directly behind this one.
    pub(crate) fn successor(mut self) -> Self {
        self.0.push(0);
        self
    }

    fn push_identifiers(&mut self, identifiers: &str) {
        for identifier in identifiers.split('.') {
            if identifier.bytes().all(|byte| byte.is_ascii_digit()) {
                // No leading zeros: the longer number is the greater one. A version has at most 255 bytes.
                self.0.extend([NUMERIC, u8::try_from(identifier.len()).unwrap_or(u8::MAX)]);
                self.0.extend(identifier.bytes());
            } else {
                self.0.push(ALPHANUMERIC);
                self.0.extend(identifier.bytes());
                self.0.push(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Versions that are often close to one another.
    fn version() -> impl Strategy<Value = Version> {
        let number = prop_oneof![0_u64..3, Just(255), Just(256), Just(u64::MAX)];
        let identifier = "0|[1-9][0-9]{0,20}|[a-c-]{1,3}|[0-9]{1,2}[A-Za-z-]{1,2}";
        let pre = proptest::collection::vec(identifier, 0..4);
        (number.clone(), number.clone(), number, pre, "(\\+[a-z0-9]{1,4})?").prop_map(
            |(a, b, c, pre, build)| {
                let pre = if pre.is_empty() { String::new() } else { format!("-{}", pre.join(".")) };
                format!("{a}.{b}.{c}{pre}{build}").parse().expect("a version")
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn keys_sort_as_precedence_does(a in version(), b in version()) {
            prop_assert_eq!(VersionKey::of(&a).cmp(&VersionKey::of(&b)), a.cmp_precedence(&b), "{} and {}", a, b);
        }

        #[test]
        fn a_triple_stands_before_all_its_versions_and_behind_all_below(a in version(), b in version()) {
            let triple = (b.major(), b.minor(), b.patch());
            let below = (a.major(), a.minor(), a.patch()) < triple;
            prop_assert_eq!(VersionKey::of(&a) < VersionKey::triple(triple), below, "{} and {}", a, b);
        }
    }

    #[test]
    fn numbered_pre_releases_lie_between_their_two_keys() {
        let (from, to) = VersionKey::numbered((1, 0, 0), "rc");
        let inside = |text: &str| {
            let key = VersionKey::of(&text.parse().expect(text));
            from <= key && key < to
        };
        for text in ["1.0.0-rc.0", "1.0.0-rc.99999999999999999999", "1.0.0-rc.1.fix"] {
            assert!(inside(text), "{text}");
        }
        for text in ["1.0.0-rc", "1.0.0-rc.x", "1.0.0-rcx.1", "1.0.0-rb.1", "1.0.0", "1.0.1-rc.1"] {
            assert!(!inside(text), "{text}");
        }
    }
}
