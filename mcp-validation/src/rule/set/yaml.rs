//! Rules as YAML: read into a tree in which every part knows its place, and the rules out of that.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Options, Spanned};

use super::{Spot, Written, pointer, segments};
use crate::ValidationError;
use crate::stack::with_stack;

const MAX_DEPTH: usize = 64;
/// Parts of the text, counted as its parser does.
const MAX_EVENTS: usize = 200_000;
/// What anchors may hold together, in bytes, and into how many parts aliases may unfold: the product bounds the memory that they take.
const MAX_ANCHORED_BYTES: usize = 4 << 10;
const MAX_REPLAYED: usize = 10_000;

/// A part of the text and where it stands.
pub(super) struct Tree {
    spot: Spot,
    kind: Kind,
}

enum Kind {
    Leaf,
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// The parser takes up to 40 KiB of stack for each level where it is not optimised.
const STACK_BYTES: usize = 8 << 20;

pub(super) fn read(text: &str) -> Result<(Written, Tree), ValidationError> {
    with_stack(STACK_BYTES, || read_here(text)).map_err(|source| ValidationError::NotJudged { source })?
}

fn read_here(text: &str) -> Result<(Written, Tree), ValidationError> {
    let parsed: Spanned<Node> = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let spot = error.location().map_or(Spot { line: 1, column: 1 }, spot);
        let text = error.without_snippet().to_string();
        let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
        spot.refuse(String::new(), reason.to_owned())
    })?;
    let (value, tree) = split(parsed);
    let written = serde_path_to_error::deserialize(value).map_err(|error| {
        let mut path = segments(error.path());
        let reason = error.into_inner().to_string();
        super::add_unknown_field(&mut path, &reason);
        tree.locate(&path).refuse(pointer(&path), reason)
    })?;
    Ok((written, tree))
}

fn options() -> Options {
    let mut options = Options::default();
    let mut budget = options.budget.take().unwrap_or_default();
    budget.max_depth = MAX_DEPTH;
    budget.flow_nesting_limit = MAX_DEPTH;
    budget.max_events = MAX_EVENTS;
    budget.max_nodes = MAX_EVENTS;
    budget.max_documents = 1;
    budget.max_recorded_anchor_bytes = MAX_ANCHORED_BYTES;
    budget.max_recorded_anchor_events = MAX_REPLAYED;
    options.budget = Some(budget);
    options.alias_limits.max_total_replayed_events = MAX_REPLAYED;
    options.strict_booleans = true;
    options
}

fn spot(location: Location) -> Spot {
    Spot { line: location.line().max(1), column: location.column().max(1) }
}

impl Tree {
    /// Where the deepest part that there is on the way along `path` begins.
    pub(super) fn locate(&self, path: &[String]) -> Spot {
        let mut part = self;
        for segment in path {
            let next = match &part.kind {
                Kind::Leaf => None,
                Kind::List(parts) => segment.parse::<usize>().ok().and_then(|index| parts.get(index)),
                Kind::Map(members) => members.iter().find(|(key, _)| key == segment).map(|(_, part)| part),
            };
            match next {
                Some(next) => part = next,
                None => break,
            }
        }
        part.spot
    }
}

/// Recursive: no deeper than [`MAX_DEPTH`].
fn split(node: Spanned<Node>) -> (Value, Tree) {
    let spot = spot(node.referenced);
    let (value, kind) = match node.value {
        Node::Leaf(value) => (value, Kind::Leaf),
        Node::List(nodes) => {
            let (values, parts) = nodes.into_iter().map(split).unzip();
            (Value::Array(values), Kind::List(parts))
        }
        Node::Map(nodes) => {
            let mut members = Map::new();
            let mut parts = Vec::with_capacity(nodes.len());
            for (key, node) in nodes {
                let (value, part) = split(node);
                members.insert(key.clone(), value);
                parts.push((key, part));
            }
            (Value::Object(members), Kind::Map(parts))
        }
    };
    (value, Tree { spot, kind })
}

enum Node {
    Leaf(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(String, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeReader)
    }
}

struct NodeReader;

impl<'de> Visitor<'de> for NodeReader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Null))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Bool(truth)))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Node, E> {
        Ok(Node::Leaf(Value::from(int)))
    }

    fn visit_u64<E>(self, int: u64) -> Result<Node, E> {
        Ok(Node::Leaf(Value::from(int)))
    }

    fn visit_f64<E: serde::de::Error>(self, float: f64) -> Result<Node, E> {
        let number = Number::from_f64(float).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Node::Leaf(Value::Number(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Leaf(Value::String(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut nodes: Vec<(String, Spanned<Node>)> = Vec::new();
        while let Some((key, node)) = members.next_entry::<String, _>()? {
            if nodes.len() >= MAX_MEMBERS {
                return Err(A::Error::custom(format!("an object has more than {MAX_MEMBERS} members")));
            }
            nodes.push((key, node));
        }
        Ok(Node::Map(nodes))
    }
}

/// No object of a rule has nearly so many; a search for one of them is then short.
const MAX_MEMBERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use crate::rule::{Rule, RuleSet};

    fn refusal(text: &str) -> String {
        RuleSet::from_yaml(text).expect_err("refused").to_string()
    }

    #[test]
    fn yaml_gives_the_rules_that_json_gives() {
        let yaml = "rules:\n  - name: a\n    check: {required: {path: /a}}\n  - name: b\n    severity: warning\n    mode: observe\n    \
            check:\n      one_of:\n        path: /b\n        values: [1, 1.5, \"x\", no, null, {y: true}]\n";
        let json = r#"[{"name": "a", "check": {"required": {"path": "/a"}}}, {"name": "b", "severity": "warning", "mode": "observe",
            "check": {"one_of": {"path": "/b", "values": [1, 1.5, "x", "no", null, {"y": true}]}}}]"#;
        assert_eq!(RuleSet::from_yaml(yaml).unwrap(), RuleSet::from_json(json).unwrap());
        assert_eq!(RuleSet::from_yaml("[]").unwrap().rules, [] as [Rule; 0]);
    }

    #[test]
    fn every_fault_is_told_with_line_column_and_path() {
        for (text, expected) in [
            ("rules:\n  - name: [", "line 2, column "),
            (
                "rules:\n  - name: a\n    sevrity: info\n",
                "line 3, column 14, /rules/0/sevrity: unknown field `sevrity`",
            ),
            (
                "- name: a\n  check:\n    range:\n      path: /a\n      minimum: many\n",
                "line 5, column 16, /0/check/range/minimum: invalid type: string \"many\", expected a JSON number",
            ),
            (
                "- name: a\n  check:\n    pattern:\n      path: /a\n      pattern: (\n",
                "line 5, column 16, /0/check/pattern/pattern: the pattern cannot be read: unclosed group",
            ),
            ("- name: a\n  name: b\n", "line 2, column 3, (the whole text): "),
            ("7", "line 1, column 1, (the whole text): invalid type: integer `7`"),
        ] {
            let seen = refusal(text);
            assert!(seen.starts_with(&format!("read rules, {expected}")), "{text}\n{seen}");
        }
    }

    #[test]
    fn aliases_that_multiply_are_refused_and_a_few_are_not() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(refusal(&laughs).starts_with("read rules, line "), "{}", refusal(&laughs));
        let long = format!("- &a {}\n{}", "x".repeat(500_000), "- *a\n".repeat(9_000));
        assert!(refusal(&long).starts_with("read rules, line "), "{}", refusal(&long));
        let few = "- name: a\n  check: {required: &p {path: /a}}\n- name: b\n  check: {required: *p}\n";
        assert_eq!(RuleSet::from_yaml(few).unwrap().rules.len(), 2);
    }

    #[test]
    fn deep_yaml_is_refused_on_a_small_stack() {
        let deep = |open: &str| format!("- {}", open.repeat(50_000));
        let text = [deep("["), deep("{a: "), deep("- ")];
        let worker = std::thread::Builder::new().stack_size(2 << 20);
        let seen = worker.spawn(move || text.map(|text| refusal(&text))).unwrap().join().unwrap();
        assert!(seen.iter().all(|seen| seen.starts_with("read rules, line ")), "{seen:?}");
    }
}
