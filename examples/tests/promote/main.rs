//! The program that promotes releases through stages that are commands, as a child process.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

mod commands;
mod faults;
mod idle;
mod kill;
mod looking;
mod people;
mod plans;
mod program;
