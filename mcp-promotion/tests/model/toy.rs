//! A stage that does what the test says, the judge that looks at it, and the people who may do something about it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_core::{Digest, ErrorKind, SeamError};
use mcp_promotion::{
    Authorizer, Context, Counts, Fence, Fencing, Judge, JudgeError, Judgement, Observed, OperateRequest,
    Permission, Release, Sample, Stage, StageError, Standing, VoteRequest, Window, read_state,
};

use crate::act::{Person, VERSIONS};

/// How the stage takes the calls that are made to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Works,
    /// `apply` says no and has done nothing.
    Fails,
    /// `apply` says no and has done it.
    Stutters,
    /// `observe` cannot tell.
    Blind,
}

/// What the stage counts while it runs a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Fine,
    Sick,
    /// Nothing.
    Silent,
}

/// What is so in the world, as the test has it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) runs: Option<u8>,
    pub(crate) mood: Mood,
    health: [Health; VERSIONS as usize],
}

impl World {
    pub(crate) const fn new() -> Self {
        Self { runs: None, mood: Mood::Works, health: [Health::Fine; VERSIONS as usize] }
    }

    pub(crate) fn set_health(&mut self, version: u8, health: Health) {
        self.health[usize::from(version) - 1] = health;
    }

    pub(crate) fn health(&self) -> Health {
        self.runs.map_or(Health::Silent, |version| self.health[usize::from(version) - 1])
    }
}

pub(crate) fn release(version: u8) -> Release {
    let reference = format!("app@{version}.0.0");
    Release::of([(reference.as_str(), Digest::of(reference.as_bytes()))]).unwrap()
}

pub(crate) fn version_of(release: &Release) -> Option<u8> {
    (1..=VERSIONS).find(|version| self::release(*version) == *release)
}

#[derive(Clone)]
pub(crate) struct Toy(pub(crate) Arc<Mutex<World>>);

#[async_trait]
impl Stage for Toy {
    fn fencing(&self) -> Fencing {
        Fencing::Enforced
    }

    async fn observe(&self, _fence: Fence) -> Result<Observed, StageError> {
        let world = self.0.lock().unwrap();
        if world.mood == Mood::Blind {
            return Ok(Observed::Unknown("it is dark".to_owned()));
        }
        Ok(world.runs.map_or(Observed::Nothing, |version| Observed::Running(release(version).digest())))
    }

    async fn apply(&self, release: &Release, _context: &Context) -> Result<(), StageError> {
        let mut world = self.0.lock().unwrap();
        if world.mood != Mood::Fails {
            world.runs = version_of(release);
        }
        match world.mood {
            Mood::Fails | Mood::Stutters => Err(SeamError::new(ErrorKind::Unavailable, "reach the machines")),
            Mood::Works | Mood::Blind => Ok(()),
        }
    }

    async fn sample(&self, _window: Window) -> Result<Vec<Sample>, StageError> {
        Ok(match self.0.lock().unwrap().health() {
            Health::Fine => vec![Sample::canary("one", 100, 100)],
            Health::Sick => vec![Sample::canary("one", 0, 100)],
            Health::Silent => Vec::new(),
        })
    }
}

/// How many windows must be well before the release is.
pub(crate) const BAKE: u8 = 2;

/// Counts windows that were well, and fails at the first that was not.
pub(crate) struct Counting;

impl Judge for Counting {
    fn judge(
        &self,
        state: &serde_json::Value,
        _window: Window,
        samples: &[Sample],
    ) -> Result<(serde_json::Value, Judgement), JudgeError> {
        let well: u8 = read_state("counting", state)?;
        let (canary, _) = Counts::of(samples).map_err(|why| SeamError::new(ErrorKind::Invalid, why))?;
        if canary.total == 0 {
            let why = "there is no data".to_owned();
            return Ok((well.into(), Judgement::Inconclusive { why }));
        }
        if canary.good < canary.total {
            return Ok((well.into(), Judgement::Fail { why: "it is sick".to_owned() }));
        }
        let well = well.saturating_add(1);
        Ok((well.into(), if well < BAKE { Judgement::Undecided } else { Judgement::Pass }))
    }
}

/// Everybody may vote and operate but one.
pub(crate) struct Staff;

#[async_trait]
impl Authorizer for Staff {
    async fn standing(&self, request: &VoteRequest<'_>) -> Result<Option<Standing>, SeamError> {
        Ok((request.voter.as_str() != Person::Mallory.name()).then(Standing::every_level))
    }

    async fn may_operate(&self, request: &OperateRequest<'_>) -> Result<Permission, SeamError> {
        Ok(if request.who.as_str() == Person::Mallory.name() {
            Permission::Denied { who_may: Vec::new() }
        } else {
            Permission::Granted
        })
    }
}
