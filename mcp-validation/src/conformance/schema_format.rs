use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use mcp_core::{Digest, ErrorKind, Name, SeamError};
use serde_json::Value;

use super::expect;
use crate::{
    Compatibility, Contract, ContractBuilder, Document, Encoding, Limits, Reference, Report, SchemaFormat,
    SchemaSource, ValidationError,
};

/// What a format is tried with: schemas, documents by them, and pairs of schemas.
///
/// ```
/// use mcp_validation::{Encoding, conformance::Samples};
///
/// let samples = Samples::new()
///     .schema(r#"{"type": "integer"}"#).valid(Encoding::Json, "1").invalid(Encoding::Json, "\"x\"")
///     .refused(r#"{"type": "int"}"#)
///     .reads(r#"{"type": "number"}"#, r#"{"type": "integer"}"#)
///     .does_not_read(r#"{"type": "integer"}"#, r#"{"type": "number"}"#);
/// # #[cfg(feature = "json-schema")]
/// mcp_validation::conformance::schema_format(mcp_validation::JsonSchema::new(), &samples)?;
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Samples {
    references: Vec<Reference>,
    schemas: Vec<Sample>,
    refused: Vec<String>,
    reads: Vec<(String, String)>,
    does_not_read: Vec<(String, String)>,
}

/// A schema, and documents by it.
#[derive(Clone, Debug)]
struct Sample {
    schema: String,
    documents: Vec<(Document, bool)>,
}

impl Samples {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A document that every schema may refer to by `uri`.
    pub fn reference(mut self, uri: impl Into<String>, text: impl Into<String>) -> Self {
        self.references.push(Reference::new(uri, text));
        self
    }

    /// A schema that compiles; documents that follow are by it. All schemas must differ in what they mean.
    pub fn schema(mut self, text: impl Into<String>) -> Self {
        self.schemas.push(Sample { schema: text.into(), documents: Vec::new() });
        self
    }

    /// A document that is valid by the last schema.
    pub fn valid(self, encoding: Encoding, bytes: impl Into<bytes::Bytes>) -> Self {
        self.document(encoding, bytes.into(), true)
    }

    /// A document that is invalid by the last schema.
    pub fn invalid(self, encoding: Encoding, bytes: impl Into<bytes::Bytes>) -> Self {
        self.document(encoding, bytes.into(), false)
    }

    fn document(mut self, encoding: Encoding, bytes: bytes::Bytes, valid: bool) -> Self {
        if let Some(sample) = self.schemas.last_mut() {
            sample.documents.push((Document::new(encoding, bytes), valid));
        }
        self
    }

    /// What is no schema of the format, or not one that can be used.
    pub fn refused(mut self, text: impl Into<String>) -> Self {
        self.refused.push(text.into());
        self
    }

    /// Two schemas of which the first reads all that the second wrote.
    pub fn reads(mut self, reader: impl Into<String>, writer: impl Into<String>) -> Self {
        self.reads.push((reader.into(), writer.into()));
        self
    }

    /// Two schemas of which the first does not read all that the second wrote.
    pub fn does_not_read(mut self, reader: impl Into<String>, writer: impl Into<String>) -> Self {
        self.does_not_read.push((reader.into(), writer.into()));
        self
    }
}

/// Checks a format of schemas against what [`SchemaFormat`] promises, with samples of the format. Junk is made of them, by cutting and
/// changing, the same one each time.
///
/// # Errors
/// The first promise that is not kept.
pub fn schema_format(format: impl SchemaFormat + 'static, samples: &Samples) -> Result<(), String> {
    let kit = Kit { format: Arc::new(format), samples, limits: Limits::default() };
    kit.name()?;
    kit.schemas()?;
    kit.refusals()?;
    kit.documents()?;
    kit.comparisons()?;
    kit.junk()
}

struct Kit<'s> {
    format: Arc<dyn SchemaFormat>,
    samples: &'s Samples,
    limits: Limits,
}

/// How a schema may be refused.
const REFUSALS: [ErrorKind; 4] =
    [ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Exhausted, ErrorKind::Unsupported];

impl Kit<'_> {
    fn name(&self) -> Result<(), String> {
        let name = self.format.name().to_owned();
        name.parse::<Name>()
            .map_err(|error| format!("the name of a format has the form of a name: {error}"))?;
        expect(self.format.name(), name.as_str(), "a format has one name")
    }

    fn source<'a>(&'a self, text: &'a str, limits: &'a Limits) -> SchemaSource<'a> {
        SchemaSource::new(text, &self.samples.references, limits)
    }

    fn contract(&self, text: &str, limits: &Limits) -> ContractBuilder {
        let builder = ContractBuilder::with_schema(Arc::clone(&self.format), text.to_owned());
        let references = self.samples.references.iter().cloned();
        references
            .fold(builder, |builder, reference| builder.reference(reference.uri, reference.text))
            .limits(limits.clone())
    }

    fn fingerprint(&self, text: &str) -> Result<Option<Digest>, String> {
        let compiled = self.format.compile(&self.source(text, &self.limits));
        compiled
            .map(|compiled| compiled.fingerprint())
            .map_err(|error| fault("a schema compiles", text, &error))
    }

    fn identity(&self, text: &str) -> Result<Digest, String> {
        self.format
            .identity(&self.source(text, &self.limits))
            .map_err(|error| fault("a schema has an identity", text, &error))
    }

    /// Schemas compile, always to the same; different ones are told apart; too large ones are refused.
    fn schemas(&self) -> Result<(), String> {
        let (mut fingerprints, mut identities) = (Vec::new(), Vec::new());
        for Sample { schema, .. } in &self.samples.schemas {
            let fingerprint = self.fingerprint(schema)?;
            expect(self.fingerprint(schema)?, fingerprint, "a schema has the same fingerprint each time")?;
            let identity = self.identity(schema)?;
            expect(self.identity(schema)?, identity, "a schema has the same identity each time")?;
            if fingerprint.is_some() && fingerprints.contains(&fingerprint) || identities.contains(&identity)
            {
                return Err(format!(
                    "different schemas are told apart by fingerprint and identity: {schema:?}"
                ));
            }
            fingerprints.push(fingerprint);
            identities.push(identity);
            let small = Limits { max_schema_bytes: 0, ..Limits::default() };
            let compiled = self.format.compile(&self.source(schema, &small)).map(|_| ());
            expect(
                compiled.map_err(|error| error.kind()),
                Err(ErrorKind::Exhausted),
                "a schema that is too large is exhausted",
            )?;
        }
        Ok(())
    }

    fn refusals(&self) -> Result<(), String> {
        for text in &self.samples.refused {
            match self.format.compile(&self.source(text, &self.limits)) {
                Ok(_) => return Err(format!("what is no schema is refused: {text:?} was compiled")),
                Err(error) => self.is_refusal(text, &error)?,
            }
        }
        Ok(())
    }

    fn is_refusal(&self, text: &str, error: &SeamError) -> Result<(), String> {
        let kinds = "a schema is refused as invalid, not found, exhausted or unsupported";
        if REFUSALS.contains(&error.kind()) { Ok(()) } else { Err(fault(kinds, text, error)) }
    }

    /// Documents get their verdict, the same each time; findings point to something; limits end a judgement as exhausted.
    fn documents(&self) -> Result<(), String> {
        for Sample { schema, documents } in &self.samples.schemas {
            let contract = build(self.contract(schema, &self.limits))?;
            for (document, valid) in documents {
                let report = judged(&contract, document, schema)?;
                expect((report.valid, &report), (*valid, &report), "a document gets its verdict")?;
                expect(
                    &judged(&contract, document, schema)?,
                    &report,
                    "a document gets the same report each time",
                )?;
                let verdict = contract.is_valid(document).map_err(|error| error.to_string())?;
                expect(verdict, *valid, "a look for the verdict alone gives the same one")?;
                pointers(&report, document)?;
                for limits in [
                    Limits { max_steps: 0, ..Limits::default() },
                    Limits { max_document_bytes: 0, ..Limits::default() },
                    Limits { max_findings: 1, ..Limits::default() },
                ] {
                    let limited = self.contract(schema, &limits).build();
                    match limited.and_then(|limited| limited.validate(document)) {
                        Ok(limited) => expect(limited.valid, *valid, "a limit changes no verdict")?,
                        Err(error) => {
                            expect(error.kind(), ErrorKind::Exhausted, "a limit ends as exhausted")?
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A schema reads itself; pairs get their answers, with breaks that are worded.
    fn comparisons(&self) -> Result<(), String> {
        for Sample { schema, .. } in &self.samples.schemas {
            if let Compatibility::No(breaks) = self.read(schema, schema)? {
                return Err(format!("a schema reads what it wrote: {schema:?} gives {breaks:?}"));
            }
        }
        for (reader, writer) in &self.samples.reads {
            if let Compatibility::No(breaks) = self.read(reader, writer)? {
                return Err(format!("{reader:?} reads what {writer:?} wrote: found {breaks:?}"));
            }
        }
        for (reader, writer) in &self.samples.does_not_read {
            match self.read(reader, writer)? {
                Compatibility::Yes => {
                    return Err(format!("{reader:?} does not read what {writer:?} wrote: found yes"));
                }
                Compatibility::Unknown(reason) => {
                    expect(reason.is_empty(), false, "what is unknown has a reason")?
                }
                Compatibility::No(breaks) => {
                    let prefix = format!("{}.", self.format.name());
                    let worded = breaks.iter().all(|found| {
                        found.rule.starts_with(&prefix)
                            && !found.message.is_empty()
                            && !found.advice.is_empty()
                    });
                    expect(
                        (worded, breaks.is_empty()),
                        (true, false),
                        "breaks have rules of the format, messages and advice",
                    )?;
                }
            }
            expect(
                self.identity(reader)? == self.identity(writer)?,
                false,
                "schemas that do not read each other have two identities",
            )?;
            let one = Limits { max_findings: 1, ..Limits::default() };
            let few = self.format.can_read(&self.source(reader, &one), &self.source(writer, &one));
            let few = few.map_err(|error| fault("two schemas are compared", reader, &error))?;
            expect(few.breaks().len() <= 1, true, "no more breaks are told than the limits allow findings")?;
        }
        Ok(())
    }

    fn read(&self, reader: &str, writer: &str) -> Result<Compatibility, String> {
        let ask =
            || self.format.can_read(&self.source(reader, &self.limits), &self.source(writer, &self.limits));
        let found = ask().map_err(|error| fault("two schemas are compared", reader, &error))?;
        let again = ask().map_err(|error| fault("two schemas are compared again", reader, &error))?;
        expect(&again, &found, "two schemas are compared the same way each time")?;
        Ok(found)
    }

    /// Whatever the bytes are: a refusal, a finding, or exhausted; never a panic.
    fn junk(&self) -> Result<(), String> {
        for Sample { schema, documents } in &self.samples.schemas {
            for text in damaged(schema.as_bytes()).iter().filter_map(|bytes| std::str::from_utf8(bytes).ok())
            {
                unpanicked(text, || {
                    if let Err(error) = self.format.compile(&self.source(text, &self.limits)) {
                        self.is_refusal(text, &error)?;
                    }
                    let compared = self
                        .format
                        .can_read(&self.source(text, &self.limits), &self.source(schema, &self.limits));
                    compared.map_or_else(|error| self.is_refusal(text, &error), |_| Ok(()))
                })?;
            }
            let contract = build(self.contract(schema, &self.limits))?;
            for (document, _) in documents {
                for bytes in damaged(document.bytes().map_or(&[], |bytes| bytes.as_ref())) {
                    let shown = String::from_utf8_lossy(&bytes).into_owned();
                    let damaged = Document::new(document.encoding(), bytes);
                    unpanicked(&shown, || match contract.validate(&damaged) {
                        Ok(report) => pointers(&report, &damaged),
                        Err(error) => expect(
                            matches!(error.kind(), ErrorKind::Exhausted | ErrorKind::Unsupported),
                            true,
                            &format!("what is wrong with a document is a finding: {shown:?} gives {error}"),
                        ),
                    })?;
                }
            }
        }
        Ok(())
    }
}

fn fault(promise: &str, text: &str, error: &SeamError) -> String {
    format!("{promise}: {text:?} gives {error} ({})", error.kind())
}

fn build(builder: ContractBuilder) -> Result<Contract, String> {
    builder.build().map_err(|error: ValidationError| format!("a contract of a sample builds: {error}"))
}

fn judged(contract: &Contract, document: &Document, schema: &str) -> Result<Report, String> {
    contract.validate(document).map_err(|error| {
        format!("a document is judged: {document:?} by {schema:?} gives {error} ({})", error.kind())
    })
}

/// A finding's pointer, or that of what it stands in, names something in a document of JSON; an error is there where it is invalid.
fn pointers(report: &Report, document: &Document) -> Result<(), String> {
    let errors = report.findings.iter().any(mcp_core::Finding::invalidates);
    expect(errors, !report.valid, "a document is invalid where a finding is an error")?;
    let Ok(value) = document.value() else { return Ok(()) };
    for finding in &report.findings {
        let parent = finding.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let names = |pointer: &str| value.pointer(pointer).map(|_: &Value| ());
        if names(&finding.path).or_else(|| names(parent)).is_none() {
            return Err(format!(
                "a finding's path leads into the document: {:?} of {} does not",
                finding.path, finding.code
            ));
        }
    }
    Ok(())
}

fn unpanicked(what: &str, check: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    panic::catch_unwind(AssertUnwindSafe(check))
        .unwrap_or_else(|_| Err(format!("nothing panics: {what:?} did")))
}

/// Cut, doubled and changed at a few dozen places each.
fn damaged(bytes: &[u8]) -> Vec<Vec<u8>> {
    let step = 1 + bytes.len() / 48;
    let mut all = vec![b"{".repeat(10_000), b"[".repeat(10_000), [bytes, bytes].concat(), b"\0".to_vec()];
    for at in (0..bytes.len()).step_by(step) {
        let (before, after) = bytes.split_at(at);
        all.push(before.to_vec());
        for other in [b'0', b'"', b'}', 0x80] {
            all.push([before, &[other], after.get(1..).unwrap_or_default()].concat());
        }
    }
    all
}
