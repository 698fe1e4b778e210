//! What the benchmarks share: deterministic data, and the bare peers that each figure stands beside.

pub mod figures;
pub mod random;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Bytes that do not compress and never repeat: BLAKE3's output stream over a counter.
#[must_use]
pub fn distinct_bytes(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The JSON Schema that all documents of [`distinct_json`] satisfy.
pub const ORDER_SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["number", "lines"],
    "properties": {
        "number": {"type": "integer", "minimum": 0},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["sku", "quantity"],
                "properties": {
                    "sku": {"type": "string", "minLength": 1, "maxLength": 40},
                    "quantity": {"type": "integer", "minimum": 0, "maximum": 1000}
                },
                "additionalProperties": false
            }
        }
    }
}"#;

/// A JSON document of about `length` bytes, different for each number, that compresses as text does.
#[must_use]
pub fn distinct_json(number: u64, length: usize) -> Vec<u8> {
    let mut text = format!("{{\"number\":{number},\"lines\":[");
    let mut line = 0_u64;
    while text.len() < length.saturating_sub(40) {
        if line > 0 {
            text.push(',');
        }
        text.push_str(&format!(
            "{{\"sku\":\"part-{}\",\"quantity\":{}}}",
            number.wrapping_mul(31).wrapping_add(line),
            line % 7
        ));
        line += 1;
    }
    text.push_str("]}");
    text.into_bytes()
}

/// The bare floor of a durable write: one growing file, one write and one fdatasync each.
#[derive(Debug)]
pub struct BareAppend(File);

impl BareAppend {
    /// A new file in `folder`.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create(folder: &Path) -> io::Result<Self> {
        OpenOptions::new().create(true).append(true).open(folder.join("bare-append")).map(Self)
    }

    /// Appends `bytes` and waits until they are on the disk.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.sync_data()
    }
}

/// The bare floor of a durable transaction: one table in SQLite, write-ahead log, `synchronous=FULL`, one row each.
#[derive(Debug)]
pub struct BareSqlite(Connection);

impl BareSqlite {
    /// A new file in `folder`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn create(folder: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(folder.join("bare.db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch("CREATE TABLE event (position INTEGER PRIMARY KEY, body BLOB NOT NULL)")?;
        Ok(Self(connection))
    }

    /// Adds one row and waits until it is on the disk.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn transaction(&mut self, bytes: &[u8]) -> rusqlite::Result<()> {
        self.0.prepare_cached("INSERT INTO event (body) VALUES (?1)")?.execute([bytes]).map(drop)
    }

    /// Reads every event of the journal in the file at `path` and does nothing with it; how many there are.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn read_all(path: &Path) -> rusqlite::Result<u64> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut query = connection.prepare("SELECT bytes FROM event ORDER BY stream, position")?;
        let mut rows = query.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            std::hint::black_box(row.get_ref(0)?.as_blob()?.len());
            count += 1;
        }
        Ok(count)
    }
}

/// The usual way to keep an artifact: a file of its own, synced, renamed into place, and its folder synced.
///
/// # Errors
/// What the operating system says.
pub fn file_per_artifact(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// A figure of `/proc/self/status` in bytes; 0 where there is no such file.
fn status_bytes(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// The time that all threads of this process were on a processor, to a hundredth of a second: what a busy machine does not lengthen. `None`
/// where there is no `/proc`.
#[must_use]
pub fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name of the program, which may hold blanks: the fields 14 and 15, in ticks of a hundredth of a second.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// How much memory of this process is resident, in bytes; 0 where there is no `/proc`.
#[must_use]
pub fn resident_bytes() -> u64 {
    status_bytes("VmRSS")
}

/// The most that [`resident_bytes`] ever was.
#[must_use]
pub fn peak_bytes() -> u64 {
    status_bytes("VmHWM")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_two_numbers_differs_and_of_one_number_is_the_same() {
        assert_eq!(distinct_bytes(1, 100), distinct_bytes(1, 100));
        assert_ne!(distinct_bytes(1, 100), distinct_bytes(2, 100));
        assert_ne!(distinct_json(1, 1024), distinct_json(2, 1024));
        let length = distinct_json(1, 1024).len();
        assert!((980..=1060).contains(&length), "{length}");
    }
}
