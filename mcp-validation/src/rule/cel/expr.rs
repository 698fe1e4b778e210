//! What is evaluated: an expression whose names, functions and types were found to be right.

use regex::Regex;

use super::ast::{Literal, Operation, Relation};
use super::function::Function;
use super::kind::Kind;

/// A part of an expression, and the byte of the text at which it stands.
#[derive(Debug)]
pub(super) struct Expr {
    pub(super) at: u32,
    pub(super) node: Node,
}

/// The kinds of parts; names are places by now.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Literal),
    Type(Kind),
    /// The whole document.
    Doc,
    /// What stands at the place that is looked at.
    Value,
    /// That place, as a JSON Pointer.
    Path,
    /// A variable of the rule, by its position.
    Variable(usize),
    /// A variable of a loop, by how many loops stand around its own.
    Local(usize),
    Walk(Box<Expr>, Box<[Move]>),
    Has(Box<Expr>, Box<str>),
    List(Box<[Expr]>),
    Map(Box<[(Expr, Expr)]>),
    Not(Box<Expr>),
    Minus(Box<Expr>),
    Arithmetic(Box<Expr>, Box<[(Operation, u32, Expr)]>),
    Relation(Relation, Box<[Expr; 2]>),
    /// `in` a list of literals, which is not built.
    InLiterals(Box<Expr>, Box<[Literal]>),
    All(Box<[Expr]>),
    Any(Box<[Expr]>),
    Choice(Box<[Expr; 3]>),
    Loop(Loop, Box<Range>),
    Matches(Box<Expr>, Box<Regex>),
    Call(Function, Box<[Expr]>),
}

/// One step from a value to a part of it.
#[derive(Debug)]
pub(super) enum Move {
    Field(u32, Box<str>),
    Index(u32, Expr),
}

/// What a loop asks of the elements of its list, or of the keys of its map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loop {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Loop {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" | "existsOne" => Self::ExistsOne,
            "filter" => Self::Filter,
            "map" => Self::Map,
            _ => return None,
        })
    }
}

/// What a loop runs over, and what it does with each element.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) over: Expr,
    /// Of `map` with three arguments: which elements count.
    pub(super) condition: Option<Expr>,
    pub(super) body: Expr,
}
