//! Random lives of two stages, the second one after the first, compared act by act with a naive model of them.
//!
//! The model is written from the design's words: lists that are searched from their beginning, and no event. What people command and what
//! happens by itself must come out the same in the engine; at the end, a replay gives the same state, and the two journals hold the same
//! bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests stop at the first surprise"
)]

mod act;
mod commands;
mod drawing;
mod driving;
mod model;
mod real;
mod toy;

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use act::Transition;
use model::Model;
use real::Real;

/// The model, as proptest asks for it.
struct Naive;

impl ReferenceStateMachine for Naive {
    type State = Model;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Model> {
        model::rules().prop_map(Model::new).boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Transition> {
        drawing::transition(model).boxed()
    }

    fn apply(mut model: Model, transition: &Transition) -> Model {
        model.outcome = model.obey(transition);
        model
    }

    fn preconditions(model: &Model, transition: &Transition) -> bool {
        model.is_certain_after(&transition.act)
    }
}

struct Stages;

impl StateMachineTest for Stages {
    type SystemUnderTest = Real;
    type Reference = Naive;

    fn init_test(model: &Model) -> Real {
        Real::new(model)
    }

    fn apply(mut real: Real, model: &Model, transition: Transition) -> Real {
        real.obey(model, &transition);
        real
    }

    fn check_invariants(real: &Real, model: &Model) {
        real.compare(model);
    }

    fn teardown(real: Real, model: Model) {
        real.end(&model);
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    /// Invariants 4, 5 and 7.
    #[test]
    fn two_stages_do_what_a_naive_model_of_them_does_whatever_is_commanded_and_whatever_fails(
        sequential 40..160 => Stages
    );
}
