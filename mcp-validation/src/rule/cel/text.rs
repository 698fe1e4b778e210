//! The functions over text of CEL's extension "strings"; positions are counted in characters.

use std::rc::Rc;

use super::Fault;
use super::eval::{Evaluated, Run};
use super::function::Function;
use super::value::Val;
use crate::meter::text_steps;

/// Calls a function of texts; `None` where it is none of them.
pub(super) fn call<'v>(
    run: &mut Run<'v, '_>,
    function: Function,
    at: u32,
    text: &str,
    rest: &[Val<'v>],
) -> Option<Evaluated<'v>> {
    if let Err(fault) = run.spend(text_steps(text.len())) {
        return Some(Err(fault));
    }
    let fault = |reason: &'static str| Err(Fault::new(at, reason));
    Some(match (function, rest) {
        (Function::LowerAscii, []) => run.text(text.to_ascii_lowercase()),
        (Function::UpperAscii, []) => run.text(text.to_ascii_uppercase()),
        (Function::Trim, []) => run.text(text.trim().to_owned()),
        (Function::Reverse, []) => run.text(text.chars().rev().collect()),
        (Function::CharAt, [Val::Int(index)]) => match place(text, *index) {
            Some(start) => {
                let character = text.get(start..).and_then(|rest| rest.chars().next());
                run.text(character.map(String::from).unwrap_or_default())
            }
            None => fault(OUTSIDE),
        },
        (Function::Substring, [Val::Int(start), end @ ..]) => {
            let end = match end {
                [] => Some(text.len()),
                [Val::Int(end)] if end >= start => place(text, *end),
                [Val::Int(_)] => None,
                _ => return None,
            };
            match (place(text, *start), end) {
                (Some(start), Some(end)) => run.text(text.get(start..end).unwrap_or_default().to_owned()),
                _ => fault(OUTSIDE),
            }
        }
        (Function::IndexOf, [Val::Text(part), from @ ..]) => {
            let from = match from {
                [] => Some(0),
                [Val::Int(from)] => place(text, *from),
                _ => return None,
            };
            match from.and_then(|from| Some((from, text.get(from..)?))) {
                Some((from, behind)) => Ok(index(text, behind.find(&**part).map(|found| from + found))),
                None => fault(OUTSIDE),
            }
        }
        (Function::LastIndexOf, [Val::Text(part), from @ ..]) => {
            let last_start = match from {
                [] => Some(text.len()),
                [Val::Int(from)] => place(text, *from),
                _ => return None,
            };
            match last_start {
                Some(last) => {
                    let end = last.saturating_add(part.len()).min(text.len());
                    Ok(index(text, last_before(text, end, part)))
                }
                None => fault(OUTSIDE),
            }
        }
        (Function::Replace, [Val::Text(old), Val::Text(new), limit @ ..]) => {
            let limit = match limit {
                [] => usize::MAX,
                [Val::Int(limit)] => usize::try_from(*limit).unwrap_or(usize::MAX),
                _ => return None,
            };
            replace(run, text, old, new, limit)
        }
        (Function::Split, [Val::Text(separator), limit @ ..]) => {
            let limit = match limit {
                [] => usize::MAX,
                [Val::Int(limit)] => usize::try_from(*limit).unwrap_or(usize::MAX),
                _ => return None,
            };
            split(run, text, separator, limit)
        }
        _ => return None,
    })
}

const OUTSIDE: &str = "a position is outside the string";

/// The byte at which the character of this position begins; the end is one too.
fn place(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    text.char_indices().map(|(place, _)| place).chain([text.len()]).nth(index)
}

/// The position of a byte, or -1.
fn index<'v>(text: &str, place: Option<usize>) -> Val<'v> {
    let before = place.and_then(|place| text.get(..place));
    Val::Int(before.map_or(-1, |before| i64::try_from(before.chars().count()).unwrap_or(i64::MAX)))
}

/// The last place of `part` in `text` that ends at `end` or before; `end` may lie within a character.
fn last_before(text: &str, end: usize, part: &str) -> Option<usize> {
    let end = (0..=end).rev().find(|end| text.is_char_boundary(*end))?;
    text.get(..end)?.rfind(part)
}

fn replace<'v>(run: &mut Run<'v, '_>, text: &str, old: &str, new: &str, limit: usize) -> Evaluated<'v> {
    // Each replacement is paid for before it is made: a short text can become a very long one.
    let found = text.matches(old).take(limit).count();
    run.build(text.len().saturating_add(found.saturating_mul(new.len())))?;
    run.text(text.replacen(old, new, found))
}

fn split<'v>(run: &mut Run<'v, '_>, text: &str, separator: &str, limit: usize) -> Evaluated<'v> {
    let mut parts = Vec::new();
    let mut keep = |run: &mut Run<'v, '_>, part: &str| -> Result<(), Fault> {
        run.build_list(1)?;
        parts.push(run.text(part.to_owned())?);
        Ok(())
    };
    match (limit, separator.is_empty()) {
        (0, _) => {}
        (_, false) => {
            for part in text.splitn(limit, separator) {
                keep(run, part)?;
            }
        }
        (_, true) => {
            let mut rest = text;
            let mut left = limit;
            while let Some(character) = rest.chars().next() {
                let (part, behind) = if left == 1 {
                    (rest, "")
                } else {
                    rest.split_at_checked(character.len_utf8()).unwrap_or((rest, ""))
                };
                keep(run, part)?;
                rest = behind;
                left = left.saturating_sub(1);
            }
        }
    }
    Ok(Val::List(Rc::from(parts)))
}
