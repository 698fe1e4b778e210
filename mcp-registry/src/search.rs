use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mcp_core::{Digest, ErrorKind, Name, Version};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::catalog::{Class, Readers, Snapshot, failed};
use crate::feed::RowKind;
use crate::{Registry, RegistryError};

/// The most hits of one search.
const MAX_HITS: usize = 1000;
/// The most words of a query that count.
const MAX_WORDS: usize = 16;
/// How many rows of the change feed one step of catching up takes.
const STEP_ROWS: usize = 1000;

/// What to search for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Search {
    text: String,
    limit: usize,
}

impl Search {
    /// Names, and words of descriptions, tags and authors. Any text is a query; punctuation only parts words. All words must occur, the last
    /// one perhaps unfinished; words beyond the 16th do not count.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), limit: 20 }
    }

    /// At most so many hits, 20 by default, never more than 1,000.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = if limit < MAX_HITS { limit } else { MAX_HITS };
        self
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
    /// The description of that version.
    pub description: String,
}

impl Registry {
    /// Searches the latest metadata of each name: first the name that is the text, then names that begin with it, then what ranks by the
    /// words (BM25, the name counting most). Names all of whose versions are yanked are not found.
    ///
    /// The index follows the change feed, and catches up before each search: so a search finds everything that was acknowledged before it.
    ///
    /// # Errors
    /// `Corrupt` or `Unavailable` when the catalog cannot be read.
    pub async fn search(&self, search: impl Into<Search>) -> Result<Vec<Hit>, RegistryError> {
        let search = search.into();
        let (index, readers) = (self.search_index().clone(), self.readers().clone());
        let found = tokio::task::spawn_blocking(move || index.search(&readers, &search));
        found.await.map_err(|_| RegistryError::Closed)?
    }
}

/// The text index: one document for each name, derived from the change feed, and made anew whenever it does not fit.
#[derive(Clone)]
pub(crate) struct SearchIndex(Arc<Index>);

struct Index {
    /// `None`: in memory.
    file: Option<PathBuf>,
    connection: Mutex<Option<Connection>>,
}

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS watermark(seq INTEGER NOT NULL, chain BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS doc(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, text BLOB NOT NULL) STRICT;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    name, description, tags, authors, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
";

impl SearchIndex {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self(Arc::new(Index { file, connection: Mutex::default() }))
    }

    fn search(&self, readers: &Readers, search: &Search) -> Result<Vec<Hit>, RegistryError> {
        let mut slot = self.0.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = slot.take().map_or_else(|| self.0.open(), Ok)?;
        let names = match catch_up(&mut connection, readers).and_then(|()| matching(&connection, search)) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                // All of it can be made again; if the fault is the catalog's, it comes back.
                drop(connection);
                self.0.remove()?;
                connection = self.0.open()?;
                catch_up(&mut connection, readers)?;
                matching(&connection, search)?
            }
            other => other?,
        };
        *slot = Some(connection);
        drop(slot);
        readers.read_here(|now| {
            let hits =
                names.into_iter().map(|name| Ok(latest(now, &name)?.map(|document| document.hit(name))));
            hits.filter_map(Result::transpose).collect()
        })
    }
}

impl Index {
    fn open(&self) -> Result<Connection, RegistryError> {
        match self.file.as_deref().map(open_file) {
            None => prepared(Connection::open_in_memory()),
            Some(Err(error)) if error.kind() == ErrorKind::Corrupt => {
                self.remove()?;
                self.file.as_deref().map_or_else(|| prepared(Connection::open_in_memory()), open_file)
            }
            Some(opened) => opened,
        }
    }

    fn remove(&self) -> Result<(), RegistryError> {
        let Some(file) = &self.file else { return Ok(()) };
        for ending in ["", "-wal", "-shm"] {
            let mut path = file.clone().into_os_string();
            path.push(ending);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let what = "removing a damaged search index".to_owned();
                    let source = crate::storage::local::storage_error(what.clone(), error);
                    return Err(RegistryError::Storage { what, source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn open_file(file: &Path) -> Result<Connection, RegistryError> {
    prepared(Connection::open(file))
}

fn prepared(opened: rusqlite::Result<Connection>) -> Result<Connection, RegistryError> {
    let fail = |error| failed("open the search index", error);
    let connection = opened.map_err(fail)?;
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;")
        .map_err(fail)?;
    connection.execute_batch(TABLES).map_err(fail)?;
    Ok(connection)
}

/// What is searched of one name.
struct Document {
    version: Version,
    description: String,
    tags: String,
    authors: String,
}

impl Document {
    /// Tells whether the words have changed.
    fn digest(&self) -> Digest {
        let parts = [&self.description, &self.tags, &self.authors];
        Digest::of(parts.map(|part| format!("{}:{part}", part.len())).concat().as_bytes())
    }

    fn hit(self, name: Name) -> Hit {
        Hit { name, version: self.version, description: self.description }
    }
}

fn latest(now: &Snapshot<'_>, name: &Name) -> Result<Option<Document>, RegistryError> {
    let hit = match now.highest(name, Class::Release, None)? {
        None => now.highest(name, Class::PreRelease, None)?,
        release => release,
    };
    let Some(hit) = hit else { return Ok(None) };
    let (entry, _) = now.entry(hit)?;
    Ok(Some(Document {
        version: entry.artifact.version,
        description: entry.metadata.description,
        tags: entry.metadata.tags.into_iter().collect::<Vec<_>>().join(" "),
        authors: entry.metadata.authors.join(" "),
    }))
}

/// Brings the index to the end of the change feed.
fn catch_up(index: &mut Connection, readers: &Readers) -> Result<(), RegistryError> {
    let fail = |error| failed("read how far the search index is", error);
    let watermark = index
        .query_row("SELECT seq, chain FROM watermark", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))
        })
        .optional()
        .map_err(fail)?;
    let mut after = match watermark {
        None => 0,
        Some((seq, chain)) => {
            let seq = u64::try_from(seq).unwrap_or(0);
            let known = readers.read_here(|now| now.row(seq));
            // Another catalog, or an earlier state of this one, was put into the folder.
            if known.map_or(true, |row| *row.chain.as_bytes() != chain) {
                clear(index)?;
                0
            } else {
                seq
            }
        }
    };
    loop {
        let rows = readers.read_here(|now| now.rows(after, STEP_ROWS))?;
        let mut changed = BTreeSet::new();
        let mut end = None;
        for stored in rows {
            // A row that cannot be read is verify's to report.
            let Ok(stored) = stored else { continue };
            if let (RowKind::Published | RowKind::Yanked | RowKind::Unyanked, Some(name)) =
                (stored.row.kind, stored.row.name)
            {
                changed.insert(name);
            }
            end = Some((stored.row.seq, stored.chain));
        }
        let Some((seq, chain)) = end else { return Ok(()) };
        let documents = readers.read_here(|now| {
            changed
                .into_iter()
                .map(|name| Ok((latest(now, &name)?, name)))
                .collect::<Result<Vec<_>, RegistryError>>()
        })?;
        update(index, &documents, seq, &chain).map_err(|error| failed("update the search index", error))?;
        after = seq;
    }
}

fn clear(index: &Connection) -> Result<(), RegistryError> {
    index
        .execute_batch("BEGIN; DROP TABLE watermark; DROP TABLE doc; DROP TABLE words; COMMIT;")
        .and_then(|()| index.execute_batch(TABLES))
        .map_err(|error| failed("clear the search index", error))
}

/// Documents and watermark in one transaction: after a crash they still agree.
fn update(
    index: &mut Connection,
    documents: &[(Option<Document>, Name)],
    seq: u64,
    chain: &Digest,
) -> rusqlite::Result<()> {
    let transaction = index.transaction()?;
    for (document, name) in documents {
        let known = transaction
            .prepare_cached("SELECT id, text FROM doc WHERE name = ?1")?
            .query_row([name.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?)))
            .optional()?;
        let digest = document.as_ref().map(Document::digest);
        // A further version with the same words costs nothing.
        if known.map(|(_, text)| text) == digest.map(|digest| *digest.as_bytes()) {
            continue;
        }
        if let Some((id, _)) = known {
            transaction.prepare_cached("DELETE FROM words WHERE rowid = ?1")?.execute([id])?;
            transaction.prepare_cached("DELETE FROM doc WHERE id = ?1")?.execute([id])?;
        }
        let (Some(document), Some(digest)) = (document, digest) else { continue };
        transaction
            .prepare_cached("INSERT INTO doc(name, text) VALUES (?1, ?2)")?
            .execute(params![name.as_str(), digest.as_bytes()])?;
        let id = transaction.last_insert_rowid();
        transaction
            .prepare_cached(
                "INSERT INTO words(rowid, name, description, tags, authors) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![id, name.as_str(), document.description, document.tags, document.authors])?;
    }
    transaction.execute("DELETE FROM watermark", [])?;
    transaction.execute(
        "INSERT INTO watermark VALUES (?1, ?2)",
        params![i64::try_from(seq).unwrap_or(i64::MAX), chain.as_bytes()],
    )?;
    transaction.commit()
}

/// Names that match, best first.
fn matching(index: &Connection, search: &Search) -> Result<Vec<Name>, RegistryError> {
    let fail = |error| failed("search", error);
    let mut names: Vec<String> = Vec::new();
    let text = search.text.trim().to_lowercase();
    if text.parse::<Name>().is_ok() {
        // The name itself sorts before all that it begins.
        let mut statement = index
            .prepare_cached("SELECT name FROM doc WHERE name >= ?1 AND name < ?2 ORDER BY name LIMIT ?3")
            .map_err(fail)?;
        let end = format!("{text}\u{7f}");
        let found = statement
            .query_map(params![text, end, limit_of(search.limit)], |row| row.get(0))
            .map_err(fail)?;
        names = found.collect::<Result<_, _>>().map_err(fail)?;
    }
    if let Some(query) = words_query(&text) {
        let mut statement = index
            .prepare_cached(
                "SELECT doc.name FROM words JOIN doc ON doc.id = words.rowid WHERE words MATCH ?1 \
                 ORDER BY bm25(words, 8.0, 2.0, 4.0, 1.0), doc.name LIMIT ?2",
            )
            .map_err(fail)?;
        // Those found by name may come again.
        let limit = search.limit.saturating_add(names.len());
        let found = statement
            .query_map(params![query, limit_of(limit)], |row| row.get::<_, String>(0))
            .map_err(fail)?;
        let known: BTreeSet<String> = names.iter().cloned().collect();
        for name in found {
            let name = name.map_err(fail)?;
            if !known.contains(&name) {
                names.push(name);
            }
        }
    }
    names.truncate(search.limit);
    names.into_iter().map(|name| Ok(name.parse()?)).collect()
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The words as quoted strings of FTS5, so that nothing in them is syntax; `None` when there are none.
fn words_query(text: &str) -> Option<String> {
    // An accent that stands apart from its letter parts no words.
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '\u{300}'..='\u{36f}');
    let words = text.split(|c: char| !in_word(c)).filter(|word| !word.is_empty());
    let quoted: Vec<String> = words.take(MAX_WORDS).map(|word| format!("\"{word}\"")).collect();
    if quoted.is_empty() { None } else { Some(format!("{}*", quoted.join(" AND "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_holds_words_only() {
        assert_eq!(
            words_query("a-b \"c\" OR d*"),
            Some("\"a\" AND \"b\" AND \"c\" AND \"OR\" AND \"d\"*".to_owned())
        );
        assert_eq!(words_query("'; -- \0 (*) ^"), None);
        assert_eq!(words_query(&"x ".repeat(100)).expect("words").matches("\"x\"").count(), MAX_WORDS);
    }
}
