use super::Facets;
use super::index::Index;

/// So many versions are looked at for facets; what comes behind is not counted.
const MAX_VERSIONS: u64 = 1_000_000;
/// So many values are given, those that most names have.
const MAX_VALUES: usize = 100;

/// Counts names by the values of those versions that a search admits.
pub(super) struct Counting {
    media_types: Vec<u32>,
    tags: Vec<u32>,
    authors: Vec<u32>,
    versions: u64,
    /// Of one name.
    texts: Vec<u32>,
    seen: [Vec<u32>; 3],
}

impl Counting {
    pub(super) fn new(index: &Index) -> Self {
        let none = vec![0; index.values.values().len()];
        Self {
            media_types: none.clone(),
            tags: none.clone(),
            authors: none,
            versions: 0,
            texts: Vec::new(),
            seen: Default::default(),
        }
    }

    /// Counts one name by the texts of its versions, each value once; tells whether there was a version.
    pub(super) fn count(&mut self, index: &Index, mut texts: impl Iterator<Item = u32>) -> bool {
        let Some(first) = texts.next() else { return false };
        if self.versions >= MAX_VERSIONS {
            self.versions = self.versions.saturating_add(1);
            return true;
        }
        self.texts.clear();
        self.texts.push(first);
        self.texts.extend(texts);
        self.versions = self.versions.saturating_add(self.texts.len() as u64);
        self.texts.sort_unstable();
        self.texts.dedup();
        let counts = [&mut self.media_types, &mut self.tags, &mut self.authors];
        if let [text] = *self.texts.as_slice() {
            let facts = index.facts_of(text);
            for (values, counts) in
                [&[facts.media_type][..], facts.tags, facts.authors].into_iter().zip(counts)
            {
                values.iter().for_each(|value| add(counts, *value));
            }
            return true;
        }
        let Self { texts, seen, .. } = self;
        let [media_types, tags, authors] = seen;
        for text in texts.iter() {
            let facts = index.facts_of(*text);
            media_types.push(facts.media_type);
            tags.extend_from_slice(facts.tags);
            authors.extend_from_slice(facts.authors);
        }
        let counts = [&mut self.media_types, &mut self.tags, &mut self.authors];
        for (seen, counts) in self.seen.iter_mut().zip(counts) {
            seen.sort_unstable();
            seen.dedup();
            for value in seen.drain(..) {
                add(counts, value);
            }
        }
        true
    }

    pub(super) fn finish(self, index: &Index) -> Facets {
        let values = |counts: Vec<u32>| {
            let counted = index.values.values().iter().zip(counts).filter(|(_, count)| *count > 0);
            let mut values: Vec<(String, u64)> =
                counted.map(|(value, count)| (value.to_string(), u64::from(count))).collect();
            values.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
            values.truncate(MAX_VALUES);
            values
        };
        Facets {
            media_types: values(self.media_types),
            tags: values(self.tags),
            authors: values(self.authors),
            exact: self.versions <= MAX_VERSIONS,
        }
    }
}

fn add(counts: &mut [u32], value: u32) {
    if let Some(count) = counts.get_mut(value as usize) {
        *count = count.saturating_add(1);
    }
}
