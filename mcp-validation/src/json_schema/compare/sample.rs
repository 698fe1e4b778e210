//! Values that a schema may accept, small ones first. They are guesses: whoever shows one has run the schema over it.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Number, Value, json};

use super::facts::{Facts, Patterns, digest, is_within};
use super::flat::{Bound, Flat, Index, Types};

/// Guesses values for one schema.
pub(super) struct Sampler<'f> {
    flat: &'f Flat,
    /// What is left of the values that it may make.
    left: Cell<u32>,
    patterns: RefCell<Patterns>,
}

/// So many values are made for one comparison.
const MAX_VALUES: u32 = 100_000;
/// Samples nest no deeper: what needs more finds no witness.
const MAX_DEPTH: u32 = 24;
/// So many guesses for one place.
const MAX_GUESSES: usize = 8;
/// Of so many choices, every way is tried.
const MAX_CHOSEN: usize = 3;
/// Longer text and arrays are not made.
const MAX_LENGTH: u64 = 4096;

impl<'f> Sampler<'f> {
    pub(super) fn new(flat: &'f Flat) -> Self {
        Self { flat, left: Cell::new(MAX_VALUES), patterns: RefCell::default() }
    }

    /// Of those types.
    pub(super) fn samples(&self, facts: &Facts, types: Types) -> Vec<Value> {
        self.guess(facts, types, MAX_DEPTH)
    }

    /// Of a subschema of another schema.
    pub(super) fn samples_of_reader(&self, reader: &Flat, index: Index) -> Vec<Value> {
        let other = Sampler { flat: reader, left: Cell::new(self.left.get()), patterns: RefCell::default() };
        let values = other.samples(&Facts::of(reader, index), Types::ALL);
        self.left.set(other.left.get());
        values
    }

    fn spend(&self, values: usize) -> bool {
        let left = self.left.get().checked_sub(u32::try_from(values).unwrap_or(u32::MAX));
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    fn guess(&self, facts: &Facts, types: Types, depth: u32) -> Vec<Value> {
        if depth == 0 || !self.spend(1) {
            return Vec::new();
        }
        let types = types.and(facts.types(self.flat));
        if let Some(values) = facts.values(self.flat) {
            let of_type = values.into_iter().filter(|value| types.meets(Types::of(value)));
            return of_type.take(MAX_GUESSES).collect();
        }
        if let Some((at, ways)) = facts.split(self.flat) {
            let mut guesses = Vec::new();
            let each = MAX_GUESSES.div_ceil(ways.len().max(1)).max(2);
            for way in ways.iter().take(MAX_GUESSES) {
                let chosen = facts.choose(self.flat, at, way);
                guesses.extend(self.guess(&chosen, types, depth - 1).into_iter().take(each));
                // All ways of a few choices; of more, they would multiply.
                if facts.chosen.len() >= MAX_CHOSEN && !guesses.is_empty() {
                    break;
                }
            }
            guesses.truncate(MAX_GUESSES * 2);
            return guesses;
        }
        let mut guesses = Vec::new();
        if types.meets(Types::STRING) {
            guesses.extend(self.texts(facts).into_iter().map(Value::String));
        }
        if types.meets(Types::NUMBER) {
            let whole_only = !types.meets(Types::NUMBER.without(Types::INTEGER));
            let broken_only = !types.meets(Types::INTEGER);
            let numbers = self.numbers(facts, whole_only, broken_only);
            guesses.extend(numbers.into_iter().take(MAX_GUESSES).map(Value::Number));
        }
        if types.meets(Types::BOOLEAN) {
            guesses.extend([json!(true), json!(false)]);
        }
        if types.meets(Types::NULL) {
            guesses.push(Value::Null);
        }
        if types.meets(Types::ARRAY) {
            guesses.extend(self.array(facts, 0, depth));
        }
        if types.meets(Types::OBJECT) {
            guesses.extend(self.object(facts, None, 0, depth));
        }
        guesses
    }

    fn texts(&self, facts: &Facts) -> Vec<String> {
        let min = facts.most(self.flat, |node| node.min_length);
        let max = facts.least(self.flat, |node| node.max_length).unwrap_or(u64::MAX);
        let mut texts = Vec::new();
        for node in facts.nodes(self.flat) {
            if let Some(pattern) = &node.pattern {
                texts.extend(matching(pattern));
            }
            if let Some(format) = &node.format {
                texts.extend(of_format(format).iter().map(|text| (*text).to_owned()));
            }
        }
        if texts.is_empty() && min <= MAX_LENGTH {
            let length = usize::try_from(min.max(u64::from(max > 0))).unwrap_or(0);
            texts.push("a".repeat(length));
            if min == 0 {
                texts.push(String::new());
            }
        }
        for text in &mut texts {
            while u64::try_from(text.chars().count()).unwrap_or(u64::MAX) < min.min(MAX_LENGTH) {
                let last = text.chars().next_back().unwrap_or('a');
                text.push(last);
            }
        }
        texts.truncate(MAX_GUESSES);
        texts
    }

    /// Text that is at least so long.
    pub(super) fn text_of_length(&self, facts: &Facts, length: u64) -> Vec<Value> {
        if length > MAX_LENGTH || !self.spend(1) {
            return Vec::new();
        }
        let length = usize::try_from(length).unwrap_or(0);
        let mut values = vec![Value::String("a".repeat(length))];
        for text in self.texts(facts) {
            let Some(last) = text.chars().next_back() else { continue };
            let missing = length.saturating_sub(text.chars().count());
            values.push(Value::String(text + &last.to_string().repeat(missing)));
        }
        if let Some(listed) = facts.values(self.flat) {
            values.extend(listed.into_iter().take(MAX_GUESSES * 4));
        }
        values
    }

    fn numbers(&self, facts: &Facts, whole_only: bool, broken_only: bool) -> Vec<Number> {
        let lower = facts.bound(self.flat, |node| node.minimum.as_ref(), Ordering::Greater);
        let upper = facts.bound(self.flat, |node| node.maximum.as_ref(), Ordering::Less);
        let mut numbers: Vec<f64> = vec![0.0, 1.0, -1.0, 0.5, 1.5];
        for divisor in facts.multiples(self.flat).filter_map(Number::as_f64) {
            numbers.extend([divisor, -divisor, divisor * 2.0]);
            if let Some(low) = lower.and_then(|bound| bound.limit.as_f64()) {
                let next = (low / divisor).ceil() * divisor;
                numbers.extend([next, next + divisor]);
            }
        }
        for bound in [lower, upper].into_iter().flatten() {
            let sign = if lower == Some(bound) { 1.0 } else { -1.0 };
            if let Some(limit) = bound.limit.as_f64() {
                numbers.extend([0.0_f64, 1.0, 0.5, 2.0].map(|step| step.mul_add(sign, limit)));
            }
        }
        let whole = |float: &f64| float.fract() == 0.0;
        let numbers = numbers.into_iter().filter(|float| !whole_only || whole(float));
        let numbers = numbers.filter(|float| !broken_only || !whole(float));
        let mut seen = BTreeSet::new();
        let fits = |number: &Number, bound: Option<&Bound>, tighter| {
            bound.is_none_or(|bound| is_within(number, bound, tighter))
        };
        let numbers = numbers
            .filter_map(number)
            .filter(|number| fits(number, lower, Ordering::Greater) && fits(number, upper, Ordering::Less));
        numbers.filter(|number| seen.insert(number.to_string())).collect()
    }

    fn array(&self, facts: &Facts, at_least: u64, depth: u32) -> Vec<Value> {
        let flat = self.flat;
        let contains: Vec<_> = facts.nodes(flat).filter_map(|node| node.contains).collect();
        let wanted: u64 = contains.iter().map(|contains| contains.min).fold(0, u64::saturating_add);
        let least = facts.most(flat, |node| node.min_items).max(at_least).max(wanted);
        if least > MAX_LENGTH || !self.spend(usize::try_from(least).unwrap_or(usize::MAX)) {
            return Vec::new();
        }
        let least = usize::try_from(least).unwrap_or(0);
        let unique = facts.nodes(flat).any(|node| node.unique_items);
        let mut elements: Vec<Value> = Vec::with_capacity(least);
        let mut seen = BTreeSet::new();
        let mut contained = contains.iter().flat_map(|contains| {
            let many = usize::try_from(contains.min.min(64)).unwrap_or(0);
            std::iter::repeat_n(contains.schema, many)
        });
        let prefix = facts.prefix(flat);
        let mut rest: Option<Vec<Value>> = None;
        for place in 0..least {
            let mut element = facts.element(flat, place);
            let mut guesses = if let Some(schema) = contained.next() {
                element = element.and(flat, &[schema]);
                self.guess(&element, Types::ALL, depth - 1)
            } else if place >= prefix {
                rest.get_or_insert_with(|| self.guess(&element, Types::ALL, depth - 1)).clone()
            } else {
                self.guess(&element, Types::ALL, depth - 1)
            };
            if unique {
                let more = (0..=place).flat_map(|step| [json!(step), json!("a".repeat(step))]);
                guesses.extend(more);
                guesses.retain(|guess| !seen.contains(&digest(guess)));
            }
            let Some(guess) = guesses.into_iter().next() else { return Vec::new() };
            seen.insert(digest(&guess));
            elements.push(guess);
        }
        vec![Value::Array(elements)]
    }

    /// Arrays of at least so many elements.
    pub(super) fn arrays_of(&self, facts: &Facts, at_least: u64) -> Vec<Value> {
        self.array(facts, at_least, MAX_DEPTH)
    }

    /// Arrays with an element that stands in them twice.
    pub(super) fn repeated(&self, facts: &Facts) -> Vec<Value> {
        let mut arrays = self.array(facts, 2, MAX_DEPTH);
        for array in &mut arrays {
            if let Value::Array(elements) = array
                && let [first, second, ..] = elements.as_mut_slice()
            {
                second.clone_from(first);
            }
        }
        arrays
    }

    /// Objects of at least so many members.
    pub(super) fn objects_of(&self, facts: &Facts, at_least: u64) -> Vec<Value> {
        self.object(facts, None, at_least, MAX_DEPTH)
    }

    /// Objects with that member.
    pub(super) fn objects_with(&self, facts: &Facts, name: &str) -> Vec<Value> {
        self.object(facts, Some(name), 0, MAX_DEPTH)
    }

    fn member(&self, facts: &Facts, name: &str) -> Facts {
        facts.member(self.flat, name, &mut self.patterns.borrow_mut()).0
    }

    fn object(&self, facts: &Facts, with: Option<&str>, at_least: u64, depth: u32) -> Vec<Value> {
        let flat = self.flat;
        let mut facts = facts.clone();
        let mut names = facts.required(flat);
        names.extend(with.map(str::to_owned));
        // What depends on a member may ask for others, which may ask for more.
        for _ in 0..8 {
            let mut more = names.clone();
            let mut schemas = Vec::new();
            for node in facts.nodes(flat) {
                for name in &names {
                    more.extend(node.dependent_required.get(name).into_iter().flatten().cloned());
                    schemas.extend(node.dependent_schemas.get(name));
                }
            }
            let before = facts.nodes.len();
            facts = facts.and(flat, &schemas);
            more.extend(facts.required(flat));
            if more.len() == names.len() && facts.nodes.len() == before {
                break;
            }
            names = more;
        }
        let least = facts.most(flat, |node| node.min_properties).max(at_least);
        if least > MAX_LENGTH || !self.spend(names.len().saturating_add(usize::try_from(least).unwrap_or(0)))
        {
            return Vec::new();
        }
        let least = usize::try_from(least).unwrap_or(0);
        let declared: BTreeSet<String> =
            facts.nodes(flat).flat_map(|node| node.properties.keys().cloned()).collect();
        let fillers = declared.into_iter().chain((0..).map(|place| format!("x{place}")));
        for filler in fillers.take(least.saturating_mul(2).saturating_add(8)) {
            if names.len() >= least {
                break;
            }
            if !self.member(&facts, &filler).is_empty(flat) {
                names.insert(filler);
            }
        }
        let mut members = Map::new();
        for name in names {
            let member = self.member(&facts, &name);
            let Some(guess) = self.guess(&member, Types::ALL, depth - 1).into_iter().next() else {
                return Vec::new();
            };
            members.insert(name, guess);
        }
        vec![Value::Object(members)]
    }
}

/// As an integer where it is one.
fn number(float: f64) -> Option<Number> {
    #[expect(clippy::cast_possible_truncation, reason = "its magnitude is below 2^53")]
    if float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 {
        return Some(Number::from(float as i64));
    }
    Number::from_f64(float)
}

/// Text in which `pattern` matches: a short one, and one that takes the other ways.
pub(super) fn matching(pattern: &str) -> Vec<String> {
    // Nothing recursive sees a pattern of any length.
    if pattern.len() > 1000 {
        return Vec::new();
    }
    let Ok(hir) = regex_syntax::ParserBuilder::new().nest_limit(50).build().parse(pattern) else {
        return Vec::new();
    };
    let mut texts = Vec::new();
    for other in [false, true] {
        let mut text = String::new();
        write(&hir, other, &mut text);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

/// Longer text is not made of a pattern.
const MAX_TEXT: usize = 4096;

/// The parser bounds how deep this goes.
fn write(hir: &Hir, other: bool, text: &mut String) {
    if text.len() > MAX_TEXT {
        return;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => text.extend(character(class, other)),
        HirKind::Repetition(repetition) => {
            let more = u32::from(other && repetition.max != Some(repetition.min));
            for _ in 0..repetition.min.saturating_add(more).min(1000) {
                write(&repetition.sub, other, text);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, other, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, other, text)),
        HirKind::Alternation(ways) => {
            if let Some(way) = if other { ways.last() } else { ways.first() } {
                write(way, other, text);
            }
        }
    }
}

fn character(class: &Class, other: bool) -> Option<char> {
    let Class::Unicode(class) = class else { return None };
    let plain = if other { ['z', 'Z', '9', '-', 'a'] } else { ['a', 'A', '0', '_', ' '] };
    let within = |character: &char| {
        class.ranges().iter().any(|range| (range.start()..=range.end()).contains(character))
    };
    plain.into_iter().find(within).or_else(|| class.ranges().first().map(|range| range.start()))
}

fn of_format(format: &str) -> &'static [&'static str] {
    match format {
        "date" => &["2024-02-29"],
        "date-time" => &["2024-02-29T12:00:00Z"],
        "time" => &["12:00:00Z"],
        "duration" => &["P1D"],
        "email" | "idn-email" => &["a@example.org"],
        "hostname" | "idn-hostname" => &["example.org"],
        "ipv4" => &["192.0.2.1"],
        "ipv6" => &["2001:db8::1"],
        "uri" | "iri" => &["https://example.org/a"],
        "uri-reference" | "iri-reference" => &["/a", "https://example.org/a"],
        "uri-template" => &["/{a}"],
        "uuid" => &["123e4567-e89b-12d3-a456-426614174000"],
        "json-pointer" => &["/a", ""],
        "relative-json-pointer" => &["0"],
        "regex" => &["a"],
        _ => &[],
    }
}
