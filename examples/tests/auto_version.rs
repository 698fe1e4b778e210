//! The next version of a schema, chosen by what it does to those who use it: the real registry and the real comparison.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::sync::Arc;

use mcp_core::{ErrorKind, Name};
use mcp_registry::{Bump, Draft, Registry, RegistryError};
use mcp_validation::{ContractClassifier, JsonSchema};

const SCHEMA: &str = "application/schema+json";

async fn open(folder: &std::path::Path) -> Registry {
    let classifier = ContractClassifier::new().compare_type(SCHEMA, JsonSchema::new());
    Registry::local(folder).classify(Arc::new(classifier)).open().await.unwrap()
}

async fn publish(registry: &Registry, schema: &str, request: Option<&str>) -> Result<String, RegistryError> {
    let name: Name = "billing/invoice".parse().unwrap();
    let draft = Draft::new(&name, schema.to_owned()).media_type(SCHEMA);
    let draft = if let Some(id) = request { draft.request_id(id) } else { draft };
    Ok(registry.publish_next(draft, Bump::Auto).await?.artifact.version.to_string())
}

#[tokio::test]
async fn a_schema_is_numbered_by_what_its_documents_notice() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let first = r#"{"type": "object", "properties": {"total": {"type": "integer"}}}"#;
    let titled = r#"{"title": "Invoice", "type": "object", "properties": {"total": {"type": "integer"}}}"#;
    let wider = r#"{"type": "object", "properties": {"total": {"type": "number"}}}"#;
    let strict = r#"{"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}"#;
    for (schema, expected) in
        [(first, "0.1.0"), (titled, "0.1.1"), (titled, "0.1.1"), (wider, "0.2.0"), (strict, "0.3.0")]
    {
        assert_eq!(publish(&registry, schema, None).await.unwrap(), expected, "{schema}");
    }
    let name: Name = "billing/invoice".parse().unwrap();
    let stable = Draft::new(&name, strict).media_type(SCHEMA);
    registry.publish(stable, &"1.0.0".parse().unwrap()).await.unwrap();
    assert_eq!(publish(&registry, wider, Some("r1")).await.unwrap(), "1.1.0", "it asks for less");
    assert_eq!(publish(&registry, strict, None).await.unwrap(), "2.0.0", "it asks for more");
    assert_eq!(publish(&registry, wider, Some("r1")).await.unwrap(), "1.1.0", "the first answer");
    let broken = publish(&registry, r#"{"type": 7}"#, None).await.unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::Invalid);
    assert_eq!(registry.verify().await.unwrap().faults, []);
    registry.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_widens_one_schema_gets_numbers_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path()).await;
    let name: Name = "billing/invoice".parse().unwrap();
    let first = Draft::new(&name, r#"{"enum": ["x"]}"#).media_type(SCHEMA);
    registry.publish(first, &"1.0.0".parse().unwrap()).await.unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let registry = registry.clone();
            tokio::spawn(async move {
                // None of them accepts what another one does.
                publish(&registry, &format!(r#"{{"enum": [{n}]}}"#), None).await.unwrap()
            })
        })
        .collect();
    let mut given = Vec::new();
    for task in tasks {
        given.push(task.await.unwrap());
    }
    given.sort_by_key(|version| version.split('.').next().unwrap().parse::<u64>().unwrap());
    assert_eq!(given, (2..=21).map(|major| format!("{major}.0.0")).collect::<Vec<_>>());
}
