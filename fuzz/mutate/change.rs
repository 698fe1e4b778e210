//! Random changes of inputs, the same ones for the same seed.

/// Numbers that look random (xorshift64*, Vigna 2016).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        usize::try_from(high).unwrap_or(0) % bound.max(1)
    }
}

/// What parsers stumble over.
const TOKENS: [&[u8]; 32] = [
    b"",
    b"0",
    b"-1",
    b"1e400",
    b"-0.0",
    b"18446744073709551616",
    b"9223372036854775807",
    b"1e-7",
    b"null",
    b"true",
    b"\"\"",
    b"[]",
    b"{}",
    b"[[[[[[[[",
    b"{\"a\":",
    b"\\u0000",
    b"\\ud800",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\0\0\0\0",
    b"\n",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"$ref",
    b"#",
    b"type",
    b"\"$ref\":\"#\"",
    b",",
    b":",
    b"/",
    b"*",
    b"~1",
];

/// The longest input that is made.
const LONGEST: usize = 64 << 10;

/// One input of `corpus`, changed at one place or a few.
pub fn changed(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let pick = |random: &mut Random| corpus.get(random.below(corpus.len())).map_or(&[][..], Vec::as_slice);
    let mut input = pick(random).to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let end = (at + 1 + random.below(24)).min(input.len());
        let part = match random.below(9) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
                continue;
            }
            1 => {
                input.drain(at.min(end)..end);
                continue;
            }
            2 => {
                input.truncate(at);
                continue;
            }
            // A part of itself once more, often.
            3 => input.get(at..end).unwrap_or_default().repeat(1 + random.below(4)),
            4 => input.get(at..end).unwrap_or_default().repeat(1 + random.below(2000)),
            // A part of another one.
            5 | 6 => {
                let other = pick(random);
                let from = random.below(other.len() + 1);
                let to = (from + 1 + random.below(120)).min(other.len());
                other.get(from..to).unwrap_or_default().to_vec()
            }
            7 => TOKENS.get(random.below(TOKENS.len())).copied().unwrap_or_default().to_vec(),
            _ => vec![u8::try_from(random.below(256)).unwrap_or(0)],
        };
        // In its place, or before what stands there.
        let replaced =
            if random.below(2) == 0 { at..(at + part.len()).min(input.len()).max(at) } else { at..at };
        input.splice(replaced, part);
        input.truncate(LONGEST);
    }
    input
}
