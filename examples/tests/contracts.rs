//! Contracts that are kept in a registry.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

#[path = "../contracts/store.rs"]
mod store;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use mcp_core::{Name, SeamError};
use mcp_validation::conformance::contract_store;
use mcp_validation::{ContractEntry, ContractStore};
use store::RegistryContracts;

/// One registry for all who have it open at the same time: its folder has one writer.
struct Opened(Arc<RegistryContracts>);

impl ContractStore for Opened {
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

#[test]
fn a_registry_keeps_contracts_as_a_store_promises() {
    let folder = tempfile::tempdir().unwrap();
    let open: Mutex<Weak<RegistryContracts>> = Mutex::default();
    let store = || {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let shared =
            open.upgrade().unwrap_or_else(|| Arc::new(RegistryContracts::open(folder.path()).unwrap()));
        *open = Arc::downgrade(&shared);
        Opened(shared)
    };
    assert_eq!(contract_store(store), Ok(()));
}

#[test]
fn the_example_refuses_a_break_also_after_it_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let programs = std::env::current_exe().unwrap();
    let program = programs.ancestors().nth(2).unwrap().join("examples").join("contracts");
    let run = || {
        let output =
            std::process::Command::new(&program).arg(folder.path()).output().expect("cargo build --examples");
        String::from_utf8(output.stdout).unwrap()
    };
    let round = |name: &str| {
        format!(
            "{name}: 1.0.0 is registered\n{name}: 2.0.0 is refused: conflict\n{name}: invalid by shop/order@1.0.0: 1 error\n\
             error schema.required (document): \"id\" is a required property\n"
        )
    };
    let expected = round("first") + &round("second");
    assert_eq!([run(), run()], [expected.clone(), expected]);
}
