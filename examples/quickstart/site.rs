//! The host's side of a stage: some HTTP servers that serve the release which the promotion engine gave them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mcp_core::{ErrorKind, Fetch, SeamError};
use mcp_promotion::{Context, Fence, Fencing, Observed, Reach, Release, Sample, Stage, StageError, Window};
use tokio::sync::Mutex;

use crate::client::Client;
use crate::failure::Failure;
use crate::index::Index;
use crate::instance::{Instance, Served};
use crate::site_record::Record;

/// How many requests each instance gets in one window.
const REQUESTS: usize = 45;
/// The largest index that is served, in bytes.
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;

/// Whose requests a site is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// A test that asks for what the new release itself lists: it cannot miss what nobody told it of.
    SmokeTest,
    /// Clients that ask for what they always asked for: the crates that the baseline serves.
    Clients,
}

/// One stage of the pipeline: its servers, and the file that remembers what they run.
pub struct Site {
    instances: Vec<Instance>,
    traffic: Traffic,
    file: PathBuf,
    registry: Arc<dyn Fetch>,
    client: Client,
    /// Comparing the fence and making the change is one step: both happen under this lock.
    record: Mutex<Record>,
    asked: AtomicUsize,
}

impl Site {
    /// Starts one server for each of `instances`, the first being the canary, and lets them serve what `folder` says they served.
    pub async fn start(
        name: &str,
        instances: &[&'static str],
        traffic: Traffic,
        folder: &Path,
        registry: Arc<dyn Fetch>,
    ) -> Result<Self, Failure> {
        let file = folder.join(format!("{name}.json"));
        let attempt = format!("start the servers of {name}");
        let record = Record::load(&file).map_err(|error| {
            Failure::because(&attempt, &error)
                .advise(format!("remove {} to let it run nothing", file.display()))
        })?;
        let mut servers = Vec::new();
        for instance in instances {
            let server = Instance::start(instance).await;
            servers.push(
                server
                    .map_err(|error| Failure::because(format!("{attempt}: listen on 127.0.0.1"), &error))?,
            );
        }
        let site = Self {
            instances: servers,
            traffic,
            file,
            registry,
            client: Client::new(),
            record: Mutex::default(),
            asked: AtomicUsize::new(0),
        };
        let [canary, rest] =
            site.load_both(&record).await.map_err(|error| Failure::because(&attempt, &error))?;
        site.serve(canary, rest);
        *site.record.lock().await = record;
        Ok(site)
    }

    /// The name and address of every server.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.instances.iter().map(|instance| (instance.name, instance.address)).collect()
    }

    /// Lets the canary serve one thing and all others another.
    fn serve(&self, canary: Option<Arc<Served>>, rest: Option<Arc<Served>>) {
        for (place, instance) in self.instances.iter().enumerate() {
            instance.serve(if place == 0 { canary.clone() } else { rest.clone() });
        }
    }

    /// What the canary and the others have to serve.
    async fn load_both(&self, record: &Record) -> Result<[Option<Arc<Served>>; 2], StageError> {
        let canary = self.load(record.canary.as_ref()).await?;
        let rest = if record.rest == record.canary {
            canary.clone()
        } else {
            self.load(record.rest.as_ref()).await?
        };
        Ok([canary, rest])
    }

    /// Fetches a release's index out of the registry.
    async fn load(&self, release: Option<&Release>) -> Result<Option<Arc<Served>>, StageError> {
        let Some(release) = release else { return Ok(None) };
        let [artifact] = release.artifacts() else {
            let attempt = format!("serve {release}: a release of exactly one index is served here");
            return Err(SeamError::new(ErrorKind::Invalid, attempt));
        };
        let fetched = self.registry.fetch(&artifact.reference, MAX_INDEX_BYTES).await?;
        if fetched.digest != artifact.digest {
            let attempt = format!("serve {artifact}: the registry has {} under this name", fetched.digest);
            return Err(SeamError::new(ErrorKind::Conflict, attempt));
        }
        Ok(Some(Arc::new(Served { release: release.clone(), index: Index::from_bytes(&fetched.bytes)? })))
    }
}

/// Refuses a driver that was replaced.
fn check(record: &Record, fence: Fence) -> Result<(), StageError> {
    if fence.0 < record.fence {
        let attempt = format!("act with fence {fence}: a driver with fence {} took over", record.fence);
        return Err(SeamError::new(ErrorKind::Conflict, attempt));
    }
    Ok(())
}

#[async_trait]
impl Stage for Site {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, fence: Fence) -> Result<Observed, StageError> {
        let mut record = self.record.lock().await;
        check(&record, fence)?;
        if fence.0 > record.fence {
            let next = Record { fence: fence.0, ..record.clone() };
            next.store(&self.file)?;
            *record = next;
        }
        // The servers are asked, not the file: what counts is what clients get.
        let runs = |instance: &Instance| instance.served().map(|served| served.release.digest());
        let Some((canary, rest)) = self.instances.split_first() else { return Ok(Observed::Nothing) };
        let canary = runs(canary);
        let mut rest = rest.iter().map(runs);
        let baseline = rest.next().unwrap_or(canary);
        if rest.any(|other| other != baseline) {
            return Ok(Observed::Unknown("its instances run more than two releases".to_owned()));
        }
        Ok(match canary {
            Some(digest) if baseline == canary => Observed::Running(digest),
            Some(canary) => Observed::Canary { canary, rest: baseline },
            None if baseline.is_none() => Observed::Nothing,
            None => Observed::Unknown("its canary runs nothing, the others do".to_owned()),
        })
    }

    async fn apply(&self, release: &Release, context: &Context) -> Result<(), StageError> {
        let mut record = self.record.lock().await;
        check(&record, context.fence)?;
        if record.applied.contains(&context.key) {
            return Ok(());
        }
        let wanted = (!release.is_empty()).then(|| release.clone());
        let rest = if context.reach == Reach::Canary { record.rest.clone() } else { wanted.clone() };
        let applied = record.applied.clone();
        let mut next = Record { fence: context.fence.0, canary: wanted, rest, applied };
        next.applied.insert(context.key.clone());
        // Fetched before anything is changed: what cannot be served must not be recorded as running.
        let [canary, rest] = self.load_both(&next).await?;
        next.store(&self.file)?;
        *record = next;
        self.serve(canary, rest);
        Ok(())
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        let asked_for = match (self.traffic, self.instances.split_first()) {
            (Traffic::Clients, Some((_, [baseline, ..]))) => baseline.served(),
            (_, Some((canary, _))) => canary.served(),
            (_, None) => None,
        };
        let Some(asked_for) = asked_for else { return Ok(Vec::new()) };
        let names: Vec<&String> = asked_for.index.crates.keys().collect();
        let from = self.asked.fetch_add(REQUESTS, Ordering::Relaxed).checked_rem(names.len()).unwrap_or(0);
        let requests: Vec<&String> = names.iter().copied().cycle().skip(from).take(REQUESTS).collect();
        let counts = self.instances.iter().map(|instance| self.client.count(instance.address, &requests));
        let counts = futures::future::join_all(counts).await;
        let samples = self.instances.iter().zip(counts).enumerate().map(
            |(place, (instance, (good, total)))| match place {
                0 => Sample::canary(instance.name, good, total),
                _ => Sample::baseline(instance.name, good, total),
            },
        );
        Ok(samples.collect())
    }
}
