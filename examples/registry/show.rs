//! Versions and changes as JSON and as lines.

use mcp_registry::{ChangeRow, Entry, Published, RegistryChange, RegistryError};
use serde_json::{Value, json};

use crate::plain;

pub fn entry(entry: &Entry) -> Value {
    json!({
        "name": entry.artifact.name,
        "version": entry.artifact.version,
        "digest": entry.digest,
        "sha256": hexadecimal(&entry.sha256),
        "size": entry.size,
        "media_type": entry.media_type,
        "metadata": entry.metadata,
        "labels": entry.labels,
        "actor": entry.actor,
        "published_at": entry.published_at,
        "seq": entry.seq,
        "yanked": entry.yanked,
        "deprecated": entry.deprecated,
    })
}

pub fn entry_line(entry: &Entry) -> String {
    let mut line = format!("{} {} {} bytes", entry.artifact, entry.digest, entry.size);
    if let Some(reason) = &entry.yanked {
        line = format!("{line}, yanked: {}", plain::line(reason));
    }
    if let Some(message) = &entry.deprecated {
        line = format!("{line}, deprecated: {}", plain::line(message));
    }
    line
}

pub fn published(published: &Published) -> Value {
    json!({
        "name": published.artifact.name,
        "version": published.artifact.version,
        "digest": published.digest,
        "seq": published.seq,
        "created": published.created,
        "deduplicated": published.deduplicated,
    })
}

/// What was done, and to what.
pub fn change(row: &ChangeRow) -> (String, Value) {
    let (kind, about, mut document) = match &row.change {
        RegistryChange::Published { artifact, digest, size, media_type, metadata, .. } => (
            "published",
            format!("{artifact} {digest}"),
            json!({
                "name": artifact.name, "version": artifact.version, "digest": digest, "size": size,
                "media_type": media_type, "metadata": metadata,
            }),
        ),
        RegistryChange::Yanked { artifact, reason } => about("yanked", artifact, "reason", reason),
        RegistryChange::Unyanked { artifact, reason } => about("unyanked", artifact, "reason", reason),
        RegistryChange::Deprecated { artifact, message } => about("deprecated", artifact, "message", message),
        RegistryChange::Undeprecated { artifact, reason } => {
            about("undeprecated", artifact, "reason", reason)
        }
        RegistryChange::ChannelMoved { name, channel, from, to } => (
            "channel-moved",
            format!("{name}:{channel} to {to}"),
            json!({"name": name, "channel": channel, "from": from, "to": to}),
        ),
        RegistryChange::ChannelRemoved { name, channel, from } => (
            "channel-removed",
            format!("{name}:{channel} from {from}"),
            json!({"name": name, "channel": channel, "from": from}),
        ),
        RegistryChange::LabelsChanged { artifact, labels } => (
            "labels-changed",
            artifact.to_string(),
            json!({"name": artifact.name, "version": artifact.version, "labels": labels}),
        ),
        RegistryChange::Answered { name, version, by } => (
            "answered",
            format!("{name} as row {by} did"),
            json!({"name": name, "version": version, "by": by}),
        ),
        RegistryChange::Pinned { holder, artifacts, expires } => (
            "pinned",
            format!("{} for {holder}", artifacts.len()),
            json!({"holder": holder, "artifacts": artifacts, "expires": expires}),
        ),
        RegistryChange::Released { holder } => ("released", holder.to_string(), json!({"holder": holder})),
        // A later build may know more.
        other => ("other", format!("{other:?}"), json!({})),
    };
    let line = format!("{} {} {} {kind} {about}", row.seq, row.at, row.actor);
    if let Some(members) = document.as_object_mut() {
        members.insert("seq".to_owned(), json!(row.seq));
        members.insert("at".to_owned(), json!(row.at));
        members.insert("actor".to_owned(), json!(row.actor));
        members.insert("request_id".to_owned(), json!(row.request_id));
        members.insert("kind".to_owned(), json!(kind));
        members.insert("chain".to_owned(), json!(row.chain));
    }
    (line, document)
}

fn about(
    kind: &'static str,
    artifact: &mcp_core::ArtifactRef,
    what: &str,
    text: &str,
) -> (&'static str, String, Value) {
    let document = json!({"name": artifact.name, "version": artifact.version, what: text});
    (kind, format!("{artifact}: {}", plain::line(text)), document)
}

/// Why a line of a batch was not published; `existing` is the digest that is there instead.
pub fn error(error: &RegistryError) -> Value {
    let mut document = json!({"kind": error.kind(), "message": with_causes(error)});
    if let (RegistryError::VersionTaken { existing, .. }, Some(members)) = (error, document.as_object_mut()) {
        members.insert("existing".to_owned(), json!(existing));
    }
    document
}

/// An error and its causes, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    message
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
