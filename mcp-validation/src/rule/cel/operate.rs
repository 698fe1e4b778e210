//! The operators: arithmetic that never wraps, equality and order by value.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use super::Fault;
use super::ast::{Operation, Relation};
use super::eval::{Evaluated, Run};
use super::kind::Kinds;
use super::time::Span;
use super::value::{Held, Val, scalar_order};
use crate::meter::text_steps;

/// Why an operation has no result.
type Reason = Cow<'static, str>;

pub(super) fn minus<'v>(value: &Val<'v>) -> Result<Val<'v>, Reason> {
    match value {
        Val::Double(double) => Ok(Val::Double(-double)),
        Val::Duration(span) => Span::of_nanos(-span.nanos()).map(Val::Duration).ok_or(OUT_OF_RANGE),
        value => match value.integer() {
            Some(integer) => fit(-integer, false),
            None => Err(format!("'-' does not fit {}", value.kind().alone()).into()),
        },
    }
}

const OUT_OF_RANGE: Reason = Cow::Borrowed("the time is out of range");

/// An integer of 64 bits; unsigned where an operand was and it does not fit otherwise.
fn fit<'v>(integer: i128, unsigned: bool) -> Result<Val<'v>, Reason> {
    if let Ok(int) = i64::try_from(integer) {
        return Ok(Val::Int(int));
    }
    match u64::try_from(integer) {
        Ok(uint) if unsigned => Ok(Val::Uint(uint)),
        _ => Err(Cow::Borrowed("the result does not fit an integer of 64 bits")),
    }
}

pub(super) fn arithmetic<'v>(
    run: &mut Run<'v, '_>,
    operation: Operation,
    at: u32,
    left: Val<'v>,
    right: Val<'v>,
) -> Evaluated<'v> {
    let fault = |reason: Reason| Fault::new(at, reason);
    match (&left, &right) {
        (Val::Uint(left), Val::Uint(right)) => return uints(operation, *left, *right).map_err(fault),
        (Val::Int(_) | Val::Uint(_), Val::Int(_) | Val::Uint(_)) => {
            let unsigned = matches!((&left, &right), (Val::Uint(_), _) | (_, Val::Uint(_)));
            let (Some(left), Some(right)) = (left.integer(), right.integer()) else {
                return Err(Fault::new(at, "these are no integers"));
            };
            return integers(operation, left, right).and_then(|result| fit(result, unsigned)).map_err(fault);
        }
        _ => {}
    }
    if let (Some(left), Some(right)) = (left.double(), right.double()) {
        let result = match operation {
            Operation::Add => left + right,
            Operation::Subtract => left - right,
            Operation::Multiply => left * right,
            Operation::Divide => left / right,
            Operation::Remainder => return Err(Fault::new(at, "'%' is for integers")),
        };
        return Ok(Val::Double(result));
    }
    let result = match (operation, &left, &right) {
        (Operation::Add, Val::Text(left), Val::Text(right)) => {
            run.build(left.len().saturating_add(right.len()))?;
            let mut text = String::with_capacity(left.len().saturating_add(right.len()));
            text.push_str(left);
            text.push_str(right);
            return Ok(Val::Text(Held::Own(Rc::from(text))));
        }
        (Operation::Add, Val::Bytes(left), Val::Bytes(right)) => {
            run.build(left.len().saturating_add(right.len()))?;
            return Ok(Val::Bytes(Held::Own([&**left, &**right].concat().into())));
        }
        (Operation::Add, Val::Timestamp(moment), Val::Duration(span))
        | (Operation::Add, Val::Duration(span), Val::Timestamp(moment)) => {
            moment.plus(*span).map(Val::Timestamp)
        }
        (Operation::Add, Val::Duration(left), Val::Duration(right)) => {
            Span::of_nanos(left.nanos() + right.nanos()).map(Val::Duration)
        }
        (Operation::Subtract, Val::Timestamp(moment), Val::Duration(span)) => {
            moment.minus(*span).map(Val::Timestamp)
        }
        (Operation::Subtract, Val::Timestamp(left), Val::Timestamp(right)) => {
            left.since(*right).map(Val::Duration)
        }
        (Operation::Subtract, Val::Duration(left), Val::Duration(right)) => {
            Span::of_nanos(left.nanos() - right.nanos()).map(Val::Duration)
        }
        (Operation::Add, one, other) => match (one.elements(), other.elements()) {
            (Some(one), Some(other)) => {
                let len = one.len().saturating_add(other.len());
                run.build_list(len)?;
                run.spend(u64::try_from(len).unwrap_or(u64::MAX))?;
                return Ok(Val::List(one.iter().chain(other.iter()).collect()));
            }
            _ => return Err(unfit(at, operation.sign(), &left, &right)),
        },
        _ => return Err(unfit(at, operation.sign(), &left, &right)),
    };
    result.ok_or(Fault::new(at, OUT_OF_RANGE))
}

fn unfit(at: u32, sign: &str, left: &Val<'_>, right: &Val<'_>) -> Fault {
    Fault::new(at, format!("'{sign}' does not fit {} and {}", left.kind().alone(), right.kind().alone()))
}

fn uints<'v>(operation: Operation, left: u64, right: u64) -> Result<Val<'v>, Reason> {
    let result = integers(operation, i128::from(left), i128::from(right))?;
    u64::try_from(result)
        .map(Val::Uint)
        .map_err(|_| Cow::Borrowed("the result does not fit an unsigned integer of 64 bits"))
}

/// Of two integers of 64 bits, none of these leaves 128 bits.
fn integers(operation: Operation, left: i128, right: i128) -> Result<i128, Reason> {
    match operation {
        Operation::Add => Ok(left + right),
        Operation::Subtract => Ok(left - right),
        Operation::Multiply => {
            left.checked_mul(right).ok_or(Cow::Borrowed("the result does not fit an integer of 64 bits"))
        }
        Operation::Divide => left.checked_div(right).ok_or(Cow::Borrowed("an integer is divided by zero")),
        Operation::Remainder => left.checked_rem(right).ok_or(Cow::Borrowed("an integer is divided by zero")),
    }
}

pub(super) fn relation<'v>(
    run: &mut Run<'v, '_>,
    relation: Relation,
    at: u32,
    left: &Val<'v>,
    right: &Val<'v>,
) -> Result<bool, Fault> {
    let admits: fn(Ordering) -> bool = match relation {
        Relation::Equal => return equal(run, left, right),
        Relation::NotEqual => return equal(run, left, right).map(|equal| !equal),
        Relation::In => return contains(run, at, right, left),
        Relation::Less => Ordering::is_lt,
        Relation::LessOrEqual => Ordering::is_le,
        Relation::Greater => Ordering::is_gt,
        Relation::GreaterOrEqual => Ordering::is_ge,
    };
    order(run, at, relation.sign(), left, right).map(|order| order.is_some_and(admits))
}

/// How two values stand to each other; `None` where one is a number that is none.
pub(super) fn order<'v>(
    run: &mut Run<'v, '_>,
    at: u32,
    sign: &str,
    left: &Val<'v>,
    right: &Val<'v>,
) -> Result<Option<Ordering>, Fault> {
    let (one, other) = (left.kind().alone(), right.kind().alone());
    if !one.with_numbers().and(other).meets(Kinds::ORDERED) {
        return Err(unfit(at, sign, left, right));
    }
    if let (Val::Text(one), Val::Text(other)) = (left, right) {
        run.spend(text_steps(one.len().min(other.len())) - 1)?;
    }
    Ok(scalar_order(left, right))
}

/// Whether a list has an element or a map a key.
fn contains<'v>(run: &mut Run<'v, '_>, at: u32, container: &Val<'v>, value: &Val<'v>) -> Result<bool, Fault> {
    if let Some(entries) = container.entries() {
        run.spend(1 + entries.steps())?;
        return Ok(entries.get(value).is_some());
    }
    let Some(elements) = container.elements() else {
        return Err(Fault::new(at, format!("'in' needs list or map, not {}", container.kind().alone())));
    };
    for element in elements.iter() {
        run.spend(1)?;
        if equal(run, &element, value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether two values are equal: numbers by value, lists and maps by what is in them; values of other types are not. It recurses as deep
/// as the document and the expression nest.
pub(super) fn equal<'v>(run: &mut Run<'v, '_>, left: &Val<'v>, right: &Val<'v>) -> Result<bool, Fault> {
    match (left, right) {
        (Val::Text(one), Val::Text(other)) => {
            if one.len() != other.len() {
                return Ok(false);
            }
            run.spend(text_steps(one.len()) - 1)?;
            return Ok(**one == **other);
        }
        (Val::Null, Val::Null) => return Ok(true),
        (Val::Type(one), Val::Type(other)) => return Ok(one == other),
        _ => {}
    }
    if let (Some(one), Some(other)) = (left.elements(), right.elements()) {
        if one.len() != other.len() {
            return Ok(false);
        }
        for (one, other) in one.iter().zip(other.iter()) {
            run.spend(1)?;
            if !equal(run, &one, &other)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    if let (Some(one), Some(other)) = (left.entries(), right.entries()) {
        if one.len() != other.len() {
            return Ok(false);
        }
        for key in one.keys() {
            run.spend(1 + one.steps() + other.steps())?;
            match (one.get(&key), other.get(&key)) {
                (Some(one), Some(other)) if equal(run, &one, &other)? => {}
                _ => return Ok(false),
            }
        }
        return Ok(true);
    }
    let (one, other) = (left.kind().alone(), right.kind().alone());
    let ordered = one.with_numbers().and(other).meets(Kinds::ORDERED);
    Ok(ordered && scalar_order(left, right).is_some_and(Ordering::is_eq))
}
