//! Whether everything that is valid under one schema is valid under another.

mod emit;
#[expect(dead_code, reason = "the comparison by keywords reads the rest")]
mod flat;
#[expect(dead_code, reason = "witnesses are made of it")]
mod semantic;

use mcp_core::SeamError;

use self::flat::Flat;
use self::semantic::{Algebra, Answer, Canonical};
use super::{Given, JsonSchema};
use crate::stack::with_stack;
use crate::{Break, Compatibility, SchemaSource};

/// Set operations recurse as deep as both schemas nest, and through references.
const COMPARE_BYTES: usize = 200 << 20;

pub(super) fn can_read(
    format: &JsonSchema,
    reader: &SchemaSource<'_>,
    writer: &SchemaSource<'_>,
) -> Result<Compatibility, SeamError> {
    with_stack(COMPARE_BYTES, || {
        let readers = Side::open(format, reader)?;
        let writers = Side::open(format, writer)?;
        let algebra = Canonical {
            asserts_format: format.assert_format,
            max_pattern_bytes: reader.limits.max_pattern_bytes,
        };
        Ok(match algebra.covers(&readers.flat, &writers.flat) {
            Answer::Yes => Compatibility::Yes,
            Answer::No(_) => Compatibility::No(vec![Break::new(
                "json-schema.narrowed",
                "",
                "some documents that the writer's schema accepts are refused",
                "accept again what the writer's schema accepts",
            )]),
            Answer::Unknown(reason, _) => Compatibility::Unknown(reason),
        })
    })?
}

/// One of the two schemas.
struct Side {
    flat: Flat,
}

impl Side {
    fn open(format: &JsonSchema, source: &SchemaSource<'_>) -> Result<Self, SeamError> {
        let given = Given::read(source)?;
        let (root, references) = (given.root(), given.references());
        format.compile_here(root, &references, source.limits)?;
        let draft = format.draft_of(root);
        let registry = super::registry(draft, &references)?;
        Ok(Self { flat: flat::flatten(root, &references, draft, format.assert_format, &registry)? })
    }
}
