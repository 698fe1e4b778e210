//! What happens by itself: a driver takes the stages in their order, and of each what is under way before what waits.

use mcp_promotion::State;

use crate::model::{ATTEMPTS, BACKOFF, EXPIRY, Model, WINDOW};
use crate::toy::{BAKE, Health, Mood};

/// Whether something was done that shows, or only something that counts.
type Shows = bool;

impl Model {
    /// Goes on until something shows; whether something did.
    pub(crate) fn step(&mut self) -> bool {
        loop {
            match (0..2).find_map(|at| self.drive(at)) {
                Some(true) => return true,
                Some(false) => {}
                None => return false,
            }
        }
    }

    fn drive(&mut self, at: usize) -> Option<Shows> {
        if let Some(which) = self.stages[at].in_flight()
            && let Some(shows) = self.go_on(at, which)
        {
            return Some(shows);
        }
        if let Some(shows) = self.watch(at) {
            return Some(shows);
        }
        let stage = &self.stages[at];
        let late = |which: &usize| {
            let asked = &stage.asked[*which];
            asked.state == State::Pending && !asked.back && self.now >= asked.at + EXPIRY
        };
        if let Some(which) = (0..stage.asked.len()).find(late) {
            return Some(self.goes_to(at, which, State::Expired));
        }
        let head = stage.head().filter(|head| self.blockers(at, *head).is_empty())?;
        let stale = stage.asked[head].back && stage.previous() != Some(stage.asked[head].version);
        Some(self.goes_to(at, head, if stale { State::Cancelled } else { State::Deploying }))
    }

    fn goes_to(&mut self, at: usize, which: usize, to: State) -> Shows {
        self.change(at, which, to);
        true
    }

    fn go_on(&mut self, at: usize, which: usize) -> Option<Shows> {
        let asked = &self.stages[at].asked[which];
        let waits = BACKOFF << asked.tries.saturating_sub(1);
        let rested = asked.tries == 0 || self.now >= asked.tried_at + waits;
        match asked.state {
            State::Deploying if asked.tries >= ATTEMPTS => Some(self.give_up_deploying(at, which)),
            State::RollingBack if asked.tries >= ATTEMPTS => Some(self.goes_to(at, which, State::Stuck)),
            State::Deploying | State::RollingBack if rested => Some(self.apply(at, which)),
            State::Verifying if !self.rules.judged[at] => Some(self.goes_to(at, which, State::Succeeded)),
            State::Verifying if self.now >= asked.seen_until + WINDOW => Some(self.sample(at, which)),
            _ => None,
        }
    }

    /// Whether the stage runs something that nobody here has put there.
    fn is_foreign(&self, at: usize, which: usize) -> bool {
        let stage = &self.stages[at];
        let asked = &stage.asked[which];
        let runs = stage.world.runs;
        let before = stage.current().map(|(version, _)| version);
        let left_empty = asked.state == State::RollingBack && runs.is_none();
        let known = runs == Some(asked.version) || runs == before || left_empty;
        !known && !asked.accepted && !stage.unsettled
    }

    /// Looks, and then tells the stage to run the release, or what it ran before.
    fn apply(&mut self, at: usize, which: usize) -> Shows {
        let forward = self.stages[at].asked[which].state == State::Deploying;
        if self.stages[at].world.mood == Mood::Blind || self.is_foreign(at, which) {
            return self.goes_to(at, which, if forward { State::Paused } else { State::Stuck });
        }
        let (now, before) = (self.now, self.stages[at].current().map(|(version, _)| version));
        let stage = &mut self.stages[at];
        let asked = &mut stage.asked[which];
        if stage.world.mood != Mood::Fails {
            stage.world.runs = if forward { Some(asked.version) } else { before };
        }
        if stage.world.mood != Mood::Works {
            (asked.tries, asked.tried_at) = (asked.tries + 1, now);
            return false;
        }
        if !forward {
            return self.goes_to(at, which, State::RolledBack);
        }
        (asked.applied, asked.well, asked.seen_until) = (true, 0, now);
        self.goes_to(at, which, State::Verifying)
    }

    /// Every attempt has failed: what the stage runs decides.
    fn give_up_deploying(&mut self, at: usize, which: usize) -> Shows {
        let stage = &self.stages[at];
        let before = stage.current().map(|(version, _)| version);
        let to = if stage.world.mood == Mood::Blind {
            State::Paused
        } else if stage.world.runs == before && !stage.unsettled && !stage.asked[which].back {
            State::Failed
        } else if self.is_foreign(at, which) {
            State::Paused
        } else {
            self.way_back(at, which)
        };
        self.goes_to(at, which, to)
    }

    /// Where a promotion goes whose release must not stay.
    fn way_back(&self, at: usize, which: usize) -> State {
        let stage = &self.stages[at];
        if stage.asked[which].back {
            State::Stuck
        } else if stage.current().is_none() && !self.rules.remove {
            State::Paused
        } else {
            State::RollingBack
        }
    }

    fn sample(&mut self, at: usize, which: usize) -> Shows {
        let (back, now) = (self.way_back(at, which), self.now);
        let health = self.stages[at].world.health();
        let asked = &mut self.stages[at].asked[which];
        asked.seen_until = now;
        match health {
            Health::Fine => {
                asked.well += 1;
                asked.judged_well = asked.well >= BAKE;
                asked.judged_well && self.goes_to(at, which, State::Succeeded)
            }
            Health::Sick => {
                asked.judged_ill = true;
                self.goes_to(at, which, back)
            }
            Health::Silent if self.rules.back_if_unclear => self.goes_to(at, which, back),
            Health::Silent => self.goes_to(at, which, State::Paused),
        }
    }

    /// A release that has succeeded is looked at for a while; when it gets worse, the stage goes back and is held.
    fn watch(&mut self, at: usize) -> Option<Shows> {
        let now = self.now;
        let stage = &mut self.stages[at];
        let health = stage.world.health();
        let watch = stage.watch.as_mut()?;
        if now < watch.seen_until + watch.left.min(WINDOW) {
            return None;
        }
        watch.left = watch.left.saturating_sub((now - watch.seen_until).min(2 * WINDOW));
        watch.seen_until = now;
        if watch.left == 0 || health == Health::Sick {
            stage.watch = None;
        }
        if health != Health::Sick {
            return Some(false);
        }
        let already = stage.asked.iter().any(|asked| asked.back && !asked.state.is_terminal());
        let was_held = stage.held.replace(stage.held.unwrap_or("watch")).is_some();
        let previous = stage.previous().filter(|_| !already);
        if let Some(previous) = previous {
            self.request(at, (true, false), previous, "watch");
        }
        Some(previous.is_some() || !was_held)
    }
}
