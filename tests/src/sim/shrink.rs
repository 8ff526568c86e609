//! The shortest story that still fails: happenings are taken out as long as the failure stays.
use super::{Failure, Story, run, story::Happening};

/// Tries of one shrink: enough for a few hundred happenings.
const MAX_TRIES: usize = 3_000;

/// A story that fails, as short as greed finds it, and how it fails.
#[must_use]
pub fn shrink(story: &Story, failure: Failure) -> (Story, Failure) {
    let mut best = (story.clone(), failure);
    let mut tries = 0;
    let mut chunk = best.0.events.len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        let mut shorter = false;
        while from < best.0.events.len() && tries < MAX_TRIES {
            let mut candidate = best.0.clone();
            let to = (from + chunk).min(candidate.events.len());
            candidate.events.drain(from..to);
            tries += 1;
            match run(&candidate) {
                Err(failure) => {
                    best = (candidate, failure);
                    shorter = true;
                }
                Ok(_) => from = to,
            }
        }
        if tries >= MAX_TRIES || (chunk == 1 && !shorter) {
            break;
        }
        chunk = (chunk / 2).max(1);
    }
    simplify(&mut best);
    best
}

/// Without kiosks nobody speaks of, without odd settings, and no longer than needed.
fn simplify(best: &mut (Story, Failure)) {
    let last = best.0.events.iter().filter_map(|event| event.what.kiosk()).max().unwrap_or(0);
    let steps: [fn(&mut Story, usize); 4] = [
        |story, last| story.kiosks = last + 1,
        |story, _| story.setup.small_journals = false,
        |story, _| story.setup.short_memory = false,
        |story, _| story.setup.skew_ms = 300,
    ];
    for step in steps {
        let mut candidate = best.0.clone();
        step(&mut candidate, last);
        if candidate != best.0
            && let Err(failure) = run(&candidate)
        {
            *best = (candidate, failure);
        }
    }
}

impl Happening {
    /// The kiosk it happens to.
    #[must_use]
    pub fn kiosk(&self) -> Option<usize> {
        match *self {
            Self::Fault { k, .. }
            | Self::Transactions { k, .. }
            | Self::PowerCut { k, .. }
            | Self::AgentCrash { k, .. }
            | Self::Stop { k, .. }
            | Self::ClockJump { k, .. }
            | Self::LinkCut { k, .. }
            | Self::HalfOpen { k, .. }
            | Self::Weather { k, .. }
            | Self::DiskBackup { k }
            | Self::DiskRestore { k, .. }
            | Self::Clone { k, .. } => Some(k),
            _ => None,
        }
    }
}
