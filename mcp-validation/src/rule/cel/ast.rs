//! What the parser makes of an expression: its shape, with the place of every part.

use std::collections::BTreeSet;

use super::Fault;
use super::expr::Loop;
use super::kind::Kind;
use super::time::{Moment, Span};

/// How deep expressions may stand inside one another: this bounds the stack of everything that walks them.
pub(super) const MAX_DEPTH: u32 = 32;

/// A part of an expression.
#[derive(Debug)]
pub(super) struct Ast {
    /// Where it begins, or where its operator stands: a byte of the text.
    pub(super) at: u32,
    /// One more than that of the deepest part.
    depth: u32,
    pub(super) shape: Shape,
}

/// The kinds of parts. Chains of one precedence stand side by side, not inside one another.
#[derive(Debug)]
pub(super) enum Shape {
    Literal(Literal),
    Name(String),
    /// `base.field[index]…`
    Walk(Box<Ast>, Vec<Step>),
    /// `name(arguments)`
    Call(String, Vec<Ast>),
    /// `target.name(arguments)`
    Method(Box<Ast>, String, Vec<Ast>),
    List(Vec<Ast>),
    Map(Vec<(Ast, Ast)>),
    Not(Box<Ast>),
    Minus(Box<Ast>),
    /// The first operand, then each operator with its place and the operand behind it.
    Arithmetic(Box<Ast>, Vec<(Operation, u32, Ast)>),
    Relation(Relation, Box<Ast>, Box<Ast>),
    All(Vec<Ast>),
    Any(Vec<Ast>),
    /// Condition, then, else.
    Choice(Box<[Ast; 3]>),
}

/// One step from a value to a part of it.
#[derive(Debug)]
pub(super) enum Step {
    Field(u32, String),
    Index(u32, Ast),
}

/// A value that is written out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    /// Only made of calls with literal arguments.
    Timestamp(Moment),
    Duration(Span),
}

impl Literal {
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Uint(_) => Kind::Uint,
            Self::Double(_) => Kind::Double,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Duration(_) => Kind::Duration,
        }
    }
}

/// An operator between two operands that gives a value of their kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operation {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// An operator between two operands that gives true or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    In,
}

impl Relation {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::In => "in",
        }
    }
}

impl Ast {
    /// Joins parts into a larger one, unless they would nest too deep.
    pub(super) fn new(at: u32, shape: Shape) -> Result<Self, Fault> {
        let mut inner = 0;
        let mut see = |part: &Self| inner = part.depth.max(inner);
        match &shape {
            Shape::Literal(_) | Shape::Name(_) => {}
            Shape::Not(part) | Shape::Minus(part) => see(part),
            Shape::Walk(base, steps) => {
                see(base);
                for step in steps {
                    if let Step::Index(_, index) = step {
                        see(index);
                    }
                }
            }
            Shape::Relation(_, left, right) => {
                see(left);
                see(right);
            }
            Shape::Call(_, parts) | Shape::List(parts) | Shape::All(parts) | Shape::Any(parts) => {
                parts.iter().for_each(see);
            }
            Shape::Method(target, _, arguments) => {
                see(target);
                arguments.iter().for_each(see);
            }
            Shape::Map(entries) => {
                for (key, value) in entries {
                    see(key);
                    see(value);
                }
            }
            Shape::Arithmetic(first, rest) => {
                see(first);
                rest.iter().for_each(|(_, _, part)| see(part));
            }
            Shape::Choice(parts) => parts.iter().for_each(see),
        }
        let depth = inner.saturating_add(1);
        if depth > MAX_DEPTH { Err(Fault::too_deep(at)) } else { Ok(Self { at, depth, shape }) }
    }

    /// The names that it uses and does not declare itself.
    pub(super) fn free_names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.gather(&mut Vec::new(), &mut names);
        names
    }

    fn gather<'a>(&'a self, bound: &mut Vec<&'a str>, names: &mut BTreeSet<&'a str>) {
        match &self.shape {
            Shape::Literal(_) => {}
            Shape::Name(name) => {
                if !bound.contains(&name.as_str()) {
                    names.insert(name);
                }
            }
            Shape::Not(part) | Shape::Minus(part) => part.gather(bound, names),
            Shape::Walk(base, steps) => {
                base.gather(bound, names);
                for step in steps {
                    if let Step::Index(_, index) = step {
                        index.gather(bound, names);
                    }
                }
            }
            Shape::Relation(_, left, right) => {
                left.gather(bound, names);
                right.gather(bound, names);
            }
            Shape::Call(_, parts) | Shape::List(parts) | Shape::All(parts) | Shape::Any(parts) => {
                parts.iter().for_each(|part| part.gather(bound, names));
            }
            Shape::Method(target, name, arguments) => {
                target.gather(bound, names);
                let declared = match arguments.split_first() {
                    Some((Self { shape: Shape::Name(declared), .. }, rest))
                        if Loop::named(name).is_some() =>
                    {
                        Some((declared, rest))
                    }
                    _ => None,
                };
                if let Some((declared, rest)) = declared {
                    bound.push(declared);
                    rest.iter().for_each(|part| part.gather(bound, names));
                    bound.pop();
                } else {
                    arguments.iter().for_each(|part| part.gather(bound, names));
                }
            }
            Shape::Map(entries) => {
                for (key, value) in entries {
                    key.gather(bound, names);
                    value.gather(bound, names);
                }
            }
            Shape::Arithmetic(first, rest) => {
                first.gather(bound, names);
                rest.iter().for_each(|(_, _, part)| part.gather(bound, names));
            }
            Shape::Choice(parts) => parts.iter().for_each(|part| part.gather(bound, names)),
        }
    }

    /// The same with one step more; steps in a row stand side by side.
    pub(super) fn walk(self, step: Step) -> Result<Self, Fault> {
        let at = self.at;
        match self.shape {
            Shape::Walk(base, mut steps) => {
                steps.push(step);
                Self::new(at, Shape::Walk(base, steps))
            }
            shape => {
                let base = Self { at, depth: self.depth, shape };
                Self::new(at, Shape::Walk(Box::new(base), vec![step]))
            }
        }
    }
}
