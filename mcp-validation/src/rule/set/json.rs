//! Rules as JSON, and where in the text a part of them stands.

use super::{Spot, Written, pointer, segments};
use crate::ValidationError;

pub(super) fn read(text: &str) -> Result<Written, ValidationError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let written = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let mut path = segments(error.path());
        let error = error.into_inner();
        super::add_unknown_field(&mut path, &error.to_string());
        refuse(&error, &path)
    })?;
    reader.end().map_err(|error| refuse(&error, &[]))?;
    Ok(written)
}

fn refuse(error: &serde_json::Error, path: &[String]) -> ValidationError {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX).max(1);
    let spot = Spot { line: count(error.line()), column: count(error.column()) };
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    spot.refuse(pointer(path), reason.to_owned())
}

/// Where the deepest part that there is on the way along `path` begins. The text was read before, so that it is known to be JSON.
pub(super) fn locate(text: &str, path: &[String]) -> Spot {
    let mut scanner = Scanner { text, at: 0 };
    scanner.space();
    let mut found = scanner.at;
    'way: for segment in path {
        match scanner.byte() {
            Some(b'{') => {
                scanner.at += 1;
                while scanner.enter() {
                    let key = scanner.string();
                    scanner.space();
                    scanner.at += 1;
                    scanner.space();
                    if serde_json::from_str::<String>(key).is_ok_and(|key| key == *segment) {
                        found = scanner.at;
                        continue 'way;
                    }
                    scanner.skip();
                }
                break;
            }
            Some(b'[') => {
                let Ok(wanted) = segment.parse::<usize>() else { break };
                scanner.at += 1;
                let mut index = 0;
                while scanner.enter() {
                    if index == wanted {
                        found = scanner.at;
                        continue 'way;
                    }
                    scanner.skip();
                    index += 1;
                }
                break;
            }
            _ => break,
        }
    }
    spot(text, found)
}

fn spot(text: &str, at: usize) -> Spot {
    let before = text.get(..at).unwrap_or(text);
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let line = count(before.matches('\n').count()).saturating_add(1);
    let column = count(before.rsplit('\n').next().unwrap_or_default().chars().count()).saturating_add(1);
    Spot { line, column }
}

/// Walks over a text that is JSON.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Goes to the next member of the array or object at hand; false at its end.
    fn enter(&mut self) -> bool {
        self.space();
        if self.byte() == Some(b',') {
            self.at += 1;
            self.space();
        }
        !matches!(self.byte(), None | Some(b']' | b'}'))
    }

    /// Takes the string that begins here, quotes included.
    fn string(&mut self) -> &'t str {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.byte() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Goes behind the value that begins here.
    fn skip(&mut self) {
        let mut open = 0_usize;
        while let Some(byte) = self.byte() {
            match byte {
                b'"' => {
                    self.string();
                }
                b'{' | b'[' => {
                    open += 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' if open == 0 => return,
                b'}' | b']' => {
                    open -= 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            if open == 0 && matches!(byte, b'"' | b'}' | b']') {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_deepest_part_that_there_is() {
        let text = "{\"a\": [1, {\"é\": \"}\\\"\",\n  \"b\\u0041\": {\"c\" : [ ]}}], \"d\": 2}";
        for (path, line, column) in [
            (vec![], 1, 1),
            (vec!["a"], 1, 7),
            (vec!["a", "0"], 1, 8),
            (vec!["a", "1"], 1, 11),
            (vec!["a", "1", "é"], 1, 17),
            (vec!["a", "1", "bA"], 2, 14),
            (vec!["a", "1", "bA", "c"], 2, 21),
            (vec!["a", "1", "bA", "c", "0"], 2, 21),
            (vec!["a", "9", "x"], 1, 7),
            (vec!["d"], 2, 34),
        ] {
            let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
            assert_eq!(locate(text, &path), Spot { line, column }, "{path:?}");
        }
    }
}
