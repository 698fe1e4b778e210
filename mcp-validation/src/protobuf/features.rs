//! Features of editions, and what `proto2` and `proto3` mean in their words: <https://protobuf.dev/editions/features/>.

use mcp_core::{ErrorKind, SeamError};

use super::descriptor::invalid;
use super::descriptor_fields::{each, varint};

/// How declarations are to be understood, unless they say otherwise themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    pub(super) has_presence: bool,
    pub(super) is_required: bool,
    pub(super) is_closed: bool,
    pub(super) is_packed: bool,
    pub(super) is_delimited: bool,
    pub(super) json_best_effort: bool,
}

impl Features {
    /// Those of a file with this syntax, or of this edition.
    pub(super) fn of(syntax: &str, edition: u64) -> Result<Self, SeamError> {
        let plain = Self {
            has_presence: true,
            is_required: false,
            is_closed: false,
            is_packed: true,
            is_delimited: false,
            json_best_effort: false,
        };
        match (syntax, edition) {
            ("editions", 1000 | 1001) => Ok(plain),
            ("editions", other) => Err(SeamError::new(
                ErrorKind::Unsupported,
                format!("read a file of edition number {other}: 2023 (1000) and 2024 (1001) are known"),
            )),
            ("proto3", _) => Ok(Self { has_presence: false, ..plain }),
            ("" | "proto2", _) => {
                Ok(Self { is_closed: true, is_packed: false, json_best_effort: true, ..plain })
            }
            (other, _) => {
                let other = crate::findings::shortened(other.to_owned());
                Err(invalid(format!("the syntax {other:?} does not exist")))
            }
        }
    }

    /// Takes over what a `FeatureSet` says.
    pub(super) fn apply(&mut self, set: Option<&[u8]>) -> Result<(), SeamError> {
        each(set.unwrap_or_default(), |number, payload| {
            if !(1..=6).contains(&number) {
                return Ok(());
            }
            let value = varint(payload)?;
            match (number, value) {
                (1, 1..=3) => (self.has_presence, self.is_required) = (value != 2, value == 3),
                (2, 1..=2) => self.is_closed = value == 2,
                (3, 1..=2) => self.is_packed = value == 1,
                (5, 1..=2) => self.is_delimited = value == 2,
                (6, 1..=2) => self.json_best_effort = value == 2,
                _ => {}
            }
            Ok(())
        })
    }
}
