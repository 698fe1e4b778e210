use std::collections::{BTreeMap, BTreeSet};

use mcp_core::{Requirement, Timestamp};

use super::facets::Counting;
use super::index::{Document, Index, Publish, label};
use super::terms::Numbered;

/// What one live version of a name must be for the name to be found: all of it together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    pub(super) media_type: Option<String>,
    pub(super) tags: BTreeSet<String>,
    pub(super) authors: BTreeSet<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) requirement: Option<Requirement>,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) channel: Option<String>,
}

/// The filters as numbers of the index.
pub(super) struct Filter {
    media_type: Option<u32>,
    tags: Vec<u32>,
    authors: Vec<u32>,
    labels: Vec<u32>,
    since: Option<i64>,
    until: Option<i64>,
    channel: Option<u32>,
    requirement: Option<Requirement>,
    /// Which versions the requirement admits, as far as asked: many names have the same ones.
    admitted: BTreeMap<u32, bool>,
    none: bool,
}

impl Filter {
    /// `None`: there is a value that no version has.
    pub(super) fn new(index: &Index, filters: &Filters) -> Option<Self> {
        let all = |values: &BTreeSet<String>| {
            values.iter().map(|value| index.values.find(value.as_str())).collect::<Option<Vec<_>>>()
        };
        let one = |value: &Option<String>| match value {
            None => Some(None),
            Some(value) => index.values.find(value.as_str()).map(Some),
        };
        Some(Self {
            media_type: one(&filters.media_type)?,
            tags: all(&filters.tags)?,
            authors: all(&filters.authors)?,
            labels: all(&filters.labels.iter().map(|(key, value)| label(key, value)).collect())?,
            since: filters.since.map(Timestamp::as_micros),
            until: filters.until.map(Timestamp::as_micros),
            channel: one(&filters.channel)?,
            requirement: filters.requirement.clone(),
            admitted: BTreeMap::new(),
            none: *filters == Filters::default(),
        })
    }

    /// Whether any version of `document` that is live at `at` is admitted; all that are, are counted.
    pub(super) fn admits(
        &mut self,
        index: &Index,
        document: &Document,
        at: u64,
        counting: Option<&mut Counting>,
    ) -> bool {
        if self.none && counting.is_none() {
            return true;
        }
        let only = self.channel.map(|channel| index.channel_at(document, channel, at));
        let mut admitted = index.live(document, at).filter(|(number, publish)| {
            let labels = || index.labels_at(document, *number, at);
            only.is_none_or(|only| only == *number)
                && (self.labels.is_empty() || self.labels.iter().all(|label| labels().contains(label)))
                && self.admits_version(index, publish)
        });
        match counting {
            None => admitted.next().is_some(),
            Some(counting) => counting.count(index, admitted.map(|(_, publish)| publish.text)),
        }
    }

    fn admits_version(&mut self, index: &Index, publish: &Publish) -> bool {
        if self.since.is_some_and(|since| publish.at < since)
            || self.until.is_some_and(|until| publish.at >= until)
        {
            return false;
        }
        if self.media_type.is_some() || !self.tags.is_empty() || !self.authors.is_empty() {
            let facts = index.facts_of(publish.text);
            let said = self.media_type.is_none_or(|wanted| wanted == facts.media_type)
                && self.tags.iter().all(|tag| facts.tags.contains(tag))
                && self.authors.iter().all(|author| facts.authors.contains(author));
            if !said {
                return false;
            }
        }
        let Some(requirement) = &self.requirement else { return true };
        let matches = |versions: &Numbered<mcp_core::Version>| {
            versions.value(publish.version).is_some_and(|version| requirement.matches(version))
        };
        *self.admitted.entry(publish.version).or_insert_with(|| matches(&index.versions))
    }
}
