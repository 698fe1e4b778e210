use unicode_normalization::UnicodeNormalization as _;

/// The most words of a query that count.
pub(super) const MAX_WORDS: usize = 16;
/// So many characters of a word count.
const MAX_CHARACTERS: usize = 64;

/// A text as it is compared: canonically decomposed (UAX #15), without the accents U+0300 to U+036F, in lower case.
pub(super) fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let letters = text.nfd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}'));
    letters.flat_map(char::to_lowercase).collect()
}

/// Letters, digits, and marks that belong to a letter; everything else parts words.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c)
}

/// The words of a folded text.
pub(super) fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(|c| !in_word(c)).filter(|word| !word.is_empty()).map(shortened)
}

fn shortened(word: &str) -> &str {
    match word.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => word.get(..end).unwrap_or(word),
        None => word,
    }
}

/// The text of a search, read: any text is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// The text where a name could begin with it, else empty.
    pub(super) name: String,
    /// All of them must occur.
    pub(super) phrases: Vec<Phrase>,
    /// An empty text: every name.
    pub(super) all: bool,
}

/// Words that follow one another, in one description, name, tag or author; mostly one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Phrase {
    pub(super) words: Vec<String>,
    /// The last word may be the beginning of one.
    pub(super) open: bool,
}

impl Query {
    pub(super) fn read(text: &str) -> Self {
        let text = folded(text.trim());
        let of_name = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-' | '.' | '/');
        let mut phrases = Vec::new();
        let mut left = MAX_WORDS;
        let mut parts = text.split('"').enumerate().peekable();
        while let Some((number, part)) = parts.next() {
            let last = parts.peek().is_none();
            if number % 2 == 1 {
                // Between quotation marks, or behind one that nothing closes.
                let words: Vec<String> = words(part).take(left).map(str::to_owned).collect();
                left = left.saturating_sub(words.len());
                if !words.is_empty() {
                    phrases.push(Phrase { words, open: last });
                }
                continue;
            }
            let begun = phrases.len();
            let mut rest = part;
            while let Some(start) = rest.find(in_word).filter(|_| left > 0) {
                rest = rest.get(start..).unwrap_or_default();
                let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
                let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
                let open = behind.starts_with('*');
                phrases.push(Phrase { words: vec![shortened(word).to_owned()], open });
                left = left.saturating_sub(1);
                rest = behind;
            }
            if last && let Some(phrase) = phrases.get_mut(begun..).and_then(<[Phrase]>::last_mut) {
                phrase.open = true;
            }
        }
        let name = if text.chars().all(of_name) { text.clone() } else { String::new() };
        Self { name, phrases, all: text.is_empty() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let phrases = Query::read(text).phrases;
        phrases
            .iter()
            .map(|phrase| format!("{}{}", phrase.words.join(" "), if phrase.open { "*" } else { "" }))
            .collect()
    }

    #[test]
    fn a_query_holds_words_and_phrases_only() {
        for (text, expected) in [
            ("a-b c OR d*", &["a", "b", "c", "or", "d*"][..]),
            ("'; -- \0 (*) ^", &[]),
            ("\"", &[]),
            ("\"a b\" c", &["a b", "c*"]),
            ("c \"a b\"", &["c", "a b"]),
            ("c \"a b", &["c", "a b*"]),
            ("a* b", &["a*", "b*"]),
            ("Größe GRO\u{308}ẞE", &["große", "große*"]),
            ("name:app", &["name", "app*"]),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
        assert_eq!(shown(&"x ".repeat(100)).len(), MAX_WORDS);
        assert_eq!(shown(&"y".repeat(100_000)), [format!("{}*", "y".repeat(MAX_CHARACTERS))]);
    }

    #[test]
    fn only_what_a_name_could_begin_with_is_looked_for_among_names() {
        for (text, expected) in
            [("Billing.", "billing."), ("a b", ""), ("\"a\"", ""), (" a/b ", "a/b"), ("_", "_")]
        {
            assert_eq!(Query::read(text).name, expected, "{text:?}");
        }
        assert!(Query::read(" ").all && !Query::read("*").all);
    }
}
