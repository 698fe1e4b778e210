//! Everything that is against reading, with its place, and with something that may be written and is not read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::hazard::Against;
use super::json::{Form, Reader};
use super::judgement::Judgement;
use super::resolve::{Resolution, Row, lacks_branch};
use super::sample::{DEEPEST, Samples, Step};
use super::witness;
use crate::findings::shortened;
use crate::pointer::push_segment;
use crate::{Findings, Limits};

/// So many conflicts have a witness: each may be as large as the schema.
const MOST_WITNESSES: usize = 100;

/// Something that is against reading.
#[derive(Debug)]
pub(super) struct Conflict {
    pub(super) rule: &'static str,
    /// A pointer into the reader's schema, behind the name of a reference and `#` where it lies there.
    pub(super) place: String,
    pub(super) message: String,
    pub(super) advice: String,
    /// What the writer may write and the reader does not read, in Avro's JSON encoding.
    pub(super) witness: Option<Value>,
}

/// Every conflict once, by place.
pub(super) fn conflicts(resolution: &Resolution<'_>, limits: &Limits) -> Vec<Conflict> {
    let samples = Samples::of(resolution.writer());
    let mut gathering = Gathering { resolution, limits, samples, trail: Vec::new(), conflicts: Vec::new() };
    gathering.walk();
    let mut conflicts = gathering.conflicts;
    conflicts.sort_by(|left, right| {
        (&left.place, left.rule, &left.message).cmp(&(&right.place, right.rule, &right.message))
    });
    conflicts
}

struct Gathering<'a> {
    resolution: &'a Resolution<'a>,
    limits: &'a Limits,
    samples: Samples<'a>,
    /// How what is written was reached: the steps, and where each was taken from.
    trail: Vec<(Option<usize>, Step)>,
    conflicts: Vec<Conflict>,
}

impl Gathering<'_> {
    fn walk(&mut self) {
        let resolution = self.resolution;
        let mut seen = BTreeSet::from([0]);
        let mut waiting: Vec<(usize, String, Option<usize>)> = vec![(0, String::new(), None)];
        while let Some((row, place, reached)) = waiting.pop() {
            let Some(row) = resolution.get(row) else { continue };
            // What has a name is shown where it is defined.
            let named = resolution.reader().get(row.reader).named();
            let place = named.map_or(place, |named| named.place.clone());
            for against in &row.against {
                self.note(against, row, &place, reached);
            }
            for need in row.needs.iter().filter(|need| !resolution.is_met(need)) {
                let [only] = need.any_of.as_slice() else {
                    self.note(&lacks_branch(resolution.writer().get(row.writer)), row, &place, reached);
                    continue;
                };
                if !seen.insert(*only) {
                    continue;
                }
                let mut below = place.clone();
                need.below.iter().for_each(|segment| push_segment(&mut below, segment));
                let reached = match need.step {
                    Some(step) => {
                        self.trail.push((reached, step));
                        Some(self.trail.len() - 1)
                    }
                    None => reached,
                };
                waiting.push((*only, below, reached));
            }
        }
    }

    fn note(&mut self, against: &Against, row: &Row, place: &str, reached: Option<usize>) {
        let is_shown = against.is_witnessed && self.conflicts.len() < MOST_WITNESSES;
        let leaf = || against.witness.clone().or_else(|| self.samples.value(row.writer));
        let witness = if is_shown { leaf().and_then(|leaf| self.whole(leaf, reached)) } else { None };
        let conflict = Conflict {
            rule: against.rule,
            place: shortened(place.to_owned() + &against.below),
            message: shortened(against.message.clone()),
            advice: against.advice.clone(),
            witness: witness.filter(|value| self.shows(value)),
        };
        self.conflicts.push(conflict);
    }

    /// A document that has `leaf` where the trail leads.
    fn whole(&self, leaf: Value, reached: Option<usize>) -> Option<Value> {
        let (mut value, mut reached) = (leaf, reached);
        for _ in 0..DEEPEST {
            let Some(index) = reached else { return Some(value) };
            let (before, step) = self.trail.get(index)?;
            value = self.samples.around(value, *step)?;
            reached = *before;
        }
        None
    }

    /// Whether the writer may write this, and the reader does not read it.
    fn shows(&self, value: &Value) -> bool {
        let (reader, writer) = (self.resolution.reader(), self.resolution.writer());
        let mut findings = Findings::new(self.limits);
        let mut judgement = Judgement::new(&mut findings, self.limits);
        let written = Reader::new(writer, Form::Spec, &mut judgement).document(value);
        if written.is_err() || findings.errors() > 0 {
            return false;
        }
        witness::reads(reader, writer, value, self.limits).is_ok_and(|reads| !reads)
    }
}
