//! An Avro schema as a table of types: every type is a row, and refers to others by number, so that recursion is no nesting.

use serde_json::Value;

use super::logical::Logical;

/// The row of a type in its schema.
pub(super) type TypeId = usize;

/// A schema with everything that it refers to.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) types: Vec<Type>,
    pub(super) root: TypeId,
}

/// One type. A logical type that is unknown, or does not fit what it stands on, is not kept: the specification ignores it.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) kind: Kind,
    pub(super) logical: Option<Logical>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
    Fixed(Named, usize),
    Enum(Named, Symbols),
    Record(Named, Vec<Field>),
}

/// What the types with a name have in common.
#[derive(Debug)]
pub(super) struct Named {
    /// With its namespace.
    pub(super) full: String,
    /// With their namespaces.
    pub(super) aliases: Vec<String>,
    /// Where it is defined: a pointer into its document, behind the document's name and `#` where that is a reference.
    pub(super) place: String,
}

#[derive(Debug)]
pub(super) struct Symbols {
    pub(super) symbols: Vec<String>,
    pub(super) default: Option<String>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) type_id: TypeId,
    /// As it is written in the schema.
    pub(super) default: Option<Value>,
}

static NULL: Type = Type { kind: Kind::Null, logical: None };

impl Schema {
    /// The type of that row.
    pub(super) fn get(&self, id: TypeId) -> &Type {
        self.types.get(id).unwrap_or(&NULL)
    }
}

impl Type {
    /// The name that tells it from the other branches of a union.
    pub(super) fn label(&self) -> &str {
        match &self.kind {
            Kind::Fixed(named, _) | Kind::Enum(named, _) | Kind::Record(named, _) => &named.full,
            other => other.word(),
        }
    }

    pub(super) const fn named(&self) -> Option<&Named> {
        match &self.kind {
            Kind::Fixed(named, _) | Kind::Enum(named, _) | Kind::Record(named, _) => Some(named),
            _ => None,
        }
    }
}

impl Kind {
    /// What the specification calls it.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Fixed(..) => "fixed",
            Self::Enum(..) => "enum",
            Self::Record(..) => "record",
        }
    }

    pub(super) fn primitive(word: &str) -> Option<Self> {
        Some(match word {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }
}

impl Named {
    /// Without its namespace.
    pub(super) fn short(&self) -> &str {
        self.full.rsplit_once('.').map_or(self.full.as_str(), |(_, short)| short)
    }
}
