use std::sync::Arc;

use mcp_core::Timestamp;
use serde_json::Value;

use super::Quality;
use super::cells::{Cells, Span};
use super::dictionary::{CellKey, Dictionary, Memo};
use super::distinct::Identity;
use super::field::FieldState;
use super::plan::{CellCheck, Column};
use super::policy::QualityPolicy;
use super::state::Count;
use super::typed::{Known, Typed};

/// What can be compared of a value.
pub(super) type Seen = (Identity, Known);

/// What one pass knows of one column.
pub(super) struct Tally {
    pub(super) column: Arc<Column>,
    dictionary: Dictionary,
    pub(super) field: Option<FieldState>,
}

/// What values are judged by.
#[derive(Clone, Copy)]
pub(super) struct Setting<'q> {
    pub(super) quality: &'q Quality,
    pub(super) now: Timestamp,
}

impl Tally {
    pub(super) fn new(quality: &Quality, column: Arc<Column>) -> Self {
        let field = column.profiled.then(|| FieldState::new(&quality.policy, column.named));
        Self { column, dictionary: Dictionary::default(), field }
    }

    /// Counts a cell, notes which checks it fails, and gives what it holds where records are checked as a whole.
    #[inline]
    pub(super) fn cell(
        &mut self,
        cells: &Cells<'_>,
        span: Span,
        setting: Setting<'_>,
        counts: &mut [Count],
        failed: &mut Vec<usize>,
    ) -> Option<Seen> {
        let key = cells.key(span);
        if let Some((at, fails)) = key.and_then(|key| self.dictionary.count(&key)) {
            if !fails && !self.column.related {
                return None;
            }
            let memo = *self.dictionary.memo(at)?;
            return self.note(&memo, failed);
        }
        let text = cells.text(span);
        let memo = if setting.quality.nulls.contains(text) {
            self.null_memo()
        } else {
            let (typed, fits) = Typed::of_text(text, self.column.declared);
            self.memo(&typed, fits, setting)
        };
        self.keep(key, memo, text, setting.quality, counts);
        self.note(&memo, failed)
    }

    /// The same for a JSON value; `None` where there is none or it is null.
    pub(super) fn json(
        &mut self,
        value: Option<&Value>,
        setting: Setting<'_>,
        counts: &mut [Count],
        failed: &mut Vec<usize>,
    ) -> Option<Seen> {
        let Some(value) = value else {
            self.null(failed);
            return None;
        };
        // What is declared decides how text is read, so it is the same for all of the column.
        let (key, text) = match value {
            Value::String(text) => (CellKey::of_json_text(text), text.as_str()),
            Value::Number(_) | Value::Bool(_) => {
                let known = Typed::of_json(value, self.column.declared).0.known();
                (CellKey::of_json_known(known), "")
            }
            _ => (None, ""),
        };
        if let Some((at, fails)) = key.and_then(|key| self.dictionary.count(&key)) {
            if !fails && !self.column.related {
                return None;
            }
            let memo = *self.dictionary.memo(at)?;
            return self.note(&memo, failed);
        }
        let (typed, fits) = Typed::of_json(value, self.column.declared);
        let memo = self.memo(&typed, fits, setting);
        self.keep(key, memo, text, setting.quality, counts);
        self.note(&memo, failed)
    }

    /// Notes which checks a record fails that lacks it.
    pub(super) fn null(&self, failed: &mut Vec<usize>) {
        let missing = self.column.checks.iter().filter(|(_, check)| matches!(check, CellCheck::Complete));
        failed.extend(missing.map(|(at, _)| *at));
    }

    fn null_memo(&self) -> Memo {
        let mut memo = Memo { value: None, applies: 0, fails: 0 };
        for (bit, (_, check)) in self.column.checks.iter().enumerate() {
            if matches!(check, CellCheck::Complete) {
                memo.fails |= 1 << bit;
            }
        }
        memo
    }

    fn memo(&self, typed: &Typed<'_>, fits: bool, setting: Setting<'_>) -> Memo {
        let identity = typed.identity();
        let mut memo = Memo { value: Some((identity, typed.known())), applies: 0, fails: 0 };
        for (bit, (_, check)) in self.column.checks.iter().enumerate() {
            let (applies, passes) = check.judge(&self.column, typed, fits, identity, setting.now);
            memo.applies |= u64::from(applies) << bit;
            memo.fails |= u64::from(applies && !passes) << bit;
        }
        memo
    }

    /// Keeps a value that was not known, or counts it at once.
    fn keep(
        &mut self,
        key: Option<CellKey>,
        memo: Memo,
        text: &str,
        quality: &Quality,
        counts: &mut [Count],
    ) {
        if self.dictionary.is_full() {
            self.drain(&quality.policy, counts);
        }
        if !key.is_some_and(|key| self.dictionary.insert(key, memo)) {
            absorb(&self.column, self.field.as_mut(), &quality.policy, counts, &memo, text, 1);
        }
    }

    /// Moves what the dictionary has counted to where it is kept.
    pub(super) fn drain(&mut self, policy: &QualityPolicy, counts: &mut [Count]) {
        let Self { column, dictionary, field } = self;
        dictionary
            .drain(|memo, text, count| absorb(column, field.as_mut(), policy, counts, memo, text, count));
    }

    fn note(&self, memo: &Memo, failed: &mut Vec<usize>) -> Option<Seen> {
        let mut fails = memo.fails;
        while fails != 0 {
            let bit = fails.trailing_zeros() as usize;
            failed.extend(self.column.checks.get(bit).map(|(at, _)| *at));
            fails &= fails.wrapping_sub(1);
        }
        memo.value
    }
}

/// Counts a value, `count` times.
fn absorb(
    column: &Column,
    field: Option<&mut FieldState>,
    policy: &QualityPolicy,
    counts: &mut [Count],
    memo: &Memo,
    text: &str,
    count: u64,
) {
    let Some((identity, known)) = memo.value else { return };
    for (bit, (at, _)) in column.checks.iter().enumerate().filter(|(bit, _)| memo.applies >> bit & 1 == 1) {
        if let Some(counted) = counts.get_mut(*at) {
            counted.add(memo.fails >> bit & 1 == 0, count);
        }
    }
    if let Some(field) = field {
        field.add(policy, identity, known, text, count);
    }
}
