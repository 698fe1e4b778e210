//! The values of an evaluation: lent by the document and the rule wherever that can be.

use std::cmp::Ordering;
use std::ops::Deref;
use std::rc::Rc;

use serde_json::{Number, Value};

use super::ast::Literal;
use super::kind::Kind;
use super::time::{Moment, Span};

/// A value. What stands in the document is not copied.
#[derive(Clone, Debug)]
pub(super) enum Val<'v> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Held<'v, str>),
    Bytes(Held<'v, [u8]>),
    /// An array or an object of the document.
    Json(&'v Value),
    List(Rc<[Val<'v>]>),
    /// Each key once.
    Map(Rc<[(Val<'v>, Val<'v>)]>),
    Timestamp(Moment),
    Duration(Span),
    Type(Kind),
}

/// Text or bytes: lent, or made by the evaluation.
#[derive(Debug)]
pub(super) enum Held<'v, T: ?Sized> {
    Lent(&'v T),
    Own(Rc<T>),
}

impl<T: ?Sized> Clone for Held<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Self::Lent(lent) => Self::Lent(lent),
            Self::Own(own) => Self::Own(Rc::clone(own)),
        }
    }
}

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Lent(lent) => lent,
            Self::Own(own) => own,
        }
    }
}

impl<'v> Val<'v> {
    #[inline]
    pub(super) fn of(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number(number) => Self::of_number(number),
            Value::String(text) => Self::Text(Held::Lent(text)),
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }

    /// An integer where it is written as one and fits, so that `doc.n + 1` is one too.
    fn of_number(number: &Number) -> Self {
        if let Some(int) = number.as_i64() {
            return Self::Int(int);
        }
        if let Some(uint) = number.as_u64() {
            return Self::Uint(uint);
        }
        // Beyond doubles only where a host lets numbers keep all their digits: infinite is then on the right side of every bound.
        Self::Double(number.as_f64().unwrap_or_else(|| number.to_string().parse().unwrap_or(f64::NAN)))
    }

    pub(super) fn literal(literal: &'v Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(truth) => Self::Bool(*truth),
            Literal::Int(int) => Self::Int(*int),
            Literal::Uint(uint) => Self::Uint(*uint),
            Literal::Double(double) => Self::Double(*double),
            Literal::Text(text) => Self::Text(Held::Lent(text)),
            Literal::Bytes(bytes) => Self::Bytes(Held::Lent(bytes)),
            Literal::Timestamp(moment) => Self::Timestamp(*moment),
            Literal::Duration(span) => Self::Duration(*span),
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Uint(_) => Kind::Uint,
            Self::Double(_) => Kind::Double,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
            Self::Json(Value::Object(_)) | Self::Map(_) => Kind::Map,
            Self::Json(_) | Self::List(_) => Kind::List,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Duration(_) => Kind::Duration,
            Self::Type(_) => Kind::Type,
        }
    }

    /// Whether nothing that the evaluation made hangs on it.
    pub(super) const fn is_light(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Map(_) | Self::Text(Held::Own(_)) | Self::Bytes(Held::Own(_)))
    }

    /// The elements of a list.
    pub(super) fn elements(&self) -> Option<Elements<'_, 'v>> {
        match self {
            Self::Json(Value::Array(elements)) => Some(Elements::Json(elements)),
            Self::List(elements) => Some(Elements::Made(elements)),
            _ => None,
        }
    }

    /// The keys and values of a map.
    pub(super) fn entries(&self) -> Option<Entries<'_, 'v>> {
        match self {
            Self::Json(Value::Object(members)) => Some(Entries::Json(members)),
            Self::Map(entries) => Some(Entries::Made(entries)),
            _ => None,
        }
    }
}

/// A list, wherever its elements are.
#[derive(Clone, Copy)]
pub(super) enum Elements<'a, 'v> {
    Json(&'v [Value]),
    Made(&'a [Val<'v>]),
}

impl<'v> Elements<'_, 'v> {
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Json(elements) => elements.len(),
            Self::Made(elements) => elements.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Val<'v>> {
        match self {
            Self::Json(elements) => elements.get(index).map(Val::of),
            Self::Made(elements) => elements.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Val<'v>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

/// A map, wherever its entries are.
pub(super) enum Entries<'a, 'v> {
    Json(&'v serde_json::Map<String, Value>),
    Made(&'a [(Val<'v>, Val<'v>)]),
}

impl<'v> Entries<'_, 'v> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(members) => members.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    /// What a look for a key costs beside the step that is paid anyway: maps that a rule writes out are searched one by one.
    pub(super) fn steps(&self) -> u64 {
        match self {
            Self::Json(_) => 0,
            Self::Made(entries) => u64::try_from(entries.len() / 4).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn get(&self, key: &Val<'v>) -> Option<Val<'v>> {
        match (self, key) {
            (Self::Json(members), Val::Text(key)) => members.get(&**key).map(Val::of),
            (Self::Json(_), _) => None,
            (Self::Made(entries), key) => entries
                .iter()
                .find(|(own, _)| scalar_order(own, key).is_some_and(Ordering::is_eq))
                .map(|entry| entry.1.clone()),
        }
    }

    pub(super) fn keys(&self) -> Vec<Val<'v>> {
        match self {
            Self::Json(members) => members.keys().map(|key| Val::Text(Held::Lent(key))).collect(),
            Self::Made(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
        }
    }
}

/// How two values of `<` stand to each other; `None` where they have no order, as with a number that is none.
pub(super) fn scalar_order(left: &Val<'_>, right: &Val<'_>) -> Option<Ordering> {
    match (left, right) {
        (Val::Int(left), Val::Int(right)) => Some(left.cmp(right)),
        (Val::Text(left), Val::Text(right)) => Some(left.cmp(right)),
        (Val::Double(left), Val::Double(right)) => left.partial_cmp(right),
        (Val::Bool(left), Val::Bool(right)) => Some(left.cmp(right)),
        (Val::Bytes(left), Val::Bytes(right)) => Some(left.cmp(right)),
        (Val::Timestamp(left), Val::Timestamp(right)) => Some(left.cmp(right)),
        (Val::Duration(left), Val::Duration(right)) => Some(left.cmp(right)),
        (Val::Double(left), right) => compare_double(right, *left).map(Ordering::reverse),
        (left, Val::Double(right)) => compare_double(left, *right),
        (left, right) => Some(left.integer()?.cmp(&right.integer()?)),
    }
}

fn compare_double(left: &Val<'_>, right: f64) -> Option<Ordering> {
    let integer = left.integer()?;
    if right.is_nan() { None } else { crate::number::compare_mixed(integer, right) }
}

impl Val<'_> {
    /// The value of an integer of either kind.
    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Self::Int(int) => Some(i128::from(*int)),
            Self::Uint(uint) => Some(i128::from(*uint)),
            _ => None,
        }
    }

    /// The value of a number of any kind, rounded where a double cannot hold it.
    #[expect(clippy::cast_precision_loss, reason = "arithmetic with a double rounds as doubles do")]
    pub(super) const fn double(&self) -> Option<f64> {
        match self {
            Self::Int(int) => Some(*int as f64),
            Self::Uint(uint) => Some(*uint as f64),
            Self::Double(double) => Some(*double),
            _ => None,
        }
    }
}
