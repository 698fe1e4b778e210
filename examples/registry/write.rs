//! Commands that change the registry.

use std::process::ExitCode;

use mcp_core::{Name, Version};
use mcp_registry::{DependencyKind, Draft, Expect, LabelChange, Registry};
use serde_json::json;

use crate::arguments::{Publish, Said};
use crate::failure::Failure;
use crate::output::Output;
use crate::reference::Target;
use crate::{progress, read, show};

pub async fn publish(registry: &Registry, publish: &Publish, output: &Output) -> Result<ExitCode, Failure> {
    let mut draft = Draft::file(&publish.name, &publish.file);
    if let Some(media_type) = &publish.media_type {
        draft = draft.media_type(media_type);
    }
    if let Some(description) = &publish.description {
        draft = draft.description(description);
    }
    draft = publish.tags.iter().fold(draft, |draft, tag| draft.tag(tag));
    draft = publish.labels.iter().fold(draft, |draft, (key, value)| draft.label(key, value));
    draft = publish.needs.iter().cloned().fold(draft, |draft, (name, requirement)| {
        draft.dependency(name, requirement, DependencyKind::Runtime)
    });
    let working = progress::working(format!("publishing {}", publish.file.display()));
    let published = match &publish.target {
        Target::Exact(version) => registry.publish(draft, version).await,
        Target::Next(bump) => registry.publish_next(draft, bump.clone()).await,
    };
    working.finish_and_clear();
    let published = published?;
    let note = if published.created { "" } else { " was there already" };
    output.tell(&format!("{} {}{note}", published.artifact, published.digest), || {
        show::published(&published)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub async fn move_channel(
    registry: &Registry,
    (name, channel): (&Name, &Name),
    version: &Version,
    expect: &Option<Version>,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let expect = expect.clone().map_or(Expect::Any, Expect::At);
    registry.set_channel(name, channel.clone(), version, expect).await?;
    let document = || json!({"name": name, "channel": channel, "version": version});
    output.tell(&format!("{name}:{channel} is at {version}"), document)?;
    Ok(ExitCode::SUCCESS)
}

pub async fn say(
    registry: &Registry,
    name: &Name,
    version: &Version,
    what: &Said,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let (key, now) = match what {
        Said::Yanked { reason } => {
            registry.yank(name, version, reason).await?;
            ("yanked", true)
        }
        Said::Unyanked { reason } => {
            registry.unyank(name, version, reason).await?;
            ("yanked", false)
        }
        Said::Deprecated { message } => {
            registry.deprecate(name, version, message).await?;
            ("deprecated", true)
        }
        Said::Undeprecated { reason } => {
            registry.undeprecate(name, version, reason).await?;
            ("deprecated", false)
        }
    };
    let is = if now { "is" } else { "is no more" };
    output.tell(
        &format!("{name}@{version} {is} {key}"),
        || json!({"name": name, "version": version, key: now}),
    )?;
    Ok(ExitCode::SUCCESS)
}

pub async fn labels(
    registry: &Registry,
    (name, version): (&Name, &Version),
    (set, removed): (&[(String, String)], &[String]),
    output: &Output,
) -> Result<ExitCode, Failure> {
    let change = set.iter().fold(LabelChange::new(), |change, (key, value)| change.set(key, value));
    let change = removed.iter().fold(change, |change, key| change.remove(key));
    registry.set_labels(name, version, change).await?;
    read::labels(registry, name, version, output).await
}
