use serde_json::Value;

use super::{Key, Node, Span, TooLarge, Tree, small};
use crate::scan::TooDeep;

/// Why there is no tree of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTree {
    TooDeep,
    TooLarge,
}

impl From<TooDeep> for NoTree {
    fn from(_: TooDeep) -> Self {
        Self::TooDeep
    }
}

impl From<TooLarge> for NoTree {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl Tree {
    /// Of a value that somebody else has parsed, in the order of its members; and its size as compact JSON.
    pub(crate) fn of(value: &Value, max_depth: usize) -> Result<(Self, u64), NoTree> {
        let mut building = Building { tree: Self::default(), keys: Vec::new(), bytes: 0, max_depth };
        building.add(value, 0)?;
        Ok((building.tree, u64::try_from(building.bytes).unwrap_or(u64::MAX)))
    }

    /// A tree of one string.
    #[cfg(feature = "json-schema")]
    pub(crate) fn of_text(text: &str) -> Self {
        let mut tree = Self::default();
        if let Ok(span) = tree.take(text) {
            tree.nodes.push(Node::String(span));
        }
        tree
    }

    fn take(&mut self, text: &str) -> Result<Span, TooLarge> {
        let start = small(self.text.len())?;
        self.text.push_str(text);
        small(self.text.len())?;
        Ok(Span { start, length: small(text.len())? })
    }
}

struct Building {
    tree: Tree,
    /// The keys of all open objects, each object's behind those of the one around it.
    keys: Vec<Key>,
    bytes: usize,
    max_depth: usize,
}

impl Building {
    /// Calls itself no more than `max_depth` times inside one another.
    fn add(&mut self, value: &Value, depth: usize) -> Result<(), NoTree> {
        let (node, bytes) = match value {
            Value::Null => (Node::Null, 4),
            Value::Bool(value) => (Node::Bool(*value), 5),
            Value::Number(number) => (Node::Number(number.clone()), digits(number)),
            Value::String(text) => (Node::String(self.tree.take(text)?), text.len() + 2),
            Value::Array(elements) => return self.array(elements, depth + 1),
            Value::Object(members) => return self.object(members, depth + 1),
        };
        self.bytes = self.bytes.saturating_add(bytes);
        self.tree.nodes.push(node);
        Ok(())
    }

    fn array(&mut self, elements: &[Value], depth: usize) -> Result<(), NoTree> {
        let index = self.open(depth)?;
        self.bytes = self.bytes.saturating_add(elements.len().saturating_add(2));
        for element in elements {
            self.add(element, depth)?;
        }
        Ok(self.tree.close_array(index, small(elements.len())?)?)
    }

    fn object(&mut self, members: &serde_json::Map<String, Value>, depth: usize) -> Result<(), NoTree> {
        let index = self.open(depth)?;
        let first_key = self.keys.len();
        self.bytes = self.bytes.saturating_add(2);
        for (key, member) in members {
            self.bytes = self.bytes.saturating_add(key.len().saturating_add(4));
            let node = small(self.tree.nodes.len())?;
            let span = self.tree.take(key)?;
            self.tree.nodes.push(Node::Key(span));
            // No two are equal, so no marks are compared.
            self.keys.push(Key { node, mark: node });
            self.add(member, depth)?;
        }
        self.tree.close_object(index, self.keys.get(first_key..).unwrap_or_default())?;
        self.keys.truncate(first_key);
        Ok(())
    }

    fn open(&mut self, depth: usize) -> Result<usize, NoTree> {
        if depth > self.max_depth {
            return Err(NoTree::TooDeep);
        }
        self.tree.depth = self.tree.depth.max(depth);
        let index = self.tree.nodes.len();
        self.tree.nodes.push(Node::Null);
        Ok(index)
    }
}

/// How many bytes the number takes as text, without writing it where it is an integer.
fn digits(number: &serde_json::Number) -> usize {
    let whole = |number: u64| number.checked_ilog10().map_or(1, |log| log as usize + 1);
    match (number.as_u64(), number.as_i64()) {
        (Some(number), _) => whole(number),
        (None, Some(number)) => 1 + whole(number.unsigned_abs()),
        (None, None) => number.to_string().len(),
    }
}
