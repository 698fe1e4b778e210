use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

use mcp_core::SeamError;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::{Check, Prepared, Refusal, Rule, Sight, in_field};
use crate::number::compare;
use crate::pointer::Pointer;

/// What stands at `path` is a number between two bounds, of which one may be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Range {
    /// Where.
    pub path: String,
    /// Not less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Number>,
    /// More than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive_minimum: Option<Number>,
    /// Not more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Number>,
    /// Less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive_maximum: Option<Number>,
    /// A bound that no number can be, such as infinity; the rule is then refused.
    #[serde(skip)]
    unusable: bool,
}

impl Rule {
    /// What stands at `path` is a number within `bounds`, such as `0.0..=100.0`; the data form holds integers of 64 bits exactly.
    #[must_use]
    pub fn range(name: impl Into<String>, path: impl Into<String>, bounds: impl RangeBounds<f64>) -> Self {
        let mut range = Range {
            path: path.into(),
            minimum: None,
            exclusive_minimum: None,
            maximum: None,
            exclusive_maximum: None,
            unusable: false,
        };
        let mut number = |bound: f64| {
            let number = Number::from_f64(bound);
            range.unusable |= number.is_none();
            number
        };
        match bounds.start_bound() {
            Bound::Included(bound) => range.minimum = number(*bound),
            Bound::Excluded(bound) => range.exclusive_minimum = number(*bound),
            Bound::Unbounded => {}
        }
        match bounds.end_bound() {
            Bound::Included(bound) => range.maximum = number(*bound),
            Bound::Excluded(bound) => range.exclusive_maximum = number(*bound),
            Bound::Unbounded => {}
        }
        Self::new(name, Check::Range(range))
    }
}

impl Range {
    pub(super) fn prepare(&self) -> Result<Box<dyn Prepared>, Refusal> {
        if self.unusable {
            return Err("a bound is infinite or no number, leave it out instead".into());
        }
        let mut bounds = Vec::new();
        let all = [
            ("minimum", &self.minimum, "at least", [Ordering::Greater, Ordering::Equal].as_slice()),
            ("exclusive_minimum", &self.exclusive_minimum, "more than", &[Ordering::Greater]),
            ("maximum", &self.maximum, "at most", &[Ordering::Less, Ordering::Equal]),
            ("exclusive_maximum", &self.exclusive_maximum, "less than", &[Ordering::Less]),
        ];
        for (name, number, words, admitted) in all {
            if let Some(number) = number {
                if compare(number, number).is_none() {
                    return Err(in_field(name)(format!("the bound {number} is too large to compare with")));
                }
                bounds.push(AgainstBound { number: number.clone(), words, admitted });
            }
        }
        for low in [&self.minimum, &self.exclusive_minimum].into_iter().flatten() {
            for high in [&self.maximum, &self.exclusive_maximum].into_iter().flatten() {
                let exclusive = self.exclusive_minimum.as_ref() == Some(low)
                    || self.exclusive_maximum.as_ref() == Some(high);
                let order = compare(low, high);
                if order == Some(Ordering::Greater) || (order == Some(Ordering::Equal) && exclusive) {
                    return Err(format!("no number lies between {low} and {high}").into());
                }
            }
        }
        Ok(Box::new(Ready { path: Pointer::parse(&self.path).map_err(in_field("path"))?, bounds }))
    }
}

struct Ready {
    path: Pointer,
    bounds: Vec<AgainstBound>,
}

struct AgainstBound {
    number: Number,
    words: &'static str,
    admitted: &'static [Ordering],
}

impl Prepared for Ready {
    fn check(&self, root: &Value, sight: &mut Sight<'_>) -> Result<(), SeamError> {
        self.path.visit(root, sight, &mut |sight, path, value| {
            let Some(value) = value else { return Ok(()) };
            let Value::Number(number) = value else {
                sight.found(path, Some(value), || "expected a number".to_owned());
                return Ok(());
            };
            for bound in &self.bounds {
                if !compare(number, &bound.number).is_some_and(|order| bound.admitted.contains(&order)) {
                    sight.found(path, Some(value), || format!("expected {} {}", bound.words, bound.number));
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::trial::{findings, paths, refusal};
    use super::*;

    #[test]
    fn an_included_bound_is_in_and_an_excluded_one_is_out() {
        let values = json!([0.99, 1, 1.0, 1.5, 2, 2.01]);
        let check = |bounds: (Bound<f64>, Bound<f64>)| paths(Rule::range("r", "/*", bounds), &values);
        assert_eq!(check((Bound::Included(1.0), Bound::Included(2.0))), ["/0", "/5"]);
        assert_eq!(check((Bound::Excluded(1.0), Bound::Excluded(2.0))), ["/0", "/1", "/2", "/4", "/5"]);
        assert_eq!(check((Bound::Unbounded, Bound::Unbounded)), [""; 0]);
    }

    #[test]
    fn integers_of_64_bits_keep_every_digit() {
        let json = r#"{"name": "r", "check": {"range": {"path": "", "minimum": 9007199254740993}}}"#;
        let rule: Rule = serde_json::from_str(json).unwrap();
        assert_eq!(paths(rule.clone(), &json!(9_007_199_254_740_992_i64)), [""]);
        assert_eq!(paths(rule, &json!(9_007_199_254_740_993_i64)), [""; 0]);
    }

    #[test]
    fn what_is_no_number_is_found_and_what_is_absent_is_not() {
        assert_eq!(
            findings(Rule::range("r", "/a", 0.0..), &json!({"a": "1"}))[0].message,
            "expected a number"
        );
        assert_eq!(paths(Rule::range("r", "/a", ..), &json!({"a": null})), [""; 0]);
        assert_eq!(findings(Rule::range("r", "", 0.5..), &json!(0))[0].message, "expected at least 0.5");
    }

    #[test]
    fn bounds_that_admit_nothing_are_refused() {
        assert_eq!(refusal(Rule::range("r", "", 2.0..=1.0)), "no number lies between 2.0 and 1.0");
        assert_eq!(refusal(Rule::range("r", "", 1.0..1.0)), "no number lies between 1.0 and 1.0");
        assert!(refusal(Rule::range("r", "", f64::NAN..)).contains("no number"));
        assert!(refusal(Rule::range("r", "", ..f64::INFINITY)).contains("infinite"));
    }
}
