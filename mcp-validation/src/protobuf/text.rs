//! One look over `.proto` text with a stack of its own, before the recursive parser sees it.

use mcp_core::{ErrorKind, SeamError};

use crate::Limits;

/// Longer words are refused: the names of everything inside a message repeat the message's.
const MAX_WORD_BYTES: usize = 512;
/// More parts than this joined by dots are refused.
const MAX_PARTS: usize = 64;
/// Brackets of any kind inside one another, whatever `max_depth` says: the parser's own limit for messages is below.
const MAX_NESTING: usize = 64;
/// More comments, messages, fields and other things that end in `;` or `}` are refused: the parser keeps up to a kilobyte of each.
const MAX_DECLARATIONS: usize = 200_000;

/// Refuses text that nests too deep, whose names multiply, or which is of an edition.
pub(super) fn look_over(text: &str, limits: &Limits) -> Result<(), SeamError> {
    let max_nesting = limits.max_depth.min(MAX_NESTING);
    let mut names =
        Names { open: Vec::new(), open_bytes: 0, left: (4 << 20) + text.len().saturating_mul(16) };
    let mut nesting = 0_usize;
    let mut parts = 0_usize;
    let mut words = Words { rest: text.as_bytes(), fault: None, comments: 0 };
    let mut first: Option<&[u8]> = None;
    let mut second: Option<&[u8]> = None;
    let mut last_word = 0_usize;
    let mut declarations = 0_usize;
    while let Some(word) = words.next() {
        if first.is_none() {
            first = Some(word);
        } else if second.is_none() {
            second = Some(word);
        }
        if matches!(word, b";" | b"}") {
            declarations += 1;
        }
        if declarations + words.comments > MAX_DECLARATIONS {
            return Err(exhausted(format!("it has more than {MAX_DECLARATIONS} declarations and comments")));
        }
        match word {
            b"{" | b"[" | b"(" | b"<" => {
                nesting += 1;
                if nesting > max_nesting {
                    return Err(exhausted(format!("it is nested more than {max_nesting} deep")));
                }
                if word == b"{" {
                    names.open(last_word)?;
                }
            }
            b"}" | b"]" | b")" | b">" => {
                nesting = nesting.saturating_sub(1);
                if word == b"}" {
                    names.close();
                }
            }
            b";" => names.declare(last_word)?,
            b"." => {
                parts += 1;
                if parts > MAX_PARTS {
                    return Err(exhausted(format!("a name has more than {MAX_PARTS} parts")));
                }
                continue;
            }
            word if word.first().is_some_and(|byte| is_word(*byte)) => {
                if word.len() > MAX_WORD_BYTES {
                    return Err(exhausted(format!("a word has more than {MAX_WORD_BYTES} bytes")));
                }
                last_word = word.len();
                continue;
            }
            _ => {}
        }
        parts = 0;
    }
    // Where no word stands behind the last comments.
    if words.comments > MAX_DECLARATIONS {
        return Err(exhausted(format!("it has more than {MAX_DECLARATIONS} comments")));
    }
    if let Some(fault) = words.fault {
        return Err(SeamError::new(ErrorKind::Invalid, format!("read .proto text: {fault}")));
    }
    if first == Some(b"edition") && second == Some(b"=") {
        return Err(SeamError::new(
            ErrorKind::Unsupported,
            "read .proto text of an edition: only proto2 and proto3 can be read as text, give a FileDescriptorSet as base64 instead (protoc --include_imports --descriptor_set_out=FILE, or buf build -o FILE)",
        ));
    }
    Ok(())
}

fn exhausted(reason: impl Into<String>) -> SeamError {
    SeamError::new(ErrorKind::Exhausted, format!("read .proto text: {}", reason.into()))
}

/// What full names come to: each repeats the names around it.
struct Names {
    open: Vec<usize>,
    open_bytes: usize,
    left: usize,
}

impl Names {
    fn open(&mut self, bytes: usize) -> Result<(), SeamError> {
        self.declare(bytes)?;
        self.open.push(bytes);
        self.open_bytes += bytes;
        Ok(())
    }

    fn close(&mut self) {
        self.open_bytes -= self.open.pop().unwrap_or_default();
    }

    fn declare(&mut self, bytes: usize) -> Result<(), SeamError> {
        let left = self.left.checked_sub(self.open_bytes + bytes);
        self.left = left.ok_or_else(|| exhausted("its names together are too long, nest less"))?;
        Ok(())
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Words, strings as one mark `"`, and every other mark; without comments and space.
struct Words<'a> {
    rest: &'a [u8],
    /// What the parser would say of every comment once more.
    fault: Option<&'static str>,
    comments: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let skip = self.rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.skip(skip);
            if self.rest.starts_with(b"//") || self.rest.starts_with(b"#") {
                self.comments += 1;
                let line = self.rest.iter().take_while(|byte| **byte != b'\n').count();
                self.skip(line);
            } else if self.rest.starts_with(b"/*") {
                self.comments += 1;
                let end = self.rest.windows(2).skip(2).position(|pair| pair == b"*/");
                let inside = end.and_then(|end| self.rest.get(2..end + 2)).unwrap_or_default();
                if end.is_none() {
                    self.fault = Some("a block comment has no end, write */ behind it");
                } else if inside.windows(2).any(|pair| pair == b"/*") {
                    self.fault =
                        Some("a block comment stands in a block comment, which ends at the first */");
                }
                self.skip(end.map_or(self.rest.len(), |end| end + 4));
            } else {
                break;
            }
        }
        let first = *self.rest.first()?;
        let length = if is_word(first) {
            self.rest.iter().take_while(|byte| is_word(**byte)).count()
        } else if first == b'"' || first == b'\'' {
            let mut length = 1;
            while let Some(byte) = self.rest.get(length) {
                length += if *byte == b'\\' { 2 } else { 1 };
                if *byte == first || *byte == b'\n' {
                    break;
                }
            }
            self.skip(length);
            return Some(b"\"");
        } else {
            1
        };
        let (word, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(word)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Result<(), ErrorKind> {
        look_over(text, &Limits::default()).map_err(|error| error.kind())
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_nest() {
        let many = "{[(<".repeat(100);
        assert_eq!(kind(&format!("// {many}\n/* {many} */ option a = \"{many}\\\"{many}\";")), Ok(()));
        assert_eq!(kind(&many), Err(ErrorKind::Exhausted));
        assert_eq!(kind(&"message A {".repeat(5_000_000 / 11)), Err(ErrorKind::Exhausted));
    }

    #[test]
    fn comments_without_an_end_or_within_another_are_refused_once() {
        for text in ["/*", "/* /* */", "message M {} /*/", "/* a */ /* */* /*"] {
            assert_eq!(kind(text), Err(ErrorKind::Invalid), "{text}");
        }
        for text in ["/**/", "/***/ // /*", "/* / * */ option a = \"/*\";"] {
            assert_eq!(kind(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn names_that_multiply_are_exhausted() {
        let long = "a".repeat(500);
        let outer: String = (0..20).map(|level| format!("message {long}{level} {{\n")).collect();
        let inner: String = (0..50_000).map(|number| format!("message M{number} {{}}\n")).collect();
        assert_eq!(kind(&inner), Ok(()));
        assert_eq!(kind(&";".repeat(MAX_DECLARATIONS)), Ok(()));
        assert_eq!(kind(&";".repeat(MAX_DECLARATIONS + 1)), Err(ErrorKind::Exhausted));
        assert_eq!(kind(&"//\n".repeat(MAX_DECLARATIONS + 1)), Err(ErrorKind::Exhausted));
        assert_eq!(kind(&"/**/".repeat(MAX_DECLARATIONS + 1)), Err(ErrorKind::Exhausted));
        assert_eq!(kind(&format!("{outer}{inner}{}", "}".repeat(20))), Err(ErrorKind::Exhausted));
        assert_eq!(kind(&"a".repeat(513)), Err(ErrorKind::Exhausted));
        assert_eq!(kind(&format!("option a{} = 1;", ".a".repeat(65))), Err(ErrorKind::Exhausted));
    }

    #[test]
    fn an_edition_is_unsupported_and_says_what_to_give_instead() {
        let error = look_over("// c\nedition = \"2023\";", &Limits::default()).expect_err("an edition");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("FileDescriptorSet"), "{error}");
        assert_eq!(kind("syntax = \"proto3\"; message edition {}"), Ok(()));
    }
}
