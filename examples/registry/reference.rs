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
        // The name `blake3` may have channels; one that is all hexadecimal digits, or as long as a digest, is a digest to people.
        if let Some(digits) = text.strip_prefix(Digest::PREFIX)
            && (digits.len() == 64 || digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        {
            return Ok(Self::Digest(text.parse()?));
        }
        if let Some((name, version)) = text.split_once('@') {
            if version.is_empty() {
                return Err(Failure::usage(format!(
                    "{text}: behind @ stands a version, or a requirement such as ^1.2"
                )));
            }
            let select = match version.parse::<Version>() {
                Ok(version) => Select::exact(version),
                // The reason why it is no requirement tells more than the one why it is no version.
                Err(_) => Select::requirement(version.parse::<Requirement>()?),
            };
            return Ok(Self::Of(name.parse()?, select));
        }
        if let Some((name, channel)) = text.split_once(':') {
            if channel.is_empty() {
                return Err(Failure::usage(format!(
                    "{text}: behind : stands the name of a channel, such as stable"
                )));
            }
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
            (_, Some(id)) if is_pre_release(id) => Bump::Pre(id.to_owned()),
            (_, Some(id)) => {
                let reason = "behind pre: stand letters, digits and '-', perhaps between dots, such as rc";
                return Err(Failure::usage(format!("next:pre:{id}: {reason}")));
            }
            _ => {
                let forms = "major, minor, patch, auto or pre:ID";
                return Err(Failure::usage(format!("next:{bump}: behind next: stands {forms}")));
            }
        }))
    }
}

/// Whether a number behind it makes a pre-release of it.
fn is_pre_release(id: &str) -> bool {
    let version = format!("0.0.0-{id}.1").parse::<Version>();
    version.is_ok_and(|version| version.pre_release().len() == id.len().saturating_add(2))
}

/// The name and version of `NAME@VERSION`, which must be one.
pub fn exact(text: &str) -> Result<(Name, Version), Failure> {
    let (name, version) = text
        .split_once('@')
        .ok_or_else(|| Failure::usage(format!("{text}: it is not of the form NAME@VERSION")))?;
    Ok((name.parse()?, version.parse()?))
}

/// A need as it is written, `NAME@REQUIREMENT`.
pub fn need(text: &str) -> Result<(Name, Requirement), Failure> {
    let (name, requirement) = text
        .split_once('@')
        .ok_or_else(|| Failure::usage(format!("{text}: it is not of the form NAME@REQUIREMENT")))?;
    Ok((name.parse()?, requirement.parse()?))
}

/// A label as it is written, `KEY=VALUE`.
pub fn label(text: &str) -> Result<(String, String), Failure> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("{text}: it is not of the form KEY=VALUE")))?;
    Ok((key.to_owned(), value.to_owned()))
}
