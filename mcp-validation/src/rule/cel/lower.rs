//! From the shape of an expression to what is evaluated: names, functions and types are checked on the way.

use std::cell::Cell;

use regex::{Regex, RegexBuilder};

use super::ast::{Ast, Literal, Operation, Relation, Shape, Step};
use super::expr::{Expr, Loop, Move, Node, Range};
use super::function::{Function, Signature, Style};
use super::kind::{Kind, Kinds, Known};
use super::{Fault, call, time};

/// The most regular expressions that are written out in the expressions of one rule.
const MAX_PATTERNS: usize = 32;

/// The names that an expression may use.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Each variable of the rule that can be used here: its name, its position, what is known of it.
    pub(super) variables: Vec<(String, usize, Known)>,
    /// Whether `value` is declared.
    pub(super) has_value: bool,
    /// Whether `path` is declared.
    pub(super) has_path: bool,
    pub(super) max_pattern_bytes: usize,
    /// How many regular expressions were compiled for the rule so far.
    pub(super) patterns: Cell<usize>,
}

impl Names {
    fn listed(&self) -> String {
        let given = [("value", self.has_value), ("path", self.has_path)];
        let given = given.into_iter().filter_map(|(name, declared)| declared.then_some(name));
        let variables = self.variables.iter().map(|(name, ..)| name.as_str());
        ["doc"].into_iter().chain(given).chain(variables).collect::<Vec<_>>().join(", ")
    }
}

/// Checks an expression; with it comes what is known of its result.
pub(super) fn lower(ast: &Ast, names: &Names) -> Result<(Expr, Known), Fault> {
    Lowering { names, locals: Vec::new() }.part(ast)
}

struct Lowering<'a> {
    names: &'a Names,
    locals: Vec<(String, Known)>,
}

type Lowered = Result<(Expr, Known), Fault>;

impl Lowering<'_> {
    fn part(&mut self, ast: &Ast) -> Lowered {
        let at = ast.at;
        let (node, known) = match &ast.shape {
            Shape::Literal(literal) => {
                (Node::Literal(literal.clone()), Known::one_of(literal.kind().alone()))
            }
            Shape::Name(name) => self.name(at, name)?,
            Shape::Walk(base, steps) => self.walk(base, steps)?,
            Shape::Call(name, arguments) => self.call(at, name, None, arguments)?,
            Shape::Method(target, name, arguments) => self.method(at, target, name, arguments)?,
            Shape::List(parts) => {
                let (parts, elements) = self.parts(parts)?;
                (Node::List(parts), Known::of(Kinds::LIST, elements))
            }
            Shape::Map(entries) => self.map(entries)?,
            Shape::Not(part) => {
                let part = self.expected(part, Kinds::BOOL, "'!'")?;
                (Node::Not(Box::new(part)), Known::one_of(Kinds::BOOL))
            }
            Shape::Minus(part) => {
                let (expr, known) = self.part(part)?;
                let kinds = known.kinds.and(Kinds::INT.or(Kinds::DOUBLE).or(Kinds::DURATION));
                if kinds == Kinds::NONE {
                    return Err(Fault::new(at, format!("'-' needs a number, not {}", known.kinds)));
                }
                (Node::Minus(Box::new(expr)), Known::one_of(kinds))
            }
            Shape::Arithmetic(first, rest) => self.arithmetic(first, rest)?,
            Shape::Relation(relation, left, right) => self.relation(at, *relation, left, right)?,
            Shape::All(parts) => (Node::All(self.conditions(parts, "'&&'")?), Known::one_of(Kinds::BOOL)),
            Shape::Any(parts) => (Node::Any(self.conditions(parts, "'||'")?), Known::one_of(Kinds::BOOL)),
            Shape::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                let condition = self.expected(condition, Kinds::BOOL, "'?'")?;
                let (then, known) = self.part(then)?;
                let (otherwise, other) = self.part(otherwise)?;
                (Node::Choice(Box::new([condition, then, otherwise])), known.join(&other))
            }
        };
        Ok((Expr { at, node }, known))
    }

    fn parts(&mut self, parts: &[Ast]) -> Result<(Box<[Expr]>, Known), Fault> {
        let mut all: Option<Known> = None;
        let mut lowered = Vec::with_capacity(parts.len());
        for part in parts {
            let (expr, known) = self.part(part)?;
            lowered.push(expr);
            all = Some(match all {
                None => known,
                Some(before) => before.join(&known),
            });
        }
        Ok((lowered.into_boxed_slice(), all.unwrap_or(Known::one_of(Kinds::ANY))))
    }

    fn conditions(&mut self, parts: &[Ast], what: &str) -> Result<Box<[Expr]>, Fault> {
        parts.iter().map(|part| self.expected(part, Kinds::BOOL, what)).collect()
    }

    /// A part that can be of one of these kinds.
    fn expected(&mut self, ast: &Ast, kinds: Kinds, what: &str) -> Result<Expr, Fault> {
        let (expr, known) = self.part(ast)?;
        if known.kinds.meets(kinds) {
            return Ok(expr);
        }
        Err(Fault::new(ast.at, format!("{what} needs {kinds}, not {}", known.kinds)))
    }

    fn name(&self, at: u32, name: &str) -> Result<(Node, Known), Fault> {
        if let Some(slot) = self.locals.iter().rposition(|(local, _)| local == name)
            && let Some((_, known)) = self.locals.get(slot)
        {
            return Ok((Node::Local(slot), known.clone()));
        }
        if let Some((_, index, known)) = self.names.variables.iter().find(|(declared, ..)| declared == name) {
            return Ok((Node::Variable(*index), known.clone()));
        }
        match name {
            "doc" => return Ok((Node::Doc, Known::json())),
            "value" if self.names.has_value => return Ok((Node::Value, Known::json())),
            "path" if self.names.has_path => return Ok((Node::Path, Known::one_of(Kinds::TEXT))),
            _ => {}
        }
        match Kind::named(name) {
            Some(kind) => Ok((Node::Type(kind), Known::one_of(Kinds::TYPE))),
            None => Err(Fault::new(
                at,
                format!("the name {name:?} is not declared, declared are {}", self.names.listed()),
            )),
        }
    }

    fn walk(&mut self, base: &Ast, steps: &[Step]) -> Result<(Node, Known), Fault> {
        if let Some(kind) = self.qualified(base, steps) {
            return Ok((Node::Type(kind), Known::one_of(Kinds::TYPE)));
        }
        let (base, mut known) = self.part(base)?;
        let mut moves = Vec::with_capacity(steps.len());
        for step in steps {
            moves.push(match step {
                Step::Field(at, name) => {
                    if !known.kinds.meets(Kinds::MAP) {
                        return Err(Fault::new(*at, format!("{} has no field {name:?}", known.kinds)));
                    }
                    Move::Field(*at, name.as_str().into())
                }
                Step::Index(at, index) => {
                    let (expr, index) = self.part(index)?;
                    let mut keys = Kinds::NONE;
                    if known.kinds.meets(Kinds::LIST) {
                        keys = keys.or(Kinds::NUMBER);
                    }
                    if known.kinds.meets(Kinds::MAP) {
                        keys = keys.or(if known.kinds.is_within(Kinds::JSON) && known.is_of_document() {
                            Kinds::TEXT
                        } else {
                            Kinds::KEY.or(Kinds::DOUBLE)
                        });
                    }
                    if keys == Kinds::NONE {
                        return Err(Fault::new(*at, format!("'[' needs list or map, not {}", known.kinds)));
                    }
                    if !index.kinds.meets(keys) {
                        return Err(Fault::new(
                            expr.at,
                            format!("the index must be {keys}, not {}", index.kinds),
                        ));
                    }
                    Move::Index(*at, expr)
                }
            });
            known = known.elements();
        }
        Ok((Node::Walk(Box::new(base), moves.into_boxed_slice()), known))
    }

    /// `google.protobuf.Timestamp` and its like, where no variable is called so.
    fn qualified(&self, base: &Ast, steps: &[Step]) -> Option<Kind> {
        let Shape::Name(first) = &base.shape else { return None };
        if first != "google" || self.locals.iter().any(|(name, _)| name == first) {
            return None;
        }
        let mut name = first.clone();
        for step in steps {
            let Step::Field(_, field) = step else { return None };
            name.push('.');
            name.push_str(field);
        }
        Kind::named(&name)
    }

    fn map(&mut self, entries: &[(Ast, Ast)]) -> Result<(Node, Known), Fault> {
        let mut lowered = Vec::with_capacity(entries.len());
        let mut values: Option<Known> = None;
        for (key, value) in entries {
            let key = self.expected(key, Kinds::KEY, "the key of a map")?;
            let (value, known) = self.part(value)?;
            lowered.push((key, value));
            values = Some(match values {
                None => known,
                Some(before) => before.join(&known),
            });
        }
        let known = Known::of(Kinds::MAP, values.unwrap_or(Known::one_of(Kinds::ANY)));
        Ok((Node::Map(lowered.into_boxed_slice()), known))
    }

    fn arithmetic(&mut self, first: &Ast, rest: &[(Operation, u32, Ast)]) -> Result<(Node, Known), Fault> {
        let (first, mut known) = self.part(first)?;
        let mut lowered = Vec::with_capacity(rest.len());
        for (operation, at, operand) in rest {
            let (operand, other) = self.part(operand)?;
            let kinds = result(*operation, known.kinds, other.kinds);
            if kinds == Kinds::NONE {
                let reason =
                    format!("'{}' does not fit {} and {}", operation.sign(), known.kinds, other.kinds);
                return Err(Fault::new(*at, reason));
            }
            known = if kinds.meets(Kinds::LIST) {
                let joined = known.elements().kinds.or(other.elements().kinds);
                Known::of(kinds, Known::one_of(joined))
            } else {
                Known::one_of(kinds)
            };
            lowered.push((*operation, *at, operand));
        }
        Ok((Node::Arithmetic(Box::new(first), lowered.into_boxed_slice()), known))
    }

    fn relation(
        &mut self,
        at: u32,
        relation: Relation,
        left: &Ast,
        right: &Ast,
    ) -> Result<(Node, Known), Fault> {
        let known = Known::one_of(Kinds::BOOL);
        let (left, one) = self.part(left)?;
        if relation == Relation::In {
            if let Shape::List(elements) = &right.shape
                && let Some(literals) = literals(elements)
            {
                let fits = literals.iter().any(|literal| comparable(literal.kind().alone(), one.kinds));
                if !fits && !literals.is_empty() {
                    return Err(Fault::new(at, format!("{} is never in this list", one.kinds)));
                }
                return Ok((Node::InLiterals(Box::new(left), literals), known));
            }
            let (right, other) = self.part(right)?;
            if !other.kinds.meets(Kinds::LIST.or(Kinds::MAP)) {
                return Err(Fault::new(at, format!("'in' needs list or map, not {}", other.kinds)));
            }
            return Ok((Node::Relation(relation, Box::new([left, right])), known));
        }
        let (right, other) = self.part(right)?;
        let (one, other) = (one.kinds, other.kinds);
        let fits = match relation {
            Relation::Equal | Relation::NotEqual => comparable(one, other),
            _ => one.with_numbers().and(other).meets(Kinds::ORDERED),
        };
        if !fits {
            let hint = if Kinds::TIMESTAMP.or(Kinds::DURATION).meets(one.or(other)) {
                ", a document has text: write timestamp(…) or duration(…) around it"
            } else {
                ""
            };
            let reason = format!("'{}' does not fit {one} and {other}{hint}", relation.sign());
            return Err(Fault::new(at, reason));
        }
        Ok((Node::Relation(relation, Box::new([left, right])), known))
    }

    fn method(
        &mut self,
        at: u32,
        target: &Ast,
        name: &str,
        arguments: &[Ast],
    ) -> Result<(Node, Known), Fault> {
        let Some(kind) = Loop::named(name) else {
            return self.call(at, name, Some(target), arguments);
        };
        let (variable, condition, body) = match (arguments, kind) {
            ([variable, body], _) => (variable, None, body),
            ([variable, condition, body], Loop::Map) => (variable, Some(condition), body),
            _ => {
                let reason = format!("{name}() takes a name and an expression, as in list.{name}(x, …)");
                return Err(Fault::new(at, reason));
            }
        };
        let Shape::Name(variable) = &variable.shape else {
            return Err(Fault::new(variable.at, format!("the first argument of {name}() must be a name")));
        };
        let (over, range) = self.part(target)?;
        let containers = Kinds::LIST.or(Kinds::MAP);
        if !range.kinds.meets(containers) {
            return Err(Fault::new(at, format!("{name}() needs list or map, not {}", range.kinds)));
        }
        let element = if !range.kinds.meets(Kinds::MAP) {
            range.elements()
        } else if range.kinds.is_within(Kinds::JSON) && range.is_of_document() {
            Known::json()
        } else {
            Known::one_of(Kinds::ANY)
        };
        self.locals.push((variable.clone(), element.clone()));
        let lowered = self.body(kind, condition, body);
        self.locals.pop();
        let (condition, body, made) = lowered?;
        let known = match kind {
            Loop::All | Loop::Exists | Loop::ExistsOne => Known::one_of(Kinds::BOOL),
            Loop::Filter => Known::of(Kinds::LIST, element),
            Loop::Map => Known::of(Kinds::LIST, made),
        };
        Ok((Node::Loop(kind, Box::new(Range { over, condition, body })), known))
    }

    fn body(
        &mut self,
        kind: Loop,
        condition: Option<&Ast>,
        body: &Ast,
    ) -> Result<(Option<Expr>, Expr, Known), Fault> {
        let condition = condition
            .map(|condition| self.expected(condition, Kinds::BOOL, "the condition of map()"))
            .transpose()?;
        if kind == Loop::Map {
            let (body, made) = self.part(body)?;
            return Ok((condition, body, made));
        }
        let body = self.expected(body, Kinds::BOOL, "this loop")?;
        Ok((condition, body, Known::one_of(Kinds::BOOL)))
    }

    fn call(
        &mut self,
        at: u32,
        name: &str,
        target: Option<&Ast>,
        arguments: &[Ast],
    ) -> Result<(Node, Known), Fault> {
        if name == "has" && target.is_none() {
            return self.has(at, arguments);
        }
        let Some(signature) = Signature::named(name) else {
            return Err(Fault::new(at, format!("the function {name:?} is not known")));
        };
        match (signature.style, target) {
            (Style::Global, Some(_)) => {
                return Err(Fault::new(at, format!("{name} is called as {name}(x), not as x.{name}()")));
            }
            (Style::Method, None) => {
                return Err(Fault::new(at, format!("{name} is called as x.{name}(), not as {name}(x)")));
            }
            _ => {}
        }
        let asts: Vec<&Ast> = target.into_iter().chain(arguments).collect();
        if asts.len() < signature.least || asts.len() > signature.parameters.len() {
            let behind = usize::from(target.is_some());
            let (least, most) = (signature.least.saturating_sub(behind), signature.parameters.len() - behind);
            let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
            return Err(Fault::new(
                at,
                format!("{name}() takes {wanted} arguments, not {}", arguments.len()),
            ));
        }
        let mut exprs = Vec::with_capacity(asts.len());
        let mut first = None;
        for (ast, accepted) in asts.iter().zip(signature.parameters) {
            let (expr, known) = self.part(ast)?;
            if !known.kinds.meets(*accepted) {
                return Err(Fault::new(ast.at, format!("{name}() needs {accepted}, not {}", known.kinds)));
            }
            first.get_or_insert(known);
            exprs.push(expr);
        }
        let first = first.unwrap_or(Known::one_of(Kinds::ANY));
        if let Some(wanted) = signature.elements()
            && !first.elements().kinds.meets(wanted)
        {
            let reason = format!("{name}() needs a list of {wanted}, not of {}", first.elements().kinds);
            return Err(Fault::new(at, reason));
        }
        let known = signature.gives(&first);
        Ok((self.called(at, signature.function, exprs)?, known))
    }

    /// A call of which as much is done now as its literal arguments allow.
    fn called(&self, at: u32, function: Function, mut exprs: Vec<Expr>) -> Result<Node, Fault> {
        match (function, exprs.as_slice()) {
            (Function::Matches, [_, Expr { at, node: Node::Literal(Literal::Text(pattern)) }]) => {
                let regex = Box::new(self.pattern(*at, pattern)?);
                exprs.truncate(1);
                if let Some(text) = exprs.pop() {
                    return Ok(Node::Matches(Box::new(text), regex));
                }
            }
            (Function::Part(_), [_, Expr { at, node: Node::Literal(Literal::Text(zone)) }])
                if time::offset(zone).is_none() =>
            {
                return Err(Fault::new(*at, call::UNKNOWN_ZONE));
            }
            (
                Function::Timestamp | Function::Duration | Function::Int | Function::Uint | Function::Double,
                [Expr { node: Node::Literal(literal), .. }],
            ) => {
                if let Some(literal) =
                    call::fold(function, literal).map_err(|reason| Fault::new(at, reason))?
                {
                    return Ok(Node::Literal(literal));
                }
            }
            _ => {}
        }
        Ok(Node::Call(function, exprs.into_boxed_slice()))
    }

    fn pattern(&self, at: u32, pattern: &str) -> Result<Regex, Fault> {
        self.names.patterns.set(self.names.patterns.get().saturating_add(1));
        if self.names.patterns.get() > MAX_PATTERNS {
            return Err(Fault::new(at, format!("it has more than {MAX_PATTERNS} regular expressions")));
        }
        RegexBuilder::new(pattern)
            .size_limit(self.names.max_pattern_bytes)
            .build()
            .map_err(|error| Fault::new(at, crate::rule::pattern::unreadable(&error)))
    }

    fn has(&mut self, at: u32, arguments: &[Ast]) -> Result<(Node, Known), Fault> {
        let field = |reason: &'static str| Fault::new(at, reason);
        let [Ast { shape: Shape::Walk(base, steps), at: place, .. }] = arguments else {
            return Err(field("has() takes one field, as in has(doc.total)"));
        };
        let Some((Step::Field(last_at, name), before)) = steps.split_last() else {
            return Err(field("has() takes a field, as in has(doc.total), not an index"));
        };
        let (base, known) = if before.is_empty() {
            self.part(base)?
        } else {
            let (node, known) = self.walk(base, before)?;
            (Expr { at: *place, node }, known)
        };
        if !known.kinds.meets(Kinds::MAP) {
            return Err(Fault::new(*last_at, format!("{} has no field {name:?}", known.kinds)));
        }
        Ok((Node::Has(Box::new(base), name.as_str().into()), Known::one_of(Kinds::BOOL)))
    }
}

/// All of the elements, where they are literals.
fn literals(elements: &[Ast]) -> Option<Box<[Literal]>> {
    elements
        .iter()
        .map(|element| match &element.shape {
            Shape::Literal(literal) => Some(literal.clone()),
            _ => None,
        })
        .collect()
}

/// Whether values of the two can be equal; null may be compared with everything.
const fn comparable(left: Kinds, right: Kinds) -> bool {
    left.with_numbers().meets(right) || Kinds::NULL.meets(left.or(right))
}

/// What the result of an operation can be.
fn result(operation: Operation, left: Kinds, right: Kinds) -> Kinds {
    let mut kinds = Kinds::NONE;
    let mut give = |fits: bool, result: Kinds| {
        if fits {
            kinds = kinds.or(result);
        }
    };
    let both = |kind: Kinds| left.meets(kind) && right.meets(kind);
    let numbers = if left.or(right) == Kinds::INT {
        Kinds::INT
    } else if left == Kinds::DOUBLE || right == Kinds::DOUBLE {
        Kinds::DOUBLE
    } else if left.or(right).is_within(Kinds::INTEGER) || operation == Operation::Remainder {
        Kinds::INTEGER
    } else {
        Kinds::NUMBER
    };
    let (moment, span) = (Kinds::TIMESTAMP, Kinds::DURATION);
    match operation {
        Operation::Add => {
            give(both(Kinds::NUMBER), numbers);
            give(both(Kinds::TEXT), Kinds::TEXT);
            give(both(Kinds::BYTES), Kinds::BYTES);
            give(both(Kinds::LIST), Kinds::LIST);
            give(both(span), span);
            give(left.meets(moment) && right.meets(span) || left.meets(span) && right.meets(moment), moment);
        }
        Operation::Subtract => {
            give(both(Kinds::NUMBER), numbers);
            give(both(span) || both(moment), span);
            give(left.meets(moment) && right.meets(span), moment);
        }
        Operation::Multiply | Operation::Divide => give(both(Kinds::NUMBER), numbers),
        Operation::Remainder => give(both(Kinds::INTEGER), numbers),
    }
    kinds
}
