use mcp_core::{Digest, Name, ParseError, Requirement, Version};

use crate::RegistryError;

/// Which version of a name.
///
/// ```
/// use mcp_registry::Select;
///
/// for select in [Select::exact("1.2.0"), Select::requirement("^1.2"), Select::channel("stable"), Select::latest()] {
///     println!("{select:?}");
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Select(Result<Selection, ParseError>);

#[derive(Clone, Debug)]
pub(crate) enum Selection {
    Exact(Version),
    Requirement(Requirement),
    Channel(Name),
    Latest { pre_releases: bool },
    Digest(Digest),
}

impl Select {
    /// This version, yanked or not. Build metadata is ignored.
    pub fn exact<V: TryInto<Version, Error: Into<ParseError>>>(version: V) -> Self {
        Self(version.try_into().map(Selection::Exact).map_err(Into::into))
    }

    /// The highest version that satisfies the requirement and is not yanked; pre-releases as Cargo admits them.
    pub fn requirement<R: TryInto<Requirement, Error: Into<ParseError>>>(requirement: R) -> Self {
        Self(requirement.try_into().map(Selection::Requirement).map_err(Into::into))
    }

    /// Where the channel points, yanked or not.
    pub fn channel<C: TryInto<Name, Error: Into<ParseError>>>(channel: C) -> Self {
        Self(channel.try_into().map(Selection::Channel).map_err(Into::into))
    }

    /// The highest release that is not yanked.
    pub const fn latest() -> Self {
        Self(Ok(Selection::Latest { pre_releases: false }))
    }

    /// The highest version that is not yanked, pre-releases included.
    pub const fn latest_with_pre_releases() -> Self {
        Self(Ok(Selection::Latest { pre_releases: true }))
    }

    /// The version whose bytes have this digest: of several, the one published last that is not yanked, or else the last.
    pub const fn digest(digest: Digest) -> Self {
        Self(Ok(Selection::Digest(digest)))
    }

    pub(crate) fn selection(self) -> Result<Selection, RegistryError> {
        self.0.map_err(Into::into)
    }
}
