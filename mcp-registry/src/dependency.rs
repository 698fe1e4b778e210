use std::fmt;
use std::str::FromStr;

use mcp_core::{Name, ParseError, Requirement};
use serde::{Deserialize, Serialize, Serializer};

/// What a version needs of another artifact. The registry records and lists it; it does not ask whether such a version exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The artifact that is needed.
    pub name: Name,
    /// Which of its versions will do.
    pub requirement: Requirement,
    /// What it is needed for.
    #[serde(default)]
    pub kind: DependencyKind,
}

impl Dependency {
    /// A need of `kind`.
    #[must_use]
    pub const fn new(name: Name, requirement: Requirement, kind: DependencyKind) -> Self {
        Self { name, requirement, kind }
    }
}

/// What a dependency is needed for. As text it is one word, such as `dev`; a word that is not listed here is [`Other`](Self::Other).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "Name")]
#[non_exhaustive]
pub enum DependencyKind {
    /// To be used at all: `runtime`.
    #[default]
    Runtime,
    /// To be worked on and tested: `dev`.
    Dev,
    /// To be built: `build`.
    Build,
    /// For a purpose that the host names.
    Other(Name),
}

impl DependencyKind {
    /// The word that it is written as.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Runtime => "runtime",
            Self::Dev => "dev",
            Self::Build => "build",
            Self::Other(name) => name.as_str(),
        }
    }
}

impl fmt::Display for DependencyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Name> for DependencyKind {
    fn from(name: Name) -> Self {
        match name.as_str() {
            "runtime" => Self::Runtime,
            "dev" => Self::Dev,
            "build" => Self::Build,
            _ => Self::Other(name),
        }
    }
}

impl FromStr for DependencyKind {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse::<Name>().map(Into::into)
    }
}

impl Serialize for DependencyKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_one_word_and_unknown_words_are_kept() {
        for (text, kind) in [
            ("runtime", DependencyKind::Runtime),
            ("dev", DependencyKind::Dev),
            ("build", DependencyKind::Build),
            ("peer", DependencyKind::Other("peer".parse().expect("a name"))),
        ] {
            assert_eq!(text.parse::<DependencyKind>(), Ok(kind.clone()));
            let json = serde_json::to_string(&kind).expect("json");
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<DependencyKind>(&json).expect(text), kind);
        }
        assert!(serde_json::from_str::<DependencyKind>("\"a b\"").is_err());
    }
}
