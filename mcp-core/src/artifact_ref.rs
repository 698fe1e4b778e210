use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;
use crate::{Name, ParseError, Version};

/// Names one published version: `name@version`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactRef {
    /// What it is called.
    pub name: Name,
    /// Which version of it.
    pub version: Version,
}

impl ArtifactRef {
    /// `name@version`.
    #[must_use]
    pub const fn new(name: Name, version: Version) -> Self {
        Self { name, version }
    }
}

impl fmt::Display for ArtifactRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl fmt::Debug for ArtifactRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArtifactRef({self})")
    }
}

impl FromStr for ArtifactRef {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason: String| ParseError::new("artifact reference", text, reason);
        let (name, version) = text
            .split_once('@')
            .ok_or_else(|| refuse("'@' between name and version is missing".to_owned()))?;
        let part = |error: ParseError| refuse(format!("its {} is wrong: {}", error.what(), error.reason()));
        Ok(Self { name: name.parse().map_err(part)?, version: version.parse().map_err(part)? })
    }
}

impl TryFrom<&str> for ArtifactRef {
    type Error = ParseError;

    fn try_from(text: &str) -> Result<Self, ParseError> {
        text.parse()
    }
}

serde_as_text!(ArtifactRef);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_which_part_is_wrong() {
        let reason = |text: &str| text.parse::<ArtifactRef>().expect_err(text).reason().to_owned();
        assert_eq!(reason("app"), "'@' between name and version is missing");
        assert!(reason("App@1.0.0").starts_with("its name is wrong: 'A' is not allowed"));
        assert!(reason("app@1.0").starts_with("its version is wrong: "));
        assert!(reason("app@1.0.0@2.0.0").starts_with("its version is wrong: "));
    }
}
