//! Puts together what the page shows.

use mcp_core::Timestamp;
use mcp_registry::Stats;
use mcp_validation::quality::Score;

use crate::check::{Checking, FIELDS};
use crate::prove::Proof;
use crate::publish::Publishing;
use crate::read::Reading;
use crate::report::{Bar, Page, StageCard};
use crate::screen::megabytes;
use crate::timeline::Timeline;

/// Everything that one run came to.
pub struct Story {
    /// What was read.
    pub reading: Reading,
    /// What was found about it.
    pub checking: Checking,
    /// What was published.
    pub publishing: Publishing,
    /// What the registry holds.
    pub stats: Stats,
    /// What each server says that it runs.
    pub servers: Vec<StageCard>,
    /// What was verified.
    pub proof: Proof,
    /// What the journal tells.
    pub timeline: Timeline,
}

impl Story {
    /// Whether every archive was read and published, or lost its name to another one.
    pub fn is_complete(&self) -> bool {
        self.reading.unreadable.is_empty() && self.publishing.refused.is_empty()
    }

    /// What was not done, in a few words.
    pub fn shortcomings(&self) -> String {
        let (unreadable, refused) = (self.reading.unreadable.len(), self.publishing.refused.len());
        format!(
            "{unreadable} archives could not be read, {refused} crates could not be published; see the lists above"
        )
    }

    /// The page.
    pub fn page(&self, made_at: Timestamp) -> Page {
        let checking = &self.checking;
        let archives = self.reading.crates.len() + self.reading.unreadable.len();
        let valid = checking.validity().map_or_else(|| "n/a".to_owned(), |score| score.to_string());
        let stored = format!("stored, for {} of artifacts", megabytes(self.stats.logical_bytes));
        let tiles = [
            ("archives read", format!("{} of {archives}", self.reading.crates.len())),
            ("valid manifests", valid),
            ("versions in the registry", self.stats.versions.to_string()),
            (stored.as_str(), megabytes(self.stats.stored_bytes)),
            ("rows in the catalog's chain, verified", self.proof.rows.to_string()),
            ("events in the journal's chains, verified", self.proof.events.to_string()),
        ];
        let findings = self.checking.findings.iter().take(10);
        Page {
            made_at,
            summary: self.summary(),
            tiles: tiles.into_iter().map(|(label, value)| (label.to_owned(), value)).collect(),
            stages: self.servers.clone(),
            ways: self.timeline.ways(),
            evidence: self.timeline.evidence(),
            quality: self.quality(),
            findings: findings
                .map(|kind| (kind.code.clone(), kind.example.clone(), kind.manifests))
                .collect(),
            timeline: self.timeline.moments(),
        }
    }

    fn summary(&self) -> String {
        let ways = self.timeline.ways();
        let came_to = |outcome: &str| ways.iter().filter(|way| way.outcome == outcome).count();
        let rest = if self.is_complete() {
            String::new()
        } else {
            format!(" Not complete: {}.", self.shortcomings())
        };
        let (succeeded, rolled_back) = (came_to("succeeded"), came_to("rolled back"));
        format!(
            "{} promotions: {succeeded} succeeded, {rolled_back} rolled back by the engine.{rest}",
            ways.len()
        )
    }

    fn quality(&self) -> Vec<(String, Vec<Bar>)> {
        let checking = &self.checking;
        let bar = |label: &str, score: Score| Bar {
            label: label.to_owned(),
            numerator: score.numerator,
            denominator: score.denominator,
        };
        let complete =
            FIELDS.iter().filter_map(|field| Some(bar(field, checking.completeness(field)?))).collect();
        let valid = checking.validity().map(|score| bar("valid", score)).into_iter().collect();
        let unique = checking.uniqueness();
        let unique = unique.map(|score| bar("name and version", score)).into_iter().collect();
        vec![
            ("Completeness, by field".to_owned(), complete),
            ("Validity".to_owned(), valid),
            ("Uniqueness".to_owned(), unique),
        ]
    }
}
