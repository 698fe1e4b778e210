//! The house rules that no compiler checks: who imports whom, that the paths which documents name exist, and the size of files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file below the root with this extension, outside build output and hidden folders, as paths from the root.
fn files(extension: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, root: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    walk(&path, root, extension, found);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &root(), extension, &mut found);
    found.sort();
    found
}

/// The direct dependencies of each workspace member, those for tests left out; one that only a feature brings has a `?` behind its name.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("run cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap();
        all.iter()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| {
                let only_by_feature = dependency["optional"] == Value::Bool(true);
                text(&dependency["name"]) + if only_by_feature { "?" } else { "" }
            })
            .collect()
    };
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["name"]), normal(package)))
        .collect()
}

#[test]
fn an_engine_imports_the_core_and_never_a_sibling() {
    let dependencies = dependencies();
    for engine in ["mcp-validation", "mcp-registry", "mcp-promotion"] {
        let ours: Vec<&String> =
            dependencies[engine].iter().filter(|name| name.starts_with("mcp-")).collect();
        assert_eq!(ours, ["mcp-core"], "{engine}");
    }
}

#[test]
fn the_core_imports_no_runtime_no_http_and_no_engine() {
    let allowed = ["async-trait", "blake3", "bytes", "getrandom", "jiff", "semver", "serde", "serde_json"];
    assert_eq!(dependencies()["mcp-core"], allowed);
    for file in files("rs").iter().filter(|file| file.starts_with("mcp-core/src")) {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        for word in ["std::fs", "std::net", "std::process", "tokio"] {
            assert!(!text.contains(word), "{} uses {word}", file.display());
        }
    }
}

#[test]
fn no_engine_imports_http_but_the_registry_for_its_object_stores() {
    for (package, dependencies) in dependencies() {
        if package.starts_with("mcp-")
            && !["mcp-examples", "mcp-benches", "mcp-fuzz"].contains(&package.as_str())
        {
            for http in ["hyper", "reqwest", "axum", "ureq", "tonic", "http"] {
                let found = dependencies.iter().find(|name| name.trim_end_matches('?') == http);
                let allowed = package == "mcp-registry" && found.is_some_and(|name| name == "reqwest?");
                assert!(found.is_none() || allowed, "{package} imports {http}");
            }
        }
    }
}

/// The paths that a document names: relative link targets, and code spans that look like a file or folder of ours.
fn paths_named(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut in_fence = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
            continue;
        }
        if in_fence {
            continue;
        }
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                paths.push(target.to_owned());
            }
        }
        for span in line.split('`').skip(1).step_by(2) {
            let ends_as_file =
                [".rs", ".md", ".toml", ".html", ".txt", "/"].iter().any(|end| span.ends_with(end))
                    || span == ".ci/run";
            let plain = span.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
            if ends_as_file
                && plain
                && span.contains('/')
                && !span.starts_with('/')
                && !span.starts_with("target/")
            {
                paths.push(span.to_owned());
            }
        }
    }
    paths
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut missing = Vec::new();
    for document in files("md") {
        let text = std::fs::read_to_string(root().join(&document)).unwrap();
        let folder = root().join(&document).parent().unwrap().to_owned();
        for path in paths_named(&text) {
            if !folder.join(&path).exists() && !root().join(&path).exists() {
                missing.push(format!("{} names {path}", document.display()));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn a_named_path_is_found_in_links_and_code_spans_only() {
    let text = "see [a](docs/a.md#part), `mcp-core/src/name.rs`, `examples/` and `a/b` of [x](https://x/y.md)\n```\n`no/no.rs`\n```";
    assert_eq!(paths_named(text), ["docs/a.md", "mcp-core/src/name.rs", "examples/"]);
}

#[test]
fn no_file_has_more_than_600_lines_above_its_tests() {
    let mut long = Vec::new();
    for file in files("rs") {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        let above = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        if above > 600 {
            long.push(format!("{} has {above}", file.display()));
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

/// The codes of findings and breaks that a source names, above its tests.
fn codes_named(source: &str) -> Vec<&str> {
    let families = ["document.", "json-schema.", "avro.", "protobuf."];
    let above = source.split("#[cfg(test)]").next().unwrap_or(source);
    let texts = above.split('"').collect::<Vec<_>>();
    let mut codes = Vec::new();
    for pair in texts.windows(2) {
        let [before, text] = pair else { continue };
        let named = families.iter().any(|family| text.len() > family.len() && text.starts_with(family));
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
        // A byte string is a word of somebody else's, and one that ends so is only the beginning of codes.
        if named && plain && !before.ends_with('b') && !text.ends_with('-') {
            codes.push(*text);
        }
    }
    codes
}

#[test]
fn every_code_of_a_finding_or_a_break_is_explained_and_no_other() {
    let document = std::fs::read_to_string(root().join("mcp-validation/CODES.md")).expect("the document");
    let explained = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let explained: BTreeSet<&str> = explained.map(|(code, _)| code).collect();
    let sources = files("rs").into_iter().filter(|path| path.starts_with("mcp-validation/src"));
    let sources: Vec<String> =
        sources.map(|path| std::fs::read_to_string(root().join(path)).expect("a source")).collect();
    let named: BTreeSet<&str> = sources.iter().flat_map(|source| codes_named(source)).collect();
    assert!(named.len() > 100, "{}", named.len());
    assert_eq!(explained.symmetric_difference(&named).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn every_library_takes_the_lints_of_the_workspace_and_forbids_unsafe_code() {
    for package in ["mcp-core", "mcp-validation", "mcp-registry", "mcp-promotion"] {
        let manifest = std::fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{package}");
    }
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let marks = ["TO", "FIX", "XX"].map(|half| {
        half.to_owned()
            + if half == "TO" {
                "DO"
            } else if half == "FIX" {
                "ME"
            } else {
                "X"
            }
    });
    let mut left = Vec::new();
    for file in files("rs") {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) || line.contains(concat!("#[", "ignore"))
            {
                left.push(format!("{}:{}", file.display(), number + 1));
            }
        }
    }
    assert_eq!(left, Vec::<String>::new());
}
