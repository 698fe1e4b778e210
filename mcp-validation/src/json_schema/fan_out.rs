//! What a schema can do to the machine before any document is seen: how many subschemas apply to one value, and through how long a
//! chain of them a judgement recurses. Counting steps over a document bounds neither.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{Draft, Registry};
use mcp_core::{ErrorKind, SeamError};
use referencing::Resolver;
use serde_json::Value;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chains {
    /// The most subschemas that apply to one value, counted along every way that leads to them.
    pub(super) fan_out: u64,
    /// The longest chain of subschemas that apply to one value.
    at_one_value: usize,
    /// The longest chain through the whole schema; `None` where it refers to itself, so that the document decides.
    in_all: Option<usize>,
}

impl Chains {
    /// The longest chain of subschemas for a document of so many levels.
    pub(super) fn longest(&self, levels: usize) -> usize {
        let by_levels = self.at_one_value.saturating_mul(levels);
        self.in_all.map_or(by_levels, |in_all| in_all.min(by_levels))
    }
}

/// The URI that the crate gives to a schema without one.
const ROOT: &str = "json-schema:///";

#[derive(Default)]
struct Subschema {
    /// Those that apply to the same value.
    in_place: Vec<usize>,
    /// Those that a dynamic reference may lead to, besides.
    dynamic: Vec<usize>,
    /// Those that apply to values inside.
    inside: Vec<usize>,
    /// It stands for a name, and leads to only one of those that bear it.
    is_name: bool,
    /// How often the crate goes through those in place: `unevaluatedProperties` and `unevaluatedItems` look at each again.
    passes: u64,
}

/// Measures the schema `root`, which may refer to what `registry` holds.
///
/// What cannot be resolved is left to the crate, which says where it matters; its URI is `lost` then, for a message.
pub(super) fn measure(
    root: &Value,
    draft: Draft,
    registry: &Registry<'_>,
    lost: &mut Option<String>,
) -> Result<Chains, SeamError> {
    let fault = |error: &dyn std::fmt::Display| super::references::broken_reference(error);
    let with_root = super::references::with_root(registry, ROOT, root, draft)?;
    let base = jsonschema::uri::from_str(ROOT).map_err(|error| fault(&error))?;
    let resolver = with_root.resolver(base);
    let mut walk = Walk::default();
    let found = resolver.lookup(ROOT).map_err(|error| fault(&error))?;
    let (contents, resolver, draft) = found.into_inner();
    walk.enter(contents, resolver, draft);
    walk.walk();
    *lost = walk.lost.take();
    walk.finish()
}

#[derive(Default)]
struct Walk<'r> {
    subschemas: Vec<Subschema>,
    /// Where each was seen: by its address, since the registry holds every document still.
    known: BTreeMap<usize, usize>,
    waiting: Vec<(usize, &'r Value, Resolver<'r>, Draft)>,
    /// The documents and embedded schemas whose roots were entered, by URI.
    entered: BTreeSet<String>,
    /// Which subschema has which dynamic anchor, and which refers to one.
    anchors: Vec<(usize, String)>,
    dynamic: Vec<(usize, String)>,
    /// The first reference that leads nowhere, in full.
    lost: Option<String>,
}

/// The name under which `$recursiveAnchor` and `$recursiveRef` meet; no dynamic anchor can be called so.
const RECURSIVE: &str = "#recursive";

impl<'r> Walk<'r> {
    fn enter(&mut self, schema: &'r Value, resolver: Resolver<'r>, draft: Draft) -> usize {
        let address = std::ptr::from_ref(schema).addr();
        if let Some(known) = self.known.get(&address) {
            return *known;
        }
        let index = self.subschemas.len();
        self.known.insert(address, index);
        self.subschemas.push(Subschema { passes: 1, ..Subschema::default() });
        self.waiting.push((index, schema, resolver, draft));
        index
    }

    fn walk(&mut self) {
        while let Some((index, schema, resolver, draft)) = self.waiting.pop() {
            let Value::Object(keywords) = schema else { continue };
            let resolver = resolver.in_subresource(draft.create_resource_ref(schema)).unwrap_or(resolver);
            let draft = match draft.detect(schema) {
                Draft::Unknown => draft,
                own => own,
            };
            // Up to draft 7 nothing counts beside a reference.
            let stands_alone =
                draft < Draft::Draft201909 && keywords.get("$ref").is_some_and(Value::is_string);
            let mut found = Subschema { passes: 1, ..Subschema::default() };
            for (keyword, value) in keywords {
                if stands_alone && keyword != "$ref" || !is_known(keyword, draft) {
                    continue;
                }
                match keyword.as_str() {
                    "allOf" | "anyOf" | "oneOf" => self.each(value, &resolver, draft, &mut found.in_place),
                    "not" | "if" | "then" | "else" => self.one(value, &resolver, draft, &mut found.in_place),
                    "dependentSchemas" | "dependencies" => {
                        self.each(value, &resolver, draft, &mut found.in_place)
                    }
                    "properties" | "patternProperties" | "prefixItems" => {
                        self.each(value, &resolver, draft, &mut found.inside);
                    }
                    "additionalProperties" | "propertyNames" | "additionalItems" | "contains" => {
                        self.one(value, &resolver, draft, &mut found.inside);
                    }
                    "unevaluatedProperties" | "unevaluatedItems" => {
                        found.passes += 1;
                        self.one(value, &resolver, draft, &mut found.inside);
                    }
                    "items" if value.is_array() => self.each(value, &resolver, draft, &mut found.inside),
                    "items" => self.one(value, &resolver, draft, &mut found.inside),
                    // Reached by references only, but what a dynamic reference leads to may stand here.
                    "contentSchema" => self.one(value, &resolver, draft, &mut Vec::new()),
                    "$defs" | "definitions" => self.each(value, &resolver, draft, &mut Vec::new()),
                    "$ref" | "$dynamicRef" | "$recursiveRef" => {
                        if let Some(reference) = value.as_str() {
                            self.refer(index, keyword, reference, &resolver, &mut found.in_place);
                        }
                    }
                    "$dynamicAnchor" => {
                        self.anchors.extend(value.as_str().map(|anchor| (index, anchor.to_owned())));
                    }
                    "$recursiveAnchor" if *value == Value::Bool(true) => {
                        self.anchors.push((index, RECURSIVE.to_owned()));
                    }
                    _ => {}
                }
            }
            if let Some(subschema) = self.subschemas.get_mut(index) {
                *subschema = found;
            }
        }
    }

    fn one(&mut self, value: &'r Value, resolver: &Resolver<'r>, draft: Draft, into: &mut Vec<usize>) {
        if value.is_object() {
            into.push(self.enter(value, resolver.clone(), draft));
        }
    }

    fn each(&mut self, value: &'r Value, resolver: &Resolver<'r>, draft: Draft, into: &mut Vec<usize>) {
        match value {
            Value::Array(schemas) => {
                schemas.iter().for_each(|schema| self.one(schema, resolver, draft, into))
            }
            Value::Object(schemas) => {
                schemas.values().for_each(|schema| self.one(schema, resolver, draft, into))
            }
            _ => {}
        }
    }

    fn refer(
        &mut self,
        index: usize,
        keyword: &str,
        reference: &str,
        resolver: &Resolver<'r>,
        into: &mut Vec<usize>,
    ) {
        if let Ok(found) = resolver.lookup(reference) {
            let (contents, inner, draft) = found.into_inner();
            let document = reference.split_once('#').map_or(reference, |(document, _)| document);
            if !document.is_empty() {
                self.enter_root(document, resolver);
            }
            self.enter_root(inner.base_uri().as_str(), resolver);
            into.push(self.enter(contents, inner, draft));
        } else if self.lost.is_none() {
            let document = reference.split_once('#').map_or(reference, |(document, _)| document);
            let absolute = resolver.resolve_uri(&resolver.base_uri().borrow(), document);
            let fragment = reference.get(document.len()..).unwrap_or_default();
            self.lost =
                absolute.ok().map(|uri| format!("{}{fragment}", uri.as_str().trim_start_matches(ROOT)));
        }
        match keyword {
            "$dynamicRef" => {
                let anchor = reference.rsplit_once('#').map_or("", |(_, anchor)| anchor);
                self.dynamic.push((index, anchor.to_owned()));
            }
            "$recursiveRef" => self.dynamic.push((index, RECURSIVE.to_owned())),
            _ => {}
        }
    }

    /// Who refers to a part of a document has all of its dynamic anchors in scope, wherever they stand in it.
    fn enter_root(&mut self, uri: &str, resolver: &Resolver<'r>) {
        if self.entered.contains(uri) {
            return;
        }
        let Ok(absolute) = resolver.resolve_uri(&resolver.base_uri().borrow(), uri) else { return };
        if !self.entered.insert(absolute.as_str().to_owned()) {
            return;
        }
        if let Ok(found) = resolver.lookup(absolute.as_str()) {
            let (contents, resolver, draft) = found.into_inner();
            self.enter(contents, resolver, draft);
        }
    }

    fn finish(mut self) -> Result<Chains, SeamError> {
        self.meet();
        self.leave_out_unreached();
        let in_place = |subschema: &'_ Subschema| {
            subschema.in_place.iter().chain(&subschema.dynamic).copied().collect::<Vec<_>>()
        };
        let edges: Vec<Vec<usize>> = self.subschemas.iter().map(in_place).collect();
        // Where a dynamic reference leads, the way to it decides. One that closes a circle does so on some way, but for rare schemas.
        let order = sorted(&edges).ok_or_else(|| {
            SeamError::new(
                ErrorKind::Invalid,
                "compile a schema that refers to itself without going down into the document: it would never end, put the reference below properties or items",
            )
        })?;
        let (at_one_value, fan_out) = (longest(&order, &edges), self.fan_out(&order, &edges));
        let all: Vec<Vec<usize>> = self
            .subschemas
            .iter()
            .zip(&edges)
            .map(|(subschema, edges)| edges.iter().chain(&subschema.inside).copied().collect())
            .collect();
        let in_all = sorted(&all).map(|order| longest(&order, &all));
        Ok(Chains { fan_out, at_one_value, in_all })
    }

    /// Lets each dynamic reference lead to every anchor of its name, through one node for the name: a schema can have a hundred
    /// thousand of both.
    fn meet(&mut self) {
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for (index, anchor) in std::mem::take(&mut self.anchors) {
            let name = *names.entry(anchor).or_insert_with(|| {
                self.subschemas.push(Subschema { passes: 1, is_name: true, ..Subschema::default() });
                self.subschemas.len().saturating_sub(1)
            });
            if let Some(subschema) = self.subschemas.get_mut(name) {
                subschema.dynamic.push(index);
            }
        }
        for (index, anchor) in std::mem::take(&mut self.dynamic) {
            if let (Some(subschema), Some(name)) = (self.subschemas.get_mut(index), names.get(&anchor)) {
                subschema.dynamic.push(*name);
            }
        }
    }

    /// Takes away what leads on from subschemas that no document can ever reach from the root.
    fn leave_out_unreached(&mut self) {
        let mut reached = vec![false; self.subschemas.len()];
        let mut waiting = vec![0];
        while let Some(index) = waiting.pop() {
            let (Some(seen), Some(subschema)) = (reached.get_mut(index), self.subschemas.get(index)) else {
                continue;
            };
            if !std::mem::replace(seen, true) {
                waiting.extend(subschema.in_place.iter().chain(&subschema.dynamic).chain(&subschema.inside));
            }
        }
        for (subschema, reached) in self.subschemas.iter_mut().zip(reached) {
            if !reached {
                *subschema = Subschema { passes: 1, ..Subschema::default() };
            }
        }
    }

    fn fan_out(&self, order: &[usize], edges: &[Vec<usize>]) -> u64 {
        let mut counts = vec![1_u64; edges.len()];
        for index in order {
            let Some(subschema) = self.subschemas.get(*index) else { continue };
            let below = targets(edges, *index).iter().filter_map(|target| counts.get(*target)).copied();
            let below =
                if subschema.is_name { below.max().unwrap_or(0) } else { below.fold(0, u64::saturating_add) };
            if let Some(count) = counts.get_mut(*index) {
                *count = below.saturating_mul(subschema.passes).saturating_add(1);
            }
        }
        counts.into_iter().max().unwrap_or(1)
    }
}

/// Whether a keyword that leads to subschemas does so in this draft.
fn is_known(keyword: &str, draft: Draft) -> bool {
    match keyword {
        "contains" | "propertyNames" => draft >= Draft::Draft6,
        "if" | "then" | "else" => draft >= Draft::Draft7,
        "dependentSchemas" | "unevaluatedProperties" | "unevaluatedItems" => draft >= Draft::Draft201909,
        "$recursiveRef" | "$recursiveAnchor" => draft == Draft::Draft201909,
        "prefixItems" | "$dynamicRef" | "$dynamicAnchor" => draft >= Draft::Draft202012,
        _ => true,
    }
}

fn targets(edges: &[Vec<usize>], index: usize) -> &[usize] {
    edges.get(index).map_or(&[], Vec::as_slice)
}

/// How many nodes the longest way has.
fn longest(order: &[usize], edges: &[Vec<usize>]) -> usize {
    let mut lengths = vec![1_usize; edges.len()];
    for index in order {
        let below = targets(edges, *index).iter().filter_map(|target| lengths.get(*target)).max().copied();
        if let Some(length) = lengths.get_mut(*index) {
            *length = below.unwrap_or(0).saturating_add(1);
        }
    }
    lengths.into_iter().max().unwrap_or(1)
}

/// Every node behind all that it leads to; `None` when one leads back to itself. With a stack of its own: a chain of references can
/// be as long as the schema.
fn sorted(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Not,
        Open,
        Done,
    }
    let mut seen = vec![Seen::Not; edges.len()];
    let mut order = Vec::with_capacity(edges.len());
    for start in 0..edges.len() {
        if seen.get(start) != Some(&Seen::Not) {
            continue;
        }
        let mut open = vec![(start, targets(edges, start).iter())];
        *seen.get_mut(start)? = Seen::Open;
        while let Some((index, rest)) = open.last_mut() {
            match rest.next() {
                Some(target) => match *seen.get(*target)? {
                    Seen::Done => {}
                    Seen::Open => return None,
                    Seen::Not => {
                        *seen.get_mut(*target)? = Seen::Open;
                        open.push((*target, targets(edges, *target).iter()));
                    }
                },
                None => {
                    *seen.get_mut(*index)? = Seen::Done;
                    order.push(*index);
                    open.pop();
                }
            }
        }
    }
    Some(order)
}
