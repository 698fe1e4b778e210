//! Rules in the Common Expression Language (feature `cel`).
//!
//! The language is that of the specification of CEL (github.com/google/cel-spec), for one use: is this JSON document as it should be? The
//! document is `doc`. An expression is read, checked and compiled once, when the contract is built, and then evaluated over the document as
//! it is, without a copy.
//!
//! ```
//! use mcp_validation::{Contract, Document, Rule};
//!
//! let sum = Rule::cel("sum", "doc.total == net + doc.tax")
//!     .variable("net", "doc.lines.map(line, line.price * line.quantity).sum()")
//!     .message_cel("'expected ' + string(net + doc.tax) + ', not ' + string(doc.total)");
//! let contract = Contract::builder().rule(sum).build()?;
//! let order = r#"{"total": 8, "tax": 1.5, "lines": [{"price": 2.5, "quantity": 3}]}"#;
//! assert_eq!(contract.validate(&Document::json(order))?.findings[0].message, "expected 9, not 8");
//! # Ok::<(), mcp_validation::ValidationError>(())
//! ```
//!
//! # What is in
//! - Literals of all types, lists, maps; `+ - * / %`, `== != < <= > >=`, `in`, `!`, `&&`, `||`, `? :`, fields, indexes.
//! - `&&` and `||` as the specification wants them: one side that decides is enough, even where the other one fails. So is it with `all` and
//!   `exists`.
//! - `has`, `all`, `exists`, `exists_one`, `filter`, `map` with two or three arguments.
//! - `size`, `contains`, `startsWith`, `endsWith`, `matches` (the regular expressions of [`Pattern`](super::Pattern), in linear time),
//!   `charAt`, `indexOf`, `lastIndexOf`, `substring`, `replace`, `split`, `join`, `trim`, `reverse`, `lowerAscii`, `upperAscii`.
//! - `int`, `uint`, `double`, `string`, `bool`, `bytes`, `dyn`, `type` and the names of types.
//! - `timestamp` and `duration` with arithmetic, order and the getters (`getFullYear` and so on), in UTC or with an offset such as `"+02:00"`.
//! - Beyond CEL: `sum`, `avg`, `min`, `max`, `distinct` and `sort`, as `sum(list)` and as `list.sum()`. The sum of an empty list is 0; it has
//!   no average, minimum or maximum.
//!
//! # What is out
//! Messages and their types, macros with two variables, optional values, named time zones, and `now`: the same document gets the same report
//! at any time, so a rule has no clock. Give the moment in the document, or use a validator in code.
//!
//! # Where it differs from CEL, for those who think in JSON
//! - A number of the document without fraction or exponent is an `int` (a `uint` where only that holds it), so `doc.n + 1` works. Numbers of
//!   different types can be calculated with: with a double the result is one, so `doc.price * doc.quantity` works however the two are written.
//!   Two integers divide as integers: write `doc.n / 2.0` for a fraction.
//! - What does not fit 64 bits, and division of integers by zero, is a finding. Nothing wraps.
//! - Equal are numbers of one value, whatever their types; values of different types are not equal, and that is no failure.
//!
//! # What is found when the contract is built
//! Names that are not declared, functions that are not known or are called with too few or too many arguments, operators and functions that
//! cannot fit their operands (`1 + "a"`, `doc.x && 3`, a timestamp against text of the document), a result that cannot be true or false,
//! regular expressions, timestamps and durations that cannot be read: each with line and column in the expression.
//!
//! # What a failure is
//! What only the document decides, such as a field that is absent (`has(doc.a)` asks for it) or text where a number is needed, is a finding of
//! the rule that says so.
//!
//! # What it costs
//! A step for each part that is evaluated and each element that is looked at, and one for 64 bytes of text, so that nested loops end as
//! `Exhausted`. What one evaluation builds is bounded by four times `max_document_bytes`. An expression has at most 16 KiB and nests at most
//! 32 deep; chains of one operator nest once. A rule has at most 32 regular expressions, and as many variables. A variable is evaluated when
//! it is first used, after those that it uses itself, and once for each place that is looked at; variables may use one another, not in a
//! circle.

mod ast;
mod call;
mod eval;
mod expr;
mod function;
mod kind;
mod lex;
mod list;
mod lower;
mod operate;
mod parse;
mod text;
mod time;
mod value;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use mcp_core::SeamError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::eval::{Place, Run};
use self::expr::Expr;
use self::kind::Kinds;
use self::lower::Names;
use self::value::Val;
use super::{Check, Prepared, Refusal, Rule, Sight};
use crate::Limits;
use crate::meter::Meter;
use crate::pointer::Pointer;

/// How many times `max_document_bytes` one evaluation may build.
const BUILT_PER_DOCUMENT: u64 = 4;

/// An expression is true. See [the module](crate::rule::cel) for what can be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Cel {
    /// What must be true.
    pub expression: String,
    /// Where its findings are; with it the expression is evaluated for each place that the path names and that is there, as `value`.
    /// Empty for the whole document, evaluated once.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
}

impl Rule {
    /// `expression` is true of the document, which is called `doc`.
    #[must_use]
    pub fn cel(name: impl Into<String>, expression: impl Into<String>) -> Self {
        Self::cel_at(name, "", expression)
    }

    /// `expression` is true of each place that `path` names, which is called `value`; the document is `doc`.
    ///
    /// ```
    /// # use mcp_validation::{Contract, Document, Rule};
    /// let rule = Rule::cel_at("in-range", "/lines/*", "value.from <= value.to");
    /// let contract = Contract::builder().rule(rule).build()?;
    /// let report = contract.validate(&Document::json(r#"{"lines": [{"from": 1, "to": 2}, {"from": 2, "to": 1}]}"#))?;
    /// assert_eq!(report.findings[0].path, "/lines/1");
    /// # Ok::<(), mcp_validation::ValidationError>(())
    /// ```
    #[must_use]
    pub fn cel_at(name: impl Into<String>, path: impl Into<String>, expression: impl Into<String>) -> Self {
        Self::new(name, Check::Cel(Cel { expression: expression.into(), path: path.into() }))
    }

    /// The same with a variable: a name for `expression`, to be used by the rule's own expression, its message and its other variables.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, expression: impl Into<String>) -> Self {
        self.variables.insert(name.into(), expression.into());
        self
    }

    /// The same with a message that is an expression: it gives the text, of `doc`, of `value` and `path` of the finding, and of the variables.
    /// Where it fails, the finding says what it would say without it. It shows what it asks for, whether or not reports show values.
    #[must_use]
    pub fn message_cel(mut self, expression: impl Into<String>) -> Self {
        self.message_cel = Some(expression.into());
        self
    }
}

/// Why an expression is refused, or has no value, and at which byte of its text.
#[derive(Clone, Debug)]
struct Fault {
    at: u32,
    /// The evaluation ends here: its steps or its memory are spent.
    stops: bool,
    reason: Cow<'static, str>,
}

impl Fault {
    fn new(at: u32, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { at, stops: false, reason: reason.into() }
    }

    const fn stop() -> Self {
        Self { at: 0, stops: true, reason: Cow::Borrowed("") }
    }

    fn too_deep(at: u32) -> Self {
        Self::new(at, format!("it nests more than {} deep", ast::MAX_DEPTH))
    }

    /// Line and column, counted from 1 in characters, and the reason.
    fn show(&self, text: &str) -> String {
        let before = usize::try_from(self.at).ok().and_then(|at| text.get(..at)).unwrap_or(text);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        format!("{line}:{column}: {}", self.reason)
    }
}

/// What the expressions of one rule may use, while they are checked.
pub(super) struct Scope {
    names: Names,
    variables: Vec<Variable>,
}

/// A variable, checked.
#[derive(Debug)]
struct Variable {
    expr: Expr,
    /// The variables that it uses, and that those use, each behind what it needs: none is evaluated inside another one, which bounds the stack.
    needs: Box<[usize]>,
}

/// The most variables of one rule.
const MAX_VARIABLES: usize = 32;

impl Scope {
    /// Checks the variables of a rule.
    pub(super) fn new(
        variables: &BTreeMap<String, String>,
        has_value: bool,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let names = Names { has_value, max_pattern_bytes: limits.max_pattern_bytes, ..Names::default() };
        let mut scope = Self { names, variables: Vec::new() };
        if variables.len() > MAX_VARIABLES {
            let reason = format!("it has {} variables, at most {MAX_VARIABLES} are allowed", variables.len());
            return Err(Refusal::at(["variables"], reason));
        }
        let refuse = |name: &str, reason: String| Refusal::at(["variables", name], reason);
        let mut open: Vec<(&String, &String, ast::Ast)> = Vec::new();
        for (name, text) in variables {
            if !parse::is_free_name(name) || ["doc", "value", "path"].contains(&name.as_str()) {
                let reason = "a variable is called by letters, digits and '_', and by no word that has a meaning already";
                return Err(refuse(name, reason.to_owned()));
            }
            let ast = parse::parse(text).map_err(|fault| refuse(name, fault.show(text)))?;
            open.push((name, text, ast));
        }
        // Those that use none of the others come first.
        while !open.is_empty() {
            let names: BTreeSet<&str> = open.iter().map(|(name, ..)| name.as_str()).collect();
            let ready = open.iter().position(|(_, _, ast)| ast.free_names().is_disjoint(&names));
            let Some(ready) = ready else {
                let circle = names.into_iter().collect::<Vec<_>>();
                return Err(refuse(
                    circle.first().unwrap_or(&""),
                    format!("variables use one another in a circle: {}", circle.join(", ")),
                ));
            };
            let (name, text, ast) = open.swap_remove(ready);
            let (expr, known) =
                lower::lower(&ast, &scope.names).map_err(|fault| refuse(name, fault.show(text)))?;
            let needs = scope.needs(&ast.free_names());
            scope.names.variables.push((name.clone(), scope.variables.len(), known));
            scope.variables.push(Variable { expr, needs });
        }
        Ok(scope)
    }

    /// The variables among `names`, and what they need.
    fn needs(&self, names: &BTreeSet<&str>) -> Box<[usize]> {
        let mut needs = BTreeSet::new();
        for (name, index, _) in &self.names.variables {
            if names.contains(name.as_str()) {
                needs.insert(*index);
                needs.extend(
                    self.variables.get(*index).into_iter().flat_map(|variable| variable.needs.iter()),
                );
            }
        }
        // Each was added behind those that it uses.
        needs.into_iter().collect()
    }

    /// The condition of a rule.
    fn condition(&self, text: &str) -> Result<Program, String> {
        self.program(text, Kinds::BOOL)
    }

    /// The message of a rule, which may speak of `value` and `path`.
    pub(super) fn message(&mut self, text: &str) -> Result<Program, String> {
        (self.names.has_value, self.names.has_path) = (true, true);
        self.program(text, Kinds::TEXT)
    }

    /// An expression whose result can be of one of `kinds`.
    fn program(&self, text: &str, kinds: Kinds) -> Result<Program, String> {
        let ast = parse::parse(text).map_err(|fault| fault.show(text))?;
        let (expr, known) = lower::lower(&ast, &self.names).map_err(|fault| fault.show(text))?;
        if !known.kinds.meets(kinds) {
            return Err(Fault::new(0, format!("it gives {}, not {kinds}", known.kinds)).show(text));
        }
        Ok(Program { expr, text: text.to_owned() })
    }

    /// The variables, for the programs that were made.
    pub(super) fn into_variables(self, limits: &Limits) -> Variables {
        Variables { all: self.variables, limits: limits.clone() }
    }
}

/// The variables of a rule, checked, and what an evaluation may cost.
#[derive(Debug)]
pub(super) struct Variables {
    all: Vec<Variable>,
    limits: Limits,
}

/// One expression, checked.
#[derive(Debug)]
pub(super) struct Program {
    expr: Expr,
    text: String,
}

impl Program {
    /// Whether the condition is true; the inner error is why that cannot be told.
    fn holds(
        &self,
        variables: &Variables,
        doc: &Value,
        value: &Value,
        meter: &Meter,
    ) -> Result<Result<bool, String>, SeamError> {
        let place = Place { doc, value: Some(value), path: "" };
        let evaluated = Run::new(place, &variables.all, meter, &variables.limits).value(&self.expr)?;
        Ok(match evaluated {
            Ok(Val::Bool(truth)) => Ok(truth),
            Ok(other) => Err(format!("the rule gives {}, neither true nor false", other.kind().alone())),
            Err(fault) => Err(format!("the rule could not be decided at {}", fault.show(&self.text))),
        })
    }

    /// The text of a message; `None` where it has none.
    pub(super) fn say(
        &self,
        variables: &Variables,
        doc: &Value,
        value: Option<&Value>,
        path: &str,
        meter: &Meter,
    ) -> Option<String> {
        let place = Place { doc, value, path };
        // What is spent stays spent, so that steps which run out here end the judgement.
        match Run::new(place, &variables.all, meter, &variables.limits).value(&self.expr) {
            Ok(Ok(Val::Text(text))) => Some(super::shown(&text)),
            _ => None,
        }
    }
}

impl Cel {
    pub(super) fn prepare(
        &self,
        variables: &BTreeMap<String, String>,
        limits: &Limits,
    ) -> Result<Box<dyn Prepared>, Refusal> {
        let in_check = |field, reason| Refusal::at([field], reason).within("cel").within("check");
        let path = Pointer::parse(&self.path).map_err(|reason| in_check("path", reason))?;
        let scope = Scope::new(variables, !self.path.is_empty(), limits)?;
        let program = scope.condition(&self.expression).map_err(|reason| in_check("expression", reason))?;
        let whole = self.path.is_empty();
        Ok(Box::new(Ready {
            path,
            whole,
            program,
            variables: scope.into_variables(limits),
            shown: super::shown(&self.expression),
        }))
    }
}

struct Ready {
    path: Pointer,
    whole: bool,
    program: Program,
    variables: Variables,
    shown: String,
}

impl Ready {
    fn look(&self, root: &Value, path: &str, value: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        match self.program.holds(&self.variables, root, value, sight.meter())? {
            Ok(true) => {}
            Ok(false) => sight.found(path, Some(value), || format!("expected {} to be true", self.shown)),
            Err(reason) => sight.failed(path, Some(value), reason),
        }
        Ok(())
    }
}

impl Prepared for Ready {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        if self.whole {
            return self.look(root, "", root, sight);
        }
        self.path.visit(root, sight, &mut |sight, path, value| match value {
            Some(value) => self.look(root, path, value, sight),
            None => Ok(()),
        })
    }
}
