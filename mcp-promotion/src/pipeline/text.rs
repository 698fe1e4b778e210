//! A pipeline as text from outside.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{Given, Pipeline, PipelineBuilder};
use crate::PromotionError;
use crate::fault::{Fault, in_short};

/// A pipeline as it stands in a file: one policy under the name of each stage. See [`Policy`](crate::Policy) for its fields.
///
/// It is read from JSON with [`from_json`](Self::from_json), and through serde from any format that describes itself, such as YAML, also as a part of a
/// larger file. Nothing is checked before [`build`](Self::build), so that everything that is wrong with it is told at once: of each stage
/// the first field that cannot be read, or else all contradictions. A stage or a field that stands there twice is a fault and not
/// overwritten.
///
/// ```
/// use mcp_promotion::PipelineText;
///
/// let text = r#"{"stages": {
///     "dev": {"verification": {"unverified": {"reason": "nobody looks at dev"}}},
///     "prod": {"verification": {"unverified": {"reason": "a demo"}}, "after": ["dev", "qa"], "aprovals": 2}
/// }}"#;
/// let error = PipelineText::from_json(text)?.build().unwrap_err();
/// let why = "build the pipeline: stage prod, aprovals: unknown field `aprovals`, expected one of ";
/// assert!(error.to_string().starts_with(why), "{error}");
///
/// let pipeline = PipelineText::from_json(&text.replace("aprovals", "approvals").replace(", \"qa\"", ""))?.build()?;
/// assert_eq!(pipeline.stages().count(), 2);
/// # Ok::<(), mcp_promotion::PromotionError>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineText {
    stages: Stages,
}

impl PipelineText {
    /// The longest text, in bytes.
    pub const MAX_BYTES: usize = 8 << 20;
    /// The most values in it, those within lists and objects counted one by one.
    pub const MAX_VALUES: usize = 1_000_000;

    /// Reads a JSON document.
    ///
    /// # Errors
    /// [`PromotionError::Pipeline`] with one fault when it is too long or is no JSON object with `stages` in it.
    pub fn from_json(text: &str) -> Result<Self, PromotionError> {
        let refuse = |fault| PromotionError::Pipeline { faults: vec![fault] };
        if text.len() > Self::MAX_BYTES {
            let why = format!("it has {} bytes, at most {} are allowed", text.len(), Self::MAX_BYTES);
            return Err(refuse(Fault::new(why, "split it into several")));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let read = serde_path_to_error::deserialize(&mut json).map_err(|error| refuse(unreadable(&error)))?;
        json.end().map_err(|error| refuse(Fault::new(error.to_string(), "end it there")))?;
        Ok(read)
    }

    /// Reads the policy of each stage, and checks everything.
    ///
    /// # Errors
    /// As [`PipelineBuilder::build`].
    pub fn build(self) -> Result<Pipeline, PromotionError> {
        let stages = self.stages.0.into_iter().map(Unread::read);
        PipelineBuilder { stages: stages.collect() }.build()
    }
}

/// What serde says, with the path of the field.
fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> Fault {
    let path = error.path().to_string();
    let said: String = error.inner().to_string().chars().take(400).collect();
    let fault = Fault::new(said, "write it as the docs of the field say");
    if path == "." { fault } else { fault.at(in_short(&path)) }
}

impl Serialize for Pipeline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct ByName<'a>(&'a Pipeline);
        impl Serialize for ByName<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.stages())
            }
        }
        let mut whole = serializer.serialize_map(Some(1))?;
        whole.serialize_entry("stages", &ByName(self))?;
        whole.end()
    }
}

/// A stage of which only the name was read.
#[derive(Clone, Debug)]
struct Unread {
    name: String,
    policy: Value,
    /// What could be seen without knowing what a policy is.
    faults: Vec<Fault>,
}

impl Unread {
    fn read(self) -> Given {
        let Self { name: shown, policy, mut faults } = self;
        let name = shown.parse();
        let policy =
            serde_path_to_error::deserialize(policy).map_err(|error| faults.push(unreadable(&error)));
        let policy = match policy {
            Ok(policy) if faults.is_empty() => Ok(policy),
            _ => Err(faults),
        };
        Given { shown: Some(shown), name, policy }
    }
}

/// In the order in which they stand there, and each as often as it does.
#[derive(Clone, Debug)]
struct Stages(Vec<Unread>);

impl<'de> Deserialize<'de> for Stages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Stages;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("policies under the names of stages")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stages, A::Error> {
                let mut stages = Vec::new();
                let mut left = PipelineText::MAX_VALUES;
                while let Some(name) = map.next_key::<String>()? {
                    let mut faults = Vec::new();
                    let tree = Tree { path: "", depth: 0, left: &mut left, faults: &mut faults };
                    let policy = map.next_value_seed(tree)?;
                    stages.push(Unread { name, policy, faults });
                }
                Ok(Stages(stages))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// Reads any value, and notes the fields that stand there twice.
struct Tree<'a> {
    path: &'a str,
    depth: usize,
    left: &'a mut usize,
    faults: &'a mut Vec<Fault>,
}

impl Tree<'_> {
    /// How deep lists and objects may lie in each other; policies need a fifth of that.
    const MAX_DEPTH: usize = 50;

    fn say(&mut self, path: &str, why: &str, advice: &str) {
        if self.faults.len() < crate::fault::Faults::MAX {
            self.faults.push(Fault::new(why, advice).at(in_short(path)));
        }
    }

    /// The one below, unless there are too many of them.
    fn below<'a>(&'a mut self, path: &'a str) -> Result<Tree<'a>, String> {
        if *self.left == 0 {
            return Err(format!("it has more than {} values", PipelineText::MAX_VALUES));
        }
        if self.depth >= Self::MAX_DEPTH {
            return Err(format!(
                "its lists and objects lie more than {} deep in each other",
                Self::MAX_DEPTH
            ));
        }
        *self.left = self.left.saturating_sub(1);
        Ok(Tree { path, depth: self.depth.saturating_add(1), left: self.left, faults: self.faults })
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(mut self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        if number.is_none() {
            self.say(self.path, "it is no finite number", "write a number");
        }
        Ok(number.map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, list.len());
            match seq.next_element_seed(self.below(&path).map_err(A::Error::custom)?)? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let shown = in_short(&key);
            let path = if self.path.is_empty() { shown } else { format!("{}.{shown}", self.path) };
            let value = map.next_value_seed(self.below(&path).map_err(A::Error::custom)?)?;
            if object.insert(key, value).is_some() {
                self.say(&path, "it stands there twice", "take one of them out");
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    const PLAIN: &str = r#"{"verification":{"unverified":{"reason":"demo"}}}"#;

    fn faults(text: &str) -> Vec<String> {
        match Pipeline::from_json(text) {
            Err(PromotionError::Pipeline { faults }) => faults.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pipeline_is_written_as_it_is_read() {
        let policy =
            Policy::healthy_for(std::time::Duration::from_secs(60)).after("dev").approvals(2).canary();
        let built = Pipeline::builder()
            .stage("prod", policy)
            .stage("dev", Policy::unverified("demo"))
            .build()
            .unwrap();
        let text = serde_json::to_string(&built).unwrap();
        assert_eq!(Pipeline::from_json(&text).unwrap(), built);
        assert!(text.starts_with(r#"{"stages":{"dev":{"verification":"#), "{text}");
    }

    #[test]
    fn each_stage_that_cannot_be_read_is_told_with_the_path_of_its_field() {
        let text = format!(
            r#"{{"stages": {{
                "dev": {PLAIN},
                "dev": {PLAIN},
                "a": {{"verification": {{"judged": {{"judge": {{"rank": {{"alpha": 1}}}}, "window_ms": 1000}}}}}},
                "b": {{"verification": {{"unverified": {{"reason": "demo"}}}}, "approvals": 1, "approvals": 2}},
                "c": {{"verification": {{"unverified": {{"reason": "demo"}}}}, "soak_ms": -5}},
                "d": {{"verification": {{"unverified": {{"reason": "demo"}}}}, "levels": [{{"name": "x", "quorum": "two"}}]}},
                "e": {{"verification": {{"unverified": {{"reason": "demo"}}}}, "windows": {{"deny": [
                    {{"name": "x", "zone": "Mars", "when": {{"cron": {{"start": "0 0 * * *", "lasts_ms": 1}}}}}}]}}}},
                "f": {{"verification": {{"unverified": {{"reason": "demo"}}}}, "after": ["A"]}},
                "g": 7,
                "h": {{"verification": {{"unverified": {{"reason": "demo"}}}}, "after": ["g", "x"]}},
                "I": {{}}
            }}}}"#
        );
        let begin = |line: &String| line.split(", expected one of").next().unwrap().to_owned();
        let told: Vec<String> = faults(&text).iter().map(begin).collect();
        let advice = "; write it as the docs of the field say";
        let not_allowed = "is not allowed: only a to z, 0 to 9, '_', '-', and '.' or '/' between segments";
        assert_eq!(
            told,
            [
                "stage dev: it stands in the pipeline twice or more; give each its own name".to_owned(),
                "stage a, verification.judged.judge.rank.alpha: unknown field `alpha`".to_owned(),
                "stage b, approvals: it stands there twice; take one of them out".to_owned(),
                format!("stage c, soak_ms: invalid value: integer `-5`, expected u64{advice}"),
                format!("stage d, levels[0].quorum: invalid type: string \"two\", expected u32{advice}"),
                format!("stage e, windows.deny[0]: calendar x: read \"Mars\" as time zone: the IANA database has none of this name; one is Europe/Berlin{advice}"),
                format!("stage f, after[0]: read \"A\" as name: 'A' {not_allowed}{advice}"),
                format!("stage g: invalid type: integer `7`, expected struct Policy{advice}"),
                format!("stage I: read \"I\" as name: 'I' {not_allowed}; give it another name"),
                format!("stage I: missing field `verification`{advice}"),
                "stage h, after: it comes after x, which is no stage of the pipeline; add that stage, or take it out".to_owned(),
            ]
        );
    }

    #[test]
    fn what_is_no_pipeline_at_all_is_told_in_one_line() {
        for (text, why) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{}", "missing field `stages` at line 1 column 2"),
            ("[]", "invalid length 0, expected struct PipelineText with 1 element"),
            (
                r#"{"stages": []}"#,
                "stages: invalid type: sequence, expected policies under the names of stages",
            ),
            (r#"{"stages": {}, "stage": {}}"#, "stage: unknown field `stage`, expected `stages`"),
            (r#"{"stages": {}} x"#, "trailing characters at line 1 column 16"),
            (r#"{"stages": {}}"#, "it has no stages; name at least one"),
        ] {
            let told = faults(text);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(why), "{text}: {told:?}");
        }
    }

    /// Invariant 9.
    #[test]
    fn hostile_text_is_refused_by_its_size_its_depth_or_its_number_of_values() {
        let deep = format!(r#"{{"stages": {{"a": {}{}}}}}"#, "[".repeat(60), "]".repeat(60));
        assert!(faults(&deep)[0].contains("its lists and objects lie more than 50 deep in each other"));
        let wide = format!(r#"{{"stages": {{"a": [{}0]}}}}"#, "0,".repeat(1_100_000));
        assert!(faults(&wide)[0].contains("it has more than 1000000 values"));
        let long = " ".repeat(PipelineText::MAX_BYTES + 1);
        assert_eq!(
            faults(&long),
            ["it has 8388609 bytes, at most 8388608 are allowed; split it into several"]
        );
        let name = "n".repeat(1 << 20);
        let named = faults(&format!(r#"{{"stages": {{"{name}": {PLAIN}, "b": {{"{name}": 1}}}}}}"#));
        assert_eq!(named.len(), 2);
        assert!(named.iter().all(|line| line.len() < 1000), "{:?}", named.iter().map(String::len));
    }
}
