//! The quality of records, by the program as a child process, and beside pandas.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod commands;
mod flights;
mod program;
