//! Runs every target over its corpus, on stable.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::path::Path;

use mcp_fuzz::{TARGETS, Target};

fn replay(target: &str, run: Target) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in &files {
        println!("{}", file.display());
        run(&std::fs::read(file).unwrap());
    }
    files.len()
}

#[test]
fn every_input_of_the_corpus_comes_back() {
    for (target, run) in TARGETS {
        assert!(replay(target, run) >= 5, "{target} has too small a corpus");
    }
}

#[test]
fn every_beginning_of_every_input_comes_back() {
    // Cut inputs are what a torn write leaves behind.
    fn cut(run: Target) -> impl Fn(&[u8]) {
        move |data| (0..data.len()).step_by(1 + data.len() / 64).for_each(|end| run(data.split_at(end).0))
    }
    // What is cut in one of these is as good as whole, and takes long.
    let whole = ["schema", "proto_text", "batch_lines"];
    for (target, run) in TARGETS.into_iter().filter(|(target, _)| !whole.contains(target)) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        for entry in std::fs::read_dir(folder).unwrap() {
            cut(run)(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
