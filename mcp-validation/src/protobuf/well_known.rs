//! The types of `google.protobuf` that have a JSON form of their own.

use mcp_core::{SeamError, Severity};
use serde_json::{Map, Value};

use super::reading::Reading;
use super::scalar;
use super::schema::{Kind, camel_case};
use crate::civil;

/// A type with a form of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WellKnown {
    Any,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    List,
    Wrapper(Kind),
}

impl WellKnown {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("google.protobuf.")? {
            "Any" => Self::Any,
            "Timestamp" => Self::Timestamp,
            "Duration" => Self::Duration,
            "FieldMask" => Self::FieldMask,
            "Struct" => Self::Struct,
            "Value" => Self::Value,
            "ListValue" => Self::List,
            "DoubleValue" => Self::Wrapper(Kind::Double),
            "FloatValue" => Self::Wrapper(Kind::Float),
            "Int64Value" => Self::Wrapper(Kind::Int64),
            "UInt64Value" => Self::Wrapper(Kind::Uint64),
            "Int32Value" => Self::Wrapper(Kind::Int32),
            "UInt32Value" => Self::Wrapper(Kind::Uint32),
            "BoolValue" => Self::Wrapper(Kind::Bool),
            "StringValue" => Self::Wrapper(Kind::String),
            "BytesValue" => Self::Wrapper(Kind::Bytes),
            _ => return None,
        })
    }
}

fn integer(raw: &Map<String, Value>, name: &str) -> i64 {
    raw.get(name).and_then(Value::as_i64).unwrap_or(0)
}

impl Reading<'_, '_> {
    /// The form of its own for what was read as a plain message.
    pub(super) fn show(
        &mut self,
        known: WellKnown,
        mut raw: Map<String, Value>,
        depth: usize,
    ) -> Result<Value, SeamError> {
        let shown = match known {
            WellKnown::Any => return self.show_any(raw, depth),
            WellKnown::Timestamp => civil::timestamp(integer(&raw, "seconds"), integer(&raw, "nanos")),
            WellKnown::Duration => civil::duration(integer(&raw, "seconds"), integer(&raw, "nanos")),
            WellKnown::FieldMask => mask(raw.get("paths")),
            WellKnown::Struct => raw.remove("fields").or_else(|| Some(Value::Object(Map::new()))),
            WellKnown::List => raw.remove("values").or_else(|| Some(Value::Array(Vec::new()))),
            WellKnown::Value => raw.into_iter().next().map(|(_, value)| value),
            WellKnown::Wrapper(kind) => raw.remove("value").or_else(|| {
                Some(match kind {
                    Kind::String | Kind::Bytes => Value::from(""),
                    Kind::Bool => Value::from(false),
                    Kind::Double | Kind::Float => Value::from(0.0),
                    _ => Value::from(0),
                })
            }),
        };
        let Some(shown) = shown else {
            let reason = match known {
                WellKnown::Timestamp => "this timestamp is not from the years 0001 to 9999",
                WellKnown::Duration => "this duration is beyond 10,000 years, or its signs disagree",
                WellKnown::FieldMask => "a path of this field mask has no form in JSON",
                _ => "this google.protobuf.Value holds nothing",
            };
            self.error("protobuf.value", reason, None);
            return Ok(Value::Null);
        };
        Ok(shown)
    }

    /// The message inside, where its type is known; else its bytes.
    fn show_any(&mut self, raw: Map<String, Value>, depth: usize) -> Result<Value, SeamError> {
        let Some(Value::String(url)) = raw.get("typeUrl") else {
            if raw.contains_key("value") {
                self.error("protobuf.any", "this google.protobuf.Any has a value and no type", None);
            }
            return Ok(Value::Object(Map::new()));
        };
        let url = url.clone();
        let coded = match raw.get("value") {
            Some(Value::String(coded)) => coded.as_str(),
            _ => "",
        };
        let name = url.rsplit('/').next().unwrap_or_default();
        let schema = self.schema;
        let Some(place) = schema.message_named(name) else {
            let reason =
                "the type of this google.protobuf.Any is not in the schema, so its value was not looked at";
            self.note(Severity::Info, "protobuf.any", reason);
            let mut shown = Map::new();
            shown.insert("@type".to_owned(), Value::from(url));
            shown.insert("value".to_owned(), Value::from(coded));
            return Ok(Value::Object(shown));
        };
        let bytes = scalar::decode(coded).unwrap_or_default();
        drop(raw);
        let inner = self.binary(place, &bytes, depth + 1)?;
        let is_known = schema.message(place).is_some_and(|message| WellKnown::of(&message.name).is_some());
        let mut shown = match inner {
            Value::Object(members) if !is_known => members,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        shown.insert("@type".to_owned(), Value::from(url));
        Ok(Value::Object(shown))
    }

    /// Reads the form of its own.
    pub(super) fn read_known(
        &mut self,
        known: WellKnown,
        value: &Value,
        depth: usize,
    ) -> Result<Value, SeamError> {
        let text = value.as_str();
        self.spend(text.map_or(0, str::len))?;
        self.pay(text.map_or(0, str::len))?;
        let (read, wanted) = match known {
            WellKnown::Any => return self.read_any(value, depth),
            WellKnown::Timestamp => {
                let read = text.and_then(civil::read_timestamp);
                (
                    read.and_then(|(seconds, nanos)| civil::timestamp(seconds, nanos)),
                    "a timestamp is a moment of RFC 3339 from the years 0001 to 9999, with at most 9 digits of a second",
                )
            }
            WellKnown::Duration => {
                let read = text.and_then(civil::read_duration);
                (
                    read.and_then(|(seconds, nanos)| civil::duration(seconds, nanos)),
                    "a duration is seconds with at most 9 digits behind the point and an 's', and is at most 10,000 years",
                )
            }
            WellKnown::FieldMask => (
                text.filter(|text| is_mask(text)).map(Value::from),
                "a field mask is paths in lowerCamelCase with commas between them",
            ),
            WellKnown::Wrapper(kind) => {
                return match scalar::read(kind, value) {
                    Ok(read) => Ok(read),
                    Err((code, reason)) => {
                        self.error(code, reason, Some(value));
                        Ok(Value::Null)
                    }
                };
            }
            WellKnown::Struct if !value.is_object() => (None, "a struct takes an object"),
            WellKnown::List if !value.is_array() => (None, "a list of values takes an array"),
            WellKnown::Struct | WellKnown::List | WellKnown::Value => {
                self.plain(value, depth)?;
                return Ok(value.clone());
            }
        };
        match read {
            Some(read) => Ok(read),
            None => {
                self.error("protobuf.value", wanted, Some(value));
                Ok(Value::Null)
            }
        }
    }

    /// Counts what is taken over as it stands.
    fn plain(&mut self, value: &Value, depth: usize) -> Result<(), SeamError> {
        self.check_depth(depth)?;
        self.spend(value.as_str().map_or(0, str::len))?;
        self.pay(value.as_str().map_or(0, str::len))?;
        match value {
            Value::Array(elements) => elements.iter().try_for_each(|element| self.plain(element, depth + 1)),
            Value::Object(members) => members.iter().try_for_each(|(name, member)| {
                self.pay(name.len())?;
                self.plain(member, depth + 1)
            }),
            _ => Ok(()),
        }
    }

    fn read_any(&mut self, value: &Value, depth: usize) -> Result<Value, SeamError> {
        let Value::Object(members) = value else {
            self.error("protobuf.type", "google.protobuf.Any takes an object", Some(value));
            return Ok(Value::Null);
        };
        if members.is_empty() {
            return Ok(value.clone());
        }
        let Some(Value::String(url)) = members.get("@type") else {
            self.error(
                "protobuf.any",
                "google.protobuf.Any says in \"@type\" what it holds, this does not",
                None,
            );
            return Ok(Value::Null);
        };
        let schema = self.schema;
        let place = url.rsplit_once('/').and_then(|(_, name)| schema.message_named(name));
        let Some((place, message)) = place.and_then(|place| Some((place, schema.message(place)?))) else {
            self.at("@type", |here| {
                let reason = "the type of this google.protobuf.Any is not in the schema, or is not written as a prefix, '/' and its name";
                here.error("protobuf.any", reason, Some(&Value::from(url.as_str())));
            });
            return Ok(Value::Null);
        };
        let mut rest = members.clone();
        rest.remove("@type");
        let mut shown = if WellKnown::of(&message.name).is_some() {
            let Some(value) = rest.remove("value").filter(|_| rest.is_empty()) else {
                let reason = format!("{} stands in a google.protobuf.Any as \"value\", alone", message.name);
                self.error("protobuf.any", reason, None);
                return Ok(Value::Null);
            };
            let value = self.at("value", |here| here.json(place, &value, depth + 1))?;
            Map::from_iter([("value".to_owned(), value)])
        } else {
            self.check_depth(depth + 1)?;
            match self.members(message, &rest, depth + 1)? {
                Value::Object(members) => members,
                _ => Map::new(),
            }
        };
        shown.insert("@type".to_owned(), Value::from(url.as_str()));
        Ok(Value::Object(shown))
    }
}

/// The paths of a mask, in lowerCamelCase with commas between them; `None` where that cannot be undone.
fn mask(paths: Option<&Value>) -> Option<Value> {
    let mut shown = String::new();
    for path in paths.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let after_bar = path
            .bytes()
            .zip(path.bytes().skip(1))
            .all(|(here, next)| here != b'_' || next.is_ascii_lowercase());
        if !after_bar || path.ends_with('_') || path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        if !shown.is_empty() {
            shown.push(',');
        }
        shown.push_str(&camel_case(path));
    }
    Some(Value::from(shown))
}

fn is_mask(text: &str) -> bool {
    text.is_empty()
        || text.split(',').all(|path| {
            !path.is_empty() && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        })
}
