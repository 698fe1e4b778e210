//! A view of JSON values that counts every look at one. Once the steps are spent it turns inert: containers are empty and text is
//! empty too, so that the validator, which cannot be interrupted, soon ends. What it then says is discarded.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::ControlFlow;

use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, SerdeJson, cmp, unique};
use jsonschema::{JsonType, ValidationError};
use serde_json::{Map, Number, Value};

use crate::meter::{Meter, text_steps};

/// What is left for one judgement by a schema: steps, and errors.
pub(super) struct Gauge {
    steps: Meter,
    errors_left: Cell<u64>,
    cut: Cell<bool>,
}

/// An error is built of several strings; it costs as much as this many looks.
const STEPS_PER_ERROR: u64 = 4;

impl Gauge {
    pub(super) const fn new(steps: Meter, max_errors: u64) -> Self {
        Self { steps, errors_left: Cell::new(max_errors), cut: Cell::new(false) }
    }

    /// What is left of the steps.
    pub(super) fn into_steps(self) -> Meter {
        self.steps
    }

    /// Whether the steps ran out, so that nothing was decided.
    pub(super) fn is_spent(&self) -> bool {
        self.steps.is_spent()
    }

    /// Whether there were more errors than could be held; those before are right.
    pub(super) const fn is_cut(&self) -> bool {
        self.cut.get()
    }

    fn take(&self, steps: u64) -> bool {
        !self.cut.get() && self.steps.take(steps)
    }

    /// One error more; false where it comes too late to be right.
    fn take_error(&self) -> bool {
        if !self.take(STEPS_PER_ERROR) {
            return false;
        }
        match self.errors_left.get().checked_sub(1) {
            Some(left) => self.errors_left.set(left),
            None => self.cut.set(true),
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
    type StringBuffer = Value;

    const KEYS_PER_LOOKUP: usize = SerdeJson::KEYS_PER_LOOKUP;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Value, string: &str, f: impl FnOnce(MeteredNode<'_>) -> T) -> T {
        *buffer = Value::String(string.to_owned());
        f(MeteredNode { value: buffer, gauge: None })
    }
}

/// One value and the gauge that looking at it is charged to.
#[derive(Clone, Copy)]
pub(super) struct MeteredNode<'a> {
    value: &'a Value,
    gauge: Option<&'a Gauge>,
}

impl<'a> MeteredNode<'a> {
    pub(super) const fn new(value: &'a Value, gauge: &'a Gauge) -> Self {
        Self { value, gauge: Some(gauge) }
    }

    fn take(self, steps: u64) -> bool {
        self.gauge.is_none_or(|gauge| gauge.take(steps))
    }
}

impl<'a> Node<'a, Metered> for MeteredNode<'a> {
    type Object = MeteredObject<'a>;
    type Array = MeteredArray<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<MeteredObject<'a>> {
        let alive = self.take(1);
        let Value::Object(members) = self.value else { return None };
        Some(MeteredObject { members: alive.then_some(members), gauge: self.gauge })
    }

    fn as_array(&self) -> Option<MeteredArray<'a>> {
        let alive = self.take(1);
        let Value::Array(elements) = self.value else { return None };
        Some(MeteredArray { elements: if alive { elements } else { &[] }, gauge: self.gauge })
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let Value::String(text) = self.value else {
            self.take(1);
            return None;
        };
        Some(Cow::Borrowed(if self.take(text_steps(text.len())) { text } else { "" }))
    }

    fn as_number(&self) -> Option<&'a Number> {
        self.take(1);
        match self.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        self.take(1);
        self.value.as_bool()
    }

    fn is_null(&self) -> bool {
        self.take(1);
        self.value.is_null()
    }

    fn is_number(&self) -> bool {
        self.take(1);
        self.value.is_number()
    }

    fn is_string(&self) -> bool {
        self.take(1);
        self.value.is_string()
    }

    fn json_type(&self) -> JsonType {
        self.take(1);
        Node::<SerdeJson>::json_type(&self.value)
    }

    fn string_length(&self) -> Option<u64> {
        let Value::String(text) = self.value else { return None };
        if self.take(text_steps(text.len())) {
            Node::<SerdeJson>::string_length(&self.value)
        } else {
            Some(0)
        }
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let Value::String(text) = self.value else { return None };
        if self.take(text_steps(text.len())) {
            Node::<SerdeJson>::string_length_within(&self.value, min, max)
        } else {
            Some(true)
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        self.take(comparing(self.value, expected)) && cmp::equal(self.value, expected)
    }

    fn to_value(&self) -> Cow<'a, Value> {
        // Asked for errors only: everything else that would ask is answered above.
        let in_time = self.gauge.is_none_or(Gauge::take_error);
        Cow::Borrowed(if in_time { &IN_TIME } else { &TOO_LATE })
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref(self.value).addr()))
    }
}

/// What it can take to find out whether two values are equal.
fn comparing(value: &Value, expected: &Value) -> u64 {
    match (value, expected) {
        (Value::String(value), Value::String(expected)) => text_steps(value.len().min(expected.len())),
        (Value::Array(value), Value::Array(expected)) if value.len() == expected.len() => {
            weight(expected.iter())
        }
        (Value::Object(value), Value::Object(expected)) if value.len() == expected.len() => {
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
    members: Option<&'a Map<String, Value>>,
    gauge: Option<&'a Gauge>,
}

impl<'a> Object<'a, Metered> for MeteredObject<'a> {
    type Node = MeteredNode<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        self.members.map_or(0, Map::len)
    }

    fn get(&self, key: &String) -> Option<MeteredNode<'a>> {
        let alive = self.gauge.is_none_or(|gauge| gauge.take(1));
        let value = self.members.filter(|_| alive)?.get(key)?;
        Some(MeteredNode { value, gauge: self.gauge })
    }

    fn members(&self) -> Members<'a> {
        Members { members: self.members.map(Map::iter), gauge: self.gauge }
    }

    fn try_for_each_name_node<B>(
        &self,
        buffer: &mut Value,
        mut f: impl FnMut(MeteredNode<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        for (name, _) in self.members() {
            *buffer = Value::String(name.to_owned());
            f(MeteredNode { value: buffer, gauge: self.gauge })?;
        }
        ControlFlow::Continue(())
    }
}

/// Goes through the members of an object until the gauge runs out.
pub(super) struct Members<'a> {
    members: Option<serde_json::map::Iter<'a>>,
    gauge: Option<&'a Gauge>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, MeteredNode<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.members.as_mut()?.next()?;
        let alive = self.gauge.is_none_or(|gauge| gauge.take(text_steps(name.len())));
        alive.then_some((name.as_str(), MeteredNode { value, gauge: self.gauge }))
    }
}

/// The elements of an array; none once the gauge ran out.
pub(super) struct MeteredArray<'a> {
    elements: &'a [Value],
    gauge: Option<&'a Gauge>,
}

impl<'a> Array<'a, Metered> for MeteredArray<'a> {
    type Node = MeteredNode<'a>;
    type ElementsIter = Elements<'a>;

    fn len(&self) -> usize {
        self.elements.len()
    }

    fn elements(&self) -> Elements<'a> {
        Elements { elements: self.elements.iter(), gauge: self.gauge }
    }

    fn is_unique(&self) -> bool {
        let alive = self.gauge.is_none_or(|gauge| gauge.take(weight(self.elements.iter())));
        !alive || unique::is_unique(self.elements)
    }
}

/// Goes through the elements of an array until the gauge runs out.
pub(super) struct Elements<'a> {
    elements: std::slice::Iter<'a, Value>,
    gauge: Option<&'a Gauge>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = MeteredNode<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.elements.next()?;
        let alive = self.gauge.is_none_or(|gauge| gauge.take(1));
        alive.then_some(MeteredNode { value, gauge: self.gauge })
    }
}
