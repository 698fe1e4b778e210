//! Protobuf schemas and documents: what is valid, what is found, and what rules see.
#![cfg(feature = "protobuf")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod traps;

use std::sync::{Arc, Mutex};

use mcp_core::{Digest, ErrorKind};
use mcp_validation::{
    Contract, ContractBuilder, Document, Encoding, Findings, Protobuf, Rule, UnknownFields, Validator,
    ValidatorError,
};
use serde_json::{Value, json};

const ORDER: &str = r#"
syntax = "proto3";
package shop;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

message Order {
  reserved "old_name";
  int32 item_count = 1;
  string title = 2;
  bytes seal = 3;
  State state = 4;
  repeated int32 sizes = 5;
  repeated Line lines = 6;
  map<string, Line> by_name = 7;
  map<int32, bool> flags = 8;
  oneof payment { string card = 9; int64 cash = 10; }
  google.protobuf.Timestamp at = 11;
  google.protobuf.Duration took = 12;
  google.protobuf.Any extra = 13;
  google.protobuf.Struct data = 14;
  google.protobuf.Int64Value limit = 15;
  google.protobuf.FieldMask mask = 16;
  Order part = 17;
  float ratio = 18;
  uint64 total = 19;
  sint32 delta = 20;
  double share = 21;
  google.protobuf.Value any_value = 22;
}
message Line { int32 n = 1; }
enum State { NEW = 0; PAID = 1; }
"#;

const STRICT: &str = r#"
syntax = "proto2";
message Parcel {
  required int32 id = 1;
  optional Box box = 2;
  repeated Box boxes = 3;
  optional Colour colour = 4;
  optional group Label = 5 { required string text = 1; }
  map<string, Box> named = 6;
  repeated int32 loose = 7;
  extensions 100 to 199;
}
message Box { required int32 size = 1; }
enum Colour { RED = 1; BLUE = 2; }
extend Parcel { optional int32 weight = 100; }
"#;

/// What validators were shown.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Option<Value>>>);

impl Validator for Shown {
    fn validate(&self, document: &Document, _: &mut Findings) -> Result<(), ValidatorError> {
        *self.0.lock().unwrap() = Some(document.value()?.clone());
        Ok(())
    }

    fn fingerprint(&self) -> Option<Digest> {
        None
    }
}

fn order() -> ContractBuilder {
    Contract::schema(Protobuf::new().message("shop.Order"), ORDER)
}

fn parcel() -> ContractBuilder {
    Contract::schema(Protobuf::new().message("Parcel"), STRICT)
}

fn codes(builder: ContractBuilder, document: Document) -> Vec<(String, String)> {
    let contract = builder.build().unwrap();
    let report = contract.validate(&document).unwrap();
    assert_eq!(contract.is_valid(&document).unwrap(), report.valid);
    report.findings.into_iter().map(|found| (found.code.into_owned(), found.path)).collect()
}

fn binary(bytes: impl Into<Vec<u8>>) -> Document {
    Document::new(Encoding::ProtobufBinary, bytes.into())
}

fn text(value: &Value) -> Document {
    Document::new(Encoding::ProtobufJson, value.to_string())
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(code, path)| ((*code).to_owned(), (*path).to_owned())).collect()
}

fn shown(builder: ContractBuilder, document: &Document) -> Value {
    let seen = Shown::default();
    let report = builder.validator(seen.clone()).build().unwrap().validate(document).unwrap();
    assert_eq!(report.errors, 0, "{report}");
    let shown = seen.0.lock().unwrap().take();
    shown.expect("asked")
}

/// A record with a length.
fn record(number: u8, bytes: &[u8]) -> Vec<u8> {
    let key = u32::from(number) << 3 | 2;
    let mut record = varint(u64::from(key));
    record.extend(varint(bytes.len() as u64));
    record.extend(bytes);
    record
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

#[test]
fn both_encodings_show_rules_the_same_value() {
    let line = record(6, b"\x08\x07");
    let any = [record(1, b"type.googleapis.com/shop.Line"), record(2, b"\x08\x05")].concat();
    let data = record(1, &[record(1, b"k"), record(2, b"\x20\x01")].concat());
    let bytes = [
        b"\x08\x03".to_vec(),
        record(2, b"book"),
        record(3, b"\xff\x00"),
        b"\x20\x01".to_vec(),
        record(5, b"\x01\x02"),
        b"\x28\x03".to_vec(),
        line.clone(),
        line,
        record(7, &[record(1, b"a"), record(2, b"\x08\x01")].concat()),
        record(8, b"\x08\x02\x10\x01"),
        b"\x50\x09".to_vec(),
        record(11, &[b"\x08\x01\x10".to_vec(), varint(500_000_000)].concat()),
        record(12, b"\x08\x02"),
        record(13, &any),
        record(14, &data),
        record(15, b"\x08\x0b"),
        record(16, &[record(1, b"foo_bar"), record(1, b"baz")].concat()),
        b"\x95\x01\xcd\xcc\xcc\x3d".to_vec(),
        b"\x98\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(),
        b"\xa0\x01\x03".to_vec(),
    ]
    .concat();
    let expected = json!({
        "itemCount": 3, "title": "book", "seal": "/wA=", "state": "PAID", "sizes": [1, 2, 3], "lines": [{"n": 7}, {"n": 7}],
        "byName": {"a": {"n": 1}}, "flags": {"2": true}, "cash": 9, "at": "1970-01-01T00:00:01.500Z", "took": "2s",
        "extra": {"@type": "type.googleapis.com/shop.Line", "n": 5}, "data": {"k": true}, "limit": 11, "mask": "fooBar,baz",
        "ratio": 0.1, "total": u64::MAX, "delta": -2,
    });
    assert_eq!(shown(order(), &binary(bytes)), expected);
    let mut written = expected.clone();
    written["total"] = json!("18446744073709551615");
    written["cash"] = json!("9");
    written["item_count"] = written.as_object_mut().unwrap().remove("itemCount").unwrap();
    written["state"] = json!(1);
    written["title"] = json!("book");
    assert_eq!(shown(order(), &text(&written)), expected);
}

#[test]
fn a_rule_about_a_number_holds_for_both_encodings() {
    let positive = || order().rule(Rule::range("few", "/total", ..10.0));
    assert_eq!(codes(positive(), binary(*b"\x98\x01\x0c")), pairs(&[("rule.few", "/total")]));
    assert_eq!(codes(positive(), text(&json!({"total": "12"}))), pairs(&[("rule.few", "/total")]));
    assert_eq!(codes(positive(), text(&json!({"total": "9"}))), []);
}

#[test]
fn every_fault_of_a_binary_document_is_found_at_its_place() {
    let faults = [
        b"\x0a\x01x".to_vec(),
        record(2, b"\xff"),
        record(6, b"\x0a\x00"),
        record(7, &[record(1, b"a/b"), record(2, b"\x0d\0\0\0\0")].concat()),
        record(11, b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    ]
    .concat();
    let expected = [
        ("protobuf.value", "/at"),
        ("protobuf.wire-type", "/byName/a~1b/n"),
        ("protobuf.wire-type", "/itemCount"),
        ("protobuf.wire-type", "/lines/0/n"),
        ("protobuf.utf8", "/title"),
    ];
    assert_eq!(codes(order(), binary(faults)), pairs(&expected));
}

#[test]
fn bytes_that_are_no_records_are_an_error() {
    for bytes in
        [&b"\x08"[..], b"\x12\x05hi", b"\x00\x01", b"\x0c", b"\x32\x02\x08", b"\x2a\x01\x80", b"\x0f"]
    {
        let found = codes(order().rule(Rule::required("r", "/title")), binary(bytes));
        assert_eq!(
            found.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(),
            ["protobuf.wire"],
            "{bytes:?}"
        );
    }
    assert_eq!(codes(order(), binary(*b"")), []);
}

#[test]
fn every_fault_of_a_json_document_is_found_at_its_place() {
    let document = json!({
        "itemCount": 1.5, "title": 1, "seal": "*", "state": "LOST", "sizes": [1, "x", null], "lines": [{"n": 4_294_967_296_u64}, null],
        "byName": {"a": {"x": 1}}, "flags": {"x": true, "1": 0}, "card": "c", "cash": 1, "at": "yesterday", "took": "1",
        "extra": {"@type": "shop.Nothing"}, "data": [], "limit": "many", "mask": "a_b", "ratio": 1e39, "total": -1, "nothing": 1,
        "part": {"part": {"title": null, "lines": {}}},
    });
    let expected = [
        ("protobuf.value", "/at"),
        ("protobuf.unknown-field", "/byName/a/x"),
        ("protobuf.oneof", "/cash"),
        ("protobuf.value", "/data"),
        ("protobuf.any", "/extra/@type"),
        ("protobuf.type", "/flags/1"),
        ("protobuf.map-key", "/flags/x"),
        ("protobuf.type", "/itemCount"),
        ("protobuf.type", "/limit"),
        ("protobuf.range", "/lines/0/n"),
        ("protobuf.null", "/lines/1"),
        ("protobuf.value", "/mask"),
        ("protobuf.unknown-field", "/nothing"),
        ("protobuf.type", "/part/part/lines"),
        ("protobuf.range", "/ratio"),
        ("protobuf.base64", "/seal"),
        ("protobuf.type", "/sizes/1"),
        ("protobuf.type", "/sizes/2"),
        ("protobuf.enum", "/state"),
        ("protobuf.type", "/title"),
        ("protobuf.value", "/took"),
        ("protobuf.range", "/total"),
    ];
    assert_eq!(codes(order(), text(&document)), pairs(&expected));
    assert_eq!(codes(order(), text(&json!([]))), pairs(&[("protobuf.type", "")]));
}

#[test]
fn json_names_a_field_either_way_and_not_both_ways() {
    assert_eq!(codes(order(), text(&json!({"item_count": 1}))), []);
    let both = json!({"item_count": 1, "itemCount": 1});
    assert_eq!(codes(order(), text(&both)), pairs(&[("protobuf.duplicate-field", "/item_count")]));
}

#[test]
fn the_trap_of_duplicate_json_keys_is_found() {
    let document = Document::new(Encoding::ProtobufJson, r#"{"title": "a", "title": "b"}"#);
    assert_eq!(codes(order(), document), pairs(&[("document.duplicate-key", "/title")]));
}

#[test]
fn null_is_an_absent_field_and_a_value_only_where_one_is_meant() {
    assert_eq!(shown(order(), &text(&json!({"title": null, "card": null, "cash": 1}))), json!({"cash": 1}));
    assert_eq!(shown(order(), &text(&json!({"anyValue": null}))), json!({"anyValue": null}));
    assert_eq!(shown(order(), &binary(record(22, b"\x08\x00")))["anyValue"], json!(null));
}

#[test]
fn what_the_wire_splits_is_merged_and_the_last_one_counts() {
    let part = |bytes: &[u8]| [varint(17 << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat();
    let bytes = [
        part(b"\x08\x01"),
        part(&record(2, b"x")),
        record(9, b"c"),
        b"\x50\x01".to_vec(),
        b"\x08\x01\x08\x02".to_vec(),
    ]
    .concat();
    assert_eq!(
        shown(order(), &binary(bytes)),
        json!({"part": {"itemCount": 1, "title": "x"}, "cash": 1, "itemCount": 2})
    );
}

#[test]
fn required_fields_are_missed_in_both_encodings_however_deep() {
    let bytes = [record(2, b""), record(3, b""), b"\x2b\x2c".to_vec(), record(6, &record(1, b"k"))].concat();
    let expected = [
        ("protobuf.required", ""),
        ("protobuf.required", "/box"),
        ("protobuf.required", "/boxes/0"),
        ("protobuf.required", "/label"),
        ("protobuf.required", "/named/k"),
    ];
    assert_eq!(codes(parcel(), binary(bytes)), pairs(&expected));
    let document = json!({"box": {}, "boxes": [{"size": null}], "label": {}, "named": {"k": {}}});
    assert_eq!(codes(parcel(), text(&document)), pairs(&expected));
    assert_eq!(codes(parcel(), binary(*b"\x08\x01")), []);
    assert_eq!(codes(parcel(), text(&json!({"id": 1, "[weight]": 3}))), []);
    assert_eq!(shown(parcel(), &binary(*b"\x08\x01\xa0\x06\x03")), json!({"id": 1, "[weight]": 3}));
}

#[test]
fn packed_and_loose_elements_are_read_whatever_the_schema_says() {
    let bytes = [b"\x08\x01".to_vec(), b"\x38\x01".to_vec(), record(7, b"\x02\x03")].concat();
    assert_eq!(shown(parcel(), &binary(bytes)), json!({"id": 1, "loose": [1, 2, 3]}));
}

#[test]
fn unknown_fields_are_what_the_setting_says() {
    let unknown = || binary(*b"\xf8\x3f\x01");
    let json = || text(&json!({"nothing": 1}));
    let with =
        |unknown| Contract::schema(Protobuf::new().message("shop.Order").unknown_fields(unknown), ORDER);
    assert_eq!(codes(with(UnknownFields::ByEncoding), unknown()), []);
    assert_eq!(
        codes(with(UnknownFields::ByEncoding), json()),
        pairs(&[("protobuf.unknown-field", "/nothing")])
    );
    assert_eq!(codes(with(UnknownFields::Ignored), unknown()), []);
    assert_eq!(codes(with(UnknownFields::Ignored), json()), []);
    assert_eq!(codes(with(UnknownFields::Refused), unknown()), pairs(&[("protobuf.unknown-field", "")]));
    assert_eq!(codes(with(UnknownFields::Refused), json()), pairs(&[("protobuf.unknown-field", "/nothing")]));
    // A name that is reserved was a field once.
    let report = order().build().unwrap().validate(&text(&json!({"oldName": 1}))).unwrap();
    assert_eq!((report.valid, report.warnings), (true, 1), "{report}");
}

#[test]
fn a_closed_enum_has_its_own_numbers_only_and_an_open_one_has_all() {
    assert_eq!(shown(order(), &binary(*b"\x20\x09")), json!({"state": 9}));
    assert_eq!(codes(order(), text(&json!({"state": 9}))), []);
    assert_eq!(shown(parcel(), &binary(*b"\x08\x01\x20\x09")), json!({"id": 1}));
    assert_eq!(shown(parcel(), &binary(*b"\x08\x01\x20\x02\x20\x09")), json!({"id": 1, "colour": "BLUE"}));
    let refusing = Protobuf::new().message("Parcel").unknown_fields(UnknownFields::Refused);
    let found = codes(Contract::schema(refusing, STRICT), binary(*b"\x08\x01\x20\x09"));
    assert_eq!(found, pairs(&[("protobuf.enum", "/colour")]));
    assert_eq!(codes(parcel(), text(&json!({"id": 1, "colour": 9}))), pairs(&[("protobuf.enum", "/colour")]));
}

#[test]
fn an_any_of_a_type_that_is_not_known_is_refused_in_json_only() {
    let any = record(13, &[record(1, b"x/y.Z"), record(2, b"\x08")].concat());
    let report = order().build().unwrap().validate(&binary(any)).unwrap();
    assert_eq!((report.valid, report.infos), (true, 1), "{report}");
    // Inside a known type faults are found.
    let any = record(13, &[record(1, b"x/shop.Line"), record(2, b"\x08")].concat());
    assert_eq!(codes(order(), binary(any)), pairs(&[("protobuf.wire", "/extra")]));
}

fn refusal(builder: ContractBuilder) -> (ErrorKind, String) {
    let error = builder.build().expect_err("refused");
    let mut told = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    (error.kind(), told)
}

fn schema(text: &str) -> ContractBuilder {
    Contract::schema(Protobuf::new(), text)
}

#[test]
fn the_message_is_the_one_that_stands_alone_or_the_one_that_is_named() {
    let nested =
        "syntax = \"proto3\"; message Item { int32 n = 1; } message Order { repeated Item items = 1; }";
    assert_eq!(codes(schema(nested), text(&json!({"items": [{"n": 1}]}))), []);
    let (kind, told) = refusal(schema("syntax = \"proto3\"; message A {} message B {}"));
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(told.contains("A, B"), "{told}");
    assert_eq!(refusal(schema("syntax = \"proto3\";")).0, ErrorKind::Invalid);
    assert_eq!(refusal(Contract::schema(Protobuf::new().message("C"), nested)).0, ErrorKind::NotFound);
}

#[test]
fn imports_are_found_among_the_references_and_nowhere_else() {
    let root = "syntax = \"proto3\"; import \"a.proto\"; message M { A a = 1; B b = 2; C c = 3; }";
    let a = "syntax = \"proto3\"; import public \"b.proto\"; message A {}";
    let b = "syntax = \"proto3\"; import public \"c.proto\"; message B {}";
    let c = "syntax = \"proto3\"; message C { int32 n = 1; }";
    let all = schema(root).reference("a.proto", a).reference("b.proto", b).reference("c.proto", c);
    assert_eq!(codes(all, text(&json!({"c": {"n": "x"}}))), pairs(&[("protobuf.type", "/c/n")]));
    let (kind, told) = refusal(schema(root).reference("a.proto", a));
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(told.contains("\"b.proto\""), "{told}");
    let (kind, told) = refusal(schema("syntax = \"proto3\"; message M { Nothing n = 1; }"));
    assert_eq!(kind, ErrorKind::Invalid, "{told}");
    let (kind, told) = refusal(schema("syntax = \"proto3\"; message M { int32 n = 1 }"));
    assert_eq!(kind, ErrorKind::Invalid, "{told}");
}

#[test]
fn the_trap_of_import_cycles_ends_as_invalid() {
    let import = |name: &str| format!("syntax = \"proto3\"; import \"{name}\"; message M{} {{}}", name.len());
    let (kind, told) =
        refusal(schema(&import("a")).reference("a", import("bb")).reference("bb", import("a")));
    assert_eq!(kind, ErrorKind::Invalid, "{told}");
    assert!(told.contains("circle"), "{told}");
}

/// A field of a descriptor's message.
fn descriptor_text(number: u8, text: &str) -> Vec<u8> {
    record(number, text.as_bytes())
}

/// `edition = "2023"`: an open enum, a required field and a delimited one by features.
fn edition_set(edition: u64) -> Vec<u8> {
    let field = |name: &str, number: u8, kind: u8, features: &[u8]| {
        let mut field = descriptor_text(1, name);
        field.extend([0x18, number, 0x20, 1, 0x28, kind]);
        if kind == 11 {
            field.extend(descriptor_text(6, ".ed.M"));
        }
        let options = [varint(21 << 3 | 2), varint(features.len() as u64), features.to_vec()].concat();
        field.extend(record(8, &options));
        record(2, &field)
    };
    let message = [
        descriptor_text(1, "M"),
        field("must", 1, 5, b"\x08\x03"),
        field("group_like", 2, 11, b"\x28\x02"),
        field("plain", 3, 9, b""),
    ]
    .concat();
    let file = [
        descriptor_text(1, "ed.proto"),
        descriptor_text(2, "ed"),
        record(4, &message),
        descriptor_text(12, "editions"),
        [vec![14 << 3], varint(edition)].concat(),
    ]
    .concat();
    record(1, &file)
}

#[test]
fn a_descriptor_set_may_be_of_an_edition_and_text_may_not() {
    let set = Protobuf::schema_text(&edition_set(1000));
    assert_eq!(codes(schema(&set), binary(*b"\x08\x01\x13\x08\x02\x14")), []);
    let found = codes(schema(&set), binary(*b"\x13\x14\x12\x00"));
    let expected = [
        ("protobuf.required", ""),
        ("protobuf.required", "/groupLike"),
        ("protobuf.wire-type", "/groupLike"),
    ];
    assert_eq!(found, pairs(&expected));
    assert_eq!(refusal(schema(&Protobuf::schema_text(&edition_set(1_002)))).0, ErrorKind::Unsupported);
    let (kind, told) = refusal(schema("edition = \"2023\"; message M {}"));
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(told.contains("FileDescriptorSet"), "{told}");
}

#[test]
fn a_document_of_another_format_is_unsupported() {
    let contract = order().build().unwrap();
    let error = contract.validate(&Document::new(Encoding::AvroBinary, &b""[..])).expect_err("avro");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn equal_contracts_have_equal_fingerprints_and_settings_change_them() {
    let print = |format: Protobuf| Contract::schema(format, ORDER).build().unwrap().fingerprint().unwrap();
    let named = || Protobuf::new().message("shop.Order");
    assert_eq!(print(named()), print(named()));
    assert_ne!(print(named()), print(Protobuf::new().message("shop.Line")));
    assert_ne!(print(named()), print(named().unknown_fields(UnknownFields::Refused)));
}
