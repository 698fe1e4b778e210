//! The types of values, and sets of them: what is known of a part of an expression before it runs.

use std::fmt;
use std::rc::Rc;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List,
    Map,
    Timestamp,
    Duration,
    Type,
}

impl Kind {
    pub(super) const ALL: [Self; 12] = [
        Self::Null,
        Self::Bool,
        Self::Int,
        Self::Uint,
        Self::Double,
        Self::Text,
        Self::Bytes,
        Self::List,
        Self::Map,
        Self::Timestamp,
        Self::Duration,
        Self::Type,
    ];

    /// Its name in CEL.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::Type => "type",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(super) const fn alone(self) -> Kinds {
        Kinds(1 << self as u16)
    }
}

/// A set of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ANY: Self = Self((1 << Kind::ALL.len()) - 1);
    pub(super) const NULL: Self = Kind::Null.alone();
    pub(super) const BOOL: Self = Kind::Bool.alone();
    pub(super) const INT: Self = Kind::Int.alone();
    pub(super) const UINT: Self = Kind::Uint.alone();
    pub(super) const DOUBLE: Self = Kind::Double.alone();
    pub(super) const TEXT: Self = Kind::Text.alone();
    pub(super) const BYTES: Self = Kind::Bytes.alone();
    pub(super) const LIST: Self = Kind::List.alone();
    pub(super) const MAP: Self = Kind::Map.alone();
    pub(super) const TIMESTAMP: Self = Kind::Timestamp.alone();
    pub(super) const DURATION: Self = Kind::Duration.alone();
    pub(super) const TYPE: Self = Kind::Type.alone();
    pub(super) const INTEGER: Self = Self::INT.or(Self::UINT);
    pub(super) const NUMBER: Self = Self::INTEGER.or(Self::DOUBLE);
    /// What can be a key of a map.
    pub(super) const KEY: Self = Self::BOOL.or(Self::INTEGER).or(Self::TEXT);
    /// What stands in a JSON document.
    pub(super) const JSON: Self =
        Self::NULL.or(Self::BOOL).or(Self::NUMBER).or(Self::TEXT).or(Self::LIST).or(Self::MAP);
    /// What `<` and sorting know an order of, besides numbers.
    pub(super) const ORDERED: Self =
        Self::BOOL.or(Self::NUMBER).or(Self::TEXT).or(Self::BYTES).or(Self::TIMESTAMP).or(Self::DURATION);

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The same, and all kinds of numbers where there is one: they are equal and ordered by value.
    pub(super) const fn with_numbers(self) -> Self {
        if self.meets(Self::NUMBER) { self.or(Self::NUMBER) } else { self }
    }

    fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.meets(kind.alone()))
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return f.write_str("any value");
        }
        let all_numbers = Self::NUMBER.is_within(*self);
        let mut before = "";
        for kind in self.iter() {
            let name = match kind {
                Kind::Null => "null",
                Kind::Timestamp => "timestamp",
                Kind::Duration => "duration",
                Kind::Int if all_numbers => "number",
                Kind::Uint | Kind::Double if all_numbers => continue,
                kind => kind.name(),
            };
            write!(f, "{before}{name}")?;
            before = " or ";
        }
        Ok(())
    }
}

/// What is known of a part: what it can be, and what the elements of its list or the values of its map can be.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) kinds: Kinds,
    elements: Option<Rc<Known>>,
}

impl Known {
    pub(super) const fn one_of(kinds: Kinds) -> Self {
        Self { kinds, elements: None }
    }

    /// Something in the document: what stands in it is of the document too.
    pub(super) const fn json() -> Self {
        Self::one_of(Kinds::JSON)
    }

    /// A list or map of such elements.
    pub(super) fn of(kinds: Kinds, elements: Self) -> Self {
        Self { kinds, elements: Some(Rc::new(elements)) }
    }

    pub(super) fn elements(&self) -> Self {
        match &self.elements {
            Some(elements) => (**elements).clone(),
            None if self.kinds.is_within(Kinds::JSON) => Self::json(),
            None => Self::one_of(Kinds::ANY),
        }
    }

    /// Whether nothing is known but that it stands in the document, whose keys are all text.
    pub(super) const fn is_of_document(&self) -> bool {
        self.elements.is_none()
    }

    /// What is one or the other.
    pub(super) fn join(self, other: &Self) -> Self {
        let kinds = self.kinds.or(other.kinds);
        let containers = Kinds::LIST.or(Kinds::MAP);
        match (self.kinds.meets(containers), other.kinds.meets(containers)) {
            (true, false) => Self { kinds, elements: Some(Rc::new(self.elements())) },
            (false, true) => Self { kinds, elements: Some(Rc::new(other.elements())) },
            (true, true) => {
                let joined = self.elements().kinds.or(other.elements().kinds);
                Self { kinds, elements: Some(Rc::new(Self::one_of(joined))) }
            }
            (false, false) => Self::one_of(kinds),
        }
    }
}
