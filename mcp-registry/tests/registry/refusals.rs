//! Names and versions that are refused, with the reason, by the core's parsers and by every call that takes text.

use mcp_core::{ArtifactRef, ErrorKind, Name, ParseError, Version};
use mcp_registry::{Bump, DependencyKind, Draft, Expect, Registry, Select};

use crate::{in_memory, kind, name, put, version};

const EMPTY_SEGMENT: &str = "a segment between '.' or '/' is empty";

/// Each with what its reason says.
fn bad_names() -> Vec<(String, &'static str)> {
    let names = [
        ("", "it is empty"),
        ("../x", EMPTY_SEGMENT),
        ("a/../b", EMPTY_SEGMENT),
        ("./x", EMPTY_SEGMENT),
        ("/etc/passwd", EMPTY_SEGMENT),
        ("a//b", EMPTY_SEGMENT),
        ("a/", EMPTY_SEGMENT),
        ("..", EMPTY_SEGMENT),
        ("C:\\x", "'C' is not allowed"),
        ("c:/x", "':' is not allowed"),
        ("a\\..\\b", "'\\\\' is not allowed"),
        ("a\0b", "'\\0' is not allowed"),
        ("a\nb", "'\\n' is not allowed"),
        ("a b", "' ' is not allowed"),
        ("Serde", "'S' is not allowed"),
        ("s\u{435}rde", "'\u{435}' is not allowed"),
        ("ser\u{200d}de", "'\\u{200d}' is not allowed"),
        ("ｓerde", "'ｓ' is not allowed"),
        ("cafe\u{301}", "is not allowed"),
        ("a@1.0.0", "'@' is not allowed"),
        ("a:b", "':' is not allowed"),
        ("a%2e%2e", "'%' is not allowed"),
        ("*", "'*' is not allowed"),
        ("a'; DROP TABLE row; --", "'\\'' is not allowed"),
    ];
    let long =
        [(10 << 10, "it has 10240 bytes, at most 255 are allowed"), (256, "it has 256 bytes, at most 255")];
    let long = long.map(|(bytes, reason)| ("n".repeat(bytes), reason));
    names.map(|(text, reason)| (text.to_owned(), reason)).into_iter().chain(long).collect()
}

fn bad_versions() -> Vec<(String, &'static str)> {
    let versions = [
        ("", "empty string"),
        ("1", "unexpected end of input"),
        ("1.2", "unexpected end of input"),
        ("1.2.3.4", "unexpected character '.' after patch version number"),
        ("01.2.3", "invalid leading zero in major version number"),
        ("1.02.3", "invalid leading zero in minor version number"),
        ("1.2.03", "invalid leading zero in patch version number"),
        ("1.2.3-01", "invalid leading zero in pre-release identifier"),
        ("1.2.3-a..b", "empty identifier segment in pre-release identifier"),
        ("1.2.3+", "empty identifier segment in build metadata"),
        ("v1.2.3", "unexpected character 'v' while parsing major version number"),
        ("=1.2.3", "unexpected character '=' while parsing major version number"),
        (" 1.2.3", "unexpected character ' ' while parsing major version number"),
        ("1.2.3 ", "unexpected character ' ' after patch version number"),
        ("-1.2.3", "unexpected character '-' while parsing major version number"),
        ("18446744073709551616.0.0", "value of major version number exceeds u64::MAX"),
        ("0.0.99999999999999999999", "value of patch version number exceeds u64::MAX"),
        ("1.2.3\0", "unexpected character '\\0' after patch version number"),
        ("１.2.3", "unexpected character '１' while parsing major version number"),
        ("1.2.3-é", "empty identifier segment in pre-release identifier"),
        ("../1.0.0", "unexpected character '.' while parsing major version number"),
        ("latest", "unexpected character 'l' while parsing major version number"),
        ("*", "unexpected character '*' while parsing major version number"),
    ];
    let long = (format!("1.0.0-{}", "a".repeat(10 << 10)), "bytes, at most 255 are allowed");
    versions.map(|(text, reason)| (text.to_owned(), reason)).into_iter().chain([long]).collect()
}

/// The reason is the expected one, the message says what it was read as, and repeats no more than its beginning.
fn check(error: &ParseError, what: &str, text: &str, reason: &str) {
    assert_eq!((error.kind(), error.what()), (ErrorKind::Invalid, what), "{text:?}");
    assert!(error.reason().contains(reason), "{text:?}: {}", error.reason());
    assert!(error.to_string().len() < 600, "{} bytes", error.to_string().len());
    assert!(!error.to_string().contains('\0'), "a message shows no raw NUL");
}

#[test]
fn the_parsers_say_why_they_refuse_a_name_or_a_version() {
    for (text, reason) in bad_names() {
        check(&text.parse::<Name>().unwrap_err(), "name", &text, reason);
        let quoted = serde_json::to_string(&text).unwrap();
        assert!(serde_json::from_str::<Name>(&quoted).is_err(), "{text:?}");
        assert!(format!("{text}@1.0.0").parse::<ArtifactRef>().is_err(), "{text:?}");
    }
    for (text, reason) in bad_versions() {
        check(&text.parse::<Version>().unwrap_err(), "version", &text, reason);
        let quoted = serde_json::to_string(&text).unwrap();
        assert!(serde_json::from_str::<Version>(&quoted).is_err(), "{text:?}");
        assert!(format!("app@{text}").parse::<ArtifactRef>().is_err(), "{text:?}");
    }
}

#[tokio::test]
async fn every_call_that_takes_text_refuses_it_and_records_nothing() {
    let registry = in_memory().await;
    put(&registry, "app@1.0.0", "x").await;
    let (app, one) = (name("app"), version("1.0.0"));
    for (text, _) in bad_names() {
        let text = text.as_str();
        let draft = Draft::new(&app, "y").dependency(text, "1", DependencyKind::Dev);
        let refusals = [
            kind(registry.set_channel(&app, text, &one, Expect::Any).await),
            kind(registry.remove_channel(&app, text, Expect::Any).await),
            kind(registry.channel_history(&app, text, None, 9).await),
            kind(registry.resolve(&app, Select::channel(text)).await),
            kind(registry.publish(draft, &version("2.0.0")).await),
        ];
        assert_eq!(refusals, [Some(ErrorKind::Invalid); 5], "{text:?}");
        // A prefix and a query are any text.
        if !text.is_empty() {
            assert_eq!(registry.names(text, None, 9).await.unwrap(), [], "{text:?}");
        }
        drop(registry.search(text).await.unwrap());
    }
    for (text, _) in bad_versions() {
        let selected = registry.resolve(&app, Select::exact(text.as_str())).await;
        assert_eq!(kind(selected), Some(ErrorKind::Invalid), "{text:?}");
    }
    for id in ["", "a b", "a+b", "01", "é", "../x", "a\0b", &"a".repeat(10 << 10)] {
        let outcome = registry.publish_next(Draft::new(&app, "y"), Bump::Pre(id.to_owned())).await;
        assert_eq!(kind(outcome), Some(ErrorKind::Invalid), "{id:?}");
    }
    assert_eq!(registry.changes(0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn numbers_at_the_greatest_are_kept_and_found_and_not_counted_up() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).await.unwrap();
    let greatest = format!("{0}.{0}.{0}", u64::MAX);
    put(&registry, &format!("app@{greatest}"), "x").await;
    let found = registry.resolve(&name("app"), Select::latest()).await.unwrap();
    assert_eq!(found.artifact.version.to_string(), greatest);
    for bump in [Bump::Major, Bump::Minor, Bump::Patch] {
        let outcome = registry.publish_next(Draft::new(&name("app"), "y"), bump.clone()).await;
        assert_eq!(kind(outcome), Some(ErrorKind::Invalid), "{bump:?}");
    }
    put(&registry, "app@1.0.0", "still open").await;
}
