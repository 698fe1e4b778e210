//! Documents of every format, each made for a verdict.

use mcp_benches::distinct_json;
use mcp_benches::random::Random;
use mcp_core::ErrorKind;
use mcp_validation::{Document, Encoding, Outcome};

/// What a document is made for, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Valid,
    Invalid,
    Exhausted,
    Panicked,
    OtherError,
}

impl Verdict {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Ok(report) if report.valid => Self::Valid,
            Ok(_) => Self::Invalid,
            Err(error) if error.kind() == ErrorKind::Exhausted => Self::Exhausted,
            Err(error) if error.kind() == ErrorKind::Internal => Self::Panicked,
            Err(_) => Self::OtherError,
        }
    }
}

/// One document, by which contract it is judged, and what for.
pub(crate) struct Made {
    pub(crate) subject: &'static str,
    pub(crate) document: Document,
    pub(crate) expected: Verdict,
}

/// So many documents of each kind come again and again, half of all.
const OFTEN: u64 = 2000;

/// The subjects of all contracts.
pub(crate) const SUBJECTS: [&str; 6] = ["order", "rules", "avro", "protobuf", "exponential", "fragile"];

/// A document for this subject.
pub(crate) fn document(subject: &'static str, random: &mut Random) -> Made {
    let number = if random.permille(500) { random.below(OFTEN) } else { random.below(1 << 40) };
    let kind = random.below(20);
    let (document, expected) = match subject {
        "order" => order(number, kind),
        "rules" => rules(number, kind),
        "avro" => avro(number, kind),
        "protobuf" => protobuf(number, kind),
        "exponential" => exponential(number, kind),
        _ => fragile(number, kind),
    };
    Made { subject, document, expected }
}

fn order(number: u64, kind: u64) -> (Document, Verdict) {
    let length = [200, 1024, 1024, 4096, 16 << 10, 100 << 10][(kind % 6) as usize];
    let valid = distinct_json(number, length);
    match kind {
        0..14 => (Document::json(valid), Verdict::Valid),
        // A thousand wrong quantities, a missing member, text that ends too soon, a key that stands twice.
        14 => {
            let text = String::from_utf8(valid).expect("text").replace("\"quantity\":", "\"quantity\":-");
            // Minus nothing is nothing: such a line is right.
            let wrong = text.contains("\"quantity\":-1");
            (Document::json(text), if wrong { Verdict::Invalid } else { Verdict::Valid })
        }
        15 => (Document::json(format!("{{\"number\":{number}}}")), Verdict::Invalid),
        16 => (Document::json(valid[..valid.len() / 2].to_vec()), Verdict::Invalid),
        17 => {
            (Document::json(format!("{{\"number\":1,\"number\":{number},\"lines\":[]}}")), Verdict::Invalid)
        }
        18 => (Document::json("[".repeat(1 + (number % 1000) as usize * 100 + 200)), Verdict::Exhausted),
        _ => (Document::json(" ".repeat((1 << 20) + 1)), Verdict::Exhausted),
    }
}

fn rules(number: u64, kind: u64) -> (Document, Verdict) {
    let padding = "x".repeat((number % 500) as usize);
    let (mail, total) = match kind {
        0..15 => ("a@example.com", "12.5"),
        15..18 => ("nobody", "12.5"),
        _ => ("a@example.com", "-1"),
    };
    let text = format!(r#"{{"id":{number},"mail":"{mail}","total":{total},"note":"{padding}"}}"#);
    (Document::json(text), if kind < 15 { Verdict::Valid } else { Verdict::Invalid })
}

fn zigzag(value: i64) -> Vec<u8> {
    varint((value << 1 ^ value >> 63).cast_unsigned())
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn avro(number: u64, kind: u64) -> (Document, Verdict) {
    let value = (number >> 1).cast_signed();
    let datum = |next: &[u8]| {
        let text = format!("part-{number:0>200}");
        [zigzag(value), zigzag(text.len() as i64), text.into_bytes(), next.to_vec()].concat()
    };
    match kind {
        0..12 => (Document::new(Encoding::AvroBinary, datum(&[0])), Verdict::Valid),
        12..14 => {
            let json = format!(r#"{{"number":{value},"text":"{number}","next":null}}"#);
            (Document::new(Encoding::AvroJson, json), Verdict::Valid)
        }
        14 => (Document::new(Encoding::AvroBinary, datum(&[])), Verdict::Invalid),
        15 => (Document::new(Encoding::AvroBinary, datum(&[0, 0])), Verdict::Invalid),
        16 => {
            (Document::json(format!(r#"{{"number":"{number}","text":"a","next":null}}"#)), Verdict::Invalid)
        }
        // A length that is merely declared.
        17 => {
            (Document::new(Encoding::AvroBinary, [zigzag(value), zigzag(1 << 60)].concat()), Verdict::Invalid)
        }
        // A list deeper than can be: each element points to the next.
        _ => {
            let one = [zigzag(value), zigzag(0), vec![2]].concat();
            (Document::new(Encoding::AvroBinary, one.repeat(400)), Verdict::Exhausted)
        }
    }
}

fn protobuf(number: u64, kind: u64) -> (Document, Verdict) {
    let message = || {
        let text = format!("{number:0>150}");
        [vec![0x08], varint(number), vec![0x12], varint(text.len() as u64), text.into_bytes()].concat()
    };
    match kind {
        0..12 => (Document::new(Encoding::ProtobufBinary, message()), Verdict::Valid),
        12..14 => (
            Document::new(Encoding::ProtobufJson, format!(r#"{{"number":"{number}","text":"a"}}"#)),
            Verdict::Valid,
        ),
        14 => (
            Document::new(Encoding::ProtobufBinary, [message(), vec![0x12, 0x7f]].concat()),
            Verdict::Invalid,
        ),
        15 => (
            Document::new(Encoding::ProtobufJson, format!(r#"{{"number":"{number}","no":1}}"#)),
            Verdict::Invalid,
        ),
        16 => (Document::new(Encoding::ProtobufBinary, vec![0x12, 2, 0xff, 0xff]), Verdict::Invalid),
        _ => {
            let deep =
                (0..200).fold(message(), |inner, _| [vec![0x1a], varint(inner.len() as u64), inner].concat());
            (Document::new(Encoding::ProtobufBinary, deep), Verdict::Exhausted)
        }
    }
}

/// The schema takes time that doubles with each level; few steps are allowed.
fn exponential(number: u64, kind: u64) -> (Document, Verdict) {
    let nested = |levels: usize, leaf: &str| {
        Document::json(format!(
            "{}{leaf}{}{}",
            "[".repeat(levels),
            "]".repeat(levels),
            " ".repeat((number % 300) as usize)
        ))
    };
    match kind {
        0..12 => (nested(3, ""), Verdict::Valid),
        12..16 => (nested(3, "1"), Verdict::Invalid),
        _ => (nested(60, "1"), Verdict::Exhausted),
    }
}

fn fragile(number: u64, kind: u64) -> (Document, Verdict) {
    let padding = " ".repeat(150);
    match kind {
        0..19 => (Document::json(format!("{{\"number\":{number}}}{padding}")), Verdict::Valid),
        _ => (Document::json(format!("{{\"panic\":{number}}}{padding}")), Verdict::Panicked),
    }
}
