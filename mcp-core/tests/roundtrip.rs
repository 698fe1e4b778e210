//! What is shown can be read back, and only what is well formed is read: names, versions, digests, references, moments, ids.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use mcp_core::{
    Artifact, ArtifactRef, Digest, Digester, Holder, Id, Name, ParseError, Principal, RequestId, Requirement,
    Timestamp, Version,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Text to value to text gives the same text, and JSON is that text as a string.
fn check_shown<T>(text: &str) -> Result<(), TestCaseError>
where
    T: FromStr<Err = ParseError> + Display + Debug + PartialEq + Serialize + DeserializeOwned,
{
    let value: T = text.parse().map_err(|error: ParseError| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(value.to_string(), text);
    let json = serde_json::to_string(&value).unwrap();
    prop_assert_eq!(&json, &serde_json::to_string(text).unwrap());
    prop_assert_eq!(serde_json::from_str::<T>(&json).unwrap(), value);
    Ok(())
}

/// Whatever is accepted shows itself as the text it was read from; nothing panics.
fn check_any<T>(text: &str) -> Result<(), TestCaseError>
where
    T: FromStr<Err = ParseError> + Display,
{
    if let Ok(value) = text.parse::<T>() {
        prop_assert_eq!(value.to_string(), text);
    }
    Ok(())
}

const NAME: &str = "[a-z0-9_-]{1,12}([./][a-z0-9_-]{1,12}){0,5}";
const IDENTIFIER: &str = "(0|[1-9][0-9]{0,5}|[0-9]{0,3}[a-zA-Z-][a-zA-Z0-9-]{0,6})";

fn version() -> impl Strategy<Value = String> {
    let dotted = |first: &str| format!("({first}{IDENTIFIER}(\\.{IDENTIFIER}){{0,2}})?");
    let pattern =
        format!("(0|[1-9][0-9]{{0,9}})(\\.(0|[1-9][0-9]{{0,9}})){{2}}{}{}", dotted("-"), dotted("\\+"));
    proptest::string::string_regex(&pattern).unwrap()
}

proptest! {
    #[test]
    fn a_name_reads_back(text in NAME) {
        check_shown::<Name>(&text)?;
        prop_assert_eq!(text.parse::<Name>().unwrap().segments().count(), text.split(['.', '/']).count());
    }

    #[test]
    fn a_version_reads_back(text in version()) {
        check_shown::<Version>(&text)?;
    }

    #[test]
    fn precedence_is_a_total_order_that_ignores_build_metadata(a in version(), b in version(), c in version()) {
        let [a, b, c]: [Version; 3] = [a, b, c].map(|text| text.parse().unwrap());
        prop_assert_eq!(a.cmp_precedence(&b), b.cmp_precedence(&a).reverse());
        if a.cmp_precedence(&b).is_le() && b.cmp_precedence(&c).is_le() {
            prop_assert!(a.cmp_precedence(&c).is_le());
        }
        prop_assert!(a.same_precedence(&a.without_build()));
        prop_assert_eq!(a.same_precedence(&b), a.without_build() == b.without_build());
    }

    #[test]
    fn every_release_matches_its_own_caret(text in "[0-9]{1,4}\\.[0-9]{1,4}\\.[0-9]{1,4}") {
        if let Ok(version) = text.parse::<Version>() {
            let caret: Requirement = format!("^{text}").parse().unwrap();
            prop_assert!(caret.matches(&version));
            prop_assert!(Requirement::ANY.matches(&version));
        }
    }

    #[test]
    fn a_digest_reads_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        check_shown::<Digest>(&Digest::of(&bytes).to_string())?;
    }

    #[test]
    fn a_digest_of_pieces_is_the_digest_of_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..4096), cut in any::<prop::sample::Index>()) {
        let (one, two) = bytes.split_at(cut.index(bytes.len() + 1));
        prop_assert_eq!(Digester::new().update(one).update(two).digest(), Digest::of(&bytes));
    }

    #[test]
    fn a_reference_reads_back(name in NAME, version in version()) {
        let text = format!("{name}@{version}");
        check_shown::<ArtifactRef>(&text)?;
        let reference: ArtifactRef = text.parse().unwrap();
        prop_assert_eq!((reference.name.to_string(), reference.version.to_string()), (name, version));
    }

    #[test]
    fn an_artifact_reads_back_from_json(name in NAME, version in version(), bytes in any::<[u8; 8]>()) {
        let artifact = Artifact::try_from((format!("{name}@{version}").as_str(), Digest::of(&bytes))).unwrap();
        let json = serde_json::to_string(&artifact).unwrap();
        prop_assert_eq!(serde_json::from_str::<Artifact>(&json).unwrap(), artifact);
    }

    #[test]
    fn a_principal_reads_back(text in "[!-~]([ -~]{0,40}[!-~])?") {
        check_shown::<Principal>(&text)?;
    }

    #[test]
    fn a_request_id_and_a_holder_read_back(text in "[!-~]{1,100}") {
        check_shown::<RequestId>(&text)?;
        check_shown::<Holder>(&text)?;
    }

    #[test]
    fn an_id_reads_back(bits in any::<u128>()) {
        let text = Id::from_u128(bits).to_string();
        check_shown::<Id>(&text)?;
        prop_assert_eq!(text.parse::<Id>().unwrap().as_u128(), bits);
    }

    #[test]
    fn a_moment_reads_back_and_sorts_as_its_text(a in any::<i64>(), b in any::<i64>()) {
        let (a, b) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
        check_shown::<Timestamp>(&a.to_string())?;
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }

    #[test]
    fn any_text_is_refused_or_shown_as_it_was(text in "\\PC{0,80}") {
        check_any::<Name>(&text)?;
        check_any::<Version>(&text)?;
        check_any::<Digest>(&text)?;
        check_any::<ArtifactRef>(&text)?;
        check_any::<Principal>(&text)?;
        check_any::<RequestId>(&text)?;
        check_any::<Holder>(&text)?;
        check_any::<Id>(&text)?;
    }

    #[test]
    fn any_text_is_refused_as_a_moment_or_reads_back_to_the_same_moment(text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,12})?([zZ]|[+-][0-2][0-9]:[0-5][0-9])") {
        if let Ok(moment) = text.parse::<Timestamp>() {
            prop_assert_eq!(moment.to_string().parse::<Timestamp>().unwrap(), moment);
        }
    }
}
