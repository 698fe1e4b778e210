//! Schemas and documents as files, and what is guessed of them.

use std::io::Read as _;
use std::path::Path;

use mcp_validation::Protobuf;
use serde_json::Value;

use super::case::Format;

/// The bytes of a file, or of standard input where it is `-`.
pub fn bytes(name: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if name == "-" {
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(name)
    };
    read.map_err(|error| format!("read {name}: {error}"))
}

/// A schema as text: a descriptor set becomes base64.
pub fn schema(name: &str, format: Format) -> Result<String, String> {
    let bytes = bytes(name)?;
    match String::from_utf8(bytes) {
        Ok(text)
            if format != Format::Protobuf
                || !text.contains(|c: char| c.is_control() && !c.is_whitespace()) =>
        {
            Ok(text)
        }
        Ok(text) => Ok(Protobuf::schema_text(text.as_bytes())),
        Err(error) if format == Format::Protobuf => Ok(Protobuf::schema_text(error.as_bytes())),
        Err(_) => {
            Err(format!("read {name}: a schema of {} is text in UTF-8, and this is not", format.name()))
        }
    }
}

/// A reference, given as `NAME=FILE`.
pub fn named(option: &str, format: Format) -> Result<(String, String), String> {
    let (name, file) = option
        .split_once('=')
        .ok_or_else(|| format!("--reference {option}: it is not of the form NAME=FILE"))?;
    Ok((name.to_owned(), schema(file, format)?))
}

/// The format of a schema and what tells it.
pub fn format_of(name: &str, bytes: &[u8]) -> (Format, &'static str) {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "avsc" | "avro" => return (Format::Avro, "by its name"),
        "proto" | "desc" | "pb" | "binpb" | "protoset" => return (Format::Protobuf, "by its name"),
        _ if name.to_ascii_lowercase().ends_with(".schema.json") => {
            return (Format::JsonSchema, "by its name");
        }
        _ => {}
    }
    let format = match serde_json::from_slice::<Value>(bytes) {
        Ok(value) if is_avro(&value) => Format::Avro,
        Ok(_) => Format::JsonSchema,
        Err(_) if bytes.trim_ascii_start().starts_with(b"{") => Format::JsonSchema,
        Err(_) => Format::Protobuf,
    };
    (format, "by its content")
}

/// A list is a union, a text a name, and an object is one of Avro's types unless it speaks of a JSON Schema.
fn is_avro(value: &Value) -> bool {
    match value {
        Value::Array(_) | Value::String(_) => true,
        Value::Object(members) => {
            let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
            let is_named = matches!(kind, "record" | "enum" | "fixed") && members.contains_key("name");
            is_named
                || kind == "map"
                || kind == "array" && members.contains_key("items") && is_avro_items(members)
        }
        _ => false,
    }
}

fn is_avro_items(members: &serde_json::Map<String, Value>) -> bool {
    !members.contains_key("$schema")
        && members.get("items").is_some_and(|items| items.is_string() || is_avro(items))
}
