//! Protobuf's wire format, one record at a time: <https://protobuf.dev/programming-guides/encoding/>.

/// The largest field number.
pub(super) const MAX_NUMBER: u32 = (1 << 29) - 1;

/// Reads records from bytes that nobody has looked at yet.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    rest: &'a [u8],
}

/// What one record holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Everything between the group's two tags.
    Group(&'a [u8]),
    Fixed32(u32),
}

impl Payload<'_> {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Varint(_) => "a varint",
            Self::Fixed64(_) => "8 bytes",
            Self::Bytes(_) => "a length and bytes",
            Self::Group(_) => "a group",
            Self::Fixed32(_) => "4 bytes",
        }
    }
}

/// Why reading ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// These are no records; what is wrong with them.
    Malformed(&'static str),
    /// Groups stand inside one another deeper than was allowed.
    TooDeep,
}

enum Tag {
    Varint,
    Fixed64,
    Bytes,
    Start,
    End,
    Fixed32,
}

impl<'a> Records<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next record; `None` at the end. A group is given whole, and may hold groups down to `max_depth`.
    pub(super) fn next(&mut self, max_depth: usize) -> Result<Option<(u32, Payload<'a>)>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, tag) = self.tag()?;
        let payload = match tag {
            Tag::Start => Payload::Group(self.group(number, max_depth)?),
            Tag::End => return Err(Fault::Malformed("a group ends that did not begin")),
            plain => self.plain(&plain)?,
        };
        Ok(Some((number, payload)))
    }

    /// The next varint of a packed field; `None` at the end.
    pub(super) fn packed_varint(&mut self) -> Result<Option<u64>, Fault> {
        if self.rest.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    /// The next element of a packed field of 4 bytes each.
    pub(super) fn packed_fixed32(&mut self) -> Result<Option<u32>, Fault> {
        if self.rest.is_empty() { Ok(None) } else { self.array().map(u32::from_le_bytes).map(Some) }
    }

    /// The next element of a packed field of 8 bytes each.
    pub(super) fn packed_fixed64(&mut self) -> Result<Option<u64>, Fault> {
        if self.rest.is_empty() { Ok(None) } else { self.array().map(u64::from_le_bytes).map(Some) }
    }

    fn tag(&mut self) -> Result<(u32, Tag), Fault> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..=MAX_NUMBER).contains(number));
        let number = number.ok_or(Fault::Malformed("a field number is not from 1 to 536870911"))?;
        let tag = match key & 7 {
            0 => Tag::Varint,
            1 => Tag::Fixed64,
            2 => Tag::Bytes,
            3 => Tag::Start,
            4 => Tag::End,
            5 => Tag::Fixed32,
            _ => return Err(Fault::Malformed("a record is of a wire type that does not exist")),
        };
        Ok((number, tag))
    }

    fn plain(&mut self, tag: &Tag) -> Result<Payload<'a>, Fault> {
        Ok(match tag {
            Tag::Varint => Payload::Varint(self.varint()?),
            Tag::Fixed64 => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
            Tag::Fixed32 => Payload::Fixed32(u32::from_le_bytes(self.array()?)),
            Tag::Bytes | Tag::Start | Tag::End => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                let (bytes, rest) = self
                    .rest
                    .split_at_checked(length)
                    .ok_or(Fault::Malformed("a length is larger than what follows it"))?;
                self.rest = rest;
                Payload::Bytes(bytes)
            }
        })
    }

    /// Reads up to the end of the group `number`, with a stack of its own.
    fn group(&mut self, number: u32, max_depth: usize) -> Result<&'a [u8], Fault> {
        let whole = self.rest;
        let mut open = vec![number];
        loop {
            if open.len() > max_depth {
                return Err(Fault::TooDeep);
            }
            if self.rest.is_empty() {
                return Err(Fault::Malformed("a group does not end"));
            }
            let before = self.rest.len();
            match self.tag()? {
                (inner, Tag::Start) => open.push(inner),
                (inner, Tag::End) => {
                    if open.pop() != Some(inner) {
                        return Err(Fault::Malformed("a group ends with another number than it began"));
                    }
                    if open.is_empty() {
                        let length = whole.len().saturating_sub(before);
                        return Ok(whole.get(..length).unwrap_or_default());
                    }
                }
                (_, plain) => drop(self.plain(&plain)?),
            }
        }
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for (place, byte) in self.rest.iter().take(10).enumerate() {
            if place == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(place + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(Fault::Malformed(if self.rest.len() < 10 {
            "a varint does not end"
        } else {
            "a varint is longer than 64 bits"
        }))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (array, rest) =
            self.rest.split_first_chunk::<N>().ok_or(Fault::Malformed("a number of fixed size is cut"))?;
        self.rest = rest;
        Ok(*array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Payload<'_>)>, Fault> {
        let mut records = Records::new(bytes);
        let mut found = Vec::new();
        while let Some(record) = records.next(3)? {
            found.push(record);
        }
        Ok(found)
    }

    #[test]
    fn each_wire_type_is_read_as_it_was_written() {
        let bytes = b"\x08\x96\x01\x12\x02hi\x1d\x01\0\0\0\x21\x02\0\0\0\0\0\0\0\x2b\x08\x01\x2c";
        assert_eq!(
            all(bytes),
            Ok(vec![
                (1, Payload::Varint(150)),
                (2, Payload::Bytes(b"hi")),
                (3, Payload::Fixed32(1)),
                (4, Payload::Fixed64(2)),
                (5, Payload::Group(b"\x08\x01")),
            ])
        );
    }

    #[test]
    fn what_is_cut_or_closed_wrongly_is_malformed() {
        let malformed: [&[u8]; 9] = [
            b"\x08",
            b"\x12\x05hi",
            b"\x1d\0\0",
            b"\x00\x01",
            b"\x0f",
            b"\x2c",
            b"\x2b\x08\x01",
            b"\x2b\x34",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        ];
        for bytes in malformed {
            assert!(matches!(all(bytes), Err(Fault::Malformed(_))), "{bytes:?}: {:?}", all(bytes));
        }
    }

    #[test]
    fn groups_are_counted_and_not_recursed_into() {
        let nested = |levels: usize| [vec![0x0b; levels], vec![0x0c; levels]].concat();
        assert!(all(&nested(3)).is_ok());
        assert_eq!(all(&nested(4)), Err(Fault::TooDeep));
        assert_eq!(all(&nested(5_000_000)), Err(Fault::TooDeep));
    }
}
