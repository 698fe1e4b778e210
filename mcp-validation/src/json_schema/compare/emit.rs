//! A flat schema as a JSON Schema of one document again, which refers only to its own `$defs`.

use serde_json::{Map, Value, json};

use super::flat::{Bound, Flat, Index, Node, Types};

/// The document, in the words of draft 2020-12, or of draft 4 where the schema is of that draft.
pub(super) fn emit(flat: &Flat) -> Value {
    let emit = Emit { flat, draft_4: flat.lexical_integers };
    let mut root = match emit.child(0) {
        Value::Object(root) => root,
        other => return other,
    };
    let mut definitions = Map::new();
    for (index, node) in flat.nodes.iter().enumerate() {
        if node.named {
            definitions.insert(format!("s{index}"), emit.node(node));
        }
    }
    if !definitions.is_empty() {
        root.insert(emit.definitions().to_owned(), Value::Object(definitions));
    }
    Value::Object(root)
}

/// How many levels of a schema of names are looked at.
const MAX_LOOKS: u8 = 8;

struct Emit<'f> {
    flat: &'f Flat,
    draft_4: bool,
}

impl Emit<'_> {
    const fn definitions(&self) -> &'static str {
        if self.draft_4 { "definitions" } else { "$defs" }
    }

    /// The subschema in place, or a reference where more than one place has it. Recursive: no deeper than the schema was written.
    fn child(&self, index: Index) -> Value {
        match self.flat.nodes.get(index) {
            Some(node) if node.named => json!({"$ref": format!("#/{}/s{index}", self.definitions())}),
            Some(node) => self.node(node),
            None => json!({}),
        }
    }

    fn list(&self, indexes: &[Index]) -> Value {
        indexes.iter().map(|index| self.child(*index)).collect()
    }

    fn members<'n>(&self, members: impl IntoIterator<Item = (&'n String, &'n Index)>) -> Value {
        members.into_iter().map(|(name, index)| (name.clone(), self.child(*index))).collect()
    }

    fn node(&self, node: &Node) -> Value {
        if node.never {
            return json!({"not": {}});
        }
        let mut out = Map::new();
        let mut put = |keyword: &str, value: Value| {
            out.insert(keyword.to_owned(), value);
        };
        if let Some(types) = node.types {
            put("type", types.names().into());
        }
        if let Some((_, values)) = &node.allowed {
            put("enum", values.clone().into());
        }
        if let Some(only) = &node.also_allowed {
            put("const", only.clone());
        }
        self.bounds(node, &mut put);
        for (keyword, texts) in [("pattern", &node.pattern), ("format", &node.format)] {
            if let Some(text) = texts {
                put(keyword, text.clone().into());
            }
        }
        if node.unique_items {
            put("uniqueItems", true.into());
        }
        if !node.required.is_empty() {
            put("required", node.required.iter().cloned().collect());
        }
        if !node.properties.is_empty() {
            put("properties", self.members(&node.properties));
        }
        if !node.pattern_properties.is_empty() {
            put("patternProperties", self.members(&node.pattern_properties));
        }
        self.arrays(node, &mut put);
        self.dependencies(node, &mut put);
        for (keyword, index) in [
            ("additionalProperties", node.additional_properties),
            ("propertyNames", node.property_names),
            ("not", node.not),
            ("unevaluatedProperties", node.unevaluated_properties),
            ("unevaluatedItems", node.unevaluated_items),
            ("if", node.condition.map(|condition| condition.when)),
            ("then", node.condition.and_then(|condition| condition.then)),
            ("else", node.condition.and_then(|condition| condition.otherwise)),
        ] {
            if let Some(index) = index {
                // The set operations take a schema of names that has no text in it for one that says nothing.
                let nameless = keyword == "propertyNames" && self.excludes_text(index, MAX_LOOKS);
                put(keyword, if nameless { json!({"not": {}}) } else { self.child(index) });
            }
        }
        if !node.all_of.is_empty() {
            put("allOf", self.list(&node.all_of));
        }
        for (keyword, branches) in [("anyOf", &node.any_of), ("oneOf", &node.one_of)] {
            if let Some(branches) = branches {
                put(keyword, self.list(branches));
            }
        }
        Value::Object(out)
    }

    /// Whether no text satisfies the subschema, as far as types and values tell; looking `deep` levels down.
    fn excludes_text(&self, index: Index, deep: u8) -> bool {
        let (Some(node), Some(deep)) = (self.flat.nodes.get(index), deep.checked_sub(1)) else {
            return false;
        };
        let untyped = node.types.is_some_and(|types| !types.meets(Types::STRING));
        let unlisted = |values: &[Value]| values.iter().all(|value| !value.is_string());
        let all = |branches: &[Index]| branches.iter().all(|branch| self.excludes_text(*branch, deep));
        node.never
            || untyped
            || node.allowed.as_ref().is_some_and(|(_, values)| unlisted(values))
            || node.also_allowed.as_ref().is_some_and(|only| !only.is_string())
            || node.all_of.iter().any(|part| self.excludes_text(*part, deep))
            || [&node.any_of, &node.one_of].into_iter().flatten().any(|branches| all(branches))
    }

    fn bounds(&self, node: &Node, put: &mut impl FnMut(&str, Value)) {
        let mut bound = |keyword: &str, strict: &str, bound: &Option<Bound>| match bound {
            Some(bound) if bound.exclusive && self.draft_4 => {
                put(keyword, bound.limit.clone().into());
                put(strict, true.into());
            }
            Some(bound) if bound.exclusive => put(strict, bound.limit.clone().into()),
            Some(bound) => put(keyword, bound.limit.clone().into()),
            None => {}
        };
        bound("minimum", "exclusiveMinimum", &node.minimum);
        bound("maximum", "exclusiveMaximum", &node.maximum);
        if let Some(divisor) = &node.multiple_of {
            put("multipleOf", divisor.clone().into());
        }
        for (keyword, count) in [
            ("minLength", node.min_length),
            ("maxLength", node.max_length),
            ("minItems", node.min_items),
            ("maxItems", node.max_items),
            ("minProperties", node.min_properties),
            ("maxProperties", node.max_properties),
        ] {
            if let Some(count) = count {
                put(keyword, count.into());
            }
        }
    }

    fn arrays(&self, node: &Node, put: &mut impl FnMut(&str, Value)) {
        let tuple = !node.prefix_items.is_empty();
        if tuple {
            put(if self.draft_4 { "items" } else { "prefixItems" }, self.list(&node.prefix_items));
        }
        if let Some(items) = node.items {
            put(if tuple && self.draft_4 { "additionalItems" } else { "items" }, self.child(items));
        }
        if let Some(contains) = node.contains {
            put("contains", self.child(contains.schema));
            put("minContains", contains.min.into());
            if let Some(max) = contains.max {
                put("maxContains", max.into());
            }
        }
    }

    fn dependencies(&self, node: &Node, put: &mut impl FnMut(&str, Value)) {
        let required = node
            .dependent_required
            .iter()
            .map(|(name, needed)| (name.clone(), needed.iter().cloned().collect()));
        let schemas = node.dependent_schemas.iter().map(|(name, index)| (name.clone(), self.child(*index)));
        if self.draft_4 {
            let all: Map<String, Value> = required.chain(schemas).collect();
            if !all.is_empty() {
                put("dependencies", all.into());
            }
            return;
        }
        for (keyword, members) in
            [("dependentRequired", required.collect::<Map<_, _>>()), ("dependentSchemas", schemas.collect())]
        {
            if !members.is_empty() {
                put(keyword, members.into());
            }
        }
    }
}
