use std::collections::BTreeMap;

use mcp_core::{Change, Name, Version};
use serde::{Deserialize, Serialize};

use crate::RegistryError;

/// Which number of the version [`publish_next`](crate::Registry::publish_next) counts up.
///
/// Counted from the highest release that is not yanked. Where there is none, the next version is the release of the highest pre-release
/// that is not yanked, and where there is none either, 0.1.0. A version that was ever published is skipped, yanked or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bump {
    /// 1.2.3 to 2.0.0.
    Major,
    /// 1.2.3 to 1.3.0.
    Minor,
    /// 1.2.3 to 1.2.4.
    Patch,
    /// The next `id.<number>`, from 1: 1.2.3 to 1.2.4-rc.1, and that to 1.2.4-rc.2. It belongs to the three numbers of the highest
    /// pre-release when no release follows that, otherwise to the next patch. Each id counts for itself.
    Pre(String),
    /// What the registry's [`Classify`](mcp_core::Classify) says of the change since the highest release that is not yanked, or where
    /// there is none the highest pre-release: a patch counts up the patch, a minor change the minor, a major or unknown change the major
    /// number; below 1.0.0 such a change counts up the minor number. Bytes that are the same, or mean the same, are that version already:
    /// it is the answer, nothing is published, and metadata that differs is not kept.
    Auto,
}

/// What of a name's versions the next one depends on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// The highest release that is not yanked.
    pub(crate) release: Option<Version>,
    /// The highest pre-release that is not yanked.
    pub(crate) pre_release: Option<Version>,
}

/// For a name and a bump, from which version to which all were found taken: they stay so, and need not be tried again.
#[derive(Debug, Default)]
pub(crate) struct Skipped(BTreeMap<(Name, u8), (Version, Version)>);

/// For so many names it is remembered.
const MAX_SKIPPED: usize = 4096;

impl Skipped {
    /// Where to go on when `first` is taken.
    pub(crate) fn behind(&self, name: &Name, bump: &Bump, first: &Version) -> Option<Version> {
        let (from, to) = self.0.get(&(name.clone(), bump.number()))?;
        (from == first).then(|| to.clone())
    }

    /// All from `first` up to, and without, `free` are taken.
    pub(crate) fn note(&mut self, name: &Name, bump: &Bump, first: Version, free: Version) {
        if self.0.len() >= MAX_SKIPPED {
            self.0.clear();
        }
        self.0.insert((name.clone(), bump.number()), (first, free));
    }
}

impl Bump {
    /// What counts up after a change from `head`; `None` when the version stays.
    pub(crate) const fn after(change: Change, head: &Version) -> Option<Self> {
        match change {
            Change::Identical => None,
            Change::Patch => Some(Self::Patch),
            Change::Minor => Some(Self::Minor),
            // Below 1.0.0 the minor number is the one that says "incompatible" (`^0.2` admits no 0.3).
            Change::Major | Change::Unknown if head.major() == 0 => Some(Self::Minor),
            Change::Major | Change::Unknown => Some(Self::Major),
        }
    }

    const fn number(&self) -> u8 {
        match self {
            Self::Major => 0,
            Self::Minor => 1,
            Self::Patch => 2,
            Self::Pre(_) => 3,
            Self::Auto => 4,
        }
    }

    /// The first version to try, for any bump but [`Pre`](Self::Pre).
    pub(crate) fn first(&self, head: &Head) -> Result<Version, RegistryError> {
        match (&head.release, &head.pre_release) {
            (Some(release), _) => self.next(release),
            (None, Some(pre)) => Ok(Version::new(pre.major(), pre.minor(), pre.patch())),
            (None, None) => Ok(Version::new(0, 1, 0)),
        }
    }

    /// The version to try when `taken` is.
    pub(crate) fn next(&self, taken: &Version) -> Result<Version, RegistryError> {
        let (major, minor, patch) = (taken.major(), taken.minor(), taken.patch());
        let next = match self {
            Self::Major => major.checked_add(1).map(|major| (major, 0, 0)),
            Self::Minor => minor.checked_add(1).map(|minor| (major, minor, 0)),
            Self::Patch | Self::Pre(_) | Self::Auto => {
                patch.checked_add(1).map(|patch| (major, minor, patch))
            }
        };
        let (major, minor, patch) = next.ok_or_else(|| RegistryError::Invalid {
            what: format!("count up version {taken}"),
            reason: "its number is the greatest there is".to_owned(),
        })?;
        Ok(Version::new(major, minor, patch))
    }

    /// The three numbers that the next pre-release belongs to.
    pub(crate) fn pre_release_target(&self, head: &Head) -> Result<(u64, u64, u64), RegistryError> {
        let target = match (&head.release, &head.pre_release) {
            (Some(release), Some(pre)) if pre.cmp_precedence(release).is_lt() => self.next(release)?,
            (_, Some(pre)) => pre.clone(),
            (Some(release), None) => self.next(release)?,
            (None, None) => Version::new(0, 1, 0),
        };
        Ok((target.major(), target.minor(), target.patch()))
    }
}

/// `id.number` of these three numbers. The id must be pre-release identifiers as semver has them.
pub(crate) fn numbered(
    (major, minor, patch): (u64, u64, u64),
    id: &str,
    number: u64,
) -> Result<Version, RegistryError> {
    let version = format!("{major}.{minor}.{patch}-{id}.{number}").parse::<Version>()?;
    // An id such as `rc+x` would end up as build metadata.
    if version.pre_release() != format!("{id}.{number}") {
        return Err(RegistryError::Invalid {
            what: format!("use {id:?} as pre-release id"),
            reason: "only letters, digits and '-' between dots are allowed".to_owned(),
        });
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(release: &str, pre: &str) -> Head {
        let version = |text: &str| (!text.is_empty()).then(|| text.parse().expect(text));
        Head { release: version(release), pre_release: version(pre) }
    }

    #[test]
    fn the_first_version_depends_on_the_highest_release_then_pre_release() {
        let cases = [
            ("", "", Bump::Major, "0.1.0"),
            ("1.2.3", "", Bump::Major, "2.0.0"),
            ("1.2.3", "", Bump::Minor, "1.3.0"),
            ("1.2.3", "", Bump::Patch, "1.2.4"),
            ("1.2.3", "2.0.0-rc.1", Bump::Minor, "1.3.0"),
            ("", "2.0.0-rc.1", Bump::Patch, "2.0.0"),
        ];
        for (release, pre, bump, expected) in cases {
            assert_eq!(bump.first(&head(release, pre)).expect(expected).to_string(), expected);
        }
    }

    #[test]
    fn below_1_0_0_what_breaks_counts_up_the_minor_number() {
        let cases = [
            (Change::Identical, "1.2.3", None),
            (Change::Patch, "1.2.3", Some("1.2.4")),
            (Change::Minor, "1.2.3", Some("1.3.0")),
            (Change::Major, "1.2.3", Some("2.0.0")),
            (Change::Unknown, "1.2.3", Some("2.0.0")),
            (Change::Identical, "0.2.3", None),
            (Change::Patch, "0.2.3", Some("0.2.4")),
            (Change::Minor, "0.2.3", Some("0.3.0")),
            (Change::Major, "0.2.3", Some("0.3.0")),
            (Change::Unknown, "0.2.3", Some("0.3.0")),
        ];
        for (change, from, expected) in cases {
            let from: Version = from.parse().expect(from);
            let next =
                Bump::after(change, &from).map(|bump| bump.next(&from).expect("a version").to_string());
            assert_eq!(next.as_deref(), expected, "{change} from {from}");
        }
    }

    #[test]
    fn a_pre_release_belongs_to_the_open_numbers_or_the_next_patch() {
        let cases = [
            ("", "", (0, 1, 0)),
            ("1.2.3", "", (1, 2, 4)),
            ("1.2.3", "1.2.3-rc.1", (1, 2, 4)),
            ("1.2.3", "2.0.0-rc.1", (2, 0, 0)),
            ("", "0.3.0-a", (0, 3, 0)),
        ];
        for (release, pre, expected) in cases {
            let bump = Bump::Pre("rc".to_owned());
            assert_eq!(
                bump.pre_release_target(&head(release, pre)).expect("a target"),
                expected,
                "{release} {pre}"
            );
        }
    }

    #[test]
    fn an_id_that_is_no_pre_release_is_refused() {
        for id in ["", "rc+x", "a b", "01", "rc..1", "é"] {
            assert_eq!(
                numbered((1, 0, 0), id, 1).expect_err(id).kind(),
                mcp_core::ErrorKind::Invalid,
                "{id:?}"
            );
        }
        let last = Version::new(u64::MAX, 0, 0);
        assert_eq!(Bump::Major.next(&last).expect_err("the last").kind(), mcp_core::ErrorKind::Invalid);
    }
}
