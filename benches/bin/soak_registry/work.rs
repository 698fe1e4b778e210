//! What one worker does, over and over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mcp_benches::distinct_json;
use mcp_benches::random::Random;
use mcp_core::{Digest, ErrorKind, Name, Requirement, Version};
use mcp_registry::{Bump, Draft, Expect, Published, Registry, Search, Select, Sort};
use tokio::sync::RwLock;

use crate::tally::Tally;

/// So few that all versions of each are fought over.
const NAMES: u64 = 200;
const SIZES: [usize; 4] = [200, 1024, 16 << 10, 100 << 10];
const WORDS: [&str; 8] = ["common", "service", "schema", "billing", "report", "index", "policy", "stream"];

pub(crate) struct Place {
    pub(crate) registry: RwLock<Registry>,
    pub(crate) tally: Tally,
    /// How many versions were acknowledged as new.
    pub(crate) published: AtomicU64,
    pub(crate) stop: AtomicBool,
}

/// Ends when it is told to.
pub(crate) async fn work(place: Arc<Place>, seed: u64) {
    let mut random = Random::new(seed);
    while !place.stop.load(Ordering::Relaxed) {
        let opening = place.registry.read().await;
        Worker { place: &place, registry: &opening, random: &mut random }.once().await;
        drop(opening);
        // Nobody who waits for the lock starves.
        tokio::task::yield_now().await;
    }
}

struct Worker<'a> {
    place: &'a Place,
    registry: &'a Registry,
    random: &'a mut Random,
}

impl Worker<'_> {
    async fn once(&mut self) {
        match self.random.below(100) {
            0..25 => self.publish_next().await,
            25..30 => self.publish_exact().await,
            30..34 => self.publish_again().await,
            34..36 => self.conflict().await,
            36..56 => self.get().await,
            56..60 => self.range().await,
            60..80 => self.resolve().await,
            80..85 => self.search().await,
            85..90 => self.channel().await,
            90..92 => self.yank().await,
            92..96 => self.changes().await,
            _ => self.look().await,
        }
    }

    fn name(&mut self) -> Name {
        format!("team-{}/artifact-{}", self.random.below(7), self.random.below(NAMES))
            .parse()
            .expect("a name")
    }

    fn draft(&mut self, name: &Name) -> Draft {
        let number = self.random.below(u64::MAX);
        // Mostly small ones.
        let size = SIZES[(self.random.below(4) * self.random.below(4) / 3) as usize];
        let words: Vec<&str> = (0..6).map(|_| WORDS[self.random.below(8) as usize]).collect();
        Draft::new(name, distinct_json(number, size))
            .media_type("application/json")
            .description(format!("common {} number {}", words.join(" "), number % 1000))
            .tag(WORDS[self.random.below(8) as usize])
            .actor("soak")
    }

    fn note(&self, published: Option<Published>) {
        if published.is_some_and(|published| published.created) {
            self.place.published.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn publish_next(&mut self) {
        let name = self.name();
        let draft = self.draft(&name);
        let bump = match self.random.below(10) {
            0 => Bump::Major,
            1..4 => Bump::Minor,
            4 => Bump::Pre("rc".to_owned()),
            _ => Bump::Patch,
        };
        let published = self.registry.publish_next(draft, bump);
        self.note(self.place.tally.time("publish, next version", &[], published).await);
    }

    async fn publish_exact(&mut self) {
        let name = self.name();
        let draft = self.draft(&name);
        let version = Version::new(1_000 + self.random.below(1_000), self.random.below(1_000), 0);
        let published = self.registry.publish(draft, &version);
        self.note(self.place.tally.time("publish, exact version", &[ErrorKind::Conflict], published).await);
    }

    /// The same bytes under few names and versions: new, there already, or stored already.
    async fn publish_again(&mut self) {
        let name = self.name();
        self.publish_same(&name).await;
    }

    async fn publish_same(&mut self, name: &Name) -> Version {
        // No next version is ever one of these.
        let version: Version = format!("0.0.0-same.{}", self.random.below(3)).parse().expect("a version");
        let draft = Draft::new(name, "the same bytes").description("common again").actor("soak");
        let published = self.registry.publish(draft, &version);
        self.note(self.place.tally.time("publish, the same again", &[], published).await);
        version
    }

    /// Another content under a version that is there.
    async fn conflict(&mut self) {
        let name = self.name();
        let version = self.publish_same(&name).await;
        let draft = Draft::new(&name, self.random.below(u64::MAX).to_string()).actor("soak");
        let outcome = self.registry.publish(draft, &version);
        let refused = [ErrorKind::Conflict];
        let published = self.place.tally.time("publish, another content", &refused, outcome).await;
        let right = published.is_none();
        self.place
            .tally
            .check("conflict", if right { Ok(()) } else { Err(format!("{name}@{version} was changed")) });
    }

    async fn get(&mut self) {
        let name = self.name();
        let get = self.registry.get(&name, Select::latest());
        let Some(content) = self.place.tally.time("get, latest", &[ErrorKind::NotFound], get).await else {
            return;
        };
        let right = Digest::of(&content.bytes) == content.entry.digest;
        self.place.tally.check("get", if right { Ok(()) } else { Err(format!("wrong bytes of {name}")) });
    }

    async fn range(&mut self) {
        let name = self.name();
        let range = self.registry.get_range(&name, Select::latest(), 1..13);
        let refused = [ErrorKind::NotFound, ErrorKind::Invalid];
        let Some(content) = self.place.tally.time("get, 12 bytes of latest", &refused, range).await else {
            return;
        };
        let right = content.bytes.len() == 12;
        self.place.tally.check(
            "range",
            if right { Ok(()) } else { Err(format!("{} bytes of {name}", content.bytes.len())) },
        );
    }

    async fn resolve(&mut self) {
        let name = self.name();
        let requirement: Requirement = ["^0.1", "~0.2", ">=1, <3", "*", "^1"][self.random.below(5) as usize]
            .parse()
            .expect("a requirement");
        let resolve = self.registry.resolve(&name, Select::requirement(requirement.clone()));
        let Some(entry) = self.place.tally.time("resolve", &[ErrorKind::NotFound], resolve).await else {
            return;
        };
        let right = requirement.matches(&entry.artifact.version) && entry.yanked.is_none();
        self.place.tally.check(
            "resolve",
            if right { Ok(()) } else { Err(format!("{requirement} gave {}", entry.artifact)) },
        );
    }

    async fn search(&mut self) {
        let word = WORDS[self.random.below(8) as usize];
        let search = match self.random.below(4) {
            0 => Search::text(word),
            1 => Search::text("common").tag(word).sort(Sort::Newest),
            2 => Search::text(format!("\"common {word}\"")).facets(),
            _ => Search::text("artifact"),
        };
        let Some(hits) =
            self.place.tally.time("search", &[], self.registry.search(search.clone().limit(5))).await
        else {
            return;
        };
        let Some(next) = hits.next else { return };
        let page = self.registry.search(search.limit(5).after(next));
        let Some(second) = self.place.tally.time("search, second page", &[], page).await else { return };
        let twice = second.iter().any(|hit| hits.hits.iter().any(|first| first.name == hit.name));
        let right = !twice && second.total == hits.total;
        self.place
            .tally
            .check("search", if right { Ok(()) } else { Err(format!("pages of {word} do not fit")) });
    }

    /// Moves a channel from where it is, as seen a moment ago, to the latest version.
    async fn channel(&mut self) {
        let name = self.name();
        let missing = [ErrorKind::NotFound];
        let latest = self.registry.resolve(&name, Select::latest());
        let Some(latest) = self.place.tally.time("resolve", &missing, latest).await else { return };
        let now = self.registry.resolve(&name, Select::channel("stable"));
        let now = self.place.tally.time("resolve, channel", &missing, now).await;
        let expect = now.map_or(Expect::Absent, |entry| Expect::At(entry.artifact.version));
        let version = latest.artifact.version;
        let moved = self.registry.set_channel(&name, "stable", &version, expect);
        self.place.tally.time("move a channel", &[ErrorKind::Conflict], moved).await;
    }

    async fn yank(&mut self) {
        let name = self.name();
        let latest = self.registry.resolve(&name, Select::latest());
        let Some(entry) = self.place.tally.time("resolve", &[ErrorKind::NotFound], latest).await else {
            return;
        };
        let version = entry.artifact.version;
        let yank = self.registry.yank(&name, &version, "soak");
        self.place.tally.time("yank", &[], yank).await;
        if self.random.permille(500) {
            let unyank = self.registry.unyank(&name, &version, "soak");
            self.place.tally.time("unyank", &[], unyank).await;
        }
    }

    async fn changes(&mut self) {
        let last = self.place.published.load(Ordering::Relaxed);
        let after = self.random.below(last.max(1));
        let rows = self.place.tally.time("changes, 50 rows", &[], self.registry.changes(after, 50)).await;
        let rows = rows.unwrap_or_default();
        let chained =
            rows.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1 && pair[1].follows(&pair[0].chain));
        self.place.tally.check(
            "changes",
            if chained { Ok(()) } else { Err(format!("rows behind {after} do not follow")) },
        );
    }

    async fn look(&mut self) {
        let name = self.name();
        self.place.tally.time("versions, 20", &[], self.registry.versions(&name, None, 20)).await;
        self.place.tally.time("stats", &[], self.registry.stats()).await;
    }
}
