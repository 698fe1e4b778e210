use std::fmt;
use std::sync::Arc;

use mcp_core::{Artifact, Digest, Digester};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::PromotionError;

/// A set of artifacts that goes into a stage together, known by the digest of the set.
///
/// Two releases of the same artifacts are the same release, in whatever order they were named. Serialised, it is the list of its
/// artifacts.
///
/// ```
/// use mcp_core::Digest;
/// use mcp_promotion::Release;
///
/// let (a, b) = (("app@1.2.0", Digest::of(b"app")), ("worker@2.0.0", Digest::of(b"worker")));
/// assert_eq!(Release::of([a, b])?.digest(), Release::of([b, a])?.digest());
/// # Ok::<(), mcp_promotion::PromotionError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Release {
    artifacts: Arc<[Artifact]>,
    digest: Digest,
}

impl Release {
    /// The most artifacts that one release holds.
    pub const MAX_ARTIFACTS: usize = 10_000;

    /// A release of these artifacts, such as `[("app@1.2.0", digest)]`.
    ///
    /// # Errors
    /// `Invalid`: none at all, a name twice, more than [`MAX_ARTIFACTS`](Self::MAX_ARTIFACTS), or text that is no artifact reference.
    pub fn of<A>(artifacts: impl IntoIterator<Item = A>) -> Result<Self, PromotionError>
    where
        A: TryInto<Artifact, Error: Into<PromotionError>>,
    {
        let mut set = Vec::new();
        for artifact in artifacts.into_iter().take(Self::MAX_ARTIFACTS.saturating_add(1)) {
            set.push(artifact.try_into().map_err(Into::into)?);
        }
        Self::from_artifacts(set).map_err(|reason| PromotionError::Release { reason })
    }

    /// The release of no artifacts: a stage that is told to run it removes what it runs. It cannot be requested.
    #[must_use]
    pub fn empty() -> Self {
        Self::sorted(Vec::new())
    }

    fn from_artifacts(mut set: Vec<Artifact>) -> Result<Self, String> {
        if set.is_empty() {
            return Err("it has no artifacts".to_owned());
        }
        if set.len() > Self::MAX_ARTIFACTS {
            return Err(format!("it has more than {} artifacts", Self::MAX_ARTIFACTS));
        }
        set.sort();
        for (one, other) in set.iter().zip(set.iter().skip(1)) {
            if one.reference.name == other.reference.name {
                return Err(format!(
                    "{} stands in it twice, as {} and as {}",
                    one.reference.name, one.reference.version, other.reference.version
                ));
            }
        }
        Ok(Self::sorted(set))
    }

    fn sorted(set: Vec<Artifact>) -> Self {
        let mut digester = Digester::new();
        digester.update(b"mcp release 1\n");
        for artifact in &set {
            digester.update(artifact.to_string().as_bytes()).update(b"\n");
        }
        Self { artifacts: set.into(), digest: digester.digest() }
    }

    /// What it consists of, sorted, each name once.
    #[must_use]
    pub fn artifacts(&self) -> &[Artifact] {
        &self.artifacts
    }

    /// What identifies it.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it is [`empty`](Self::empty).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.artifacts.is_empty()
    }
}

impl fmt::Display for Release {
    /// Its references, such as `app@1.2.0, worker@2.0.0`; beyond three, how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        for (place, artifact) in self.artifacts.iter().take(3).enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{}", artifact.reference)?;
        }
        match self.artifacts.len().saturating_sub(3) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Release({self}; {})", self.digest)
    }
}

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.artifacts.iter())
    }
}

impl<'de> Deserialize<'de> for Release {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let set = Vec::<Artifact>::deserialize(deserializer)?;
        Self::from_artifacts(set).map_err(|reason| serde::de::Error::custom(format!("release: {reason}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    #[test]
    fn one_changed_byte_anywhere_gives_another_digest() {
        let base = Release::of([("app@1.2.0", digest("a"))]).unwrap().digest();
        for (reference, bytes) in [("app@1.2.1", "a"), ("apq@1.2.0", "a"), ("app@1.2.0", "b")] {
            assert_ne!(Release::of([(reference, digest(bytes))]).unwrap().digest(), base);
        }
        assert_ne!(Release::empty().digest(), base);
    }

    #[test]
    fn nothing_twice_and_too_much_are_refused() {
        let none: [(&str, Digest); 0] = [];
        assert_eq!(Release::of(none).unwrap_err().to_string(), "make a release: it has no artifacts");
        let twice = Release::of([("app@1.0.0", digest("a")), ("app@1.1.0", digest("b"))]).unwrap_err();
        assert_eq!(twice.to_string(), "make a release: app stands in it twice, as 1.0.0 and as 1.1.0");
        let reference = Artifact::try_from(("app@1.0.0", digest("a"))).unwrap();
        let many = std::iter::repeat_n(reference, 100_000_000);
        assert_eq!(
            Release::of(many).unwrap_err().to_string(),
            "make a release: it has more than 10000 artifacts"
        );
    }

    #[test]
    fn a_release_survives_json_and_a_doctored_one_is_refused() {
        let release = Release::of([("b@1.0.0", digest("b")), ("a@1.0.0", digest("a"))]).unwrap();
        let json = serde_json::to_string(&release).unwrap();
        assert_eq!(serde_json::from_str::<Release>(&json).unwrap(), release);
        assert_eq!(
            serde_json::from_str::<Release>("[]").unwrap_err().to_string(),
            "release: it has no artifacts"
        );
    }
}
