//! The functions: their names, what they take and what they give.

use super::kind::{Kinds, Known};
use super::time::Part;

/// A function that can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    LowerAscii,
    UpperAscii,
    Trim,
    Reverse,
    CharAt,
    Substring,
    IndexOf,
    LastIndexOf,
    Replace,
    Split,
    Join,
    Int,
    Uint,
    Double,
    Text,
    Bool,
    Bytes,
    Dyn,
    Type,
    Timestamp,
    Duration,
    Part(Part),
    Sum,
    Avg,
    Min,
    Max,
    Distinct,
    Sort,
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `name(x)`
    Global,
    /// `x.name()`
    Method,
    Both,
}

/// A row of the table: `least` of the parameters must be given. The target of a method is the first.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    pub(super) style: Style,
    pub(super) least: usize,
    pub(super) parameters: &'static [Kinds],
}

const fn row(
    name: &'static str,
    function: Function,
    style: Style,
    least: usize,
    parameters: &'static [Kinds],
) -> Signature {
    Signature { name, function, style, least, parameters }
}

const fn getter(name: &'static str, part: Part, target: &'static [Kinds]) -> Signature {
    row(name, Function::Part(part), Style::Method, 1, target)
}

const TEXT_TEXT: &[Kinds] = &[Kinds::TEXT, Kinds::TEXT];
const TEXT_TEXT_INT: &[Kinds] = &[Kinds::TEXT, Kinds::TEXT, Kinds::INT];
const OF_MOMENT: &[Kinds] = &[Kinds::TIMESTAMP, Kinds::TEXT];
const OF_BOTH: &[Kinds] = &[Kinds::TIMESTAMP.or(Kinds::DURATION), Kinds::TEXT];
const OF_SIZED: &[Kinds] = &[Kinds::TEXT.or(Kinds::BYTES).or(Kinds::LIST).or(Kinds::MAP)];
const LIST: &[Kinds] = &[Kinds::LIST];
const ANY: &[Kinds] = &[Kinds::ANY];
const NUMBER_TEXT: Kinds = Kinds::NUMBER.or(Kinds::TEXT);

const TABLE: [Signature; 42] = [
    row("size", Function::Size, Style::Both, 1, OF_SIZED),
    row("contains", Function::Contains, Style::Method, 2, TEXT_TEXT),
    row("startsWith", Function::StartsWith, Style::Method, 2, TEXT_TEXT),
    row("endsWith", Function::EndsWith, Style::Method, 2, TEXT_TEXT),
    row("matches", Function::Matches, Style::Both, 2, TEXT_TEXT),
    row("lowerAscii", Function::LowerAscii, Style::Method, 1, &[Kinds::TEXT]),
    row("upperAscii", Function::UpperAscii, Style::Method, 1, &[Kinds::TEXT]),
    row("trim", Function::Trim, Style::Method, 1, &[Kinds::TEXT]),
    row("reverse", Function::Reverse, Style::Method, 1, &[Kinds::TEXT]),
    row("charAt", Function::CharAt, Style::Method, 2, &[Kinds::TEXT, Kinds::INT]),
    row("substring", Function::Substring, Style::Method, 2, &[Kinds::TEXT, Kinds::INT, Kinds::INT]),
    row("indexOf", Function::IndexOf, Style::Method, 2, TEXT_TEXT_INT),
    row("lastIndexOf", Function::LastIndexOf, Style::Method, 2, TEXT_TEXT_INT),
    row("replace", Function::Replace, Style::Method, 3, &[Kinds::TEXT, Kinds::TEXT, Kinds::TEXT, Kinds::INT]),
    row("split", Function::Split, Style::Method, 2, TEXT_TEXT_INT),
    row("join", Function::Join, Style::Method, 1, &[Kinds::LIST, Kinds::TEXT]),
    row("int", Function::Int, Style::Global, 1, &[NUMBER_TEXT.or(Kinds::TIMESTAMP)]),
    row("uint", Function::Uint, Style::Global, 1, &[NUMBER_TEXT]),
    row("double", Function::Double, Style::Global, 1, &[NUMBER_TEXT]),
    row("string", Function::Text, Style::Global, 1, &[Kinds::ORDERED]),
    row("bool", Function::Bool, Style::Global, 1, &[Kinds::BOOL.or(Kinds::TEXT)]),
    row("bytes", Function::Bytes, Style::Global, 1, &[Kinds::BYTES.or(Kinds::TEXT)]),
    row("dyn", Function::Dyn, Style::Global, 1, ANY),
    row("type", Function::Type, Style::Global, 1, ANY),
    row(
        "timestamp",
        Function::Timestamp,
        Style::Global,
        1,
        &[Kinds::TEXT.or(Kinds::INTEGER).or(Kinds::TIMESTAMP)],
    ),
    row("duration", Function::Duration, Style::Global, 1, &[Kinds::TEXT.or(Kinds::DURATION)]),
    getter("getFullYear", Part::FullYear, OF_MOMENT),
    getter("getMonth", Part::Month, OF_MOMENT),
    getter("getDate", Part::Date, OF_MOMENT),
    getter("getDayOfMonth", Part::DayOfMonth, OF_MOMENT),
    getter("getDayOfWeek", Part::DayOfWeek, OF_MOMENT),
    getter("getDayOfYear", Part::DayOfYear, OF_MOMENT),
    getter("getHours", Part::Hours, OF_BOTH),
    getter("getMinutes", Part::Minutes, OF_BOTH),
    getter("getSeconds", Part::Seconds, OF_BOTH),
    getter("getMilliseconds", Part::Milliseconds, OF_BOTH),
    row("sum", Function::Sum, Style::Both, 1, LIST),
    row("avg", Function::Avg, Style::Both, 1, LIST),
    row("min", Function::Min, Style::Both, 1, LIST),
    row("max", Function::Max, Style::Both, 1, LIST),
    row("distinct", Function::Distinct, Style::Both, 1, LIST),
    row("sort", Function::Sort, Style::Both, 1, LIST),
];

impl Signature {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        const { &TABLE }.iter().find(|signature| signature.name == name)
    }

    /// What a call gives, as far as its arguments tell.
    pub(super) fn gives(&self, first: &Known) -> Known {
        let kinds = match self.function {
            Function::Size
            | Function::Int
            | Function::Part(_)
            | Function::IndexOf
            | Function::LastIndexOf => Kinds::INT,
            Function::Contains
            | Function::StartsWith
            | Function::EndsWith
            | Function::Matches
            | Function::Bool => Kinds::BOOL,
            Function::LowerAscii
            | Function::UpperAscii
            | Function::Trim
            | Function::Reverse
            | Function::CharAt
            | Function::Substring
            | Function::Replace
            | Function::Join
            | Function::Text => Kinds::TEXT,
            Function::Uint => Kinds::UINT,
            Function::Double | Function::Avg => Kinds::DOUBLE,
            Function::Bytes => Kinds::BYTES,
            Function::Dyn => Kinds::ANY,
            Function::Type => Kinds::TYPE,
            Function::Timestamp => Kinds::TIMESTAMP,
            Function::Duration => Kinds::DURATION,
            Function::Sum => first.elements().kinds.with_numbers().and(Kinds::NUMBER.or(Kinds::DURATION)),
            Function::Min | Function::Max => first.elements().kinds.and(Kinds::ORDERED),
            Function::Split => return Known::of(Kinds::LIST, Known::one_of(Kinds::TEXT)),
            Function::Distinct | Function::Sort => return Known::of(Kinds::LIST, first.elements()),
        };
        Known::one_of(kinds)
    }

    /// What the elements of the first argument must be, where that is a list.
    pub(super) const fn elements(&self) -> Option<Kinds> {
        match self.function {
            Function::Sum => Some(Kinds::NUMBER.or(Kinds::DURATION)),
            Function::Avg => Some(Kinds::NUMBER),
            Function::Min | Function::Max | Function::Sort => Some(Kinds::ORDERED),
            Function::Join => Some(Kinds::TEXT),
            _ => None,
        }
    }
}
