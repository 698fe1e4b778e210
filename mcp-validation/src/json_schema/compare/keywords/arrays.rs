//! Elements: how many, each at its place, and what one of them must be.

use std::rc::Rc;

use serde_json::{Value, json};

use super::super::facts::Facts;
use super::super::flat::{Node, Types};
use super::{Compare, Difference, Place, Step};

impl Compare<'_> {
    pub(super) fn arrays(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        self.element_counts(node, granted, found);
        self.elements(node, granted, found);
        self.contains(node, granted, found);
        if let Some(schema) = node.unevaluated_items
            && !self.reader.nodes.get(schema).is_none_or(Node::is_trivial)
        {
            self.give_up("what unevaluatedItems leaves depends on subschemas beside it");
            let values = self.sampler.arrays_of(granted, 3);
            found.push(
                Difference::new(
                    "json-schema.unevaluated-changed",
                    format!("{}/unevaluatedItems", node.path),
                    "elements that nothing else evaluates may be accepted no more",
                    "keep what stands beside it as it was",
                )
                .shown_by(values),
            );
        }
    }

    fn element_counts(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        let flat = self.writer;
        let least = granted.most(flat, |node| node.min_items);
        if let Some(min) = node.min_items
            && least < min
        {
            let values = self.sampler.samples(granted, Types::ARRAY);
            found.push(
                Difference::new(
                    if least > 0 { "json-schema.min-items-raised" } else { "json-schema.min-items-added" },
                    format!("{}/minItems", node.path),
                    format!("arrays of fewer than {min} elements are accepted no more"),
                    "accept arrays that are as short as before",
                )
                .shown_by(values),
            );
        }
        let most = self.most_elements(granted);
        if let Some(max) = node.max_items
            && most.is_none_or(|most| most > max)
        {
            let had = granted.least(flat, |node| node.max_items).is_some();
            let values = self.sampler.arrays_of(granted, max.saturating_add(1));
            found.push(
                Difference::new(
                    if had { "json-schema.max-items-lowered" } else { "json-schema.max-items-added" },
                    format!("{}/maxItems", node.path),
                    format!("arrays of more than {max} elements are accepted no more"),
                    "accept arrays that are as long as before",
                )
                .shown_by(values),
            );
        }
        if node.unique_items
            && !granted.nodes(flat).any(|node| node.unique_items)
            && most.is_none_or(|most| most > 1)
        {
            let values = self.sampler.repeated(granted);
            found.push(
                Difference::new(
                    "json-schema.unique-items-added",
                    format!("{}/uniqueItems", node.path),
                    "arrays in which two elements are equal are accepted no more",
                    "accept equal elements",
                )
                .shown_by(values),
            );
        }
    }

    /// How many elements an array has at most.
    fn most_elements(&self, granted: &Facts) -> Option<u64> {
        let flat = self.writer;
        let closed = granted
            .nodes(flat)
            .filter(|node| node.items.and_then(|rest| flat.nodes.get(rest)).is_some_and(|rest| rest.never));
        let closed = closed.map(|node| u64::try_from(node.prefix_items.len()).unwrap_or(u64::MAX)).min();
        let counted = granted.least(flat, |node| node.max_items);
        closed.into_iter().chain(counted).min()
    }

    fn elements(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        let flat = self.writer;
        if node.prefix_items.is_empty() && node.items.is_none() {
            return;
        }
        let most = self.most_elements(granted);
        let around = Rc::new(granted.clone());
        // One place behind both lists stands for all that follow.
        let last = node.prefix_items.len().max(granted.prefix(flat));
        for place in 0..=last {
            if most.is_some_and(|most| most <= u64::try_from(place).unwrap_or(u64::MAX)) {
                break;
            }
            let Some(schema) = node.prefix_items.get(place).copied().or(node.items) else { continue };
            let element = granted.element(flat, place);
            let inner = self.covers(schema, &element);
            let step = Step { around: Rc::clone(&around), place: Place::Element(place) };
            let closed = self.reader.nodes.get(schema).is_some_and(|schema| schema.never);
            for mut inner in inner {
                if closed && inner.steps.is_empty() {
                    inner.rule = "json-schema.items-removed";
                    "elements are refused here that were accepted".clone_into(&mut inner.message);
                    "accept as many elements as before".clone_into(&mut inner.advice);
                }
                found.push(inner.within(&step));
            }
        }
    }

    fn contains(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        let Some(contains) = node.contains else { return };
        let flat = self.writer;
        let path = format!("{}/contains", node.path);
        let mut at_least = contains.min == 0;
        let mut at_most = contains.max.is_none();
        let held: Vec<_> = granted.nodes(flat).filter_map(|writer| writer.contains).collect();
        for writer in held {
            if !at_least && writer.min >= contains.min {
                at_least = self.covers(contains.schema, &Facts::of(flat, writer.schema)).is_empty();
            }
            if writer.max.is_some_and(|had| contains.max.is_some_and(|max| had <= max)) {
                at_most = at_most || self.same(contains.schema, writer.schema);
            }
        }
        at_most = at_most
            || self.most_elements(granted).is_some_and(|most| contains.max.is_some_and(|max| most <= max));
        if !at_least {
            let mut values = self.sampler.samples(granted, Types::ARRAY);
            values.extend([json!([]), json!([null]), json!([0]), json!(["a"])]);
            found.push(
                Difference::new(
                    "json-schema.contains-added",
                    path.clone(),
                    format!("arrays are accepted only with at least {} of certain elements", contains.min),
                    "ask for no elements that were not asked for",
                )
                .shown_by(values),
            );
        }
        if let (false, Some(max)) = (at_most, contains.max) {
            let many = usize::try_from(max.saturating_add(1).min(64)).unwrap_or(64);
            let element = self.sampler.samples_of_reader(self.reader, contains.schema);
            let values = element.into_iter().map(|element| Value::Array(vec![element; many]));
            found.push(
                Difference::new(
                    "json-schema.max-contains-lowered",
                    path,
                    format!("arrays are accepted only with at most {max} of certain elements"),
                    "accept as many of them as before",
                )
                .shown_by(values),
            );
        }
    }
}
