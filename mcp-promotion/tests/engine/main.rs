//! The life of promotions, command by command and step by step, with golden transcripts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests stop at the first surprise"
)]

mod canary;
mod gates;
mod hostile;
#[cfg(feature = "sqlite")]
mod journals;
mod left_behind;
mod races;
mod random;
mod scene;
mod transcripts;
