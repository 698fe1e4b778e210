//! What the journal tells: the timeline, the way of each promotion, and what the judge saw.

use std::collections::BTreeMap;

use mcp_core::Timestamp;
use mcp_promotion::{
    Counts, Engine, Happened, History, Judgement, Promotion, PromotionError, Sampled, State,
};

use crate::promote::words;
use crate::report::{Evidence, Moment, Observation, Phase, Tone, Way};
use crate::stages::{MAX_ERRORS_PPM, PLANS};

/// Everything that the journal tells about every stage.
pub struct Timeline {
    stages: Vec<Told>,
}

/// One stage's stream.
struct Told {
    history: History,
    titles: BTreeMap<u64, String>,
}

impl Timeline {
    /// Reads it all.
    pub async fn read(engine: &Engine) -> Result<Self, PromotionError> {
        let mut stages = Vec::new();
        for plan in &PLANS {
            let history = engine.timeline(plan.name).await?;
            let promotions = engine.promotions(plan.name).await?;
            let titles = promotions.iter().map(|promotion| (promotion.id.number, title(promotion))).collect();
            stages.push(Told { history, titles });
        }
        Ok(Self { stages })
    }

    /// Every event but those of leases, pins and windows, in the order of time.
    pub fn moments(&self) -> Vec<Moment> {
        let mut moments = Vec::new();
        for Told { history, titles } in &self.stages {
            for moment in &history.moments {
                let what = &moment.entry.what;
                let Some(number) = what.promotion(moment.position) else { continue };
                let Some(tone) = tone(what) else { continue };
                let text = what.to_string();
                let own = format!("/{number} ");
                moments.push(Moment {
                    at: moment.entry.at,
                    place: titles.get(&number).cloned().unwrap_or_default(),
                    what: text.strip_prefix(&own).unwrap_or(&text).replace('_', " "),
                    tone,
                });
            }
        }
        // Stable: what happened within one microsecond keeps the order of the pipeline.
        moments.sort_by_key(|moment| moment.at);
        moments
    }

    /// How long each promotion was in which state, in the order of the requests.
    pub fn ways(&self) -> Vec<Way> {
        let mut ways: Vec<(Timestamp, Way)> = Vec::new();
        for Told { history, titles } in &self.stages {
            for (number, title) in titles {
                let changes = history.moments.iter().filter_map(|moment| match &moment.entry.what {
                    Happened::Requested(_) if moment.position == *number => {
                        Some((moment.entry.at, State::Pending))
                    }
                    Happened::Changed { promotion, to, .. } if promotion == number => {
                        Some((moment.entry.at, *to))
                    }
                    _ => None,
                });
                let changes: Vec<(Timestamp, State)> = changes.collect();
                let (Some((began, _)), Some((_, end))) = (changes.first(), changes.last()) else { continue };
                let phases =
                    changes.iter().zip(changes.iter().skip(1)).map(|((from, state), (to, _))| Phase {
                        state: words(*state),
                        tone: phase_tone(*state),
                        lasted: to.saturating_since(*from),
                    });
                let way = Way { title: title.clone(), outcome: words(*end), phases: phases.collect() };
                ways.push((*began, way));
            }
        }
        ways.sort_by_key(|(began, _)| *began);
        ways.into_iter().map(|(_, way)| way).collect()
    }

    /// What the judge saw of every promotion that had a release before it to be compared with, or that it failed.
    pub fn evidence(&self) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        for Told { history, titles } in &self.stages {
            for (number, title) in titles {
                let windows = history.moments.iter().filter_map(|moment| match &moment.entry.what {
                    Happened::Sampled(sampled) if sampled.promotion == *number => Some(&**sampled),
                    _ => None,
                });
                let windows: Vec<&Sampled> = windows.collect();
                let (Some(first), Some(last)) = (windows.first(), windows.last()) else { continue };
                if last.baseline.instances == 0 {
                    continue;
                }
                let counts = |counts: Counts| (counts.good, counts.total);
                let observations = windows.iter().map(|sampled| Observation {
                    seconds: sampled.window.to.saturating_since(first.window.from).as_secs_f64(),
                    canary: counts(sampled.canary),
                    baseline: counts(sampled.baseline),
                });
                evidence.push(Evidence {
                    title: title.clone(),
                    verdict: format!("{}; {} windows", last.judgement, windows.len()),
                    tone: if last.judgement == Judgement::Pass { Tone::Good } else { Tone::Bad },
                    limit: f64::from(MAX_ERRORS_PPM) / 1e6,
                    windows: observations.collect(),
                });
            }
        }
        evidence
    }
}

/// Such as `1.1.0 into prod`.
pub fn title(promotion: &Promotion) -> String {
    let version =
        promotion.release.artifacts().first().map(|artifact| artifact.reference.version.to_string());
    format!("{} into {}", version.unwrap_or_else(|| promotion.release.to_string()), promotion.id.stage)
}

/// How an event is meant; `None` for those that only engines care for.
fn tone(what: &Happened) -> Option<Tone> {
    Some(match what {
        Happened::Requested(_) | Happened::Passed { .. } => Tone::Quiet,
        Happened::Voted { .. } => Tone::Good,
        Happened::Applied { .. } => Tone::Move,
        Happened::Delayed { .. } => Tone::Wait,
        Happened::CallFailed { .. } => Tone::Bad,
        Happened::Changed { to, .. } => match to {
            State::Succeeded => Tone::Good,
            State::RollingBack | State::RolledBack | State::Failed | State::Stuck | State::Rejected => {
                Tone::Bad
            }
            State::Paused => Tone::Wait,
            _ => Tone::Move,
        },
        Happened::Sampled(sampled) if sampled.judgement != Judgement::Undecided => match sampled.judgement {
            Judgement::Pass => Tone::Good,
            _ => Tone::Bad,
        },
        _ => return None,
    })
}

const fn phase_tone(state: State) -> Tone {
    match state {
        State::Pending | State::Paused => Tone::Wait,
        State::Verifying => Tone::Quiet,
        State::RollingBack | State::Stuck => Tone::Bad,
        _ => Tone::Move,
    }
}
