//! Runs the quickstart program as a user would: to its end, killed in the middle, and on a machine that is in trouble.
//!
//! `cargo test` builds the program beside these tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod archives;
mod kill;
mod outcome;
mod program;
mod trouble;
mod whole;
