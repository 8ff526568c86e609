//! Incidents: one open episode for each fingerprint, and what triage makes of it.
use kioskwatch_proto::{
    PeripheralName, Timestamp,
    faults::{FaultCode, codes},
    journal::Fault,
    words::Severity,
};
use uuid::Uuid;

use super::{
    Ix,
    count::{Count, RecordFate},
    draft::Draft,
};
use crate::{
    change::{IncidentRow, PresenceVerdict, TicketState},
    incident::{CloseReason, fingerprint, is_ours},
    presence::PresenceReason,
    triage::{self, Case, Decision, HoldReason, ShareReason},
};

/// Open problems of one kiosk. More are no news: nobody mends a kiosk fault by fault then.
pub(super) const MAX_OPEN_INCIDENTS: usize = 256;

/// A fault as it is raised, whoever saw it.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) peripheral: PeripheralName,
    pub(super) fault: FaultCode,
    pub(super) severity: Severity,
    pub(super) at: Timestamp,
    pub(super) raw: Option<String>,
    pub(super) text: Option<String>,
}

impl Problem {
    /// Seen by the server, of the terminal itself.
    pub(super) fn of_host(code: &'static str, severity: Severity, at: Timestamp, text: &str) -> Self {
        let fault = FaultCode::new(code).expect("our own codes are well-formed");
        let text = Some(text.to_owned());
        Self { peripheral: PeripheralName::host(), fault, severity, at, raw: None, text }
    }

    pub(super) fn of_record(fault: &Fault, at: Timestamp) -> Self {
        Self {
            peripheral: fault.peripheral.clone(),
            fault: fault.fault.clone(),
            severity: fault.severity,
            at,
            raw: fault.detail.raw.clone(),
            text: fault.detail.text.clone(),
        }
    }

    pub(super) fn of_snapshot(
        peripheral: &PeripheralName,
        fault: &FaultCode,
        severity: Severity,
        at: Timestamp,
    ) -> Self {
        let (peripheral, fault) = (peripheral.clone(), fault.clone());
        Self { peripheral, fault, severity, at, raw: None, text: None }
    }
}

impl Draft<'_> {
    /// The catalogue's severity of a code of ours.
    pub(super) fn fault_severity(&self, code: &'static str, otherwise: Severity) -> Severity {
        FaultCode::new(code).map_or(otherwise, |code| self.policy.catalogue.severity(&code))
    }

    /// The open episode of a fault; `None` as peripheral means the terminal itself.
    pub(super) fn find_incident(
        &self,
        ix: Ix,
        peripheral: Option<&PeripheralName>,
        code: &str,
    ) -> Option<Uuid> {
        let same = |row: &IncidentRow| {
            row.fault.as_str() == code
                && match peripheral {
                    Some(name) => row.peripheral.as_ref() == Some(name),
                    None => row.peripheral.as_ref().is_some_and(PeripheralName::is_host),
                }
        };
        self.kiosk(ix).busy().incidents.iter().copied().find(|&id| self.incident(id).is_some_and(same))
    }

    /// Opens an episode, or updates the one that is open.
    pub(super) fn raise(&mut self, ix: Ix, problem: &Problem) {
        if let Some(id) = self.find_incident(ix, Some(&problem.peripheral), problem.fault.as_str()) {
            self.update_incident(id, problem);
            return;
        }
        // What only the server raises is of few kinds and never crowded out.
        if self.kiosk(ix).busy().incidents.len() >= MAX_OPEN_INCIDENTS && !is_ours(&problem.fault) {
            self.count(Count::Record(RecordFate::TooManyFaults));
            return;
        }
        let id = self.ids.uuid(self.now);
        let kiosk = self.kiosk(ix);
        let row = IncidentRow {
            id,
            fingerprint: fingerprint(&kiosk.id, &problem.peripheral, &problem.fault),
            kiosk: Some(kiosk.id.clone()),
            site: kiosk.site().cloned(),
            peripheral: Some(problem.peripheral.clone()),
            fault: problem.fault.clone(),
            severity: problem.severity,
            opened_at: problem.at,
            noticed_at: self.now,
            closed_at: None,
            close_reason: None,
            raw: problem.raw.clone(),
            text: problem.text.clone(),
            ticket: None,
            triage: String::new(),
            triage_reason: String::new(),
            triage_due_at: None,
            parent: None,
        };
        self.over.incidents.insert(id, row);
        self.kiosk_mut(ix).busy_mut().incidents.push(id);
        self.triage(id);
    }

    fn update_incident(&mut self, id: Uuid, problem: &Problem) {
        let Some(row) = self.incident(id) else { return };
        let worse = problem.severity > row.severity;
        let news = worse
            || (problem.raw.is_some() && problem.raw != row.raw)
            || (problem.text.is_some() && problem.text != row.text);
        if !news {
            return;
        }
        if let Some(row) = self.incident_mut(id) {
            row.severity = row.severity.max(problem.severity);
            row.raw = problem.raw.clone().or(row.raw.take());
            row.text = problem.text.clone().or(row.text.take());
        }
        if worse {
            match self.incident(id).and_then(|row| row.ticket) {
                Some(ticket) => self.raise_ticket_severity(ticket, problem.severity),
                None => self.triage(id),
            }
        }
    }

    /// Decides what an open incident needs, and does it.
    pub(super) fn triage(&mut self, id: Uuid) {
        // With a ticket, also a cancelled one, people have it in hand.
        let open = self.incident(id).filter(|row| row.closed_at.is_none() && row.ticket.is_none());
        let Some(row) = open.cloned() else { return };
        let Some(ix) = row.kiosk.as_ref().and_then(|kiosk| self.find(kiosk)) else { return };
        let decision = triage::decide(&self.case(ix, &row));
        match &decision {
            Decision::Hold { why, .. } => self.count(Count::Held(*why)),
            Decision::Suppress { why, .. } => self.count(Count::Suppressed(*why)),
            _ => {}
        }
        self.note_decision(id, &decision);
        match decision {
            Decision::OpenTicket => self.open_ticket(ix, id),
            Decision::Gather(ticket, _) => self.gather(ticket, id),
            Decision::Reopen(ticket, why) => self.reopen(ticket, id, why),
            Decision::Attach(..) | Decision::Hold { .. } | Decision::Suppress { .. } => {}
        }
        if let (codes::KIOSK_OFFLINE, Some(site)) = (row.fault.as_str(), row.site) {
            self.sites_to_judge.insert(site);
        }
    }

    pub(super) fn note_decision(&mut self, id: Uuid, decision: &Decision) {
        let Some(row) = self.incident_mut(id) else { return };
        decision.word().clone_into(&mut row.triage);
        row.triage_reason = decision.sentence();
        row.parent = match decision {
            Decision::Attach(parent, _) => Some(*parent),
            _ => row.parent,
        };
        row.triage_due_at = match decision {
            Decision::Hold { until, .. } => Some(*until),
            Decision::Suppress { again_at, .. } => *again_at,
            _ => None,
        };
    }

    fn case<'a>(&self, ix: Ix, row: &'a IncidentRow) -> Case<'a> {
        let (now, kiosk) = (self.now, self.kiosk(ix));
        let site = kiosk.site().and_then(|id| self.site(id));
        let windows =
            kiosk.busy().windows.iter().chain(site.into_iter().flat_map(|site| &site.busy().windows));
        let excluded_until = windows.filter(|window| window.holds(now)).map(|window| window.to).max();
        let (policy, calendar) = (&self.policy.tickets, &self.policy.calendar);
        let offline = row.fault.as_str() == codes::KIOSK_OFFLINE;
        let opens_at = site.filter(|_| offline && policy.wait_for_opening).and_then(|site| {
            let search_ends = now.plus_ms(i64::from(policy.look_ahead_days) * 86_400_000);
            let closed = !site.hours().is_open(calendar, now);
            closed
                .then(|| site.hours().next_open(calendar, now, policy.look_ahead_days).unwrap_or(search_ends))
        });
        let (open_ticket, returning_ticket) = self.tickets_for(ix, row);
        Case {
            now,
            fault: &row.fault,
            severity: row.severity,
            in_service: kiosk.counts(now),
            begins_at: kiosk.begins_at(),
            excluded_until,
            site_outage: site.and_then(|site| site.busy().outage),
            opens_at,
            hold: if offline { self.offline_hold(ix, row) } else { None },
            open_ticket,
            returning_ticket,
        }
    }

    /// Until when an offline verdict waits before it becomes a ticket.
    fn offline_hold(&self, ix: Ix, row: &IncidentRow) -> Option<(Timestamp, HoldReason)> {
        let state = &self.kiosk(ix).state;
        let (server, tickets) = (self.server(), &self.policy.tickets);
        if state.presence == PresenceVerdict::Unknown || !server.hears(self.now) {
            let base = server.settled_at.max(self.now);
            return Some((base.plus_ms(tickets.site_hold_ms.max(1)), HoldReason::Deaf));
        }
        if state.presence_reason == PresenceReason::Goodbye {
            let until = state.presence_since.plus_ms(self.policy.presence.goodbye_ms);
            return Some((until, HoldReason::Goodbye));
        }
        // A hold that is written down stands: the site may have come back later than the verdict fell.
        let returned = HoldReason::of(row) == Some(HoldReason::SiteReturned);
        let written = row.triage_due_at.filter(|_| returned);
        if let Some(until) = written {
            return Some((until, HoldReason::SiteReturned));
        }
        Some((state.presence_since.plus_ms(tickets.site_hold_ms), HoldReason::SiteHold))
    }

    /// An open ticket to join, and a resolved or closed one that comes back.
    fn tickets_for(&self, ix: Ix, row: &IncidentRow) -> (Option<Uuid>, Option<(Uuid, ShareReason)>) {
        let (mut open, mut returning) = (None, None);
        for &id in self.kiosk(ix).busy().tickets.iter().rev() {
            let Some(file) = self.ticket(id) else { continue };
            let ticket = &file.row;
            if ticket.peripheral != row.peripheral {
                continue;
            }
            let same_fault = ticket.fault == row.fault;
            match ticket.state {
                TicketState::Cancelled | TicketState::CancelledReassigned => {}
                TicketState::Resolved if same_fault => returning = Some((id, ShareReason::FaultBack)),
                TicketState::Resolved => {}
                TicketState::Closed | TicketState::CalledBack => {
                    let ended = file.ended_at().unwrap_or(ticket.t1);
                    if same_fault
                        && returning.is_none()
                        && self.now.since(ended) <= self.policy.tickets.reopen_ms
                    {
                        returning = Some((id, ShareReason::CameBack));
                    }
                }
                // A terminal's own problems have little in common: offline, disk, clock.
                _ if same_fault || row.peripheral.as_ref().is_some_and(|p| !p.is_host()) => {
                    open = open.or(Some(id));
                }
                _ => {}
            }
        }
        (open, returning)
    }

    /// Ends an episode, and lets its ticket recover when it was the last one.
    pub(super) fn close_incident(&mut self, id: Uuid, at: Timestamp, why: CloseReason) {
        let Some(row) = self.incident_mut(id) else { return };
        if row.closed_at.is_some() {
            return;
        }
        let at = at.max(row.opened_at);
        row.closed_at = Some(at);
        row.close_reason = Some(why.as_str().to_owned());
        row.triage_due_at = None;
        let (kiosk, site, ticket) = (row.kiosk.clone(), row.site.clone(), row.ticket);
        let fault = row.fault.clone();
        if let Some(ix) = kiosk.and_then(|kiosk| self.find(&kiosk)) {
            self.kiosk_mut(ix).busy_mut().incidents.retain(|&known| known != id);
        } else if let Some(site) = site.as_ref().and_then(|site| self.site_mut(site)) {
            site.busy_mut().outage = None;
        }
        if let Some(ticket) = ticket {
            self.fault_gone(ticket, id, at);
        }
        if let (codes::KIOSK_OFFLINE, Some(site)) = (fault.as_str(), site)
            && self.site(&site).is_some_and(|site| site.busy().outage.is_some())
        {
            self.sites_to_judge.insert(site);
        }
    }
}
