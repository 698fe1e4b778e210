//! Reads an expression by the grammar of CEL's specification ("Syntax"), by precedence climbing.

use super::Fault;
use super::ast::{Ast, Literal, MAX_DEPTH, Operation, Relation, Shape, Step};
use super::lex::{Token, tokens};

/// The longest expression, in bytes.
pub(super) const MAX_BYTES: usize = 16 << 10;

/// Names that the specification keeps for languages around CEL; they can be fields, but not variables or functions.
const RESERVED: [&str; 15] = [
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "return", "var", "void",
];
const KEYWORDS: [&str; 4] = ["in", "true", "false", "null"];

/// Whether `name` can be that of a variable.
pub(super) fn is_free_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !is_taken(name)
}

fn is_taken(name: &str) -> bool {
    RESERVED.contains(&name) || KEYWORDS.contains(&name) || ["namespace", "while"].contains(&name)
}

/// Reads one expression.
pub(super) fn parse(text: &str) -> Result<Ast, Fault> {
    if text.len() > MAX_BYTES {
        return Err(Fault::new(0, format!("it has {} bytes, at most {MAX_BYTES} are allowed", text.len())));
    }
    let tokens = tokens(text)?;
    let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut parser = Parser { tokens, next: 0, end, depth: 0 };
    if parser.tokens.is_empty() {
        return Err(Fault::new(0, "it is empty, an expression is needed"));
    }
    let ast = parser.expression()?;
    match parser.peek() {
        None => Ok(ast),
        Some(_) => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    tokens: Vec<(u32, Token)>,
    next: usize,
    end: u32,
    depth: u32,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn at(&self) -> u32 {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    fn advance(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.next = self.next.saturating_add(1);
        token
    }

    fn sees(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(seen)) if *seen == sign)
    }

    fn accept(&mut self, sign: &str) -> bool {
        let seen = self.sees(sign);
        if seen {
            self.next = self.next.saturating_add(1);
        }
        seen
    }

    fn expect(&mut self, sign: &str, why: &str) -> Result<(), Fault> {
        if self.accept(sign) { Ok(()) } else { Err(self.unexpected(&format!("{sign:?} {why}"))) }
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let seen = match self.peek() {
            None => "the end".to_owned(),
            Some(Token::Name(name)) => format!("{name:?}"),
            Some(Token::Quoted(name)) => format!("`{name}`"),
            Some(Token::Sign(sign)) => format!("{sign:?}"),
            Some(Token::Integer(..) | Token::Literal(_)) => "a value".to_owned(),
        };
        Fault::new(self.at(), format!("expected {wanted}, found {seen}"))
    }

    /// Every way into the grammar's recursion leads through here or through [`unary`](Self::unary).
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::too_deep(self.at()));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn expression(&mut self) -> Result<Ast, Fault> {
        self.deeper(|parser| {
            let condition = parser.any()?;
            let at = parser.at();
            if !parser.accept("?") {
                return Ok(condition);
            }
            let then = parser.any()?;
            parser.expect(":", "between the two results of '?'")?;
            let otherwise = parser.expression()?;
            Ast::new(at, Shape::Choice(Box::new([condition, then, otherwise])))
        })
    }

    fn any(&mut self) -> Result<Ast, Fault> {
        self.joined("||", Self::all, Shape::Any)
    }

    fn all(&mut self) -> Result<Ast, Fault> {
        self.joined("&&", Self::relation, Shape::All)
    }

    fn joined(
        &mut self,
        sign: &str,
        part: fn(&mut Self) -> Result<Ast, Fault>,
        join: fn(Vec<Ast>) -> Shape,
    ) -> Result<Ast, Fault> {
        let first = part(self)?;
        let at = self.at();
        if !self.sees(sign) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.accept(sign) {
            parts.push(part(self)?);
        }
        Ast::new(at, join(parts))
    }

    fn relation(&mut self) -> Result<Ast, Fault> {
        let mut left = self.sum()?;
        loop {
            let at = self.at();
            let relation = match self.peek() {
                Some(Token::Sign("<")) => Relation::Less,
                Some(Token::Sign("<=")) => Relation::LessOrEqual,
                Some(Token::Sign(">")) => Relation::Greater,
                Some(Token::Sign(">=")) => Relation::GreaterOrEqual,
                Some(Token::Sign("==")) => Relation::Equal,
                Some(Token::Sign("!=")) => Relation::NotEqual,
                Some(Token::Name(name)) if name == "in" => Relation::In,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.sum()?;
            left = Ast::new(at, Shape::Relation(relation, Box::new(left), Box::new(right)))?;
        }
    }

    fn sum(&mut self) -> Result<Ast, Fault> {
        self.chain(Self::product, |sign| match sign {
            "+" => Some(Operation::Add),
            "-" => Some(Operation::Subtract),
            _ => None,
        })
    }

    fn product(&mut self) -> Result<Ast, Fault> {
        self.chain(Self::unary, |sign| match sign {
            "*" => Some(Operation::Multiply),
            "/" => Some(Operation::Divide),
            "%" => Some(Operation::Remainder),
            _ => None,
        })
    }

    fn chain(
        &mut self,
        part: fn(&mut Self) -> Result<Ast, Fault>,
        operation: fn(&str) -> Option<Operation>,
    ) -> Result<Ast, Fault> {
        let first = part(self)?;
        let mut rest = Vec::new();
        while let Some(Token::Sign(sign)) = self.peek()
            && let Some(operation) = operation(sign)
        {
            let at = self.at();
            self.advance();
            rest.push((operation, at, part(self)?));
        }
        match rest.first() {
            None => Ok(first),
            Some((_, at, _)) => Ast::new(*at, Shape::Arithmetic(Box::new(first), rest)),
        }
    }

    fn unary(&mut self) -> Result<Ast, Fault> {
        let at = self.at();
        for sign in ["!", "-"] {
            if !self.accept(sign) {
                continue;
            }
            if sign == "-"
                && matches!(self.peek(), Some(Token::Integer(..) | Token::Literal(Literal::Double(_))))
            {
                return self.member(true, at);
            }
            return self.deeper(|parser| {
                let part = Box::new(parser.unary()?);
                Ast::new(at, if sign == "!" { Shape::Not(part) } else { Shape::Minus(part) })
            });
        }
        self.member(false, at)
    }

    /// A primary with the fields, indexes and calls behind it; `negative` when a minus stood before its number.
    fn member(&mut self, negative: bool, at: u32) -> Result<Ast, Fault> {
        let mut ast = self.primary(negative, at)?;
        loop {
            let at = self.at();
            if self.accept(".") {
                let (at, name, quoted) = self.field()?;
                if !quoted && self.accept("(") {
                    let arguments = self.list(")")?;
                    ast = Ast::new(at, Shape::Method(Box::new(ast), name, arguments))?;
                } else if self.sees("{") {
                    return Err(self.unexpected("an operator (messages are not made here)"));
                } else {
                    ast = ast.walk(Step::Field(at, name))?;
                }
            } else if self.accept("[") {
                let index = self.expression()?;
                self.expect("]", "to close the '['")?;
                ast = ast.walk(Step::Index(at, index))?;
            } else {
                return Ok(ast);
            }
        }
    }

    fn field(&mut self) -> Result<(u32, String, bool), Fault> {
        let at = self.at();
        match self.peek() {
            Some(Token::Name(name)) if !KEYWORDS.contains(&name.as_str()) => {
                let name = name.clone();
                self.advance();
                Ok((at, name, false))
            }
            Some(Token::Quoted(name)) => {
                let name = name.clone();
                self.advance();
                Ok((at, name, true))
            }
            _ => Err(self.unexpected("the name of a field")),
        }
    }

    fn primary(&mut self, negative: bool, place: u32) -> Result<Ast, Fault> {
        let at = self.at();
        // A leading point asks for the outermost meaning of a name; there is only one.
        if self.accept(".") && !matches!(self.peek(), Some(Token::Name(_))) {
            return Err(self.unexpected("a name"));
        }
        match self.peek() {
            Some(Token::Integer(digits, base)) => {
                let signed = if negative { format!("-{digits}") } else { digits.clone() };
                let value = i64::from_str_radix(&signed, *base)
                    .map_err(|_| Fault::new(at, "this is no integer of 64 bits"))?;
                self.advance();
                Ast::new(place, Shape::Literal(Literal::Int(value)))
            }
            Some(Token::Literal(literal)) => {
                let literal = match literal {
                    Literal::Double(double) if negative => Literal::Double(-double),
                    other => other.clone(),
                };
                self.advance();
                Ast::new(place, Shape::Literal(literal))
            }
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.named(at, name)
            }
            Some(Token::Sign("(")) => {
                self.advance();
                let inner = self.expression()?;
                self.expect(")", "to close the '('")?;
                Ok(inner)
            }
            Some(Token::Sign("[")) => {
                self.advance();
                let elements = self.list("]")?;
                Ast::new(at, Shape::List(elements))
            }
            Some(Token::Sign("{")) => {
                self.advance();
                let entries = self.entries()?;
                Ast::new(at, Shape::Map(entries))
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    fn named(&mut self, at: u32, name: String) -> Result<Ast, Fault> {
        let literal = match name.as_str() {
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "null" => Some(Literal::Null),
            _ => None,
        };
        if literal.is_none() && is_taken(&name) {
            return Err(Fault::new(at, format!("the name {name:?} is reserved")));
        }
        self.advance();
        if let Some(literal) = literal {
            return Ast::new(at, Shape::Literal(literal));
        }
        if self.accept("(") {
            let arguments = self.list(")")?;
            return Ast::new(at, Shape::Call(name, arguments));
        }
        if self.sees("{") {
            return Err(self.unexpected("an operator (messages are not made here)"));
        }
        Ast::new(at, Shape::Name(name))
    }

    /// Expressions up to `close`, which is taken too. Only a list may end in a comma.
    fn list(&mut self, close: &str) -> Result<Vec<Ast>, Fault> {
        let mut parts = Vec::new();
        while !self.accept(close) {
            if !parts.is_empty() {
                self.expect(",", &format!("or {close:?}"))?;
                if close == "]" && self.accept(close) {
                    break;
                }
            }
            parts.push(self.expression()?);
        }
        Ok(parts)
    }

    fn entries(&mut self) -> Result<Vec<(Ast, Ast)>, Fault> {
        let mut entries = Vec::new();
        while !self.accept("}") {
            if !entries.is_empty() {
                self.expect(",", "or \"}\"")?;
                if self.accept("}") {
                    break;
                }
            }
            let key = self.expression()?;
            self.expect(":", "behind a key")?;
            entries.push((key, self.expression()?));
        }
        Ok(entries)
    }
}
