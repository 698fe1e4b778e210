//! How complete, valid and unique many records are.
//!
//! A [`QualityPolicy`] is data: which fields should be there, which keys should not repeat. [`Quality`] is a policy that was found to
//! be right, with the contract that says what is valid. A [`QualityState`] holds the counts: made in one pass, saved as JSON, merged
//! with those of other workers in any order.
//!
//! ```
//! use mcp_validation::quality::{Quality, QualityPolicy};
//! use mcp_validation::{Contract, Document, rule::Rule};
//!
//! let policy = QualityPolicy::new().complete("/email").unique("id", ["/id"]);
//! let contract = Contract::builder().rule(Rule::range("age", "/age", 0.0..150.0)).build()?;
//! let quality = Quality::new(policy)?.contract(contract);
//!
//! let (mut here, mut there) = (quality.state(), quality.state());
//! quality.observe(&mut here, &Document::json(r#"{"id": 1, "email": "a@b", "age": 7}"#))?;
//! quality.observe(&mut there, &Document::json(r#"{"id": 1, "age": 200}"#))?;
//! here.merge(there)?;
//!
//! let summary = here.summary();
//! assert_eq!(summary.completeness["/email"].to_string(), "1 of 2");
//! assert_eq!(summary.validity.map(|score| score.to_string()), Some("1 of 2".to_owned()));
//! assert_eq!(summary.uniqueness["id"].unique.map(|score| score.to_string()), Some("0 of 2".to_owned()));
//! # Ok::<(), mcp_validation::ValidationError>(())
//! ```

mod policy;
mod score;
mod state;
mod uniqueness;

pub use policy::{Key, Quality, QualityPolicy};
pub use score::Score;
pub use state::{Observed, QualityState, QualitySummary};
pub use uniqueness::KeySummary;
