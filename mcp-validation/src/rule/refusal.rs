//! Refusing a rule with the place in it that is wrong.

/// Why a rule cannot be checked, and where in it.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Names of fields from the outermost in.
    place: Vec<String>,
    pub(crate) reason: String,
}

impl Refusal {
    pub(super) fn at<'p>(place: impl IntoIterator<Item = &'p str>, reason: String) -> Self {
        Self { place: place.into_iter().map(str::to_owned).collect(), reason }
    }

    /// The same, where that stands in the field `outer`.
    pub(super) fn within(mut self, outer: &str) -> Self {
        self.place.insert(0, outer.to_owned());
        self
    }

    /// The fields that lead to it, from the outermost in.
    pub(crate) fn place(&self) -> &[String] {
        &self.place
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { place: Vec::new(), reason }
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self::from(reason.to_owned())
    }
}
