use std::fmt;

use serde::{Deserialize, Serialize};

/// A share of records: how many of how many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Score {
    /// How many have the property; no more than the denominator.
    pub numerator: u64,
    /// How many were asked.
    pub denominator: u64,
    /// By how much the share may be wrong, from 0 to 1; 0 where all were counted, and three standard errors where a sample was.
    pub error: f64,
}

impl Score {
    /// `numerator` of `denominator`, counted.
    #[must_use]
    pub const fn new(numerator: u64, denominator: u64) -> Self {
        Self { numerator, denominator, error: 0.0 }
    }

    /// The share, from 0 to 1; `None` when none was asked, since nothing is known then.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share is shown with fewer digits than 2^53 has")]
    pub fn ratio(self) -> Option<f64> {
        (self.denominator > 0).then(|| self.numerator as f64 / self.denominator as f64)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.error > 0.0 {
            f.write_str("about ")?;
        }
        write!(f, "{} of {}", self.numerator, self.denominator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nothing_is_not_known() {
        assert_eq!(Score::new(0, 0).ratio(), None);
        assert_eq!(Score::new(1, 4).ratio(), Some(0.25));
        assert_eq!(Score::new(1, 4).to_string(), "1 of 4");
        assert_eq!(Score { error: 0.1, ..Score::new(1, 4) }.to_string(), "about 1 of 4");
    }
}
