use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;
use crate::{ParseError, Version};

/// Which versions will do: `^1.2`, `~1.2.3`, `=1.0.0`, `>=1, <3`, `*`.
///
/// Cargo's syntax and meaning: comparators joined by commas must all hold, and a bare `1.2` means `^1.2`. There is neither `||` nor
/// a hyphen range.
///
/// ```
/// use mcp_core::Requirement;
///
/// let requirement: Requirement = "^1.2".parse()?;
/// assert!(requirement.matches(&"1.9.0".parse()?));
/// assert!(!requirement.matches(&"2.0.0".parse()?));
/// # Ok::<(), mcp_core::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Requirement(semver::VersionReq);

impl Requirement {
    /// The longest text of a requirement, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// `*`: every release. A pre-release matches only where a comparator names one of the same `major.minor.patch`.
    pub const ANY: Self = Self(semver::VersionReq::STAR);

    /// Whether `version` will do.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        self.0.matches(version.inner())
    }

    /// Whether a comparator names a pre-release, so that some pre-releases can match.
    #[must_use]
    pub fn admits_pre_releases(&self) -> bool {
        self.0.comparators.iter().any(|comparator| !comparator.pre.is_empty())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requirement({})", self.0)
    }
}

impl FromStr for Requirement {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason: String| ParseError::new("version requirement", text, reason);
        if text.len() > Self::MAX_BYTES {
            return Err(refuse(format!(
                "it has {} bytes, at most {} are allowed",
                text.len(),
                Self::MAX_BYTES
            )));
        }
        semver::VersionReq::parse(text).map(Self).map_err(|error| refuse(error.to_string()))
    }
}

impl TryFrom<&str> for Requirement {
    type Error = ParseError;

    fn try_from(text: &str) -> Result<Self, ParseError> {
        text.parse()
    }
}

serde_as_text!(Requirement);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operator_admits_what_cargo_admits() {
        let cases = [
            ("^1.2", "1.9.9", true),
            ("^1.2", "2.0.0", false),
            ("^0.2", "0.3.0", false),
            ("1.2", "1.3.0", true),
            ("~1.2.3", "1.2.9", true),
            ("~1.2.3", "1.3.0", false),
            ("=1.0.0", "1.0.0", true),
            ("=1.0.0", "1.0.1", false),
            (">=1, <3", "2.9.0", true),
            (">=1, <3", "3.0.0", false),
            ("*", "99.0.0", true),
            ("*", "1.0.0-rc.1", false),
            (">=1.0.0-rc.1", "1.0.0-rc.2", true),
            (">=1.0.0-rc.1", "1.1.0-rc.2", false),
        ];
        for (requirement, version, expected) in cases {
            let parsed: Requirement = requirement.parse().expect(requirement);
            assert_eq!(parsed.matches(&version.parse().expect(version)), expected, "{requirement} {version}");
        }
    }

    #[test]
    fn alternatives_and_hyphen_ranges_are_refused() {
        for text in ["1 || 2", "1.0.0 - 2.0.0", "", "^", ">=01.0"] {
            assert_eq!(text.parse::<Requirement>().expect_err(text).what(), "version requirement");
        }
    }
}
