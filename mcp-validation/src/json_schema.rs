//! JSON Schema, drafts 4 to 2020-12, through the `jsonschema` crate: offline, with counted steps and a known stack.

mod compare;
mod fan_out;
mod metered;
mod patterns;
mod references;

use std::fmt;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError as SchemaError};
use mcp_core::{Digest, Digester, ErrorKind, Finding, SeamError, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::fan_out::Chains;
use self::metered::{Gauge, Metered, MeteredNode};
use crate::findings::{Bounded, Findings};
use crate::schema_text::{read, value_of};
use crate::stack::{self, Kept, with_stack};
use crate::tree::Tree;
use crate::{
    Compatibility, CompiledSchema, Document, Limits, SchemaFormat, SchemaSource, Validator, ValidatorError,
};

/// A version of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Draft {
    /// Draft 4, of 2013.
    #[serde(rename = "4")]
    Draft4,
    /// Draft 6, of 2017.
    #[serde(rename = "6")]
    Draft6,
    /// Draft 7, of 2018.
    #[serde(rename = "7")]
    Draft7,
    /// Draft 2019-09.
    #[serde(rename = "2019-09")]
    Draft201909,
    /// Draft 2020-12.
    #[serde(rename = "2020-12")]
    Draft202012,
}

impl Draft {
    /// Every draft, oldest first.
    pub const ALL: [Self; 5] =
        [Self::Draft4, Self::Draft6, Self::Draft7, Self::Draft201909, Self::Draft202012];

    const fn of_crate(self) -> jsonschema::Draft {
        match self {
            Self::Draft4 => jsonschema::Draft::Draft4,
            Self::Draft6 => jsonschema::Draft::Draft6,
            Self::Draft7 => jsonschema::Draft::Draft7,
            Self::Draft201909 => jsonschema::Draft::Draft201909,
            Self::Draft202012 => jsonschema::Draft::Draft202012,
        }
    }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Draft4 => "4",
            Self::Draft6 => "6",
            Self::Draft7 => "7",
            Self::Draft201909 => "2019-09",
            Self::Draft202012 => "2020-12",
        })
    }
}

/// The format `json-schema` and its settings.
///
/// `$ref` finds what was given with the contract, by URI, and the schema of its own draft; nothing is fetched. What was given is of the
/// draft that its own `$schema` names, else of the schema's. A reference that leads nowhere is an error where the schema leads to it;
/// elsewhere, in a definition that nothing uses or in a document that was given besides, it is none.
/// Patterns match in time
/// linear in the text, so look-around and back-references are refused. A schema that refers to itself without going down into the
/// document is refused, as is one whose references multiply beyond [`Limits::max_fan_out`].
///
/// ```
/// use mcp_validation::{Contract, Document, Draft, JsonSchema};
///
/// let format = JsonSchema::new().draft(Draft::Draft7).assert_format(true);
/// let contract = Contract::schema(format, r#"{"format": "ipv4"}"#).build()?;
/// assert!(!contract.is_valid(&Document::json("\"1.2.3\""))?);
/// # Ok::<(), mcp_validation::ValidationError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JsonSchema {
    draft: Option<Draft>,
    assert_format: bool,
}

impl JsonSchema {
    /// Of the draft that a schema's `$schema` names, else of 2020-12; `format` is a remark.
    #[must_use]
    pub const fn new() -> Self {
        Self { draft: None, assert_format: false }
    }

    /// Of this draft, whatever `$schema` says.
    #[must_use]
    pub const fn draft(mut self, draft: Draft) -> Self {
        self.draft = Some(draft);
        self
    }

    /// Whether a value that is not of its `format` is an error. The formats of internationalised names, `idn-email` and
    /// `idn-hostname`, are not known to this build and stay remarks, as do unknown ones.
    #[must_use]
    pub const fn assert_format(mut self, yes: bool) -> Self {
        self.assert_format = yes;
        self
    }
}

impl SchemaFormat for JsonSchema {
    fn name(&self) -> &str {
        "json-schema"
    }

    fn compile(&self, source: &SchemaSource<'_>) -> Result<Box<dyn CompiledSchema>, SeamError> {
        let given = Given::read(source)?;
        let (validator, chains) = with_stack(COMPILE_BYTES, || {
            self.compile_here(given.root(), &given.references(), source.limits)
        })??;
        let judge = Arc::new(Judge { validator, chains });
        Ok(Box::new(Compiled { judge, threads: Arc::default(), fingerprint: self.fingerprint(source) }))
    }

    fn can_read(
        &self,
        reader: &SchemaSource<'_>,
        writer: &SchemaSource<'_>,
    ) -> Result<Compatibility, SeamError> {
        compare::can_read(self, reader, writer)
    }
}

/// A schema and what it may refer to, parsed.
struct Given<'a> {
    root: Document,
    references: Vec<(&'a str, Document)>,
}

impl<'a> Given<'a> {
    fn read(source: &SchemaSource<'a>) -> Result<Self, SeamError> {
        let root = read(source.text, "the schema", source.limits)?;
        let mut references = Vec::with_capacity(source.references.len());
        for reference in source.references {
            let what = format!("the reference {:?}", crate::findings::shortened(reference.uri.clone()));
            references.push((reference.uri.as_str(), read(&reference.text, &what, source.limits)?));
        }
        Ok(Self { root, references })
    }

    fn root(&self) -> &Value {
        value_of(&self.root)
    }

    fn references(&self) -> Vec<(&'a str, &Value)> {
        self.references.iter().map(|(uri, document)| (*uri, value_of(document))).collect()
    }
}

/// Compiling recurses as deep as the schema nests, and through up to eight references at each level.
const COMPILE_BYTES: usize = 64 << 20;

impl JsonSchema {
    fn draft_of(&self, root: &Value, references: &[(&str, &Value)]) -> Result<jsonschema::Draft, SeamError> {
        self.draft.map_or_else(|| references::draft_of(root, references), |draft| Ok(draft.of_crate()))
    }

    fn compile_here(
        &self,
        root: &Value,
        references: &[(&str, &Value)],
        limits: &Limits,
    ) -> Result<(jsonschema::Validator<Metered>, Chains), SeamError> {
        let draft = self.draft_of(root, references)?;
        let registry = references::registry(draft, references)?;
        let mut lost = None;
        let chains = fan_out::measure(root, draft, &registry, &mut lost)?;
        if chains.fan_out > limits.max_fan_out {
            return Err(SeamError::new(
                ErrorKind::Exhausted,
                format!(
                    "compile a schema whose references multiply: {} subschemas apply to one value, at most {} are allowed, raise max_fan_out or let fewer references lead to the same place",
                    chains.fan_out, limits.max_fan_out
                ),
            ));
        }
        let given = references.iter().map(|(_, document)| *document);
        let remembered = patterns::measure(std::iter::once(root).chain(given), limits)?;
        let pattern_options =
            PatternOptions::regex().size_limit(limits.max_pattern_bytes).dfa_size_limit(remembered);
        let mut options = jsonschema::options_for::<Metered>()
            .with_retriever(references::Absent)
            .with_registry(&registry)
            .should_validate_formats(self.assert_format)
            .with_pattern_options(pattern_options);
        options = options.with_draft(draft);
        let validator = options.build(root).map_err(|error| broken(&error, lost.as_deref()))?;
        Ok((validator, chains))
    }

    fn fingerprint(&self, source: &SchemaSource<'_>) -> Digest {
        let mut digester = Digester::new();
        let mut part = |bytes: &[u8]| {
            digester.update(&bytes.len().to_le_bytes()).update(bytes);
        };
        part(b"json-schema 1");
        part(self.draft.map(|draft| draft.to_string()).unwrap_or_default().as_bytes());
        part(&[u8::from(self.assert_format)]);
        part(source.text.as_bytes());
        for reference in source.references {
            part(reference.uri.as_bytes());
            part(reference.text.as_bytes());
        }
        digester.digest()
    }
}

fn broken(error: &SchemaError<'_>, lost: Option<&str>) -> SeamError {
    if let Some(reference) = references::broken(error, lost) {
        return reference;
    }
    let place = crate::findings::shortened(error.instance_path().to_string());
    let place = if place.is_empty() { "its root".to_owned() } else { place };
    SeamError::new(
        ErrorKind::Invalid,
        format!("read the schema: at {place}, {}", bounded(format_args!("{error}"))),
    )
}

/// The text, cut while it is written: messages repeat lists and names of any length.
fn bounded(text: fmt::Arguments<'_>) -> String {
    let mut bounded = Bounded::default();
    // The formatter stops with an error where the text is full, which is what is wanted.
    let _full = fmt::Write::write_fmt(&mut bounded, text);
    bounded.finish()
}

struct Compiled {
    judge: Arc<Judge>,
    /// For documents that need more stack than every thread has.
    threads: Arc<Kept>,
    fingerprint: Digest,
}

struct Judge {
    validator: jsonschema::Validator<Metered>,
    chains: Chains,
}

/// How much stack one subschema takes while a document is judged. The most that was measured in a debug build is 1,660 bytes (`oneOf`
/// below `oneOf`, while its errors are gathered).
const BYTES_PER_LINK: usize = 4 << 10;
/// What the errors of one judgement may take before they become findings.
const ERROR_BYTES: usize = 64 << 20;
/// What one such error takes beside its path.
const BYTES_PER_ERROR: usize = 1 << 10;

impl Validator for Compiled {
    fn validate(&self, document: &Document, findings: &mut Findings) -> Result<(), ValidatorError> {
        let Ok(read) = document.read() else {
            // Says why.
            return document.value().map(drop);
        };
        // One level for the root, and one for the names of members, which are judged as text.
        let links = self.judge.chains.longest(read.tree.depth().saturating_add(2));
        let bytes = links.saturating_mul(BYTES_PER_LINK);
        if stack::is_little(bytes) {
            return self.judge.judge(document, &read.tree, findings);
        }
        let (judge, document) = (Arc::clone(&self.judge), document.clone());
        let mut lent = findings.lend();
        let (judged, lent) = self.threads.run(bytes, move || {
            let judged = match document.read() {
                Ok(read) => judge.judge(&document, &read.tree, &mut lent),
                Err(_) => document.value().map(drop),
            };
            (judged, lent)
        })?;
        *findings = lent;
        judged
    }

    fn fingerprint(&self) -> Option<Digest> {
        Some(self.fingerprint)
    }
}

impl Judge {
    fn judge(&self, document: &Document, tree: &Tree, findings: &mut Findings) -> Result<(), ValidatorError> {
        let gauge = Gauge::new(findings.lend_meter());
        let valid = self.validator.is_valid(MeteredNode::new(tree, &gauge));
        let explained = if valid || gauge.is_spent() {
            Ok(())
        } else if findings.wants_verdict_only() {
            findings.decide();
            Ok(())
        } else {
            self.explain(document, tree, &gauge, findings)
        };
        findings.return_meter(gauge.into_steps());
        // Refused once the steps or the time are spent.
        findings.spend(0)?;
        explained
    }

    fn explain(
        &self,
        document: &Document,
        tree: &Tree,
        gauge: &Gauge,
        findings: &mut Findings,
    ) -> Result<(), ValidatorError> {
        let errors = ERROR_BYTES / tree.longest_path_bytes().saturating_add(BYTES_PER_ERROR);
        gauge.allow_errors(u64::try_from(errors).unwrap_or(u64::MAX));
        let before = findings.errors();
        for error in self.validator.iter_errors(MeteredNode::new(tree, gauge)) {
            if !metered::was_made_in_time(&error) {
                continue;
            }
            if let ValidationErrorKind::RegexEngineFailure { message } = error.kind() {
                return Err(SeamError::new(
                    ErrorKind::Internal,
                    format!("match a pattern of the schema: {message}"),
                ));
            }
            let path = error.instance_path().as_str();
            let shown =
                if findings.shows_values() { findings.shown(document.value()?.pointer(path)) } else { None };
            let finding = Finding::new(
                Severity::Error,
                format!("schema.{}", error.kind().keyword()),
                path,
                message(&error),
            )
            .with_schema_path(error.schema_path().as_str());
            findings.add(match shown {
                Some(shown) => finding.with_value(shown),
                None => finding,
            });
        }
        if gauge.is_cut() {
            findings.and_more();
        }
        if findings.errors() == before && !gauge.is_spent() {
            findings.error("schema", "", "the schema is not satisfied", None);
        }
        Ok(())
    }
}

/// What the crate says, with values masked. The messages that need the value, which it is not given, are worded here.
fn message(error: &SchemaError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::AdditionalItems { limit } => {
            format!("no items are allowed after the first {limit}")
        }
        ValidationErrorKind::PropertyNames { error } => format!("the name of a member: {}", message(error)),
        _ => bounded(format_args!("{}", error.masked())),
    }
}
