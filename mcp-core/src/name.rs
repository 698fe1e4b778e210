use std::str::FromStr;
use std::sync::Arc;

use crate::ParseError;
use crate::text::text_newtype;

/// What an artifact, a subject or a stage is called.
///
/// Segments of `[a-z0-9_-]+` joined by `.` or `/`, at most 255 bytes in all. So a name is safe as a path below a folder, as a
/// key in an object store and in a URL, and no two names look alike.
///
/// ```
/// use mcp_core::Name;
///
/// let name: Name = "billing/invoice.line".parse()?;
/// assert_eq!(name.segments().collect::<Vec<_>>(), ["billing", "invoice", "line"]);
/// assert!("../etc/passwd".parse::<Name>().is_err());
/// # Ok::<(), mcp_core::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// The parts between `.` and `/`; at least one, none empty.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split(['.', '/'])
    }
}

impl FromStr for Name {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason: String| Err(ParseError::new("name", text, reason));
        if text.is_empty() {
            return refuse("it is empty".to_owned());
        }
        if text.len() > Self::MAX_BYTES {
            return refuse(format!("it has {} bytes, at most {} are allowed", text.len(), Self::MAX_BYTES));
        }
        for segment in text.split(['.', '/']) {
            if segment.is_empty() {
                return refuse("a segment between '.' or '/' is empty".to_owned());
            }
            let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
            if let Some(character) = segment.chars().find(|c| !allowed(*c)) {
                return refuse(format!(
                    "{character:?} is not allowed: only a to z, 0 to 9, '_', '-', and '.' or '/' between segments"
                ));
            }
        }
        Ok(Self(text.into()))
    }
}

text_newtype!(Name);

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        text.parse::<Name>().expect_err(text).reason().to_owned()
    }

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for text in ["../x", "/etc/passwd", "a/../b", "a//b", "a/", ".", "..", "a."] {
            assert_eq!(reason(text), "a segment between '.' or '/' is empty", "{text}");
        }
    }

    #[test]
    fn a_name_that_could_be_mistaken_for_another_is_refused() {
        // Upper case, a Cyrillic look-alike, a NUL, a space, a backslash, a zero-width joiner.
        for text in ["Serde", "s\u{435}rde", "a\0b", "a b", "a\\b", "a\u{200d}b", "a%2fb"] {
            assert!(reason(text).contains("is not allowed"), "{text:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_255_bytes() {
        assert_eq!("n".repeat(255).parse::<Name>().expect("255 bytes").as_str().len(), 255);
        assert_eq!(reason(&"n".repeat(256)), "it has 256 bytes, at most 255 are allowed");
        assert_eq!(reason(""), "it is empty");
    }
}
