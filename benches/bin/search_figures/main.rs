//! How long a text search takes over many names, beside SQLite's FTS5 with `ORDER BY rank` over the same documents.
//!
//! `cargo run --release -p mcp-benches --bin search_figures -- --names 200000`. Prints a table for `benches/README.md`.

mod peer;

use std::time::{Duration, Instant};

use mcp_benches::random::Random;
use mcp_benches::{processor_time, resident_bytes};
use mcp_core::Version;
use mcp_registry::{Draft, Registry, Search, Sort};
use peer::Fts5;

const SEARCHES: usize = 100;
const WORDS: u64 = 20_000;

/// What is said of one name: `common` in each, `half` in every other one, and words of which few are frequent.
struct Said {
    name: String,
    description: String,
    tag: String,
}

fn said(number: u64, random: &mut Random) -> Said {
    let mut words = vec!["common".to_owned()];
    if number.is_multiple_of(2) {
        words.push("half".to_owned());
    }
    for _ in 0..random.between(6, 14) {
        // The cube makes low numbers frequent, as words of a language are.
        let word = (random.uniform().powi(3) * WORDS as f64) as u64;
        words.push(format!("word{word}"));
    }
    Said {
        name: format!("team-{}/artifact-{number}", number % 97),
        description: words.join(" "),
        tag: format!("tag{}", random.below(50)),
    }
}

/// Median and 99th percentile.
fn times(mut once: impl FnMut(usize)) -> (Duration, Duration) {
    let mut times: Vec<Duration> = (0..SEARCHES)
        .map(|number| {
            let begin = Instant::now();
            once(number);
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times[SEARCHES / 2], times[SEARCHES * 99 / 100])
}

fn row(what: &str, (median, high): (Duration, Duration)) {
    println!("| {what} | {:.2} | {:.2} |", median.as_secs_f64() * 1e3, high.as_secs_f64() * 1e3);
}

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--names").skip(1);
    let names = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(200_000_u64);
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut random = Random::new(1);
    let said: Vec<Said> = (0..names).map(|number| said(number, &mut random)).collect();
    let registry = runtime.block_on(Registry::open(folder.path())).expect("a registry");
    for part in said.chunks(4096) {
        let drafts = part.iter().map(|said| {
            let name = said.name.parse().expect("a name");
            let draft = Draft::new(&name, said.name.clone()).description(&*said.description).tag(&*said.tag);
            (draft.authors(["Ada Lovelace"]).media_type("application/json"), Version::new(1, 0, 0))
        });
        for outcome in runtime.block_on(registry.publish_many(drafts)) {
            outcome.expect("published");
        }
    }
    let before = resident_bytes();
    let search = |search: Search| runtime.block_on(registry.search(search)).expect("hits");
    let (begin, busy) = (Instant::now(), processor_time());
    let hits = search(Search::text("common"));
    let first = begin.elapsed();
    let processor = |from: Option<Duration>| Some(processor_time()?.saturating_sub(from?));
    assert_eq!((hits.len(), hits.total), (20, names));
    println!(
        "{names} names; the first search, which makes the index: {:.2} s ({:.2} s of a processor)",
        first.as_secs_f64(),
        processor(busy).unwrap_or_default().as_secs_f64()
    );
    let memory = resident_bytes().saturating_sub(before) as f64;
    println!("memory of the index: {:.1} MiB, {:.0} bytes a name", memory / 1048576.0, memory / names as f64);
    println!("\n| top 20 of {names} names, {SEARCHES} searches each | median, ms | p99, ms |\n|---|---|---|");
    row("a word that all names have", times(|_| drop(search(Search::text("common \"common\"")))));
    row("the same, perhaps unfinished", times(|_| drop(search(Search::text("common")))));
    row(
        "two words, one of all and one of half the names",
        times(|_| drop(search(Search::text("common half")))),
    );
    row("a phrase of half the names", times(|_| drop(search(Search::text("\"common half\"")))));
    row(
        "a word of few names",
        times(|number| drop(search(Search::text(format!("\"word{}\"", 19_000 + number))))),
    );
    row("a name", times(|number| drop(search(Search::text(&*said[number].name)))));
    row("one letter of all", times(|_| drop(search(Search::text("c")))));
    row(
        "a word of all, newest first, one tag",
        times(|_| drop(search(Search::text("common").tag("tag7").sort(Sort::Newest)))),
    );
    row("a word of all, with facets", times(|_| drop(search(Search::text("common").facets()))));
    let next = search(Search::text("common")).next.expect("a cursor");
    row("a word of all, second page", times(|_| drop(search(Search::text("common").after(&*next)))));
    let peer = Fts5::create(&folder.path().join("peer.db"), &said).expect("FTS5");
    println!(
        "| all of the above, processor time, s | {:.2} | |",
        processor(busy).unwrap_or_default().as_secs_f64()
    );
    row(
        "peer: FTS5, `ORDER BY rank`, a word that all names have",
        times(|_| assert_eq!(peer.ranked("common"), 20)),
    );
    row(
        "peer: FTS5, `ORDER BY rank`, a word of few names",
        times(|number| assert!(peer.ranked(&format!("word{}", 19_000 + number)) <= 20)),
    );
    runtime.block_on(registry.close()).expect("closed");
}
