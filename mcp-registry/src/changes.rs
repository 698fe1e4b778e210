use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream};
use mcp_core::Digest;

use crate::catalog::Snapshot;
use crate::{ChangeRow, Registry, RegistryError, genesis};

/// How many rows are read at a time, unless their bodies are large, and held until they are taken.
const PAGE_ROWS: usize = 256;

/// The rows of the change feed, one behind another: each is the successor of the one before, or the stream ends in an error.
///
/// Made by [`feed`](Registry::feed) and [`follow`](Registry::follow). After an error it gives nothing more; with the `seq` of the last
/// row another one goes on. It holds at most a page of rows, and reads the next when these are taken.
#[must_use = "a stream gives nothing until it is polled"]
pub struct ChangeStream {
    registry: Registry,
    after: u64,
    /// The chain of the row `after`, once it was read.
    chain: Option<Digest>,
    expected: Option<Digest>,
    follows: bool,
    page: VecDeque<ChangeRow>,
    /// What comes behind the page.
    fault: Option<RegistryError>,
    reading: Option<BoxFuture<'static, Result<Page, RegistryError>>>,
    ended: bool,
}

struct Page {
    /// The chain of the row before.
    before: Digest,
    rows: Vec<ChangeRow>,
    /// Why the row behind these cannot be read.
    fault: Option<RegistryError>,
}

impl Registry {
    /// The change feed behind the position `after`, 0 for all of it, up to the row that is the last when the stream gets there.
    pub fn feed(&self, after: u64) -> ChangeStream {
        ChangeStream::new(self.clone(), after, false)
    }

    /// The same, and then each row when it is committed, until the registry is closed or its writer stops: the stream then ends in an
    /// error of the kind `Unavailable`. Nothing is polled; the committer wakes those who wait.
    ///
    /// A handle that reads only has no committer to wake it: there the stream ends in an error of the kind `Unsupported` when it has
    /// given the last row. Its host calls [`feed`](Self::feed) again whenever it likes.
    pub fn follow(&self, after: u64) -> ChangeStream {
        ChangeStream::new(self.clone(), after, true)
    }

    /// The rows behind `after`. Of a stream that follows, not before there is one.
    async fn next_page(self, after: u64, follows: bool) -> Result<Page, RegistryError> {
        let mut heads = self.heads();
        loop {
            // Before the look, so that nothing that comes after it is missed.
            if let Some(heads) = &mut heads {
                heads.borrow_and_update();
            }
            let page = self.readers().read(move |now| page(now, after)).await?;
            if !page.rows.is_empty() || page.fault.is_some() || !follows {
                return Ok(page);
            }
            self.check_writable("follow the change feed")?;
            let gone = match &mut heads {
                Some(heads) => heads.changed().await.is_err(),
                None => true,
            };
            if gone {
                return Err(RegistryError::Closed);
            }
        }
    }
}

fn page(now: &Snapshot<'_>, after: u64) -> Result<Page, RegistryError> {
    // The chain of the row before, which the first one continues.
    let before = if after == 0 {
        genesis(now.identity()?.id)
    } else {
        let seen = now.rows(after.saturating_sub(1), 1)?.pop();
        let seen = seen.transpose()?.filter(|seen| seen.row.seq == after).ok_or_else(|| {
            RegistryError::not_found(format!("row {after} of the change feed"), "it does not reach so far")
        })?;
        seen.chain
    };
    let mut page = Page { before, rows: Vec::new(), fault: None };
    for row in now.rows(after, PAGE_ROWS)? {
        match row.and_then(|stored| stored.row.into_change(stored.chain)) {
            Ok(row) => page.rows.push(row),
            // Those before it are given first.
            Err(error) => {
                page.fault = Some(error);
                break;
            }
        }
    }
    Ok(page)
}

impl ChangeStream {
    const fn new(registry: Registry, after: u64, follows: bool) -> Self {
        Self {
            registry,
            after,
            chain: None,
            expected: None,
            follows,
            page: VecDeque::new(),
            fault: None,
            reading: None,
            ended: false,
        }
    }

    /// Goes on only where the row at its beginning still has this chain, as its reader remembers it: another one, or none, means that
    /// this is not the feed that was read before, and the stream ends in `Corrupt` or `NotFound`.
    pub const fn expecting(mut self, chain: Digest) -> Self {
        self.expected = Some(chain);
        self
    }

    fn turn(&mut self, page: Page) -> Result<(), RegistryError> {
        let known = self.chain.or(self.expected);
        if known.is_some_and(|chain| chain != page.before) {
            return Err(broken(self.after, "its chain is not the one that was read before"));
        }
        self.chain = Some(page.before);
        self.ended = page.rows.is_empty();
        self.page = page.rows.into();
        self.fault = page.fault;
        Ok(())
    }

    fn check(&mut self, row: ChangeRow) -> Result<ChangeRow, RegistryError> {
        if !self.chain.is_some_and(|chain| row.follows(&chain)) {
            return Err(broken(row.seq, "it does not follow the row before"));
        }
        self.after = row.seq;
        self.chain = Some(row.chain);
        Ok(row)
    }

    fn end<T>(&mut self, error: RegistryError) -> Poll<Option<Result<T, RegistryError>>> {
        self.ended = true;
        self.page.clear();
        self.fault = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for ChangeStream {
    type Item = Result<ChangeRow, RegistryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(row) = this.page.pop_front() {
                return match this.check(row) {
                    Ok(row) => Poll::Ready(Some(Ok(row))),
                    Err(error) => this.end(error),
                };
            }
            if let Some(error) = this.fault.take() {
                return this.end(error);
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let (registry, after, follows) = (&this.registry, this.after, this.follows);
            let reading =
                this.reading.get_or_insert_with(|| registry.clone().next_page(after, follows).boxed());
            let page = ready!(reading.poll_unpin(context));
            this.reading = None;
            if let Err(error) = page.and_then(|page| this.turn(page)) {
                return this.end(error);
            }
        }
    }
}

impl fmt::Debug for ChangeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeStream").field("after", &self.after).field("follows", &self.follows).finish()
    }
}

fn broken(seq: u64, reason: &str) -> RegistryError {
    RegistryError::Corrupt {
        what: "the change feed".to_owned(),
        place: format!("row {seq}"),
        reason: reason.to_owned(),
    }
}
