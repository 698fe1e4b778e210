//! Members: which must be there, which may be, and what each must satisfy.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Value, json};

use super::super::facts::Facts;
use super::super::flat::{Index, Node, Types};
use super::scalars::shown;
use super::{Compare, Difference, Place, Step};
use crate::pointer::push_segment;

/// How the reader's schema closes an object: which keyword, and what it asks of members that nothing else names.
struct Closing {
    keyword: &'static str,
    schema: Index,
}

impl Compare<'_> {
    pub(super) fn objects(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        let around = Rc::new(granted.clone());
        self.required(node, granted, found);
        self.member_counts(node, granted, found);
        self.named(node, &around, found);
        self.patterned(node, &around, found);
        if let Some(closing) = self.closing(node, found) {
            self.unnamed(node, &closing, &around, found);
        }
        self.names(node, &around, found);
        self.dependent(node, granted, found);
    }

    fn required(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        let had = granted.required(self.writer);
        for name in node.required.difference(&had) {
            let mut values = self.sampler.samples(granted, Types::OBJECT);
            for value in &mut values {
                if let Value::Object(members) = value {
                    members.remove(name);
                }
            }
            let (_, declared) = granted.member(self.writer, name, &mut self.patterns);
            let was = if declared { "was optional" } else { "was not known" };
            found.push(
                Difference::new(
                    "json-schema.required-added",
                    within(&format!("{}/required", node.path), name),
                    format!("the member {} is required and {was}", shown(&json!(name))),
                    "let it be optional, and let readers fill in what is missing",
                )
                .shown_by(values),
            );
        }
    }

    fn member_counts(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        let flat = self.writer;
        if let Some(min) = node.min_properties {
            let needed = u64::try_from(granted.required(flat).len()).unwrap_or(u64::MAX);
            let had = granted.most(flat, |node| node.min_properties);
            if had.max(needed) < min {
                let values = self.sampler.samples(granted, Types::OBJECT);
                found.push(
                    Difference::new(
                        if had > 0 {
                            "json-schema.min-properties-raised"
                        } else {
                            "json-schema.min-properties-added"
                        },
                        format!("{}/minProperties", node.path),
                        format!("objects of fewer than {min} members are accepted no more"),
                        "accept objects with as few members as before",
                    )
                    .shown_by(values),
                );
            }
        }
        let Some(max) = node.max_properties else { return };
        let had = granted.least(flat, |node| node.max_properties);
        if had.is_none_or(|had| had > max) && self.most_members(granted).is_none_or(|most| most > max) {
            let values = self.sampler.objects_of(granted, max.saturating_add(1));
            found.push(
                Difference::new(
                    if had.is_some() {
                        "json-schema.max-properties-lowered"
                    } else {
                        "json-schema.max-properties-added"
                    },
                    format!("{}/maxProperties", node.path),
                    format!("objects of more than {max} members are accepted no more"),
                    "accept objects with as many members as before",
                )
                .shown_by(values),
            );
        }
    }

    /// How many members a closed object has at most.
    fn most_members(&self, granted: &Facts) -> Option<u64> {
        let flat = self.writer;
        let closed = granted.nodes(flat).filter(|node| {
            let rest = node.additional_properties.and_then(|index| flat.nodes.get(index));
            rest.is_some_and(|rest| rest.never) && node.pattern_properties.is_empty()
        });
        closed.map(|node| u64::try_from(node.properties.len()).unwrap_or(u64::MAX)).min()
    }

    /// The reader's `properties`.
    fn named(&mut self, node: &Node, around: &Rc<Facts>, found: &mut Vec<Difference>) {
        for (name, schema) in &node.properties {
            let (member, declared) = around.member(self.writer, name, &mut self.patterns);
            let inner = self.covers(*schema, &member);
            if inner.is_empty() {
                continue;
            }
            let step = Step { around: Rc::clone(around), place: Place::Member(name.clone()) };
            if declared || !member.nodes.is_empty() {
                found.extend(inner.into_iter().map(|inner| inner.within(&step)));
                continue;
            }
            // Whoever wrote it before could write anything there.
            let path = within(&format!("{}/properties", node.path), name);
            let message = format!(
                "the member {} is restricted, and whoever did not know it could write anything there",
                shown(&json!(name))
            );
            let values: Vec<Value> = inner
                .iter()
                .filter(|inner| inner.steps.is_empty())
                .flat_map(|inner| inner.values.clone())
                .collect();
            let advice = "close the old schema before a member is added, or accept anything there";
            found.push(
                Difference::new("json-schema.property-added-to-open-object", path, message, advice)
                    .shown_by(values.into_iter().take(12))
                    .within(&step),
            );
        }
    }

    /// The reader's `patternProperties`.
    fn patterned(&mut self, node: &Node, around: &Rc<Facts>, found: &mut Vec<Difference>) {
        let flat = self.writer;
        for (pattern, schema) in &node.pattern_properties {
            if self.is_trivial(*schema) {
                continue;
            }
            let same: Vec<Index> = around
                .nodes(flat)
                .filter_map(|writer| writer.pattern_properties.get(pattern).copied())
                .collect();
            let sample = super::super::sample::matching(pattern).into_iter().next().unwrap_or_default();
            let step = |name: &str| Step { around: Rc::clone(around), place: Place::Member(name.to_owned()) };
            if !same.is_empty() {
                let inner = self.covers(*schema, &Facts::default().and(flat, &same));
                found.extend(inner.into_iter().map(|inner| inner.within(&step(&sample))));
                continue;
            }
            for name in self.declared(around) {
                if self.patterns.matches(pattern, &name) != Some(false) {
                    let member = around.member(flat, &name, &mut self.patterns).0;
                    let inner = self.covers(*schema, &member);
                    found.extend(inner.into_iter().map(|inner| inner.within(&step(&name))));
                }
            }
            let mut rest: Vec<Facts> = around
                .nodes(flat)
                .flat_map(|writer| writer.pattern_properties.values())
                .map(|index| Facts::of(flat, *index))
                .collect();
            rest.push(around.other_members(flat));
            for member in rest {
                let mut inner = self.covers(*schema, &member);
                if let Some(first) = inner.pop() {
                    let path = within(&format!("{}/patternProperties", node.path), pattern);
                    let message = format!(
                        "members whose names match {} are restricted that were not before",
                        shown(&json!(pattern))
                    );
                    let advice = "restrict no members that could be written before";
                    let difference = Difference {
                        values: first.values,
                        steps: first.steps,
                        ..Difference::new("json-schema.pattern-property-added", path, message, advice)
                    };
                    found.push(difference.within(&step(&sample)));
                }
            }
        }
    }

    /// `additionalProperties`, or `unevaluatedProperties` where it means the same.
    fn closing(&mut self, node: &Node, found: &mut Vec<Difference>) -> Option<Closing> {
        if let Some(schema) = node.unevaluated_properties
            && !self.is_trivial(schema)
        {
            let alone = node.all_of.is_empty()
                && node.any_of.is_none()
                && node.one_of.is_none()
                && node.condition.is_none()
                && node.dependent_schemas.is_empty();
            if alone && node.additional_properties.is_none() {
                return Some(Closing { keyword: "unevaluatedProperties", schema });
            }
            if !alone {
                self.give_up("what unevaluatedProperties leaves depends on subschemas beside it");
                found.push(Difference::new(
                    "json-schema.unevaluated-changed",
                    format!("{}/unevaluatedProperties", node.path),
                    "members that nothing else evaluates may be accepted no more",
                    "keep what stands beside it as it was",
                ));
            }
        }
        let schema = node.additional_properties.filter(|schema| !self.is_trivial(*schema))?;
        Some(Closing { keyword: "additionalProperties", schema })
    }

    /// Members that the reader's schema does not name.
    fn unnamed(&mut self, node: &Node, closing: &Closing, around: &Rc<Facts>, found: &mut Vec<Difference>) {
        let flat = self.writer;
        let closed = self.reader.nodes.get(closing.schema).is_some_and(|schema| schema.never);
        let path = format!("{}/{}", node.path, closing.keyword);
        let step = |name: &str| Step { around: Rc::clone(around), place: Place::Member(name.to_owned()) };
        for name in self.declared(around) {
            let patterns = &mut self.patterns;
            let is_named = node.properties.contains_key(&name)
                || node
                    .pattern_properties
                    .keys()
                    .any(|pattern| patterns.matches(pattern, &name) == Some(true));
            if is_named {
                continue;
            }
            let member = around.member(flat, &name, &mut self.patterns).0;
            let inner = self.covers(closing.schema, &member);
            if inner.is_empty() {
                continue;
            }
            if !closed {
                found.extend(inner.into_iter().map(|inner| inner.within(&step(&name))));
                continue;
            }
            let place = self.place_of_member(around, &name).unwrap_or_else(|| path.clone());
            let message =
                format!("the member {} is gone, and unknown members are refused", shown(&json!(name)));
            let advice = "keep the member, or accept unknown ones";
            let values: Vec<Value> = inner.into_iter().flat_map(|inner| inner.values).collect();
            found.push(
                Difference::new("json-schema.property-removed", place, message, advice)
                    .shown_by(values)
                    .within(&step(&name)),
            );
        }
        let patterned: BTreeSet<(String, Index)> = around
            .nodes(flat)
            .flat_map(|writer| {
                writer.pattern_properties.iter().map(|(pattern, index)| (pattern.clone(), *index))
            })
            .filter(|(pattern, _)| !node.pattern_properties.contains_key(pattern))
            .collect();
        for (pattern, index) in patterned {
            let inner = self.covers(closing.schema, &Facts::of(flat, index));
            let values: Vec<Value> = inner.iter().flat_map(|inner| inner.values.clone()).take(8).collect();
            if !inner.is_empty() {
                let sample = super::super::sample::matching(&pattern).into_iter().next().unwrap_or_default();
                let message = format!("members whose names match {} are refused", shown(&json!(pattern)));
                let advice = "keep the pattern, or accept unknown members";
                let rule = "json-schema.pattern-property-removed";
                found.push(
                    Difference::new(rule, path.clone(), message, advice)
                        .shown_by(values)
                        .within(&step(&sample)),
                );
            }
        }
        let others = around.other_members(flat);
        let inner = self.covers(closing.schema, &others);
        if inner.is_empty() {
            return;
        }
        let name = self.unknown_name(node, around);
        if closed {
            let advice = "accept members that are not known";
            let message = "members that are not named are refused, and were accepted";
            let values: Vec<Value> = inner.into_iter().flat_map(|inner| inner.values).collect();
            found.push(
                Difference::new("json-schema.object-closed", path, message, advice)
                    .shown_by(values)
                    .within(&step(&name)),
            );
        } else if others.nodes.is_empty() {
            let advice = "ask of unknown members no more than before";
            let message = "members that are not named are restricted, and were not";
            let values: Vec<Value> = inner
                .iter()
                .filter(|inner| inner.steps.is_empty())
                .flat_map(|inner| inner.values.clone())
                .collect();
            found.push(
                Difference::new("json-schema.additional-properties-narrowed", path, message, advice)
                    .shown_by(values)
                    .within(&step(&name)),
            );
        } else {
            found.extend(inner.into_iter().map(|inner| inner.within(&step(&name))));
        }
    }

    fn names(&mut self, node: &Node, around: &Rc<Facts>, found: &mut Vec<Difference>) {
        let Some(schema) = node.property_names else { return };
        let flat = self.writer;
        let names: Vec<Index> = around.nodes(flat).filter_map(|writer| writer.property_names).collect();
        let granted = Facts::default().and(flat, &names);
        let inner = self.covers(schema, &granted);
        // What is no text is no name: of the types that are lost, only that one counts.
        let loses_text = granted.types(flat).meets(Types::STRING)
            && !Facts::of(self.reader, schema).types(self.reader).meets(Types::STRING);
        let counts = |inner: &Difference| loses_text || !inner.rule.starts_with("json-schema.type-");
        let mut inner = inner.into_iter().filter(counts);
        let step = Step { around: Rc::clone(around), place: Place::Name };
        let Some(first) = inner.next() else { return };
        let mut values: Vec<Value> = self.declared(around).into_iter().map(Value::String).collect();
        values.truncate(20);
        values.extend(first.values);
        values.extend(["a", "A", "0", "_", "a b", "unknown member name"].map(|name| json!(name)));
        found.push(
            Difference::new(
                "json-schema.property-names-narrowed",
                format!("{}/propertyNames", node.path),
                "names of members are accepted no more",
                "accept the names that were accepted",
            )
            .shown_by(values)
            .within(&step),
        );
    }

    fn dependent(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        let flat = self.writer;
        let required = granted.required(flat);
        for (name, needed) in &node.dependent_required {
            if granted.member(flat, name, &mut self.patterns).0.is_empty(flat) {
                continue;
            }
            let mut had = required.clone();
            for writer in granted.nodes(flat) {
                had.extend(writer.dependent_required.get(name).into_iter().flatten().cloned());
            }
            had.insert(name.clone());
            let missing: Vec<&String> = needed.difference(&had).collect();
            if !missing.is_empty() {
                let mut values = self.sampler.objects_with(granted, name);
                for value in &mut values {
                    if let Value::Object(members) = value {
                        members.retain(|key, _| !missing.contains(&key));
                    }
                }
                let missing = json!(missing);
                found.push(
                    Difference::new(
                        "json-schema.dependent-required-added",
                        within(&format!("{}/dependentRequired", node.path), name),
                        format!("beside {} more is required: {}", shown(&json!(name)), shown(&missing)),
                        "require no more than before",
                    )
                    .shown_by(values),
                );
            }
        }
        for (name, schema) in &node.dependent_schemas {
            if granted.member(flat, name, &mut self.patterns).0.is_empty(flat) {
                continue;
            }
            let more: Vec<Index> = granted
                .nodes(flat)
                .filter_map(|writer| writer.dependent_schemas.get(name).copied())
                .collect();
            let inner = self.covers(*schema, &granted.clone().and(flat, &more));
            if let Some(first) = inner.into_iter().next() {
                let mut values = self.sampler.objects_with(granted, name);
                let mut difference = Difference::new(
                    "json-schema.dependent-schema-added",
                    within(&format!("{}/dependentSchemas", node.path), name),
                    format!("beside {} more is asked than before", shown(&json!(name))),
                    "ask no more than before",
                );
                if first.steps.is_empty() {
                    values.extend(first.values);
                }
                difference.values = values;
                found.push(difference);
            }
        }
    }

    fn is_trivial(&self, schema: Index) -> bool {
        self.reader.nodes.get(schema).is_none_or(Node::is_trivial)
    }

    /// Every member that the writer's schema names.
    fn declared(&self, granted: &Facts) -> BTreeSet<String> {
        granted.nodes(self.writer).flat_map(|node| node.properties.keys().cloned()).collect()
    }

    fn place_of_member(&self, granted: &Facts, name: &str) -> Option<String> {
        let index = granted.nodes(self.writer).find_map(|node| node.properties.get(name))?;
        let named = granted.nodes(self.writer).find(|node| node.properties.contains_key(name))?;
        let place = within(&format!("{}/properties", named.path), name);
        // The place where it is used, also where a reference leads away from it.
        self.writer.nodes.get(*index).map(|_| place)
    }

    /// A name that neither schema knows.
    fn unknown_name(&mut self, node: &Node, granted: &Facts) -> String {
        let declared = self.declared(granted);
        let patterns = &mut self.patterns;
        let is_free = |name: &String| {
            !declared.contains(name)
                && !node.properties.contains_key(name)
                && !node
                    .pattern_properties
                    .keys()
                    .any(|pattern| patterns.matches(pattern, name) != Some(false))
        };
        let mut names = ["unknown", "x", "A", "_", "0", "zz-9"].into_iter().map(str::to_owned);
        names.find(is_free).unwrap_or_else(|| "unknown member".to_owned())
    }
}

impl Difference {
    pub(super) fn within(mut self, step: &Step) -> Self {
        self.steps.push(step.clone());
        self
    }
}

fn within(path: &str, name: &str) -> String {
    let mut place = path.to_owned();
    push_segment(&mut place, name);
    place
}
