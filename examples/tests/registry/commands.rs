use mcp_core::Digest;
use serde_json::json;

use crate::program::Host;

/// `app` at 1.0.0 and 1.1.0, of which the first is `stable`.
fn with_two_versions() -> Host {
    let host = Host::new();
    host.write("one", "first");
    host.write("two", "second");
    host.done(&[
        "publish",
        "app@1.0.0",
        "one",
        "--media-type",
        "text/plain",
        "--tag",
        "a",
        "--tag",
        "b",
        "--description",
        "What it is",
    ]);
    host.done(&["publish", "app@next:minor", "two"]);
    host.done(&["channel", "app:stable", "1.0.0"]);
    host
}

#[test]
fn every_form_of_a_reference_finds_its_version() {
    let host = with_two_versions();
    let digest = Digest::of(b"first").to_string();
    for (reference, text) in [
        ("app@1.0.0", "first"),
        ("app@=1.0.0", "first"),
        ("app@<1.1", "first"),
        ("app@^1", "second"),
        ("app@1.1", "second"),
        ("app@*", "second"),
        ("app:stable", "first"),
        ("app", "second"),
        (&digest, "first"),
    ] {
        assert_eq!(host.done(&["get", reference]), text, "{reference}");
        let version = if text == "first" { "1.0.0" } else { "1.1.0" };
        assert_eq!(host.json(&["resolve", reference])["version"], version, "{reference}");
        assert!(
            host.done(&["resolve", reference]).starts_with(&format!("app@{version} blake3:")),
            "{reference}"
        );
        assert_eq!(
            host.done(&["get", reference, "-o", "out"]).split(' ').next().unwrap(),
            format!("app@{version}")
        );
        assert_eq!(std::fs::read_to_string(host.path("out")).unwrap(), text);
    }
}

#[test]
fn what_publish_was_told_is_what_resolve_tells() {
    let host = with_two_versions();
    let mut entry = host.json(&["resolve", "app@1.0.0"]);
    assert!(entry["published_at"].as_str().unwrap().ends_with('Z'));
    entry.as_object_mut().unwrap().remove("published_at");
    let expected = json!({
        "name": "app", "version": "1.0.0", "digest": Digest::of(b"first"), "size": 5, "media_type": "text/plain",
        "sha256": "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e",
        "metadata": {"description": "What it is", "tags": ["a", "b"]}, "labels": {}, "actor": "registry", "seq": 1,
        "yanked": null, "deprecated": null,
    });
    assert_eq!(entry, expected);
}

#[test]
fn publish_answers_with_the_version_and_whether_it_is_new() {
    let host = Host::new();
    host.write("one", "first");
    host.write("two", "second");
    let digest = Digest::of(b"first");
    let first = json!({"name": "app", "version": "0.1.0", "digest": digest, "seq": 1, "created": true, "deduplicated": false});
    assert_eq!(host.json(&["publish", "app@0.1.0", "one"]), first);
    let again = json!({"name": "app", "version": "0.1.0", "digest": digest, "seq": 1, "created": false, "deduplicated": false});
    assert_eq!(host.json(&["publish", "app@0.1.0", "one"]), again);
    assert_eq!(host.done(&["publish", "app@0.1.0", "one"]), format!("app@0.1.0 {digest} was there already"));
    for (bump, version) in [
        ("patch", "0.1.1"),
        ("minor", "0.2.0"),
        ("major", "1.0.0"),
        ("pre:rc", "1.0.1-rc.1"),
        ("pre:rc", "1.0.1-rc.2"),
    ] {
        assert_eq!(host.json(&["publish", &format!("app@next:{bump}"), "two"])["version"], version, "{bump}");
    }
    let (code, message) = host.refused(&["publish", "app@0.1.0", "two"]);
    assert_eq!(code, 1);
    assert!(message.contains(&digest.to_string()), "{message}");
}

#[test]
fn versions_are_listed_highest_first_with_their_yanks() {
    let host = with_two_versions();
    assert_eq!(host.done(&["yank", "app@1.1.0", "--reason", "it \u{1b}[31mburns"]), "app@1.1.0 is yanked");
    let (one, two) = (Digest::of(b"first"), Digest::of(b"second"));
    let expected = format!("app@1.1.0 {two} 6 bytes, yanked: it \u{fffd}[31mburns\napp@1.0.0 {one} 5 bytes");
    assert_eq!(host.done(&["versions", "app"]), expected);
    let lines = host.call(&["--json", "versions", "app"]).lines();
    assert_eq!([&lines[0]["yanked"], &lines[1]["yanked"]], [&json!("it \u{1b}[31mburns"), &json!(null)]);
    assert_eq!(host.done(&["get", "app"]), "first");
    assert_eq!(host.refused(&["versions", "other"]).0, 1);
}

#[test]
fn a_search_knows_words_tags_and_a_limit() {
    let host = with_two_versions();
    host.done(&["publish", "apply@1.0.0", "one", "--tag", "a", "--description", "Something else"]);
    host.done(&["yank", "app@1.1.0", "--reason", "r"]);
    assert_eq!(host.done(&["search", "app"]), "app@1.0.0 What it is\napply@1.0.0 Something else");
    assert_eq!(host.done(&["search", "app", "--limit", "1"]), "app@1.0.0 What it is");
    assert_eq!(host.done(&["search", "app", "--limit", "0"]), "");
    assert_eq!(host.done(&["search", "", "--tag", "a", "--tag", "b"]), "app@1.0.0 What it is");
    assert_eq!(host.done(&["search", "nothing"]), "");
    let expected = json!({"name": "apply", "version": "1.0.0", "description": "Something else"});
    assert_eq!(host.json(&["search", "\"something else\""]), expected);
}

#[test]
fn a_channel_moves_only_from_where_it_is_expected() {
    let host = with_two_versions();
    let (code, message) = host.refused(&["channel", "app:stable", "1.1.0", "--expect", "1.1.0"]);
    assert_eq!(code, 1);
    assert!(message.contains("it is at 1.0.0"), "{message}");
    let moved = json!({"name": "app", "channel": "stable", "version": "1.1.0"});
    assert_eq!(host.json(&["channel", "app:stable", "1.1.0", "--expect", "1.0.0"]), moved);
    assert_eq!(host.done(&["get", "app:stable"]), "second");
    assert_eq!(host.refused(&["channel", "app:stable", "9.0.0"]).0, 1);
}

#[test]
fn what_is_said_of_a_version_later_is_told_and_can_be_taken_back() {
    let host = with_two_versions();
    let shown = |key: &str| host.json(&["resolve", "app@1.1.0"])[key].clone();
    host.done(&["deprecate", "app@1.1.0", "--message", "use 2"]);
    host.done(&["yank", "app@1.1.0", "--reason", "broken"]);
    assert_eq!((shown("deprecated"), shown("yanked")), (json!("use 2"), json!("broken")));
    assert_eq!(host.done(&["undeprecate", "app@1.1.0", "--reason", "r"]), "app@1.1.0 is no more deprecated");
    assert_eq!(host.json(&["unyank", "app@1.1.0", "--reason", "r"])["yanked"], false);
    assert_eq!((shown("deprecated"), shown("yanked")), (json!(null), json!(null)));
    host.done(&["labels", "app@1.1.0", "--set", "team=a", "--set", "tier=b=c"]);
    assert_eq!(host.done(&["labels", "app@1.1.0", "--remove", "team"]), "tier=b=c");
    assert_eq!(host.json(&["labels", "app@1.1.0"])["labels"], json!({"tier": "b=c"}));
    assert_eq!(host.done(&["labels", "app@1.0.0"]), "");
    assert_eq!(host.done(&["channels", "app"]), "app:stable is at 1.0.0");
    assert_eq!(host.json(&["channels", "app"])["version"], "1.0.0");
    assert_eq!(host.refused(&["channels", "other"]).0, 1);
}

#[test]
fn dependents_are_those_that_said_what_they_need() {
    let host = with_two_versions();
    host.done(&["publish", "user@1.0.0", "one", "--needs", "app@^1", "--label", "team=a"]);
    let line = r#"{"name":"user","version":"2.0.0","text":"x","needs":["app@=1.0.0"],"labels":{"k":"v"}}"#;
    assert_eq!(host.batch(line).code, Some(0));
    let both = "user@1.0.0 needs app ^1 (runtime)\nuser@2.0.0 needs app =1.0.0 (runtime)";
    assert_eq!(host.done(&["dependents", "app"]), both);
    assert_eq!(
        host.done(&["dependents", "app", "--admitting", "1.1.0"]),
        "user@1.0.0 needs app ^1 (runtime)"
    );
    assert_eq!(host.done(&["dependents", "nobody"]), "");
    assert_eq!(host.json(&["resolve", "user"])["labels"], json!({"k": "v"}));
}

#[test]
fn changes_begin_behind_a_position() {
    let host = with_two_versions();
    let rows = host.call(&["--json", "changes"]).lines();
    let kinds: Vec<_> =
        rows.iter().map(|row| (row["seq"].as_u64().unwrap(), row["kind"].as_str().unwrap())).collect();
    assert_eq!(kinds, [(1, "published"), (2, "published"), (3, "channel-moved")]);
    let last = host.json(&["changes", "--after", "2"]);
    assert_eq!(last, rows[2]);
    assert_eq!(
        (&last["channel"], &last["to"], &last["actor"]),
        (&json!("stable"), &json!("1.0.0"), &json!("registry"))
    );
    assert_eq!(host.done(&["changes", "--after", "3"]), "");
    assert!(host.done(&["changes", "--after", "2"]).ends_with("registry channel-moved app:stable to 1.0.0"));
}

#[test]
fn stats_and_verify_count() {
    let host = with_two_versions();
    host.done(&["publish", "copy@1.0.0", "one"]);
    let stats = host.json(&["stats"]);
    let count = |what: &str| stats[what].as_u64().unwrap();
    assert_eq!((count("versions"), count("names"), count("blobs"), count("deduplicated")), (3, 2, 2, 1));
    let verified = json!({"rows": 4, "packs": 2, "blobs": 2, "faults": 0, "sound": true});
    let mut found = host.json(&["verify"]);
    found["packs"] = json!(2);
    assert_eq!(found, verified);
    assert!(host.done(&["verify"]).ends_with(" 2 blobs, 0 faults"));
}

#[test]
fn help_lists_every_command() {
    let host = Host::new();
    let help = host.done(&["--help"]);
    for command in [
        "publish",
        "get",
        "resolve",
        "versions",
        "search",
        "channel",
        "channels",
        "yank",
        "unyank",
        "deprecate",
        "undeprecate",
        "labels",
        "dependents",
        "changes",
        "verify",
        "stats",
    ] {
        let begins =
            |line: &str| line.strip_prefix("  ").and_then(|line| line.split(' ').next()) == Some(command);
        assert!(help.lines().any(begins), "{command}");
    }
    assert!(!host.path("data").exists());
}

#[test]
fn a_schema_is_numbered_by_comparison() {
    let host = Host::new();
    let publish = |schema: &str| {
        host.write("schema", schema);
        let media_type = "application/schema+json";
        host.json(&["publish", "order@next:auto", "schema", "--media-type", media_type])["version"].clone()
    };
    assert_eq!(publish(r#"{"type": "integer"}"#), "0.1.0");
    assert_eq!(publish(r#"{"type": "integer", "title": "count"}"#), "0.1.1");
    assert_eq!(publish(r#"{"type": "number"}"#), "0.2.0");
    assert_eq!(publish(r#"{"type": "number"}"#), "0.2.0");
}
