//! Commands that change the registry.

use std::process::ExitCode;

use mcp_core::{Name, Version};
use mcp_registry::{Draft, Expect, Registry};
use serde_json::json;

use crate::arguments::Publish;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress;
use crate::reference::Target;
use crate::show;

pub async fn publish(registry: &Registry, publish: &Publish, output: &Output) -> Result<ExitCode, Failure> {
    let mut draft = Draft::file(&publish.name, &publish.file);
    if let Some(media_type) = &publish.media_type {
        draft = draft.media_type(media_type);
    }
    if let Some(description) = &publish.description {
        draft = draft.description(description);
    }
    draft = publish.tags.iter().fold(draft, |draft, tag| draft.tag(tag));
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

pub async fn yank(
    registry: &Registry,
    name: &Name,
    version: &Version,
    reason: &str,
    output: &Output,
) -> Result<ExitCode, Failure> {
    registry.yank(name, version, reason).await?;
    let document = || json!({"name": name, "version": version, "yanked": true});
    output.tell(&format!("{name}@{version} is yanked"), document)?;
    Ok(ExitCode::SUCCESS)
}
