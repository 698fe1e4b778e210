use std::sync::Arc;

use mcp_core::{Clock, Digest, Digester, Finding, Severity};

use crate::document::{Read, Unread};
use crate::findings::Findings;
use crate::meter::Timer;
use crate::rule::{Rule, Rules};
use crate::{
    CompiledSchema, Document, Limits, Reference, Report, SchemaFormat, SchemaSource, ValidationError,
    Validator, ValidatorError,
};

/// What a document must satisfy: one schema with its references, rules, validators, and what judging may cost.
///
/// Built once, then used from as many threads as there are.
pub struct Contract {
    schema: Option<Schema>,
    validators: Vec<Arc<dyn Validator>>,
    fingerprint: Option<Digest>,
    limits: Limits,
    shows_values: bool,
    timer: Timer,
}

/// The digest of its text, and what judges by it.
struct Schema {
    digest: Digest,
    compiled: Box<dyn CompiledSchema>,
}

impl Contract {
    /// Begins a contract with a JSON Schema of the draft that its `$schema` names, else of 2020-12. `format` is not asserted; for
    /// that, and for another draft, give a [`JsonSchema`](crate::JsonSchema) to [`schema`](Self::schema).
    #[cfg(feature = "json-schema")]
    pub fn json_schema(text: impl Into<String>) -> ContractBuilder {
        Self::schema(crate::JsonSchema::new(), text)
    }

    /// Begins a contract with a schema of any format.
    pub fn schema(format: impl SchemaFormat + 'static, text: impl Into<String>) -> ContractBuilder {
        ContractBuilder::with_schema(Arc::new(format), text.into())
    }

    /// Begins a contract without a schema: of rules and validators only.
    pub fn builder() -> ContractBuilder {
        ContractBuilder::default()
    }

    /// Judges `document` and tells everything that was seen.
    ///
    /// # Errors
    /// `Exhausted` when the document is too large or too deep, or the steps or the time ran out; the kind of a validator's error when one could
    /// not judge. An invalid document is no error.
    pub fn validate(&self, document: &Document) -> Result<Report, ValidationError> {
        let findings = Findings::new(&self.limits).timed(&self.limits, &self.timer);
        let findings = if self.shows_values { findings.with_values() } else { findings };
        Ok(Report::of(self.judge(document, findings)?, self.schema_digest()))
    }

    /// Whether `document` is valid; it stops at the first error.
    ///
    /// # Errors
    /// As [`validate`](Self::validate). What that could not judge, this may: it looks at less.
    pub fn is_valid(&self, document: &Document) -> Result<bool, ValidationError> {
        let findings = Findings::new(&self.limits).timed(&self.limits, &self.timer);
        let findings = self.judge(document, findings.verdict_only())?;
        Ok(findings.errors() == 0)
    }

    /// The digest of the schema's text; `None` without a schema.
    #[must_use]
    pub fn schema_digest(&self) -> Option<Digest> {
        self.schema.as_ref().map(|schema| schema.digest)
    }

    /// What identifies its behaviour: two contracts with equal fingerprints give every document the same report. `None` when one of
    /// its validators has none.
    #[must_use]
    pub const fn fingerprint(&self) -> Option<Digest> {
        self.fingerprint
    }

    /// What judging may cost.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    fn judge(&self, document: &Document, mut findings: Findings) -> Result<Findings, ValidationError> {
        document.check(&self.limits)?;
        if document.encoding().is_json() {
            match document.read() {
                Ok(read) => tell_duplicates(read, &mut findings),
                Err(Unread::NotJson { reason, .. }) => {
                    let message = format!("this is not {}: {reason}", document.encoding());
                    findings.add(Finding::new(Severity::Error, "document.syntax", "", message));
                    return Ok(findings);
                }
                Err(Unread::TooDeep | Unread::TooLarge) => return Err(Document::too_deep(&self.limits)),
            }
        }
        let mut decoded = None;
        if let Some(schema) = self.schema.as_ref().filter(|_| !findings.is_decided()) {
            let judged = schema.compiled.judge(document, &mut findings);
            let value = self.unless_spent(judged, &findings)?;
            if value.is_none() && !document.encoding().is_json() && findings.errors() > 0 {
                return Ok(findings);
            }
            decoded = value.filter(|_| !self.validators.is_empty()).map(Document::from);
        }
        // Rules and validators recurse; how large it may be, who decoded it has seen to.
        if let Some(decoded) = &decoded
            && decoded.read().map_or(true, |read| read.depth > self.limits.max_depth)
        {
            return Err(Document::too_deep(&self.limits));
        }
        for validator in &self.validators {
            if findings.is_decided() {
                break;
            }
            let judged = validator.validate(decoded.as_ref().unwrap_or(document), &mut findings);
            self.unless_spent(judged, &findings)?;
        }
        Ok(findings)
    }

    /// Whatever somebody makes of it: steps or time that ran out leave the document undecided.
    fn unless_spent<T>(
        &self,
        judged: Result<T, ValidatorError>,
        findings: &Findings,
    ) -> Result<T, ValidationError> {
        if findings.meter().is_late() {
            return Err(ValidationError::TimeExhausted { max_time_ms: self.limits.max_time_ms });
        }
        if findings.meter().is_spent() {
            return Err(ValidationError::StepsExhausted { max_steps: self.limits.max_steps });
        }
        judged.map_err(|source| ValidationError::NotJudged { source })
    }
}

/// Readers disagree on which of two equal keys counts (RFC 8259, section 4), so what was judged may not be what is read.
fn tell_duplicates(read: &Read, findings: &mut Findings) {
    for path in &read.duplicates {
        let message = "this key stands more than once in its object, and readers differ in which one counts";
        findings.add(Finding::new(Severity::Error, "document.duplicate-key", path.as_str(), message));
    }
    if read.duplicate_count > u64::try_from(read.duplicates.len()).unwrap_or(u64::MAX) {
        findings.and_more();
    }
}

impl std::fmt::Debug for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contract")
            .field("schema", &self.schema_digest())
            .field("fingerprint", &self.fingerprint)
            .field("validators", &self.validators.len())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Gathers the parts of a [`Contract`]; everything is checked in [`build`](Self::build).
#[derive(Default)]
#[must_use = "nothing is checked before build()"]
pub struct ContractBuilder {
    schema: Option<(Arc<dyn SchemaFormat>, String)>,
    references: Vec<Reference>,
    rules: Vec<Rule>,
    validators: Vec<Arc<dyn Validator>>,
    limits: Option<Limits>,
    shows_values: bool,
    clock: Option<Arc<dyn Clock>>,
}

impl ContractBuilder {
    pub(crate) fn with_schema(format: Arc<dyn SchemaFormat>, text: String) -> Self {
        Self { schema: Some((format, text)), ..Self::default() }
    }

    /// Gives a document that the schema may refer to by `uri`. What was not given cannot be referred to: nothing is ever fetched. A
    /// contract without a schema has no use for it.
    pub fn reference(mut self, uri: impl Into<String>, text: impl Into<String>) -> Self {
        self.references.push(Reference::new(uri, text));
        self
    }

    /// Adds a rule.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds rules, such as those that were read from a file.
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Adds a check in code. Validators are asked after the schema and the rules, in the order in which they were added.
    pub fn validator(mut self, validator: impl Validator + 'static) -> Self {
        self.validators.push(Arc::new(validator));
        self
    }

    /// What judging may cost, instead of the default.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// The limits for a builder that was given none.
    pub(crate) fn limits_unless_given(mut self, limits: &Limits) -> Self {
        self.limits.get_or_insert_with(|| limits.clone());
        self
    }

    /// Tells how long a judgement takes, instead of the operating system's monotonic clock. It belongs to no fingerprint: what runs out of
    /// time has no report.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The clock for a builder that was given none.
    pub(crate) fn clock_unless_given(mut self, clock: Option<&Arc<dyn Clock>>) -> Self {
        self.clock = self.clock.or_else(|| clock.cloned());
        self
    }

    /// Reports show the values that were found. Documents hold secrets: only where reports may hold them too.
    pub const fn show_values(mut self) -> Self {
        self.shows_values = true;
        self
    }

    /// Checks and compiles everything.
    ///
    /// # Errors
    /// [`ValidationError::BrokenSchema`] with the kind of its cause, [`ValidationError::BrokenRule`] and
    /// [`ValidationError::BrokenLimits`], `Invalid`.
    pub fn build(self) -> Result<Contract, ValidationError> {
        let limits = self.limits.unwrap_or_default();
        limits.check()?;
        let mut validators: Vec<Arc<dyn Validator>> = Vec::new();
        let mut schema = None;
        if let Some((format, text)) = &self.schema {
            let compiled =
                format.compile(&SchemaSource::new(text, &self.references, &limits)).map_err(|source| {
                    ValidationError::BrokenSchema { format: format.name().to_owned(), source }
                })?;
            schema = Some(Schema { digest: Digest::of(text.as_bytes()), compiled });
        }
        if !self.rules.is_empty() {
            validators.push(Arc::new(Rules::prepare(&self.rules, &limits)?));
        }
        validators.extend(self.validators);
        let fingerprint = fingerprint(schema.as_ref(), &validators, &limits, self.shows_values);
        let timer = self.clock.map_or_else(Timer::system, Timer::Lent);
        Ok(Contract { validators, schema, fingerprint, limits, shows_values: self.shows_values, timer })
    }
}

impl std::fmt::Debug for ContractBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContractBuilder")
            .field("format", &self.schema.as_ref().map(|(format, _)| format.name()))
            .field("references", &self.references.len())
            .field("rules", &self.rules.len())
            .field("validators", &self.validators.len())
            .finish_non_exhaustive()
    }
}

/// Covers everything that a finding can depend on. A part of fixed length, or preceded by its length, for each.
fn fingerprint(
    schema: Option<&Schema>,
    validators: &[Arc<dyn Validator>],
    limits: &Limits,
    shows_values: bool,
) -> Option<Digest> {
    let mut digester = Digester::new();
    digester
        .update(b"mcp-validation contract 1")
        .update(&[u8::from(shows_values), u8::from(schema.is_some())]);
    if let Some(schema) = schema {
        digester.update(schema.digest.as_bytes()).update(schema.compiled.fingerprint()?.as_bytes());
    }
    let limits = serde_json::to_vec(limits).ok()?;
    digester.update(Digest::of(&limits).as_bytes());
    for validator in validators {
        digester.update(Validator::fingerprint(validator)?.as_bytes());
    }
    Some(digester.digest())
}
