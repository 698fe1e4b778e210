//! Random commands against a naive registry in a map.

use std::collections::BTreeMap;

use mcp_core::{Digest, ErrorKind, Requirement, Version};
use mcp_registry::{Bump, Draft, Expect, Registry, Select};
use proptest::prelude::*;

use crate::{assert_sound, kind, name, version};

const NAMES: [&str; 2] = ["app", "app.core"];
const VERSIONS: [&str; 7] = ["0.1.0", "1.0.0-rc.1", "1.0.0", "1.0.0+b", "1.2.0", "1.10.0", "2.0.0-beta.2"];
const REQUIREMENTS: [&str; 5] = ["*", "^1", "~1.0", ">=1.0.0-rc.1", "<1.10"];

#[derive(Clone, Debug)]
enum Step {
    Publish(usize, usize, u8),
    PublishNext(usize, u8, u8),
    Yank(usize, usize, bool),
    Channel(usize, usize, Option<usize>),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let (of, at) = (0..NAMES.len(), 0..VERSIONS.len());
    prop_oneof![
        4 => (of.clone(), at.clone(), 0_u8..3).prop_map(|(n, v, b)| Step::Publish(n, v, b)),
        3 => (of.clone(), 0_u8..4, 0_u8..3).prop_map(|(n, k, b)| Step::PublishNext(n, k, b)),
        3 => (of.clone(), at.clone(), any::<bool>()).prop_map(|(n, v, y)| Step::Yank(n, v, y)),
        2 => (of, at.clone(), proptest::option::of(at)).prop_map(|(n, v, e)| Step::Channel(n, v, e)),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Clone, Debug)]
struct Known {
    version: Version,
    body: u8,
    yanked: bool,
}

/// One name: every version, and the channel `c`.
#[derive(Clone, Debug, Default)]
struct Model {
    versions: Vec<Known>,
    channel: Option<Version>,
}

impl Model {
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

fn draft(of: usize, body: u8) -> Draft {
    Draft::new(&name(NAMES[of]), vec![body; 10])
}

async fn run(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = Registry::open(folder.path()).await.unwrap();
    let mut models: BTreeMap<usize, Model> = BTreeMap::new();
    for step in &steps {
        match step {
            Step::Publish(of, at, body) => {
                let model = models.entry(*of).or_default();
                let wanted = version(VERSIONS[*at]);
                let expected = match model.find(&wanted) {
                    None => {
                        model.versions.push(Known { version: wanted.clone(), body: *body, yanked: false });
                        Ok(true)
                    }
                    Some(known) if known.version == wanted && known.body == *body => Ok(false),
                    Some(_) => Err(ErrorKind::Conflict),
                };
                let outcome = registry.publish(draft(*of, *body), &wanted).await;
                assert_eq!(
                    outcome.map(|done| done.created).map_err(|error| error.kind()),
                    expected,
                    "{step:?}"
                );
            }
            Step::PublishNext(of, bump, body) => {
                let model = models.entry(*of).or_default();
                let bump = [Bump::Major, Bump::Minor, Bump::Patch, Bump::Pre("rc".into())]
                    [usize::from(*bump)]
                .clone();
                let expected = model.next(&bump);
                let published = registry.publish_next(draft(*of, *body), bump).await.unwrap();
                assert_eq!(published.artifact.version, expected, "{step:?}");
                model.versions.push(Known { version: expected, body: *body, yanked: false });
            }
            Step::Yank(of, at, yanked) => {
                let model = models.entry(*of).or_default();
                let wanted = version(VERSIONS[*at]);
                let outcome = match yanked {
                    true => registry.yank(&name(NAMES[*of]), &wanted, "r").await,
                    false => registry.unyank(&name(NAMES[*of]), &wanted, "r").await,
                };
                let known = model.versions.iter_mut().find(|known| known.version.same_precedence(&wanted));
                let expected = if known.is_some() { None } else { Some(ErrorKind::NotFound) };
                assert_eq!(kind(outcome), expected, "{step:?}");
                if let Some(known) = known {
                    known.yanked = *yanked;
                }
            }
            Step::Channel(of, at, expect) => {
                let model = models.entry(*of).or_default();
                let wanted = version(VERSIONS[*at]);
                let known = model.find(&wanted).cloned();
                let there =
                    known.as_ref().is_some_and(|known| model.channel.as_ref() == Some(&known.version));
                let met = there
                    || match expect {
                        None => model.channel.is_none(),
                        Some(expected) => {
                            let expected = version(VERSIONS[*expected]);
                            model.channel.as_ref().is_some_and(|at| at.same_precedence(&expected))
                        }
                    };
                let expected = match &known {
                    None => Some(ErrorKind::NotFound),
                    Some(known) if known.yanked || !met => Some(ErrorKind::Conflict),
                    Some(_) => None,
                };
                let expect = expect.map_or(Expect::Absent, |at| Expect::At(version(VERSIONS[at])));
                let outcome = registry.set_channel(&name(NAMES[*of]), "c", &wanted, expect).await;
                assert_eq!(kind(outcome), expected, "{step:?}");
                if expected.is_none() {
                    model.channel = known.map(|known| known.version);
                }
            }
            Step::Reopen => {
                registry.close().await.unwrap();
                registry = Registry::open(folder.path()).await.unwrap();
            }
        }
    }
    for (of, model) in &models {
        compare(&registry, NAMES[*of], model).await;
    }
    assert_sound(&registry).await;
    registry.close().await.unwrap();
}

async fn compare(registry: &Registry, of: &str, model: &Model) {
    let found = |select: Select| async {
        let entry = registry.resolve(&name(of), select).await;
        entry.map(|entry| entry.artifact.version).ok()
    };
    assert_eq!(found(Select::latest()).await, model.highest(|v| !v.is_pre_release()), "latest of {model:?}");
    assert_eq!(found(Select::latest_with_pre_releases()).await, model.highest(|_| true), "of {model:?}");
    assert_eq!(found(Select::channel("c")).await, model.channel, "channel of {model:?}");
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
