//! Text search: one document for each name, in an index that follows the change feed.

mod cursor;
mod facets;
mod filter;
mod find;
mod follow;
mod index;
mod terms;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mcp_core::{Digest, Name, Requirement, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::{Metadata, Registry, RegistryError};
use cursor::Cursor;
use filter::Filters;
pub(crate) use follow::SearchIndex;
use words::Query;

/// The most hits of one page.
const MAX_HITS: usize = 1000;

/// What to search for: a text, filters, an order, and a page.
///
/// ```
/// use mcp_registry::{Search, Sort};
///
/// let search = Search::text("invoice \"line items\"").tag("billing").version("^1.2".parse()?).sort(Sort::Newest).limit(50);
/// # Ok::<(), mcp_core::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Search {
    text: String,
    filters: Filters,
    sort: Sort,
    limit: usize,
    facets: bool,
    after: Option<String>,
}

/// The order of hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Sort {
    /// The name that is the text, then names that begin with it, by name; then what ranks by its words.
    #[default]
    Relevance,
    /// By name.
    Name,
    /// The name whose last live version was published last comes first.
    Newest,
    /// The other way round.
    Oldest,
}

impl Search {
    /// Names, and words of descriptions, tags and authors. Any text is a query; an empty one finds every name.
    ///
    /// All words must occur, each in any of them, the last one perhaps unfinished, as every word with `*` behind it. Words between
    /// quotation marks must follow one another. Words are letters and digits; everything else parts them. Case and accents do not count
    /// (canonical decomposition without U+0300 to U+036F). Words beyond the 16th of a query do not count, nor characters beyond the 64th
    /// of a word, nor words beyond the 1,024th of a description, of all tags, or of all authors.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            filters: Filters::default(),
            sort: Sort::Relevance,
            limit: 20,
            facets: false,
            after: None,
        }
    }

    /// Only names of which one version that is not yanked has this media type. All filters must hold for one and the same version.
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.filters.media_type = Some(media_type.into());
        self
    }

    /// Only with this tag; given several times, with all of them.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.filters.tags.insert(tag.into());
        self
    }

    /// Only by this author; given several times, by all of them.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.filters.authors.insert(author.into());
        self
    }

    /// Only with this label, as it is now; given several times, with all of them.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.filters.labels.insert(key.into(), value.into());
        self
    }

    /// Only with a version that satisfies this.
    pub fn version(mut self, requirement: Requirement) -> Self {
        self.filters.requirement = Some(requirement);
        self
    }

    /// Only with a version published then or later.
    pub fn since(mut self, since: Timestamp) -> Self {
        self.filters.since = Some(since);
        self
    }

    /// Only with a version published before.
    pub fn until(mut self, until: Timestamp) -> Self {
        self.filters.until = Some(until);
        self
    }

    /// Only with a version at which this channel points.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.filters.channel = Some(channel.into());
        self
    }

    /// In this order; by relevance unless said otherwise.
    pub const fn sort(mut self, sort: Sort) -> Self {
        self.sort = sort;
        self
    }

    /// At most so many hits in a page, 20 by default, 1 to 1,000.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = match limit {
            0 => 1,
            limit if limit < MAX_HITS => limit,
            _ => MAX_HITS,
        };
        self
    }

    /// Counts media types, tags and authors too, in [`Hits::facets`].
    pub const fn facets(mut self) -> Self {
        self.facets = true;
        self
    }

    /// The page behind the one that gave this cursor as [`Hits::next`], for the same text, filters and order.
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.after = Some(cursor.into());
        self
    }

    /// The same for the pages of one search only.
    fn fingerprint(&self) -> u64 {
        let Filters { media_type, tags, authors, labels, requirement, since, until, channel } = &self.filters;
        let requirement = requirement.as_ref().map(ToString::to_string);
        let times = [since, until].map(|time| time.map(|time| time.as_micros()));
        let parts = (&self.text, self.sort, media_type, tags, authors, labels, requirement, times, channel);
        let text = serde_json::to_vec(&parts).unwrap_or_default();
        Digest::of(&text).as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }
}

impl From<&str> for Search {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

/// One name that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit {
    /// The name.
    pub name: Name,
    /// Its highest release that is not yanked, or where there is none its highest pre-release.
    pub version: Version,
    /// The description of that version; empty also where its row in the catalog cannot be read, which
    /// [`verify`](Registry::verify) reports.
    pub description: String,
}

/// One page of hits, and what is known of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hits {
    /// The hits of this page, in order.
    pub hits: Vec<Hit>,
    /// How many names were found, on all pages together.
    pub total: u64,
    /// Counts over all that was found, if [asked for](Search::facets).
    pub facets: Option<Facets>,
    /// What [`Search::after`] wants for the next page; `None` on the last one. Text that can be kept, and used after a restart.
    pub next: Option<String>,
}

/// How many of the names that were found have a version with each value, of those versions that the filters admit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Facets {
    /// Media types and their counts, the greatest first, at most 100.
    pub media_types: Vec<(String, u64)>,
    /// Tags likewise.
    pub tags: Vec<(String, u64)>,
    /// Authors likewise.
    pub authors: Vec<(String, u64)>,
    /// `false`: there were more than 1,000,000 versions, and the counts are of the first ones only.
    pub exact: bool,
}

impl Hits {
    /// The hits of this page, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Hit> {
        self.hits.iter()
    }

    /// How many hits this page has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hits.len()
    }

    /// Whether this page has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }
}

impl IntoIterator for Hits {
    type Item = Hit;
    type IntoIter = std::vec::IntoIter<Hit>;

    fn into_iter(self) -> Self::IntoIter {
        self.hits.into_iter()
    }
}

impl<'a> IntoIterator for &'a Hits {
    type Item = &'a Hit;
    type IntoIter = std::slice::Iter<'a, Hit>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A hit before its description is read.
#[derive(Debug)]
struct Found {
    name: Name,
    version: Version,
    seq: u64,
}

/// Set when the caller has gone away.
struct Abandoning(Arc<AtomicBool>);

impl Drop for Abandoning {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Registry {
    /// Searches the latest metadata of each name. Names all of whose versions are yanked are not found.
    ///
    /// Every name in which the rarest word occurs is looked at and ranked (BM25, a word counting most in the name, then in tags, in the
    /// description, in authors), so the order is exact and the time grows with those names: `benches/README.md` has figures.
    ///
    /// The index lies in memory and follows the change feed. The first search of an opening makes it, each further one first catches
    /// up: so a search finds everything that was acknowledged before it. Searches run side by side.
    ///
    /// All pages of a search are about the state at its first page, whatever is published, yanked or moved meanwhile: together they are
    /// what one page without a limit would have been. Only descriptions that cannot be read any more may be missing.
    ///
    /// # Errors
    /// `Invalid` for a cursor that is none, or of another search; `Corrupt` or `Unavailable` when the catalog cannot be read.
    ///
    /// # Cancel safety
    /// A dropped call stops searching some thousand names or rows later.
    pub async fn search(&self, search: impl Into<Search>) -> Result<Hits, RegistryError> {
        let (search, began) = (search.into(), self.clock().monotonic());
        let (index, readers) = (self.search_index().clone(), self.readers().clone());
        let abandoning = Abandoning(Arc::default());
        let abandoned = Arc::clone(&abandoning.0);
        let found = tokio::task::spawn_blocking(move || {
            let cursor = search.after.as_deref().map(Cursor::decode).transpose()?;
            let query = Query::read(&search.text);
            let index = index.current(&abandoned)?;
            if let Some(cursor) = &cursor {
                check(cursor, &search, index.position)?;
            }
            let page = index.find(&search, &query, cursor.as_ref(), &abandoned)?;
            drop(index);
            let hits = readers.read_here(|now| {
                let hit = |found: Found| {
                    let row = now.feed_at(found.seq);
                    let metadata = row.and_then(|row| serde_json::from_str::<Metadata>(&row.body).ok());
                    let description = metadata.map(|metadata| metadata.description).unwrap_or_default();
                    Hit { name: found.name, version: found.version, description }
                };
                Ok(page.hits.into_iter().map(hit).collect())
            })?;
            let next = page.next.map(|cursor| cursor.encode());
            Ok(Hits { hits, total: page.total, facets: page.facets, next })
        });
        let found = found.await.map_err(|_| RegistryError::Closed)?;
        self.counters().search_took(self.clock().monotonic().saturating_sub(began));
        found
    }
}

/// A cursor belongs to one search, and to a state that the registry has had.
fn check(cursor: &Cursor, search: &Search, position: u64) -> Result<(), RegistryError> {
    let query = Query::read(&search.text);
    let reason = if cursor.search != search.fingerprint()
        || cursor.statistics.occurrences.len() != query.phrases.len()
    {
        "its cursor is of another search; repeat text, filters and order as they were"
    } else if cursor.at > position {
        "its cursor is of a later state than the registry's; begin again without"
    } else {
        return Ok(());
    };
    Err(RegistryError::Invalid { what: "go on with a search".to_owned(), reason: reason.to_owned() })
}
