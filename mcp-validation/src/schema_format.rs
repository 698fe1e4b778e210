use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_core::{Digest, Digester, ErrorKind, Name, ParseError, SeamError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Break, Compatibility, ContractBuilder, Document, Findings, Limits, ValidationError, Validator,
    ValidatorError,
};

/// Compiles the schemas of one format, and compares them: the plug-in for formats that are not built in.
///
/// Called when a contract is built or compared, never while documents are judged.
pub trait SchemaFormat: Send + Sync {
    /// What it is called, such as `json-schema`; in the form of a [`Name`].
    fn name(&self) -> &str;

    /// Makes of `source` what judges documents by it; any [`Validator`] is that, too. Nothing but `source` may be read: neither files
    /// nor the network. The fingerprint covers the schema, its references and the settings of the format.
    ///
    /// # Errors
    /// By kind: `Invalid` when the text is no schema of this format; `NotFound` when it refers to something that was not given with
    /// it; `Exhausted` when it is beyond the limits; `Unsupported` for what this format cannot do.
    fn compile(&self, source: &SchemaSource<'_>) -> Result<Box<dyn CompiledSchema>, SeamError>;

    /// Whether everything that is valid under `writer` can be read by, or is valid under, `reader`; with all breaks where not, up to
    /// `max_findings` of the reader's limits. What cannot be decided within the limits is `Unknown`, never `Yes`.
    ///
    /// # Errors
    /// As [`compile`](Self::compile), when one of the two is no schema.
    fn can_read(
        &self,
        reader: &SchemaSource<'_>,
        writer: &SchemaSource<'_>,
    ) -> Result<Compatibility, SeamError>;

    /// What identifies a schema: equal for two that mean the same by their form alone, such as two that differ in white space. Unless
    /// a format says otherwise, that is the JSON value of a schema in JSON and of its references, however it is written, and the text
    /// of any other.
    ///
    /// # Errors
    /// `Exhausted` when it is beyond the limits.
    fn identity(&self, source: &SchemaSource<'_>) -> Result<Digest, SeamError> {
        let mut digester = Digester::new();
        digester.update(b"mcp-validation schema 1").update(Digest::of(self.name().as_bytes()).as_bytes());
        digester.update(canonical_text(source.text, source.limits)?.as_bytes());
        for reference in source.references {
            digester.update(Digest::of(reference.uri.as_bytes()).as_bytes());
            digester.update(canonical_text(&reference.text, source.limits)?.as_bytes());
        }
        Ok(digester.digest())
    }

    /// What `new` gives up of `old` although it reads everything that was written: places that a later schema may take by mistake,
    /// such as the number of a field. A [`Mode`](crate::Mode) asks this wherever the new schema reads what the old one wrote. Most
    /// formats have no such places, and leave this as it is.
    ///
    /// # Errors
    /// As [`can_read`](Self::can_read).
    fn given_up(&self, _new: &SchemaSource<'_>, _old: &SchemaSource<'_>) -> Result<Vec<Break>, SeamError> {
        Ok(Vec::new())
    }
}

const _: Option<&dyn SchemaFormat> = None;

/// Of the JSON value, or of the text where it is none.
fn canonical_text(text: &str, limits: &Limits) -> Result<Digest, SeamError> {
    match crate::schema_text::read(text, "the schema", limits) {
        Ok(document) => Ok(crate::canonical::digest(crate::schema_text::value_of(&document)).0),
        Err(error) if error.kind() == ErrorKind::Exhausted => Err(error),
        Err(_) => Ok(Digest::of(text.as_bytes())),
    }
}

/// A schema that judges documents, and decodes those whose bytes mean nothing without it.
///
/// Called by a [`Contract`](crate::Contract), before its rules and validators, from many threads at once, for documents that are
/// within its limits in bytes; one whose encoding is JSON was read. What is hostile in the bytes ends as a finding or `Exhausted`, in
/// memory and stack that the limits bound.
pub trait CompiledSchema: Send + Sync {
    /// Adds what it sees to `findings`. `Some` is what the document says, decoded: rules and validators see that in its place.
    /// `None`: the document speaks for itself; or, where its encoding is no JSON, there is nothing to be seen, and a finding says
    /// why.
    ///
    /// # Errors
    /// A bad document is a finding; `Err` means that it could not be judged: `Exhausted` from [`Findings::spend`] is passed on,
    /// `Unsupported` for an encoding that schemas of this format do not decode.
    fn judge(&self, document: &Document, findings: &mut Findings) -> Result<Option<Value>, ValidatorError>;

    /// As [`Validator::fingerprint`].
    fn fingerprint(&self) -> Option<Digest>;
}

const _: Option<&dyn CompiledSchema> = None;

/// For schemas of JSON: the document speaks for itself.
impl<V: Validator> CompiledSchema for V {
    fn judge(&self, document: &Document, findings: &mut Findings) -> Result<Option<Value>, ValidatorError> {
        self.validate(document, findings).map(|()| None)
    }

    fn fingerprint(&self) -> Option<Digest> {
        Validator::fingerprint(self)
    }
}

/// A schema as it was written, and what belongs to it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SchemaSource<'a> {
    /// The schema.
    pub text: &'a str,
    /// The documents that it may refer to.
    pub references: &'a [Reference],
    /// What compiling, and judging afterwards, may cost.
    pub limits: &'a Limits,
}

impl<'a> SchemaSource<'a> {
    /// A schema with its references, to be compiled within `limits`.
    #[must_use]
    pub const fn new(text: &'a str, references: &'a [Reference], limits: &'a Limits) -> Self {
        Self { text, references, limits }
    }
}

/// A document that a schema may refer to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Reference {
    /// By which URI; it is a name here and never fetched.
    pub uri: String,
    /// What it says.
    pub text: String,
}

impl Reference {
    /// The document `text` under the name `uri`.
    #[must_use]
    pub fn new(uri: impl Into<String>, text: impl Into<String>) -> Self {
        Self { uri: uri.into(), text: text.into() }
    }
}

/// The formats that can be asked for by name.
#[derive(Clone, Default)]
pub struct SchemaFormats(BTreeMap<Name, Arc<dyn SchemaFormat>>);

impl SchemaFormats {
    /// None at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that this build has, with their usual settings.
    ///
    /// # Errors
    /// None is known: the built-in names are right.
    pub fn built_in() -> Result<Self, ValidationError> {
        #[cfg_attr(
            not(any(feature = "avro", feature = "json-schema", feature = "protobuf")),
            expect(unused_mut, reason = "there is no built-in format")
        )]
        let mut formats = Self::new();
        #[cfg(feature = "json-schema")]
        formats.register(Arc::new(crate::JsonSchema::new()))?;
        #[cfg(feature = "avro")]
        formats.register(Arc::new(crate::Avro))?;
        #[cfg(feature = "protobuf")]
        formats.register(Arc::new(crate::Protobuf::new()))?;
        Ok(formats)
    }

    /// Adds `format` under its name; one of the same name is replaced.
    ///
    /// # Errors
    /// `Invalid` when its name is not in the form of a [`Name`].
    pub fn register(&mut self, format: Arc<dyn SchemaFormat>) -> Result<(), ValidationError> {
        let named = format.name().parse();
        let name = named.map_err(|error: ParseError| ValidationError::NotOpened { source: error.into() })?;
        self.0.insert(name, format);
        Ok(())
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.keys()
    }

    /// Begins a contract with a schema of the format called `format`.
    ///
    /// # Errors
    /// [`ValidationError::UnknownFormat`], `NotFound`, when nothing is registered under this name.
    pub fn contract(
        &self,
        format: &str,
        schema: impl Into<String>,
    ) -> Result<ContractBuilder, ValidationError> {
        Ok(ContractBuilder::with_schema(self.find(format)?, schema.into()))
    }

    pub(crate) fn find(&self, format: &str) -> Result<Arc<dyn SchemaFormat>, ValidationError> {
        let unknown =
            || ValidationError::UnknownFormat { format: crate::findings::shortened(format.to_owned()) };
        let name: Name = format.parse().map_err(|_| unknown())?;
        self.0.get(&name).cloned().ok_or_else(unknown)
    }
}

impl std::fmt::Debug for SchemaFormats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
