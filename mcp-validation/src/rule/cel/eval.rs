//! Evaluates an expression over a document: every part costs a step, and what is built is counted.

use std::rc::Rc;

use mcp_core::SeamError;
use serde_json::Value;

use super::ast::Literal;
use super::expr::{Expr, Loop, Move, Node, Range};
use super::kind::Kind;
use super::value::{Held, Val, scalar_order};
use super::{Fault, Variable, call, operate};
use crate::meter::{Meter, text_steps};

/// What a value in a list takes, in bytes; what stands in front of each thing that is made is not more.
const VALUE_BYTES: u64 = size_of::<Val<'_>>() as u64;

/// What one evaluation sees, and what it may still use.
pub(super) struct Run<'v, 'm> {
    doc: &'v Value,
    value: Option<&'v Value>,
    path: &'m str,
    variables: &'v [Variable],
    /// What the variables are, as far as they were asked for.
    known: Vec<Option<Result<Val<'v>, Fault>>>,
    locals: Vec<Val<'v>>,
    /// Where the loops of the expression at hand begin among the locals.
    base: usize,
    meter: &'m Meter,
    built: u64,
    /// Of what was built, what the variables hold.
    held: u64,
    max_built: u64,
    /// The last regular expression that the document gave.
    pub(super) pattern: Option<(String, regex::Regex)>,
    pub(super) max_pattern_bytes: usize,
    stopped: Option<SeamError>,
}

/// What an evaluation is over.
#[derive(Clone, Copy)]
pub(super) struct Place<'v, 'm> {
    pub(super) doc: &'v Value,
    pub(super) value: Option<&'v Value>,
    pub(super) path: &'m str,
}

pub(super) type Evaluated<'v> = Result<Val<'v>, Fault>;

impl<'v, 'm> Run<'v, 'm> {
    pub(super) fn new(
        place: Place<'v, 'm>,
        variables: &'v [Variable],
        meter: &'m Meter,
        limits: &crate::Limits,
    ) -> Self {
        Self {
            doc: place.doc,
            value: place.value,
            path: place.path,
            variables,
            known: Vec::new(),
            locals: Vec::new(),
            base: 0,
            meter,
            built: 0,
            held: 0,
            max_built: limits.max_document_bytes.saturating_mul(super::BUILT_PER_DOCUMENT),
            pattern: None,
            max_pattern_bytes: limits.max_pattern_bytes,
            stopped: None,
        }
    }

    /// The value of `expr`.
    ///
    /// # Errors
    /// The inner one is why there is no value, the outer one why it could not be found out.
    pub(super) fn value(&mut self, expr: &'v Expr) -> Result<Evaluated<'v>, SeamError> {
        let evaluated = self.eval(expr);
        match (evaluated, self.stopped.take()) {
            (Err(fault), Some(stopped)) if fault.stops => Err(stopped),
            (evaluated, _) => Ok(evaluated),
        }
    }

    /// Takes steps from the judgement.
    #[inline]
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Fault> {
        if self.meter.take(steps) { Ok(()) } else { Err(self.stop(Meter::exhausted())) }
    }

    #[cold]
    fn stop(&mut self, error: SeamError) -> Fault {
        self.stopped = Some(error);
        Fault::stop()
    }

    /// Notes that so many bytes are made, before they are.
    pub(super) fn build(&mut self, bytes: usize) -> Result<(), Fault> {
        self.built =
            self.built.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)).saturating_add(VALUE_BYTES);
        self.spend(text_steps(bytes))?;
        if self.built <= self.max_built {
            return Ok(());
        }
        let reason = format!(
            "evaluate an expression that builds more than {} bytes, {} times max_document_bytes: simplify it, or raise that limit",
            self.max_built,
            super::BUILT_PER_DOCUMENT
        );
        Err(self.stop(SeamError::new(mcp_core::ErrorKind::Exhausted, reason)))
    }

    pub(super) fn build_list(&mut self, len: usize) -> Result<(), Fault> {
        self.build(len.saturating_mul(size_of::<Val<'_>>()))
    }

    /// A text that the evaluation makes.
    pub(super) fn text(&mut self, text: String) -> Evaluated<'v> {
        self.build(text.len())?;
        Ok(Val::Text(Held::Own(Rc::from(text))))
    }

    fn eval(&mut self, expr: &'v Expr) -> Evaluated<'v> {
        self.spend(1)?;
        match &expr.node {
            Node::Literal(literal) => Ok(Val::literal(literal)),
            Node::Type(kind) => Ok(Val::Type(*kind)),
            Node::Doc => Ok(Val::of(self.doc)),
            Node::Value => Ok(self.value.map_or(Val::Null, Val::of)),
            Node::Path => self.text(self.path.to_owned()),
            Node::Variable(index) => self.variable(*index, expr.at),
            Node::Local(slot) => match self.locals.get(self.base.saturating_add(*slot)) {
                Some(local) => Ok(local.clone()),
                None => Err(Fault::new(expr.at, "a variable of a loop is missing")),
            },
            Node::Walk(base, moves) => self.walk(base, moves),
            Node::Has(base, field) => {
                let base = self.eval(base)?;
                match base.entries() {
                    Some(entries) => Ok(Val::Bool(entries.get(&Val::Text(Held::Lent(field))).is_some())),
                    None => Err(Fault::new(expr.at, no_fields(base.kind()))),
                }
            }
            Node::List(parts) => self.list(parts),
            Node::Map(entries) => self.map(entries),
            Node::Not(part) => Ok(Val::Bool(!self.truth(part)?)),
            Node::Minus(part) => {
                let value = self.eval(part)?;
                operate::minus(&value).map_err(|reason| Fault::new(expr.at, reason))
            }
            Node::Arithmetic(first, rest) => {
                let mut value = self.eval(first)?;
                for (operation, at, operand) in rest {
                    let operand = self.eval(operand)?;
                    value = operate::arithmetic(self, *operation, *at, value, operand)?;
                }
                Ok(value)
            }
            Node::Relation(relation, sides) => {
                let [left, right] = &**sides;
                let left = self.eval(left)?;
                let right = self.eval(right)?;
                operate::relation(self, *relation, expr.at, &left, &right).map(Val::Bool)
            }
            Node::InLiterals(part, literals) => self.in_literals(part, literals),
            Node::All(parts) => self.joined(parts, false),
            Node::Any(parts) => self.joined(parts, true),
            Node::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                if self.truth(condition)? { self.eval(then) } else { self.eval(otherwise) }
            }
            Node::Loop(kind, range) => self.run_loop(*kind, range, expr.at),
            Node::Matches(text, regex) => match self.eval(text)? {
                Val::Text(text) => {
                    self.spend(text_steps(text.len()))?;
                    Ok(Val::Bool(regex.is_match(&text)))
                }
                other => {
                    Err(Fault::new(expr.at, format!("matches() needs string, not {}", other.kind().alone())))
                }
            },
            Node::Call(function, arguments) => match &**arguments {
                [only] => {
                    let only = self.eval(only)?;
                    call::call(self, *function, expr.at, &only, &[])
                }
                [first, rest @ ..] => {
                    let first = self.eval(first)?;
                    let rest = rest.iter().map(|part| self.eval(part)).collect::<Result<Vec<_>, _>>()?;
                    call::call(self, *function, expr.at, &first, &rest)
                }
                [] => Err(Fault::new(expr.at, "a function was called with nothing")),
            },
        }
    }

    fn truth(&mut self, expr: &'v Expr) -> Result<bool, Fault> {
        match self.eval(expr)? {
            Val::Bool(truth) => Ok(truth),
            other => Err(Fault::new(expr.at, format!("this is {}, not bool", other.kind().alone()))),
        }
    }

    /// Each variable is evaluated when it is first asked for, and once. What it needs goes before it.
    fn variable(&mut self, index: usize, at: u32) -> Evaluated<'v> {
        if self.known.is_empty() {
            self.known.resize_with(self.variables.len(), || None);
        }
        if let Some(Some(known)) = self.known.get(index) {
            return known.clone();
        }
        let variables = self.variables;
        let Some(variable) = variables.get(index) else {
            return Err(Fault::new(at, "a variable of the rule is missing"));
        };
        let (base, built) = (std::mem::replace(&mut self.base, self.locals.len()), self.built);
        for index in variable.needs.iter().chain([&index]) {
            if let Some(variable) = variables.get(*index)
                && matches!(self.known.get(*index), Some(None))
            {
                // Where it failed in its own text says nothing in that of whoever asks.
                let value = self.eval(&variable.expr).map_err(|fault| Fault { at, ..fault });
                let stops = matches!(&value, Err(fault) if fault.stops);
                if let Some(known) = self.known.get_mut(*index) {
                    *known = Some(value);
                }
                if stops {
                    break;
                }
            }
        }
        self.base = base;
        self.held = self.held.saturating_add(self.built.saturating_sub(built));
        match self.known.get(index) {
            Some(Some(known)) => known.clone(),
            // What it needs has stopped the evaluation.
            _ => Err(Fault::stop()),
        }
    }

    fn walk(&mut self, base: &'v Expr, moves: &'v [Move]) -> Evaluated<'v> {
        let mut value = self.eval(base)?;
        for next in moves {
            self.spend(1)?;
            value = match (next, &value) {
                (Move::Field(at, field), Val::Json(Value::Object(members))) => match members.get(&**field) {
                    Some(value) => Val::of(value),
                    None => return Err(Fault::new(*at, format!("there is no field {field:?}"))),
                },
                (Move::Field(at, field), value) => match value.entries() {
                    Some(entries) => {
                        self.spend(entries.steps())?;
                        match entries.get(&Val::Text(Held::Lent(field))) {
                            Some(value) => value,
                            None => return Err(Fault::new(*at, format!("there is no field {field:?}"))),
                        }
                    }
                    None => return Err(Fault::new(*at, no_fields(value.kind()))),
                },
                (Move::Index(at, index), _) => {
                    let index = self.eval(index)?;
                    self.spend(value.entries().map_or(0, |entries| entries.steps()))?;
                    element(&value, &index).map_err(|reason| Fault::new(*at, reason))?
                }
            };
        }
        Ok(value)
    }

    fn list(&mut self, parts: &'v [Expr]) -> Evaluated<'v> {
        self.build_list(parts.len())?;
        let elements = parts.iter().map(|part| self.eval(part)).collect::<Result<Vec<_>, _>>()?;
        Ok(Val::List(Rc::from(elements)))
    }

    fn map(&mut self, parts: &'v [(Expr, Expr)]) -> Evaluated<'v> {
        self.build_list(parts.len().saturating_mul(2))?;
        let mut entries: Vec<(Val<'v>, Val<'v>)> = Vec::with_capacity(parts.len());
        for (key_part, value) in parts {
            let key = self.eval(key_part)?;
            if !super::kind::Kinds::KEY.meets(key.kind().alone()) {
                return Err(Fault::new(key_part.at, format!("{} is no key of a map", key.kind().alone())));
            }
            self.spend(u64::try_from(entries.len() / 4).unwrap_or(u64::MAX))?;
            if entries.iter().any(|(own, _)| scalar_order(own, &key).is_some_and(std::cmp::Ordering::is_eq)) {
                return Err(Fault::new(key_part.at, "this key stands twice in its map"));
            }
            entries.push((key, self.eval(value)?));
        }
        Ok(Val::Map(Rc::from(entries)))
    }

    fn in_literals(&mut self, part: &'v Expr, literals: &'v [Literal]) -> Evaluated<'v> {
        let value = self.eval(part)?;
        for literal in literals {
            self.spend(1)?;
            if operate::equal(self, &value, &Val::literal(literal))? {
                return Ok(Val::Bool(true));
            }
        }
        Ok(Val::Bool(false))
    }

    /// One part that is `decides` decides, whatever failed before it; else what failed first is the result.
    fn joined(&mut self, parts: &'v [Expr], decides: bool) -> Evaluated<'v> {
        let mut failed = None;
        for part in parts {
            match self.truth(part) {
                Ok(truth) if truth == decides => return Ok(Val::Bool(decides)),
                Ok(_) => {}
                Err(fault) if fault.stops => return Err(fault),
                Err(fault) => failed = failed.or(Some(fault)),
            }
        }
        failed.map_or(Ok(Val::Bool(!decides)), Err)
    }

    fn run_loop(&mut self, kind: Loop, range: &'v Range, at: u32) -> Evaluated<'v> {
        let over = self.eval(&range.over)?;
        if let Some(entries) = over.entries() {
            self.build_list(entries.len())?;
            let keys: Rc<[Val<'v>]> = Rc::from(entries.keys());
            return self.run_list(kind, range, &Val::List(keys));
        }
        match over.kind() {
            Kind::List => self.run_list(kind, range, &over),
            other => Err(Fault::new(at, format!("this loop needs list or map, not {}", other.alone()))),
        }
    }

    fn run_list(&mut self, kind: Loop, range: &'v Range, over: &Val<'v>) -> Evaluated<'v> {
        let Some(elements) = over.elements() else { return Ok(Val::Null) };
        let mut gathered = Vec::new();
        let mut found = 0_u64;
        let mut failed = None;
        for element in elements.iter() {
            self.spend(1)?;
            let (built, held) = (self.built, self.held);
            self.locals.push(element);
            let made = self.turn(kind, range);
            let element = self.locals.pop();
            // What one turn made and did not leave behind is gone; what a variable holds is not.
            if !matches!(&made, Ok(Some(made)) if !made.is_light()) {
                self.built = built.saturating_add(self.held.saturating_sub(held));
            }
            match (kind, made) {
                (_, Err(fault)) if fault.stops => return Err(fault),
                (Loop::All | Loop::Exists, Err(fault)) => failed = failed.or(Some(fault)),
                (_, Err(fault)) => return Err(fault),
                (Loop::All, Ok(Some(Val::Bool(false)))) => return Ok(Val::Bool(false)),
                (Loop::Exists, Ok(Some(Val::Bool(true)))) => return Ok(Val::Bool(true)),
                (Loop::ExistsOne, Ok(Some(Val::Bool(true)))) => found = found.saturating_add(1),
                (Loop::Filter, Ok(Some(Val::Bool(true)))) => {
                    self.build_list(1)?;
                    gathered.extend(element);
                }
                (Loop::Map, Ok(Some(made))) => {
                    self.build_list(1)?;
                    gathered.push(made);
                }
                _ => {}
            }
        }
        match (kind, failed) {
            (_, Some(fault)) => Err(fault),
            (Loop::All, None) => Ok(Val::Bool(true)),
            (Loop::Exists, None) => Ok(Val::Bool(false)),
            (Loop::ExistsOne, None) => Ok(Val::Bool(found == 1)),
            (Loop::Filter | Loop::Map, None) => Ok(Val::List(Rc::from(gathered))),
        }
    }

    /// What the body makes of one element; `None` where the condition of `map` leaves it out.
    fn turn(&mut self, kind: Loop, range: &'v Range) -> Result<Option<Val<'v>>, Fault> {
        if let Some(condition) = &range.condition
            && !self.truth(condition)?
        {
            return Ok(None);
        }
        if kind == Loop::Map {
            return self.eval(&range.body).map(Some);
        }
        self.truth(&range.body).map(|truth| Some(Val::Bool(truth)))
    }
}

fn no_fields(kind: Kind) -> String {
    format!("{} has no fields", kind.alone())
}

/// `value[index]`; the index is not told, it may be of the document.
fn element<'v>(value: &Val<'v>, index: &Val<'v>) -> Result<Val<'v>, String> {
    if let Some(elements) = value.elements() {
        let number = match index {
            Val::Double(double) => whole(*double),
            index => index.integer(),
        };
        let Some(number) = number else {
            return Err(format!("the index of a list must be an integer, not {}", index.kind().alone()));
        };
        let element = usize::try_from(number).ok().and_then(|number| elements.get(number));
        return element.ok_or_else(|| format!("there is no such element in this list of {}", elements.len()));
    }
    match value.entries() {
        Some(entries) => entries.get(index).ok_or_else(|| "there is no such key in this map".to_owned()),
        None => Err(format!("'[' needs list or map, not {}", value.kind().alone())),
    }
}

/// The integer that a double is.
fn whole(double: f64) -> Option<i128> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast to an integer saturates, and no list is so long"
    )]
    (double.fract() == 0.0).then_some(double as i128)
}
