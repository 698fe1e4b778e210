use std::sync::Arc;

use mcp_core::{Digest, Digester, Name};
use serde::{Deserialize, Serialize};

use super::stream::Loaded;
use super::{Engine, Slot};
use crate::host;
use crate::journal::Chain;
use crate::machine::StageState;

/// The first byte of a snapshot. Another one is ignored; it is raised whenever the same events come to mean another state.
const FORMAT: u8 = 1;
/// Format and digest.
const HEAD: usize = 33;

/// A state, and after which event of which stream it was, by the build that computed it: another one may compute another state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    build: String,
    stream: Name,
    version: u64,
    head: Digest,
    state: Arc<StageState>,
}

const BUILD: &str = env!("CARGO_PKG_VERSION");

impl Snapshot {
    fn of(chain: &Chain, state: &Arc<StageState>) -> Self {
        let (stream, state) = (chain.stream().clone(), Arc::clone(state));
        Self { build: BUILD.to_owned(), stream, version: chain.version(), head: chain.head(), state }
    }

    /// The format, the BLAKE3 digest of the JSON, and the JSON; `None` where that would not be read as the same again.
    fn write(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; HEAD];
        serde_json::to_writer(&mut bytes, self).ok()?;
        let (head, body) = bytes.split_first_chunk_mut::<HEAD>()?;
        let digest = seal(body);
        let [format, sealed @ ..] = head;
        (*format, *sealed) = (FORMAT, *digest.as_bytes());
        // Whatever a state holds that JSON does not: better no snapshot than another state.
        Self::read(&bytes).is_some_and(|read| read.state == self.state).then_some(bytes)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (&[format, ref digest @ ..], body) = bytes.split_first_chunk::<HEAD>()?;
        if format != FORMAT || seal(body) != Digest::from_bytes(*digest) {
            return None;
        }
        let read: Self = serde_json::from_slice(body).ok()?;
        // Written again it is the same: no field that this build has was missing, also none that may be absent elsewhere.
        let again = serde_json::to_vec(&read).ok()?;
        (read.build == BUILD && again == body).then_some(read)
    }
}

fn seal(body: &[u8]) -> Digest {
    Digester::new().update(b"mcp snapshot\n").update(body).digest()
}

/// What was kept beside a stream.
pub(super) struct Kept(Snapshot);

impl Kept {
    /// Whether it was made after this very event, and is not the state after it.
    pub(super) fn misremembers(&self, loaded: &Loaded) -> bool {
        let Self(Snapshot { version, head, state, .. }) = self;
        (loaded.chain().version(), loaded.chain().head()) == (*version, *head) && state != loaded.state()
    }
}

impl Engine {
    /// What was kept beside the stream of this stage, if the stream still has the event that it was made after. Only that one event is
    /// compared: what came before it is not read again until [`verify`](Self::verify) does.
    pub(super) async fn restore(&self, slot: &Slot) -> Option<Loaded> {
        let Kept(Snapshot { stream, version, head, state, .. }) = self.kept(&slot.stream).await?;
        let fits = stream == slot.stream && *state.stage() == slot.name && state.version() == version;
        let page = self.read_page(&stream, version.checked_sub(1)?, 1).await.ok()?;
        let chain = Chain::behind(stream, version, page.first()?).ok()?;
        (fits && chain.head() == head).then(|| Loaded::restored(chain, state))
    }

    /// What was kept beside a stream, as far as this build can read it.
    pub(super) async fn kept(&self, stream: &Name) -> Option<Kept> {
        let load = || async {
            match self.inner.journal.snapshots() {
                Some(snapshots) => snapshots.load(stream).await,
                None => Ok(None),
            }
        };
        Snapshot::read(&host::call("journal", load).await.ok()??).map(Kept)
    }

    /// Keeps a state beside its stream. That this fails harms nobody: the next one comes.
    pub(super) async fn keep(&self, chain: &Chain, state: &Arc<StageState>) {
        let keep = || async {
            if let Some(snapshots) = self.inner.journal.snapshots()
                && let Some(bytes) = Snapshot::of(chain, state).write()
            {
                snapshots.keep(chain.stream(), bytes).await?;
            }
            Ok(())
        };
        drop(host::call("journal", keep).await);
    }
}
