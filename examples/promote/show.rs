//! `pipeline check` and `pipeline show`.

use std::fmt::Write as _;
use std::path::Path;

use mcp_core::Name;
use mcp_promotion::{Diagram, Drawn};
use serde_json::json;

use crate::Answer;
use crate::arguments::{Arguments, Picture};
use crate::failure::Failure;
use crate::file::PipelineFile;

/// `pipeline check`: reads the file, and shows what it says; or what is wrong with it, also with regard to this host and to its people.
pub fn check(path: &Path) -> Result<Answer, Failure> {
    let file = PipelineFile::read(path)?;
    let faults = file.faults();
    if !faults.is_empty() {
        let shown = path.display();
        return Err(Failure::usage(format!(
            "check the pipeline file {shown}: {}",
            faults.join("\n  also: ")
        )));
    }
    let mut text = String::new();
    let mut stages = Vec::new();
    for (name, policy) in file.pipeline.stages() {
        let after: Vec<&str> = policy.after.iter().map(Name::as_str).collect();
        let (after, approvals) = (after.join(", "), policy.approvals);
        // Writing to a string cannot fail.
        let _written = writeln!(
            text,
            "{name}{}{}",
            if after.is_empty() { String::new() } else { format!(" after {after}") },
            if approvals == 0 { String::new() } else { format!(", {approvals} approvals") }
        );
        stages.push(json!({ "stage": name, "policy": **policy }));
    }
    Ok(Answer::new(text, json!({ "stages": stages })))
}

/// `pipeline show`: the picture, or the file that it was written to.
pub fn answer(diagram: &Diagram, arguments: &Arguments) -> Result<Answer, Failure> {
    let picture = match (arguments.picture, &arguments.output) {
        (Some(picture), _) => picture,
        (None, Some(path)) => by_ending(path)?,
        (None, None) => Picture::Text,
    };
    let drawn = match picture {
        Picture::Text => text(diagram),
        Picture::Mermaid => diagram.mermaid(),
        Picture::Svg => diagram.svg(),
    };
    let Some(path) = &arguments.output else {
        let document = if picture == Picture::Text { json!(diagram) } else { json!({ "picture": drawn }) };
        return Ok(Answer::new(drawn, document));
    };
    let shown = path.display();
    std::fs::write(path, drawn)
        .map_err(|error| Failure::usage(format!("write the picture to {shown}: {error}")))?;
    Ok(Answer::new(format!("written to {shown}"), json!({ "written": path })))
}

fn by_ending(path: &Path) -> Result<Picture, Failure> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("svg") => Ok(Picture::Svg),
        Some("mmd" | "mermaid") => Ok(Picture::Mermaid),
        Some("txt") => Ok(Picture::Text),
        _ => Err(Failure::usage(format!(
            "write the picture to {}: it ends neither in .svg nor in .mmd nor in .txt; say --svg or --mermaid",
            path.display()
        ))),
    }
}

/// A paragraph for each stage, which stands behind those that it comes after.
fn text(diagram: &Diagram) -> String {
    let mut text = String::new();
    for Drawn { name, rules, after, any_of, live, .. } in &diagram.stages {
        let after: Vec<&str> = after.iter().map(Name::as_str).collect();
        // Writing to a string cannot fail.
        let _written = match after.as_slice() {
            [] => writeln!(text, "{name}"),
            [_, _, ..] if *any_of => writeln!(text, "{name}, after any of {}", after.join(", ")),
            after => writeln!(text, "{name}, after {}", after.join(", ")),
        };
        if !rules.is_empty() {
            let _written = writeln!(text, "  rules: {}", rules.join("; "));
        }
        if let Some(live) = live {
            let _written = writeln!(text, "  now: {}", live.lines.join("; "));
        }
    }
    text
}
