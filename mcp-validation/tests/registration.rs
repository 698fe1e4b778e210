//! Registered schemas: what a subject's mode refuses, what a store keeps, and who wins where several register at once.
#![cfg(feature = "json-schema")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};

use mcp_core::{ErrorKind, Name, SeamError, Version};
use mcp_validation::rule::Rule;
use mcp_validation::{
    Compatibility, Contract, ContractEntry, ContractStore, Document, MemoryContractStore, Mode, Registered,
    Registration, StoredContract, ValidationEngine, ValidationError,
};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn schema(number: &str, text: &str) -> StoredContract {
    StoredContract::new(version(number), "json-schema", text)
}

fn engine(store: &Arc<impl ContractStore + 'static>) -> ValidationEngine {
    let store = Arc::clone(store) as Arc<dyn ContractStore>;
    ValidationEngine::builder().store(store).mode(Mode::Backward).build().unwrap()
}

fn register(engine: &ValidationEngine, number: &str, text: &str) -> Result<Registration, ValidationError> {
    engine.register_schema(&name("app"), schema(number, text))
}

const INTEGER: &str = r#"{"type": "integer"}"#;
const NUMBER: &str = r#"{"type": "number"}"#;

/// A disk: bytes that outlive whoever writes them.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Vec<u8>>>);

/// Keeps each entry as a line of JSON on a disk, and reads them when it is opened.
struct Lines {
    disk: Disk,
    entries: Mutex<BTreeMap<Name, Vec<ContractEntry>>>,
}

impl Lines {
    fn open(disk: &Disk) -> Self {
        let mut entries: BTreeMap<Name, Vec<ContractEntry>> = BTreeMap::new();
        for line in disk.0.lock().unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let (subject, entry) = serde_json::from_slice(line).unwrap();
            entries.entry(subject).or_default().push(entry);
        }
        Self { disk: disk.clone(), entries: Mutex::new(entries) }
    }
}

impl ContractStore for Lines {
    fn subjects(&self) -> Result<Vec<Name>, SeamError> {
        Ok(self.entries.lock().unwrap().keys().cloned().collect())
    }

    fn read(&self, subject: &Name) -> Result<Vec<ContractEntry>, SeamError> {
        Ok(self.entries.lock().unwrap().get(subject).cloned().unwrap_or_default())
    }

    fn append(&self, subject: &Name, expected: usize, entry: &ContractEntry) -> Result<(), SeamError> {
        let mut entries = self.entries.lock().unwrap();
        let own = entries.entry(subject.clone()).or_default();
        if own.len() != expected {
            return Err(SeamError::new(ErrorKind::Conflict, "add an entry"));
        }
        let mut line = serde_json::to_vec(&(subject, entry)).unwrap();
        line.push(b'\n');
        self.disk.0.lock().unwrap().extend(line);
        own.push(entry.clone());
        Ok(())
    }
}

#[test]
fn a_schema_that_breaks_its_subjects_mode_is_refused_with_every_break() {
    let engine = engine(&Arc::new(MemoryContractStore::new()));
    let first = r#"{"type": "object", "properties": {"a": {"type": "string"}, "b": {"enum": [1, 2]}}}"#;
    let second = r#"{"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"enum": [1]}}}"#;
    register(&engine, "1.0.0", first).unwrap();
    let error = register(&engine, "2.0.0", second).expect_err("two breaks");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let told = error.to_string();
    assert!(told.starts_with("register the schema app@2.0.0: it is not backward compatible: "), "{told}");
    assert!(told.contains("json-schema.required-added at /required/a: "), "{told}");
    assert!(told.contains("json-schema.enum-narrowed at /properties/b/enum: "), "{told}");
    let ValidationError::Incompatible { breaks, mode: Mode::Backward, .. } = error else { panic!("{error}") };
    assert!(breaks.iter().all(|found| found.witness.is_some() && found.against == Some(0)));
    // Nothing was kept.
    let document = Document::json("{}");
    assert_eq!(
        engine.validate_latest(&name("app"), &document).unwrap().contract.unwrap().to_string(),
        "app@1.0.0"
    );
}

#[test]
fn each_mode_refuses_what_it_promises_to() {
    let history = [r#"{"type": ["integer", "null"]}"#, INTEGER];
    for (mode, fits) in [
        (Mode::None, [true, true, true]),
        (Mode::Backward, [true, false, true]),
        (Mode::Forward, [false, false, true]),
        (Mode::Full, [false, false, true]),
        (Mode::BackwardTransitive, [false, false, false]),
        (Mode::ForwardTransitive, [false, false, true]),
        (Mode::FullTransitive, [false, false, false]),
    ] {
        for (new, fits) in
            [NUMBER, r#"{"type": "string"}"#, r#"{"type": "integer", "title": "t"}"#].iter().zip(fits)
        {
            let engine = ValidationEngine::builder().build().unwrap();
            for (place, old) in history.iter().enumerate() {
                register(&engine, &format!("0.{place}.0"), old).unwrap();
            }
            engine.set_mode(&name("app"), mode).unwrap();
            assert_eq!(engine.mode(&name("app")), mode);
            let new = schema("1.0.0", new);
            let checked = engine.check_schema(&name("app"), &new).unwrap();
            assert_eq!(checked == Compatibility::Yes, fits, "{mode} {new:?}: {checked:?}");
            assert_eq!(engine.register_schema(&name("app"), new).is_ok(), fits, "{mode}");
        }
    }
}

#[test]
fn what_cannot_be_decided_is_refused_too() {
    let engine = engine(&Arc::new(MemoryContractStore::new()));
    register(&engine, "1.0.0", r#"{"pattern": "^[ab]$"}"#).unwrap();
    let error = register(&engine, "1.1.0", r#"{"pattern": "^(a|b)$"}"#).expect_err("undecided");
    assert!(matches!(error, ValidationError::Undecided { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn equal_schemas_have_one_id_and_a_repeated_registration_changes_nothing() {
    let engine = engine(&Arc::new(MemoryContractStore::new()));
    let first = register(&engine, "1.0.0", INTEGER).unwrap();
    assert_eq!(first.outcome, Registered::New);
    let again = register(&engine, "1.0.0", "{ \"type\" : \"integer\" }").unwrap();
    assert_eq!((again.id, again.outcome), (first.id, Registered::Already));
    assert_eq!(register(&engine, "1.0.1", INTEGER).unwrap().id, first.id);
    assert_ne!(register(&engine, "1.1.0", NUMBER).unwrap().id, first.id);
    let elsewhere = engine.register_schema(&name("other"), schema("7.0.0", INTEGER)).unwrap();
    assert_eq!(elsewhere.id, first.id);
    assert_eq!(engine.schema_id(&name("app"), &version("1.0.1")).unwrap(), first.id);
    for (taken, text) in [("1.0.0", NUMBER), ("1.0.0+linux", INTEGER)] {
        let error = register(&engine, taken, text).expect_err(taken);
        assert!(matches!(error, ValidationError::VersionTaken { .. }), "{error}");
    }
    let ruled = schema("1.0.0", INTEGER).rule(Rule::range("positive", "", 1.0..));
    let error = engine.register_schema(&name("app"), ruled).expect_err("a rule more");
    assert!(error.to_string().contains("with other rules or limits"), "{error}");
}

#[test]
fn schemas_and_modes_survive_a_restart_when_the_store_does() {
    let disk = Disk::default();
    let before = engine(&Arc::new(Lines::open(&disk)));
    let ruled = schema("1.0.0", r#"{"$ref": "urn:number"}"#)
        .reference("urn:number", INTEGER)
        .rule(Rule::range("positive", "", 1.0..));
    let id = before.register_schema(&name("app"), ruled).unwrap().id;
    before.set_mode(&name("app"), Mode::Full).unwrap();
    drop(before);
    let after = engine(&Arc::new(Lines::open(&disk)));
    assert_eq!(after.mode(&name("app")), Mode::Full);
    assert_eq!(after.schema_id(&name("app"), &version("1.0.0")).unwrap(), id);
    let judged = |text: &str| {
        let report =
            after.validate(&name("app"), &version("1.0.0"), &Document::json(text.to_owned())).unwrap();
        report.findings.iter().map(|finding| finding.code.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        (judged("1"), judged("0"), judged("\"a\"").len()),
        (vec![], vec!["rule.positive".to_owned()], 2)
    );
    assert!(matches!(register(&after, "2.0.0", NUMBER), Err(ValidationError::Incompatible { .. })));
}

#[test]
fn of_many_who_register_at_once_each_is_compared_with_all_that_came_before() {
    // Each schema reads its own number and all smaller ones, so that only growing ones fit.
    let store = Arc::new(MemoryContractStore::new());
    let engines = [Arc::new(engine(&store)), Arc::new(engine(&store))];
    let barrier = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (1..=8_u32)
        .map(|most| {
            let (engine, barrier) = (Arc::clone(&engines[most as usize % 2]), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                let text = format!(r#"{{"type": "integer", "maximum": {most}}}"#);
                (most, register(&engine, &format!("{most}.0.0"), &text))
            })
        })
        .collect();
    let mut accepted = Vec::new();
    for thread in threads {
        match thread.join().unwrap() {
            (most, Ok(_)) => accepted.push(most),
            (_, Err(ValidationError::Incompatible { .. })) => {}
            (_, Err(error)) => panic!("{error}"),
        }
    }
    let stored: Vec<u32> = store
        .read(&name("app"))
        .unwrap()
        .iter()
        .map(|entry| match entry {
            ContractEntry::Contract(stored) => {
                stored.version.to_string().split('.').next().unwrap().parse().unwrap()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(stored.is_sorted(), "{stored:?}");
    let mut sorted = stored.clone();
    sorted.sort_unstable();
    accepted.sort_unstable();
    assert_eq!(sorted, accepted);
    assert!(accepted.contains(&8), "nothing can refuse the greatest");
}

#[test]
fn two_engines_on_one_store_see_what_the_other_registered_when_they_register() {
    let store = Arc::new(MemoryContractStore::new());
    let (left, right) = (engine(&store), engine(&store));
    register(&left, "1.0.0", NUMBER).unwrap();
    assert!(matches!(register(&right, "1.1.0", INTEGER), Err(ValidationError::Incompatible { .. })));
    assert_eq!(register(&right, "1.0.0", NUMBER).unwrap().outcome, Registered::Already);
}

#[test]
fn a_format_cannot_change_within_a_subject_and_an_unknown_one_is_refused() {
    let engine = engine(&Arc::new(MemoryContractStore::new()));
    let error = engine
        .register_schema(&name("app"), StoredContract::new(version("1.0.0"), "xml-schema", "<a/>"))
        .expect_err("no such format");
    assert!(matches!(error, ValidationError::UnknownFormat { .. }), "{error}");
    let error = register(&engine, "1.0.0", r#"{"type": "txt"}"#).expect_err("no schema");
    assert!(matches!(error, ValidationError::BrokenSchema { .. }), "{error}");
}

#[test]
fn a_version_that_was_registered_in_code_is_taken_for_schemas_too() {
    let engine = engine(&Arc::new(MemoryContractStore::new()));
    let contract = Contract::json_schema(INTEGER).build().unwrap();
    engine.register(&name("app"), &version("1.0.0"), contract).unwrap();
    assert!(matches!(register(&engine, "1.0.0", INTEGER), Err(ValidationError::VersionTaken { .. })));
    register(&engine, "1.1.0", INTEGER).unwrap();
}

/// A store that cannot be reached.
struct Gone;

impl ContractStore for Gone {
    fn subjects(&self) -> Result<Vec<Name>, SeamError> {
        Ok(Vec::new())
    }

    fn read(&self, _: &Name) -> Result<Vec<ContractEntry>, SeamError> {
        Err(SeamError::new(ErrorKind::Unavailable, "read entries"))
    }

    fn append(&self, _: &Name, _: usize, _: &ContractEntry) -> Result<(), SeamError> {
        Err(SeamError::new(ErrorKind::Unavailable, "add an entry"))
    }
}

#[test]
fn what_the_store_did_not_keep_is_not_registered() {
    let engine = engine(&Arc::new(Gone));
    let error = register(&engine, "1.0.0", INTEGER).expect_err("not kept");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(engine.list(), []);
    assert_eq!(
        engine.set_mode(&name("app"), Mode::Full).map_err(|error| error.kind()),
        Err(ErrorKind::Unavailable)
    );
    assert_eq!(engine.mode(&name("app")), Mode::Backward);
}

#[cfg(feature = "conformance")]
#[test]
fn the_stores_of_this_crate_and_of_these_tests_keep_every_promise() {
    let disk = Disk::default();
    assert_eq!(mcp_validation::conformance::contract_store(|| Lines::open(&disk)), Ok(()));
    // The one in memory ends with its last handle, which is kept here.
    struct Shared(Arc<MemoryContractStore>);
    impl ContractStore for Shared {
        fn subjects(&self) -> Result<Vec<Name>, SeamError> {
            self.0.subjects()
        }
        fn read(&self, subject: &Name) -> Result<Vec<ContractEntry>, SeamError> {
            self.0.read(subject)
        }
        fn append(&self, subject: &Name, expected: usize, entry: &ContractEntry) -> Result<(), SeamError> {
            self.0.append(subject, expected, entry)
        }
    }
    let memory = Arc::new(MemoryContractStore::new());
    assert_eq!(mcp_validation::conformance::contract_store(|| Shared(Arc::clone(&memory))), Ok(()));
    let forgets = mcp_validation::conformance::contract_store(MemoryContractStore::new);
    assert!(
        forgets.expect_err("it forgets").starts_with("entries are there after the store was opened again")
    );
}
