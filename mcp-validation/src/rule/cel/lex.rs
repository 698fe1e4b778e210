//! Words of the text: names, numbers, strings and signs, each with its place.

use super::Fault;
use super::ast::Literal;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// A field in back-quotes, such as `` `content-type` ``.
    Quoted(String),
    Literal(Literal),
    /// The digits of an integer, and its base: only with its sign is it known whether it fits.
    Integer(String, u32),
    Sign(&'static str),
}

/// Longer ones first, so that `<=` is not read as `<`.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "-", "+", "*", "/", "%", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}",
];

/// Reads the whole text; each word with the byte at which it begins.
pub(super) fn tokens(text: &str) -> Result<Vec<(u32, Token)>, Fault> {
    let mut lexer = Lexer { text, rest: text };
    let mut tokens = Vec::new();
    loop {
        lexer.skip();
        if lexer.rest.is_empty() {
            return Ok(tokens);
        }
        let at = lexer.at();
        tokens.push((at, lexer.token(at)?));
    }
}

struct Lexer<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Lexer<'t> {
    fn at(&self) -> u32 {
        u32::try_from(self.text.len() - self.rest.len()).unwrap_or(u32::MAX)
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let (head, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        head
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        self.take(self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len()))
    }

    /// White space, and comments up to the end of their line.
    fn skip(&mut self) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}'));
            if !self.rest.starts_with("//") {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn token(&mut self, at: u32) -> Result<Token, Fault> {
        let mut ahead = self.rest.chars();
        let (first, second) = (ahead.next().unwrap_or(' '), ahead.next().unwrap_or(' '));
        if let Some(literal) = self.string(at)? {
            return Ok(Token::Literal(literal));
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(Token::Name(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned()));
        }
        if first.is_ascii_digit() || (first == '.' && second.is_ascii_digit()) {
            return self.number(at);
        }
        if first == '`' {
            self.take(1);
            let name = self.take_while(|c| c != '`' && c != '\n').to_owned();
            if self.take(1) != "`" {
                return Err(Fault::new(at, "this back-quote is not closed"));
            }
            return Ok(Token::Quoted(name));
        }
        match SIGNS.iter().find(|sign| self.rest.starts_with(**sign)) {
            Some(sign) => {
                self.take(sign.len());
                Ok(Token::Sign(sign))
            }
            None => Err(Fault::new(at, format!("the character {first:?} has no meaning here"))),
        }
    }

    fn number(&mut self, at: u32) -> Result<Token, Fault> {
        let start = self.rest;
        let hexadecimal = start.starts_with("0x") || start.starts_with("0X");
        if hexadecimal {
            self.take(2);
        }
        let digits =
            self.take_while(|c| if hexadecimal { c.is_ascii_hexdigit() } else { c.is_ascii_digit() });
        let mut double = false;
        if !hexadecimal {
            let behind_point = self.rest.strip_prefix('.').and_then(|rest| rest.chars().next());
            if behind_point.is_some_and(|c| c.is_ascii_digit()) {
                double = true;
                self.take(1);
                self.take_while(|c| c.is_ascii_digit());
            }
            if let Some(exponent) = self.rest.strip_prefix(['e', 'E']) {
                let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
                    double = true;
                    self.take(1 + exponent.len() - unsigned.len());
                    self.take_while(|c| c.is_ascii_digit());
                }
            }
        }
        let written = start.get(..start.len() - self.rest.len()).unwrap_or_default();
        let token = if double {
            let value: f64 = written.parse().map_err(|_| Fault::new(at, "this is no number"))?;
            if value.is_infinite() {
                return Err(Fault::new(at, "this number is too large"));
            }
            Token::Literal(Literal::Double(value))
        } else {
            let base = if hexadecimal { 16 } else { 10 };
            if self.rest.starts_with(['u', 'U']) {
                self.take(1);
                let value = u64::from_str_radix(digits, base)
                    .map_err(|_| Fault::new(at, "this is no unsigned integer of 64 bits"))?;
                Token::Literal(Literal::Uint(value))
            } else {
                Token::Integer(digits.to_owned(), base)
            }
        };
        if self.rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Fault::new(at, "a name or another number follows this number without a space"));
        }
        Ok(token)
    }

    /// A string or bytes, where they begin here: up to two prefixes, then one or three quotes.
    fn string(&mut self, at: u32) -> Result<Option<Literal>, Fault> {
        let prefix = self.rest.find(|c: char| !matches!(c, 'r' | 'R' | 'b' | 'B')).unwrap_or(self.rest.len());
        let (prefix, rest) = self.rest.split_at_checked(prefix).unwrap_or(("", self.rest));
        let (raw, bytes) = match prefix.to_ascii_lowercase().as_str() {
            "" => (false, false),
            "r" => (true, false),
            "b" => (false, true),
            "br" | "rb" => (true, true),
            _ => return Ok(None),
        };
        let Some(quotes) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| rest.starts_with(quotes))
        else {
            return Ok(None);
        };
        self.take(prefix.len() + quotes.len());
        let mut content = Vec::new();
        loop {
            let place = self.at();
            if self.rest.starts_with(quotes) {
                self.take(quotes.len());
                break;
            }
            let Some(character) = self.rest.chars().next() else {
                return Err(Fault::new(at, format!("this text is not closed, {quotes} is missing")));
            };
            if quotes.len() == 1 && matches!(character, '\n' | '\r') {
                return Err(Fault::new(
                    at,
                    format!("this text is not closed on its line, {quotes} is missing"),
                ));
            }
            let written = self.take(character.len_utf8());
            if character == '\\' && !raw {
                self.escape(place, bytes, &mut content)?;
            } else {
                content.extend_from_slice(written.as_bytes());
            }
        }
        if bytes {
            return Ok(Some(Literal::Bytes(content.into_boxed_slice())));
        }
        match String::from_utf8(content) {
            Ok(text) => Ok(Some(Literal::Text(text.into_boxed_str()))),
            Err(_) => Err(Fault::new(at, "this text is not of Unicode characters")),
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self, at: u32, bytes: bool, content: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(character) = self.rest.chars().next() else {
            return Err(Fault::new(at, "nothing follows this backslash"));
        };
        let plain = match character {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' | '\'' | '"' | '`' | '?' => u8::try_from(character).ok(),
            _ => None,
        };
        if let Some(byte) = plain {
            self.take(1);
            content.push(byte);
            return Ok(());
        }
        let (marks, digits, base) = match character {
            'x' | 'X' => (1, 2, 16),
            'u' if !bytes => (1, 4, 16),
            'U' if !bytes => (1, 8, 16),
            '0'..='3' => (0, 3, 8),
            _ => return Err(Fault::new(at, format!("the escape \\{character} is not known"))),
        };
        self.take(marks);
        let written = self.rest.get(..digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = written.and_then(|digits| u32::from_str_radix(digits, base).ok());
        self.take(if code.is_some() { digits } else { 0 });
        let Some(code) = code else {
            return Err(Fault::new(at, format!("{digits} digits are needed in this escape")));
        };
        if bytes {
            content.push(u8::try_from(code).map_err(|_| Fault::new(at, "this is no byte"))?);
            return Ok(());
        }
        let character =
            char::from_u32(code).ok_or_else(|| Fault::new(at, "this is no character of Unicode"))?;
        content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}
