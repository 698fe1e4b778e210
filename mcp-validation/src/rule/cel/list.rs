//! The functions over lists that go beyond CEL's own: sum, avg, min, max, distinct, sort, and join.

use std::cmp::Ordering;
use std::rc::Rc;

use super::Fault;
use super::ast::Operation;
use super::eval::{Evaluated, Run};
use super::function::Function;
use super::kind::{Kind, Kinds};
use super::operate;
use super::value::{Elements, Val, scalar_order};
use crate::meter::text_steps;

/// Calls a function of lists; `None` where it is none of them.
pub(super) fn call<'v>(
    run: &mut Run<'v, '_>,
    function: Function,
    at: u32,
    first: &Val<'v>,
    second: Option<&Val<'v>>,
) -> Option<Evaluated<'v>> {
    let known = matches!(
        function,
        Function::Sum
            | Function::Avg
            | Function::Min
            | Function::Max
            | Function::Distinct
            | Function::Sort
            | Function::Join
    );
    if !known {
        return None;
    }
    let Some(elements) = first.elements() else {
        return Some(Err(Fault::new(at, format!("this function needs list, not {}", first.kind().alone()))));
    };
    if let Err(fault) = run.spend(u64::try_from(elements.len()).unwrap_or(u64::MAX)) {
        return Some(Err(fault));
    }
    Some(match (function, second) {
        (Function::Sum, _) => sum(run, at, elements),
        (Function::Avg, _) => avg(at, elements),
        (Function::Min, _) => extreme(run, at, elements, Ordering::Less),
        (Function::Max, _) => extreme(run, at, elements, Ordering::Greater),
        (Function::Distinct, _) => distinct(run, elements),
        (Function::Sort, _) => sort(run, at, elements),
        (_, None) => join(run, at, elements, ""),
        (_, Some(Val::Text(separator))) => join(run, at, elements, separator),
        (_, Some(other)) => {
            Err(Fault::new(at, format!("the separator must be string, not {}", other.kind().alone())))
        }
    })
}

/// 0 for an empty list.
fn sum<'v>(run: &mut Run<'v, '_>, at: u32, elements: Elements<'_, 'v>) -> Evaluated<'v> {
    let mut total = None;
    for element in elements.iter() {
        if !Kinds::NUMBER.or(Kinds::DURATION).meets(element.kind().alone()) {
            return Err(Fault::new(at, format!("sum() does not take {}", element.kind().alone())));
        }
        total = Some(match total {
            None => element,
            Some(total) => operate::arithmetic(run, Operation::Add, at, total, element)?,
        });
    }
    Ok(total.unwrap_or(Val::Int(0)))
}

/// A double. Integers are added up without rounding.
#[expect(clippy::cast_precision_loss, reason = "the result is a double, and rounds as doubles do")]
fn avg<'v>(at: u32, elements: Elements<'_, 'v>) -> Evaluated<'v> {
    if elements.len() == 0 {
        return Err(Fault::new(at, "an empty list has no average"));
    }
    let (mut integers, mut doubles) = (0_i128, 0_f64);
    for element in elements.iter() {
        match (element.integer(), element.double()) {
            // So many integers that they leave 128 bits do not fit any memory.
            (Some(integer), _) => integers = integers.saturating_add(integer),
            (None, Some(double)) => doubles += double,
            (None, None) => {
                return Err(Fault::new(at, format!("avg() does not take {}", element.kind().alone())));
            }
        }
    }
    Ok(Val::Double((integers as f64 + doubles) / elements.len() as f64))
}

fn extreme<'v>(
    run: &mut Run<'v, '_>,
    at: u32,
    elements: Elements<'_, 'v>,
    wanted: Ordering,
) -> Evaluated<'v> {
    let name = if wanted == Ordering::Less { "min()" } else { "max()" };
    let mut best: Option<Val<'v>> = None;
    for element in elements.iter() {
        if !Kinds::ORDERED.meets(element.kind().alone()) {
            return Err(Fault::new(at, format!("{name} does not take {}", element.kind().alone())));
        }
        best = Some(match best {
            None => element,
            Some(best) => {
                let better = operate::order(run, at, name, &element, &best)? == Some(wanted);
                if better { element } else { best }
            }
        });
    }
    best.ok_or_else(|| Fault::new(at, format!("an empty list has no {name}")))
}

/// Each value once, where it stands first.
fn distinct<'v>(run: &mut Run<'v, '_>, elements: Elements<'_, 'v>) -> Evaluated<'v> {
    run.build_list(elements.len())?;
    let mut sorted: Vec<(usize, Val<'v>)> = elements.iter().enumerate().collect();
    pay_for_sorting(run, elements)?;
    sorted.sort_by(|(_, left), (_, right)| total(left, right));
    let mut kept: Vec<(usize, Val<'v>)> = Vec::new();
    for (index, element) in sorted {
        // The sort is stable: of equal ones the first stands first.
        let again = match kept.last() {
            Some((_, before)) => operate::equal(run, before, &element)?,
            None => false,
        };
        if !again {
            kept.push((index, element));
        }
    }
    kept.sort_by_key(|(index, _)| *index);
    Ok(Val::List(kept.into_iter().map(|(_, element)| element).collect()))
}

/// Ascending; equal ones stay in their order.
fn sort<'v>(run: &mut Run<'v, '_>, at: u32, elements: Elements<'_, 'v>) -> Evaluated<'v> {
    run.build_list(elements.len())?;
    let mut sorted: Vec<Val<'v>> = elements.iter().collect();
    let first = sorted.first().map(|first| first.kind().alone().with_numbers());
    for element in &sorted {
        let kind = element.kind().alone();
        if !kind.meets(Kinds::ORDERED) || !first.is_some_and(|first| first.meets(kind)) {
            return Err(Fault::new(
                at,
                format!("sort() needs values of one type that have an order, not also {kind}"),
            ));
        }
    }
    pay_for_sorting(run, elements)?;
    sorted.sort_by(total);
    Ok(Val::List(Rc::from(sorted)))
}

/// Takes the steps before anything is compared: each of the rounds of a merging sort looks at no more than all there is, twice.
fn pay_for_sorting<'v>(run: &mut Run<'v, '_>, elements: Elements<'_, 'v>) -> Result<(), Fault> {
    let mut weight = 0_u64;
    for element in elements.iter() {
        weight = weight.saturating_add(weigh(run, &element)?);
    }
    let rounds = u64::from(usize::BITS - elements.len().leading_zeros());
    run.spend(weight.saturating_mul(2 * rounds))
}

/// What there is to look at in a value, in steps.
fn weigh<'v>(run: &mut Run<'v, '_>, value: &Val<'v>) -> Result<u64, Fault> {
    let mut weight = match value {
        Val::Text(text) => text_steps(text.len()),
        Val::Bytes(bytes) => text_steps(bytes.len()),
        _ => 1,
    };
    run.spend(1)?;
    if let Some(elements) = value.elements() {
        for element in elements.iter() {
            weight = weight.saturating_add(weigh(run, &element)?);
        }
    }
    if let Some(entries) = value.entries() {
        for key in entries.keys() {
            let own = weigh(run, &key)?.saturating_add(2 * entries.steps());
            let value = entries.get(&key).map_or(Ok(0), |value| weigh(run, &value))?;
            weight = weight.saturating_add(own).saturating_add(value);
        }
    }
    Ok(weight)
}

/// Texts, with a separator between them.
fn join<'v>(run: &mut Run<'v, '_>, at: u32, elements: Elements<'_, 'v>, separator: &str) -> Evaluated<'v> {
    let mut joined = String::new();
    for (index, element) in elements.iter().enumerate() {
        let Val::Text(text) = &element else {
            return Err(Fault::new(at, format!("join() does not take {}", element.kind().alone())));
        };
        run.build(text.len().saturating_add(separator.len()))?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Val::Text(super::value::Held::Own(Rc::from(joined))))
}

/// An order of all values, in which equal ones stand together: by type, then by what they hold. Of numbers, what is none comes last.
fn total(left: &Val<'_>, right: &Val<'_>) -> Ordering {
    let by_kind = rank(left.kind()).cmp(&rank(right.kind()));
    if by_kind.is_ne() {
        return by_kind;
    }
    if let (Some(one), Some(other)) = (left.elements(), right.elements()) {
        let unequal =
            one.iter().zip(other.iter()).map(|(one, other)| total(&one, &other)).find(|order| order.is_ne());
        return unequal.unwrap_or_else(|| one.len().cmp(&other.len()));
    }
    if let (Some(one), Some(other)) = (left.entries(), right.entries()) {
        let sorted = |mut keys: Vec<_>| {
            keys.sort_by(total);
            keys
        };
        let (ones, others) = (sorted(one.keys()), sorted(other.keys()));
        let by_entry = |(own, its): (&Val<'_>, &Val<'_>)| {
            let values = || Some(total(&one.get(own)?, &other.get(its)?));
            total(own, its).then_with(|| values().unwrap_or(Ordering::Equal))
        };
        let by_len = one.len().cmp(&other.len());
        return by_len.then_with(|| {
            ones.iter().zip(&others).map(by_entry).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
    }
    if let (Val::Type(one), Val::Type(other)) = (left, right) {
        return one.cmp(other);
    }
    scalar_order(left, right).unwrap_or_else(|| is_nan(left).cmp(&is_nan(right)))
}

const fn is_nan(value: &Val<'_>) -> bool {
    matches!(value, Val::Double(double) if double.is_nan())
}

/// Numbers stand together.
const fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::Int | Kind::Uint | Kind::Double => Kind::Int as u8,
        kind => kind as u8,
    }
}
