//! The message of a rule: plain, or an expression.

use serde_json::Value;

use super::{Refusal, Rule};
use crate::{Findings, Limits};

/// What the findings of a rule say instead of the text of its check.
pub(crate) struct Wording {
    plain: Option<String>,
    #[cfg(feature = "cel")]
    cel: Option<(super::cel::Program, super::cel::Variables)>,
}

impl Wording {
    #[cfg(feature = "cel")]
    pub(super) fn prepare(rule: &Rule, limits: &Limits) -> Result<Self, Refusal> {
        let cel = match &rule.message_cel {
            None => None,
            Some(text) => {
                let mut scope = super::cel::Scope::new(&rule.variables, true, limits)?;
                let program = scope.message(text).map_err(|reason| Refusal::at(["message_cel"], reason))?;
                Some((program, scope.into_variables(limits)))
            }
        };
        Ok(Self { plain: rule.message.as_deref().map(super::shown), cel })
    }

    #[cfg(not(feature = "cel"))]
    pub(super) fn prepare(rule: &Rule, _limits: &Limits) -> Result<Self, Refusal> {
        Ok(Self { plain: rule.message.as_deref().map(super::shown) })
    }

    /// The rule's own words about `value` at `path`; `None` where it has none.
    #[cfg(feature = "cel")]
    pub(super) fn say(
        &self,
        findings: &Findings,
        root: &Value,
        path: &str,
        value: Option<&Value>,
    ) -> Option<String> {
        // Whoever asks for the verdict only reads no message.
        let said = self.cel.as_ref().filter(|_| !findings.wants_verdict_only());
        let said =
            said.and_then(|(program, variables)| program.say(variables, root, value, path, findings.meter()));
        said.or_else(|| self.plain.clone())
    }

    #[cfg(not(feature = "cel"))]
    pub(super) fn say(
        &self,
        _findings: &Findings,
        _root: &Value,
        _path: &str,
        _value: Option<&Value>,
    ) -> Option<String> {
        self.plain.clone()
    }

    #[cfg(test)]
    pub(crate) const fn none() -> Self {
        Self {
            plain: None,
            #[cfg(feature = "cel")]
            cel: None,
        }
    }
}
