use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use mcp_core::{Candidate, Finding, Inspect, Name, SeamError, Severity, Verdict};

use crate::{Contract, Document, Encoding};

/// Judges artifacts by contracts: which one, an explicit map from media type and name says.
///
/// A media type counts without its parameters and in any case. How the bytes of a type are to be read, a second map says; those of
/// types that are not in it are JSON. The same maps give the same candidate the same verdict. Judging is done on the thread that polls,
/// without an await, for as long as the contract's limits admit.
///
/// ```
/// use std::sync::Arc;
/// use mcp_validation::{Contract, ContractInspector, Unmapped, rule::Rule};
///
/// let contract = Contract::builder().rule(Rule::required("has-id", "/id")).build()?;
/// let inspector = ContractInspector::new(Unmapped::Refuse).judge_type("application/json", Arc::new(contract));
/// # Ok::<(), mcp_validation::ValidationError>(())
/// ```
#[derive(Debug)]
pub struct ContractInspector {
    by_type_and_name: BTreeMap<(String, Name), Arc<Contract>>,
    by_type: BTreeMap<String, Arc<Contract>>,
    encodings: BTreeMap<String, Encoding>,
    unmapped: Unmapped,
}

/// How the bytes of these media types are read by [`ContractInspector::usual_encodings`].
const USUAL: [(&str, Encoding); 14] = [
    ("application/avro", Encoding::AvroBinary),
    ("application/avro-binary", Encoding::AvroBinary),
    ("application/vnd.apache.avro+binary", Encoding::AvroBinary),
    ("avro/binary", Encoding::AvroBinary),
    ("application/avro+json", Encoding::AvroJson),
    ("application/vnd.apache.avro+json", Encoding::AvroJson),
    ("application/avro-json", Encoding::AvroJson),
    ("avro/json", Encoding::AvroJson),
    ("application/vnd.apache.avro.file", Encoding::AvroContainer),
    ("application/protobuf", Encoding::ProtobufBinary),
    ("application/x-protobuf", Encoding::ProtobufBinary),
    ("application/vnd.google.protobuf", Encoding::ProtobufBinary),
    ("application/protobuf+json", Encoding::ProtobufJson),
    ("application/x-protobuf+json", Encoding::ProtobufJson),
];

/// What becomes of an artifact that no contract is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// It is accepted, and a finding says that nobody judged it.
    Accept,
    /// It is refused.
    Refuse,
}

impl ContractInspector {
    /// With no contract yet.
    #[must_use]
    pub const fn new(unmapped: Unmapped) -> Self {
        Self {
            by_type_and_name: BTreeMap::new(),
            by_type: BTreeMap::new(),
            encodings: BTreeMap::new(),
            unmapped,
        }
    }

    /// Judges artifacts of this media type by `contract`, unless there is one for their name.
    #[must_use]
    pub fn judge_type(mut self, media_type: &str, contract: Arc<Contract>) -> Self {
        self.by_type.insert(essence(media_type), contract);
        self
    }

    /// Judges artifacts of this media type and name by `contract`.
    #[must_use]
    pub fn judge_name(mut self, media_type: &str, name: Name, contract: Arc<Contract>) -> Self {
        self.by_type_and_name.insert((essence(media_type), name), contract);
        self
    }

    /// Reads artifacts of this media type as `encoding`, and no more as JSON.
    #[must_use]
    pub fn read_type(mut self, media_type: &str, encoding: Encoding) -> Self {
        self.encodings.insert(essence(media_type), encoding);
        self
    }

    /// Reads the types as which Avro and Protobuf usually come as what they say: `application/avro`, `application/avro-binary`,
    /// `application/vnd.apache.avro+binary` and `avro/binary` as one datum of Avro's, each of them with `json` in the place of `binary`
    /// and `application/avro+json` as Avro's JSON, `application/vnd.apache.avro.file` as a container; `application/protobuf`,
    /// `application/x-protobuf` and `application/vnd.google.protobuf` as one message of Protobuf's, and the first two with `+json` as its JSON.
    #[must_use]
    pub fn usual_encodings(self) -> Self {
        USUAL
            .into_iter()
            .fold(self, |inspector, (media_type, encoding)| inspector.read_type(media_type, encoding))
    }

    fn encoding(&self, media_type: &str) -> Encoding {
        self.encodings.get(&essence(media_type)).copied().unwrap_or(Encoding::Json)
    }

    fn contract(&self, candidate: &Candidate) -> Option<&Contract> {
        let media_type = essence(&candidate.media_type);
        let by_type = self.by_type.get(&media_type);
        let by_name = self.by_type_and_name.get(&(media_type, candidate.name.clone()));
        by_name.or(by_type).map(Arc::as_ref)
    }
}

/// `type/subtype` in lower case, without parameters (RFC 9110, section 8.3.1).
pub(crate) fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[async_trait]
impl Inspect for ContractInspector {
    async fn inspect(&self, candidate: &Candidate) -> Result<Verdict, SeamError> {
        let Some(contract) = self.contract(candidate) else {
            let message = format!(
                "no contract is meant for {} of the media type {}",
                candidate.name,
                crate::findings::shortened(candidate.media_type.clone())
            );
            let severity = match self.unmapped {
                Unmapped::Accept => Severity::Info,
                Unmapped::Refuse => Severity::Error,
            };
            return Ok(Verdict::of(vec![Finding::new(severity, "inspect.unmapped", "", message)]));
        };
        let encoding = self.encoding(&candidate.media_type);
        let report = contract.validate(&Document::new(encoding, candidate.bytes.clone()))?;
        let verdict =
            if report.valid { Verdict::of(report.findings) } else { Verdict::refused(report.findings) };
        Ok(if report.truncated { verdict.and_more() } else { verdict })
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use mcp_core::ErrorKind;

    use super::*;
    use crate::Limits;
    use crate::rule::Rule;

    fn contract(path: &str) -> Arc<Contract> {
        let limits = Limits { max_depth: 2, max_findings: 1, ..Limits::default() };
        Arc::new(Contract::builder().rule(Rule::required("r", path)).limits(limits).build().unwrap())
    }

    fn inspect(inspector: &ContractInspector, name: &str, media_type: &str, bytes: &str) -> Verdict {
        let candidate = Candidate::new(name.parse().unwrap(), media_type, bytes.to_owned().into());
        block_on(inspector.inspect(&candidate)).expect("judged")
    }

    fn codes(verdict: &Verdict) -> (bool, Vec<(&str, &str)>) {
        let seen =
            verdict.findings.iter().map(|finding| (finding.code.as_ref(), finding.path.as_str())).collect();
        (verdict.accepted, seen)
    }

    #[test]
    fn a_name_goes_before_its_media_type_and_parameters_do_not_count() {
        let inspector = ContractInspector::new(Unmapped::Refuse)
            .judge_type("application/json", contract("/of-type"))
            .judge_name("application/json", "app".parse().unwrap(), contract("/of-name"));
        let by_name = inspect(&inspector, "app", "Application/JSON; charset=utf-8", "{}");
        assert_eq!(codes(&by_name), (false, vec![("rule.r", "/of-name")]));
        let by_type = inspect(&inspector, "other", "application/json", "{}");
        assert_eq!(codes(&by_type), (false, vec![("rule.r", "/of-type")]));
        assert!(inspect(&inspector, "app", "application/json", r#"{"of-name": 1}"#).accepted);
    }

    #[test]
    fn what_is_not_mapped_is_accepted_or_refused_by_choice() {
        let accept = inspect(&ContractInspector::new(Unmapped::Accept), "app", "text/plain", "");
        assert_eq!(codes(&accept), (true, vec![("inspect.unmapped", "")]));
        let refuse = inspect(&ContractInspector::new(Unmapped::Refuse), "app", "text/plain", "");
        assert_eq!(codes(&refuse), (false, vec![("inspect.unmapped", "")]));
    }

    #[test]
    fn bytes_that_are_no_json_are_refused_and_bytes_beyond_the_limits_are_an_error() {
        let inspector =
            ContractInspector::new(Unmapped::Accept).judge_type("application/json", contract("/a"));
        assert_eq!(
            codes(&inspect(&inspector, "app", "application/json", "{")),
            (false, vec![("document.syntax", "")])
        );
        let deep = Candidate::new("app".parse().unwrap(), "application/json", "[[[]]]".into());
        let error = block_on(inspector.inspect(&deep)).map_err(|error| error.kind());
        assert_eq!(error, Err(ErrorKind::Exhausted));
    }

    #[test]
    fn a_truncated_report_gives_a_verdict_that_says_so() {
        let rules = [Rule::required("a", "/a"), Rule::required("b", "/b")];
        let limits = Limits { max_findings: 1, ..Limits::default() };
        let contract = Arc::new(Contract::builder().rules(rules).limits(limits).build().unwrap());
        let inspector = ContractInspector::new(Unmapped::Accept).judge_type("application/json", contract);
        let verdict = inspect(&inspector, "app", "application/json", "{}");
        assert_eq!((verdict.accepted, verdict.findings.len(), verdict.truncated), (false, 1, true));
    }

    #[cfg(feature = "avro")]
    #[test]
    fn the_bytes_of_a_media_type_are_read_as_the_map_says_and_as_json_where_it_says_nothing() {
        let schema =
            r#"["null", {"type": "record", "name": "R", "fields": [{"name": "id", "type": "string"}]}]"#;
        let contract = Contract::schema(crate::Avro, schema).rule(Rule::length("short", "/id", ..=1)).build();
        let contract = Arc::new(contract.expect("a contract"));
        let types = ["avro/binary", "application/vnd.apache.avro+json", "application/json", "text/avro"];
        let inspector = types.into_iter().fold(
            ContractInspector::new(Unmapped::Refuse)
                .usual_encodings()
                .read_type("Text/Avro", Encoding::AvroSingleObject),
            |inspector, media_type| inspector.judge_type(media_type, Arc::clone(&contract)),
        );
        let inspect =
            |media_type: &str, bytes: &str| codes_of(&inspect(&inspector, "app", media_type, bytes));
        let (datum, spec, plain) = ("\u{2}\u{2}a", r#"{"R": {"id": "a"}}"#, r#"{"id": "a"}"#);
        assert_eq!(inspect("avro/binary; q=1", datum), [""; 0]);
        assert_eq!(inspect("avro/binary", "\u{2}\u{4}ab"), ["rule.short"]);
        assert_eq!(inspect("application/vnd.apache.avro+json", spec), [""; 0]);
        assert_eq!(inspect("application/json", plain), [""; 0]);
        for (media_type, bytes) in [
            ("avro/binary", plain),
            ("application/vnd.apache.avro+json", plain),
            ("application/json", spec),
            ("application/json", datum),
            ("text/avro", datum),
        ] {
            assert_ne!(inspect(media_type, bytes), [""; 0], "{media_type} {bytes:?}");
        }
    }

    #[cfg(feature = "protobuf")]
    #[test]
    fn messages_of_protobuf_are_read_by_their_media_types() {
        let schema = r#"syntax = "proto3"; message M { int64 id = 1; }"#;
        let contract =
            Contract::schema(crate::Protobuf::new(), schema).rule(Rule::range("few", "/id", ..=9.0));
        let contract = Arc::new(contract.build().expect("a contract"));
        let types = ["application/x-protobuf", "application/x-protobuf+json"];
        let inspector = types
            .into_iter()
            .fold(ContractInspector::new(Unmapped::Refuse).usual_encodings(), |inspector, media_type| {
                inspector.judge_type(media_type, Arc::clone(&contract))
            });
        let inspect =
            |media_type: &str, bytes: &str| codes_of(&inspect(&inspector, "app", media_type, bytes));
        assert_eq!(inspect("application/x-protobuf", "\u{8}\u{9}"), [""; 0]);
        assert_eq!(inspect("application/x-protobuf", "\u{8}\u{a}"), ["rule.few"]);
        assert_eq!(inspect("application/x-protobuf+json", r#"{"id": "10"}"#), ["rule.few"]);
        assert_ne!(inspect("application/x-protobuf+json", "\u{8}\u{9}"), [""; 0]);
    }

    #[cfg(any(feature = "avro", feature = "protobuf"))]
    fn codes_of(verdict: &Verdict) -> Vec<String> {
        assert_eq!(verdict.accepted, verdict.findings.is_empty());
        verdict.findings.iter().map(|finding| finding.code.to_string()).collect()
    }
}
