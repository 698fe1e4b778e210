//! Judges every manifest, and measures all of them together.

use std::collections::BTreeMap;

use mcp_core::{Finding, Severity};
use mcp_validation::quality::{Quality, QualityPolicy, QualitySummary, Score, Unlisted};
use mcp_validation::{Document, ValidationError};

use crate::contracts;
use crate::read::Crate;

/// The fields of `[package]` whose completeness is measured.
pub const FIELDS: [&str; 9] = [
    "description",
    "license",
    "repository",
    "edition",
    "rust-version",
    "authors",
    "keywords",
    "categories",
    "documentation",
];
/// The key that no two crates should share.
pub const KEY: &str = "name-and-version";

/// What judging all manifests came to.
#[derive(Debug)]
pub struct Checking {
    /// Invalid manifests: the file, and the first error.
    pub invalid: Vec<(String, String)>,
    /// Every kind of finding, the most frequent first.
    pub findings: Vec<Frequency>,
    /// The measures, each with its denominator.
    pub quality: QualitySummary,
}

/// How many manifests have one kind of finding.
#[derive(Clone, Debug)]
pub struct Frequency {
    /// Which check saw it.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// Where, and what it said the first time.
    pub example: String,
    /// In how many manifests.
    pub manifests: u64,
}

/// Judges all manifests.
pub fn check(crates: &[Crate]) -> Result<Checking, ValidationError> {
    let contract = std::sync::Arc::new(contracts::manifest()?);
    let mut policy = QualityPolicy::new().unique(KEY, ["/package/name", "/package/version"]);
    for field in FIELDS {
        policy = policy.complete(pointer(field));
    }
    let quality = Quality::new(policy)?.contract(std::sync::Arc::clone(&contract));
    let mut pass = quality.pass()?;
    let (mut invalid, mut findings) = (Vec::new(), BTreeMap::new());
    for one in crates {
        let document = Document::from(one.json.clone());
        let report = contract.validate(&document)?;
        pass.record(&document, &mut Unlisted)?;
        if let Some(error) = report.of_severity(Severity::Error).next().filter(|_| !report.valid) {
            invalid.push((one.file_name(), error.to_string()));
        }
        count(&report.findings, one, &mut findings);
    }
    let mut findings: Vec<Frequency> = findings.into_values().collect();
    findings.sort_by(|a, b| (b.manifests, a.severity, &a.code).cmp(&(a.manifests, b.severity, &b.code)));
    Ok(Checking { invalid, findings, quality: quality.summary(&pass.finish())? })
}

impl Checking {
    /// The score of a check of the quality policy.
    pub fn score(&self, target: &str) -> Option<Score> {
        self.quality.check(target).map(|check| check.score)
    }

    /// In how many manifests a field of `[package]` is there.
    pub fn completeness(&self, field: &str) -> Option<Score> {
        self.score(&format!("completeness:{}", pointer(field)))
    }

    /// How many manifests are valid.
    pub fn validity(&self) -> Option<Score> {
        self.score("validity:contract")
    }

    /// How many manifests share their key with no other.
    pub fn uniqueness(&self) -> Option<Score> {
        self.score(&format!("uniqueness:{KEY}"))
    }
}

/// Where a field of `[package]` stands.
pub fn pointer(field: &str) -> String {
    format!("/package/{field}")
}

/// Counts each kind of finding once for a manifest.
fn count(found: &[Finding], of: &Crate, findings: &mut BTreeMap<String, Frequency>) {
    let kinds: BTreeMap<&str, &Finding> =
        found.iter().rev().map(|finding| (&*finding.code, finding)).collect();
    for (code, finding) in kinds {
        let first = || Frequency {
            code: code.to_owned(),
            severity: finding.severity,
            example: format!("{} of {}: {}", finding.path, of.file_name(), finding.message),
            manifests: 0,
        };
        findings.entry(code.to_owned()).or_insert_with(first).manifests += 1;
    }
}
