use mcp_registry::{Draft, Registry, Search};

use crate::{in_memory, name, put, version};

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
async fn a_missing_damaged_or_foreign_index_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("search.db");
    let search = |expected: &'static str| {
        let folder = folder.path().to_owned();
        async move {
            let registry = Registry::open(folder).await.unwrap();
            assert_eq!(found(&registry, "app").await, [expected]);
            registry.close().await.unwrap();
        }
    };
    let registry = Registry::open(folder.path()).await.unwrap();
    put(&registry, "app@1.0.0", "x").await;
    registry.close().await.unwrap();
    search("app@1.0.0").await;
    std::fs::remove_file(&index).unwrap();
    search("app@1.0.0").await;
    std::fs::write(&index, b"this is not a database, but it is long enough to look at".repeat(100)).unwrap();
    search("app@1.0.0").await;
    let foreign = tempfile::tempdir().unwrap();
    let registry = Registry::open(foreign.path()).await.unwrap();
    for at in ["other@1.0.0", "app2@1.0.0"] {
        put(&registry, at, at).await;
    }
    assert_eq!(found(&registry, "app").await, ["app2@1.0.0"]);
    registry.close().await.unwrap();
    drop(registry);
    std::fs::copy(foreign.path().join("search.db"), &index).unwrap();
    search("app@1.0.0").await;
    let reader = Registry::open_read_only(folder.path()).await.unwrap();
    assert_eq!(found(&reader, "app").await, ["app@1.0.0"]);
}

#[tokio::test]
async fn a_word_whose_accents_stand_apart_is_found() {
    let registry = in_memory().await;
    describe(&registry, "app@1.0.0", "Größe", "x").await;
    for text in ["größe", "gro\u{308}ße", "große"] {
        assert_eq!(found(&registry, text).await, ["app@1.0.0"], "{text:?}");
    }
}
