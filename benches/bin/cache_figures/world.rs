//! The engine and the documents of all rows.

use std::sync::Arc;

use bytes::Bytes;
use mcp_benches::{ORDER_SCHEMA, distinct_json};
use mcp_core::{Name, Version};
use mcp_validation::{Contract, Rule, ValidationEngine};

pub(crate) fn subject() -> Name {
    "orders".parse().expect("a name")
}

pub(crate) fn version() -> Version {
    Version::new(1, 0, 0)
}

/// With one contract, and a cache of so many bytes; none for 0.
pub(crate) fn engine(cache_bytes: u64) -> Arc<ValidationEngine> {
    let engine = ValidationEngine::builder().cache_bytes(cache_bytes).build().expect("an engine");
    let contract = Contract::json_schema(ORDER_SCHEMA)
        .rule(Rule::range("number-is-natural", "/number", 0.0..))
        .rule(Rule::required("lines-are-there", "/lines"));
    engine.register(&subject(), &version(), contract.build().expect("a contract")).expect("registered");
    Arc::new(engine)
}

pub(crate) fn order(number: u64, length: usize) -> Bytes {
    Bytes::from(distinct_json(number, length))
}
