//! Judges one document by a JSON Schema, a rule that is data, and a check in code.
use mcp_validation::{Contract, Document, Findings, Rule, Validator, ValidatorError};

struct NoTestCard;

impl Validator for NoTestCard {
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        if document.value()?["card"] == "4111111111111111" {
            findings.error("shop.test-card", "/card", "this card number is for tests", None);
        }
        Ok(())
    }
    fn fingerprint(&self) -> Option<mcp_core::Digest> {
        Some(mcp_core::Digest::of(b"NoTestCard 1"))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = r#"{"type": "object", "required": ["id"]}"#;
    let positive = Rule::range("positive", "/total", 0.01..);
    let contract = Contract::json_schema(schema).rule(positive).validator(NoTestCard).build()?;
    println!("{}", contract.validate(&Document::json(r#"{"total": 0, "card": "4111111111111111"}"#))?);
    Ok(())
}
