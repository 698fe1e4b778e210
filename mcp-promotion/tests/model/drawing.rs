//! Which acts are drawn: some that lead further from where the model is, and some whatever they lead to.

use mcp_promotion::State;
use proptest::prelude::*;

use crate::act::{Act, Deed, Person, Transition, VERSIONS};
use crate::model::{Asked, Model};
use crate::toy::{Health, Mood};

pub(crate) fn transition(model: &Model) -> impl Strategy<Value = Transition> + use<> {
    let key = prop_oneof![6 => Just(None), 1 => (0..6_u8).prop_map(Some)];
    let drawn = prop_oneof![3 => proptest::sample::select(further(model)), 1 => (any_act(), person())];
    (drawn, key).prop_map(|((act, by), key)| Transition { act, by, key })
}

fn person() -> impl Strategy<Value = Person> {
    prop_oneof![
        3 => Just(Person::Alice),
        3 => Just(Person::Bob),
        3 => Just(Person::Carol),
        1 => Just(Person::Mallory),
    ]
}

/// Whatever leads further, as often as it is to be likely.
fn further(model: &Model) -> Vec<(Act, Person)> {
    let alice = |act: Act| (act, Person::Alice);
    let mut acts = Vec::new();
    acts.extend(vec![alice(Act::Pass(10)); 10]);
    acts.extend(vec![alice(Act::Step); 10]);
    acts.extend(vec![alice(Act::Settle); 2]);
    acts.push(alice(Act::Reopen));
    for at in 0..2 {
        let stage = &model.stages[at];
        for (place, asked) in stage.asked.iter().enumerate().filter(|(_, asked)| !asked.state.is_terminal()) {
            let which = stage.asked.len() - 1 - place;
            acts.extend(deeds(at, asked).into_iter().map(|(deed, by)| (Act::Do { at, which, deed }, by)));
        }
        for owed in &stage.owed {
            let which = stage.asked.len() - 1 - owed;
            acts.push((Act::Do { at, which, deed: Deed::Review }, Person::Carol));
        }
        if stage.held.is_some() {
            acts.push(alice(Act::LiftHold { at }));
        }
        if stage.previous().is_some() {
            acts.push(alice(Act::Rollback { at }));
        }
        let goes_back = stage.asked.iter().any(|asked| asked.state == State::RollingBack);
        if stage.world.mood != Mood::Works {
            acts.extend(vec![alice(Act::Mood { at, mood: Mood::Works }); 3]);
        } else if goes_back || stage.unsettled {
            acts.extend(vec![alice(Act::Mood { at, mood: Mood::Fails }); 3]);
        }
        if stage.head().is_none() {
            let reached = |version: &u8| at == 0 || model.stages[0].ran(*version, model.now).is_some();
            let versions = (1..=VERSIONS).filter(reached);
            let requests = versions.map(|version| alice(Act::Request { at, version }));
            acts.extend(requests.flat_map(|request| vec![request; 1 + 3 * at]));
        }
        if let Some(version) = stage.world.runs.filter(|_| stage.is_sampled()) {
            let healths = [Health::Fine, Health::Fine, Health::Fine, Health::Sick];
            acts.extend(healths.map(|health| alice(Act::Health { at, version, health })));
        }
    }
    acts
}

/// What can be done about a promotion that has not ended.
fn deeds(at: usize, asked: &Asked) -> Vec<(Deed, Person)> {
    let others = [Person::Bob, Person::Carol];
    match asked.state {
        // Nobody needs to approve what goes into the first stage.
        State::Pending if at == 0 => Vec::new(),
        State::Pending => {
            let mut deeds = others.map(|by| (Deed::Approve, by)).repeat(2);
            deeds.extend(asked.votes.iter().map(|(by, ..)| (Deed::Revoke, *by)));
            deeds
        }
        State::Deploying | State::Verifying => {
            vec![(Deed::Pause, Person::Bob), (Deed::Abort, Person::Carol)]
        }
        State::Paused => {
            let by = Person::Bob;
            [Deed::Resume, Deed::Resume, Deed::Override, Deed::Abort].map(|deed| (deed, by)).to_vec()
        }
        _ => [Deed::Retry, Deed::Acknowledge].map(|deed| (deed, Person::Carol)).to_vec(),
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => Just(Deed::Approve),
        1 => Just(Deed::Reject),
        1 => Just(Deed::Revoke),
        1 => Just(Deed::Veto),
        1 => Just(Deed::Cancel),
        1 => Just(Deed::Pause),
        1 => Just(Deed::Resume),
        1 => Just(Deed::Override),
        1 => Just(Deed::Abort),
        1 => Just(Deed::Acknowledge),
        1 => Just(Deed::Retry),
        1 => Just(Deed::BreakGlass),
        1 => Just(Deed::Review),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    let (at, version) = (0..2_usize, 1..=VERSIONS);
    let mood = prop_oneof![
        3 => Just(Mood::Fails),
        2 => Just(Mood::Stutters),
        1 => Just(Mood::Blind),
    ];
    let health = prop_oneof![3 => Just(Health::Fine), 2 => Just(Health::Sick), 1 => Just(Health::Silent)];
    let seconds = prop_oneof![4 => Just(5_u64), 3 => Just(60), 2 => Just(600), 1 => Just(3600)];
    prop_oneof![
        4 => (at.clone(), version.clone()).prop_map(|(at, version)| Act::Request { at, version }),
        1 => (at.clone(), version.clone()).prop_map(|(at, version)| Act::RequestUrgently { at, version }),
        1 => at.clone().prop_map(|at| Act::Rollback { at }),
        8 => (at.clone(), 0..4_usize, deed()).prop_map(|(at, which, deed)| Act::Do { at, which, deed }),
        1 => at.clone().prop_map(|at| Act::Hold { at }),
        1 => at.clone().prop_map(|at| Act::LiftHold { at }),
        4 => seconds.prop_map(Act::Pass),
        2 => (at.clone(), mood).prop_map(|(at, mood)| Act::Mood { at, mood }),
        3 => (at.clone(), version.clone(), health)
            .prop_map(|(at, version, health)| Act::Health { at, version, health }),
        1 => (at, proptest::option::of(version)).prop_map(|(at, version)| Act::Tamper { at, version }),
    ]
}
