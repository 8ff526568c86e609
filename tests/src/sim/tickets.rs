//! What must be true of tickets at the end: each problem has the one that triage speaks of, and that one lasts as long
//! as the problem.
use std::collections::BTreeMap;

use kioskwatch_domain::{
    change::{Change, ClockRow, ClockState, IncidentRow, TicketRow, TicketState},
    testing::memory_store::MemoryStore,
    triage::{HoldReason, SuppressReason},
};
use kioskwatch_proto::{
    KioskId, PeripheralName,
    faults::codes,
    words::{ServiceState, Severity},
};
use uuid::Uuid;

use super::{server::RECOVER_HOLD_MS, story::Happening, world::World};

/// After the hold a ticket is looked at within a minute, and there is a sweep between.
const LOOKED_AT_WITHIN_MS: i64 = RECOVER_HOLD_MS + 75_000;

/// When a commit last changed what the end of a ticket depends on, in true time.
#[derive(Debug, Default)]
pub(super) struct Stirred {
    /// One of its incidents.
    tickets: BTreeMap<Uuid, i64>,
    service: BTreeMap<KioskId, (Option<ServiceState>, i64)>,
}

impl Stirred {
    pub(super) fn note(&mut self, now: i64, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Incident(row) => {
                    if let Some(ticket) = row.ticket {
                        self.tickets.insert(ticket, now);
                    }
                }
                Change::KioskState(row) => {
                    let known = self.service.entry(row.kiosk.clone()).or_insert((row.service, now));
                    if known.0 != row.service {
                        *known = (row.service, now);
                    }
                }
                _ => {}
            }
        }
    }

    fn since(&self, ticket: &TicketRow) -> i64 {
        let incidents = self.tickets.get(&ticket.id).copied().unwrap_or(0);
        let service = ticket.kiosk.as_ref().and_then(|kiosk| self.service.get(kiosk));
        incidents.max(service.map_or(0, |&(_, since)| since))
    }
}

impl World<'_> {
    /// Every problem is decided with a cause that the story has, and what was decided is there. How many tickets were
    /// found resolved, as they had to be.
    pub(super) fn tickets(&self, problems: &mut Vec<String>) -> u64 {
        let store = &self.server.disk.store;
        for row in store.incidents.values() {
            if let Err(what) = self.is_decided(row) {
                let (fingerprint, triage) = (&row.fingerprint, &row.triage);
                problems.push(format!("{fingerprint}: {triage} ({}), {what}", row.triage_reason));
            }
        }
        let mut resolved = 0;
        for row in store.tickets.values() {
            match self.lasts_as_long_as_its_problem(row) {
                Ok(had_to_be) => resolved += u64::from(had_to_be),
                Err(what) => {
                    let who = row.kiosk.as_ref().map_or("the site", KioskId::as_str);
                    let state = row.state.as_str();
                    problems
                        .push(format!("ticket #{} of {who} for {}, {state}: {what}", row.number, row.fault));
                }
            }
        }
        resolved
    }

    /// What stands in an incident's row about a ticket is true.
    fn is_decided(&self, row: &IncidentRow) -> Result<(), String> {
        let store = &self.server.disk.store;
        let is_open = row.closed_at.is_none();
        if is_open && matches!(row.fault.as_str(), codes::KIOSK_OFFLINE | codes::SITE_OFFLINE) {
            return Err("open though everybody is back".into());
        }
        let ticket = row.ticket.map(|id| store.tickets.get(&id).ok_or("its ticket is not there"));
        let ticket = ticket.transpose()?;
        let (same_thing, same_fault) = ticket.map_or((false, false), |ticket| {
            let thing = (&ticket.kiosk, &ticket.peripheral) == (&row.kiosk, &row.peripheral);
            (thing && (row.kiosk.is_some() || ticket.site == row.site), ticket.fault == row.fault)
        });
        let of_terminal = row.peripheral.as_ref().is_none_or(PeripheralName::is_host);
        match (row.triage.as_str(), ticket) {
            ("ticket opened" | "gathered" | "reopened", None) => Err("and there is no ticket".into()),
            ("ticket opened" | "gathered" | "reopened", Some(_)) if !same_thing => {
                Err("and the ticket is another one's".into())
            }
            ("ticket opened" | "reopened", Some(_)) if !same_fault => Err("for another fault".into()),
            ("gathered", Some(_)) if of_terminal && !same_fault => Err("for another fault".into()),
            ("ticket opened" | "gathered" | "reopened", Some(_)) => Ok(()),
            ("attached" | "held" | "suppressed", Some(_)) => Err("and has a ticket".into()),
            ("attached", None) => self.is_attached(row),
            ("held", None) => self.is_held(row),
            ("suppressed", None) => self.is_suppressed(row),
            _ => Err("nobody decided about it".into()),
        }
    }

    /// A kiosk that is down with its site.
    fn is_attached(&self, row: &IncidentRow) -> Result<(), String> {
        let parent = row.parent.and_then(|parent| self.server.disk.store.incidents.get(&parent));
        let of_its_site =
            |parent: &&IncidentRow| parent.fault.as_str() == codes::SITE_OFFLINE && parent.site == row.site;
        match parent.filter(of_its_site) {
            Some(_) if row.fault.as_str() == codes::KIOSK_OFFLINE => Ok(()),
            _ => Err("and its site was not out".into()),
        }
    }

    /// Only silence waits, and nobody is silent any more.
    fn is_held(&self, row: &IncidentRow) -> Result<(), String> {
        if row.closed_at.is_none() || row.fault.as_str() != codes::KIOSK_OFFLINE {
            return Err("and nothing is to be waited for".into());
        }
        let goodbyes = row.kiosk.as_ref().and_then(|kiosk| self.goodbyes.get(kiosk)).copied().unwrap_or(0);
        match HoldReason::of(row) {
            Some(HoldReason::SiteHold | HoldReason::Deaf) => Ok(()),
            Some(HoldReason::Goodbye) if goodbyes > 0 => Ok(()),
            Some(HoldReason::Goodbye) => Err("it never said goodbye".into()),
            Some(HoldReason::SiteReturned) if row.parent.is_some() => Ok(()),
            Some(HoldReason::SiteReturned) => Err("its site was not out".into()),
            Some(HoldReason::OutsideHours) => Err("the site is always open".into()),
            None => Err("for no reason".into()),
        }
    }

    /// Nobody planned maintenance here, and every kiosk is in service from the beginning.
    fn is_suppressed(&self, row: &IncidentRow) -> Result<(), String> {
        let is_info = self.server.catalogue().severity(&row.fault) == Severity::Info;
        let set_back =
            |what: &Happening| matches!(what, Happening::ServerClockJump { by_ms, .. } if *by_ms < 0);
        match SuppressReason::of(row) {
            Some(SuppressReason::Info) if is_info => Ok(()),
            Some(SuppressReason::Info) => Err("and it is a defect".into()),
            Some(SuppressReason::NotInService) => {
                let before_it_began = self.story.events.iter().any(|event| set_back(&event.what));
                let still = row.closed_at.is_none() && !is_info;
                if before_it_began && !still { Ok(()) } else { Err("and its kiosk is in service".into()) }
            }
            Some(SuppressReason::Maintenance) => Err("and there is no maintenance".into()),
            None => Err("for no reason".into()),
        }
    }

    /// Opened for one problem; open while one of its problems is, resolved when all have stayed gone. Whether it had to
    /// be resolved, and is.
    fn lasts_as_long_as_its_problem(&self, ticket: &TicketRow) -> Result<bool, String> {
        let store = &self.server.disk.store;
        if ticket.kiosk.is_none() && ticket.fault.as_str() != codes::SITE_OFFLINE {
            return is_batch(store, ticket).then_some(false).ok_or_else(|| "a batch of nothing".into());
        }
        let bound = || store.incidents.values().filter(|row| row.ticket == Some(ticket.id));
        let opened = bound().filter(|row| row.triage == "ticket opened").count();
        if opened != 1 {
            return Err(format!("{opened} problems opened it"));
        }
        let is_over = ticket.state == TicketState::Resolved || !ticket.state.is_open();
        if let Some(open) = bound().find(|row| row.closed_at.is_none()) {
            return match is_over || ticket.recovering_since.is_some() {
                true => Err(format!("{} is not over", open.fingerprint)),
                false => Ok(false),
            };
        }
        if is_over {
            let runs = |clock: &&ClockRow| clock.ticket == ticket.id && clock.state == ClockState::Running;
            return match store.clocks.values().find(runs) {
                Some(clock) => Err(format!("its clock {} runs", clock.name)),
                None => Ok(true),
            };
        }
        if ticket.recovering_since.is_none() {
            return Err("no problem of it is left, and it does not recover".into());
        }
        let service = ticket.kiosk.as_ref().and_then(|kiosk| store.states.get(kiosk)?.service);
        let serves = !matches!(service, Some(ServiceState::OutOfService | ServiceState::Supervised));
        // A clock that was wrong is set right when everything heals, and what was left of a hold begins then.
        let quiet_since = self.server.stirred.since(ticket).max(self.story.length_ms);
        match serves && self.now - quiet_since > LOOKED_AT_WITHIN_MS {
            true => Err("every problem of it stayed gone".into()),
            false => Ok(false),
        }
    }
}

/// Many kiosks with one fault are one decision, made above their tickets.
fn is_batch(store: &MemoryStore, ticket: &TicketRow) -> bool {
    store.tickets.values().any(|row| row.parent == Some(ticket.id) && row.fault == ticket.fault)
}
