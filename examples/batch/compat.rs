//! Two versions of a schema, or many, in one line of JSON.

use mcp_core::ErrorKind;
use mcp_validation::{
    Avro, Break, Compatibility, Direction, JsonSchema, Limits, Mode, ProtobufLevel, Reference, SchemaFormat,
    SchemaSource,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::case::{
    Format, Given, draft, id_of, present, protobuf, read, references, schema_text, told, with_causes,
};

/// Members that are not named here are left alone.
#[derive(Deserialize)]
struct Case<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    format: String,
    draft: Option<String>,
    mode: String,
    level: Option<String>,
    assert_format: Option<bool>,
    #[serde(borrow)]
    old: &'a RawValue,
    #[serde(borrow)]
    new: &'a RawValue,
    #[serde(borrow)]
    references: Option<Vec<Given<'a>>>,
}

/// What is compared, and how.
pub struct Question {
    pub format: Format,
    pub settings: Settings,
    pub mode: Mode,
    /// Oldest first.
    pub old: Vec<String>,
    pub new: String,
    pub references: Vec<Reference>,
}

/// What a comparison depends on beside the schemas.
#[derive(Default)]
pub struct Settings {
    pub draft: Option<mcp_validation::Draft>,
    pub level: ProtobufLevel,
    pub assert_format: bool,
}

/// What came of it, as one line of JSON.
#[derive(Serialize)]
pub struct Outcome {
    pub verdict: &'static str,
    pub breaks: Vec<Found>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Value>,
    /// Why it is unknown, or what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Serialize)]
pub struct Found {
    pub rule: String,
    pub path: String,
    pub message: String,
    pub advice: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Value>,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a RawValue,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

/// The answer to one line, as one line.
pub fn answer(line: &[u8]) -> String {
    match read::<Case<'_>>(line) {
        Ok(case) => {
            let outcome = question(&case).map_or_else(Outcome::wrong, |question| question.answer());
            written(case.id, &outcome)
        }
        Err(reason) => refuse(line, &reason),
    }
}

/// The answer to a line that could not be used.
pub fn refuse(line: &[u8], reason: &str) -> String {
    written(id_of(line).as_deref(), &Outcome::wrong(reason.to_owned()))
}

fn written(id: Option<&RawValue>, outcome: &Outcome) -> String {
    // Text and JSON: there is nothing in it that is no JSON.
    serde_json::to_string(&Answer { id: id.unwrap_or(RawValue::NULL), outcome }).unwrap_or_default()
}

/// A mode by its name, in any case, with hyphens or underscores.
pub fn mode(name: &str) -> Result<Mode, String> {
    let plain = name.to_ascii_lowercase().replace('-', "_");
    plain.parse().map_err(|error: mcp_validation::ValidationError| error.to_string())
}

/// A level of Protobuf by its name.
pub fn level(name: &str) -> Result<ProtobufLevel, String> {
    match name {
        "wire" => Ok(ProtobufLevel::Wire),
        "json" => Ok(ProtobufLevel::Json),
        _ => Err(format!("the level {name:?} is not known: it is wire or json")),
    }
}

fn question(case: &Case<'_>) -> Result<Question, String> {
    let format: Format = case.format.parse()?;
    let given = case.references.as_deref().unwrap_or_default();
    let settings = Settings {
        draft: case.draft.as_deref().map(draft).transpose()?,
        level: case.level.as_deref().map(level).transpose()?.unwrap_or_default(),
        assert_format: case.assert_format.unwrap_or(false),
    };
    let old = history(format, case.old).map_err(|why| format!("of the old one: {why}"))?;
    let new = schema_text(format, case.new).map_err(|why| format!("of the new one: {why}"))?;
    Ok(Question {
        format,
        settings,
        mode: mode(&case.mode)?,
        old,
        new,
        references: references(format, given)?,
    })
}

/// One schema, or a list of them. A union of Avro's is a list, too: one in which the bare name `null` stands is taken for that, and every
/// other one is one union if it is given as text, or as the one element of a list.
fn history(format: Format, raw: &RawValue) -> Result<Vec<String>, String> {
    if !raw.get().starts_with('[') {
        return Ok(vec![schema_text(format, raw)?]);
    }
    let all: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|error| format!("read the schemas: {error}"))?;
    if format == Format::Avro && all.len() > 1 && all.iter().any(|one| one.get() == "\"null\"") {
        return Ok(vec![raw.get().to_owned()]);
    }
    all.into_iter().map(|one| schema_text(format, one)).collect()
}

impl Question {
    pub fn answer(&self) -> Outcome {
        let format: Box<dyn SchemaFormat> = match self.format {
            Format::JsonSchema => {
                let plain = JsonSchema::new().assert_format(self.settings.assert_format);
                Box::new(self.settings.draft.map_or(plain, |draft| plain.draft(draft)))
            }
            Format::Avro => Box::new(Avro),
            Format::Protobuf => Box::new(protobuf(None).level(self.settings.level)),
        };
        let limits = Limits::default();
        let source = |text| SchemaSource::new(text, &self.references, &limits);
        let old: Vec<_> = self.old.iter().map(|text| source(text)).collect();
        let new = source(&self.new);
        // What the mode does not look at must be a schema, too.
        let seen = match self.mode {
            Mode::None => 0,
            mode if mode.is_transitive() => old.len(),
            _ => old.len().min(1),
        };
        let unseen = old.iter().take(old.len().saturating_sub(seen)).chain((seen == 0).then_some(&new));
        for one in unseen {
            if let Err(error) = format.can_read(one, one) {
                return Outcome::failed(&error);
            }
        }
        match self.mode.check(format.as_ref(), &old, &new) {
            Ok(found) => Outcome::of(found),
            Err(error) => Outcome::failed(&error),
        }
    }
}

impl Outcome {
    fn wrong(message: String) -> Self {
        Self { verdict: "error", breaks: Vec::new(), witness: None, message: Some(told(message)) }
    }

    /// What a limit keeps from being found out is unknown; nothing else is.
    fn failed(error: &mcp_core::SeamError) -> Self {
        let verdict = if error.kind() == ErrorKind::Exhausted { "unknown" } else { "error" };
        Self { verdict, ..Self::wrong(with_causes(error)) }
    }

    fn of(found: Compatibility) -> Self {
        let plain = Self { verdict: "yes", breaks: Vec::new(), witness: None, message: None };
        match found {
            Compatibility::Yes => plain,
            Compatibility::Unknown(reason) => {
                Self { verdict: "unknown", message: Some(told(reason)), ..plain }
            }
            Compatibility::No(breaks) => Self {
                verdict: "no",
                witness: breaks.iter().find_map(|found| found.witness.clone()),
                breaks: breaks.into_iter().map(Found::of).collect(),
                ..plain
            },
        }
    }
}

impl Found {
    fn of(found: Break) -> Self {
        Self {
            rule: found.rule.into_owned(),
            path: found.path,
            message: found.message,
            advice: found.advice,
            direction: found.direction,
            against: found.against,
            witness: found.witness,
        }
    }
}
