//! Licence expressions of SPDX, by the grammar of its specification (version 3.0, annex "SPDX license expressions").

use spdx::identifiers::{EXCEPTIONS, LICENSES};

/// Whether `text` is an expression of licences and exceptions that SPDX lists, or of `LicenseRef-` and `AdditionRef-` names. Deprecated
/// identifiers count; the case of listed ones does not matter, as the specification says. `NONE` and `NOASSERTION` are no expressions.
pub(super) fn is_expression(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut open = 0_usize;
    let mut expects_licence = true;
    let mut words = spaced.split_ascii_whitespace().peekable();
    while let Some(word) = words.next() {
        match word {
            "(" if expects_licence => open = open.saturating_add(1),
            ")" if !expects_licence && open > 0 => open -= 1,
            "AND" | "OR" | "and" | "or" if !expects_licence => expects_licence = true,
            word if expects_licence && is_licence(word) => {
                expects_licence = false;
                if matches!(words.peek(), Some(&("WITH" | "with"))) {
                    words.next();
                    if !words.next().is_some_and(is_addition) {
                        return false;
                    }
                }
            }
            _ => return false,
        }
    }
    !expects_licence && open == 0
}

fn is_licence(word: &str) -> bool {
    let listed = |name: &str| LICENSES.iter().any(|licence| licence.name.eq_ignore_ascii_case(name));
    is_reference(word, "LicenseRef-") || listed(word) || word.strip_suffix('+').is_some_and(listed)
}

fn is_addition(word: &str) -> bool {
    is_reference(word, "AdditionRef-") || EXCEPTIONS.iter().any(|one| one.name.eq_ignore_ascii_case(word))
}

/// A name of one's own, that another document may declare.
fn is_reference(word: &str, prefix: &str) -> bool {
    let is_id =
        |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let own = match word.strip_prefix("DocumentRef-") {
        Some(rest) => match rest.split_once(':') {
            Some((document, own)) if is_id(document) => own,
            _ => return false,
        },
        None => word,
    };
    own.strip_prefix(prefix).is_some_and(is_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_joins_what_spdx_lists() {
        for text in [
            "MIT",
            "mit",
            "MIT OR Apache-2.0",
            "(MIT AND (BSD-3-Clause or ISC)) OR GPL-2.0-or-later WITH Classpath-exception-2.0",
            "GPL-2.0+",
            "GPL-2.0",
            "Apache-2.0+",
            "LicenseRef-own.1",
            "DocumentRef-spdx-1:LicenseRef-own",
            "(MIT)",
            "Unicode-3.0",
            "GPL-3.0-only WITH AdditionRef-mine",
        ] {
            assert!(is_expression(text), "{text:?} should be one");
        }
        for text in [
            "",
            " ",
            "MIT/Apache-2.0",
            "MIT Apache-2.0",
            "MIT OR",
            "OR MIT",
            "(MIT",
            "MIT)",
            "()",
            "MIT And ISC",
            "NotALicence",
            "MIT WITH",
            "MIT WITH MIT",
            "MIT ++",
            "MIT +",
            "LicenseRef-",
            "LicenseRef-a_b",
            "DocumentRef-:LicenseRef-a",
            "NONE",
            "(MIT OR ISC) WITH Classpath-exception-2.0",
            "MIT\u{a0}OR ISC",
        ] {
            assert!(!is_expression(text), "{text:?} should be none");
        }
        assert!(is_expression(&format!("{}MIT{}", "(".repeat(50_000), ")".repeat(50_000))));
    }
}
