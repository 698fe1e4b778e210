//! Whether one version of a schema can take the place of another, and what breaks where it cannot.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use mcp_core::SeamError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{SchemaFormat, SchemaSource, ValidationError};

/// Which schemas of a subject must be able to read what which others wrote.
///
/// A transitive mode asks of every old version what the plain one asks of the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing is asked.
    #[default]
    None,
    /// The new schema reads what the last old one wrote: readers are upgraded first.
    Backward,
    /// The last old schema reads what the new one writes: writers are upgraded first.
    Forward,
    /// Both.
    Full,
    /// The new schema reads what every old one wrote.
    BackwardTransitive,
    /// Every old schema reads what the new one writes.
    ForwardTransitive,
    /// Both, for every old schema.
    FullTransitive,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::Forward,
        Self::Full,
        Self::BackwardTransitive,
        Self::ForwardTransitive,
        Self::FullTransitive,
    ];

    /// What is asked of each old schema.
    #[must_use]
    pub const fn directions(self) -> &'static [Direction] {
        match self {
            Self::None => &[],
            Self::Backward | Self::BackwardTransitive => &[Direction::Backward],
            Self::Forward | Self::ForwardTransitive => &[Direction::Forward],
            Self::Full | Self::FullTransitive => &[Direction::Backward, Direction::Forward],
        }
    }

    /// Whether every old schema is asked about, and not only the last.
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    /// Compares `new` with the schemas before it, oldest first, as this mode asks. A break anywhere makes it `No`, with the breaks of
    /// every comparison; else what is unknown anywhere makes it `Unknown`.
    ///
    /// # Errors
    /// As [`SchemaFormat::can_read`].
    pub fn check(
        self,
        format: &dyn SchemaFormat,
        history: &[SchemaSource<'_>],
        new: &SchemaSource<'_>,
    ) -> Result<Compatibility, SeamError> {
        let first = if self.is_transitive() { 0 } else { history.len().saturating_sub(1) };
        let mut breaks = Vec::new();
        let mut unknown = None;
        for (version, old) in history.iter().enumerate().skip(first) {
            for direction in self.directions() {
                let found = match direction {
                    Direction::Backward => {
                        let given_up = format.given_up(new, old)?;
                        breaks.extend(given_up.into_iter().map(|found| found.between(version, *direction)));
                        format.can_read(new, old)?
                    }
                    Direction::Forward => format.can_read(old, new)?,
                };
                match found {
                    Compatibility::Yes => {}
                    Compatibility::No(found) => {
                        breaks.extend(found.into_iter().map(|found| found.between(version, *direction)));
                    }
                    Compatibility::Unknown(reason) => {
                        unknown.get_or_insert(format!("{direction}, against old schema {version}: {reason}"));
                    }
                }
            }
        }
        Ok(match unknown {
            _ if !breaks.is_empty() => Compatibility::No(breaks),
            Some(reason) => Compatibility::Unknown(reason),
            None => Compatibility::Yes,
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Backward => "backward",
            Self::Forward => "forward",
            Self::Full => "full",
            Self::BackwardTransitive => "backward_transitive",
            Self::ForwardTransitive => "forward_transitive",
            Self::FullTransitive => "full_transitive",
        })
    }
}

impl FromStr for Mode {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let known = Self::ALL.into_iter().find(|mode| mode.to_string() == text);
        known
            .ok_or_else(|| ValidationError::UnknownMode { mode: crate::findings::shortened(text.to_owned()) })
    }
}

/// Who reads what whom wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The new schema reads what the old one wrote.
    Backward,
    /// The old schema reads what the new one wrote.
    Forward,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Backward => "backward",
            Self::Forward => "forward",
        })
    }
}

/// One reason why a reader cannot read what a writer wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Break {
    /// What kind of break: stable, with the format's name before the first dot, such as `json-schema.required-added`.
    pub rule: Cow<'static, str>,
    /// JSON Pointer into the reader's schema, or into the writer's where the reader's has nothing there.
    pub path: String,
    /// What changed, in lower case without a full stop.
    pub message: String,
    /// What to do about it.
    pub advice: String,
    /// A document that the writer's schema accepts and the reader's refuses. Both were run to see that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Value>,
    /// Who reads and who writes; set where a [`Mode`] was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The place of the old schema in its history, from 0, oldest first; set where a [`Mode`] was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<usize>,
}

impl Break {
    /// Without a witness.
    #[must_use]
    pub fn new(
        rule: impl Into<Cow<'static, str>>,
        path: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            rule: rule.into(),
            path: path.into(),
            message: message.into(),
            advice: advice.into(),
            witness: None,
            direction: None,
            against: None,
        }
    }

    /// With a document that shows it. It must have been run through both schemas.
    #[must_use]
    pub fn with_witness(mut self, witness: Value) -> Self {
        self.witness = Some(witness);
        self
    }

    fn between(mut self, version: usize, direction: Direction) -> Self {
        self.against = Some(version);
        self.direction = Some(direction);
        self
    }
}

impl fmt::Display for Break {
    /// One line: direction, rule, place, message and advice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(direction) = self.direction {
            write!(f, "{direction}: ")?;
        }
        let place = if self.path.is_empty() { "/" } else { self.path.as_str() };
        write!(f, "{} at {place}: {}; {}", self.rule, self.message, self.advice)
    }
}

/// Whether a reader can read everything that a writer may write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// It can: this is proved.
    Yes,
    /// It cannot, and why; never empty.
    No(Vec<Break>),
    /// It could not be decided, and why. Callers assume the worst.
    Unknown(String),
}

impl Compatibility {
    /// Whether it is proved that the reader can.
    #[must_use]
    pub const fn is_yes(&self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Every break; none unless it is `No`.
    #[must_use]
    pub fn breaks(&self) -> &[Break] {
        match self {
            Self::No(breaks) => breaks,
            Self::Yes | Self::Unknown(_) => &[],
        }
    }
}

impl fmt::Display for Compatibility {
    /// `yes`, `no` or `unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "yes",
            Self::No(_) => "no",
            Self::Unknown(_) => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use mcp_core::ErrorKind;

    use super::*;
    use crate::{CompiledSchema, Limits};

    /// A format whose schemas are numbers: a reader reads what is not greater, and does not know about 9.
    #[derive(Default)]
    struct Numbers {
        asked: Mutex<Vec<(String, String)>>,
    }

    impl SchemaFormat for Numbers {
        fn name(&self) -> &str {
            "numbers"
        }

        fn compile(&self, _: &SchemaSource<'_>) -> Result<Box<dyn CompiledSchema>, SeamError> {
            Err(SeamError::new(ErrorKind::Unsupported, "judge by a number"))
        }

        fn can_read(
            &self,
            reader: &SchemaSource<'_>,
            writer: &SchemaSource<'_>,
        ) -> Result<Compatibility, SeamError> {
            self.asked.lock().unwrap().push((reader.text.to_owned(), writer.text.to_owned()));
            Ok(if [reader.text, writer.text].contains(&"9") {
                Compatibility::Unknown("it is a nine".to_owned())
            } else if writer.text <= reader.text {
                Compatibility::Yes
            } else {
                Compatibility::No(vec![Break::new("numbers.less", "", "it is less", "raise it")])
            })
        }
    }

    fn check(mode: Mode, history: &[&str], new: &str) -> (Compatibility, Vec<(String, String)>) {
        let limits = Limits::default();
        let history: Vec<_> = history.iter().map(|text| SchemaSource::new(text, &[], &limits)).collect();
        let numbers = Numbers::default();
        let found = mode.check(&numbers, &history, &SchemaSource::new(new, &[], &limits)).expect("compared");
        (found, numbers.asked.into_inner().unwrap())
    }

    #[test]
    fn each_mode_asks_who_reads_what_of_whom() {
        for (mode, expected) in [
            (Mode::None, [].as_slice()),
            (Mode::Backward, &[("3", "2")]),
            (Mode::Forward, &[("2", "3")]),
            (Mode::Full, &[("3", "2"), ("2", "3")]),
            (Mode::BackwardTransitive, &[("3", "1"), ("3", "2")]),
            (Mode::ForwardTransitive, &[("1", "3"), ("2", "3")]),
            (Mode::FullTransitive, &[("3", "1"), ("1", "3"), ("3", "2"), ("2", "3")]),
        ] {
            let (_, asked) = check(mode, &["1", "2"], "3");
            let asked: Vec<_> =
                asked.iter().map(|(reader, writer)| (reader.as_str(), writer.as_str())).collect();
            assert_eq!(asked, expected, "{mode}");
        }
    }

    #[test]
    fn the_first_schema_of_a_subject_fits_every_mode() {
        for mode in Mode::ALL {
            assert_eq!(check(mode, &[], "1"), (Compatibility::Yes, vec![]), "{mode}");
        }
    }

    #[test]
    fn every_break_says_against_which_version_and_in_which_direction() {
        let (found, _) = check(Mode::FullTransitive, &["1", "3", "2"], "2");
        let seen: Vec<_> = found.breaks().iter().map(|found| (found.against, found.direction)).collect();
        assert_eq!(seen, [(Some(0), Some(Direction::Forward)), (Some(1), Some(Direction::Backward))]);
    }

    #[test]
    fn a_break_counts_more_than_what_is_unknown_and_that_more_than_a_yes() {
        assert!(matches!(check(Mode::BackwardTransitive, &["9", "4"], "3").0, Compatibility::No(_)));
        let (unknown, _) = check(Mode::BackwardTransitive, &["9", "2"], "3");
        let reason = "backward, against old schema 0: it is a nine".to_owned();
        assert_eq!(unknown, Compatibility::Unknown(reason));
        assert_eq!(check(Mode::Backward, &["9", "2"], "3").0, Compatibility::Yes);
    }

    #[test]
    fn a_mode_reads_the_same_in_text_and_in_json() {
        for mode in Mode::ALL {
            assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{mode}\""));
            assert_eq!(mode.to_string().parse::<Mode>().unwrap(), mode);
        }
        let error = "backwards".parse::<Mode>().expect_err("misspelt");
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (
                ErrorKind::Invalid,
                "read \"backwards\" as a compatibility mode: use none, backward, forward, full, or one of the last three with _transitive"
            )
        );
    }
}
