//! The life of promotions, command by command and step by step, with golden transcripts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests stop at the first surprise"
)]

mod actions;
mod approvals;
mod automatic;
mod canary;
mod changed_pipeline;
mod checkpoints;
mod comparing;
mod drawing;
mod fleet;
mod gates;
mod glass;
mod going_back;
mod hostile;
mod hostile_clocks;
mod hostile_stages;
#[cfg(feature = "sqlite")]
mod journals;
mod lanes;
mod lanes_model;
mod left_behind;
mod looking;
mod notices;
#[cfg(feature = "sqlite")]
mod old_journals;
#[cfg(feature = "sqlite")]
mod old_lives;
mod operators;
mod panics;
mod permissions;
mod plan_claims;
mod plan_damage;
mod plan_failures;
mod plan_lanes;
mod plan_notices;
mod plan_operators;
mod plan_permissions;
mod plan_pins;
mod plan_scale;
mod plans;
mod races;
mod random;
mod scene;
mod snapshots;
mod stopping;
#[cfg(feature = "sqlite")]
mod takeover;
mod transcripts;
mod troubles;
mod upstream;
mod watching;
mod windows;
mod yard;
