//! The sweep: looks for everything that has become due. Twice is as good as once.
//!
//! Whoever cannot commit a sweep takes it apart ([`Fleet::looks`]) and hands back what fails
//! ([`Input::LookFailed`](super::Input)): that is left alone for a while, and the rest is done.
use kioskwatch_proto::{Timestamp, faults::codes};

use super::{Due, Fleet, Ix, draft::Draft, kiosk::Kiosk};
use crate::change::PresenceVerdict;

/// Due things of one sweep; the rest follows with the next one.
pub(super) const MAX_PER_SWEEP: usize = 10_000;
/// What failed is looked at again after this long; the pause doubles each time.
const AGAIN_FIRST_MS: i64 = 10_000;
const AGAIN_LAST_MS: i64 = 600_000;

/// One thing a sweep looks at, or the evidence of one kiosk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look(pub(super) What);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Our own deafness and what hangs on it.
    Hearing,
    /// Nothing is known of it any more.
    Forget(Ix),
    Silence(Ix),
    /// To be written: no part of a sweep.
    Evidence(Ix),
    Due(Due),
}

/// A look that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aside {
    until: Timestamp,
    times: u32,
    /// Of evidence: since when it is not stored.
    pub(super) since: Timestamp,
}

impl Look {
    /// Whether we hear, and what hangs on it.
    pub const HEARING: Self = Self(What::Hearing);

    pub(super) const fn forget(ix: Ix) -> Self {
        Self(What::Forget(ix))
    }

    pub(super) const fn silence(ix: Ix) -> Self {
        Self(What::Silence(ix))
    }

    pub(super) const fn due(due: Due) -> Self {
        Self(What::Due(due))
    }

    pub(super) const fn evidence(ix: Ix) -> Self {
        Self(What::Evidence(ix))
    }
}

impl Fleet {
    /// What a sweep would look at, thing by thing: all together in [`Input::SweepPart`](super::Input)s are one
    /// sweep.
    #[must_use]
    pub fn looks(&self, now: Timestamp) -> Vec<Look> {
        let forgotten = self.to_forget().map(What::Forget);
        let silent = self.silence_due.due(self.server.silence_to(now)).into_iter().map(What::Silence);
        let due = self.due.iter().take_while(|&&(at, _)| at <= now).map(|&(_, due)| What::Due(due));
        let all = std::iter::once(What::Hearing)
            .chain(forgotten.take(MAX_PER_SWEEP))
            .chain(silent.take(MAX_PER_SWEEP))
            .chain(due.take(MAX_PER_SWEEP + self.set_aside.len()));
        all.map(Look).filter(|&look| !self.is_set_aside(look, now)).collect()
    }

    fn to_forget(&self) -> impl Iterator<Item = Ix> {
        let from = self.server.forgetting.map_or(self.kiosks.len(), |(from, ..)| from as usize);
        let known = |kiosk: &Kiosk| kiosk.state.presence != PresenceVerdict::Unknown;
        let places = (0..).zip(&self.kiosks).skip(from);
        places.filter(move |(_, kiosk)| known(kiosk)).map(|(ix, _)| ix)
    }

    /// Those of whom it could not be stored that nothing is known of them.
    pub(super) fn forgets(&self) -> impl Iterator<Item = Look> {
        self.set_aside.keys().copied().filter(|look| matches!(look.0, What::Forget(_)))
    }

    pub(super) fn is_set_aside(&self, look: Look, now: Timestamp) -> bool {
        self.set_aside.get(&look).is_some_and(|aside| aside.until > now)
    }
}

impl Draft<'_> {
    pub(super) fn sweep(&mut self) {
        self.sweep_silence();
        let fleet: &Fleet = self.fleet;
        let looks = fleet.due.iter().take_while(|&&(at, _)| at <= self.now);
        let looks = looks.map(|&(_, due)| Look(What::Due(due))).filter(|&look| self.may_look(look));
        let looks: Vec<Look> = looks.take(MAX_PER_SWEEP).collect();
        self.sweep_part(&looks);
    }

    pub(super) fn may_look(&self, look: Look) -> bool {
        !self.fleet.is_set_aside(look, self.now)
    }

    pub(super) fn sweep_part(&mut self, looks: &[Look]) {
        for &look in looks {
            match look.0 {
                What::Hearing => self.sweep_hearing(),
                What::Forget(ix) => self.forget(ix),
                What::Silence(ix) if self.server().hearing_since.is_some() => self.judge_silence(ix),
                // Nobody is judged while nobody is heard: it was not looked at.
                What::Silence(_) => continue,
                What::Evidence(ix) => self.flush_kiosk(ix),
                What::Due(Due::Incident(id)) => self.look_at_incident(id),
                What::Due(Due::Ticket(id)) => {
                    if self.ticket(id).and_then(|file| file.row.due_at).is_some_and(|at| at <= self.now) {
                        self.look_at_ticket(id);
                    }
                }
                What::Due(Due::Command(id)) => self.look_at_command(id),
                What::Due(Due::End(ix)) => self.look_at_end(ix),
                What::Due(Due::Untold(ix)) => self.look_at_untold(ix),
            }
            self.looked(look);
        }
    }

    pub(super) fn aside(&self, look: Look) -> Option<Aside> {
        match self.over.set_aside.get(&look) {
            Some(planned) => *planned,
            None => self.fleet.set_aside.get(&look).copied(),
        }
    }

    /// It failed before and does not any more, unless this plan fails.
    pub(super) fn looked(&mut self, look: Look) {
        if self.fleet.set_aside.contains_key(&look) {
            self.over.set_aside.insert(look, None);
        }
    }

    /// Left alone for a while. Not stored: after a restart it is tried at once.
    pub(super) fn look_failed(&mut self, look: Look, reason: &str) {
        let before = self.aside(look);
        let times = before.map_or(0, |aside| aside.times);
        let missing = match look.0 {
            What::Evidence(ix) => self.live(ix).unstored(self.now).map(|(since, _)| since),
            _ => None,
        };
        // While nothing waits to be written, nothing has been missing so far.
        let since = before.map(|aside| aside.since).filter(|_| missing.is_some()).or(missing);
        let since = since.unwrap_or(self.now);
        let pause_ms = AGAIN_LAST_MS.min(AGAIN_FIRST_MS << times.min(16));
        let until = self.now.plus_ms(pause_ms);
        self.over.set_aside.insert(look, Some(Aside { until, times: times + 1, since }));
        let (action, object) = match look.0 {
            What::Hearing => ("deadline_failed", "server".to_owned()),
            What::Forget(ix) | What::Silence(ix) | What::Due(Due::End(ix) | Due::Untold(ix)) => {
                ("deadline_failed", format!("kiosk/{}", self.kiosk(ix).id))
            }
            What::Evidence(ix) => ("evidence_failed", format!("kiosk/{}", self.kiosk(ix).id)),
            What::Due(Due::Incident(id)) => ("deadline_failed", format!("incident/{id}")),
            What::Due(Due::Ticket(id)) => ("deadline_failed", format!("ticket/{id}")),
            What::Due(Due::Command(id)) => ("deadline_failed", format!("command/{id}")),
        };
        let detail = serde_json::json!({ "times": times + 1, "again_at": until, "reason": reason });
        self.audit(action, object, &detail);
    }

    /// Our clock shows another time: nothing waits for an instant of the old one.
    pub(super) fn try_again_what_failed(&mut self) {
        let (now, fleet) = (self.now, self.fleet);
        for (&look, aside) in &fleet.set_aside {
            if let What::Evidence(ix) = look.0
                && aside.since > now
            {
                // A time that has not come yet.
                self.gap_of(ix, aside.since, aside.since);
            }
            let (until, since) = (aside.until.min(now), aside.since.min(now));
            self.over.set_aside.insert(look, Some(Aside { until, since, ..*aside }));
        }
    }

    /// A held or suppressed incident whose time has come.
    fn look_at_incident(&mut self, id: uuid::Uuid) {
        let Some(row) = self.incident(id).filter(|row| row.closed_at.is_none()) else { return };
        // Who is called offline may be heard by what waits to be read.
        let is_silent = matches!(row.fault.as_str(), codes::KIOSK_OFFLINE | codes::SITE_OFFLINE);
        let to = if is_silent { self.server().silence_to(self.now) } else { self.now };
        if row.triage_due_at.is_some_and(|at| at <= to) {
            self.triage(id);
        }
    }
}
