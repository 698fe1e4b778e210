//! Object container files: a header with the writer's schema, then blocks of data, each behind its count and size and before a marker.

use mcp_core::{ErrorKind, SeamError};
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use super::binary::Stop;
use super::cursor;
use super::judgement::Judgement;
use crate::meter::text_steps;

const MAGIC: &[u8] = b"Obj\x01";
const MARKER_BYTES: usize = 16;

/// What a file says before its data.
pub(super) struct Header<'b> {
    /// The text of the schema that it was written with.
    pub(super) schema: &'b str,
    codec: Codec,
    marker: &'b [u8],
    blocks: &'b [u8],
}

#[derive(Clone, Copy)]
enum Codec {
    Null,
    Deflate,
}

fn broken<T>(judgement: &mut Judgement<'_>, message: impl Into<String>) -> Result<T, Stop> {
    judgement.tell("avro.container", message, None)?;
    Err(Stop::Broken)
}

impl<'b> Header<'b> {
    pub(super) fn read(bytes: &'b [u8], judgement: &mut Judgement<'_>) -> Result<Self, Stop> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return broken(judgement, "this is no object container file of version 1: it begins otherwise");
        };
        let (mut schema, mut codec) = (None, &b"null"[..]);
        let mut rest = rest;
        loop {
            let Some((entries, behind)) = Self::entries(rest) else {
                return broken(judgement, "the header ends early, or a length in it is negative");
            };
            rest = behind;
            if entries == 0 {
                break;
            }
            for _ in 0..entries {
                let entry = cursor::sized(rest).and_then(|(key, rest)| {
                    let (value, rest) = cursor::sized(rest)?;
                    Ok((key, value, rest))
                });
                let Ok((key, value, behind)) = entry else {
                    return broken(judgement, "the header ends early, or a length in it is negative");
                };
                judgement.findings().spend(1)?;
                match key {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => codec = value,
                    _ => {}
                }
                rest = behind;
            }
        }
        let Some(schema) = schema.and_then(|schema| std::str::from_utf8(schema).ok()) else {
            return broken(judgement, "the header has no schema, or one that is not in UTF-8");
        };
        let codec = match codec {
            b"null" | b"" => Codec::Null,
            b"deflate" => Codec::Deflate,
            other => {
                let name: String = String::from_utf8_lossy(other).chars().take(60).collect();
                return Err(Stop::Seam(SeamError::new(
                    ErrorKind::Unsupported,
                    format!(
                        "read an object container file with the codec {name:?}: null and deflate are known, write it with one of them"
                    ),
                )));
            }
        };
        let Ok((marker, blocks)) = cursor::take(rest, MARKER_BYTES) else {
            return broken(judgement, "the header ends before its sync marker");
        };
        Ok(Self { schema, codec, marker, blocks })
    }

    /// How many entries of the metadata follow, and where.
    fn entries(rest: &[u8]) -> Option<(u64, &[u8])> {
        let (count, rest) = cursor::long(rest).ok()?;
        let rest = if count < 0 { cursor::long(rest).ok()?.1 } else { rest };
        Some((count.unsigned_abs(), rest))
    }

    /// Reads every block, and hands its bytes and how many data they hold to `each`.
    pub(super) fn blocks<'a>(
        &self,
        judgement: &mut Judgement<'a>,
        mut each: impl FnMut(&mut Judgement<'a>, u64, Block<'b>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut rest = self.blocks;
        while !rest.is_empty() {
            let head = cursor::long(rest).and_then(|(count, rest)| {
                let (bytes, rest) = cursor::sized(rest)?;
                let (marker, rest) = cursor::take(rest, MARKER_BYTES)?;
                Ok((count, bytes, marker, rest))
            });
            let (count, bytes, marker, behind) = match head {
                Ok(head) => head,
                Err(fault) => return broken(judgement, format!("a block is cut or has no size: {fault}")),
            };
            let Ok(count) = u64::try_from(count) else {
                return broken(judgement, "the count of a block is negative");
            };
            if marker != self.marker {
                judgement.tell(
                    "avro.sync-marker",
                    "a block ends with another marker than the header's",
                    None,
                )?;
                return Err(Stop::Broken);
            }
            judgement.findings().spend(text_steps(bytes.len()))?;
            let block = match self.codec {
                Codec::Null => Block::Plain(bytes),
                Codec::Deflate => Block::Inflated(inflate(bytes, judgement)?),
            };
            each(judgement, count, block)?;
            rest = behind;
        }
        Ok(())
    }
}

/// The data of a block.
pub(super) enum Block<'b> {
    Plain(&'b [u8]),
    Inflated(Vec<u8>),
}

/// Bounded by the largest document: what inflates beyond is not kept.
fn inflate(bytes: &[u8], judgement: &mut Judgement<'_>) -> Result<Vec<u8>, Stop> {
    let most = judgement.limits().max_document_bytes;
    match decompress_to_vec_with_limit(bytes, usize::try_from(most).unwrap_or(usize::MAX)) {
        Ok(inflated) => {
            judgement.findings().spend(text_steps(inflated.len()))?;
            Ok(inflated)
        }
        Err(error) if error.status == TINFLStatus::HasMoreOutput => Err(Stop::Seam(SeamError::new(
            ErrorKind::Exhausted,
            format!(
                "inflate a block of an object container file to no more than {most} bytes: raise max_document_bytes"
            ),
        ))),
        Err(_) => broken(judgement, "a block is not compressed as its codec says"),
    }
}
