//! Types, lists of values, numbers and text.

use std::cmp::Ordering;

use serde_json::{Number, Value, json};

use super::super::facts::{Facts, digest, digests, is_tighter, is_within};
use super::super::flat::{Bound, Node, Types};
use super::{Compare, Difference};

impl Compare<'_> {
    /// The types that both have.
    pub(super) fn types(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) -> Types {
        let has = granted.types(self.writer);
        let Some(mut wants) = node.types else { return has };
        if self.reader.lexical_integers
            && !self.writer.lexical_integers
            && !wants.meets(Types::NUMBER.without(Types::INTEGER))
        {
            // The writer's integers are written as they like.
            wants = wants.without(Types::INTEGER);
        }
        let lost = has.without(wants);
        if !lost.is_empty() {
            let left = has.and(wants);
            let rule = if left.is_empty() { "json-schema.type-changed" } else { "json-schema.type-narrowed" };
            let mut values = self.sampler.samples(granted, lost);
            if lost.meets(Types::NUMBER) && !self.writer.lexical_integers {
                values.push(json!(1.0));
            }
            let names = lost.names().join(", ");
            found.push(
                Difference::new(
                    rule,
                    format!("{}/type", node.path),
                    format!("values of the type {names} are accepted no more"),
                    "keep the old types beside the new ones",
                )
                .shown_by(values),
            );
        }
        has.and(wants)
    }

    pub(super) fn listed(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        let Some((keyword, _)) = &node.allowed else { return };
        for values in node.values() {
            let path = format!("{}/{keyword}", node.path);
            let known = digests(values);
            let Some(had) = granted.values(self.writer) else {
                if self.lists_all(values, granted) {
                    continue;
                }
                let rule =
                    if *keyword == "const" { "json-schema.const-added" } else { "json-schema.enum-added" };
                let samples = self.sampler.samples(granted, Types::ALL);
                found.push(
                    Difference::new(
                        rule,
                        path,
                        "only listed values are accepted where any were before",
                        "list no values, or every value that was ever written",
                    )
                    .shown_by(samples),
                );
                continue;
            };
            let gone: Vec<Value> = had.into_iter().filter(|value| !known.contains(&digest(value))).collect();
            if !gone.is_empty() {
                let shown: Vec<String> = gone.iter().take(5).map(shown).collect();
                let rule = if *keyword == "const" {
                    "json-schema.const-changed"
                } else {
                    "json-schema.enum-narrowed"
                };
                found.push(
                    Difference::new(
                        rule,
                        path,
                        format!("{} is accepted no more", shown.join(", ")),
                        "keep the old values beside the new ones",
                    )
                    .shown_by(gone.into_iter().take(8)),
                );
            }
        }
    }

    /// Whether the list has every value of the only types that are left: the truth values and null can be counted.
    fn lists_all(&self, values: &[Value], granted: &Facts) -> bool {
        let types = granted.types(self.writer);
        let known = digests(values);
        let countable =
            [(Types::NULL, vec![Value::Null]), (Types::BOOLEAN, vec![Value::Bool(true), Value::Bool(false)])];
        types.without(Types::NULL).without(Types::BOOLEAN).is_empty()
            && countable.into_iter().all(|(kind, all)| {
                !types.meets(kind) || all.iter().all(|value| known.contains(&digest(value)))
            })
    }

    pub(super) fn numbers(&mut self, node: &Node, granted: &Facts, left: Types, found: &mut Vec<Difference>) {
        let flat = self.writer;
        let listed = granted.values(flat);
        let numbers = |within: &dyn Fn(&Number) -> bool| {
            listed.as_ref().is_some_and(|values| values.iter().filter_map(Value::as_number).all(within))
        };
        for (bound, tighter, rules, keyword) in [
            (
                &node.minimum,
                Ordering::Greater,
                ("json-schema.minimum-added", "json-schema.minimum-raised"),
                ("minimum", "exclusiveMinimum"),
            ),
            (
                &node.maximum,
                Ordering::Less,
                ("json-schema.maximum-added", "json-schema.maximum-lowered"),
                ("maximum", "exclusiveMaximum"),
            ),
        ] {
            let Some(bound) = bound else { continue };
            let of = |node| match tighter {
                Ordering::Greater => Node::lower(node),
                _ => Node::upper(node),
            };
            let had = granted.bound(flat, of, tighter);
            if had.is_some_and(|had| is_tighter(had, bound, tighter))
                || numbers(&|value| is_within(value, bound, tighter))
            {
                continue;
            }
            let mut values = self.sampler.samples(granted, Types::NUMBER);
            values.extend(beyond(bound, had, tighter));
            let keyword = if bound.exclusive { keyword.1 } else { keyword.0 };
            found.push(
                Difference::new(
                    if had.is_some() { rules.1 } else { rules.0 },
                    format!("{}/{keyword}", node.path),
                    format!(
                        "numbers are accepted only {} {}",
                        match (tighter, bound.exclusive) {
                            (Ordering::Greater, false) => "from",
                            (Ordering::Greater, true) => "above",
                            (_, false) => "up to",
                            (_, true) => "below",
                        },
                        bound.limit
                    ),
                    "accept the numbers that were accepted",
                )
                .shown_by(values),
            );
        }
        if let Some(divisor) = &node.multiple_of
            && !granted.multiples(flat).any(|had| is_multiple(had, divisor))
            && (!is_one(divisor) || left.meets(Types::NUMBER.without(Types::INTEGER)))
        {
            let had = granted.multiples(flat).next().cloned();
            let mut values = self.sampler.samples(granted, Types::NUMBER);
            values.extend([json!(1), json!(0.5), json!(2), json!(3), json!(7)]);
            if let Some(had) = &had {
                values.push(Value::Number(had.clone()));
            }
            found.push(
                Difference::new(
                    if had.is_some() {
                        "json-schema.multiple-of-changed"
                    } else {
                        "json-schema.multiple-of-added"
                    },
                    format!("{}/multipleOf", node.path),
                    format!("numbers are accepted only if they are multiples of {divisor}"),
                    "accept the numbers that were accepted",
                )
                .shown_by(values),
            );
        }
    }

    pub(super) fn strings(&mut self, node: &Node, granted: &Facts, found: &mut Vec<Difference>) {
        let flat = self.writer;
        let listed = granted.values(flat);
        let lengths = |within: &dyn Fn(u64) -> bool| {
            listed.as_ref().is_some_and(|values| {
                let lengths = values.iter().filter_map(Value::as_str).map(|text| text.chars().count());
                lengths.map(|length| u64::try_from(length).unwrap_or(u64::MAX)).all(within)
            })
        };
        if let Some(min) = node.min_length
            && granted.most(flat, |node| node.min_length) < min
            && !lengths(&|length| length >= min)
        {
            let mut values = self.sampler.samples(granted, Types::STRING);
            values.extend([json!(""), json!("a")]);
            let had = granted.most(flat, |node| node.min_length) > 0;
            found.push(
                Difference::new(
                    if had { "json-schema.min-length-raised" } else { "json-schema.min-length-added" },
                    format!("{}/minLength", node.path),
                    format!("text of fewer than {min} characters is accepted no more"),
                    "accept text that is as short as before",
                )
                .shown_by(values),
            );
        }
        if let Some(max) = node.max_length
            && granted.least(flat, |node| node.max_length).is_none_or(|had| had > max)
            && !lengths(&|length| length <= max)
        {
            let had = granted.least(flat, |node| node.max_length);
            let values = self.sampler.text_of_length(granted, max.saturating_add(1));
            found.push(
                Difference::new(
                    if had.is_some() {
                        "json-schema.max-length-lowered"
                    } else {
                        "json-schema.max-length-added"
                    },
                    format!("{}/maxLength", node.path),
                    format!("text of more than {max} characters is accepted no more"),
                    "accept text that is as long as before",
                )
                .shown_by(values),
            );
        }
        if let Some(pattern) = &node.pattern {
            let patterns = &mut self.patterns;
            let matches = |value: &Value| {
                value.as_str().is_none_or(|text| patterns.matches(pattern, text) == Some(true))
            };
            let implied = granted.nodes(flat).any(|node| node.pattern.as_ref() == Some(pattern))
                || listed.as_ref().is_some_and(|values| values.iter().all(matches));
            if !implied {
                let had = granted.nodes(flat).any(|node| node.pattern.is_some());
                let mut values = self.sampler.samples(granted, Types::STRING);
                values.extend(["", "a", "0", " ", "~", "A-1", "\u{e9}"].map(|text| json!(text)));
                found.push(
                    Difference::new(
                        if had { "json-schema.pattern-changed" } else { "json-schema.pattern-added" },
                        format!("{}/pattern", node.path),
                        format!("text is accepted only if it matches {}", shown(&json!(pattern))),
                        "let the pattern match whatever was accepted",
                    )
                    .shown_by(values),
                );
            }
        }
        if let Some(format) = &node.format
            && !granted.nodes(flat).any(|node| node.format.as_ref() == Some(format))
        {
            let had = granted.nodes(flat).any(|node| node.format.is_some());
            let mut values = self.sampler.samples(granted, Types::STRING);
            values.push(json!("a"));
            found.push(
                Difference::new(
                    if had { "json-schema.format-changed" } else { "json-schema.format-added" },
                    format!("{}/format", node.path),
                    format!("text is accepted only if it is of the format {}", shown(&json!(format))),
                    "ask for no format that was not asked for",
                )
                .shown_by(values),
            );
        }
        for (keyword, value) in &node.content {
            if !granted.nodes(flat).any(|node| node.content.get(keyword) == Some(value)) {
                let mut values = self.sampler.samples(granted, Types::STRING);
                values.extend(["~", "{"].map(|text| json!(text)));
                found.push(
                    Difference::new(
                        "json-schema.content-changed",
                        format!("{}/{keyword}", node.path),
                        format!("text is accepted only if its content is {}", shown(value)),
                        "ask for no content that was not asked for",
                    )
                    .shown_by(values),
                );
            }
        }
    }
}

impl Node {
    fn lower(&self) -> Option<&Bound> {
        self.minimum.as_ref()
    }

    fn upper(&self) -> Option<&Bound> {
        self.maximum.as_ref()
    }
}

/// Numbers near the reader's bound and on its wrong side, and the writer's own bound.
fn beyond(bound: &Bound, had: Option<&Bound>, tighter: Ordering) -> Vec<Value> {
    let sign = if tighter == Ordering::Greater { -1_i64 } else { 1 };
    let mut values = vec![Value::Number(bound.limit.clone())];
    for limit in [Some(&bound.limit), had.map(|had| &had.limit)].into_iter().flatten() {
        if let Some(whole) = limit.as_i64() {
            values.extend([0, 1, -1].map(|step| json!(whole.saturating_add(step * sign))));
        }
        if let Some(float) = limit.as_f64() {
            #[expect(clippy::cast_precision_loss, reason = "it is 1 or -1")]
            let sign = sign as f64;
            values.extend([0.5, 0.25, -0.25, -0.5].map(|step| json!(float + step * sign)));
            values.push(json!(float));
        }
    }
    values
}

/// Whether every multiple of `of` is one of `divisor`: certain for whole numbers that a float keeps, and for equal ones.
fn is_multiple(of: &Number, divisor: &Number) -> bool {
    if crate::number::compare(of, divisor) == Some(Ordering::Equal) {
        return true;
    }
    match (of.as_u64(), divisor.as_u64()) {
        (Some(of), Some(divisor)) => divisor != 0 && of % divisor == 0,
        _ => false,
    }
}

fn is_one(number: &Number) -> bool {
    crate::number::canonical(number) == "1"
}

/// The value as JSON, shortened.
pub(super) fn shown(value: &Value) -> String {
    crate::findings::shortened(value.to_string())
}
