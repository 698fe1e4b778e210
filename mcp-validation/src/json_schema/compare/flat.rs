//! A schema as one list of subschemas in the terms of draft 2020-12, whatever its draft: references are resolved to places in the
//! list, keywords that its draft does not know are gone, and so is everything that is only a remark.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{Draft, Registry};
use mcp_core::SeamError;
use referencing::Resolver;
use serde_json::{Number, Value};

use crate::number;
use crate::pointer::push_segment;

/// A place in [`Flat::nodes`].
pub(super) type Index = usize;

/// The whole schema; its root is the first node.
#[derive(Debug)]
pub(super) struct Flat {
    pub(super) nodes: Vec<Node>,
    /// `1.0` is no integer: draft 4.
    pub(super) lexical_integers: bool,
    /// Why its meaning cannot be told from the nodes alone.
    pub(super) opaque: Option<String>,
}

/// One subschema: what every value under it must satisfy.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Node {
    /// Where it stands in the schema as it was written.
    pub(super) path: String,
    /// `false`: no value satisfies it.
    pub(super) never: bool,
    /// Something refers to it.
    pub(super) named: bool,
    pub(super) types: Option<Types>,
    /// `enum` or `const`, and which of them.
    pub(super) allowed: Option<(&'static str, Vec<Value>)>,
    /// `const` where `enum` stands beside it.
    pub(super) also_allowed: Option<Value>,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiple_of: Option<Number>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) pattern: Option<String>,
    pub(super) format: Option<String>,
    pub(super) content: BTreeMap<String, Value>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) unique_items: bool,
    pub(super) prefix_items: Vec<Index>,
    pub(super) items: Option<Index>,
    pub(super) contains: Option<Contains>,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) required: BTreeSet<String>,
    pub(super) properties: BTreeMap<String, Index>,
    pub(super) pattern_properties: BTreeMap<String, Index>,
    pub(super) additional_properties: Option<Index>,
    pub(super) property_names: Option<Index>,
    pub(super) dependent_required: BTreeMap<String, BTreeSet<String>>,
    pub(super) dependent_schemas: BTreeMap<String, Index>,
    /// With `$ref`.
    pub(super) all_of: Vec<Index>,
    pub(super) any_of: Option<Vec<Index>>,
    pub(super) one_of: Option<Vec<Index>>,
    pub(super) not: Option<Index>,
    pub(super) condition: Option<Condition>,
    pub(super) unevaluated_properties: Option<Index>,
    pub(super) unevaluated_items: Option<Index>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) limit: Number,
    pub(super) exclusive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Contains {
    pub(super) schema: Index,
    pub(super) min: u64,
    pub(super) max: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) when: Index,
    pub(super) then: Option<Index>,
    pub(super) otherwise: Option<Index>,
}

/// A set of JSON's types; an integer is a number too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOLEAN: Self = Self(2);
    pub(super) const INTEGER: Self = Self(4);
    /// With the integers.
    pub(super) const NUMBER: Self = Self(4 | 8);
    pub(super) const STRING: Self = Self(16);
    pub(super) const ARRAY: Self = Self(32);
    pub(super) const OBJECT: Self = Self(64);
    pub(super) const ALL: Self = Self(127);
    pub(super) const NONE: Self = Self(0);
    const NAMED: [(&'static str, Self); 7] = [
        ("null", Self::NULL),
        ("boolean", Self::BOOLEAN),
        ("number", Self::NUMBER),
        ("integer", Self::INTEGER),
        ("string", Self::STRING),
        ("array", Self::ARRAY),
        ("object", Self::OBJECT),
    ];

    fn named(name: &str) -> Self {
        Self::NAMED.into_iter().find(|(known, _)| *known == name).map_or(Self::NONE, |(_, types)| types)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number) if number::is_integer(number) => Self::INTEGER,
            // What is left of the numbers without the integers.
            Value::Number(_) => Self::NUMBER.without(Self::INTEGER),
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// The names in a schema: `number` stands for the integers too.
    pub(super) fn names(self) -> Vec<&'static str> {
        let mut left = self;
        let mut names = Vec::new();
        for (name, types) in Self::NAMED {
            if left.and(types) == types {
                names.push(name);
                left = left.without(types);
            }
        }
        if left.meets(Self::NUMBER) {
            names.push("number that is no integer");
        }
        names
    }
}

/// The URI under which the crate knows a schema without one.
const ROOT: &str = "json-schema:///";

/// What each draft's validator makes of keywords depends on these.
struct Dialect {
    draft: Draft,
    asserts_format: bool,
}

impl Dialect {
    fn at_least(&self, draft: Draft) -> bool {
        self.draft >= draft
    }

    /// Beside `$ref` nothing counts.
    fn reference_stands_alone(&self) -> bool {
        !self.at_least(Draft::Draft201909)
    }
}

/// Flattens the schema `root`, which may refer to what `registry` holds.
pub(super) fn flatten<'a>(
    root: &'a Value,
    documents: &[(&str, &'a Value)],
    draft: Draft,
    asserts_format: bool,
    registry: &Registry<'_>,
) -> Result<Flat, SeamError> {
    let fault = |error: &dyn std::fmt::Display| super::super::references::broken_reference(error);
    let with_root = super::super::references::with_root(registry, ROOT, root, draft)?;
    let base = jsonschema::uri::from_str(ROOT).map_err(|error| fault(&error))?;
    let found = with_root.resolver(base).lookup(ROOT).map_err(|error| fault(&error))?.into_inner().1;
    let base = with_root.resolver(jsonschema::uri::from_str(ROOT).map_err(|error| fault(&error))?);
    let (contents, _, draft_of_root) = base.lookup(ROOT).map_err(|error| fault(&error))?.into_inner();
    let mut walk = Walk {
        nodes: Vec::new(),
        known: BTreeMap::new(),
        waiting: Vec::new(),
        asserts_format,
        draft,
        opaque: None,
        anchors: Anchors::of(root, documents),
    };
    walk.enter(contents, String::new(), found, draft_of_root);
    walk.walk();
    Ok(Flat { nodes: walk.nodes, lexical_integers: draft == Draft::Draft4, opaque: walk.opaque })
}

/// How often each dynamic anchor stands anywhere: where one stands once, a dynamic reference is a plain one.
#[derive(Default)]
struct Anchors(BTreeMap<String, usize>);

/// The name under which `$recursiveAnchor` is counted; no dynamic anchor can be called so.
const RECURSIVE: &str = "#recursive";

impl Anchors {
    fn of(root: &Value, documents: &[(&str, &Value)]) -> Self {
        let mut counts = BTreeMap::new();
        let mut waiting: Vec<&Value> = documents.iter().map(|(_, document)| *document).collect();
        waiting.push(root);
        while let Some(value) = waiting.pop() {
            match value {
                Value::Array(elements) => waiting.extend(elements),
                Value::Object(members) => {
                    if let Some(anchor) = members.get("$dynamicAnchor").and_then(Value::as_str) {
                        *counts.entry(anchor.to_owned()).or_default() += 1;
                    }
                    if members.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
                        *counts.entry(RECURSIVE.to_owned()).or_default() += 1;
                    }
                    waiting.extend(members.values());
                }
                _ => {}
            }
        }
        Self(counts)
    }

    fn is_plain(&self, name: &str) -> bool {
        self.0.get(name).copied().unwrap_or(0) <= 1
    }
}

struct Walk<'r> {
    nodes: Vec<Node>,
    /// Where each was seen: by its address, since the registry holds every document still.
    known: BTreeMap<usize, Index>,
    waiting: Vec<(Index, &'r Value, Resolver<'r>, Draft)>,
    asserts_format: bool,
    draft: Draft,
    opaque: Option<String>,
    anchors: Anchors,
}

impl<'r> Walk<'r> {
    fn enter(&mut self, schema: &'r Value, path: String, resolver: Resolver<'r>, draft: Draft) -> Index {
        let address = std::ptr::from_ref(schema).addr();
        if let Some(known) = self.known.get(&address) {
            return *known;
        }
        let index = self.nodes.len();
        self.known.insert(address, index);
        self.nodes.push(Node { path, ..Node::default() });
        self.waiting.push((index, schema, resolver, draft));
        index
    }

    fn walk(&mut self) {
        while let Some((index, schema, resolver, draft)) = self.waiting.pop() {
            let path = self.nodes.get(index).map(|node| node.path.clone()).unwrap_or_default();
            let mut node = match schema {
                Value::Object(keywords) => {
                    let resolver =
                        resolver.in_subresource(draft.create_resource_ref(schema)).unwrap_or(resolver);
                    let own = match draft.detect(schema) {
                        Draft::Unknown => draft,
                        own => own,
                    };
                    if (own == Draft::Draft4) != (self.draft == Draft::Draft4) {
                        self.conceal("it refers to a schema of another draft");
                    }
                    self.keywords(
                        keywords,
                        &path,
                        &resolver,
                        &Dialect { draft: own, asserts_format: self.asserts_format },
                    )
                }
                Value::Bool(truth) => Node { never: !truth, ..Node::default() },
                _ => Node::default(),
            };
            if let Some(place) = self.nodes.get_mut(index) {
                node.named = place.named;
                node.path = path;
                *place = node;
            }
        }
    }

    fn conceal(&mut self, reason: impl Into<String>) {
        self.opaque.get_or_insert(reason.into());
    }

    fn keywords(
        &mut self,
        keywords: &'r serde_json::Map<String, Value>,
        path: &str,
        resolver: &Resolver<'r>,
        dialect: &Dialect,
    ) -> Node {
        let mut node = Node::default();
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            self.refer(reference, "$ref", path, resolver, &mut node);
            if dialect.reference_stands_alone() {
                return node;
            }
        }
        let below = |keyword: &str| {
            let mut below = path.to_owned();
            push_segment(&mut below, keyword);
            below
        };
        let since_6 = dialect.at_least(Draft::Draft6);
        let since_7 = dialect.at_least(Draft::Draft7);
        let since_2019 = dialect.at_least(Draft::Draft201909);
        let since_2020 = dialect.at_least(Draft::Draft202012);
        let exclusive = |keyword: &str| keywords.get(keyword) == Some(&Value::Bool(true));
        for (keyword, value) in keywords {
            let key = keyword.as_str();
            match key {
                "$dynamicRef" if since_2020 => {
                    if let Some(reference) = value.as_str() {
                        let name = reference.rsplit_once('#').map_or("", |(_, name)| name);
                        if !self.anchors.is_plain(name) {
                            self.conceal("where a $dynamicRef leads depends on the way to it");
                        }
                        self.refer(reference, key, path, resolver, &mut node);
                    }
                }
                "$recursiveRef" if since_2019 && !since_2020 => {
                    if let Some(reference) = value.as_str() {
                        if !self.anchors.is_plain(RECURSIVE) {
                            self.conceal("where a $recursiveRef leads depends on the way to it");
                        }
                        self.refer(reference, key, path, resolver, &mut node);
                    }
                }
                "type" => node.types = Some(types(value)),
                "enum" => node.allowed = value.as_array().map(|values| ("enum", values.clone())),
                "const" if since_6 => node.also_allowed = Some(value.clone()),
                "minimum" => {
                    let strict = !since_6 && exclusive("exclusiveMinimum");
                    tighten(&mut node.minimum, value, strict, std::cmp::Ordering::Greater);
                }
                "maximum" => {
                    let strict = !since_6 && exclusive("exclusiveMaximum");
                    tighten(&mut node.maximum, value, strict, std::cmp::Ordering::Less);
                }
                "exclusiveMinimum" if since_6 => {
                    tighten(&mut node.minimum, value, true, std::cmp::Ordering::Greater);
                }
                "exclusiveMaximum" if since_6 => {
                    tighten(&mut node.maximum, value, true, std::cmp::Ordering::Less);
                }
                "multipleOf" => node.multiple_of = value.as_number().cloned(),
                "minLength" => node.min_length = count(value).filter(|count| *count > 0),
                "maxLength" => node.max_length = count(value),
                "minItems" => node.min_items = count(value).filter(|count| *count > 0),
                "maxItems" => node.max_items = count(value),
                "minProperties" => node.min_properties = count(value).filter(|count| *count > 0),
                "maxProperties" => node.max_properties = count(value),
                "uniqueItems" => node.unique_items = *value == Value::Bool(true),
                "pattern" => node.pattern = value.as_str().map(str::to_owned),
                "format" if dialect.asserts_format => node.format = value.as_str().map(str::to_owned),
                // Asserted by drafts 6 and 7 only.
                "contentEncoding" | "contentMediaType" if since_6 && !since_2019 => {
                    node.content.insert(keyword.clone(), value.clone());
                }
                "required" => node.required = texts(value),
                "properties" => node.properties = self.members(value, &below(key), resolver, dialect),
                "patternProperties" => {
                    node.pattern_properties = self.members(value, &below(key), resolver, dialect);
                }
                "additionalProperties" => {
                    node.additional_properties = Some(self.one(value, below(key), resolver, dialect));
                }
                "propertyNames" if since_6 => {
                    node.property_names = Some(self.one(value, below(key), resolver, dialect));
                }
                "dependentRequired" if since_2019 => {
                    for (name, needed) in value.as_object().into_iter().flatten() {
                        node.dependent_required.insert(name.clone(), texts(needed));
                    }
                }
                "dependentSchemas" if since_2019 => {
                    node.dependent_schemas.extend(self.members(value, &below(key), resolver, dialect));
                }
                // The crate keeps to it in the later drafts too.
                "dependencies" => {
                    for (name, needed) in value.as_object().into_iter().flatten() {
                        if needed.is_array() {
                            node.dependent_required.entry(name.clone()).or_default().extend(texts(needed));
                            continue;
                        }
                        let mut place = below(key);
                        push_segment(&mut place, name);
                        let schema = self.one(needed, place, resolver, dialect);
                        if node.dependent_schemas.insert(name.clone(), schema).is_some() {
                            self.conceal("it has dependencies beside dependentSchemas for one member");
                        }
                    }
                    if since_2019 {
                        self.conceal("it has dependencies, which its draft does not know any more");
                    }
                }
                "prefixItems" if since_2020 => {
                    node.prefix_items = self.list(value, &below(key), resolver, dialect);
                }
                "items" if value.is_array() && !since_2020 => {
                    node.prefix_items = self.list(value, &below(key), resolver, dialect);
                    node.items = keywords
                        .get("additionalItems")
                        .map(|rest| self.one(rest, below("additionalItems"), resolver, dialect));
                }
                "items" => node.items = Some(self.one(value, below(key), resolver, dialect)),
                "contains" if since_6 => {
                    let of = |keyword: &str| keywords.get(keyword).and_then(count).filter(|_| since_2019);
                    node.contains = Some(Contains {
                        schema: self.one(value, below(key), resolver, dialect),
                        min: of("minContains").unwrap_or(1),
                        max: of("maxContains"),
                    });
                }
                "allOf" => node.all_of.extend(self.list(value, &below(key), resolver, dialect)),
                "anyOf" => node.any_of = Some(self.list(value, &below(key), resolver, dialect)),
                "oneOf" => node.one_of = Some(self.list(value, &below(key), resolver, dialect)),
                "not" => node.not = Some(self.one(value, below(key), resolver, dialect)),
                "if" if since_7 => {
                    let mut branch = |keyword: &str| {
                        let schema = keywords.get(keyword)?;
                        Some(self.one(schema, below(keyword), resolver, dialect))
                    };
                    let (then, otherwise) = (branch("then"), branch("else"));
                    let when = self.one(value, below(key), resolver, dialect);
                    node.condition = Some(Condition { when, then, otherwise });
                }
                "unevaluatedProperties" if since_2019 => {
                    node.unevaluated_properties = Some(self.one(value, below(key), resolver, dialect));
                }
                "unevaluatedItems" if since_2019 => {
                    if !since_2020 && keywords.contains_key("contains") {
                        self.conceal("contains counts otherwise for unevaluatedItems before 2020-12");
                    }
                    node.unevaluated_items = Some(self.one(value, below(key), resolver, dialect));
                }
                _ => {}
            }
        }
        if node.allowed.is_none()
            && let Some(only) = node.also_allowed.take()
        {
            node.allowed = Some(("const", vec![only]));
        }
        node
    }

    fn one(&mut self, value: &'r Value, path: String, resolver: &Resolver<'r>, dialect: &Dialect) -> Index {
        self.enter(value, path, resolver.clone(), dialect.draft)
    }

    fn list(
        &mut self,
        value: &'r Value,
        path: &str,
        resolver: &Resolver<'r>,
        dialect: &Dialect,
    ) -> Vec<Index> {
        let elements = value.as_array().into_iter().flatten().enumerate();
        elements
            .map(|(place, schema)| self.one(schema, format!("{path}/{place}"), resolver, dialect))
            .collect()
    }

    fn members(
        &mut self,
        value: &'r Value,
        path: &str,
        resolver: &Resolver<'r>,
        dialect: &Dialect,
    ) -> BTreeMap<String, Index> {
        let members = value.as_object().into_iter().flatten();
        members
            .map(|(name, schema)| {
                let mut place = path.to_owned();
                push_segment(&mut place, name);
                (name.clone(), self.one(schema, place, resolver, dialect))
            })
            .collect()
    }

    /// A pointer into the schema itself tells the place; for anything else it is the place of the reference.
    fn refer(
        &mut self,
        reference: &str,
        keyword: &str,
        path: &str,
        resolver: &Resolver<'r>,
        node: &mut Node,
    ) {
        let Ok(found) = resolver.lookup(reference) else {
            // The schema compiled, so the crate never gets here.
            self.conceal("a reference in it was not resolved");
            return;
        };
        let (contents, inner, draft) = found.into_inner();
        let place = match reference.strip_prefix('#') {
            Some(pointer) if (pointer.is_empty() || pointer.starts_with('/')) && !pointer.contains('%') => {
                pointer.to_owned()
            }
            _ => {
                let mut place = path.to_owned();
                push_segment(&mut place, keyword);
                place
            }
        };
        let target = self.enter(contents, place, inner, draft);
        if let Some(target) = self.nodes.get_mut(target) {
            target.named = true;
        }
        node.all_of.push(target);
    }
}

fn types(value: &Value) -> Types {
    match value {
        Value::String(name) => Types::named(name),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).map(Types::named).fold(Types::NONE, Types::or)
        }
        _ => Types::ALL,
    }
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A count, however it is written; what is beyond 64 bits counts as their largest.
fn count(value: &Value) -> Option<u64> {
    let number = value.as_number()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count is not negative, and beyond the range the cast gives the largest"
    )]
    number.as_u64().or_else(|| number.as_f64().map(|float| float as u64))
}

/// Keeps the tighter of two bounds.
fn tighten(bound: &mut Option<Bound>, value: &Value, exclusive: bool, tighter: std::cmp::Ordering) {
    let Some(limit) = value.as_number() else { return };
    let new = Bound { limit: limit.clone(), exclusive };
    let replaces = bound.as_ref().is_none_or(|before| match number::compare(limit, &before.limit) {
        Some(std::cmp::Ordering::Equal) => exclusive,
        Some(order) => order == tighter,
        None => false,
    });
    if replaces {
        *bound = Some(new);
    }
}
