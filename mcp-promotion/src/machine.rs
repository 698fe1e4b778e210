//! The pure core: what a stage's events mean, which commands are allowed, and what is to be done next.
//!
//! Neither clock nor input nor output nor randomness: the time is an argument, and everything else is computed from events.
//!
//! - [`StageState::apply`]: state and event give state. It refuses events that break the table of states or an invariant, so replaying a
//!   stream checks it.
//! - [`decide`]: state, command and time give events, or a refusal.
//! - [`next`]: state and time give the next thing that a driver should do, or until when it should wait; [`blockers`] says why.

mod apply;
mod automatic;
mod command;
mod decide;
mod follow;
mod glass;
mod hold;
mod lanes;
mod layers;
mod next;
mod observation;
mod promotions;
mod reach;
mod sorted;
mod stage_state;
mod upstream;
mod watch;

pub use apply::Impossible;
pub(crate) use automatic::{AUTOMATIC, RESERVED, WATCH};
pub use automatic::{Candidate, candidate};
pub use command::Command;
pub use decide::decide;
pub(crate) use lanes::concerns_stage;
pub use lanes::{LaneState, beside};
pub use next::{Effect, Next, Upstream, View, blockers, next};
pub use observation::{Looking, consequence};
pub use reach::Goal;
pub use stage_state::{Deployed, StageState, Verified};
pub(crate) use upstream::counts;
pub use watch::{Response, Watch};
