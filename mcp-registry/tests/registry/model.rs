//! Random commands against a naive registry in a map.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{Candidate, Change, Classify, Digest, ErrorKind, Requirement, SeamError, Version};
use mcp_registry::{
    BuildInfo, Bump, DependencyKind, Dependents, Draft, Expect, LabelChange, Published, Registry,
    RegistryError, Select,
};
use proptest::prelude::*;

use crate::{assert_sound, name, version};

const NAMES: [&str; 2] = ["app", "app.core"];
const VERSIONS: [&str; 7] = ["0.1.0", "1.0.0-rc.1", "1.0.0", "1.0.0+b", "1.2.0", "1.10.0", "2.0.0-beta.2"];
const REQUIREMENTS: [&str; 5] = ["*", "^1", "~1.0", ">=1.0.0-rc.1", "<1.10"];
const CHANNELS: [&str; 2] = ["c", "d"];

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// With a body, and perhaps a requirement on the other name.
    Publish(usize, usize, u8, Option<usize>),
    PublishNext(usize, u8, u8),
    Yank(usize, usize, bool),
    Channel(usize, usize, usize, Option<usize>),
    RemoveChannel(usize, usize, Option<usize>),
    /// Sets the label `k`, or removes it; perhaps only where it is as expected.
    Label(usize, usize, Option<u8>, Option<Option<u8>>),
    /// With a message, or taken back.
    Deprecate(usize, usize, Option<u8>),
    /// One of the above, with a request id.
    Asked(u8, Box<Step>),
    Reopen,
}

fn command() -> impl Strategy<Value = Step> {
    let (of, at, on) = (0..NAMES.len(), 0..VERSIONS.len(), 0..CHANNELS.len());
    let any_at = proptest::option::of(at.clone());
    let small = || proptest::option::of(0_u8..3);
    prop_oneof![
        4 => (of.clone(), at.clone(), 0_u8..3, proptest::option::of(0..REQUIREMENTS.len()))
            .prop_map(|(n, v, b, d)| Step::Publish(n, v, b, d)),
        3 => (of.clone(), 0_u8..5, 0_u8..4).prop_map(|(n, k, b)| Step::PublishNext(n, k, b)),
        3 => (of.clone(), at.clone(), any::<bool>()).prop_map(|(n, v, y)| Step::Yank(n, v, y)),
        2 => (of.clone(), on.clone(), at.clone(), any_at.clone())
            .prop_map(|(n, c, v, e)| Step::Channel(n, c, v, e)),
        2 => (of.clone(), on, any_at).prop_map(|(n, c, e)| Step::RemoveChannel(n, c, e)),
        2 => (of.clone(), at.clone(), small(), proptest::option::of(small()))
            .prop_map(|(n, v, l, e)| Step::Label(n, v, l, e)),
        2 => (of, at, small()).prop_map(|(n, v, m)| Step::Deprecate(n, v, m)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => command(),
        6 => (0_u8..4, command()).prop_map(|(id, step)| Step::Asked(id, Box::new(step))),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Clone, Debug)]
struct Known {
    version: Version,
    body: u8,
    needs: Option<usize>,
    yanked: bool,
    label: Option<u8>,
    deprecated: Option<u8>,
}

impl Known {
    fn new(version: Version, body: u8, needs: Option<usize>) -> Self {
        Self { version, body, needs, yanked: false, label: None, deprecated: None }
    }
}

/// What changes between two bodies: the new one says it.
fn change(old: u8, new: u8) -> Change {
    match new {
        _ if old == new => Change::Identical,
        0 => Change::Patch,
        1 => Change::Minor,
        2 => Change::Major,
        _ => Change::Unknown,
    }
}

struct ByBody;

#[async_trait]
impl Classify for ByBody {
    async fn classify(&self, old: &Candidate, new: &Candidate) -> Result<Change, SeamError> {
        Ok(change(old.bytes[0], new.bytes[0]))
    }
}

/// One name: every version, and its channels, those that were removed too.
#[derive(Clone, Debug, Default)]
struct Model {
    versions: Vec<Known>,
    channels: BTreeMap<usize, Vec<Option<Version>>>,
}

/// Everything, and which request was which command with which answer.
#[derive(Default)]
struct World {
    names: BTreeMap<usize, Model>,
    requests: BTreeMap<u8, (Step, Answer)>,
}

/// The version that a command came to and whether it was made, or how it was refused.
type Answer = Result<Option<(Version, bool)>, ErrorKind>;

impl Model {
    fn channel(&self, of: usize) -> Option<Version> {
        self.channels.get(&of).and_then(|moves| moves.last().cloned().flatten())
    }

    fn find_mut(&mut self, version: &Version) -> Option<&mut Known> {
        self.versions.iter_mut().find(|known| known.version.same_precedence(version))
    }

    fn find(&self, version: &Version) -> Option<&Known> {
        self.versions.iter().find(|known| known.version.same_precedence(version))
    }

    fn highest(&self, admits: impl Fn(&Version) -> bool) -> Option<Version> {
        let live = self.versions.iter().filter(|known| !known.yanked && admits(&known.version));
        live.map(|known| known.version.clone()).max_by(Version::cmp_precedence)
    }

    fn next(&self, bump: &Bump) -> Version {
        let count = |v: &Version| match bump {
            Bump::Major => Version::new(v.major() + 1, 0, 0),
            Bump::Minor => Version::new(v.major(), v.minor() + 1, 0),
            _ => Version::new(v.major(), v.minor(), v.patch() + 1),
        };
        let release = self.highest(|v| !v.is_pre_release());
        let pre = self.highest(Version::is_pre_release);
        if let Bump::Pre(id) = bump {
            let open =
                pre.filter(|pre| release.as_ref().is_none_or(|release| pre.cmp_precedence(release).is_gt()));
            let target =
                open.or_else(|| release.map(|release| count(&release))).unwrap_or(Version::new(0, 1, 0));
            let (major, minor, patch) = (target.major(), target.minor(), target.patch());
            let numbered = |n: u64| version(&format!("{major}.{minor}.{patch}-{id}.{n}"));
            let last = (1..1000).rev().find(|n| self.find(&numbered(*n)).is_some()).unwrap_or(0);
            return numbered(last + 1);
        }
        let mut next = match (release, pre) {
            (Some(release), _) => count(&release),
            (None, Some(pre)) => Version::new(pre.major(), pre.minor(), pre.patch()),
            (None, None) => Version::new(0, 1, 0),
        };
        while self.find(&next).is_some() {
            next = count(&next);
        }
        next
    }
}

impl World {
    /// What the step does here.
    fn apply(&mut self, step: &Step) -> Answer {
        if let Step::Asked(id, asked) = step {
            if let Some((first, answer)) = self.requests.get(id) {
                return match answer {
                    _ if !same(first, answer, asked) => Err(ErrorKind::Conflict),
                    Ok(Some((version, _))) => Ok(Some((version.clone(), false))),
                    other => other.clone(),
                };
            }
            let answer = self.apply(asked);
            if answer.is_ok() {
                self.requests.insert(*id, ((**asked).clone(), answer.clone()));
            }
            return answer;
        }
        match step {
            Step::Publish(of, at, body, needs) => {
                let model = self.names.entry(*of).or_default();
                let wanted = version(VERSIONS[*at]);
                match model.find(&wanted) {
                    None => {
                        model.versions.push(Known::new(wanted.clone(), *body, *needs));
                        Ok(Some((wanted, true)))
                    }
                    Some(known)
                        if known.version == wanted && (known.body, known.needs) == (*body, *needs) =>
                    {
                        Ok(Some((wanted, false)))
                    }
                    Some(_) => Err(ErrorKind::Conflict),
                }
            }
            Step::PublishNext(of, bump, body) => {
                let model = self.names.entry(*of).or_default();
                let mut chosen = bump_of(*bump);
                let head = model.highest(|v| !v.is_pre_release()).or_else(|| model.highest(|_| true));
                if chosen == Bump::Auto {
                    let old = head.as_ref().and_then(|head| model.find(head));
                    chosen = match old.map(|old| (change(old.body, *body), old.version.major())) {
                        Some((Change::Identical, _)) => return Ok(head.map(|head| (head, false))),
                        Some((Change::Patch, _)) => Bump::Patch,
                        Some((Change::Major | Change::Unknown, 1..)) => Bump::Major,
                        _ => Bump::Minor,
                    };
                }
                let next = model.next(&chosen);
                model.versions.push(Known::new(next.clone(), *body, None));
                Ok(Some((next, true)))
            }
            Step::Channel(of, on, at, expect) => {
                let model = self.names.entry(*of).or_default();
                let known = model.find(&version(VERSIONS[*at])).cloned().ok_or(ErrorKind::NotFound)?;
                let now = model.channel(*on);
                if known.yanked {
                    return Err(ErrorKind::Conflict);
                }
                if now.as_ref() != Some(&known.version) {
                    met(now.as_ref(), *expect)?;
                    model.channels.entry(*on).or_default().push(Some(known.version));
                }
                Ok(None)
            }
            Step::RemoveChannel(of, on, expect) => {
                let model = self.names.entry(*of).or_default();
                if !model.channels.contains_key(on) {
                    return Err(ErrorKind::NotFound);
                }
                if let Some(now) = model.channel(*on) {
                    met(Some(&now), *expect)?;
                    model.channels.entry(*on).or_default().push(None);
                }
                Ok(None)
            }
            Step::Yank(of, at, yanked) => {
                self.known(*of, *at)?.yanked = *yanked;
                Ok(None)
            }
            Step::Label(of, at, label, expected) => {
                let known = self.known(*of, *at)?;
                if known.label != *label && expected.is_some_and(|expected| expected != known.label) {
                    return Err(ErrorKind::Conflict);
                }
                known.label = *label;
                Ok(None)
            }
            Step::Deprecate(of, at, message) => {
                self.known(*of, *at)?.deprecated = *message;
                Ok(None)
            }
            Step::Asked(..) | Step::Reopen => Ok(None),
        }
    }

    fn known(&mut self, of: usize, at: usize) -> Result<&mut Known, ErrorKind> {
        self.names.entry(of).or_default().find_mut(&version(VERSIONS[at])).ok_or(ErrorKind::NotFound)
    }
}

/// Whether a command with a request id is the one that this id belongs to. Of a publish name and content count, and a version that is named.
fn same(first: &Step, answer: &Answer, again: &Step) -> bool {
    let content = |step: &Step| match step {
        Step::Publish(of, _, body, needs) => Some((*of, *body, *needs)),
        Step::PublishNext(of, _, body) => Some((*of, *body, None)),
        _ => None,
    };
    match again {
        Step::Publish(_, at, ..) => {
            let made = matches!(answer, Ok(Some((made, _))) if *made == version(VERSIONS[*at]));
            content(first) == content(again) && made
        }
        Step::PublishNext(..) => content(first) == content(again),
        other => first == other,
    }
}

/// Whether a channel is where it is expected; without a version, nowhere.
fn met(now: Option<&Version>, expect: Option<usize>) -> Result<(), ErrorKind> {
    let expected = expect.map(|at| version(VERSIONS[at]));
    let met = match (now, &expected) {
        (None, None) => true,
        (Some(now), Some(expected)) => now.same_precedence(expected),
        _ => false,
    };
    if met { Ok(()) } else { Err(ErrorKind::Conflict) }
}

fn bump_of(number: u8) -> Bump {
    let bumps = [Bump::Major, Bump::Minor, Bump::Patch, Bump::Pre("rc".into()), Bump::Auto];
    bumps[usize::from(number)].clone()
}

fn expect_of(at: Option<usize>) -> Expect {
    at.map_or(Expect::Absent, |at| Expect::At(version(VERSIONS[at])))
}

fn label_of(label: Option<u8>) -> BTreeMap<String, String> {
    label.map(|label| ("k".to_owned(), label.to_string())).into_iter().collect()
}

/// The same step, asked of the registry. `nonce` goes into what must not count.
async fn ask(registry: &Registry, step: &Step, nonce: usize) -> Result<Option<Published>, RegistryError> {
    match step {
        Step::Publish(of, at, body, needs) => {
            let draft =
                Draft::new(&name(NAMES[*of]), vec![*body; 10]).build(BuildInfo::new(nonce.to_string()));
            let draft = match needs {
                Some(needs) => draft.dependency(NAMES[1 - of], REQUIREMENTS[*needs], DependencyKind::Runtime),
                None => draft,
            };
            return registry.publish(draft, &version(VERSIONS[*at])).await.map(Some);
        }
        Step::PublishNext(of, bump, body) => {
            let draft = Draft::new(&name(NAMES[*of]), vec![*body; 10]);
            return registry.publish_next(draft, bump_of(*bump)).await.map(Some);
        }
        Step::Yank(of, at, true) => registry.yank(&name(NAMES[*of]), &version(VERSIONS[*at]), "r").await?,
        Step::Yank(of, at, false) => registry.unyank(&name(NAMES[*of]), &version(VERSIONS[*at]), "r").await?,
        Step::Channel(of, on, at, expect) => {
            let (of, to) = (name(NAMES[*of]), version(VERSIONS[*at]));
            registry.set_channel(&of, CHANNELS[*on], &to, expect_of(*expect)).await?;
        }
        Step::RemoveChannel(of, on, expect) => {
            registry.remove_channel(&name(NAMES[*of]), CHANNELS[*on], expect_of(*expect)).await?;
        }
        Step::Label(of, at, label, expected) => {
            let change = label.map_or_else(
                || LabelChange::new().remove("k"),
                |label| LabelChange::new().set("k", label.to_string()),
            );
            let change = match expected {
                Some(expected) => change.expecting(&label_of(*expected)),
                None => change,
            };
            registry.set_labels(&name(NAMES[*of]), &version(VERSIONS[*at]), change).await?;
        }
        Step::Deprecate(of, at, message) => {
            let (of, at) = (name(NAMES[*of]), version(VERSIONS[*at]));
            match message {
                Some(message) => registry.deprecate(&of, &at, message.to_string()).await?,
                None => registry.undeprecate(&of, &at, "r").await?,
            }
        }
        Step::Asked(id, asked) => {
            let registry = registry.with_request_id(format!("r{id}").parse().unwrap());
            return Box::pin(ask(&registry, asked, nonce)).await;
        }
        Step::Reopen => {}
    }
    Ok(None)
}

async fn run(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let open = async || Registry::local(folder.path()).classify(Arc::new(ByBody)).open().await.unwrap();
    let mut registry = open().await;
    let mut world = World::default();
    for (nonce, step) in steps.iter().enumerate() {
        if *step == Step::Reopen {
            registry.close().await.unwrap();
            registry = open().await;
        }
        let expected = world.apply(step);
        let outcome = ask(&registry, step, nonce).await;
        let outcome = outcome
            .map(|done| done.map(|done| (done.artifact.version, done.created)))
            .map_err(|error| error.kind());
        assert_eq!(outcome, expected, "step {nonce}, {step:?}");
    }
    for (of, model) in &world.names {
        compare(&registry, NAMES[*of], model).await;
        let needed_by = &world.names.get(&(1 - of)).cloned().unwrap_or_default();
        compare_dependents(&registry, *of, needed_by).await;
    }
    assert_sound(&registry).await;
    registry.close().await.unwrap();
}

/// Which versions of the other name need this one, all and those that admit some version.
async fn compare_dependents(registry: &Registry, of: usize, other: &Model) {
    let mut needing: Vec<&Known> = other.versions.iter().filter(|known| known.needs.is_some()).collect();
    needing.sort_by(|a, b| a.version.cmp_precedence(&b.version));
    let shown = |known: &[&Known]| known.iter().map(|known| known.version.clone()).collect::<Vec<_>>();
    let found = async |query: Dependents| {
        let page = registry.dependents(query).await.unwrap();
        page.dependents.into_iter().map(|found| found.entry.artifact.version).collect::<Vec<_>>()
    };
    let every = Dependents::of(&name(NAMES[of])).limit(1000);
    assert_eq!(found(every.clone()).await, shown(&needing));
    let latest = other.highest(|v| !v.is_pre_release()).or_else(|| other.highest(|_| true));
    let mut of_latest = needing.clone();
    of_latest.retain(|known| Some(&known.version) == latest.as_ref());
    assert_eq!(found(every.clone().latest_only()).await, shown(&of_latest));
    for admitted in VERSIONS.map(version) {
        let mut admitting = needing.clone();
        admitting.retain(|known| {
            let requirement: Requirement = REQUIREMENTS[known.needs.unwrap()].parse().unwrap();
            requirement.matches(&admitted)
        });
        assert_eq!(found(every.clone().admitting(admitted)).await, shown(&admitting));
    }
}

async fn compare(registry: &Registry, of: &str, model: &Model) {
    let found = |select: Select| async {
        let entry = registry.resolve(&name(of), select).await;
        entry.map(|entry| entry.artifact.version).ok()
    };
    assert_eq!(found(Select::latest()).await, model.highest(|v| !v.is_pre_release()), "latest of {model:?}");
    assert_eq!(found(Select::latest_with_pre_releases()).await, model.highest(|_| true), "of {model:?}");
    let listed = registry.channels(&name(of), None, 9).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|at| (at.channel.to_string(), at.version)).collect();
    let mut pointing = Vec::new();
    for (on, channel) in CHANNELS.iter().enumerate() {
        assert_eq!(found(Select::channel(*channel)).await, model.channel(on), "{channel} of {model:?}");
        pointing.extend(model.channel(on).map(|at| ((*channel).to_owned(), at)));
        let history = registry.channel_history(&name(of), *channel, None, 1000).await;
        let expected = model.channels.get(&on).ok_or(ErrorKind::NotFound).cloned();
        let history = history.map_err(|error| error.kind()).map(|mut moves| {
            moves.reverse();
            moves.into_iter().map(|at| at.to).collect::<Vec<_>>()
        });
        assert_eq!(history, expected, "history of {channel}");
    }
    assert_eq!(listed, pointing);
    for text in REQUIREMENTS {
        let requirement: Requirement = text.parse().unwrap();
        let expected = model.highest(|v| requirement.matches(v));
        assert_eq!(found(Select::requirement(text)).await, expected, "{text} of {model:?}");
    }
    let listed = registry.versions(&name(of), None, 1000).await.unwrap();
    let mut expected = model.versions.clone();
    expected.sort_by(|a, b| b.version.cmp_precedence(&a.version));
    assert_eq!(listed.len(), expected.len());
    for (entry, known) in listed.into_iter().zip(expected) {
        assert_eq!((&entry.artifact.version, entry.yanked.is_some()), (&known.version, known.yanked));
        assert_eq!(entry.labels, label_of(known.label));
        assert_eq!(entry.deprecated, known.deprecated.map(|message| message.to_string()));
        let content = registry.get(&name(of), Select::exact(known.version)).await.unwrap();
        assert_eq!(content.entry.digest, Digest::of(&[known.body; 10]));
        assert_eq!(&content.bytes[..], [known.body; 10]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_registry_does_what_a_naive_one_does(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps));
    }
}
