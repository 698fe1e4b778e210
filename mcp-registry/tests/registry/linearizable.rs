//! Histories of a few concurrent operations, each explained by some order of them that their beginnings and ends allow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_core::{Digest, ErrorKind, Version};
use mcp_registry::{Draft, Expect, Registry, RegistryError, Select};

use crate::{assert_sound, name, put, resolved, version};

const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "2.0.0"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Publish(usize, u8),
    Move(usize, Option<usize>),
    Remove(usize),
    Yank(usize),
    Latest,
    Channel,
}

/// What an operation answered: a version and a body where it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Made(bool),
    Done,
    At(usize, u8),
    Refused(ErrorKind),
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    began: u64,
    ended: u64,
    ask: Ask,
    said: Said,
}

/// The registry as one value: body and yank of each version, and where the channel points; `Some(None)` where it was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    versions: BTreeMap<usize, (u8, bool)>,
    channel: Option<Option<usize>>,
}

impl State {
    fn apply(&mut self, ask: Ask) -> Said {
        let missing = Said::Refused(ErrorKind::NotFound);
        match ask {
            Ask::Publish(at, body) => match self.versions.get(&at) {
                None => {
                    self.versions.insert(at, (body, false));
                    Said::Made(true)
                }
                Some((known, _)) if *known == body => Said::Made(false),
                Some(_) => Said::Refused(ErrorKind::Conflict),
            },
            Ask::Move(to, expect) => match self.versions.get(&to) {
                None => missing,
                Some((_, true)) => Said::Refused(ErrorKind::Conflict),
                Some(_) if self.channel == Some(Some(to)) => Said::Done,
                Some(_) if self.channel.flatten() != expect => Said::Refused(ErrorKind::Conflict),
                Some(_) => {
                    self.channel = Some(Some(to));
                    Said::Done
                }
            },
            Ask::Remove(expect) => match self.channel {
                None => missing,
                Some(Some(at)) if at != expect => Said::Refused(ErrorKind::Conflict),
                Some(_) => {
                    self.channel = Some(None);
                    Said::Done
                }
            },
            Ask::Yank(at) => match self.versions.get_mut(&at) {
                None => missing,
                Some((_, yanked)) => {
                    *yanked = true;
                    Said::Done
                }
            },
            Ask::Latest => {
                let live = self.versions.iter().filter(|(_, (_, yanked))| !yanked);
                live.max_by_key(|(at, _)| **at).map_or(missing, |(at, (body, _))| Said::At(*at, *body))
            }
            Ask::Channel => match self.channel.flatten() {
                None => missing,
                Some(at) => Said::At(at, self.versions[&at].0),
            },
        }
    }
}

/// Whether some order of the operations explains all answers: each takes effect between its beginning and its end.
/// Wing and Gong, "Testing and verifying concurrent objects", 1993.
fn is_explained(history: &[Operation]) -> bool {
    fn search(left: u32, state: &State, history: &[Operation], tried: &mut BTreeSet<(u32, State)>) -> bool {
        if left == 0 {
            return true;
        }
        if !tried.insert((left, state.clone())) {
            return false;
        }
        let waiting = || (0..history.len()).filter(|n| left & (1 << n) != 0);
        let first_end = waiting().map(|n| history[n].ended).min().unwrap_or(u64::MAX);
        waiting().filter(|n| history[*n].began < first_end).any(|n| {
            let mut next = state.clone();
            next.apply(history[n].ask) == history[n].said && search(left & !(1 << n), &next, history, tried)
        })
    }
    search((1 << history.len()) - 1, &State::default(), history, &mut BTreeSet::new())
}

/// A small generator: xorshift, from Marsaglia, "Xorshift RNGs", 2003.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn ask(&mut self) -> Ask {
        let at = usize::try_from(self.below(3)).unwrap();
        match self.below(9) {
            0..=2 => Ask::Publish(at, u8::try_from(self.below(2)).unwrap()),
            3 | 4 => {
                let expect = usize::try_from(self.below(4)).unwrap();
                Ask::Move(at, (expect < 3).then_some(expect))
            }
            5 => Ask::Remove(at),
            6 => Ask::Yank(at),
            7 => Ask::Latest,
            _ => Ask::Channel,
        }
    }
}

async fn perform(registry: &Registry, ask: Ask) -> Said {
    let (app, at) = (name("app"), |at: usize| version(VERSIONS[at]));
    let found = |entry: mcp_registry::Entry| {
        let shown = entry.artifact.version.to_string();
        let body = (0..2).find(|body| entry.digest == Digest::of(&[*body])).unwrap();
        Said::At(VERSIONS.iter().position(|version| **version == shown).unwrap(), body)
    };
    let outcome: Result<Said, RegistryError> = match ask {
        Ask::Publish(to, body) => {
            let done = registry.publish(Draft::new(&app, vec![body]), &at(to)).await;
            done.map(|done| Said::Made(done.created))
        }
        Ask::Move(to, expect) => {
            let expect = expect.map_or(Expect::Absent, |expect| Expect::At(at(expect)));
            registry.set_channel(&app, "c", &at(to), expect).await.map(|()| Said::Done)
        }
        Ask::Remove(expect) => {
            registry.remove_channel(&app, "c", Expect::At(at(expect))).await.map(|()| Said::Done)
        }
        Ask::Yank(which) => registry.yank(&app, &at(which), "r").await.map(|()| Said::Done),
        Ask::Latest => registry.resolve(&app, Select::latest()).await.map(found),
        Ask::Channel => registry.resolve(&app, Select::channel("c")).await.map(found),
    };
    outcome.unwrap_or_else(|error| Said::Refused(error.kind()))
}

async fn record(seed: u64) -> Vec<Operation> {
    let registry = Registry::in_memory().open().await.unwrap();
    let clock = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..4_u64)
        .map(|task| {
            let (registry, clock) = (registry.clone(), Arc::clone(&clock));
            let mut random = Random((seed * 4 + task + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            tokio::spawn(async move {
                let mut done = Vec::new();
                for _ in 0..4 {
                    let ask = random.ask();
                    for _ in 0..random.below(3) {
                        tokio::task::yield_now().await;
                    }
                    let began = clock.fetch_add(1, Ordering::SeqCst);
                    let said = perform(&registry, ask).await;
                    done.push(Operation { began, ended: clock.fetch_add(1, Ordering::SeqCst), ask, said });
                }
                done
            })
        })
        .collect();
    let mut history = Vec::new();
    for task in tasks {
        history.extend(task.await.unwrap());
    }
    history
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_publishes_moves_and_resolutions_are_explained_by_some_order() {
    for seed in 0..150 {
        let history = record(seed).await;
        assert!(is_explained(&history), "seed {seed}: {history:#?}");
    }
}

#[test]
fn a_history_that_no_order_explains_is_found() {
    let at = |began, ended, ask, said| Operation { began, ended, ask, said };
    let publish = at(0, 1, Ask::Publish(0, 0), Said::Made(true));
    let stale = at(2, 3, Ask::Latest, Said::Refused(ErrorKind::NotFound));
    assert!(!is_explained(&[publish, stale]), "it ended before the look began");
    assert!(is_explained(&[publish, at(0, 3, stale.ask, stale.said)]), "they overlap");
    let twice = [publish, at(0, 5, Ask::Publish(0, 0), Said::Made(true))];
    assert!(!is_explained(&twice), "two cannot both have made it");
    let moved = |to| at(2, 5, Ask::Move(to, None), Said::Done);
    let both = [publish, at(0, 1, Ask::Publish(1, 0), Said::Made(true)), moved(0), moved(1)];
    assert!(!is_explained(&both), "the channel was absent for one of them only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_swaps_exactly_one_wins_in_each_round() {
    let registry = Registry::in_memory().open().await.unwrap();
    for patch in 0..16 {
        put(&registry, &format!("app@1.0.{patch}"), "x").await;
    }
    let mut now: Option<Version> = None;
    for round in 0..25 {
        let expect = now.clone().map_or(Expect::Absent, Expect::At);
        let others = (0..16).map(|patch| Version::new(1, 0, patch)).filter(|to| Some(to) != now.as_ref());
        // One removes it, all others move it: from the second round on.
        let remover = now.is_some().then(|| {
            let (registry, expect) = (registry.clone(), expect.clone());
            tokio::spawn(
                async move { registry.remove_channel(&name("app"), "c", expect).await.map(|()| None) },
            )
        });
        let movers = others.map(|to| {
            let (registry, expect) = (registry.clone(), expect.clone());
            tokio::spawn(async move {
                registry.set_channel(&name("app"), "c", &to, expect).await.map(|()| Some(to))
            })
        });
        let mut winners = Vec::new();
        for task in movers.chain(remover).collect::<Vec<_>>() {
            match task.await.unwrap() {
                Ok(to) => winners.push(to),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "round {round}: {error}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        now = winners.remove(0);
        let expected = now.as_ref().map(ToString::to_string).ok_or(ErrorKind::NotFound);
        assert_eq!(resolved(&registry, "app", Select::channel("c")).await, expected, "round {round}");
    }
    assert_eq!(registry.channel_history(&name("app"), "c", None, 99).await.unwrap().len(), 25);
    assert_sound(&registry).await;
}
