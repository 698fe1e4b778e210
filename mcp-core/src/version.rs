use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::ParseError;
use crate::text::serde_as_text;

/// A semantic version, as [semver.org 2.0.0](https://semver.org/spec/v2.0.0.html) defines it; at most 255 bytes of text.
///
/// `Eq`, `Ord` and `Hash` look at the whole text, build metadata included, so that maps behave. Precedence, which ignores build
/// metadata, is [`cmp_precedence`](Self::cmp_precedence): two versions of equal precedence conflict in the registry.
///
/// ```
/// use mcp_core::Version;
///
/// let (a, b): (Version, Version) = ("1.0.0+linux".parse()?, "1.0.0+mac".parse()?);
/// assert!(a != b && a.same_precedence(&b));
/// assert!("1.0.0-rc.1".parse::<Version>()?.is_pre_release());
/// # Ok::<(), mcp_core::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

impl Version {
    /// The longest text of a version, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// `major.minor.patch`, neither pre-release nor build metadata.
    #[must_use]
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// The first number.
    #[must_use]
    pub const fn major(&self) -> u64 {
        self.0.major
    }

    /// The second number.
    #[must_use]
    pub const fn minor(&self) -> u64 {
        self.0.minor
    }

    /// The third number.
    #[must_use]
    pub const fn patch(&self) -> u64 {
        self.0.patch
    }

    /// What stands between `-` and `+`, such as `rc.1`; empty for a release.
    #[must_use]
    pub fn pre_release(&self) -> &str {
        self.0.pre.as_str()
    }

    /// What stands behind `+`; empty where there is none.
    #[must_use]
    pub fn build_metadata(&self) -> &str {
        self.0.build.as_str()
    }

    /// Whether it has a pre-release part.
    #[must_use]
    pub fn is_pre_release(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// The same version without its build metadata.
    #[must_use]
    pub fn without_build(&self) -> Self {
        let mut version = self.0.clone();
        version.build = semver::BuildMetadata::EMPTY;
        Self(version)
    }

    /// Precedence by section 11 of the specification: build metadata does not count.
    #[must_use]
    pub fn cmp_precedence(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }

    /// Whether neither precedes the other.
    #[must_use]
    pub fn same_precedence(&self, other: &Self) -> bool {
        self.cmp_precedence(other).is_eq()
    }

    pub(crate) const fn inner(&self) -> &semver::Version {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

impl FromStr for Version {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ParseError::new(
                "version",
                text,
                format!("it has {} bytes, at most {} are allowed", text.len(), Self::MAX_BYTES),
            ));
        }
        let version = semver::Version::parse(text)
            .map_err(|error| ParseError::new("version", text, error.to_string()))?;
        Ok(Self(version))
    }
}

impl TryFrom<&str> for Version {
    type Error = ParseError;

    fn try_from(text: &str) -> Result<Self, ParseError> {
        text.parse()
    }
}

serde_as_text!(Version);

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect(text)
    }

    #[test]
    fn precedence_follows_the_example_of_the_specification() {
        let ascending = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "2.0.0",
            "2.1.0",
            "2.1.1",
        ];
        for (position, text) in ascending.iter().enumerate() {
            for (other_position, other) in ascending.iter().enumerate() {
                let expected = position.cmp(&other_position);
                assert_eq!(version(text).cmp_precedence(&version(other)), expected, "{text} and {other}");
            }
        }
    }

    #[test]
    fn build_metadata_distinguishes_values_but_not_precedence() {
        let (plain, built) = (version("1.2.3"), version("1.2.3+abc"));
        assert_ne!(plain, built);
        assert!(plain.same_precedence(&built));
        assert_eq!(built.without_build(), plain);
    }

    #[test]
    fn what_is_not_a_semantic_version_is_refused() {
        for text in ["", "1", "1.2", "01.2.3", "1.2.3-01", "v1.2.3", "1.2.3 ", "18446744073709551616.0.0"] {
            assert_eq!(text.parse::<Version>().expect_err(text).what(), "version");
        }
        let long = format!("1.0.0-{}", "a".repeat(250));
        assert_eq!(
            long.parse::<Version>().expect_err("long").reason(),
            "it has 256 bytes, at most 255 are allowed"
        );
    }
}
