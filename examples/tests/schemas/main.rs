//! The programs `validate` and `compat`, as child processes.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod compat;
mod pipe;
mod program;
mod sarif;
mod validate;
mod validate_lines;
