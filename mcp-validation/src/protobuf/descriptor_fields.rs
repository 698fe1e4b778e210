//! The fields of a descriptor's records, each of the type that it must have.

use mcp_core::SeamError;

use super::descriptor::invalid;
use super::wire::{Fault, Payload, Records};

/// Calls `see` with every record of `bytes`.
pub(super) fn each<'a>(
    bytes: &'a [u8],
    mut see: impl FnMut(u32, Payload<'a>) -> Result<(), SeamError>,
) -> Result<(), SeamError> {
    let mut records = Records::new(bytes);
    loop {
        match records.next(1) {
            Ok(Some((number, payload))) => see(number, payload)?,
            Ok(None) => return Ok(()),
            Err(Fault::Malformed(reason)) => return Err(invalid(format!("this is no descriptor: {reason}"))),
            Err(Fault::TooDeep) => return Err(invalid("this is no descriptor: it has groups")),
        }
    }
}

pub(super) fn message(payload: Payload<'_>) -> Result<&[u8], SeamError> {
    match payload {
        Payload::Bytes(bytes) => Ok(bytes),
        other => {
            Err(invalid(format!("this is no descriptor: a message was expected, it is {}", other.name())))
        }
    }
}

pub(super) fn text(payload: Payload<'_>) -> Result<String, SeamError> {
    std::str::from_utf8(message(payload)?)
        .map(str::to_owned)
        .map_err(|_| invalid("this is no descriptor: a name is not UTF-8"))
}

pub(super) fn varint(payload: Payload<'_>) -> Result<u64, SeamError> {
    match payload {
        Payload::Varint(value) => Ok(value),
        other => {
            Err(invalid(format!("this is no descriptor: a number was expected, it is {}", other.name())))
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "an int32 is the lower half of its varint")]
pub(super) fn int32(payload: Payload<'_>) -> Result<i32, SeamError> {
    varint(payload).map(|value| value as i32)
}
