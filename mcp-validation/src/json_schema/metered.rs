//! A view of JSON values that counts every look at one. Once the steps are spent it turns inert: containers are empty and text is
//! empty too, so that the validator, which cannot be interrupted, soon ends. What it then says is discarded.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::ControlFlow;

use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, SerdeJson, cmp, unique};
use jsonschema::{JsonType, ValidationError};
use serde_json::{Number, Value};

use crate::meter::{Meter, text_steps};
use crate::tree::{Node as TreeNode, Span, Tree};

/// What is left for one judgement by a schema: steps, and errors.
pub(super) struct Gauge {
    steps: Meter,
    errors_left: Cell<u64>,
    cut: Cell<bool>,
    /// Whether members are gone through in the order of a [`Value`].
    in_order: Cell<bool>,
}

/// An error is built of several strings; it costs as much as this many looks.
const STEPS_PER_ERROR: u64 = 4;

impl Gauge {
    pub(super) const fn new(steps: Meter) -> Self {
        Self { steps, errors_left: Cell::new(0), cut: Cell::new(false), in_order: Cell::new(false) }
    }

    /// How many errors may be made from now on. What they say, and which are made first, does not depend on the order of the text.
    pub(super) fn allow_errors(&self, most: u64) {
        self.errors_left.set(most);
        self.in_order.set(true);
    }

    /// What is left of the steps.
    pub(super) fn into_steps(self) -> Meter {
        self.steps
    }

    /// Whether the steps ran out, so that nothing was decided.
    pub(super) const fn is_spent(&self) -> bool {
        self.steps.is_spent()
    }

    /// Whether there were more errors than could be held; those before are right.
    pub(super) const fn is_cut(&self) -> bool {
        self.cut.get()
    }

    #[inline]
    fn take(&self, steps: u64) -> bool {
        self.steps.take_at_hand(steps) || self.take_more(steps)
    }

    #[cold]
    fn take_more(&self, steps: u64) -> bool {
        !self.cut.get() && self.steps.take(steps)
    }

    /// One error more; false where it comes too late to be right.
    fn take_error(&self) -> bool {
        if !self.take(STEPS_PER_ERROR) {
            return false;
        }
        match self.errors_left.get().checked_sub(1) {
            Some(left) => self.errors_left.set(left),
            None => {
                self.cut.set(true);
                self.steps.put_away();
            }
        }
        !self.cut.get()
    }
}

/// Every judgement that led to the error was made before the gauge ran out: its instance is [`Value::Null`], and `true` afterwards.
/// The instance is not the real one, since the crate would clone that for each of a nested error's causes.
pub(super) fn was_made_in_time(error: &ValidationError<'_>) -> bool {
    error.instance().is_null()
}

static IN_TIME: Value = Value::Null;
static TOO_LATE: Value = Value::Bool(true);

/// The representation, for the crate's generics.
pub(super) struct Metered;

impl Json for Metered {
    type Node<'a> = MeteredNode<'a>;
    type PreparedKey = String;
    type StringBuffer = Tree;

    const KEYS_PER_LOOKUP: usize = SerdeJson::KEYS_PER_LOOKUP;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Tree, string: &str, f: impl FnOnce(MeteredNode<'_>) -> T) -> T {
        *buffer = Tree::of_text(string);
        f(MeteredNode { tree: buffer, index: 0, gauge: None })
    }
}

/// One value and the gauge that looking at it is charged to.
#[derive(Clone, Copy)]
pub(super) struct MeteredNode<'a> {
    tree: &'a Tree,
    index: u32,
    gauge: Option<&'a Gauge>,
}

impl<'a> MeteredNode<'a> {
    /// The whole document.
    pub(super) const fn new(tree: &'a Tree, gauge: &'a Gauge) -> Self {
        Self { tree, index: 0, gauge: Some(gauge) }
    }

    #[inline]
    fn take(self, steps: u64) -> bool {
        self.gauge.is_none_or(|gauge| gauge.take(steps))
    }

    #[inline]
    fn look(self) -> &'a TreeNode {
        self.tree.node(self.index).unwrap_or(&TreeNode::Null)
    }

    #[inline]
    fn string(self) -> Option<Span> {
        match self.look() {
            TreeNode::String(span) | TreeNode::Key(span) => Some(*span),
            _ => None,
        }
    }

    const fn at(self, index: u32) -> Self {
        Self { index, ..self }
    }
}

impl<'a> Node<'a, Metered> for MeteredNode<'a> {
    type Object = MeteredObject<'a>;
    type Array = MeteredArray<'a>;
    type Number = &'a Number;

    #[inline]
    fn as_object(&self) -> Option<MeteredObject<'a>> {
        let alive = self.take(1);
        match self.look() {
            TreeNode::Object { .. } | TreeNode::Wide { .. } => Some(MeteredObject { whole: *self, alive }),
            _ => None,
        }
    }

    #[inline]
    fn as_array(&self) -> Option<MeteredArray<'a>> {
        let alive = self.take(1);
        match self.look() {
            TreeNode::Array { length, end } => {
                let (length, end) = if alive { (*length, *end) } else { (0, 0) };
                Some(MeteredArray { whole: *self, length, end })
            }
            _ => None,
        }
    }

    #[inline]
    fn as_string(&self) -> Option<Cow<'a, str>> {
        let Some(span) = self.string() else {
            self.take(1);
            return None;
        };
        let text = self.tree.text(span);
        Some(Cow::Borrowed(if self.take(text_steps(text.len())) { text } else { "" }))
    }

    #[inline]
    fn as_number(&self) -> Option<&'a Number> {
        self.take(1);
        match self.look() {
            TreeNode::Number(number) => Some(number),
            _ => None,
        }
    }

    #[inline]
    fn as_boolean(&self) -> Option<bool> {
        self.take(1);
        match self.look() {
            TreeNode::Bool(value) => Some(*value),
            _ => None,
        }
    }

    #[inline]
    fn is_null(&self) -> bool {
        self.take(1);
        matches!(self.look(), TreeNode::Null)
    }

    #[inline]
    fn is_number(&self) -> bool {
        self.take(1);
        matches!(self.look(), TreeNode::Number(_))
    }

    #[inline]
    fn is_string(&self) -> bool {
        self.take(1);
        self.string().is_some()
    }

    #[inline]
    fn json_type(&self) -> JsonType {
        self.take(1);
        match self.look() {
            TreeNode::Null => JsonType::Null,
            TreeNode::Bool(_) => JsonType::Boolean,
            TreeNode::Number(_) => JsonType::Number,
            TreeNode::String(_) | TreeNode::Key(_) => JsonType::String,
            TreeNode::Array { .. } => JsonType::Array,
            TreeNode::Object { .. } | TreeNode::Wide { .. } => JsonType::Object,
        }
    }

    fn string_length(&self) -> Option<u64> {
        let text = self.tree.text(self.string()?);
        Some(if self.take(text_steps(text.len())) { characters(text) } else { 0 })
    }

    #[inline]
    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let text = self.tree.text(self.string()?);
        if !self.take(text_steps(text.len())) {
            return Some(true);
        }
        // A character takes one to four bytes, so mostly the bytes decide.
        let most = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let fewest = most.div_ceil(4);
        if most < min || fewest > max {
            return Some(false);
        }
        Some((min <= fewest && most <= max) || (min..=max).contains(&characters(text)))
    }

    fn equals_value(&self, expected: &Value) -> bool {
        self.take(comparing(*self, expected)) && equal(self.tree, self.index, expected)
    }

    fn to_value(&self) -> Cow<'a, Value> {
        // Asked for errors only: everything else that would ask is answered above.
        let in_time = self.gauge.is_none_or(Gauge::take_error);
        Cow::Borrowed(if in_time { &IN_TIME } else { &TOO_LATE })
    }

    #[inline]
    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::tagged(std::ptr::from_ref(self.tree).addr(), self.index))
    }
}

fn characters(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

/// Whether the value at `index` is what a schema's `const` or `enum` expects. It recurses as deep as the schema nests.
fn equal(tree: &Tree, index: u32, expected: &Value) -> bool {
    match (tree.node(index), expected) {
        (Some(TreeNode::Null), Value::Null) => true,
        (Some(TreeNode::Bool(value)), Value::Bool(expected)) => value == expected,
        (Some(TreeNode::String(span) | TreeNode::Key(span)), Value::String(expected)) => {
            tree.text(*span) == expected
        }
        (Some(TreeNode::Number(number)), Value::Number(expected)) => cmp::equal_numbers(number, expected),
        (Some(TreeNode::Array { length, .. }), Value::Array(expected)) => {
            let mut place = index + 1;
            *length as usize == expected.len()
                && expected.iter().all(|expected| {
                    let here = place;
                    place = tree.behind(here);
                    equal(tree, here, expected)
                })
        }
        (Some(TreeNode::Object { .. } | TreeNode::Wide { .. }), Value::Object(expected)) => {
            tree.members(index) as usize == expected.len()
                && expected.iter().all(|(key, expected)| {
                    tree.member(index, key).is_some_and(|place| equal(tree, place, expected))
                })
        }
        _ => false,
    }
}

/// What it can take to find out whether two values are equal.
fn comparing(node: MeteredNode<'_>, expected: &Value) -> u64 {
    match (node.look(), expected) {
        (TreeNode::String(_) | TreeNode::Key(_), Value::String(expected)) => {
            let own = node.string().map_or(0, Span::bytes);
            text_steps(own.min(expected.len()))
        }
        (TreeNode::Array { length, .. }, Value::Array(expected)) if *length as usize == expected.len() => {
            weight(expected.iter())
        }
        (TreeNode::Object { .. } | TreeNode::Wide { .. }, Value::Object(expected))
            if node.tree.members(node.index) as usize == expected.len() =>
        {
            weight(expected.values())
        }
        _ => 1,
    }
}

/// One step for each value inside, and for each 64 bytes of text.
fn weight<'v>(values: impl Iterator<Item = &'v Value>) -> u64 {
    let mut waiting: Vec<&Value> = values.collect();
    let mut weight = 1_u64;
    while let Some(value) = waiting.pop() {
        weight = weight.saturating_add(match value {
            Value::String(text) => text_steps(text.len()),
            Value::Array(elements) => {
                waiting.extend(elements);
                1
            }
            Value::Object(members) => {
                waiting.extend(members.values());
                1
            }
            _ => 1,
        });
    }
    weight
}

/// The members of an object; none once the gauge ran out.
pub(super) struct MeteredObject<'a> {
    whole: MeteredNode<'a>,
    alive: bool,
}

impl<'a> Object<'a, Metered> for MeteredObject<'a> {
    type Node = MeteredNode<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    #[inline]
    fn len(&self) -> usize {
        if self.alive { self.whole.tree.members(self.whole.index) as usize } else { 0 }
    }

    #[inline]
    fn get(&self, key: &String) -> Option<MeteredNode<'a>> {
        let alive = self.whole.take(1) && self.alive;
        let place = if alive { self.whole.tree.member(self.whole.index, key) } else { None };
        place.map(|place| self.whole.at(place))
    }

    #[inline]
    fn members(&self) -> Members<'a> {
        let Self { whole, alive } = *self;
        let end = if alive { whole.tree.behind(whole.index) } else { 0 };
        let in_order = alive && whole.gauge.is_some_and(|gauge| gauge.in_order.get());
        let ordered = in_order.then(|| whole.tree.keys_in_order(whole.index).into_iter());
        Members { next: whole.at(whole.index + 1), end, ordered }
    }

    fn try_for_each_name_node<B>(
        &self,
        _buffer: &mut Tree,
        mut f: impl FnMut(MeteredNode<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        for (_, member) in self.members() {
            f(member.at(member.index - 1))?;
        }
        ControlFlow::Continue(())
    }
}

/// Goes through the members of an object until the gauge runs out.
pub(super) struct Members<'a> {
    /// The key of the next one.
    next: MeteredNode<'a>,
    end: u32,
    /// The keys that are left, where their order matters.
    ordered: Option<std::vec::IntoIter<u32>>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, MeteredNode<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.ordered {
            None => {
                let next = self.next;
                if next.index >= self.end {
                    return None;
                }
                self.next.index = next.tree.behind(next.index + 1);
                next
            }
            Some(keys) => self.next.at(keys.next()?),
        };
        let name = next.tree.key(next.index);
        next.take(text_steps(name.len())).then_some((name, next.at(next.index + 1)))
    }
}

/// The elements of an array; none once the gauge ran out.
pub(super) struct MeteredArray<'a> {
    whole: MeteredNode<'a>,
    length: u32,
    end: u32,
}

impl<'a> Array<'a, Metered> for MeteredArray<'a> {
    type Node = MeteredNode<'a>;
    type ElementsIter = Elements<'a>;

    #[inline]
    fn len(&self) -> usize {
        self.length as usize
    }

    #[inline]
    fn elements(&self) -> Elements<'a> {
        Elements { next: self.whole.at(self.whole.index + 1), end: self.end }
    }

    fn is_unique(&self) -> bool {
        let Self { whole, .. } = *self;
        let inside = whole.tree.inside(whole.index);
        let weight = inside.iter().fold(1_u64, |weight, node| match node {
            TreeNode::String(span) => weight.saturating_add(text_steps(span.bytes())),
            TreeNode::Key(_) => weight,
            _ => weight.saturating_add(1),
        });
        if !whole.take(weight) {
            return true;
        }
        let strings = inside.iter().map(|node| match node {
            TreeNode::String(span) => Some(whole.tree.text(*span)),
            _ => None,
        });
        if let Some(mut strings) = strings.collect::<Option<Vec<&str>>>() {
            strings.sort_unstable();
            return strings.windows(2).all(|pair| pair.first() != pair.last());
        }
        let mut place = whole.index + 1;
        let values = std::iter::from_fn(|| {
            let here = place;
            place = whole.tree.behind(here);
            (here < self.end).then(|| whole.tree.value(here))
        });
        unique::is_unique(&values.collect::<Vec<Value>>())
    }
}

/// Goes through the elements of an array until the gauge runs out.
pub(super) struct Elements<'a> {
    next: MeteredNode<'a>,
    end: u32,
}

impl<'a> Iterator for Elements<'a> {
    type Item = MeteredNode<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let Self { next, end } = *self;
        if next.index >= end {
            return None;
        }
        self.next.index = next.tree.behind(next.index);
        next.take(1).then_some(next)
    }
}
