use std::cmp::Ordering;
use std::fmt;

use mcp_core::SeamError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, Prepared, Refusal, Rule, Sight, in_field};
use crate::pointer::Pointer;
use crate::{canonical, number};

/// What stands at `path` is in a relation to what stands at `other`; where one of them is absent, nothing is compared.
///
/// Numbers are ordered by value, text by its Unicode scalar values (so dates and times only where they are written alike, with the
/// same offset); other values are equal or not. Where both paths have a `*`, they are the same up to the last one, and elements are
/// compared with themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Compare {
    /// Where the left side stands; findings are told of this place.
    pub path: String,
    /// The relation.
    pub operator: Operator,
    /// Where the right side stands.
    pub other: String,
}

/// A relation between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Less than.
    Less,
    /// Less than or equal to.
    LessOrEqual,
    /// Equal to.
    Equal,
    /// Not equal to.
    NotEqual,
    /// Greater than or equal to.
    GreaterOrEqual,
    /// Greater than.
    Greater,
}

impl Operator {
    pub(crate) const fn admits(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Less => "less than",
            Self::LessOrEqual => "at most",
            Self::Equal => "equal to",
            Self::NotEqual => "not equal to",
            Self::GreaterOrEqual => "at least",
            Self::Greater => "greater than",
        })
    }
}

impl Rule {
    /// What stands at `path` is in a relation to what stands at `other`.
    #[must_use]
    pub fn compare(
        name: impl Into<String>,
        path: impl Into<String>,
        operator: Operator,
        other: impl Into<String>,
    ) -> Self {
        Self::new(name, Check::Compare(Compare { path: path.into(), operator, other: other.into() }))
    }
}

impl Compare {
    pub(super) fn prepare(&self) -> Result<Box<dyn Prepared>, Refusal> {
        let left = Pointer::parse(&self.path).map_err(in_field("path"))?;
        let right = Pointer::parse(&self.other).map_err(in_field("other"))?;
        let (shared, left, right) = Pointer::split_shared(&left, &right).ok_or_else(|| {
            format!(
                "the paths {:?} and {:?} differ before their last '*', so no element belongs to another",
                self.path, self.other
            )
        })?;
        Ok(Box::new(Ready { shared, left, right, operator: self.operator }))
    }
}

struct Ready {
    shared: Pointer,
    left: Pointer,
    right: Pointer,
    operator: Operator,
}

impl Prepared for Ready {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        self.shared.visit(root, sight, &mut |sight, path, base| {
            let Some(base) = base else { return Ok(()) };
            let (Some(left), Some(right)) = (self.left.get(base), self.right.get(base)) else {
                return Ok(());
            };
            let place = |pointer: &Pointer| {
                let mut place = path.to_owned();
                pointer.push_onto(&mut place);
                place
            };
            match self.order(sight, left, right)? {
                Some(order) if self.operator.admits(order) => {}
                unfit => {
                    let (here, there) = (place(&self.left), place(&self.right));
                    sight.spend_path(&here)?;
                    sight.spend_path(&there)?;
                    sight.found(&here, Some(left), || match unfit {
                        Some(_) => format!("expected a value {} that at {there}", self.operator),
                        None => format!("expected a value that can be compared with that at {there}"),
                    });
                }
            }
            Ok(())
        })
    }
}

impl Ready {
    /// `None` when the two have no order and one was asked for.
    fn order(&self, sight: &Sight<'_>, left: &Value, right: &Value) -> Result<Option<Ordering>, SeamError> {
        Ok(match (left, right) {
            (Value::Number(left), Value::Number(right)) => number::compare(left, right),
            (Value::String(left), Value::String(right)) => {
                sight.spend_text(left)?;
                Some(left.cmp(right))
            }
            _ if matches!(self.operator, Operator::Equal | Operator::NotEqual) => {
                let ((left, left_steps), (right, right_steps)) =
                    (canonical::digest(left), canonical::digest(right));
                sight.spend(left_steps.saturating_add(right_steps))?;
                Some(left.cmp(&right))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::trial::{findings, paths, refusal};
    use super::*;

    #[test]
    fn each_operator_admits_its_own_orders() {
        let cases = [
            (Operator::Less, [true, false, false]),
            (Operator::LessOrEqual, [true, true, false]),
            (Operator::Equal, [false, true, false]),
            (Operator::NotEqual, [true, false, true]),
            (Operator::GreaterOrEqual, [false, true, true]),
            (Operator::Greater, [false, false, true]),
        ];
        for (operator, expected) in cases {
            let holds = [(1, 2), (2, 2), (3, 2)].map(|(a, b)| {
                paths(Rule::compare("c", "/a", operator, "/b"), &json!({"a": a, "b": b})).is_empty()
            });
            assert_eq!(holds, expected, "{operator}");
        }
    }

    #[test]
    fn elements_are_compared_with_themselves() {
        let document =
            json!({"rows": [{"from": 1, "to": {"at": 2}}, {"from": 3, "to": {"at": 2}}, {"from": 9}]});
        let found =
            findings(Rule::compare("c", "/rows/*/from", Operator::LessOrEqual, "/rows/*/to/at"), &document);
        let seen: Vec<_> =
            found.iter().map(|finding| (finding.path.as_str(), finding.message.as_str())).collect();
        assert_eq!(seen, [("/rows/1/from", "expected a value at most that at /rows/1/to/at")]);
    }

    #[test]
    fn values_without_an_order_can_be_equal_only() {
        let document = json!({"a": [1, {"x": 2}], "b": [1.0, {"x": 2.0}], "c": "1", "d": 1});
        assert_eq!(paths(Rule::compare("c", "/a", Operator::Equal, "/b"), &document), [""; 0]);
        assert_eq!(paths(Rule::compare("c", "/c", Operator::Equal, "/d"), &document), ["/c"]);
        let found = findings(Rule::compare("c", "/c", Operator::Less, "/d"), &document);
        assert_eq!(found[0].message, "expected a value that can be compared with that at /d");
    }

    #[test]
    fn text_is_ordered_by_its_characters() {
        let document = json!({"start": "2026-01-02", "end": "2026-01-01"});
        assert_eq!(paths(Rule::compare("c", "/start", Operator::LessOrEqual, "/end"), &document), ["/start"]);
    }

    #[test]
    fn stars_that_do_not_belong_together_are_refused() {
        assert!(
            refusal(Rule::compare("c", "/a/*", Operator::Less, "/b/*"))
                .contains("differ before their last '*'")
        );
        assert!(
            refusal(Rule::compare("c", "/a/*", Operator::Less, "/b"))
                .contains("differ before their last '*'")
        );
    }
}
