use mcp_core::{ErrorKind, Name};

use super::owners::owners;
use super::{Failure, ensure};
use crate::{Append, Journal, MAX_EVENT_BYTES};

/// Checks `journal`, which must hold no streams that begin with `conformance/`, and its [`Owners`](crate::Owners) where it has that
/// capability; it leaves some there.
///
/// # Errors
/// What does not hold.
pub async fn journal(journal: &dyn Journal) -> Result<(), Failure> {
    let name = |text: &str| text.parse::<Name>().map_err(|error| Failure::new(error.to_string()));
    let (a, b, c) = (name("conformance/a")?, name("conformance/b")?, name("conformance/b.c")?);
    let event = |text: &str| text.as_bytes().to_vec();

    let read = |stream: Name, after: u64, max: usize| async move {
        journal.read(&stream, after, max).await.map_err(Failure::call(format!("read {stream} after {after}")))
    };
    ensure(read(a.clone(), 0, 10).await?.is_empty(), "a stream without events reads as empty")?;
    ensure(list(journal).await?.is_empty(), "a stream without events does not exist")?;

    append(journal, &[Append::new(a.clone(), 0, vec![event("1"), event("2"), event("3")])]).await?;
    ensure(
        read(a.clone(), 0, 10).await? == [event("1"), event("2"), event("3")],
        "events are read in order",
    )?;
    ensure(read(a.clone(), 1, 1).await? == [event("2")], "reading begins behind `after` and stops at `max`")?;
    ensure(read(a.clone(), 3, 10).await?.is_empty(), "there is nothing behind the last event")?;
    ensure(
        read(a.clone(), u64::MAX, usize::MAX).await?.is_empty(),
        "there is nothing behind the largest position",
    )?;

    for expected in [0, 2, 4, u64::MAX] {
        conflict(journal, &[Append::new(a.clone(), expected, vec![event("x")])], "another version").await?;
        conflict(journal, &[Append::assert(a.clone(), expected)], "an assertion of another version").await?;
    }
    let half = [Append::new(b.clone(), 0, vec![event("b")]), Append::new(a.clone(), 2, vec![event("x")])];
    conflict(journal, &half, "a batch of which one stream has another version").await?;
    let asserted = [Append::assert(a.clone(), 2), Append::new(b.clone(), 0, vec![event("b")])];
    conflict(journal, &asserted, "a batch that asserts another version").await?;
    ensure(read(b.clone(), 0, 10).await?.is_empty(), "of a batch that is refused nothing happens")?;

    let several = [
        Append::assert(a.clone(), 3),
        Append::new(b.clone(), 0, vec![event("b")]),
        Append::new(c.clone(), 0, vec![event("c")]),
    ];
    append(journal, &several).await?;
    ensure(read(a.clone(), 0, 10).await?.len() == 3, "an assertion adds nothing")?;
    ensure(list(journal).await? == [a.clone(), b.clone(), c.clone()], "streams are listed, sorted")?;
    let some = journal.streams("conformance/b").await.map_err(Failure::call("list streams"))?;
    ensure(some == [b.clone(), c.clone()], "streams are listed by prefix")?;

    let bytes: Vec<u8> = (0..=255).cycle().take(1024 * 1024).collect();
    append(journal, &[Append::new(b.clone(), 1, vec![bytes.clone(), Vec::new()])]).await?;
    ensure(read(b.clone(), 1, 10).await? == [bytes, Vec::new()], "events are any bytes, a mebibyte or none")?;

    append(journal, &[]).await?;
    let twice = [Append::new(c.clone(), 1, vec![event("x")]), Append::assert(c.clone(), 1)];
    refused(journal, &twice, ErrorKind::Invalid, "a stream that stands twice in a batch").await?;
    let large = [
        Append::assert(a.clone(), 3),
        Append::new(c.clone(), 1, vec![event("x"), vec![0; MAX_EVENT_BYTES.saturating_add(1)]]),
    ];
    refused(journal, &large, ErrorKind::Exhausted, "an event above the limit").await?;
    ensure(read(c.clone(), 0, 10).await? == [event("c")], "of a batch that is refused nothing happens")?;

    let d = name("conformance/d")?;
    let many: Vec<Vec<u8>> = (0..300).map(|number: u32| number.to_be_bytes().to_vec()).collect();
    append(journal, &[Append::new(d.clone(), 0, many.clone())]).await?;
    for max in [1, 7, 299, 300, usize::MAX] {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let page = read(d.clone(), after, max).await?;
            ensure(page.len() <= max, format!("a page of at most {max} events has no more"))?;
            if page.is_empty() {
                break;
            }
            after = after.saturating_add(page.len() as u64);
            found.extend(page);
        }
        ensure(found == many, format!("pages of at most {max} events are the whole stream, in order"))?;
    }
    ensure(read(d.clone(), 0, 0).await?.is_empty(), "a page of no events has none")?;

    // Each expects both streams as they are, in either order: one gets both, the others neither.
    let e = name("conformance/e")?;
    let pairs = (0..16).map(|racer: u8| {
        let mut batch =
            [Append::new(d.clone(), 300, vec![vec![racer]]), Append::new(e.clone(), 0, vec![vec![racer]])];
        if racer % 2 == 1 {
            batch.reverse();
        }
        async move { journal.append(&batch).await }
    });
    let won = futures::future::join_all(pairs).await.iter().filter(|outcome| outcome.is_ok()).count();
    ensure(won == 1, format!("of 16 appends to the same two streams, {won} succeeded"))?;
    let both = (read(d, 300, 10).await?, read(e, 0, 10).await?);
    ensure(both.0.len() == 1 && both.0 == both.1, "an append to two streams happens as a whole")?;

    let racers = (0..16).map(|racer: u8| {
        let append = Append::new(a.clone(), 3, vec![vec![racer]]);
        async move { journal.append(&[append]).await }
    });
    let outcomes = futures::future::join_all(racers).await;
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    ensure(won == 1, format!("of 16 appends that expect one version, {won} succeeded"))?;
    ensure(read(a, 0, 10).await?.len() == 4, "the events of the losers are not there")?;
    match journal.owners() {
        Some(known) => owners(known).await,
        None => Ok(()),
    }
}

async fn list(journal: &dyn Journal) -> Result<Vec<Name>, Failure> {
    journal.streams("conformance/").await.map_err(Failure::call("list streams"))
}

async fn append(journal: &dyn Journal, batch: &[Append]) -> Result<(), Failure> {
    journal.append(batch).await.map_err(Failure::call("append what fits"))
}

async fn conflict(journal: &dyn Journal, batch: &[Append], what: &str) -> Result<(), Failure> {
    refused(journal, batch, ErrorKind::Conflict, what).await
}

async fn refused(
    journal: &dyn Journal,
    batch: &[Append],
    kind: ErrorKind,
    what: &str,
) -> Result<(), Failure> {
    let holds = match kind {
        ErrorKind::Conflict => format!("{what} is refused as a conflict"),
        kind => format!("{what} is refused as {kind}"),
    };
    match journal.append(batch).await {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(Failure::call(holds)(error)),
        Ok(()) => Err(Failure::new(holds)),
    }
}
