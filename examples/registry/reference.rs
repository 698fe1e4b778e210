//! How versions are named on the command line.

use std::str::FromStr;

use mcp_core::{Digest, Name, Requirement, Version};
use mcp_registry::{Bump, Entry, Registry, Select};

use crate::failure::Failure;

/// A version that there is: `NAME@VERSION`, `NAME@REQUIREMENT`, `NAME:CHANNEL`, `NAME`, or a digest.
#[derive(Clone, Debug)]
pub enum Reference {
    Of(Name, Select),
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        // A channel of that length would be of the name `blake3`; the digest is what people mean.
        if text.starts_with(Digest::PREFIX)
            && text.len() == Digest::PREFIX.len() + 64
            && let Ok(digest) = text.parse()
        {
            return Ok(Self::Digest(digest));
        }
        if let Some((name, version)) = text.split_once('@') {
            let select = match version.parse::<Version>() {
                Ok(version) => Select::exact(version),
                // The reason why it is no requirement tells more than the one why it is no version.
                Err(_) => Select::requirement(version.parse::<Requirement>()?),
            };
            return Ok(Self::Of(name.parse()?, select));
        }
        if let Some((name, channel)) = text.split_once(':') {
            return Ok(Self::Of(name.parse()?, Select::channel(channel.parse::<Name>()?)));
        }
        Ok(Self::Of(text.parse()?, Select::latest()))
    }
}

impl Reference {
    /// Name and selection; of a digest, those of a version that has it.
    pub async fn find(&self, registry: &Registry) -> Result<(Name, Select), Failure> {
        match self {
            Self::Of(name, select) => Ok((name.clone(), select.clone())),
            Self::Digest(digest) => {
                let Entry { artifact, .. } = registry.find_digest(digest).await?.ok_or_else(|| {
                    Failure::refused(format!("find {digest}: nothing with it was published"))
                })?;
                Ok((artifact.name, Select::exact(artifact.version)))
            }
        }
    }
}

/// Under which version something shall be published.
#[derive(Clone, Debug)]
pub enum Target {
    Exact(Version),
    Next(Bump),
}

impl Target {
    /// `NAME@VERSION` or `NAME@next:BUMP`.
    pub fn of_artifact(text: &str) -> Result<(Name, Self), Failure> {
        let (name, version) = text
            .split_once('@')
            .ok_or_else(|| Failure::usage(format!("{text}: it is not of the form NAME@VERSION")))?;
        Ok((name.parse()?, version.parse()?))
    }
}

impl FromStr for Target {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let Some(bump) = text.strip_prefix("next:") else { return Ok(Self::Exact(text.parse()?)) };
        Ok(Self::Next(match (bump, bump.strip_prefix("pre:")) {
            ("major", _) => Bump::Major,
            ("minor", _) => Bump::Minor,
            ("patch", _) => Bump::Patch,
            ("auto", _) => Bump::Auto,
            (_, Some(id)) => Bump::Pre(id.to_owned()),
            _ => {
                let forms = "major, minor, patch, auto or pre:ID";
                return Err(Failure::usage(format!("next:{bump}: behind next: stands {forms}")));
            }
        }))
    }
}
