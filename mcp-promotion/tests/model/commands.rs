//! What people command, and what they are answered.

use mcp_core::ErrorKind;
use mcp_promotion::State;

use crate::act::{Act, Deed, Person, Transition};
use crate::model::{Asked, Fate, Model, Outcome, WATCH, Watch};

/// What a command has led to.
type Done = Option<usize>;

type Answer = Result<Done, ErrorKind>;

const RECORDED: Answer = Ok(None);

impl Model {
    pub(crate) fn obey(&mut self, Transition { act, by, key }: &Transition) -> Outcome {
        let (by, key) = (*by, *key);
        match *act {
            Act::Request { at, version } => {
                let said = format!("request {version} by {by:?}");
                self.once(at, key, said, |model| Ok(model.ask(at, (false, false), version, by.name())))
            }
            Act::RequestUrgently { at, version } => {
                self.once(at, key, format!("urgently {version} by {by:?}"), |model| {
                    permit(by)?;
                    let asked = model.ask(at, (false, true), version, by.name());
                    let which = model.stages[at].asked.len() - 1;
                    model.break_glass(at, which, by);
                    Ok(asked)
                })
            }
            Act::Rollback { at } => self.once(at, key, format!("rollback by {by:?}"), |model| {
                permit(by)?;
                let previous = model.stages[at].previous().ok_or(ErrorKind::Conflict)?;
                if model.stages[at].in_flight().is_some() {
                    return Err(ErrorKind::Conflict);
                }
                Ok(model.ask(at, (true, false), previous, by.name()))
            }),
            Act::Do { at, which, deed } => {
                let Some(which) = newest(self.stages[at].asked.len(), which) else {
                    return Err(ErrorKind::NotFound);
                };
                self.once(at, key, format!("{deed:?} {which} by {by:?}"), |model| {
                    model.deed(at, which, deed, by)
                })
            }
            Act::Hold { at } => self.once(at, key, format!("hold by {by:?}"), |model| {
                permit(by)?;
                let held = &mut model.stages[at].held;
                if held.is_some() {
                    return Err(ErrorKind::Conflict);
                }
                *held = Some(by.name());
                RECORDED
            }),
            Act::LiftHold { at } => self.once(at, key, format!("lift by {by:?}"), |model| {
                permit(by)?;
                let stage = &mut model.stages[at];
                if stage.held.is_none() && !stage.distrusted {
                    return Err(ErrorKind::Conflict);
                }
                (stage.held, stage.distrusted) = (None, false);
                RECORDED
            }),
            Act::Pass(seconds) => {
                self.now += seconds;
                Ok(None)
            }
            Act::Step => {
                self.step();
                Ok(None)
            }
            Act::Settle => {
                while self.step() {}
                Ok(None)
            }
            Act::Mood { at, mood } => {
                self.stages[at].world.mood = mood;
                Ok(None)
            }
            Act::Health { at, version, health } => {
                self.stages[at].world.set_health(version, health);
                Ok(None)
            }
            Act::Tamper { at, version } => {
                self.stages[at].world.runs = version;
                Ok(None)
            }
            Act::Reopen => Ok(None),
        }
    }

    /// A request id that was used before answers what it was used for, and nothing else.
    fn once(
        &mut self,
        at: usize,
        key: Option<u8>,
        said: String,
        command: impl FnOnce(&mut Self) -> Answer,
    ) -> Outcome {
        if let Some((_, before, answer)) = self.stages[at].used.iter().find(|(used, ..)| Some(*used) == key) {
            return if *before == said { Ok(*answer) } else { Err(ErrorKind::Conflict) };
        }
        let answer = command(self)?;
        self.stages[at].used.extend(key.map(|key| (key, said, answer)));
        Ok(answer)
    }

    pub(crate) fn request(
        &mut self,
        at: usize,
        (back, urgent): (bool, bool),
        version: u8,
        by: &'static str,
    ) -> usize {
        if self.rules.supersede && !back {
            for which in 0..self.stages[at].asked.len() {
                let older = &self.stages[at].asked[which];
                if older.state == State::Pending && !older.back && (older.glass.is_none() || urgent) {
                    self.change(at, which, State::Superseded);
                }
            }
        }
        let asked = Asked {
            back,
            version,
            by,
            at: self.now,
            state: State::Pending,
            votes: Vec::new(),
            glass: None,
            tries: 0,
            tried_at: 0,
            paused_from: None,
            applied: false,
            accepted: false,
            well: 0,
            judged_well: false,
            judged_ill: false,
            seen_until: 0,
        };
        self.stages[at].asked.push(asked);
        self.stages[at].asked.len() - 1
    }

    fn ask(&mut self, at: usize, back: (bool, bool), version: u8, by: &'static str) -> Done {
        Some(self.request(at, back, version, by))
    }

    fn break_glass(&mut self, at: usize, which: usize, by: Person) {
        self.stages[at].asked[which].glass = Some(by);
        self.stages[at].owed.push(which);
    }

    fn deed(&mut self, at: usize, which: usize, deed: Deed, by: Person) -> Answer {
        if !matches!(deed, Deed::Approve | Deed::Reject | Deed::Revoke) {
            permit(by)?;
        }
        let asked = &self.stages[at].asked[which];
        let may = |allowed: &[State], to: State| {
            if allowed.contains(&asked.state) { Ok(to) } else { Err(ErrorKind::Conflict) }
        };
        let back_or = |to: State| if asked.back { State::Stuck } else { to };
        let to = match deed {
            Deed::Approve | Deed::Reject | Deed::Veto | Deed::Revoke => {
                return self.vote(at, which, deed, by);
            }
            Deed::BreakGlass => {
                if asked.state != State::Pending || asked.glass.is_some() {
                    return Err(ErrorKind::Conflict);
                }
                self.break_glass(at, which, by);
                return RECORDED;
            }
            Deed::Review => {
                if !self.stages[at].owed.contains(&which) {
                    return Err(ErrorKind::Conflict);
                }
                if asked.glass == Some(by) || asked.by == by.name() {
                    return Err(ErrorKind::Denied);
                }
                self.stages[at].owed.retain(|owed| *owed != which);
                return RECORDED;
            }
            Deed::Cancel => may(&[State::Pending], State::Cancelled)?,
            Deed::Pause => may(&[State::Deploying, State::Verifying], State::Paused)?,
            Deed::Resume if asked.judged_ill => return Err(ErrorKind::Conflict),
            Deed::Resume => asked.paused_from.ok_or(ErrorKind::Conflict)?,
            Deed::Override => may(&[State::Paused], State::Succeeded)?,
            Deed::Abort => {
                let allowed = [State::Deploying, State::Verifying, State::Paused];
                may(&allowed, back_or(State::RollingBack))?
            }
            Deed::Acknowledge => may(&[State::Stuck], State::Failed)?,
            Deed::Retry if asked.back => return Err(ErrorKind::Conflict),
            Deed::Retry => may(&[State::Stuck], State::RollingBack)?,
        };
        self.change(at, which, to);
        RECORDED
    }

    fn vote(&mut self, at: usize, which: usize, deed: Deed, by: Person) -> Answer {
        let now = self.now;
        let asked = &mut self.stages[at].asked[which];
        if asked.state != State::Pending {
            return Err(ErrorKind::Conflict);
        }
        let last = asked.votes.iter().rfind(|(voter, ..)| *voter == by).map(|(_, approves, _)| *approves);
        match deed {
            Deed::Revoke => match last {
                Some(_) => {}
                None => return Err(ErrorKind::Denied),
            },
            Deed::Approve if asked.by == by.name() => return Err(ErrorKind::Denied),
            _ => permit(by)?,
        }
        asked.votes.push((by, deed == Deed::Approve, now));
        if matches!(deed, Deed::Reject | Deed::Veto) {
            self.change(at, which, State::Rejected);
        }
        RECORDED
    }

    /// A promotion goes from one state to another, with all that follows from that.
    pub(crate) fn change(&mut self, at: usize, which: usize, to: State) {
        let (now, watched) = (self.now, self.rules.watched);
        let stage = &mut self.stages[at];
        let before = stage.current();
        let asked = &mut stage.asked[which];
        let from = std::mem::replace(&mut asked.state, to);
        let by_a_person = from.needs_a_person();
        let under_way = matches!(to, State::Verifying | State::RollingBack);
        asked.accepted = by_a_person || (asked.accepted && !asked.applied && under_way);
        asked.paused_from = (to == State::Paused).then_some(from);
        asked.tries = 0;
        if by_a_person {
            // The time in between was not watched.
            asked.seen_until = now;
        }
        let (version, back) = (asked.version, asked.back);
        match to {
            State::Deploying => stage.aside = stage.watch.take().or(stage.aside.take()),
            State::Succeeded => {
                let watched = watched && asked.judged_well && !back;
                stage.watch = watched.then_some(Watch { left: WATCH, seen_until: now });
                stage.aside = None;
                if let Some((replaced, _)) = before.filter(|(replaced, _)| back && *replaced != version) {
                    stage.fates.push((now, Fate::Bad { version: replaced }));
                    stage.distrusted = true;
                }
                stage.fates.push((now, Fate::Runs { version, by: which, back }));
                stage.distrusted &= back;
                stage.unsettled = false;
            }
            State::RolledBack => {
                if before.is_none_or(|(runs, _)| runs != version) {
                    stage.fates.push((now, Fate::Bad { version }));
                }
                (stage.distrusted, stage.unsettled) = (true, false);
                stage.watch_on(now);
            }
            State::Failed if from == State::Stuck => {
                if let Some((left, _)) = before.filter(|_| back) {
                    // It should have gone; what it should have gone back to is what a later promotion falls back to.
                    let brought = stage.fates.iter().rev().find_map(|(_, fate)| match fate {
                        Fate::Runs { version: it, by, .. } if *it == version => Some(*by),
                        _ => None,
                    });
                    stage.fates.push((now, Fate::Bad { version: left }));
                    stage.fates.extend(brought.map(|by| (now, Fate::Runs { version, by, back })));
                }
                stage.fates.push((now, Fate::Bad { version }));
                (stage.distrusted, stage.unsettled) = (true, true);
                stage.aside = None;
            }
            State::Failed => stage.watch_on(now),
            _ => {}
        }
    }
}

fn permit(by: Person) -> Result<(), ErrorKind> {
    if by == Person::Mallory { Err(ErrorKind::Denied) } else { Ok(()) }
}

/// The place of the promotion that is so many before the newest one.
pub(crate) fn newest(count: usize, which: usize) -> Option<usize> {
    which.checked_rem(count).map(|before| count - 1 - before)
}
