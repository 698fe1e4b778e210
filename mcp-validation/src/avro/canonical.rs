//! The parsing canonical form of a schema and its CRC-64-AVRO fingerprint (Avro specification, "Parsing Canonical Form for Schemas" and
//! "Schema Fingerprints").

use std::collections::BTreeSet;

use super::schema::{Kind, Schema, TypeId};

enum Work<'a> {
    Type(TypeId),
    Text(&'a str),
    Owned(String),
}

/// The canonical form, with what the schema refers to written out at its first use. Iterative: references nest as deep as they like.
pub(super) fn canonical(schema: &Schema) -> String {
    let mut text = String::new();
    let mut written: BTreeSet<&str> = BTreeSet::new();
    let mut work = vec![Work::Type(schema.root)];
    while let Some(next) = work.pop() {
        let id = match next {
            Work::Text(part) => {
                text.push_str(part);
                continue;
            }
            Work::Owned(part) => {
                text.push_str(&part);
                continue;
            }
            Work::Type(id) => id,
        };
        let found = schema.get(id);
        if let Some(named) = found.named()
            && !written.insert(&named.full)
        {
            quote(&mut text, &named.full);
            continue;
        }
        match &found.kind {
            Kind::Array(items) => {
                text.push_str("{\"type\":\"array\",\"items\":");
                work.extend([Work::Text("}"), Work::Type(*items)]);
            }
            Kind::Map(values) => {
                text.push_str("{\"type\":\"map\",\"values\":");
                work.extend([Work::Text("}"), Work::Type(*values)]);
            }
            Kind::Union(branches) => {
                text.push('[');
                work.push(Work::Text("]"));
                for (index, branch) in branches.iter().enumerate().rev() {
                    work.push(Work::Type(*branch));
                    work.extend((index > 0).then_some(Work::Text(",")));
                }
            }
            Kind::Fixed(named, size) => {
                text.push_str(&format!("{{\"name\":\"{}\",\"type\":\"fixed\",\"size\":{size}}}", named.full));
            }
            Kind::Enum(named, symbols) => {
                let quoted: Vec<String> =
                    symbols.symbols.iter().map(|symbol| format!("\"{symbol}\"")).collect();
                let symbols = quoted.join(",");
                text.push_str(&format!(
                    "{{\"name\":\"{}\",\"type\":\"enum\",\"symbols\":[{symbols}]}}",
                    named.full
                ));
            }
            Kind::Record(named, fields) => {
                text.push_str(&format!("{{\"name\":\"{}\",\"type\":\"record\",\"fields\":[", named.full));
                work.push(Work::Text("]}"));
                for (index, field) in fields.iter().enumerate().rev() {
                    let comma = if index > 0 { "," } else { "" };
                    work.extend([
                        Work::Text("}"),
                        Work::Type(field.type_id),
                        Work::Owned(format!("{comma}{{\"name\":\"{}\",\"type\":", field.name)),
                    ]);
                }
            }
            primitive => quote(&mut text, primitive.word()),
        }
    }
    text
}

/// Names have no character that JSON escapes.
fn quote(text: &mut String, name: &str) {
    text.push('"');
    text.push_str(name);
    text.push('"');
}

const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

const TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut entry = index as u64;
        let mut bit = 0;
        while bit < 8 {
            entry = (entry >> 1) ^ (EMPTY & 0_u64.wrapping_sub(entry & 1));
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "computed when this is compiled")]
        {
            table[index] = entry;
        }
        index += 1;
    }
    table
};

/// The fingerprint that single-object encoding names a schema by.
pub(super) fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(EMPTY, |crc, byte| {
        let [low, ..] = (crc ^ u64::from(*byte)).to_le_bytes();
        (crc >> 8) ^ TABLE.get(usize::from(low)).copied().unwrap_or_default()
    })
}
