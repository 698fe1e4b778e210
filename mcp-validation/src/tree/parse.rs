//! Reading JSON text (RFC 8259) into a tree: what is accepted, and what it means, is what `serde_json` says. Whatever looks unusual is
//! given to it; so a fault found here has no words of its own.

use serde_json::Number;

use super::{Key, Node, Span, TooLarge, Tree, small};

/// Why text was not read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotRead {
    /// It nests deeper than was allowed.
    TooDeep,
    /// It is no JSON.
    Fault,
    /// A key stands more than once in its object.
    Duplicates,
    /// It has 4 GiB or more.
    TooLarge,
}

impl From<TooLarge> for NotRead {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

/// An array or object whose end is yet to come.
#[derive(Clone, Copy)]
struct Open {
    node: usize,
    length: u32,
    /// Where its keys begin; `None` for an array.
    first_key: Option<usize>,
}

struct Parser<'t> {
    text: &'t str,
    bytes: &'t [u8],
    tree: Tree,
    /// Those around the innermost one.
    around: Vec<Open>,
    /// The keys of all that are open, each object's behind those of the one around it.
    keys: Vec<Key>,
    distinct: bool,
}

impl Tree {
    /// Of JSON text.
    pub(crate) fn parse(text: &str, max_depth: usize) -> Result<Self, NotRead> {
        small(text.len())?;
        let tree =
            Self { text: text.to_owned(), nodes: Vec::with_capacity(text.len() / 8 + 4), ..Self::default() };
        let mut parser = Parser {
            text,
            bytes: text.as_bytes(),
            tree,
            around: Vec::new(),
            keys: Vec::new(),
            distinct: true,
        };
        parser.document(max_depth)?;
        if parser.distinct { Ok(parser.tree) } else { Err(NotRead::Duplicates) }
    }
}

// Where it reads is handed on from each part to the next, since the place in a field would be stored and loaded for every byte.
impl Parser<'_> {
    fn document(&mut self, max_depth: usize) -> Result<(), NotRead> {
        let mut at = 0;
        let mut open: Option<Open> = None;
        let mut depth = 0;
        loop {
            // Here a value begins.
            let byte = self.next(&mut at)?;
            match byte {
                b'"' => {
                    let span = self.string(&mut at)?;
                    self.tree.nodes.push(Node::String(span));
                }
                b'{' | b'[' => {
                    if depth >= max_depth {
                        return Err(NotRead::TooDeep);
                    }
                    depth += 1;
                    self.tree.depth = self.tree.depth.max(depth);
                    let first_key = (byte == b'{').then_some(self.keys.len());
                    let inner = Open { node: self.tree.nodes.len(), length: 0, first_key };
                    self.tree.nodes.push(Node::Null);
                    self.around.extend(open.replace(inner));
                    let end = if first_key.is_some() { b'}' } else { b']' };
                    if self.peek(&mut at) != Some(end) {
                        if first_key.is_some() {
                            self.key(&mut at)?;
                        }
                        continue;
                    }
                    at += 1;
                    depth -= 1;
                    self.close(inner)?;
                    open = self.around.pop();
                }
                b't' => self.literal(&mut at, "rue", Node::Bool(true))?,
                b'f' => self.literal(&mut at, "alse", Node::Bool(false))?,
                b'n' => self.literal(&mut at, "ull", Node::Null)?,
                b'-' | b'0'..=b'9' => self.number(&mut at)?,
                _ => return Err(NotRead::Fault),
            }
            // Here it has ended.
            loop {
                let Some(here) = &mut open else {
                    return if self.peek(&mut at).is_none() { Ok(()) } else { Err(NotRead::Fault) };
                };
                here.length = here.length.checked_add(1).ok_or(NotRead::TooLarge)?;
                match (self.next(&mut at)?, here.first_key.is_some()) {
                    (b',', true) => {
                        self.key(&mut at)?;
                        break;
                    }
                    (b',', false) => break,
                    (b'}', true) | (b']', false) => {
                        let here = *here;
                        depth -= 1;
                        self.close(here)?;
                        open = self.around.pop();
                    }
                    _ => return Err(NotRead::Fault),
                }
            }
        }
    }

    /// The next byte that is no white space, which is not taken.
    #[inline(always)]
    fn peek(&self, at: &mut usize) -> Option<u8> {
        let byte = *self.bytes.get(*at)?;
        if byte > b' ' { Some(byte) } else { self.behind_space(at) }
    }

    fn behind_space(&self, at: &mut usize) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(*at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            *at += 1;
            // Lines are often indented by eight spaces and more.
            while byte == b'\n' && self.bytes.get(*at..*at + 8) == Some(b"        ") {
                *at += 8;
            }
        }
    }

    #[inline(always)]
    fn next(&self, at: &mut usize) -> Result<u8, NotRead> {
        let byte = self.peek(at).ok_or(NotRead::Fault)?;
        *at += 1;
        Ok(byte)
    }

    fn close(&mut self, open: Open) -> Result<(), NotRead> {
        let Some(first) = open.first_key else {
            return Ok(self.tree.close_array(open.node, open.length)?);
        };
        let own = self.keys.get(first..).unwrap_or_default();
        self.distinct &= self.tree.close_object(open.node, own)?;
        self.keys.truncate(first);
        Ok(())
    }

    /// A key and its colon.
    #[inline(always)]
    fn key(&mut self, at: &mut usize) -> Result<(), NotRead> {
        if self.next(at)? != b'"' {
            return Err(NotRead::Fault);
        }
        let span = self.string(at)?;
        let node = small(self.tree.nodes.len())?;
        self.keys.push(Key::new(node, self.tree.text_bytes(span)));
        self.tree.nodes.push(Node::Key(span));
        if self.next(at)? == b':' { Ok(()) } else { Err(NotRead::Fault) }
    }

    fn literal(&mut self, at: &mut usize, rest: &str, node: Node) -> Result<(), NotRead> {
        let end = *at + rest.len();
        if self.bytes.get(*at..end) != Some(rest.as_bytes()) {
            return Err(NotRead::Fault);
        }
        *at = end;
        self.tree.nodes.push(node);
        Ok(())
    }

    /// The rest of a string whose quote was taken.
    #[inline(always)]
    fn string(&mut self, at: &mut usize) -> Result<Span, NotRead> {
        let start = *at;
        let end = plain_end(self.bytes, start);
        *at = end + 1;
        match self.bytes.get(end) {
            Some(b'"') => Ok(Span { start: small(start)?, length: small(end - start)? }),
            Some(b'\\') => {
                let (span, behind) = self.escaped(start, end)?;
                *at = behind;
                Ok(span)
            }
            _ => Err(NotRead::Fault),
        }
    }

    /// A string that begins at `start` and has its first escape at `at`; and where to go on.
    #[cold]
    fn escaped(&mut self, start: usize, mut at: usize) -> Result<(Span, usize), NotRead> {
        let into = self.tree.text.len();
        let mut from = start;
        loop {
            self.tree.text.push_str(self.text.get(from..at).ok_or(NotRead::Fault)?);
            if self.bytes.get(at) == Some(&b'"') {
                break;
            }
            let plain = match self.bytes.get(at + 1) {
                Some(b'"') => '"',
                Some(b'\\') => '\\',
                Some(b'/') => '/',
                Some(b'b') => '\u{8}',
                Some(b'f') => '\u{c}',
                Some(b'n') => '\n',
                Some(b'r') => '\r',
                Some(b't') => '\t',
                Some(b'u') => {
                    self.tree.text.truncate(into);
                    at = self.numbered(start)?;
                    break;
                }
                _ => return Err(NotRead::Fault),
            };
            self.tree.text.push(plain);
            from = at + 2;
            at = plain_end(self.bytes, from);
            if !matches!(self.bytes.get(at), Some(b'"' | b'\\')) {
                return Err(NotRead::Fault);
            }
        }
        Ok((Span { start: small(into)?, length: small(self.tree.text.len() - into)? }, at + 1))
    }

    /// Reads a string with characters by their number, which may come in pairs; where its closing quote is.
    fn numbered(&mut self, start: usize) -> Result<usize, NotRead> {
        let mut end = start;
        loop {
            match self.bytes.get(end).ok_or(NotRead::Fault)? {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let quoted = self.text.get(start - 1..end + 1).ok_or(NotRead::Fault)?;
        let text: String = serde_json::from_str(quoted).map_err(|_| NotRead::Fault)?;
        self.tree.text.push_str(&text);
        Ok(end)
    }

    /// A number whose first byte was taken.
    #[inline(always)]
    fn number(&mut self, at: &mut usize) -> Result<(), NotRead> {
        let start = *at - 1;
        let mut end = start;
        let mut whole = true;
        let mut value = 0_u64;
        while let Some(byte) = self.bytes.get(end) {
            match byte {
                // What wraps around is longer than 18 digits, and is read from its text below.
                b'0'..=b'9' => value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
                b'-' if end == start => {}
                b'.' | b'e' | b'E' | b'+' | b'-' => whole = false,
                _ => break,
            }
            end += 1;
        }
        *at = end;
        let text = self.bytes.get(start..end).unwrap_or_default();
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let usual =
            whole && (1..=18).contains(&digits.len()) && (digits.first() != Some(&b'0') || text == b"0");
        let number = match i64::try_from(value) {
            Ok(value) if usual && digits.len() < text.len() => Number::from(-value),
            Ok(_) if usual => Number::from(value),
            _ => self.text.get(start..end).and_then(unusual).ok_or(NotRead::Fault)?,
        };
        self.tree.nodes.push(Node::Number(number));
        Ok(())
    }
}

/// Whether numbers keep their text (`arbitrary_precision` of `serde_json`, which any crate of a build can turn on).
const KEEP_TEXT: bool = size_of::<Number>() > 16;

/// A number that is no short integer.
fn unusual(text: &str) -> Option<Number> {
    if KEEP_TEXT || !is_decimal(text) {
        return text.parse().ok();
    }
    // Both read to the nearest float; the standard library does so faster.
    text.parse().ok().and_then(Number::from_f64)
}

/// Whether the text is a number of JSON with a fraction or an exponent: what `str::parse` accepts besides is none.
fn is_decimal(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return false;
    }
    let mut rest = rest.get(whole..).unwrap_or_default();
    if rest.is_empty() {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = fraction.get(length..).unwrap_or_default();
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let length = digits(exponent);
        return length > 0 && length == exponent.len();
    }
    rest.is_empty()
}

/// The first place from `at` on where a quote, a backslash or a control character stands, or the end.
#[inline(always)]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut rest = bytes.get(at..).unwrap_or_default();
    // Eight bytes at a time: the high bit of each that is one of them; above the lowest there may be false ones.
    while let Some((chunk, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let equal = |byte: u8| {
            let differs = word ^ ONES.wrapping_mul(u64::from(byte));
            differs.wrapping_sub(ONES) & !differs
        };
        let control = word.wrapping_sub(ONES.wrapping_mul(0x20)) & !word;
        let found = (equal(b'"') | equal(b'\\') | control) & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
        rest = behind;
    }
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20)).unwrap_or(rest.len())
}
