//! What the parsed newtypes share: checks of short identifying text, and the traits that show it.

use crate::ParseError;

/// Accepts printable ASCII of 1 to `max` bytes; spaces, where allowed, only inside.
pub(crate) fn check_printable(
    what: &'static str,
    text: &str,
    max: usize,
    spaces: bool,
) -> Result<(), ParseError> {
    if text.is_empty() {
        return Err(ParseError::new(what, text, "it is empty"));
    }
    if text.len() > max {
        return Err(ParseError::new(
            what,
            text,
            format!("it has {} bytes, at most {max} are allowed", text.len()),
        ));
    }
    let refused = |c: &char| !(c.is_ascii_graphic() || (spaces && *c == ' '));
    if let Some(character) = text.chars().find(refused) {
        return Err(ParseError::new(what, text, format!("{character:?} is not allowed")));
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return Err(ParseError::new(what, text, "a space stands at its beginning or end"));
    }
    Ok(())
}

/// Shows, reads and serialises a newtype over `Arc<str>` as its text.
macro_rules! text_newtype {
    ($type:ident) => {
        impl $type {
            /// The text as it was parsed.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), &self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $type {
            type Error = $crate::ParseError;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        $crate::text::serde_as_text!($type);
    };
}

/// Serialises a type as what `Display` shows, and reads it back with `FromStr`.
macro_rules! serde_as_text {
    ($type:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use {serde_as_text, text_newtype};
