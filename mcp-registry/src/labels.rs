use std::collections::{BTreeMap, BTreeSet};

use mcp_core::{ArtifactRef, LabelsChanged, Name, Principal, RegistryEvent, Version};

use crate::catalog::{Commit, Marks};
use crate::command::{Command, CommitContext};
use crate::feed::{LabelsBody, Row, RowKind};
use crate::metadata::{check_labels, within};
use crate::request::Request;
use crate::{Metadata, Registry, RegistryError};

/// What becomes of the labels of a version.
///
/// ```
/// use mcp_registry::LabelChange;
///
/// let change = LabelChange::new().set("team", "core").remove("draft");
/// let whole = LabelChange::to([("team", "core")]);
/// # let _ = (change, whole);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a change does nothing until it is given to set_labels"]
pub struct LabelChange {
    /// Whether what is not set goes.
    whole: bool,
    set: BTreeMap<String, String>,
    removed: BTreeSet<String>,
    expected: Option<BTreeMap<String, String>>,
}

impl LabelChange {
    /// Nothing yet: what is neither set nor removed stays.
    pub fn new() -> Self {
        Self::default()
    }

    /// These labels and no others.
    pub fn to<K: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (K, V)>) -> Self {
        let set = labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self { whole: true, set, ..Self::default() }
    }

    /// Gives the label `key` this value, whether or not it had one.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let key = key.into();
        self.removed.remove(&key);
        self.set.insert(key, value.into());
        self
    }

    /// Takes the label `key` away; one that is not there is no error.
    pub fn remove(mut self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.set.remove(&key);
        self.removed.insert(key);
        self
    }

    /// Only if the labels are these, as [`Entry::labels`](crate::Entry::labels) showed them: compare and swap.
    pub fn expecting(mut self, labels: &BTreeMap<String, String>) -> Self {
        self.expected = Some(labels.clone());
        self
    }

    fn apply(&self, current: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut labels = if self.whole { BTreeMap::new() } else { current.clone() };
        labels.retain(|key, _| !self.removed.contains(key));
        labels.extend(self.set.clone());
        labels
    }

    /// The same change has the same text.
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

/// Labels to be changed.
#[derive(Debug)]
pub(crate) struct LabelsCommand {
    artifact: ArtifactRef,
    change: LabelChange,
    max_bytes: u64,
    actor: Principal,
    request: Request,
}

impl Registry {
    /// Changes the labels of a version, yanked or not. Durable when it returns.
    ///
    /// Where the labels are already what they shall be, they stay, whatever was expected, and nothing is recorded. The metadata of the
    /// publish keeps the labels that it was published with, and a repetition of the publish is compared with those.
    ///
    /// # Errors
    /// By kind: `NotFound` when there is no such version; `Conflict` ([`LabelsElsewhere`](RegistryError::LabelsElsewhere)) when the labels
    /// are not those that were expected; `Invalid` for a key that is empty or has control characters; `Exhausted` for more than 256
    /// labels, a key beyond 255 bytes, a value beyond 4 KiB, or more than `max_metadata_bytes` in all; `Unavailable` when the outcome may
    /// be unknown: call again.
    ///
    /// # Cancel safety
    /// A dropped call has changed all or nothing, now or a moment later.
    pub async fn set_labels(
        &self,
        name: &Name,
        version: &Version,
        change: LabelChange,
    ) -> Result<(), RegistryError> {
        check_labels(&change.set)?;
        let artifact = ArtifactRef::new(name.clone(), version.clone());
        let request = self.request(&["set labels", &artifact.to_string(), &change.shown()]);
        let max_bytes = self.settings().max_metadata_bytes;
        let command = LabelsCommand { artifact, change, max_bytes, actor: self.actor().clone(), request };
        self.ask(|reply| Command::SetLabels(command, reply)).await
    }
}

impl LabelsCommand {
    pub(crate) fn apply(
        self,
        commit: &mut Commit<'_>,
        context: &mut CommitContext<'_>,
    ) -> Result<(), RegistryError> {
        if self.request.is_answered(commit)? {
            return Ok(());
        }
        let now = commit.now();
        let hit = now.version(&self.artifact.name, &self.artifact.version)?.ok_or_else(|| {
            RegistryError::not_found(self.artifact.to_string(), "no such version was published")
        })?;
        let publish = now.row(hit.seq)?.row;
        let marks = now.marks(hit.seq)?;
        let current = now.labels(marks, &publish.read_body::<Metadata>()?.labels)?;
        let artifact = ArtifactRef::new(self.artifact.name, publish.version.unwrap_or(self.artifact.version));
        let labels = self.change.apply(&current);
        if labels == current {
            let by = marks.labels.unwrap_or(hit.seq);
            let about = (&artifact.name, Some(&artifact.version));
            return self.request.note(commit, context, &self.actor, about, by);
        }
        if self.change.expected.is_some_and(|expected| expected != current) {
            return Err(RegistryError::LabelsElsewhere { artifact, current });
        }
        check_labels(&labels)?;
        let body = self.request.encode(&LabelsBody { labels: labels.clone(), previous: marks.labels })?;
        within("give these labels", body.len(), self.max_bytes, "max_metadata_bytes")?;
        let row = Row {
            seq: commit.next_seq(),
            kind: RowKind::LabelsChanged,
            at: context.at,
            actor: self.actor.clone(),
            request_id: self.request.id(),
            name: Some(artifact.name.clone()),
            version: Some(artifact.version.clone()),
            content: None,
            body,
        };
        commit.append(&row, None)?;
        commit.set_marks(hit.seq, Marks { labels: Some(row.seq), ..marks })?;
        let event = LabelsChanged::new(artifact.clone(), labels, self.actor);
        context.tell(&artifact, row.seq, RegistryEvent::LabelsChanged(event));
        Ok(())
    }
}
