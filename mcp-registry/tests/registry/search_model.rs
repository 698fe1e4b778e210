//! Random names, metadata and queries beside a naive search, which keeps every version and looks at all of them.
//!
//! The words are few, so that most queries find something, and their folded forms are written down by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mcp_core::{ManualClock, Requirement, Timestamp, Version};
use mcp_registry::{Draft, Expect, Facets, Hits, LabelChange, Registry, Search, Sort};
use proptest::prelude::*;

use crate::{name, version};

const NAMES: [&str; 8] = ["app", "app.core", "app/ui", "apple", "lib", "lib-core", "große_app", "x"];
/// As it is written, and as it is compared.
const WORDS: [(&str, &str); 9] = [
    ("core", "core"),
    ("Core", "core"),
    ("corelib", "corelib"),
    ("Größe", "große"),
    ("GRO\u{308}SSE", "grosse"),
    ("app", "app"),
    ("2", "2"),
    ("naïve", "naive"),
    ("日本", "日本"),
];
const TAGS: [&str; 3] = ["app", "core lib", "x y"];
const AUTHORS: [&str; 2] = ["Ada Core", "Größe"];
const MEDIA: [&str; 2] = ["text/plain", "application/json"];
const VERSIONS: [&str; 6] = ["0.1.0", "1.0.0", "1.1.0-rc.1", "1.2.0", "2.0.0-a", "2.0.0"];
const REQUIREMENTS: [&str; 4] = ["^1", "=2.0.0-a", ">=1.1.0-rc.0", "<1"];

#[derive(Clone, Debug)]
enum Step {
    Publish {
        name: usize,
        version: usize,
        words: Vec<usize>,
        tags: Vec<usize>,
        authors: Vec<usize>,
        media: usize,
    },
    Yank {
        name: usize,
        version: usize,
        yanked: bool,
    },
    Channel {
        name: usize,
        version: usize,
    },
    Remove {
        name: usize,
    },
    Label {
        name: usize,
        version: usize,
        value: usize,
    },
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    let at = 0..VERSIONS.len();
    let words = proptest::collection::vec(0..WORDS.len(), 0..5);
    let tags = proptest::collection::vec(0..TAGS.len(), 0..3);
    let authors = proptest::collection::vec(0..AUTHORS.len(), 0..2);
    prop_oneof![
        6 => (name.clone(), at.clone(), words, tags, authors, 0..MEDIA.len()).prop_map(
            |(name, version, words, tags, authors, media)| Step::Publish { name, version, words, tags, authors, media }
        ),
        2 => (name.clone(), at.clone(), any::<bool>()).prop_map(|(name, version, yanked)| Step::Yank { name, version, yanked }),
        1 => (name, at).prop_map(|(name, version)| Step::Channel { name, version }),
        1 => (0..NAMES.len()).prop_map(|name| Step::Remove { name }),
        2 => (0..NAMES.len(), 0..VERSIONS.len(), 0..3_usize).prop_map(|(name, version, value)| Step::Label { name, version, value }),
        1 => Just(Step::Wait),
    ]
}

/// A search as data: the same is asked of the registry and of the model.
#[derive(Clone, Debug)]
struct Asked {
    /// Phrases of word numbers; the flag says whether the last one is cut short, which is then the last of the query.
    phrases: Vec<Vec<usize>>,
    cut: Option<usize>,
    /// Instead of words: the beginning of a name.
    name: Option<(usize, usize)>,
    tag: Option<usize>,
    author: Option<usize>,
    media: Option<usize>,
    requirement: Option<usize>,
    since: Option<i64>,
    until: Option<i64>,
    channel: bool,
    label: Option<usize>,
    sort: Sort,
}

fn asked() -> impl Strategy<Value = Asked> {
    let phrases = proptest::collection::vec(proptest::collection::vec(0..WORDS.len(), 1..3), 0..3);
    let text = (
        phrases,
        proptest::option::of(0..WORDS.len()),
        proptest::option::weighted(0.3, (0..NAMES.len(), 1..9_usize)),
    );
    let said = (
        proptest::option::weighted(0.2, 0..TAGS.len()),
        proptest::option::weighted(0.2, 0..AUTHORS.len()),
        proptest::option::weighted(0.2, 0..MEDIA.len()),
    );
    let of_version = (
        proptest::option::weighted(0.2, 0..REQUIREMENTS.len()),
        proptest::option::weighted(0.2, 0..8_i64),
        proptest::option::weighted(0.2, 0..8_i64),
        proptest::bool::weighted(0.1),
        proptest::option::weighted(0.1, 1..3_usize),
    );
    let sort = prop_oneof![3 => Just(Sort::Relevance), 1 => Just(Sort::Name), 1 => Just(Sort::Newest), 1 => Just(Sort::Oldest)];
    (text, said, of_version, sort).prop_map(
        |((phrases, cut, name), (tag, author, media), of_version, sort)| {
            let (requirement, since, until, channel, label) = of_version;
            Asked { phrases, cut, name, tag, author, media, requirement, since, until, channel, label, sort }
        },
    )
}

fn seconds(count: i64) -> Timestamp {
    Timestamp::from_micros(count * 1_000_000)
}

impl Asked {
    fn text(&self) -> String {
        if let Some((name, length)) = self.name {
            return NAMES[name].chars().take(length).collect();
        }
        let written =
            |words: &Vec<usize>| words.iter().map(|word| WORDS[*word].0).collect::<Vec<_>>().join(" ");
        let mut parts: Vec<String> =
            self.phrases.iter().map(|words| format!("\"{}\"", written(words))).collect();
        parts.extend(self.cut.map(|word| WORDS[word].0.chars().take(3).collect()));
        parts.join(" ")
    }

    fn search(&self) -> Search {
        let mut search = Search::text(self.text()).sort(self.sort).facets();
        search = self.tag.map_or(search.clone(), |tag| search.tag(TAGS[tag]));
        search = self.author.map_or(search.clone(), |author| search.author(AUTHORS[author]));
        search = self.media.map_or(search.clone(), |media| search.media_type(MEDIA[media]));
        search =
            self.requirement.map_or(search.clone(), |at| search.version(REQUIREMENTS[at].parse().unwrap()));
        search = self.since.map_or(search.clone(), |at| search.since(seconds(at)));
        search = self.until.map_or(search.clone(), |at| search.until(seconds(at)));
        search = self.label.map_or(search.clone(), |value| search.label("team", value.to_string()));
        if self.channel { search.channel("stable") } else { search }
    }
}

#[derive(Clone, Debug)]
struct Kept {
    words: Vec<usize>,
    tags: BTreeSet<&'static str>,
    authors: BTreeSet<&'static str>,
    media: &'static str,
    at: Timestamp,
    yanked: bool,
    /// 0: none.
    label: usize,
}

#[derive(Clone, Debug, Default)]
struct Model {
    names: BTreeMap<&'static str, BTreeMap<usize, Kept>>,
    channels: BTreeMap<&'static str, usize>,
}

/// The parts of `name` as ASCII words; one that is no name is never published.
fn split(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn fold(text: &str) -> Vec<String> {
    split(&text.replace('ö', "o").replace('ï', "i"))
}

impl Model {
    fn head(&self, of: &str) -> Option<(Version, &Kept)> {
        let live = self.names[of].iter().filter(|(_, kept)| !kept.yanked);
        let live = live.map(|(at, kept)| (version(VERSIONS[*at]), kept));
        live.max_by(|(a, _), (b, _)| {
            (!a.is_pre_release()).cmp(&!b.is_pre_release()).then(a.cmp_precedence(b))
        })
    }

    /// The fields of a name, each a run of folded words.
    fn fields(&self, of: &str) -> Option<Vec<Vec<String>>> {
        let (_, head) = self.head(of)?;
        let mut fields = vec![split(of), head.words.iter().map(|word| WORDS[*word].1.to_owned()).collect()];
        fields.extend(head.tags.iter().chain(&head.authors).map(|text| fold(text)));
        Some(fields)
    }

    fn admitted(&self, asked: &Asked, of: &str) -> Vec<&Kept> {
        let admits = |(at, kept): &(&usize, &Kept)| {
            let requirement = asked.requirement.map(|at| REQUIREMENTS[at].parse::<Requirement>().unwrap());
            !kept.yanked
                && asked.tag.is_none_or(|tag| kept.tags.contains(TAGS[tag]))
                && asked.author.is_none_or(|author| kept.authors.contains(AUTHORS[author]))
                && asked.media.is_none_or(|media| kept.media == MEDIA[media])
                && asked.since.is_none_or(|since| kept.at >= seconds(since))
                && asked.until.is_none_or(|until| kept.at < seconds(until))
                && requirement.is_none_or(|requirement| requirement.matches(&version(VERSIONS[**at])))
                && asked.label.is_none_or(|label| kept.label == label)
                && (!asked.channel || self.channels.get(of) == Some(*at))
        };
        self.names[of].iter().filter(admits).map(|(_, kept)| kept).collect()
    }

    fn says(&self, asked: &Asked, of: &str) -> bool {
        let Some(fields) = self.fields(of) else { return false };
        if let Some((name, length)) = asked.name {
            let text: String = NAMES[name].chars().take(length).collect();
            let words = fold(&text);
            let (last, whole) = words.split_last().unwrap();
            let has = |matches: &dyn Fn(&str) -> bool| fields.iter().flatten().any(|word| matches(word));
            return whole.iter().all(|wanted| has(&|word| word == wanted))
                && has(&|word| word.starts_with(&**last));
        }
        let phrase = |words: &Vec<usize>| {
            let wanted: Vec<&str> = words.iter().map(|word| WORDS[*word].1).collect();
            fields.iter().any(|field| field.windows(wanted.len()).any(|here| here == wanted))
        };
        let cut = |word: usize| {
            let written: String = WORDS[word].0.chars().take(3).collect();
            let beginning = fold(&written.replace("O\u{308}", "o")).concat();
            fields.iter().flatten().any(|word| word.starts_with(&beginning))
        };
        asked.phrases.iter().all(phrase) && asked.cut.is_none_or(cut)
    }

    fn found(&self, asked: &Asked) -> BTreeSet<&'static str> {
        let names = self.names.keys().copied();
        names.filter(|of| self.says(asked, of) && !self.admitted(asked, of).is_empty()).collect()
    }

    fn newest(&self, of: &str) -> Timestamp {
        self.names[of].values().filter(|kept| !kept.yanked).map(|kept| kept.at).max().unwrap()
    }

    fn facets(&self, asked: &Asked) -> [Vec<(String, u64)>; 3] {
        let mut counts: [BTreeMap<&str, u64>; 3] = Default::default();
        for of in self.found(asked) {
            let mut seen: [BTreeSet<&str>; 3] = Default::default();
            for kept in self.admitted(asked, of) {
                seen[0].insert(kept.media);
                seen[1].extend(&kept.tags);
                seen[2].extend(&kept.authors);
            }
            for (seen, counts) in seen.iter().zip(&mut counts) {
                seen.iter().for_each(|value| *counts.entry(value).or_default() += 1);
            }
        }
        counts.map(|counts| {
            let mut values: Vec<(String, u64)> =
                counts.into_iter().map(|(value, count)| (value.to_owned(), count)).collect();
            values.sort_by(|(a, more), (b, less)| less.cmp(more).then(a.cmp(b)));
            values
        })
    }
}

/// Does the step in both; what the registry refuses, the model leaves.
async fn apply(registry: &Registry, model: &mut Model, clock: &ManualClock, step: &Step) {
    match step {
        Step::Publish { name: of, version: at, words, tags, authors, media } => {
            let Ok(parsed) = NAMES[*of].parse() else { return };
            let description = words.iter().map(|word| WORDS[*word].0).collect::<Vec<_>>().join(", ");
            let tags: BTreeSet<&str> = tags.iter().map(|tag| TAGS[*tag]).collect();
            let authors: BTreeSet<&str> = authors.iter().map(|author| AUTHORS[*author]).collect();
            let mut draft = Draft::new(&parsed, "x").description(description).media_type(MEDIA[*media]);
            draft = draft.authors(authors.iter().copied());
            draft = tags.iter().fold(draft, |draft, tag| draft.tag(*tag));
            let Ok(published) = registry.publish(draft, &version(VERSIONS[*at])).await else { return };
            if published.created {
                let at_time = mcp_core::Clock::now(clock);
                let kept = Kept {
                    words: words.clone(),
                    tags,
                    authors,
                    media: MEDIA[*media],
                    at: at_time,
                    yanked: false,
                    label: 0,
                };
                model.names.entry(NAMES[*of]).or_default().insert(*at, kept);
            }
        }
        Step::Yank { name: of, version: at, yanked } => {
            let Some(kept) = model.names.get_mut(NAMES[*of]).and_then(|versions| versions.get_mut(at)) else {
                return;
            };
            kept.yanked = *yanked;
            let at = version(VERSIONS[*at]);
            if *yanked {
                registry.yank(&name(NAMES[*of]), &at, "r").await.unwrap();
            } else {
                registry.unyank(&name(NAMES[*of]), &at, "r").await.unwrap();
            }
        }
        Step::Channel { name: of, version: at } => {
            let Ok(parsed) = NAMES[*of].parse() else { return };
            if registry.set_channel(&parsed, "stable", &version(VERSIONS[*at]), Expect::Any).await.is_ok() {
                model.channels.insert(NAMES[*of], *at);
            }
        }
        Step::Remove { name: of } => {
            let Ok(parsed) = NAMES[*of].parse() else { return };
            if registry.remove_channel(&parsed, "stable", Expect::Any).await.is_ok() {
                model.channels.remove(NAMES[*of]);
            }
        }
        Step::Label { name: of, version: at, value } => {
            let Some(kept) = model.names.get_mut(NAMES[*of]).and_then(|versions| versions.get_mut(at)) else {
                return;
            };
            kept.label = *value;
            let change = match value {
                0 => LabelChange::new().remove("team"),
                value => LabelChange::new().set("team", value.to_string()),
            };
            registry.set_labels(&name(NAMES[*of]), &version(VERSIONS[*at]), change).await.unwrap();
        }
        Step::Wait => clock.advance(Duration::from_secs(1)),
    }
}

fn names_of(hits: &Hits) -> Vec<String> {
    hits.iter().map(|hit| hit.name.to_string()).collect()
}

fn counts(facets: Option<Facets>) -> [Vec<(String, u64)>; 3] {
    let facets = facets.unwrap();
    assert!(facets.exact);
    [facets.media_types, facets.tags, facets.authors]
}

/// What the order promises: names that the text begins, and times.
fn check_order(model: &Model, asked: &Asked, found: &[String]) {
    let text = asked.text().to_lowercase();
    let rank = |of: &String| match asked.sort {
        Sort::Relevance if !text.is_empty() && of == &text => (0, 0),
        Sort::Relevance if !text.is_empty() && of.starts_with(&text) => (1, 0),
        Sort::Newest => (0, -model.newest(of).as_micros()),
        Sort::Oldest => (0, model.newest(of).as_micros()),
        Sort::Name => (0, 0),
        _ => (2, 0),
    };
    for pair in found.windows(2) {
        assert!(rank(&pair[0]) <= rank(&pair[1]), "{asked:?}: {found:?}");
        let by_name = rank(&pair[0]) == rank(&pair[1]) && rank(&pair[0]).0 < 2;
        assert!(!by_name || pair[0] < pair[1], "{asked:?}: {found:?}");
    }
}

async fn check(registry: &Registry, model: &Model, asked: &Asked) {
    let hits = registry.search(asked.search().limit(1000)).await.unwrap();
    let found = names_of(&hits);
    let sorted: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(sorted, model.found(asked), "{asked:?}: {:?}", asked.text());
    assert_eq!((found.len() as u64, hits.next.clone()), (hits.total, None));
    for hit in &hits {
        assert_eq!(hit.version, model.head(hit.name.as_str()).unwrap().0, "{asked:?}");
    }
    check_order(model, asked, &found);
    assert_eq!(counts(hits.facets), model.facets(asked), "{asked:?}");
}

/// All pages of two hits, with a step of the script before each but the first.
async fn pages(
    registry: &Registry,
    model: &mut Model,
    clock: &ManualClock,
    asked: &Asked,
    between: &[Step],
) -> Vec<String> {
    let (mut found, mut after, mut between) = (Vec::new(), None, between.iter());
    loop {
        let search = asked.search().limit(2);
        let search = after.map_or(search.clone(), |after: String| search.after(after));
        let hits = registry.search(search).await.unwrap();
        found.extend(names_of(&hits));
        after = hits.next;
        if after.is_none() {
            return found;
        }
        for step in between.by_ref().take(3) {
            apply(registry, model, clock, step).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_search_finds_what_a_naive_one_finds_and_its_pages_are_one_result_whatever_happens_meanwhile(
        steps in proptest::collection::vec(step(), 1..40),
        searches in proptest::collection::vec(asked(), 1..12),
        between in proptest::collection::vec(step(), 0..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let clock = Arc::new(ManualClock::at(Timestamp::from_micros(0)));
            let registry = Registry::in_memory().clock(clock.clone()).open().await.unwrap();
            let mut model = Model::default();
            for (number, step) in steps.iter().enumerate() {
                apply(&registry, &mut model, &clock, step).await;
                check(&registry, &model, &searches[number % searches.len()]).await;
            }
            for asked in &searches {
                check(&registry, &model, asked).await;
                let whole = names_of(&registry.search(asked.search().limit(1000)).await.unwrap());
                let paged = pages(&registry, &mut model, &clock, asked, &between).await;
                assert_eq!(paged, whole, "{asked:?}");
            }
        });
    }
}
