//! A `.crate` file: a gzip-compressed tar archive, of which the manifest is wanted.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Map, Value};

/// The largest manifest that is read, in bytes. The largest on crates.io are some hundred thousand.
const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;
/// How much an archive may unpack to, in bytes: a small file can claim to hold terabytes.
const MAX_UNPACKED_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// How long a reason is, in characters.
const MAX_REASON_CHARS: usize = 160;

/// Why an archive gave no manifest, in one line.
#[derive(Debug)]
pub struct Unreadable(String);

impl Unreadable {
    /// `cause` may repeat what stands in the archive; only its beginning is kept.
    fn because(what: &str, cause: &dyn fmt::Display) -> Self {
        let text = format!("{what}: {cause}");
        let kept: String = text.chars().take(MAX_REASON_CHARS).collect();
        Self(if kept.len() < text.len() { kept + "…" } else { kept })
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was read out of one archive.
#[derive(Debug)]
pub struct Archive {
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// Its `Cargo.toml`, as JSON.
    pub manifest: Value,
}

impl Archive {
    /// Reads the file at `path` to its end, so that a truncated one is noticed wherever its manifest stands.
    pub fn read(path: &Path) -> Result<Self, Unreadable> {
        let open = |error: io::Error| Unreadable::because("open it", &error);
        let file = File::open(path).map_err(open)?;
        let bytes = file.metadata().map_err(open)?.len();
        let text = manifest_text(BufReader::new(file))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Unreadable::because("read Cargo.toml as TOML", &error.message())
        })?;
        Ok(Self { bytes, manifest: Value::Object(json_of(table)) })
    }
}

/// The text of `NAME-VERSION/Cargo.toml`.
fn manifest_text(file: impl Read) -> Result<String, Unreadable> {
    let unpack = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Unreadable::because("unpack it: the file ends too early", &error),
        _ => Unreadable::because("unpack it", &error),
    };
    let mut archive = tar::Archive::new(GzDecoder::new(file).take(MAX_UNPACKED_BYTES));
    let mut manifest = None;
    for entry in archive.entries().map_err(unpack)? {
        let entry = entry.map_err(unpack)?;
        let is_manifest = {
            let path = entry.path().map_err(unpack)?;
            path.components().count() == 2 && path.file_name().is_some_and(|name| name == "Cargo.toml")
        };
        if is_manifest && manifest.is_none() {
            if entry.size() > MAX_MANIFEST_BYTES {
                let size = format!("it has {} bytes, at most {MAX_MANIFEST_BYTES} are read", entry.size());
                return Err(Unreadable::because("read Cargo.toml", &size));
            }
            let mut text = String::new();
            entry.take(MAX_MANIFEST_BYTES).read_to_string(&mut text).map_err(unpack)?;
            manifest = Some(text);
        }
    }
    // Whatever follows the last entry is read too: there stands the checksum that tells a damaged file.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(unpack)?;
    if rest.limit() == 0 {
        return Err(Unreadable::because(
            "unpack it",
            &format!("it holds more than {MAX_UNPACKED_BYTES} bytes"),
        ));
    }
    manifest.ok_or_else(|| Unreadable("it holds no Cargo.toml".to_owned()))
}

/// The same data as JSON. TOML's dates become text, and so do its infinities, which JSON does not have.
fn json_of(table: toml::Table) -> Map<String, Value> {
    fn json(value: toml::Value) -> Value {
        match value {
            toml::Value::String(text) => Value::String(text),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => {
                serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
            }
            toml::Value::Boolean(yes) => yes.into(),
            toml::Value::Datetime(date) => date.to_string().into(),
            toml::Value::Array(items) => items.into_iter().map(json).collect(),
            toml::Value::Table(table) => Value::Object(json_of(table)),
        }
    }
    table.into_iter().map(|(key, item)| (key, json(item))).collect()
}
