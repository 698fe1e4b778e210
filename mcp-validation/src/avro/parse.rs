//! Reads schema text: names and namespaces, references to other documents, and defaults checked against their types.

use std::collections::{BTreeMap, BTreeSet};

use mcp_core::{ErrorKind, SeamError};
use serde_json::{Map, Value};

use super::json;
use super::logical::Logical;
use super::schema::{Field, Kind, Named, Schema, Symbols, Type, TypeId};
use crate::findings::shortened;
use crate::pointer::push_segment;
use crate::schema_text::{read, value_of};
use crate::{Limits, SchemaSource};

/// Reads a schema and what it may refer to. References may refer to each other in any order; within a document a name is defined
/// before it is used.
pub(super) fn parse(source: &SchemaSource<'_>) -> Result<Schema, SeamError> {
    let root = read(source.text, "the schema", source.limits)?;
    let mut parser = Parser::default();
    let mut seen = BTreeSet::new();
    for reference in source.references {
        // One document under two names, as different registries have it, is one document.
        if !seen.insert(reference.text.as_str()) {
            continue;
        }
        let name = shortened(reference.uri.clone());
        let document = read(&reference.text, &format!("the reference {name:?}"), source.limits)?;
        parser.begin(format!("{name}#"));
        parser.any(value_of(&document), "")?;
    }
    parser.begin(String::new());
    let id = parser.any(value_of(&root), "")?;
    parser.finish(id, source.limits)
}

#[derive(Default)]
struct Parser {
    types: Vec<Option<Type>>,
    names: BTreeMap<String, TypeId>,
    /// Names that were used before they were defined, with the document and the place of the first use.
    wanted: BTreeMap<String, (usize, String)>,
    primitives: BTreeMap<&'static str, TypeId>,
    /// Of the document that is being read.
    document: usize,
    path: String,
}

fn broken(path: &str, reason: &str) -> SeamError {
    let place = if path.is_empty() || path.ends_with('#') {
        format!("{path} its root")
    } else {
        shortened(path.to_owned())
    };
    SeamError::new(ErrorKind::Invalid, format!("read the schema: at {}, {reason}", place.trim_start()))
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Parser {
    fn begin(&mut self, prefix: String) {
        self.document += 1;
        self.path = prefix;
    }

    fn broken(&self, reason: &str) -> SeamError {
        broken(&self.path, reason)
    }

    fn add(&mut self, kind: Kind, logical: Option<Logical>) -> TypeId {
        self.types.push(Some(Type { kind, logical }));
        self.types.len() - 1
    }

    /// Reads below a member, whose place is told when something is wrong there.
    fn below<T>(
        &mut self,
        segments: &[&str],
        work: impl FnOnce(&mut Self) -> Result<T, SeamError>,
    ) -> Result<T, SeamError> {
        let before = self.path.len();
        for segment in segments {
            push_segment(&mut self.path, segment);
        }
        let outcome = work(self)?;
        self.path.truncate(before);
        Ok(outcome)
    }

    /// Recursive: the text is no deeper than [`Limits::DEEPEST`].
    fn any(&mut self, value: &Value, namespace: &str) -> Result<TypeId, SeamError> {
        match value {
            Value::String(word) => self.word(word, namespace, None),
            Value::Array(branches) => self.union(branches, namespace),
            Value::Object(attributes) => match attributes.get("type") {
                Some(Value::String(word)) => match word.as_str() {
                    "record" | "error" => self.record(attributes, namespace),
                    "enum" => self.symbols(attributes, namespace),
                    "fixed" => self.fixed(attributes, namespace),
                    "array" => {
                        let items = self.inner(attributes, "items", namespace)?;
                        Ok(self.add(Kind::Array(items), None))
                    }
                    "map" => {
                        let values = self.inner(attributes, "values", namespace)?;
                        Ok(self.add(Kind::Map(values), None))
                    }
                    word => self.word(word, namespace, Some(attributes)),
                },
                Some(inner @ (Value::Object(_) | Value::Array(_))) => {
                    self.below(&["type"], |parser| parser.any(inner, namespace))
                }
                _ => Err(self.broken("the type is missing")),
            },
            _ => Err(self.broken("a type is a name, an object or an array of types")),
        }
    }

    fn inner(
        &mut self,
        attributes: &Map<String, Value>,
        member: &'static str,
        namespace: &str,
    ) -> Result<TypeId, SeamError> {
        let Some(inner) = attributes.get(member) else {
            return Err(self.broken(&format!("{member:?} is missing")));
        };
        self.below(&[member], |parser| parser.any(inner, namespace))
    }

    /// A primitive type, or the name of another.
    fn word(
        &mut self,
        word: &str,
        namespace: &str,
        attributes: Option<&Map<String, Value>>,
    ) -> Result<TypeId, SeamError> {
        if let Some(kind) = Kind::primitive(word) {
            let logical = attributes.and_then(|attributes| Logical::parse(&kind, attributes));
            let word = kind.word();
            if logical.is_some() {
                return Ok(self.add(kind, logical));
            }
            if let Some(id) = self.primitives.get(word) {
                return Ok(*id);
            }
            let id = self.add(kind, None);
            self.primitives.insert(word, id);
            return Ok(id);
        }
        if !word.split('.').all(is_name) {
            return Err(self.broken(&format!("{:?} is no name of a type", shortened(word.to_owned()))));
        }
        let full = in_namespace(word, namespace);
        if let Some(id) = self.names.get(&full) {
            return Ok(*id);
        }
        self.types.push(None);
        let id = self.types.len() - 1;
        self.names.insert(full.clone(), id);
        self.wanted.insert(full, (self.document, self.path.clone()));
        Ok(id)
    }

    fn union(&mut self, branches: &[Value], namespace: &str) -> Result<TypeId, SeamError> {
        let mut ids = Vec::with_capacity(branches.len());
        let mut labels = BTreeSet::new();
        let mut rows = BTreeSet::new();
        for (index, branch) in branches.iter().enumerate() {
            let id = self.below(&[&index.to_string()], |parser| {
                let id = parser.any(branch, namespace)?;
                match parser.types.get(id) {
                    Some(Some(Type { kind: Kind::Union(_), .. })) => {
                        Err(parser.broken("a union stands directly in a union"))
                    }
                    // Names are told apart by their rows.
                    Some(Some(found)) if found.named().is_none() => {
                        if labels.insert(found.kind.word()) {
                            return Ok(id);
                        }
                        let word = found.kind.word();
                        Err(parser.broken(&format!("the union has a branch of the type {word} before")))
                    }
                    _ if rows.insert(id) => Ok(id),
                    _ => Err(parser.broken("the union has this branch before")),
                }
            })?;
            ids.push(id);
        }
        Ok(self.add(Kind::Union(ids), None))
    }

    /// The name of a type that is defined here, its row, and the namespace inside it.
    fn define(
        &mut self,
        attributes: &Map<String, Value>,
        namespace: &str,
    ) -> Result<(Named, TypeId, String), SeamError> {
        let Some(name) = attributes.get("name").and_then(Value::as_str) else {
            return Err(self.broken("the name is missing"));
        };
        let own = match attributes.get("namespace") {
            None | Some(Value::Null) => namespace,
            Some(Value::String(own)) => own,
            Some(_) => return Err(self.broken("the namespace is no text")),
        };
        let full = in_namespace(name, own);
        if !full.split('.').all(is_name) {
            return Err(self.broken(&format!(
                "{:?} is no name: letters, digits and '_', beginning with no digit, with dots between its parts",
                shortened(full)
            )));
        }
        if Kind::primitive(&full).is_some() {
            return Err(self.broken(&format!("{full:?} is the name of a primitive type")));
        }
        let inside = full.rsplit_once('.').map_or("", |(inside, _)| inside).to_owned();
        let aliases = self.aliases(attributes)?.iter().map(|alias| in_namespace(alias, &inside)).collect();
        let id = match (self.names.get(&full), self.wanted.remove(&full)) {
            (Some(id), Some((document, _))) if document != self.document => *id,
            (Some(_), Some((_, place))) => {
                return Err(SeamError::new(
                    ErrorKind::NotFound,
                    format!(
                        "resolve the name {:?} at {:?}: it is defined behind its first use, define it there",
                        shortened(full),
                        shortened(place)
                    ),
                ));
            }
            (Some(_), None) => {
                return Err(self.broken(&format!("the name {:?} is defined a second time", shortened(full))));
            }
            (None, _) => {
                self.types.push(None);
                let id = self.types.len() - 1;
                self.names.insert(full.clone(), id);
                id
            }
        };
        Ok((Named { full, aliases, place: self.path.clone() }, id, inside))
    }

    fn aliases(&self, attributes: &Map<String, Value>) -> Result<Vec<String>, SeamError> {
        let aliases = match attributes.get("aliases") {
            None => return Ok(Vec::new()),
            Some(Value::Array(aliases)) => aliases,
            Some(_) => return Err(self.broken("the aliases are no array")),
        };
        let name = |alias: &Value| {
            let name = alias.as_str().filter(|name| name.split('.').all(is_name));
            name.map(str::to_owned).ok_or_else(|| self.broken("one of the aliases is no name"))
        };
        aliases.iter().map(name).collect()
    }

    fn fill(&mut self, id: TypeId, kind: Kind, logical: Option<Logical>) -> TypeId {
        if let Some(row) = self.types.get_mut(id) {
            *row = Some(Type { kind, logical });
        }
        id
    }

    fn fixed(&mut self, attributes: &Map<String, Value>, namespace: &str) -> Result<TypeId, SeamError> {
        let (named, id, _) = self.define(attributes, namespace)?;
        let size = attributes.get("size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
        let Some(size) = size else {
            return Err(self.broken("the size of a fixed is no number of bytes"));
        };
        let kind = Kind::Fixed(named, size);
        let logical = Logical::parse(&kind, attributes);
        Ok(self.fill(id, kind, logical))
    }

    fn symbols(&mut self, attributes: &Map<String, Value>, namespace: &str) -> Result<TypeId, SeamError> {
        let (named, id, _) = self.define(attributes, namespace)?;
        let Some(Value::Array(listed)) = attributes.get("symbols") else {
            return Err(self.broken("the symbols of an enum are no array"));
        };
        let mut seen = BTreeSet::new();
        let mut symbols = Vec::with_capacity(listed.len());
        for symbol in listed {
            let Some(symbol) = symbol.as_str().filter(|symbol| is_name(symbol)) else {
                return Err(self.broken("one of the symbols is no name"));
            };
            if !seen.insert(symbol) {
                let symbol = shortened(symbol.to_owned());
                return Err(self.broken(&format!("the symbol {symbol:?} stands there twice")));
            }
            symbols.push(symbol.to_owned());
        }
        let default = match attributes.get("default") {
            None => None,
            Some(default) => match default.as_str().filter(|default| seen.contains(default)) {
                Some(default) => Some(default.to_owned()),
                None => return Err(self.broken("the default of an enum is none of its symbols")),
            },
        };
        Ok(self.fill(id, Kind::Enum(named, Symbols { symbols, default }), None))
    }

    fn record(&mut self, attributes: &Map<String, Value>, namespace: &str) -> Result<TypeId, SeamError> {
        let (named, id, inside) = self.define(attributes, namespace)?;
        let Some(Value::Array(listed)) = attributes.get("fields") else {
            return Err(self.broken("the fields of a record are no array"));
        };
        let mut fields = Vec::with_capacity(listed.len());
        let mut seen = BTreeSet::new();
        for (index, field) in listed.iter().enumerate() {
            let field = self.below(&["fields", &index.to_string()], |parser| parser.field(field, &inside))?;
            if !seen.insert(field.name.clone()) {
                let name = shortened(field.name);
                return Err(self.broken(&format!("the record has the field {name:?} twice")));
            }
            fields.push(field);
        }
        Ok(self.fill(id, Kind::Record(named, fields), None))
    }

    fn field(&mut self, field: &Value, namespace: &str) -> Result<Field, SeamError> {
        let Value::Object(attributes) = field else { return Err(self.broken("a field is no object")) };
        let Some(name) = attributes.get("name").and_then(Value::as_str).filter(|name| is_name(name)) else {
            return Err(self.broken("the name of a field is missing or no name"));
        };
        if let Some(order) = attributes.get("order")
            && !order.as_str().is_some_and(|order| ["ascending", "descending", "ignore"].contains(&order))
        {
            return Err(self.broken("the order of a field is neither ascending, descending nor ignore"));
        }
        let aliases = self.aliases(attributes)?;
        let type_id = self.inner(attributes, "type", namespace)?;
        Ok(Field { name: name.to_owned(), aliases, type_id, default: attributes.get("default").cloned() })
    }

    fn finish(self, root: TypeId, limits: &Limits) -> Result<Schema, SeamError> {
        if let Some((name, (_, place))) = self.wanted.into_iter().next() {
            return Err(SeamError::new(
                ErrorKind::NotFound,
                format!(
                    "resolve the name {:?} at {:?}: nothing that was given defines it, give it with reference(name, text)",
                    shortened(name),
                    shortened(place)
                ),
            ));
        }
        let schema = Schema { types: self.types.into_iter().flatten().collect(), root };
        check_defaults(&schema, limits)?;
        Ok(schema)
    }
}

fn in_namespace(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn check_defaults(schema: &Schema, limits: &Limits) -> Result<(), SeamError> {
    for found in &schema.types {
        let Kind::Record(named, fields) = &found.kind else { continue };
        for (index, field) in fields.iter().enumerate() {
            let Some(default) = &field.default else { continue };
            if let Some(reason) = json::default_fault(schema, field.type_id, default, limits)? {
                let place = format!("{}/fields/{index}/default", named.place);
                return Err(broken(&place, &format!("the default is none: {reason}")));
            }
        }
    }
    Ok(())
}
