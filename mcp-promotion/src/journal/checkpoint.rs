use std::fmt::{self, Write as _};

use mcp_core::{Digest, Name, Timestamp};
use serde::{Deserialize, Serialize};

use super::signer::{Signature, Signer, Verifier};
use crate::PromotionError;

/// What the text of a checkpoint begins with; it also keeps its signatures from being taken for those of anything else.
const TITLE: &str = "mcp journal checkpoint 1";

/// How far one stream goes, and the digest that vouches for all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Head {
    /// Which stream.
    pub stream: Name,
    /// How many events it has.
    pub version: u64,
    /// The digest that vouches for all of them, in order.
    pub digest: Digest,
}

impl Head {
    /// Of a stream with `version` events.
    #[must_use]
    pub const fn new(stream: Name, version: u64, digest: Digest) -> Self {
        Self { stream, version, digest }
    }
}

/// What every stream of a journal was at one time: to be kept where whoever can change the journal cannot change it.
///
/// A chain of digests shows an edit inside a stream, and not that its end was cut off, that a stream is gone, that the file is an old copy,
/// or that the whole chain was computed anew. [`Engine::verify_against`](crate::Engine::verify_against) shows these too, for everything that
/// the checkpoint knows of; what was appended later is only chained. Which journal it is of, the heads say: every stage's stream begins
/// with a request that has an id which never repeats.
///
/// Its text is one line `mcp journal checkpoint 1`, one line `at` with the time, and one line for each stream that has events, sorted by
/// name, of name, version and digest, each separated by one space; each line ends with one line feed. Equal checkpoints have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Checkpoint {
    at: Timestamp,
    heads: Vec<Head>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    at: Timestamp,
    heads: Vec<Head>,
}

impl TryFrom<Fields> for Checkpoint {
    type Error = PromotionError;

    fn try_from(Fields { at, heads }: Fields) -> Result<Self, PromotionError> {
        Self::new(at, heads)
    }
}

impl From<Checkpoint> for Fields {
    fn from(Checkpoint { at, heads }: Checkpoint) -> Self {
        Self { at, heads }
    }
}

impl Checkpoint {
    /// Of these streams; those without events are left out.
    ///
    /// # Errors
    /// `Invalid` when a stream stands in it twice.
    pub fn new(at: Timestamp, mut heads: Vec<Head>) -> Result<Self, PromotionError> {
        heads.retain(|head| head.version > 0);
        heads.sort_by(|one, other| one.stream.cmp(&other.stream));
        let mut pairs = heads.iter().zip(heads.iter().skip(1));
        if let Some((twice, _)) = pairs.find(|(one, next)| one.stream == next.stream) {
            return Err(refuse(format!("stream {} stands in it twice", twice.stream)));
        }
        Ok(Self { at, heads })
    }

    /// When it was made, by the clock of the engine that made it.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Every stream that had events, sorted by name.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// What it knows of one stream.
    #[must_use]
    pub fn head(&self, stream: &Name) -> Option<&Head> {
        let place = self.heads.binary_search_by(|head| head.stream.cmp(stream)).ok()?;
        self.heads.get(place)
    }

    /// The digest of its text: 32 bytes that can be kept or published in its place.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }

    /// Signs its text.
    ///
    /// # Errors
    /// Those of the signer.
    pub async fn sign(self, signer: &dyn Signer) -> Result<SignedCheckpoint, PromotionError> {
        let signature = signer
            .sign(self.to_string().as_bytes())
            .await
            .map_err(PromotionError::seam("sign a checkpoint of the journal"))?;
        Ok(SignedCheckpoint { checkpoint: self, signature })
    }

    fn parse(text: &str) -> Result<Self, PromotionError> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err(refuse(format!("its first line is not {TITLE:?}")));
        }
        let at = lines.next().and_then(|line| line.strip_prefix("at "));
        let at = at.ok_or_else(|| refuse("its second line does not begin with \"at \""))?.parse()?;
        let mut heads = Vec::new();
        for line in lines {
            let mut words = line.split(' ');
            let (Some(stream), Some(version), Some(digest), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(refuse(format!("the line {line:?} is not a stream, a version and a digest")));
            };
            let version = version.parse().map_err(|error| refuse(format!("{version:?}: {error}")))?;
            heads.push(Head { stream: stream.parse()?, version, digest: digest.parse()? });
        }
        let checkpoint = Self::new(at, heads)?;
        // One checkpoint has one text, so that nothing can be hidden in spaces, in the order, or in other ways to write a number.
        if checkpoint.to_string() != text {
            return Err(refuse("it is not written as checkpoints are"));
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for Checkpoint {
    /// The bytes that are signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}\nat {}", self.at)?;
        for Head { stream, version, digest } in &self.heads {
            writeln!(f, "{stream} {version} {digest}")?;
        }
        Ok(())
    }
}

/// A checkpoint and who vouches for it.
///
/// Its text is that of the [`Checkpoint`], which is what was signed; an empty line; and one line of `signed`, the name of the key, and the
/// signature in hexadecimal digits, each separated by one space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    signature: Signature,
}

impl SignedCheckpoint {
    /// The checkpoint that stands in `text`, if `verifier` knows the key and finds that every byte is what was signed.
    ///
    /// # Errors
    /// `Denied` when the signature does not fit or the key is not known; `Invalid` when `text` is no signed checkpoint.
    pub fn open(text: &str, verifier: &dyn Verifier) -> Result<Checkpoint, PromotionError> {
        let (body, seal) = text.split_once("\n\n").ok_or_else(|| refuse("it is not signed"))?;
        let body = format!("{body}\n");
        let words = seal.strip_suffix('\n').and_then(|line| line.strip_prefix("signed "));
        let (key, digits) = words
            .and_then(|words| words.split_once(' '))
            .ok_or_else(|| refuse("its last line is not \"signed\", a key and a signature"))?;
        let bytes = from_hex(digits).ok_or_else(|| refuse("its signature is not written as they are"))?;
        let signature = Signature { key: key.parse()?, bytes };
        // Nothing of what it says is looked at before it is known who said it.
        verifier
            .verify(body.as_bytes(), &signature)
            .map_err(PromotionError::seam("open a signed checkpoint of the journal"))?;
        Checkpoint::parse(&body)
    }

    /// What was signed.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// By whom, and the proof.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nsigned {} ", self.checkpoint, self.signature.key)?;
        for byte in &self.signature.bytes {
            write!(f, "{byte:02x}")?;
        }
        f.write_char('\n')
    }
}

fn refuse(reason: impl Into<String>) -> PromotionError {
    PromotionError::Checkpoint { reason: reason.into() }
}

/// Lower-case digits only: one signature has one text.
fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit.saturating_sub(b'0')),
        b'a'..=b'f' => Some(digit.saturating_sub(b'a').saturating_add(10)),
        _ => None,
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some((value(*high)? << 4) | value(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(stream: &str, version: u64) -> Head {
        Head::new(stream.parse().unwrap(), version, Digest::of(stream.as_bytes()))
    }

    fn checkpoint() -> Checkpoint {
        let heads = vec![head("stage/prod", 7), head("stage/blue", 0), head("stage/dev", 12)];
        Checkpoint::new("2026-11-23T12:00:00Z".parse().unwrap(), heads).unwrap()
    }

    #[test]
    fn its_text_is_the_documented_one_and_reads_back() {
        let (dev, prod) = (Digest::of(b"stage/dev"), Digest::of(b"stage/prod"));
        let text = format!(
            "mcp journal checkpoint 1\nat 2026-11-23T12:00:00.000000Z\nstage/dev 12 {dev}\nstage/prod 7 {prod}\n"
        );
        assert_eq!(checkpoint().to_string(), text);
        assert_eq!(Checkpoint::parse(&text).unwrap(), checkpoint());
        assert_eq!(checkpoint().digest(), Digest::of(text.as_bytes()));
        for other in [
            text.replace("12 ", "+12 "),
            text.replace("12 ", " 12 "),
            text.replace("dev", "zev"),
            text.replace("stage/prod", "stage/dev"),
            text.replace("7 ", "0 "),
            text.replace("12:00:00.000000Z", "12:00:00Z"),
            text.replace('\n', "\r\n"),
            text.replace("checkpoint 1", "checkpoint 2"),
            format!("{text}\n"),
            text.trim_end().to_owned(),
            String::new(),
        ] {
            assert_eq!(
                Checkpoint::parse(&other).unwrap_err().kind(),
                mcp_core::ErrorKind::Invalid,
                "{other}"
            );
        }
    }

    #[test]
    fn as_json_it_reads_back_and_two_heads_of_one_stream_are_refused() {
        let json = serde_json::to_string(&checkpoint()).unwrap();
        assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), checkpoint());
        let twice = json.replace("stage/prod", "stage/dev");
        let error = serde_json::from_str::<Checkpoint>(&twice).unwrap_err();
        assert_eq!(
            error.to_string(),
            "read a checkpoint of the journal: stream stage/dev stands in it twice"
        );
    }
}
