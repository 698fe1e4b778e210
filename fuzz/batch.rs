//! The parts of the examples `validate` and `compat` that read lines: the programs themselves, and nothing copied from them.

#[path = "../examples/batch/answer.rs"]
pub mod answer;
#[path = "../examples/batch/case.rs"]
pub mod case;
#[path = "../examples/batch/compat.rs"]
pub mod compat;
#[path = "../examples/batch/contracts.rs"]
pub mod contracts;
#[path = "../examples/batch/validate.rs"]
pub mod validate;
