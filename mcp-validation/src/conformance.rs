//! Checks that every implementation of a plug-in must pass: for the tests of hosts.

mod schema_format;

use std::sync::Arc;
use std::thread;

use mcp_core::{ErrorKind, Name, SeamError};

pub use schema_format::{Samples, schema_format};

use crate::{ContractEntry, ContractStore, Mode, StoredContract};

/// Checks a store of contracts. `open` opens one and the same store each time, empty at first, as a process that starts would.
///
/// # Errors
/// The first promise that is not kept.
pub fn contract_store<S: ContractStore + 'static>(open: impl Fn() -> S) -> Result<(), String> {
    let fault = |error: SeamError| format!("{error} ({})", error.kind());
    let name = |text: &str| text.parse::<Name>().map_err(|error| error.to_string());
    let (app, other) = (name("app")?, name("team/other")?);
    let version = "1.0.0".parse().map_err(|error: mcp_core::ParseError| error.to_string())?;
    let contract =
        StoredContract::new(version, "json-schema", "{\"title\": \"\u{e9}\"}").reference("urn:a", "{}");
    let entries = [ContractEntry::Mode(Mode::Full), ContractEntry::Contract(Box::new(contract))];

    let store = open();
    expect(store.subjects().map_err(fault)?, Vec::new(), "an empty store has no subjects")?;
    expect(store.read(&app).map_err(fault)?, Vec::new(), "an unknown subject has no entries")?;
    for (expected, entry) in entries.iter().enumerate() {
        store.append(&app, expected, entry).map_err(fault)?;
    }
    expect(store.read(&app).map_err(fault)?, entries.to_vec(), "entries come back whole and in order")?;
    for expected in [0, 1, 3] {
        let refused =
            store.append(&app, expected, &ContractEntry::Mode(Mode::None)).map_err(|error| error.kind());
        expect(refused, Err(ErrorKind::Conflict), "another number of entries is a conflict")?;
    }
    expect(store.read(&app).map_err(fault)?, entries.to_vec(), "a conflict adds nothing")?;
    store.append(&other, 0, &ContractEntry::Mode(Mode::None)).map_err(fault)?;

    drop(store);
    let store = Arc::new(open());
    expect(
        store.read(&app).map_err(fault)?,
        entries.to_vec(),
        "entries are there after the store was opened again",
    )?;
    let mut subjects = store.subjects().map_err(fault)?;
    subjects.sort();
    expect(subjects, vec![app, other.clone()], "every subject is listed once")?;

    let racers: Vec<_> = (0..8)
        .map(|_| {
            let (store, other) = (Arc::clone(&store), other.clone());
            thread::spawn(move || store.append(&other, 1, &ContractEntry::Mode(Mode::Forward)).is_ok())
        })
        .collect();
    let won = racers.into_iter().filter_map(|racer| racer.join().ok()).filter(|won| *won).count();
    expect(won, 1, "of callers with the same expectation one succeeds")?;
    expect(store.read(&other).map_err(fault)?.len(), 2, "who loses adds nothing")
}

fn expect<T: PartialEq + std::fmt::Debug>(found: T, expected: T, promise: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{promise}: found {found:?}, expected {expected:?}")) }
}
