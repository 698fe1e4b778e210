//! What a manifest and a crate index must satisfy.

use std::sync::Arc;

use mcp_core::Digest;
use mcp_validation::rule::FormatName;
use mcp_validation::{
    Contract, ContractInspector, Document, Findings, JsonSchema, Rule, Unmapped, ValidationError, Validator,
    ValidatorError,
};
use serde_json::Value;

use crate::index;

/// The schema of a manifest, draft 2020-12.
const MANIFEST_SCHEMA: &str = include_str!("manifest.schema.json");

/// What a manifest must satisfy: the schema says what cargo reads, the rules say what we want.
pub fn manifest() -> Result<Contract, ValidationError> {
    let described = "the description is empty";
    let listed = "the licence joins its parts with '/', which the SPDX form 'A OR B' has replaced";
    Contract::schema(JsonSchema::new().assert_format(true), MANIFEST_SCHEMA)
        .rule(Rule::format("version-is-semver", "/package/version", FormatName::Semver))
        .rule(Rule::required("description-present", "/package/description").warning())
        .rule(
            Rule::pattern("description-not-empty", "/package/description", "\\S")
                .warning()
                .message(described),
        )
        .rule(Rule::pattern("licence-is-spdx", "/package/license", "^[^/]*$").warning().message(listed))
        .validator(LicencePresent)
        .build()
}

/// Judges what is published, and again what is promoted: a crate index by its contract, and nothing else.
pub fn index_inspector() -> Result<ContractInspector, ValidationError> {
    let contract = Contract::json_schema(index::SCHEMA).build()?;
    Ok(ContractInspector::new(Unmapped::Accept).judge_type(index::MEDIA_TYPE, Arc::new(contract)))
}

/// A licence is an expression or a file: one of two places, which no single rule asks for.
struct LicencePresent;

impl Validator for LicencePresent {
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        let package = document.value()?.get("package");
        let has = |key: &str| package.and_then(|package| package.get(key)).and_then(Value::as_str).is_some();
        if !has("license") && !has("license-file") {
            let message = "it has no licence: neither license nor license-file";
            findings.error("quickstart.licence-present", "/package", message, None);
        }
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(Digest::of(b"LicencePresent 1"))
    }
}
