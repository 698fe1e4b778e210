use mcp_core::ErrorKind;
use mcp_registry::{Draft, Expect, Registry, Search};

use crate::{in_memory, kind, name, put, version};

async fn describe(registry: &Registry, at: &str, description: &str, tag: &str) {
    let (of, v) = at.split_once('@').unwrap();
    let draft =
        Draft::new(&name(of), at.to_owned()).description(description).tag(tag).authors(["Ada Lovelace"]);
    registry.publish(draft, &version(v)).await.unwrap();
}

async fn found(registry: &Registry, text: &str) -> Vec<String> {
    registry.search(text).await.unwrap().iter().map(|hit| format!("{}@{}", hit.name, hit.version)).collect()
}

#[tokio::test]
async fn the_exact_name_comes_first_then_prefixes_then_words() {
    let registry = in_memory().await;
    describe(&registry, "billing@1.0.0", "nothing", "x").await;
    describe(&registry, "billing.invoice@1.0.0", "nothing", "x").await;
    describe(&registry, "other@1.0.0", "does billing too", "x").await;
    describe(&registry, "tagged@1.0.0", "nothing", "billing").await;
    let hits = found(&registry, "Billing").await;
    assert_eq!(hits[..2], ["billing@1.0.0", "billing.invoice@1.0.0"]);
    let mut rest = hits[2..].to_vec();
    rest.sort();
    assert_eq!(rest, ["other@1.0.0", "tagged@1.0.0"]);
    assert_eq!(found(&registry, "lovel").await.len(), 4);
    assert_eq!(registry.search(Search::text("lovelace").limit(3)).await.unwrap().len(), 3);
    assert_eq!(found(&registry, "does unknown").await, [""; 0]);
}

#[tokio::test]
async fn one_reads_ones_own_writes_and_only_the_latest_metadata() {
    let registry = in_memory().await;
    describe(&registry, "app@1.0.0", "old words", "x").await;
    assert_eq!(found(&registry, "old").await, ["app@1.0.0"]);
    describe(&registry, "app@2.0.0", "new words", "x").await;
    describe(&registry, "app@3.0.0-rc.1", "next words", "x").await;
    assert_eq!(found(&registry, "old").await, [""; 0]);
    assert_eq!(found(&registry, "new").await, ["app@2.0.0"]);
    registry.yank(&name("app"), &version("2.0.0"), "r").await.unwrap();
    assert_eq!(found(&registry, "old").await, ["app@1.0.0"]);
    registry.yank(&name("app"), &version("1.0.0"), "r").await.unwrap();
    assert_eq!(found(&registry, "next").await, ["app@3.0.0-rc.1"]);
    registry.yank(&name("app"), &version("3.0.0-rc.1"), "r").await.unwrap();
    assert_eq!(found(&registry, "app").await, [""; 0]);
}

#[tokio::test]
async fn hostile_queries_are_data() {
    let registry = in_memory().await;
    describe(&registry, "app@1.0.0", "a \"quoted\" NEAR thing", "x").await;
    let long = "é\0\"*".repeat(100_000);
    for text in [
        "",
        " ",
        "\"",
        "'",
        "*",
        "a*b",
        "^a",
        "NEAR(a b)",
        "a OR",
        "AND",
        "name:app",
        "{name}: a",
        "-a",
        "a -b",
        "'; DROP TABLE doc; --",
        "\0",
        "\u{202e}",
        "((((",
        "a\" OR \"b",
        &long,
    ] {
        let hits = registry.search(text).await;
        assert!(hits.is_ok_and(|hits| hits.len() <= 1), "{:?}", text.get(..20));
    }
    assert_eq!(found(&registry, "near \"QUOTED\"").await, ["app@1.0.0"]);
    assert_eq!(found(&registry, "name:thing").await, [""; 0]);
}

#[tokio::test]
async fn every_opening_finds_what_was_published_and_a_search_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    assert_eq!(found(&registry, "app").await, ["app@1.0.0"]);
    let reader = Registry::open_read_only(folder.path()).await.unwrap();
    assert_eq!(found(&reader, "app").await, ["app@1.0.0"]);
    put(&registry, "app@1.1.0", "y").await;
    assert_eq!(found(&reader, "app").await, ["app@1.1.0"]);
    registry.close().await.unwrap();
    let files = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
        files.collect::<std::collections::BTreeSet<_>>()
    };
    let before = files();
    let registry = Registry::open(folder.path()).await.unwrap();
    assert_eq!(found(&registry, "app").await, ["app@1.1.0"]);
    registry.close().await.unwrap();
    assert_eq!(files(), before);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_hides_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    for at in ["app@1.0.0", "app@2.0.0", "other@1.0.0", "third@1.0.0"] {
        describe(&registry, at, "words of it", "x").await;
    }
    registry.close().await.unwrap();
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    catalog.execute("UPDATE row SET body = '{' WHERE seq = 2", []).unwrap();
    catalog.execute("UPDATE row SET version = 'x' WHERE seq = 3", []).unwrap();
    drop(catalog);
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    assert_eq!(found(&registry, "words").await, ["app@1.0.0", "third@1.0.0"]);
    drop(registry);
    // What becomes unreadable after it was indexed is found, without its description.
    let registry = Registry::open(folder.path()).await.unwrap();
    assert_eq!(found(&registry, "third").await, ["third@1.0.0"]);
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    catalog.execute("UPDATE row SET body = '{' WHERE seq = 4", []).unwrap();
    drop(catalog);
    // Readers look at the file again once something was committed.
    describe(&registry, "fourth@1.0.0", "more of it", "x").await;
    let hits = registry.search("third").await.unwrap();
    assert_eq!(hits.iter().map(|hit| hit.description.as_str()).collect::<Vec<_>>(), [""]);
}

#[tokio::test]
async fn a_page_of_the_catalog_that_cannot_be_read_hides_only_what_is_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    for number in 0..200 {
        describe(&registry, &format!("app-{number}@1.0.0"), &"long ".repeat(40), "x").await;
    }
    registry.close().await.unwrap();
    let path = folder.path().join("catalog.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // Only rows have descriptions: a page that has one, somewhere in the middle.
    let described: Vec<usize> =
        (0..bytes.len() - 9).filter(|at| bytes[*at..].starts_with(b"long long")).collect();
    let page = described[described.len() / 2] / 4096 * 4096;
    bytes[page] = 0xff;
    std::fs::write(&path, bytes).unwrap();
    let registry = Registry::open_read_only(folder.path()).await.unwrap();
    let found = registry.search(Search::text("app").limit(1000)).await.unwrap().total;
    assert!((100..200).contains(&found), "{found}");
}

#[tokio::test]
async fn a_cursor_goes_on_after_a_restart_and_only_with_its_own_search() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    for number in 0..30 {
        describe(&registry, &format!("app-{number}@1.0.0"), "words", "x").await;
    }
    let whole = registry.search(Search::text("words").limit(100)).await.unwrap().hits;
    let first = registry.search(Search::text("words").limit(7)).await.unwrap();
    registry.close().await.unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    describe(&registry, "app-0@2.0.0", "other", "x").await;
    let next = first.next.clone().unwrap();
    let second = registry.search(Search::text("words").limit(100).after(&*next)).await.unwrap();
    assert_eq!([first.hits, second.hits].concat(), whole);
    assert_eq!((first.total, second.total, second.next), (30, 30, None));
    for wrong in [
        Search::text("word").after(&*next),
        Search::text("words").tag("x").after(&*next),
        Search::text("words").after(""),
        Search::text("words").after("'; DROP TABLE row"),
    ] {
        assert_eq!(kind(registry.search(wrong).await), Some(ErrorKind::Invalid));
    }
    let earlier = in_memory().await;
    put(&earlier, "app@1.0.0", "x").await;
    assert_eq!(kind(earlier.search(Search::text("words").after(next)).await), Some(ErrorKind::Invalid));
}

#[tokio::test]
async fn one_version_must_satisfy_all_filters() {
    let registry = in_memory().await;
    describe(&registry, "app@1.0.0", "a", "old").await;
    describe(&registry, "app@2.0.0", "a", "new").await;
    let count = async |search: Search| registry.search(search).await.unwrap().total;
    let all = || Search::text("");
    let requirement = |text: &str| text.parse().unwrap();
    assert_eq!(count(all().tag("old").version(requirement("^1"))).await, 1);
    assert_eq!(count(all().tag("new").version(requirement("^1"))).await, 0);
    assert_eq!(count(all().tag("old").tag("new")).await, 0);
    registry.set_channel(&name("app"), "stable", &version("1.0.0"), Expect::Any).await.unwrap();
    assert_eq!(count(all().channel("stable").tag("old")).await, 1);
    assert_eq!(count(all().channel("stable").tag("new")).await, 0);
    assert_eq!(count(all().channel("beta")).await, 0);
    registry.yank(&name("app"), &version("1.0.0"), "r").await.unwrap();
    assert_eq!(count(all().tag("old")).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_one_result_while_others_publish_yank_and_search() {
    let registry = in_memory().await;
    for number in 0..300 {
        describe(&registry, &format!("there-{number}@1.0.0"), &format!("words {number}"), "x").await;
    }
    let whole = registry.search(Search::text("words").limit(1000)).await.unwrap();
    let publisher = registry.clone();
    let others = tokio::spawn(async move {
        for number in 0..600 {
            let of = format!("there-{}", number * 7 % 300);
            describe(&publisher, &format!("{of}@1.0.{}", number + 1), "quite other words words", "y").await;
            describe(&publisher, &format!("new-{number}@1.0.0"), "words", "x").await;
            if number % 3 == 0 {
                publisher.yank(&name(&of), &version("1.0.0"), "r").await.unwrap();
            }
        }
    });
    let (mut found, mut page) = (Vec::new(), registry.search(Search::text("words").limit(10)).await.unwrap());
    let begun_late = page.total != 300;
    while let Some(next) = page.next.take() {
        found.extend(page.hits);
        page = registry.search(Search::text("words").limit(10).after(next)).await.unwrap();
    }
    found.extend(page.hits);
    let names: std::collections::BTreeSet<_> = found.iter().map(|hit| hit.name.clone()).collect();
    assert_eq!((names.len(), found.len() as u64), (found.len(), page.total));
    assert!(whole.iter().all(|hit| names.contains(&hit.name)));
    assert!(begun_late || names.len() == 300);
    others.await.unwrap();
}

#[tokio::test]
async fn a_word_whose_accents_stand_apart_is_found() {
    let registry = in_memory().await;
    describe(&registry, "app@1.0.0", "Größe", "x").await;
    for text in ["größe", "gro\u{308}ße", "große"] {
        assert_eq!(found(&registry, text).await, ["app@1.0.0"], "{text:?}");
    }
}
