//! What the benchmarks share: deterministic data, and the bare peers that each figure stands beside.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Bytes that do not compress and never repeat: BLAKE3's output stream over a counter.
#[must_use]
pub fn distinct_bytes(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

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
