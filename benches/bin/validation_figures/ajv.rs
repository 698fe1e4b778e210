//! Beside `ajv`, on one thread each: from bytes (there: text) to the verdict, which is known at the first error.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use mcp_validation::Document;
use serde_json::Value;

use crate::data::sets;
use crate::timing::{shown, side_by_side};
use crate::{Figure, Places};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ajv.js");

/// What the script says; `None` where there is no node.
fn peer(ajv: &Path, schema: &Path, documents: &Path) -> Option<Value> {
    let output = Command::new("node").arg(SCRIPT).args([ajv, schema, documents]).arg("2").output().ok()?;
    if !output.status.success() {
        eprintln!("ajv: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    serde_json::from_slice(&output.stdout).ok()
}

pub(crate) fn measure(places: &Places) -> Vec<Figure> {
    let Some(ajv) = &places.ajv else {
        eprintln!("no row of ajv: no --ajv, a folder in which `npm install ajv@8.20` was run");
        return Vec::new();
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (schema, lines) = (folder.path().join("schema.json"), folder.path().join("documents.jsonl"));
    let mut figures = Vec::new();
    for set in sets(places.data.as_deref()) {
        fs::write(&schema, set.schema.to_string()).expect("a file");
        for (what, documents, valid) in [("valid", &set.valid, true), ("invalid", &set.invalid, false)] {
            fs::write(&lines, documents.join(&b'\n')).expect("a file");
            let Some(theirs) = peer(ajv, &schema, &lines) else { continue };
            let judge = |text: &Bytes| {
                assert_eq!(
                    set.contract.is_valid(&Document::json(black_box(text).clone())).expect("judged"),
                    valid
                );
            };
            let [ours] = side_by_side([&mut || documents.iter().for_each(judge)]);
            let count = documents.len();
            let nanoseconds = theirs["nanoseconds"].as_f64().unwrap_or_default();
            let ratio = nanoseconds / (ours.as_secs_f64() * 1e9 / count as f64);
            let agreed = if valid { theirs["valid"] == count } else { theirs["valid"] == 0 };
            figures.push(Figure {
                what: format!("{}, {what}, bytes to the verdict", set.title(documents)),
                target: "1.5 times the throughput of `ajv`, aim for 3",
                reached: shown(ours, count),
                peer: format!(
                    "`ajv`: {:.2} us, {ratio:.2} times{}",
                    nanoseconds / 1e3,
                    if agreed {
                        String::new()
                    } else {
                        format!("; it finds {} of {count} valid", theirs["valid"])
                    }
                ),
                met: Some(ratio >= 1.5),
            });
        }
    }
    figures
}
