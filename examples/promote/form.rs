//! Which commands there are, and what each is about.

use crate::failure::Failure;

/// The name of each command and what follows it: what stands in brackets may be left out, and of what stands before `...` there may be more.
const FORMS: [(&str, &str); 43] = [
    ("pipeline check", "FILE"),
    ("pipeline show", "[FILE]"),
    ("request", "STAGE REF=FILE|DIGEST ..."),
    ("rollback", "STAGE"),
    ("preview", "STAGE REF=FILE|DIGEST ..."),
    ("preview rollback", "STAGE"),
    ("approve", "ID"),
    ("reject", "ID"),
    ("revoke", "ID"),
    ("veto", "ID REASON"),
    ("cancel", "ID"),
    ("pause", "ID REASON"),
    ("resume", "ID"),
    ("retry", "ID"),
    ("override", "ID REASON"),
    ("abort", "ID REASON"),
    ("acknowledge", "ID REASON"),
    ("break-glass", "ID REASON"),
    ("review", "ID NOTE"),
    ("obligations", ""),
    ("hold", "STAGE REASON"),
    ("lift", "STAGE"),
    ("release-lease", "STAGE"),
    ("plan submit", "FILE"),
    ("plan preview", "FILE"),
    ("plan show", "[PLAN]"),
    ("plan history", "PLAN"),
    ("plan wait", "PLAN"),
    ("plan cancel", "PLAN"),
    ("plan pause", "PLAN REASON"),
    ("plan resume", "PLAN"),
    ("plan abort", "PLAN REASON"),
    ("plan acknowledge", "PLAN REASON"),
    ("run", ""),
    ("wait", "ID"),
    ("status", "[ID|STAGE]"),
    ("blockers", "ID"),
    ("explain", "ID|STAGE"),
    ("timeline", "ID|STAGE"),
    ("history", "ID|STAGE"),
    ("checkpoint", ""),
    ("verify", ""),
    ("help", ""),
];

/// The command that stands at the beginning of `words`, and what it is about.
pub fn command<'a>(words: &'a [&'a str]) -> Result<(&'static str, &'a [&'a str]), Failure> {
    let Some(first) = words.first() else {
        return Err(Failure::usage("no command; see --help".to_owned()));
    };
    let pair = words.get(..2).map(|pair| pair.join(" ")).unwrap_or_default();
    let of_two = FORMS.iter().find(|(name, _)| *name == pair).map(|form| (form, 2));
    let found = of_two.or_else(|| FORMS.iter().find(|(name, _)| name == first).map(|form| (form, 1)));
    let Some(((name, takes), length)) = found else {
        let within = format!("{first} ");
        let further: Vec<&str> = FORMS.iter().filter_map(|(name, _)| name.strip_prefix(&within)).collect();
        let why = match further.as_slice() {
            [] => format!("no such command: {first:?}; see --help"),
            further => format!("{first} is followed by one of {}; see --help", further.join(", ")),
        };
        return Err(Failure::usage(why));
    };
    let about = words.get(length..).unwrap_or_default();
    if fits(takes, about.len()) {
        return Ok((name, about));
    }
    let takes = if takes.is_empty() { "nothing more" } else { takes };
    let given = if about.is_empty() { "nothing".to_owned() } else { format!("{:?}", about.join(" ")) };
    Err(Failure::usage(format!(
        "{name} takes {takes}, and was given {given}; put what has spaces in quotes, and see --help"
    )))
}

/// Whether so many words are what a form asks for.
fn fits(takes: &str, count: usize) -> bool {
    let words: Vec<&str> = takes.split_whitespace().collect();
    let more = words.last() == Some(&"...");
    let named = words.len() - usize::from(more);
    let needed = words.iter().take(named).filter(|word| !word.starts_with('[')).count();
    count >= needed && (more || count <= named)
}
