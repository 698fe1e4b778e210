//! Runs every target over its corpus, on stable.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::path::Path;

type Target = fn(&[u8]);

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
    let targets: [(&str, Target); 18] = [
        ("words", mcp_fuzz::words),
        ("pack_footer", mcp_fuzz::pack_footer),
        ("chunk_table", mcp_fuzz::chunk_table),
        ("document", mcp_fuzz::document),
        ("schema", mcp_fuzz::schema),
        ("cel", mcp_fuzz::cel),
        ("rules", mcp_fuzz::rules),
        ("avro_schema", mcp_fuzz::avro_schema),
        ("avro_document", mcp_fuzz::avro_document),
        ("pipeline", mcp_fuzz::pipeline),
        ("calendar", mcp_fuzz::calendar),
        ("policy", mcp_fuzz::policy),
        ("plan_request", mcp_fuzz::plan_request),
        ("judge_lines", mcp_fuzz::judge_lines),
        ("proto_text", mcp_fuzz::proto_text),
        ("descriptor_set", mcp_fuzz::descriptor_set),
        ("protobuf_binary", mcp_fuzz::protobuf_binary),
        ("protobuf_json", mcp_fuzz::protobuf_json),
    ];
    for (target, run) in targets {
        assert!(replay(target, run) >= 5, "{target} has too small a corpus");
    }
}

#[test]
fn every_beginning_of_every_input_comes_back() {
    // Cut inputs are what a torn write leaves behind.
    fn cut(run: Target) -> impl Fn(&[u8]) {
        move |data| (0..data.len()).step_by(1 + data.len() / 64).for_each(|end| run(data.split_at(end).0))
    }
    for (target, run) in [
        ("words", mcp_fuzz::words as Target),
        ("pack_footer", mcp_fuzz::pack_footer),
        ("chunk_table", mcp_fuzz::chunk_table),
        ("document", mcp_fuzz::document),
        ("cel", mcp_fuzz::cel),
        ("rules", mcp_fuzz::rules),
        ("avro_schema", mcp_fuzz::avro_schema),
        ("avro_document", mcp_fuzz::avro_document),
        ("pipeline", mcp_fuzz::pipeline),
        ("calendar", mcp_fuzz::calendar),
        ("policy", mcp_fuzz::policy),
        ("plan_request", mcp_fuzz::plan_request),
        ("judge_lines", mcp_fuzz::judge_lines),
        ("descriptor_set", mcp_fuzz::descriptor_set),
        ("protobuf_binary", mcp_fuzz::protobuf_binary),
        ("protobuf_json", mcp_fuzz::protobuf_json),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        for entry in std::fs::read_dir(folder).unwrap() {
            cut(run)(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
