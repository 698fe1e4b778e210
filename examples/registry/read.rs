//! Commands that only read.

use std::path::Path;
use std::process::ExitCode;

use futures::StreamExt as _;
use mcp_core::{Name, Version};
use mcp_registry::{Channel, Dependent, Dependents, Registry, Search, Select};
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::reference::Reference;
use crate::{plain, progress, show};

/// How many versions are read at a time.
const PAGE: usize = 1000;

pub async fn get(
    registry: &Registry,
    reference: &Reference,
    file: Option<&Path>,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let (name, select) = reference.find(registry).await?;
    let Some(file) = file else {
        let mut content = registry.get_stream(&name, select).await?;
        while let Some(bytes) = content.next().await {
            output.bytes(&bytes?)?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let working = progress::working(format!("writing {}", file.display()));
    let saved = registry.save(&name, select, file).await;
    working.finish_and_clear();
    let entry = saved?;
    output.tell(&show::entry_line(&entry), || show::entry(&entry))?;
    Ok(ExitCode::SUCCESS)
}

pub async fn resolve(
    registry: &Registry,
    reference: &Reference,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let (name, select) = reference.find(registry).await?;
    let entry = registry.resolve(&name, select).await?;
    output.tell(&show::entry_line(&entry), || show::entry(&entry))?;
    Ok(ExitCode::SUCCESS)
}

pub async fn versions(registry: &Registry, name: &Name, output: &Output) -> Result<ExitCode, Failure> {
    let mut page = registry.versions(name, None, PAGE).await?;
    if page.is_empty() {
        return Err(Failure::refused(format!(
            "list versions of {name}: nothing was published under this name"
        )));
    }
    while let Some(last) = page.last() {
        let below = last.artifact.version.clone();
        for entry in &page {
            output.tell(&show::entry_line(entry), || show::entry(entry))?;
        }
        page = registry.versions(name, Some(&below), PAGE).await?;
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn channels(registry: &Registry, name: &Name, output: &Output) -> Result<ExitCode, Failure> {
    let mut page = registry.channels(name, None, PAGE).await?;
    if page.is_empty() && registry.versions(name, None, 1).await?.is_empty() {
        return Err(Failure::refused(format!(
            "list channels of {name}: nothing was published under this name"
        )));
    }
    while let Some(last) = page.last() {
        let after = last.channel.clone();
        for Channel { channel, version, actor, at, seq, .. } in &page {
            let document = || json!({"name": name, "channel": channel, "version": version, "actor": actor, "at": at, "seq": seq});
            output.tell(&format!("{name}:{channel} is at {version}"), document)?;
        }
        page = registry.channels(name, Some(&after), PAGE).await?;
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn labels(
    registry: &Registry,
    name: &Name,
    version: &Version,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let labels = registry.resolve(name, Select::exact(version.clone())).await?.labels;
    let lines: Vec<String> =
        labels.iter().map(|(key, value)| plain::line(&format!("{key}={value}"))).collect();
    let document = || json!({"name": name, "version": version, "labels": labels});
    if lines.is_empty() && !output.is_json() {
        return Ok(ExitCode::SUCCESS);
    }
    output.tell(&lines.join("\n"), document)?;
    Ok(ExitCode::SUCCESS)
}

pub async fn dependents(
    registry: &Registry,
    name: &Name,
    admitting: Option<&Version>,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let query = Dependents::of(name).limit(PAGE);
    let mut query = admitting.iter().fold(query, |query, version| query.admitting((*version).clone()));
    loop {
        let page = registry.dependents(query.clone()).await?;
        for Dependent { entry, dependencies, .. } in &page.dependents {
            let needs: Vec<String> =
                dependencies.iter().map(|need| format!("{} ({})", need.requirement, need.kind)).collect();
            let line = format!("{} needs {name} {}", entry.artifact, needs.join(", "));
            let document = || json!({"name": entry.artifact.name, "version": entry.artifact.version, "dependencies": dependencies});
            output.tell(&line, document)?;
        }
        match page.next {
            Some(next) => query = query.after(&next),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

pub async fn search(
    registry: &Registry,
    text: &str,
    tags: &[String],
    limit: usize,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if limit == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let mut left = limit;
    let mut search = tags.iter().fold(Search::text(text), |search, tag| search.tag(tag)).limit(left);
    loop {
        let hits = registry.search(search.clone()).await?;
        left = left.saturating_sub(hits.len());
        for hit in &hits {
            let line = format!("{}@{} {}", hit.name, hit.version, plain::line(&hit.description));
            let document =
                || json!({"name": hit.name, "version": hit.version, "description": hit.description});
            output.tell(line.trim_end(), document)?;
        }
        match hits.next {
            Some(next) if left > 0 => search = search.limit(left).after(next),
            _ => return Ok(ExitCode::SUCCESS),
        }
    }
}

pub async fn changes(registry: &Registry, after: u64, output: &Output) -> Result<ExitCode, Failure> {
    let mut rows = registry.feed(after);
    while let Some(row) = rows.next().await {
        let (line, document) = show::change(&row?);
        output.tell(&line, || document)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn stats(registry: &Registry, output: &Output) -> Result<ExitCode, Failure> {
    let stats = registry.stats().await?;
    let text = format!(
        "{} versions of {} names\n{} distinct contents, {} deduplicated\n{} bytes published, {} bytes stored",
        stats.versions, stats.names, stats.blobs, stats.deduplicated, stats.logical_bytes, stats.stored_bytes
    );
    output.tell(&text, || json!(stats))?;
    Ok(ExitCode::SUCCESS)
}
