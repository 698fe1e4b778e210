//! Targets of data quality: records, policies, saved states.

use mcp_core::{Digest, ErrorKind};
use mcp_validation::Document;
use mcp_validation::quality::{Failure, Quality, QualityPolicy, Reading, RecordFormat};

/// A quality policy for the targets of records.
fn quality(max: u64) -> Quality {
    let text = r#"{"complete": ["/a"], "types": {"/a": "number", "/b": "timestamp"}, "unique": [{"name": "k", "fields": ["/a", "/b"]}],
        "accurate": [{"allowed": {"name": "l", "field": "/c", "values": ["x", 1]}}, {"lookup": {"name": "m", "key": "/a", "field": "/c", "entries": {"1": "x"}}}],
        "consistent": [{"name": "o", "check": {"compare": {"path": "/a", "operator": "less", "other": "/c"}}}],
        "timely": [{"name": "t", "field": "/b", "deadline": "2026-01-02T03:04:05Z"}], "profile": {"all": true, "quantiles": [0.5]}, "max_fields": 12}"#;
    let policy = serde_json::from_str::<QualityPolicy>(text).unwrap_or_default();
    match Quality::new(policy.max_distinct(max).max_values(max)) {
        Ok(quality) => quality,
        Err(error) => panic!("the policy of this target is broken: {error}"),
    }
}

/// Records as CSV or, behind a first byte of zero, as JSON lines: refused, or counted and told the same by one worker and by two; the failures
/// come in order; the state is saved and loaded as it was, and merged with nothing stays.
pub fn quality_csv(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let quality = quality(u64::from(first % 8) + 1);
    let mut reading = if *first == 0 { Reading::json_lines() } else { Reading::csv() };
    reading.max_record_bytes = 64 + usize::from(*first);
    let read = |reading: &Reading| {
        let mut told = Vec::new();
        let mut sink = |failure: &Failure<'_>| {
            told.push((failure.record, failure.line, failure.check.map(str::to_owned)));
            Ok(())
        };
        let state = quality.read(data, reading, &mut sink);
        (state, told)
    };
    let (one, told_one) = read(&reading);
    let two = std::num::NonZeroUsize::MIN.saturating_add(1);
    let (other, told_other) = read(&reading.clone().workers(two));
    assert_eq!(told_one, told_other);
    assert!(told_one.is_sorted_by_key(|(record, line, _)| (*record, *line)));
    match (one, other) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one, other);
            let Ok(bytes) = one.save() else { panic!("not saved") };
            match quality.load(&bytes) {
                Ok(loaded) => assert_eq!(loaded, one),
                Err(error) => panic!("not loaded: {error}"),
            }
            let mut merged = quality.state();
            if let Err(error) = merged.merge(other) {
                panic!("not merged: {error}");
            }
            assert_eq!(merged, one);
            let Ok(summary) = quality.summary(&one) else { panic!("not summed up") };
            assert!(summary.checks.iter().all(|check| check.score.numerator <= check.score.denominator));
            assert!(summary.score.is_none_or(|score| (0.0..=1.0).contains(&score)));
        }
        (Err(one), Err(other)) => assert_eq!(one.kind(), other.kind()),
        _ => panic!("read once, and once not"),
    }
    if let RecordFormat::Csv(csv) = &mut reading.format {
        csv.columns = Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        if let Err(error) = read(&reading).0 {
            panic!("rows alone are refused: {error}");
        }
    }
}

/// A quality policy: refused with a reason, or fit to look at records with, and read again as it was written.
pub fn quality_policy(data: &[u8]) {
    let Ok(policy) = serde_json::from_slice::<QualityPolicy>(data) else { return };
    let written = serde_json::to_string(&policy).unwrap_or_default();
    assert_eq!(serde_json::from_str::<QualityPolicy>(&written).ok().as_ref(), Some(&policy), "{written}");
    let quality = match Quality::new(policy) {
        Ok(quality) => quality,
        Err(error) => return assert_eq!(error.kind(), ErrorKind::Invalid, "{error}"),
    };
    let Ok(mut pass) = quality.pass() else { return };
    let mut ignore = |_: &Failure<'_>| Ok(());
    for record in ["{\"a\": 1, \"b\": {\"c\": \"x\"}}", "{\"a\": \"2026-01-02\"}", "[1]", "{"] {
        if let Err(error) = pass.record(&Document::json(record), &mut ignore) {
            assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
        }
    }
    let state = pass.finish();
    let again = state.save().and_then(|bytes| quality.load(&bytes));
    assert_eq!(again.ok().as_ref(), Some(&state));
    assert!(
        quality.compare(&state, &state).is_ok_and(|same| same.breaches.is_empty() || state.records() > 0)
    );
}

/// A saved quality state, as it is and with the checksum that makes its content believed: refused, or fit to be merged, summed up and saved.
pub fn quality_state(data: &[u8]) {
    let quality = quality(4);
    let (head, body) = data.split_at(data.len().min(40));
    let mut forged = head.get(..8).unwrap_or_default().to_vec();
    forged.extend_from_slice(Digest::of(body).as_bytes());
    forged.extend_from_slice(body);
    for bytes in [data, &forged] {
        match quality.load(bytes) {
            Ok(mut state) => {
                assert!(state.merge(state.clone()).is_ok() && quality.summary(&state).is_ok());
                assert!(state.save().is_ok());
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Conflict), "{error}")
            }
        }
    }
}
