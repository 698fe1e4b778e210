//! What the program needs to know of a crate's manifest.

use serde_json::Value;

/// A `Cargo.toml` as JSON. Nothing is taken for granted: every question may have no answer.
#[derive(Clone, Copy, Debug)]
pub struct Manifest<'a>(pub &'a Value);

impl<'a> Manifest<'a> {
    /// A text below `[package]`; empty text counts as none.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.0.get("package")?.get(key)?.as_str().filter(|text| !text.trim().is_empty())
    }

    /// A list of texts below `[package]`; empty where there is none.
    pub fn texts(&self, key: &str) -> Vec<&'a str> {
        let list = self.0.get("package").and_then(|package| package.get(key)).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).filter(|text| !text.trim().is_empty()).collect()
    }

    /// How many crates it depends on, those for tests and builds left out.
    pub fn dependencies(&self) -> usize {
        self.0.get("dependencies").and_then(Value::as_object).map_or(0, serde_json::Map::len)
    }
}
