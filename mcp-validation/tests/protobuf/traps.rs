//! Documents and schemas that are meant to do harm, each within its limits.

use mcp_core::ErrorKind;
use mcp_validation::*;
use serde_json::json;

use crate::*;

/// Runs `test` where a typical server would.
fn on_small_stack<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, test).unwrap().join().unwrap()
    })
}

fn deepest() -> Limits {
    let mut limits = Limits::default();
    limits.max_depth = Limits::DEEPEST;
    limits
}

fn nested(levels: usize) -> Vec<u8> {
    (1..levels).fold(Vec::new(), |inner, _| [varint(17 << 3 | 2), varint(inner.len() as u64), inner].concat())
}

#[test]
fn the_trap_of_deep_messages_is_exhausted_one_level_below_the_limit() {
    on_small_stack(|| {
        let contract = order().limits(deepest()).build().unwrap();
        assert!(contract.is_valid(&binary(nested(127))).unwrap());
        for levels in [128, 5_000] {
            let error = contract.validate(&binary(nested(levels))).expect_err("too deep");
            assert_eq!(error.kind(), ErrorKind::Exhausted);
        }
        // Groups that nobody knows nest without lengths.
        let groups = [[0xfb, 0x3f].repeat(1_000_000), [0xfc, 0x3f].repeat(1_000_000)].concat();
        assert_eq!(contract.validate(&binary(groups)).expect_err("too deep").kind(), ErrorKind::Exhausted);
        let any = (0..60).fold(Vec::new(), |inner, _| {
            let any = [record(1, b"x/shop.Order"), [vec![0x12], varint(inner.len() as u64), inner].concat()]
                .concat();
            [varint(13 << 3 | 2), varint(any.len() as u64), any].concat()
        });
        assert!(contract.is_valid(&binary(any)).unwrap());
        let mut json = json!({});
        for _ in 1..127 {
            json = json!({"part": json});
        }
        assert!(contract.is_valid(&text(&json)).unwrap());
        let deep = format!("{}{}", "{\"part\":".repeat(100_000), "}".repeat(100_000));
        let deep = Document::new(Encoding::ProtobufJson, deep);
        assert_eq!(contract.validate(&deep).expect_err("too deep").kind(), ErrorKind::Exhausted);
    });
}

#[test]
fn the_trap_of_declared_lengths_takes_no_memory() {
    for bytes in [
        &b"\x12\xff\xff\xff\xff\x0f"[..],
        b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ] {
        assert_eq!(codes(order(), binary(bytes)), pairs(&[("protobuf.wire", "")]), "{bytes:?}");
    }
}

#[test]
fn the_trap_of_a_document_that_grows_when_it_is_shown_is_exhausted() {
    let long = "a".repeat(500);
    let text = format!("syntax = \"proto3\"; message M {{ repeated M m = 1; bool {long} = 2; }}");
    let mut limits = Limits::default();
    limits.max_document_bytes = 1 << 20;
    let contract = Contract::schema(Protobuf::new(), text).limits(limits).build().unwrap();
    let bytes = b"\x0a\x02\x10\x01".repeat(1 << 18);
    let error = contract.validate(&binary(bytes)).expect_err("it grows");
    assert_eq!(error.kind(), ErrorKind::Exhausted);
}

#[test]
fn the_trap_of_many_steps_is_exhausted() {
    let mut limits = Limits::default();
    limits.max_steps = 1_000;
    let contract = order().limits(limits).build().unwrap();
    let error = contract.validate(&binary(b"\x28\x01".repeat(1_001))).expect_err("too many");
    assert!(matches!(error, ValidationError::StepsExhausted { .. }), "{error}");
    let error = contract.validate(&text(&json!({"sizes": vec![1; 1_001]}))).expect_err("too many");
    assert!(matches!(error, ValidationError::StepsExhausted { .. }), "{error}");
}

#[test]
fn the_traps_of_hostile_schemas_end_within_their_limits() {
    let kind =
        |text: String| on_small_stack(|| schema(&text).build().map(drop).map_err(|error| error.kind()));
    let exhausted = Err(ErrorKind::Exhausted);
    let proto3 = |text: &str| format!("syntax = \"proto3\"; {text}");
    // Deep messages, groups, options and types.
    assert_eq!(kind(proto3(&format!("{}{}", "message A {".repeat(100_000), "}".repeat(100_000)))), exhausted);
    assert_eq!(
        kind(proto3(&format!("option (a) = {{ {} {} }};", "a: {".repeat(100_000), "}".repeat(100_000)))),
        exhausted
    );
    assert_eq!(
        kind(proto3(&format!("option (a) = {{ a: {} {} }};", "[".repeat(100_000), "]".repeat(100_000)))),
        exhausted
    );
    assert_eq!(
        kind(proto3(&format!(
            "message M {{ {}{} a = 1; }}",
            "map<int32, ".repeat(100_000),
            ">".repeat(100_000)
        ))),
        exhausted
    );
    assert_eq!(kind(proto3(&format!("option {} = 1;", vec!["a"; 100_000].join(".")))), exhausted);
    // Two names on each of many levels, and one text that is too long.
    assert_eq!(kind(proto3(&" ".repeat(9 << 20))), exhausted);
    // The parser's own limit for messages is smaller than that for brackets.
    assert_eq!(
        kind(proto3(&format!("{}{}", "message A {".repeat(60), "}".repeat(60)))),
        Err(ErrorKind::Invalid)
    );
    let many: String = (1..100_000).map(|number| format!("int32 f{number} = {number};\n")).collect();
    assert_eq!(
        kind(proto3(&format!("message M {{ {} }}", many.replace("f19", "g19")))),
        Err(ErrorKind::Invalid),
        "reserved by Protobuf"
    );
    // Descriptors: nested without braces, cut, and of another kind.
    let deep = (0..10_000).fold(descriptor_text(1, "M"), |inner, _| {
        [descriptor_text(1, "M"), [vec![0x1a], varint(inner.len() as u64), inner].concat()].concat()
    });
    let file = [descriptor_text(1, "f"), [vec![0x22], varint(deep.len() as u64), deep].concat()].concat();
    let set = [vec![0x0a], varint(file.len() as u64), file].concat();
    assert_eq!(kind(Protobuf::schema_text(&set)), exhausted);
    assert_eq!(kind(Protobuf::schema_text(&set[..set.len() - 1])), Err(ErrorKind::Invalid));
    assert_eq!(kind(Protobuf::schema_text(b"\x0b\x0c")), Err(ErrorKind::Invalid));
}

#[test]
fn the_trap_of_a_ladder_of_public_imports_takes_no_exponential_time() {
    let file = |level: usize, side: &str| {
        let imports: String = ["a", "b"]
            .iter()
            .filter(|_| level > 0)
            .map(|next| format!("import public \"{next}{}\";\n", level - 1))
            .collect();
        format!("syntax = \"proto3\"; {imports} message M{side}{level} {{}}")
    };
    let imports: String = (0..40)
        .rev()
        .flat_map(|level| ["a", "b"].map(|side| format!("import \"{side}{level}\";\n")))
        .collect();
    let mut builder = schema(&format!("syntax = \"proto3\"; {imports} message Root {{ Ma0 m = 1; }}"));
    for level in 0..40 {
        for side in ["a", "b"] {
            builder = builder.reference(format!("{side}{level}"), file(level, side));
        }
    }
    assert_eq!(codes(builder, text(&json!({"m": {}}))), []);
}
