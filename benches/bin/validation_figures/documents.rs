//! Judging beside the bare `jsonschema` crate: from a value, and from bytes.

use std::hint::black_box;

use bytes::Bytes;
use mcp_validation::{Contract, Document};
use serde_json::Value;

use crate::data::{Set, sets};
use crate::timing::{shown, side_by_side};
use crate::{Figure, Places};

/// What takes the bare crate less than this is tiny.
const TINY_NS: f64 = 10_000.0;

fn values(documents: &[Bytes]) -> Vec<Value> {
    documents.iter().map(|text| serde_json::from_slice(text).expect("JSON")).collect()
}

/// A document that takes next to nothing.
pub(crate) fn tiny(_: &Places) -> Vec<Figure> {
    let schema = r#"{"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}"#;
    let bare = jsonschema::options()
        .offline()
        .build(&serde_json::from_str(schema).expect("JSON"))
        .expect("a schema");
    let contract = Contract::json_schema(schema).build().expect("a schema");
    let text = r#"{"id": 7}"#;
    let value: Value = serde_json::from_str(text).expect("JSON");
    let document = Document::json(text);
    let [ours, report, peer] = side_by_side([
        &mut || (0..100).for_each(|_| assert!(contract.is_valid(black_box(&document)).expect("judged"))),
        &mut || {
            (0..100).for_each(|_| assert!(contract.validate(black_box(&document)).expect("judged").valid))
        },
        &mut || (0..100).for_each(|_| assert!(bare.is_valid(black_box(&value)))),
    ]);
    let more = |time: std::time::Duration| (time.as_secs_f64() - peer.as_secs_f64()) * 1e7;
    [("is_valid", ours), ("a report", report)]
        .map(|(what, time)| Figure {
            what: format!("`{text}`, parsed before, {what}"),
            target: "the bare crate + 100 ns",
            reached: shown(time, 100),
            peer: format!("bare `jsonschema`: {}, {:.0} ns more", shown(peer, 100), more(time)),
            met: Some(more(time) <= 100.0),
        })
        .into()
}

/// From a parsed value.
pub(crate) fn parsed(places: &Places) -> Vec<Figure> {
    let figures = sets(places.data.as_deref()).into_iter().map(|set| {
        let values = values(&set.valid);
        let known: Vec<Document> = set.valid.iter().map(|text| Document::json(text.clone())).collect();
        let known_values: Vec<Document> = values.iter().cloned().map(Document::from).collect();
        let Set { bare, contract, .. } = &set;
        let judge = |documents: &[Document]| {
            for document in documents {
                assert!(contract.validate(black_box(document)).expect("judged").valid);
            }
        };
        let [ours, of_values, first, copy, peer] = side_by_side([
            &mut || judge(&known),
            &mut || judge(&known_values),
            &mut || values.iter().for_each(|value| judge(&[Document::from(value.clone())])),
            &mut || values.iter().for_each(|value| drop(Document::from(black_box(value).clone()))),
            &mut || values.iter().for_each(|value| assert!(bare.is_valid(black_box(value)))),
        ]);
        let count = set.valid.len();
        let ratio = ours.max(of_values).as_secs_f64() / peer.as_secs_f64();
        let more = (ours.max(of_values).as_secs_f64() - peer.as_secs_f64()) * 1e9 / count as f64;
        let large = peer.as_secs_f64() * 1e9 / count as f64 >= TINY_NS;
        let first = first.saturating_sub(copy);
        Figure {
            what: format!("{}, parsed before, a report", set.title(&set.valid)),
            target: if large { "1.05 times the bare crate" } else { "1.05 times the bare crate or + 100 ns" },
            reached: format!(
                "{} as text, {} as a value; the first time of a value {}",
                shown(ours, count),
                shown(of_values, count),
                shown(first, count)
            ),
            peer: format!(
                "bare `jsonschema`: {}; {ratio:.2} times, the first time {:.2}",
                shown(peer, count),
                first.as_secs_f64() / peer.as_secs_f64()
            ),
            met: Some(ratio <= 1.05 || (!large && more <= 100.0)),
        }
    });
    figures.collect()
}

/// From bytes to a report.
pub(crate) fn bytes(places: &Places) -> Vec<Figure> {
    let figures = sets(places.data.as_deref()).into_iter().flat_map(|set| {
        let Set { bare, contract, .. } = &set;
        let parse = |text: &Bytes| -> Value { serde_json::from_slice(black_box(text)).expect("JSON") };
        let judge = |documents: &[Bytes], valid: bool| {
            for text in documents {
                let report = contract.validate(&Document::json(black_box(text).clone())).expect("judged");
                assert_eq!(report.valid, valid);
            }
        };
        let [valid, valid_peer, invalid, invalid_peer] = side_by_side([
            &mut || judge(&set.valid, true),
            &mut || set.valid.iter().for_each(|text| assert!(bare.is_valid(&parse(text)))),
            &mut || judge(&set.invalid, false),
            &mut || {
                for text in &set.invalid {
                    let value = parse(text);
                    let told = bare.iter_errors(&value).map(|error| {
                        (
                            error.instance_path().to_string(),
                            error.schema_path().to_string(),
                            error.masked().to_string(),
                        )
                    });
                    assert!(!told.collect::<Vec<_>>().is_empty());
                }
            },
        ]);
        [("valid", &set.valid, valid, valid_peer), ("invalid", &set.invalid, invalid, invalid_peer)].map(
            |(what, documents, ours, peer)| {
                let ratio = ours.as_secs_f64() / peer.as_secs_f64();
                Figure {
                    what: format!("{}, {what}, bytes to a report", set.title(documents)),
                    target: "1.1 times `serde_json` + the bare crate",
                    reached: shown(ours, documents.len()),
                    peer: format!("{}: {ratio:.2} times", shown(peer, documents.len())),
                    met: Some(ratio <= 1.1),
                }
            },
        )
    });
    figures.collect()
}
