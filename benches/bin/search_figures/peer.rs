use std::path::Path;

use rusqlite::{Connection, params};

use crate::Said;

/// What SQLite alone does: one FTS5 table of name, description and tag, with its text kept elsewhere.
pub struct Fts5(Connection);

impl Fts5 {
    pub fn create(path: &Path, said: &[Said]) -> rusqlite::Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.execute_batch(
            "CREATE VIRTUAL TABLE words USING fts5(
                name, description, tags, content = '', tokenize = 'unicode61 remove_diacritics 2'
            )",
        )?;
        let transaction = connection.transaction()?;
        for (number, said) in said.iter().enumerate() {
            transaction
                .prepare_cached("INSERT INTO words(rowid, name, description, tags) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    i64::try_from(number).unwrap_or(0),
                    said.name,
                    said.description,
                    said.tag
                ])?;
        }
        transaction.commit()?;
        Ok(Self(connection))
    }

    /// How many of the best twenty there are.
    pub fn ranked(&self, word: &str) -> usize {
        let sql = "SELECT rowid FROM words WHERE words MATCH ?1 ORDER BY rank LIMIT 20";
        let mut statement = self.0.prepare_cached(sql).expect("a statement");
        let found = statement.query_map([word], |row| row.get::<_, i64>(0)).expect("a query");
        found.filter(Result::is_ok).count()
    }
}
