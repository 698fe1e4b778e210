//! The pipeline file: stages, their commands and policies, and who may do what.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcp_core::Name;
use mcp_promotion::{
    Engine, EngineBuilder, Journal, JudgeChoice, Pipeline, Policy, Roles, Settings, Verification,
};
use serde::Deserialize;

use crate::failure::Failure;
use crate::script::{self, Script};
use crate::voters;

/// A pipeline file as it is written. Durations are in milliseconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// In any order; each names those that it comes after in its policy.
    stages: Vec<WrittenStage>,
    /// Who may vote and operate; without it nobody can approve, and everybody may do the rest but break the glass.
    #[serde(default)]
    roles: Option<Roles>,
    /// How long a lease lasts, and how often to look at what other processes do.
    #[serde(default)]
    settings: Settings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStage {
    name: Name,
    /// The program and its first arguments; run in the folder of the pipeline file.
    command: Vec<String>,
    /// Whether the command refuses fences that are smaller than one it has seen; false by default.
    #[serde(default)]
    fenced: bool,
    policy: Policy,
}

/// A pipeline file that was read and fits together.
pub struct PipelineFile {
    pub pipeline: Pipeline,
    stages: Vec<WrittenStage>,
    folder: PathBuf,
    roles: Option<Roles>,
    settings: Settings,
}

impl PipelineFile {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("read the pipeline file {shown}: {error}")))?;
        let Written { stages, roles, settings } = serde_saphyr::from_str(&text)
            .map_err(|error| Failure::usage(format!("read the pipeline file {shown}: {error}")))?;
        let wrong = |reason: String| Failure::usage(format!("read the pipeline file {shown}: {reason}"));
        let mut builder = Pipeline::builder();
        for stage in &stages {
            if stage.command.is_empty() {
                return Err(wrong(format!("stage {} has an empty command", stage.name)));
            }
            builder = builder.stage(stage.name.as_str(), stage.policy.clone());
        }
        let pipeline = builder.build().map_err(|error| wrong(error.to_string()))?;
        for stage in &stages {
            if let Some(why) = asks_too_much(&stage.policy, roles.is_some()) {
                return Err(wrong(format!("stage {}: {why}", stage.name)));
            }
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let folder = folder
            .canonicalize()
            .map_err(|error| wrong(format!("find its folder {}: {error}", folder.display())))?;
        Ok(Self { pipeline, stages, folder, roles, settings })
    }

    /// What does not fit together as things stand on this host: commands that are not there, and more approvals than people.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for WrittenStage { name, command, policy, .. } in &self.stages {
            let program = command.first().map_or("", String::as_str);
            if let Some(path) = script::path(program, &self.folder).filter(|path| !path.is_file()) {
                faults.push(format!(
                    "stage {name}: its command {program} is no file, looked for at {}; put it there, or correct the path, which begins at \
                     the folder of the pipeline file",
                    path.display()
                ));
            }
            let people = self.roles.iter().flat_map(|roles| voters::faults(policy, roles));
            faults.extend(people.map(|fault| format!("stage {name}: {fault}")));
        }
        faults
    }

    /// Who may vote and operate, where the file says so.
    pub const fn roles(&self) -> Option<&Roles> {
        self.roles.as_ref()
    }

    /// Whether the command of this stage refuses older fences.
    pub fn is_fenced(&self, stage: &Name) -> bool {
        self.stages.iter().any(|known| known.name == *stage && known.fenced)
    }

    /// An engine for it that takes commands and answers questions.
    pub fn engine(&self, journal: impl Journal + 'static) -> EngineBuilder {
        let builder = Engine::builder(self.pipeline.clone(), journal).settings(self.settings.clone());
        match &self.roles {
            Some(roles) => builder.authorizer(roles.clone()),
            None => builder,
        }
    }

    /// The way to each stage and lane: a call of the stage's command, which holds `slot` where there is one.
    pub fn with_stages(
        &self,
        mut builder: EngineBuilder,
        data: &Path,
        slot: Option<&Arc<File>>,
    ) -> EngineBuilder {
        for WrittenStage { name, command, fenced, policy } in &self.stages {
            let (command, folder, data) = (command.clone(), self.folder.clone(), data.to_owned());
            let (fenced, slot) = (*fenced, slot.cloned());
            let script = move |stage: &Name| {
                let slot = slot.clone();
                Script::new(stage.clone(), command.clone(), folder.clone(), data.clone(), fenced, slot)
            };
            builder = if policy.queue.is_parallel() {
                builder.lanes(name.as_str(), move |lane| script(&lane.name))
            } else {
                builder.stage(name.as_str(), script(name))
            };
        }
        builder
    }
}

/// What a policy asks for that only a host's own program could give; else it would be told when a command is given.
fn asks_too_much(policy: &Policy, has_roles: bool) -> Option<String> {
    if (policy.approvals > 0 || !policy.levels.is_empty()) && !has_roles {
        return Some("it asks for approvals, and the file has no roles; say there who votes".to_owned());
    }
    if let Some(gate) = policy.gates.first() {
        return Some(format!("it asks for gate {gate}, and this program has no gates; take it out"));
    }
    let Verification::Judged(judged) = &policy.verification else { return None };
    let mut choices = std::iter::once(&judged.judge).chain(&judged.shadow);
    choices.find_map(|choice| match choice {
        JudgeChoice::Named(judge) => Some(format!(
            "it asks for judge {judge}, and this program has none of its own; use guardrail, rank, count or together"
        )),
        _ => None,
    })
}
