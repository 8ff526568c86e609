//! What the kiosk application said, and for how long it may be believed.
use kioskwatch_proto::{
    local::{Busy, PushedService},
    words::ServiceState,
};

use crate::{config::ApplicationGate, drivers::Mono};

/// Facts that let something risky begin are younger than this.
pub const FRESH_FACTS_MS: u64 = 2_000;
/// The bounds of `valid_for_s` of busy facts.
pub(crate) const BUSY_VALID_S: std::ops::RangeInclusive<u32> = 1..=10;

#[derive(Debug)]
pub(crate) struct Application {
    gate: ApplicationGate,
    started: Mono,
    last_sign: Option<Mono>,
    service: Option<PushedService>,
    busy: Option<(Busy, Mono)>,
}

/// The application's part in the service state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApplicationWord {
    /// There is none to listen to.
    NotNeeded,
    /// It has not been heard since we started, and still may be.
    Awaited,
    /// Silent for too long.
    Down,
    /// It lives and says nothing of its service.
    Alive,
    Says(ServiceState, Option<String>),
}

/// Why the application's facts do not allow anything risky.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BusyVerdict {
    Free,
    NoFacts,
    OldFacts,
    Transaction,
    Escrow,
    Card,
    Door,
}

impl Application {
    pub(crate) fn new(gate: ApplicationGate, started: Mono) -> Self {
        Self { gate, started, last_sign: None, service: None, busy: None }
    }

    /// Anything at all came from it.
    pub(crate) fn sign_of_life(&mut self, now: Mono) {
        self.last_sign = Some(now);
    }

    pub(crate) fn says(&mut self, service: PushedService) {
        self.service = Some(service);
    }

    pub(crate) fn facts(&mut self, busy: Busy, now: Mono) {
        self.busy = Some((busy, now));
    }

    pub(crate) fn down(&self, now: Mono) -> bool {
        self.down_at().is_some_and(|at| now >= at)
    }

    /// When it counts as down unless it is heard before.
    pub(crate) fn down_at(&self) -> Option<Mono> {
        match self.gate {
            ApplicationGate::Required { down_after_ms } => {
                Some(self.last_sign.unwrap_or(self.started) + down_after_ms)
            }
            ApplicationGate::None => None,
        }
    }

    pub(crate) fn word(&self, now: Mono) -> ApplicationWord {
        let required = matches!(self.gate, ApplicationGate::Required { .. });
        if self.down(now) {
            return ApplicationWord::Down;
        }
        match &self.service {
            // Without the gate an application may still report its service.
            Some(service) => ApplicationWord::Says(service.state, service.cause.clone()),
            None if !required => ApplicationWord::NotNeeded,
            None if self.last_sign.is_none() => ApplicationWord::Awaited,
            None => ApplicationWord::Alive,
        }
    }

    pub(crate) fn busy(&self, now: Mono) -> BusyVerdict {
        let Some((busy, at)) = self.busy else { return BusyVerdict::NoFacts };
        let age = now.saturating_sub(at);
        if age >= FRESH_FACTS_MS.min(u64::from(busy.valid_for_s) * 1000) {
            return BusyVerdict::OldFacts;
        }
        match busy {
            Busy { transaction: true, .. } => BusyVerdict::Transaction,
            Busy { escrow: true, .. } => BusyVerdict::Escrow,
            Busy { card: true, .. } => BusyVerdict::Card,
            Busy { door: true, .. } => BusyVerdict::Door,
            _ => BusyVerdict::Free,
        }
    }
}
