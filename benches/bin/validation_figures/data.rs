//! What is judged: real documents that `benches/validation_data.py` has gathered, and generated ones.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use mcp_benches::{ORDER_SCHEMA, distinct_json};
use mcp_validation::{Contract, Document};
use serde_json::Value;

/// A schema, and documents that are valid and that are not, as the bare crate judges them.
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) schema: Value,
    pub(crate) bare: jsonschema::Validator,
    pub(crate) contract: Contract,
    pub(crate) valid: Vec<Bytes>,
    pub(crate) invalid: Vec<Bytes>,
}

impl Set {
    fn new(name: &str, schema: &str, documents: impl Iterator<Item = Bytes>) -> Self {
        let value: Value = serde_json::from_str(schema).expect("a schema");
        let bare =
            jsonschema::options().offline().should_validate_formats(false).build(&value).expect("a schema");
        let contract = Contract::json_schema(schema).build().expect("a schema");
        let (valid, invalid): (Vec<_>, Vec<_>) = documents
            .partition(|document| bare.is_valid(&serde_json::from_slice(document).expect("a document")));
        let set = Self { name: name.to_owned(), schema: value, bare, contract, valid, invalid };
        for (documents, expected) in [(&set.valid, true), (&set.invalid, false)] {
            for document in documents {
                let judged = set.contract.is_valid(&Document::json(document.clone())).expect("judged");
                assert_eq!(judged, expected, "{}: {}", set.name, String::from_utf8_lossy(document));
            }
        }
        set
    }

    /// Its name, and how large its documents are.
    pub(crate) fn title(&self, documents: &[Bytes]) -> String {
        let bytes: usize = documents.iter().map(Bytes::len).sum();
        format!(
            "{} ({} of {:.1} KiB)",
            self.name,
            documents.len(),
            bytes as f64 / 1024.0 / documents.len() as f64
        )
    }
}

/// Orders of two sizes, and each data set in the folder.
pub(crate) fn sets(folder: Option<&Path>) -> Vec<Set> {
    let orders = |length| (0..50).map(move |number| Bytes::from(distinct_json(number, length)));
    let damaged = |text: Bytes| {
        Bytes::from(
            String::from_utf8(text.to_vec()).expect("text").replace("\"quantity\":6", "\"quantity\":-6"),
        )
    };
    let both = |length| orders(length).chain(orders(length).map(damaged));
    let mut sets = vec![
        Set::new("orders", ORDER_SCHEMA, both(1024)),
        Set::new("large orders", ORDER_SCHEMA, both(16 * 1024)),
    ];
    let Some(folder) = folder else {
        eprintln!("only generated documents: no --data, which benches/validation_data.py gathers");
        return sets;
    };
    let mut names: Vec<_> = fs::read_dir(folder).expect("the data").filter_map(Result::ok).collect();
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let Ok(schema) = fs::read_to_string(entry.path().join("schema.json")) else { continue };
        let lines = fs::read_to_string(entry.path().join("documents.jsonl")).expect("documents");
        let documents = lines.lines().map(|line| Bytes::from(line.to_owned()));
        sets.push(Set::new(&entry.file_name().to_string_lossy(), &schema, documents));
    }
    sets
}
