//! Avro's primitive encodings, read from the front of bytes.

/// Why the bytes are no encoding of what is read.
pub(super) type Fault = &'static str;

const CUT: Fault = "the bytes end before the value does";

/// A zigzag integer of 64 bits, and the bytes behind it.
pub(super) fn long(bytes: &[u8]) -> Result<(i64, &[u8]), Fault> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        if index == 9 && *byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let rest = bytes.get(index + 1..).unwrap_or_default();
            let magnitude = i64::try_from(value >> 1).unwrap_or(i64::MAX);
            return Ok((if value & 1 == 1 { !magnitude } else { magnitude }, rest));
        }
    }
    Err(if bytes.len() < 10 { CUT } else { "this integer has more than 64 bits" })
}

/// The next `count` bytes, and those behind them.
pub(super) fn take(bytes: &[u8], count: usize) -> Result<(&[u8], &[u8]), Fault> {
    bytes.split_at_checked(count).ok_or(CUT)
}

/// Bytes behind their length, and those behind them.
pub(super) fn sized(bytes: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let (length, rest) = long(bytes)?;
    if length < 0 {
        return Err("this length is negative");
    }
    take(rest, usize::try_from(length).map_err(|_| CUT)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_read_as_the_specification_writes_them() {
        for (bytes, expected) in [
            (&[0x00][..], 0),
            (&[0x01], -1),
            (&[0x02], 1),
            (&[0x03], -2),
            (&[0x7f], -64),
            (&[0x80, 0x01], 64),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], i64::MIN),
            (&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], i64::MAX),
        ] {
            assert_eq!(long(bytes), Ok((expected, &[][..])), "{bytes:?}");
        }
    }

    #[test]
    fn an_integer_that_is_cut_or_too_wide_is_told_apart() {
        assert_eq!(long(&[0x80; 9]), Err(CUT));
        assert_eq!(long(&[]), Err(CUT));
        assert_eq!(long(&[0xff; 11]), Err("this integer has more than 64 bits"));
        let wide = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
        assert_eq!(long(&wide), Err("this integer has more than 64 bits"));
    }

    #[test]
    fn a_length_beyond_the_bytes_or_below_nothing_is_refused() {
        assert_eq!(sized(&[0x04, 1, 2, 3]), Ok((&[1, 2][..], &[3][..])));
        assert_eq!(sized(&[0x08, 1, 2, 3]), Err(CUT));
        assert_eq!(sized(&[0x01]), Err("this length is negative"));
        assert_eq!(sized(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Err(CUT));
    }
}
