//! One text for every way to write a JSON value, so that equal values can be told by a digest.

use mcp_core::{Digest, Digester};
use serde_json::Value;

use crate::meter::text_steps;
use crate::number;

/// The digest of what `value` means, and how many steps it took. The order of members and the way in which numbers are written do
/// not matter.
pub(crate) fn digest(value: &Value) -> (Digest, u64) {
    let mut writer = Writer { digester: Digester::new(), steps: 0 };
    writer.value(value);
    (writer.digester.digest(), writer.steps)
}

struct Writer {
    digester: Digester,
    steps: u64,
}

impl Writer {
    /// Recursive: the document is no deeper than [`Limits::DEEPEST`](crate::Limits::DEEPEST).
    fn value(&mut self, value: &Value) {
        self.steps = self.steps.saturating_add(1);
        match value {
            Value::Null => self.part(b'n', b""),
            Value::Bool(truth) => self.part(b'b', if *truth { b"1" } else { b"0" }),
            Value::Number(number) => self.part(b'd', number::canonical(number).as_bytes()),
            Value::String(text) => self.part(b's', text.as_bytes()),
            Value::Array(elements) => {
                self.part(b'a', &elements.len().to_le_bytes());
                elements.iter().for_each(|element| self.value(element));
            }
            Value::Object(members) => {
                self.part(b'o', &members.len().to_le_bytes());
                let mut members: Vec<_> = members.iter().collect();
                members.sort_unstable_by_key(|(key, _)| *key);
                for (key, member) in members {
                    self.part(b'k', key.as_bytes());
                    self.value(member);
                }
            }
        }
    }

    /// Kind and length go before the bytes, so that no two values give the same stream.
    fn part(&mut self, kind: u8, bytes: &[u8]) {
        self.steps = self.steps.saturating_add(text_steps(bytes.len()));
        self.digester.update(&[kind]).update(&bytes.len().to_le_bytes()).update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Digest {
        digest(&serde_json::from_str(text).expect(text)).0
    }

    #[test]
    fn order_and_spelling_do_not_matter() {
        assert_eq!(of(r#"{"a":1,"b":[1.0,2]}"#), of(r#"{"b":[1,2.0],"a":1e0}"#));
        assert_eq!(of(r#""\u0061""#), of(r#""a""#));
    }

    #[test]
    fn different_values_differ() {
        let texts = [
            "null",
            "0",
            "\"0\"",
            "false",
            "[]",
            "{}",
            "[[]]",
            "[[],[]]",
            "[[[]]]",
            "[\"a\",\"b\"]",
            "[\"ab\"]",
            "{\"a\":\"b\"}",
            "[1,2]",
            "[2,1]",
        ];
        for (position, left) in texts.iter().enumerate() {
            for (other, right) in texts.iter().enumerate() {
                assert_eq!(of(left) == of(right), position == other, "{left} {right}");
            }
        }
    }
}
