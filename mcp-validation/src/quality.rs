//! How complete, accurate, consistent, timely, unique and valid many records are, and what is in their fields.
//!
//! A [`QualityPolicy`] is data: what is measured, and what is expected of it. [`Quality`] is a policy that was found to be right, with the
//! contract that says what is valid, and the clock that says how late something is. It looks at records one by one in a [`Pass`], or
//! reads them from JSON lines or CSV by several workers. What comes of it is a [`QualityState`]: counts that are saved, merged with those of
//! others in any order, and compared with those of another time. Memory depends on the policy and never on the number of records.
//!
//! ```
//! use mcp_validation::quality::{Failure, FieldType, Quality, QualityPolicy, Reading};
//! use mcp_validation::rule::Rule;
//!
//! let policy = QualityPolicy::new()
//!     .complete("/email")
//!     .typed("/age", FieldType::Integer)
//!     .accurate(Rule::range("age", "/age", 0.0..150.0))
//!     .unique("id", ["/id"])
//!     .threshold("completeness:/email", 0.99, 0.6);
//! let quality = Quality::new(policy)?;
//!
//! let mut failures = Vec::new();
//! let mut sink = |failure: &Failure<'_>| {
//!     failures.push((failure.line, failure.check.map(str::to_owned)));
//!     Ok(())
//! };
//! let mut here = quality.read(&b"id,email,age\n1,a@b,7\n2,c@d,200\n"[..], &Reading::csv(), &mut sink)?;
//! let there = quality.read(&br#"{"id": 1, "age": "x"}"#[..], &Reading::json_lines(), &mut sink)?;
//! here.merge(there)?;
//!
//! let summary = quality.summary(&here)?;
//! let shown = |target| summary.check(target).map(|check| check.score.to_string());
//! assert_eq!(shown("completeness:/email").as_deref(), Some("2 of 3"));
//! assert_eq!(shown("consistency:/age").as_deref(), Some("2 of 3"));
//! assert_eq!(shown("accuracy:age").as_deref(), Some("1 of 3"));
//! assert_eq!(shown("uniqueness:id").as_deref(), Some("1 of 3"));
//! assert_eq!(summary.verdict.to_string(), "warn");
//! assert_eq!(failures[0], (Some(3), Some("accuracy:age".to_owned())));
//! # Ok::<(), mcp_validation::ValidationError>(())
//! ```

mod cells;
mod chunks;
mod compare;
mod csv;
mod dictionary;
mod distinct;
mod exact_sum;
mod field;
mod frequent;
mod pass;
mod plan;
mod policy;
mod prepare;
mod read;
mod relate;
mod score;
mod sink;
mod spread;
mod state;
mod summary;
mod tally;
mod typed;

pub use compare::{Comparison, FieldChange, ScoreChange};
pub use csv::Csv;
pub use distinct::Estimate;
pub use field::{FieldProfile, NumberProfile, Quantile};
pub use frequent::FrequentValue;
pub use pass::{Header, Pass};
pub use policy::{Accuracy, Allowed, Changes, Key, Lookup, Profile, QualityPolicy, Threshold, Timeliness};
pub use prepare::{Basis, Dimension, Quality};
pub use read::{Reading, RecordFormat};
pub use score::Score;
pub use sink::{Failure, FailureSink, Unlisted};
pub use state::QualityState;
pub use summary::{CheckScore, DimensionScore, QualitySummary, Verdict};
pub use typed::FieldType;
