//! Judges documents against contracts: a schema, rules that are data, and checks in code, within limits that hold.
//!
//! ```
//! # #[cfg(feature = "json-schema")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_validation::{Contract, Document, Findings, Validator, ValidatorError, rule::Rule};
//!
//! struct NoTestCard;
//!
//! impl Validator for NoTestCard {
//!     fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
//!         if document.value()?["card"] == "4111111111111111" {
//!             findings.error("shop.test-card", "/card", "this card number is for tests", None);
//!         }
//!         Ok(())
//!     }
//!     fn fingerprint(&self) -> Option<mcp_core::Digest> {
//!         Some(mcp_core::Digest::of(b"NoTestCard 1"))
//!     }
//! }
//!
//! let schema = r#"{"type": "object", "required": ["id"]}"#;
//! let positive = Rule::range("positive", "/total", 0.01..);
//! let contract = Contract::json_schema(schema).rule(positive).validator(NoTestCard).build()?;
//! let report = contract.validate(&Document::json(r#"{"total": 0, "card": "4111111111111111"}"#))?;
//! println!("{report}");
//! # assert_eq!((report.valid, report.errors), (false, 3));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "json-schema"))]
//! # fn main() {}
//! ```
//!
//! - What is judged, and by what: [`Document`] with its [`Encoding`], [`Contract`] and its [`ContractBuilder`], [`Limits`].
//! - What comes of it: [`Findings`] while judging, then a [`Report`]; [`ValidationError`] when it could not be judged.
//! - What can be plugged in: [`Validator`] for checks in code, [`SchemaFormat`] with its [`CompiledSchema`] for kinds of schema. `JsonSchema` is the one that is
//!   built in (feature `json-schema`, on by default), `Protobuf` another (feature `protobuf`).
//! - [`rule`]: checks that are data, CEL expressions among them (feature `cel`), read from JSON or YAML (feature `yaml`), enforced or only
//!   observed; and rules that are closures.
//! - [`quality`]: how complete, accurate, consistent, timely, unique and valid many records are, in partial counts that can be merged.
//! - [`Mode`] and [`Compatibility`]: whether one version of a schema can take the place of another, and each [`Break`] where not.
//! - [`ValidationEngine`]: contracts by subject and version, with events, [`Stats`], and verdicts that are
//!   [remembered](ValidationEngineBuilder::cache_bytes). Schemas that are registered are kept in a [`ContractStore`]
//!   and refused where they break their subject's mode.
//! - [`ValidationEngine::validate_stream`]: very many documents, in bounded memory and on a bounded number of threads.
//! - [`ContractInspector`] and [`ContractClassifier`]: how the other engines ask, through [`mcp_core::Inspect`] and
//!   [`mcp_core::Classify`].
//!
//! Nothing here fetches, reads a file or prints. Threads are started for streams, and where a schema needs more stack than a caller may have.

#[cfg(feature = "avro")]
mod avro;
mod canonical;
#[cfg(any(feature = "cel", feature = "protobuf"))]
mod civil;
mod classifier;
mod compatibility;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contract;
mod contract_store;
mod document;
mod encoding;
mod engine;
mod error;
mod findings;
mod inspector;
#[cfg(feature = "json-schema")]
mod json_schema;
mod limits;
mod meter;
mod number;
mod pointer;
#[cfg(feature = "protobuf")]
mod protobuf;
pub mod quality;
mod report;
pub mod rule;
mod scan;
mod schema_format;
mod schema_text;
#[cfg(any(feature = "json-schema", feature = "protobuf", feature = "yaml"))]
mod stack;
mod stats;
mod stream;
#[cfg_attr(not(feature = "json-schema"), allow(dead_code, reason = "only JSON Schema looks members up"))]
mod tree;
mod validator;
mod verdict_cache;
mod workers;

#[cfg(feature = "avro")]
pub use avro::Avro;
pub use classifier::ContractClassifier;
pub use compatibility::{Break, Compatibility, Direction, Mode};
pub use contract::{Contract, ContractBuilder};
pub use contract_store::{ContractEntry, ContractStore, MemoryContractStore, StoredContract};
pub use document::Document;
pub use encoding::Encoding;
pub use engine::{Registered, Registration, ValidationEngine, ValidationEngineBuilder};
pub use error::ValidationError;
pub use findings::Findings;
pub use inspector::{ContractInspector, Unmapped};
#[cfg(feature = "json-schema")]
pub use json_schema::{Draft, JsonSchema};
pub use limits::Limits;
#[cfg(feature = "protobuf")]
pub use protobuf::{Protobuf, ProtobufLevel, UnknownFields};
pub use report::Report;
pub use rule::Rule;
pub use schema_format::{CompiledSchema, Reference, SchemaFormat, SchemaFormats, SchemaSource};
pub use stats::{CacheStats, Stats};
pub use stream::{Judgements, Outcome, StreamOrder, StreamSettings};
pub use validator::{Validator, ValidatorError};
