//! Invariant 9, each kind of hostile input in a process of its own: it ends as `Exhausted`, as a refusal or as a finding, on a thread with a
//! stack of 2 MiB, with the process alive and the peak of its memory below a bound that is stated with each test.
//!
//! The bound is on what the peak grows by over what the process had with the input in hand. Address space is capped at 6 GiB, so that what
//! runs away ends its own process and not the machine. Where there is no `/proc`, memory is not looked at.
#![cfg(all(feature = "json-schema", feature = "avro", feature = "protobuf"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests stop at the first surprise, and a child tells its parent by what it prints"
)]

use std::fmt::Write as _;
use std::process::Command;

use mcp_core::{ErrorKind, SystemClock};
use mcp_validation::rule::Rule;
use mcp_validation::{
    Avro, Contract, ContractBuilder, Document, Encoding, Limits, Protobuf, ValidationError,
};

/// Says which test is to be run in this process.
const CHILD: &str = "MCP_HOSTILE_CHILD";
const STACK_BYTES: usize = 2 << 20;
const MIB: u64 = 1 << 20;

/// The most memory that this process ever had; 0 where nobody tells.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// In the parent: runs `test` again in a child and looks at how that ended. In the child: makes the input, then works on it.
#[expect(clippy::disallowed_methods, reason = "the parent tells the child what it is by a variable")]
fn in_a_child<I: Send>(
    test: &str,
    may_grow: u64,
    input: impl FnOnce() -> I + Send,
    work: impl FnOnce(I) + Send,
) {
    if std::env::var(CHILD).is_ok_and(|child| child == test) {
        let input = input();
        let before = peak_bytes();
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, || work(input)).unwrap().join().expect("as it should");
        });
        println!("grew {}", peak_bytes() - before);
        return;
    }
    let script = "ulimit -v 6291456; exec \"$0\" \"$@\"";
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new("sh");
    child.args(["-c", script]).arg(program).args(["--exact", test, "--nocapture", "--test-threads=1"]);
    let output = child.env(CHILD, test).output().unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the child ended with {}: {told}{errors}", output.status);
    let grew =
        told.lines().find_map(|line| line.split_once("grew ")?.1.parse::<u64>().ok()).expect("a figure");
    assert!(grew <= may_grow, "memory grew by {} KiB, at most {} are allowed", grew >> 10, may_grow >> 10);
    println!("{test}: {} KiB of {}", grew >> 10, may_grow >> 10);
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

fn kind<T>(outcome: Result<T, ValidationError>) -> Result<T, ErrorKind> {
    outcome.map_err(|error| error.kind())
}

/// `Ok` where there was a report, and whether it says valid.
fn verdict(builder: ContractBuilder, document: &Document) -> Result<bool, ErrorKind> {
    kind(builder.build().and_then(|contract| contract.validate(document)).map(|report| report.valid))
}

fn nested(levels: usize, leaf: &str) -> String {
    format!("{}{leaf}{}", "[".repeat(levels), "]".repeat(levels))
}

const EXPONENTIAL: &str = r##"{"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1}]}"##;

#[test]
fn the_exponential_schema_runs_out_of_steps() {
    let input = || Document::json(nested(90, "1"));
    in_a_child("the_exponential_schema_runs_out_of_steps", 32 * MIB, input, |document| {
        let few = limits(|limits| limits.max_steps = 100_000);
        let error = Contract::json_schema(EXPONENTIAL).limits(few).build().unwrap().validate(&document);
        assert!(matches!(error, Err(ValidationError::StepsExhausted { .. })), "{error:?}");
    });
}

/// The last guard: steps without end, and a quarter of a second. Errors may take 64 MiB meanwhile.
#[test]
fn the_exponential_schema_runs_out_of_time_where_steps_do_not_count() {
    let input = || Document::json(nested(90, "1"));
    let name = "the_exponential_schema_runs_out_of_time_where_steps_do_not_count";
    in_a_child(name, 96 * MIB, input, |document| {
        let short = limits(|limits| (limits.max_steps, limits.max_time_ms) = (u64::MAX, 250));
        let clock = SystemClock::new();
        let error = Contract::json_schema(EXPONENTIAL).limits(short).build().unwrap().validate(&document);
        assert!(matches!(error, Err(ValidationError::TimeExhausted { max_time_ms: 250 })), "{error:?}");
        let took = mcp_core::Clock::monotonic(&clock);
        assert!(took < std::time::Duration::from_secs(20), "{took:?}");
    });
}

/// 16 MiB of brackets, and 8 MiB of schema: nothing is kept of either.
#[test]
fn documents_and_schemas_that_nest_without_end_are_exhausted() {
    let name = "documents_and_schemas_that_nest_without_end_are_exhausted";
    let input = || {
        let document = Document::json("[".repeat(16 << 20));
        let objects = Document::json("{\"a\":".repeat(3 << 20));
        let schema = r#"{"items":"#.repeat((8 << 20) / 9);
        ([document, objects], schema, nested(1 << 20, ""))
    };
    in_a_child(name, 32 * MIB, input, |(documents, schema, closed)| {
        for document in &documents {
            assert_eq!(verdict(Contract::json_schema("true"), document), Err(ErrorKind::Exhausted));
        }
        assert_eq!(
            verdict(Contract::json_schema("true"), &Document::json(closed)),
            Err(ErrorKind::Exhausted)
        );
        assert_eq!(verdict(Contract::json_schema(schema), &documents[0]), Err(ErrorKind::Exhausted));
    });
}

/// As many values as 4 MiB hold: at most 32 times as much, and 64 MiB of errors.
#[test]
fn a_document_of_very_many_values_takes_a_small_multiple_of_its_bytes() {
    let name = "a_document_of_very_many_values_takes_a_small_multiple_of_its_bytes";
    let input = || {
        let numbers = format!("[{}0]", "0,".repeat(2 << 20));
        let objects = format!("[{}{{}}]", "{},".repeat((4 << 20) / 3));
        [Document::json(numbers), Document::json(objects)]
    };
    in_a_child(name, 192 * MIB, input, |[numbers, objects]| {
        for document in [numbers, objects] {
            let outcome = verdict(Contract::json_schema(r#"{"items": {"type": "string"}}"#), &document);
            assert!(matches!(outcome, Ok(false) | Err(ErrorKind::Exhausted)), "{outcome:?}");
        }
    });
}

#[test]
fn patterns_that_ruin_a_backtracking_engine_match_in_linear_time() {
    let name = "patterns_that_ruin_a_backtracking_engine_match_in_linear_time";
    let input = || Document::json(format!("\"{}\"", "x".repeat(1 << 20)));
    in_a_child(name, 64 * MIB, input, |document| {
        for pattern in ["(x+x+)+y", "^(x|x)*y$", "(x*)*y", "^(([x])+.)+[x]([x]+)+y$"] {
            let schema = format!(r#"{{"pattern": "{pattern}"}}"#);
            assert_eq!(verdict(Contract::json_schema(schema), &document), Ok(false), "{pattern}");
            let rule = Contract::builder().rule(Rule::pattern("p", "", pattern));
            assert_eq!(verdict(rule, &document), Ok(false), "{pattern}");
        }
    });
}

#[test]
fn a_pattern_that_grows_when_it_is_compiled_is_refused() {
    let name = "a_pattern_that_grows_when_it_is_compiled_is_refused";
    in_a_child(
        name,
        64 * MIB,
        || Document::json("\"x\""),
        |document| {
            for pattern in ["((x{100}){100}){100}", r"[\\w\\W]{1000}{1000}", r"\\p{L}{5000}"] {
                let schema = format!(r#"{{"pattern": "{pattern}"}}"#);
                let outcome = verdict(Contract::json_schema(schema), &document);
                assert!(
                    matches!(outcome, Err(ErrorKind::Invalid | ErrorKind::Exhausted)),
                    "{pattern}: {outcome:?}"
                );
            }
        },
    );
}

/// 200,000 patterns in 8 MiB of schema, each small enough alone: the limit is 64 MiB for all, the schema's tree takes more.
#[test]
fn very_many_patterns_are_exhausted_before_they_are_compiled() {
    let name = "very_many_patterns_are_exhausted_before_they_are_compiled";
    let input = || {
        let mut schema = "{\"anyOf\":[true".to_owned();
        for number in 0..200_000 {
            write!(schema, ",{{\"pattern\":\"{number}x{{900}}y\"}}").unwrap();
        }
        (schema + "]}", Document::json("\"x\""))
    };
    in_a_child(name, 512 * MIB, input, |(schema, document)| {
        assert_eq!(verdict(Contract::json_schema(schema), &document), Err(ErrorKind::Exhausted));
    });
}

/// 1,000 patterns that are within the limit, each run over names that fill what it may remember of them.
#[test]
fn what_patterns_remember_of_hostile_texts_is_bounded() {
    let name = "what_patterns_remember_of_hostile_texts_is_bounded";
    let input = || {
        let mut schema = "{\"patternProperties\":{\"a\":true".to_owned();
        for number in 0..1000 {
            write!(schema, ",\"[ab]*a[ab]{{{}}}{number}c\":true", 5 + number % 12).unwrap();
        }
        let mut document = "{".to_owned();
        let mut state = 1_u64;
        for member in 0..8 {
            let name: String = (0..2000)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    if state >> 63 == 0 { 'a' } else { 'b' }
                })
                .collect();
            write!(document, "\"{name}{member}\":1,").unwrap();
        }
        (schema + "}}", Document::json(document + "\"z\":1}"))
    };
    in_a_child(name, 384 * MIB, input, |(schema, document)| {
        let patient = limits(|limits| limits.max_time_ms = 600_000);
        assert_eq!(verdict(Contract::json_schema(schema).limits(patient), &document), Ok(true));
    });
}

#[test]
fn references_that_multiply_are_exhausted_when_they_are_compiled() {
    let name = "references_that_multiply_are_exhausted_when_they_are_compiled";
    let schema = |levels: usize, width: usize, keyword: &str| {
        let mut definitions = String::new();
        for level in 0..levels {
            let next = vec![format!(r##"{{"$ref":"#/$defs/d{}"}}"##, level + 1); width].join(",");
            write!(definitions, r#""d{level}":{{"{keyword}":[{next}]}},"#).unwrap();
        }
        format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{definitions}"d{levels}":{{"type":"integer"}}}}}}"##)
    };
    let input = || {
        let doubling = ["allOf", "anyOf", "oneOf"].map(|keyword| schema(64, 2, keyword));
        (doubling, schema(10, 10, "allOf"), Document::json("\"x\""))
    };
    in_a_child(name, 32 * MIB, input, |(doubling, laughs, document)| {
        for schema in doubling.into_iter().chain([laughs]) {
            assert_eq!(verdict(Contract::json_schema(schema), &document), Err(ErrorKind::Exhausted));
        }
    });
}

/// 8 MiB of references, each to the next, are 200,000. No more than 10,000 may apply to one value; to count them takes time and memory in
/// proportion to the schema.
#[test]
fn a_chain_of_references_is_compiled_in_bounded_time_or_exhausted() {
    let name = "a_chain_of_references_is_compiled_in_bounded_time_or_exhausted";
    let chain = |length: usize| {
        let links: Vec<String> =
            (0..length).map(|index| format!(r##""d{index}":{{"$ref":"#/$defs/d{}"}}"##, index + 1)).collect();
        format!(
            r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d{length}":{{"type":"integer"}}}}}}"##,
            links.join(",")
        )
    };
    let input = || ([9_900, 60_000, 200_000].map(chain), Document::json("1"));
    in_a_child(name, 512 * MIB, input, |(schemas, document)| {
        let clock = SystemClock::new();
        let outcomes = schemas.map(|schema| {
            let outcome = verdict(Contract::json_schema(schema), &document);
            println!("{outcome:?} after {:?}", mcp_core::Clock::monotonic(&clock));
            outcome
        });
        assert_eq!(outcomes, [Ok(true), Err(ErrorKind::Exhausted), Err(ErrorKind::Exhausted)]);
        let took = mcp_core::Clock::monotonic(&clock);
        assert!(took < std::time::Duration::from_secs(60), "{took:?}");
    });
}

fn zigzag(value: i64) -> Vec<u8> {
    let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

#[test]
fn an_avro_bomb_of_350_bytes_is_exhausted() {
    let input = || [vec![2; 350], vec![2; 16 << 20]].map(|bytes| Document::new(Encoding::AvroBinary, bytes));
    in_a_child("an_avro_bomb_of_350_bytes_is_exhausted", 16 * MIB, input, |documents| {
        let linked = r#"{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"]}]}"#;
        let arrays =
            r#"{"type":"record","name":"N","fields":[{"name":"n","type":{"type":"array","items":"N"}}]}"#;
        for schema in [linked, arrays] {
            for document in &documents {
                assert_eq!(verdict(Contract::schema(Avro, schema), document), Err(ErrorKind::Exhausted));
            }
        }
    });
}

#[test]
fn lengths_that_avro_merely_declares_take_no_memory() {
    let input = || {
        let huge = [zigzag(1 << 60), zigzag(i64::MAX), zigzag(i64::MIN)];
        huge.map(|bytes| Document::new(Encoding::AvroBinary, [bytes, vec![0; 64]].concat()))
    };
    in_a_child("lengths_that_avro_merely_declares_take_no_memory", 64 * MIB, input, |documents| {
        let few = || limits(|limits| (limits.max_steps, limits.max_document_bytes) = (1_000_000, 1 << 20));
        for schema in [
            r#""bytes""#,
            r#""string""#,
            r#"{"type":"array","items":"int"}"#,
            r#"{"type":"array","items":"null"}"#,
            r#"{"type":"array","items":{"type":"record","name":"R","fields":[]}}"#,
            r#"{"type":"map","values":"null"}"#,
        ] {
            for document in &documents {
                let outcome = verdict(Contract::schema(Avro, schema).limits(few()), document);
                assert!(matches!(outcome, Ok(false) | Err(ErrorKind::Exhausted)), "{schema}: {outcome:?}");
            }
        }
    });
}

#[test]
fn an_avro_block_that_inflates_without_end_is_exhausted() {
    let name = "an_avro_block_that_inflates_without_end_is_exhausted";
    let input = || {
        let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; 256 << 20], 9);
        let mut file = b"Obj\x01\x04".to_vec();
        for text in [&b"avro.schema"[..], b"\"int\"", b"avro.codec", b"deflate"] {
            file.extend(zigzag(i64::try_from(text.len()).unwrap()));
            file.extend(text);
        }
        file.extend(
            [&[0][..], &[7; 16], &zigzag(1), &zigzag(i64::try_from(bomb.len()).unwrap()), &bomb, &[7; 16]]
                .concat(),
        );
        Document::new(Encoding::AvroContainer, file)
    };
    in_a_child(name, 64 * MIB, input, |document| {
        assert_eq!(verdict(Contract::schema(Avro, "\"int\""), &document), Err(ErrorKind::Exhausted));
    });
}

/// Each level holds the one before twice, the second time by a default.
#[test]
fn avro_defaults_that_double_are_exhausted() {
    let input = || {
        (1..40).fold(r#"{"type":"record","name":"R0","fields":[]}"#.to_owned(), |inner, level| {
            format!(
                r#"{{"type":"record","name":"R{level}","fields":[{{"name":"a","type":{inner},"default":{{}}}},{{"name":"b","type":"R{}","default":{{}}}}]}}"#,
                level - 1
            )
        })
    };
    in_a_child("avro_defaults_that_double_are_exhausted", 128 * MIB, input, |schema| {
        let few = limits(|limits| limits.max_steps = 1_000_000);
        let outcome = verdict(Contract::schema(Avro, schema).limits(few), &Document::json("{}"));
        assert_eq!(outcome, Err(ErrorKind::Exhausted));
    });
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

#[test]
fn protobuf_messages_that_nest_without_end_are_exhausted() {
    let name = "protobuf_messages_that_nest_without_end_are_exhausted";
    let input = || {
        let lengths =
            (0..5000).fold(Vec::new(), |inner: Vec<u8>, _| [vec![0x0a], varint(inner.len()), inner].concat());
        let groups = [0x0b].repeat(16 << 20);
        let json = format!("{}{}", "{\"m\":".repeat(1 << 20), "}".repeat(1 << 20));
        [
            Document::new(Encoding::ProtobufBinary, lengths),
            Document::new(Encoding::ProtobufBinary, groups),
            Document::new(Encoding::ProtobufJson, json),
        ]
    };
    in_a_child(name, 32 * MIB, input, |documents| {
        let contract = || Contract::schema(Protobuf::new(), "syntax = \"proto3\"; message M { M m = 1; }");
        for document in &documents {
            let outcome = verdict(contract(), document);
            assert!(matches!(outcome, Ok(false) | Err(ErrorKind::Exhausted)), "{document:?}: {outcome:?}");
        }
        assert_eq!(verdict(contract(), &documents[0]), Err(ErrorKind::Exhausted));
        assert_eq!(verdict(contract(), &documents[2]), Err(ErrorKind::Exhausted));
    });
}

#[test]
fn proto_text_that_nests_without_end_is_exhausted() {
    let input = || {
        let messages =
            format!("syntax = \"proto3\"; {}{}", "message M {".repeat(400_000), "}".repeat(400_000));
        let options = format!("syntax = \"proto3\"; option (a) = {};", "{a:".repeat(1 << 20));
        let comments = ["/*".repeat(3 << 20), format!("{}*/", "/*".repeat(3 << 20))];
        [messages, options].into_iter().chain(comments).collect::<Vec<_>>()
    };
    in_a_child("proto_text_that_nests_without_end_is_exhausted", 64 * MIB, input, |texts| {
        for text in texts {
            let start: String = text.chars().take(30).collect();
            let before = peak_bytes();
            let outcome = kind(Contract::schema(Protobuf::new(), text).build().map(drop));
            println!("{start:?} {} KiB", (peak_bytes() - before) >> 10);
            assert!(matches!(outcome, Err(ErrorKind::Exhausted | ErrorKind::Invalid)), "{outcome:?}");
        }
    });
}

/// What the parser keeps of 2 MiB of declarations is 128 times as much; of more than 200,000 it keeps nothing.
#[test]
fn proto_text_of_very_many_faults_or_declarations_is_refused() {
    let name = "proto_text_of_very_many_faults_or_declarations_is_refused";
    let input = || {
        let texts = [
            "@ ",
            "\u{1}",
            "\"\\q\" ",
            "; = ",
            "message ",
            "0x ",
            "message M { int32 a = 0; } ",
            "optional ",
        ];
        texts.map(|text| text.repeat((2 << 20) / text.len()))
    };
    in_a_child(name, 256 * MIB, input, |texts| {
        for text in texts {
            let start: String = text.chars().take(10).collect();
            let before = peak_bytes();
            let outcome = kind(Contract::schema(Protobuf::new(), text).build().map(drop));
            println!("{start:?} {} KiB", (peak_bytes() - before) >> 10);
            assert!(
                matches!(outcome, Err(ErrorKind::Exhausted | ErrorKind::Invalid)),
                "{start}: {outcome:?}"
            );
        }
    });
}

/// A ladder of 60 rungs with two imports each: 2^60 ways lead down.
#[test]
fn proto_imports_that_double_are_followed_once() {
    let input = || {
        (0..60)
            .flat_map(|level: usize| ["a", "b"].map(|side| (level, side)))
            .map(|(level, side)| {
                let imports: String = ["a", "b"]
                    .iter()
                    .filter(|_| level > 0)
                    .map(|next| format!("import public \"{next}{}\";", level - 1))
                    .collect();
                (
                    format!("{side}{level}"),
                    format!("syntax = \"proto3\"; {imports} message M{side}{level} {{}}"),
                )
            })
            .collect::<Vec<_>>()
    };
    in_a_child("proto_imports_that_double_are_followed_once", 64 * MIB, input, |files| {
        let root = "syntax = \"proto3\"; import \"a59\"; import \"b59\"; message M { Ma0 m = 1; }";
        let schema = Contract::schema(Protobuf::new().message("M"), root);
        let builder = files.into_iter().fold(schema, |builder, (name, text)| builder.reference(name, text));
        let outcome = kind(builder.build().map(drop));
        assert!(matches!(outcome, Ok(()) | Err(ErrorKind::Exhausted)), "{outcome:?}");
    });
}

/// Every key stands twice: pointers to a thousand of them are kept, and the rest is counted.
#[test]
fn very_many_duplicate_keys_are_told_in_bounded_memory() {
    let input = || {
        let mut text = "{".to_owned();
        for number in 0..400_000 {
            write!(text, "\"{number}\":1,\"{number}\":2,").unwrap();
        }
        Document::json(text + "\"z\":1}")
    };
    in_a_child("very_many_duplicate_keys_are_told_in_bounded_memory", 256 * MIB, input, |document| {
        assert_eq!(verdict(Contract::json_schema("true"), &document), Ok(false));
    });
}

/// Loops that multiply, texts and lists that double, and expressions that nest or never end.
#[cfg(feature = "cel")]
#[test]
fn expressions_in_cel_that_multiply_are_exhausted_or_refused() {
    let name = "expressions_in_cel_that_multiply_are_exhausted_or_refused";
    let input = || {
        let list = format!("[{}0]", "0,".repeat(99));
        let loops = (0..8).fold("true".to_owned(), |inner, level| format!("doc.all(v{level}, {inner})"));
        let doubled =
            |seed: &str| (0..40).fold(seed.to_owned(), |text, _| format!("[{text}].map(x, x + x)[0]"));
        let runs = vec![
            loops,
            format!("size({}) > 0", doubled("'abcdefgh'")),
            format!("size({}) > 0", doubled("doc")),
        ];
        let refused = vec![
            format!("{}1 == 1", "1 + ".repeat(200_000)),
            format!("{}true{}", "(".repeat(100_000), ")".repeat(100_000)),
            format!("{}true", "!".repeat(1 << 20)),
            format!("size('{}') > 0", "a".repeat(4 << 20)),
            "[".repeat(1 << 20),
        ];
        (Document::json(list), runs, refused)
    };
    in_a_child(name, 96 * MIB, input, |(document, runs, refused)| {
        for expression in runs {
            let start: String = expression.chars().take(40).collect();
            let few = limits(|limits| limits.max_steps = 2_000_000);
            let contract = Contract::builder().rule(Rule::cel("hostile", expression)).limits(few);
            let outcome = verdict(contract, &document);
            assert!(
                matches!(outcome, Err(ErrorKind::Exhausted | ErrorKind::Invalid)),
                "{start}: {outcome:?}"
            );
        }
        for expression in refused {
            let start: String = expression.chars().take(40).collect();
            let outcome = kind(Contract::builder().rule(Rule::cel("hostile", expression)).build().map(drop));
            assert!(
                matches!(outcome, Err(ErrorKind::Invalid | ErrorKind::Exhausted)),
                "{start}: {outcome:?}"
            );
        }
    });
}

/// The last guard holds for expressions too.
#[cfg(feature = "cel")]
#[test]
fn loops_in_cel_run_out_of_time_where_steps_do_not_count() {
    let input = || Document::json(format!("[{}0]", "0,".repeat(99)));
    in_a_child("loops_in_cel_run_out_of_time_where_steps_do_not_count", 32 * MIB, input, |document| {
        let loops = (0..8).fold("true".to_owned(), |inner, level| format!("doc.all(v{level}, {inner})"));
        let short = limits(|limits| (limits.max_steps, limits.max_time_ms) = (u64::MAX, 250));
        let contract = Contract::builder().rule(Rule::cel("hostile", loops)).limits(short).build().unwrap();
        let error = contract.validate(&document);
        assert!(matches!(error, Err(ValidationError::TimeExhausted { max_time_ms: 250 })), "{error:?}");
    });
}
