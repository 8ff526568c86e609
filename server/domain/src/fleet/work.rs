//! Tickets as the rules move them: open, gather, recover, resolve, close, come back.
use kioskwatch_proto::{
    SiteId, Timestamp,
    faults::{FaultClass, FaultCode},
    words::Severity,
};
use uuid::Uuid;

use super::{
    Ix,
    count::{ClockName, Count},
    draft::Draft,
    plan::{Notice, NoticeKind},
    ticket_file::TicketFile,
};
use crate::{
    change::{ClockState, TicketRow, TicketSource, TicketState, Zone},
    ticket::{self, BY_RULE, Because, Deed, SELF_RECOVERED, Step, Terms},
    triage::{ShareReason, ticket_severity},
};

impl Draft<'_> {
    /// One ticket for one fault episode (SR-013 for its severity).
    pub(super) fn open_ticket(&mut self, ix: Ix, incident: Uuid) {
        let Some(cause) = self.incident(incident).cloned() else { return };
        let kiosk = self.kiosk(ix);
        let (kiosk_id, site, service) = (kiosk.id.clone(), kiosk.site().cloned(), kiosk.state.service);
        let zone = site.as_ref().and_then(|id| self.site(id)).map_or(Zone::Urban, |site| site.written.zone());
        let class = self.class_of(&cause.fault);
        let severity = ticket_severity(cause.severity, service);
        let source =
            if crate::incident::is_ours(&cause.fault) { TicketSource::Server } else { TicketSource::Agent };
        let row = TicketRow {
            kiosk: Some(kiosk_id),
            site,
            peripheral: cause.peripheral.clone(),
            class,
            severity,
            priority: ticket::priority(severity, class, service),
            source,
            zone,
            t0: Some(cause.opened_at),
            ..self.blank_ticket(cause.fault.clone())
        };
        let id = row.id;
        self.file_ticket(row, Because::Needed.into());
        self.bind(id, incident);
        self.join_batch(id);
    }

    pub(super) fn open_site_ticket(&mut self, site: &SiteId, incident: Uuid) {
        let Some(cause) = self.incident(incident).cloned() else { return };
        let zone = self.site(site).map_or(Zone::Urban, |site| site.written.zone());
        let row = TicketRow {
            site: Some(site.clone()),
            class: FaultClass::Maintenance,
            severity: Severity::Major,
            priority: 1,
            source: TicketSource::Server,
            zone,
            t0: Some(cause.opened_at),
            ..self.blank_ticket(cause.fault)
        };
        let id = row.id;
        self.file_ticket(row, Because::SiteDropped.into());
        self.bind(id, incident);
    }

    pub(super) fn class_of(&self, fault: &FaultCode) -> FaultClass {
        self.policy.catalogue.get(fault).map_or(FaultClass::Maintenance, |entry| entry.class)
    }

    pub(super) fn blank_ticket(&mut self, fault: FaultCode) -> TicketRow {
        TicketRow::new(self.ids.uuid(self.now), self.next_number(), fault, self.now)
    }

    /// Puts a new ticket into the books: history, clocks, notice. New tickets are triaged by rule.
    pub(super) fn file_ticket(&mut self, row: TicketRow, why: String) {
        let (id, state) = (row.id, row.state);
        let (source, kiosk, site) = (row.source, row.kiosk.clone(), row.site.clone());
        let text = format!("#{} {} ({})", row.number, row.fault, row.severity);
        let terms = Terms { zone: row.zone, class: row.class, severity: row.severity };
        let clocks = ticket::opening_clocks(id, row.t1, terms, &self.policy.clocks);
        let reason = Because::Terms { class: row.class, severity: row.severity, zone: row.zone };
        self.over.tickets.insert(id, TicketFile { clocks, ..TicketFile::of(row) });
        if let Some(ix) = kiosk.as_ref().and_then(|kiosk| self.find(kiosk)) {
            self.kiosk_mut(ix).busy_mut().tickets.push(id);
        } else if let Some(site) = site.as_ref().and_then(|site| self.site_mut(site)) {
            site.busy_mut().tickets.push(id);
        }
        self.ticket_step(id, Step { actor: BY_RULE, action: Deed::Open, to: Some(state), reason: why });
        if state == TicketState::New {
            let to = Some(TicketState::Triaged);
            self.ticket_step(id, Step { actor: BY_RULE, action: Deed::Triage, to, reason: reason.into() });
        }
        self.look_later(id);
        self.count(Count::TicketOpened(source));
        self.notify(Notice { kind: NoticeKind::TicketOpened, ticket: Some(id), kiosk, site, text });
    }

    fn bind(&mut self, ticket: Uuid, incident: Uuid) {
        if let Some(row) = self.incident_mut(incident) {
            row.ticket = Some(ticket);
        }
        if let Some(file) = self.ticket_mut(ticket)
            && !file.open.contains(&incident)
        {
            file.open.push(incident);
        }
    }

    /// Another problem of the same peripheral joins an open ticket.
    pub(super) fn gather(&mut self, id: Uuid, incident: Uuid) {
        let Some(cause) = self.incident(incident).cloned() else { return };
        self.bind(id, incident);
        let Some(file) = self.ticket_mut(id) else { return };
        let back = file.row.recovering_since.take().is_some();
        let action = if back { Deed::FaultBack } else { Deed::Gather };
        let reason = Because::Fault { fault: cause.fault, severity: cause.severity }.into();
        self.ticket_step(id, Step { actor: BY_RULE, action, to: None, reason });
        self.raise_ticket_severity(id, cause.severity);
        self.look_now(id);
    }

    /// A worse fault makes the ticket worse, never better; `restore` begins for a major one (SR-011).
    pub(super) fn raise_ticket_severity(&mut self, id: Uuid, fault: Severity) {
        let service = self
            .ticket(id)
            .and_then(|file| file.row.kiosk.clone())
            .and_then(|kiosk| self.find(&kiosk))
            .and_then(|ix| self.kiosk(ix).state.service);
        let clocks = self.policy.clocks;
        let Some(file) = self.ticket_mut(id) else { return };
        let severity = ticket_severity(fault, service);
        if severity <= file.row.severity {
            return;
        }
        file.row.severity = severity;
        file.row.priority = file.row.priority.min(ticket::priority(severity, file.row.class, service));
        let terms = Terms { zone: file.row.zone, class: file.row.class, severity };
        if !file.clocks.iter().any(|clock| clock.name == "restore") {
            file.clocks.extend(ticket::restore_clock(id, file.row.t1, terms, &clocks));
        }
        let reason = Because::Worse(severity).into();
        self.ticket_step(id, Step { actor: BY_RULE, action: Deed::Triage, to: None, reason });
        self.look_later(id);
    }

    /// A resolved or closed ticket whose fault is back (SR-032, 4.2 re-open).
    pub(super) fn reopen(&mut self, id: Uuid, incident: Uuid, why: ShareReason) {
        self.bind(id, incident);
        let was_closed = why == ShareReason::CameBack;
        self.bring_back(id, BY_RULE, was_closed, Because::Back(why).into());
    }

    pub(super) fn bring_back(&mut self, id: Uuid, actor: &str, was_closed: bool, reason: String) {
        let (now, policy) = (self.now, self.policy.clocks);
        let Some(file) = self.ticket_mut(id) else { return };
        let row = &mut file.row;
        let to = ticket::state_after_return(row.assignee.as_deref());
        (row.t5, row.t6, row.t7, row.sign_off, row.resolution) = (None, None, None, None, None);
        row.recovering_since = None;
        row.reopened += u32::from(was_closed);
        let terms = Terms { zone: row.zone, class: row.class, severity: row.severity };
        file.lasts_no_more();
        let fresh = ticket::opening_clocks(id, now, terms, &policy);
        ticket::on_return(&mut file.clocks, fresh, now);
        let (kiosk, site) = (file.row.kiosk.clone(), file.row.site.clone());
        let text = format!("#{} {} is back", file.row.number, file.row.fault);
        let action = if was_closed { Deed::Reopen } else { Deed::FaultBack };
        self.ticket_step(id, Step { actor, action, to: Some(to), reason });
        self.look_now(id);
        self.count(Count::TicketReopened);
        self.notify(Notice { kind: NoticeKind::TicketReopened, ticket: Some(id), kiosk, site, text });
    }

    /// An incident of the ticket ended; with the last one the ticket begins to recover.
    pub(super) fn fault_gone(&mut self, id: Uuid, incident: Uuid, at: Timestamp) {
        let now = self.now;
        let Some(file) = self.ticket_mut(id) else { return };
        file.open.retain(|&known| known != incident);
        if !file.open.is_empty() || !file.row.state.is_open() {
            return;
        }
        // An episode that began before our clock was set back ends no sooner than it began, but its time runs now.
        file.recovers(at.min(now));
        let reason = Because::Gone.into();
        self.ticket_step(id, Step { actor: BY_RULE, action: Deed::Recovering, to: None, reason });
        self.look_at_what_was_told_late(id);
    }

    pub(super) fn resolve(&mut self, id: Uuid, actor: &str, t5: Timestamp, resolution: &str, why: String) {
        let now = self.now;
        let Some(file) = self.ticket_mut(id) else { return };
        // Our clock may have been set back since the fault was told.
        let t5 = file.row.t0.map_or(t5, |t0| t5.max(t0));
        file.row.t5 = Some(t5);
        if t5 > now {
            file.lasts_from(now);
        }
        file.row.resolution = Some(resolution.to_owned());
        let mut breached = Vec::new();
        for clock in &mut file.clocks {
            let before = clock.state;
            ticket::on_recovery(clock, t5, now);
            if clock.state == ClockState::Breached && before != ClockState::Breached {
                breached.push(ClockName::of(&clock.name));
            }
        }
        let (kiosk, site) = (file.row.kiosk.clone(), file.row.site.clone());
        let text = format!("#{} {}: {resolution}", file.row.number, file.row.fault);
        let parent = file.row.parent;
        let to = Some(TicketState::Resolved);
        self.ticket_step(id, Step { actor, action: Deed::Resolve, to, reason: why });
        self.count(Count::TicketResolved);
        for clock in breached {
            self.count(Count::ClockBreached(clock));
        }
        self.notify(Notice { kind: NoticeKind::TicketResolved, ticket: Some(id), kiosk, site, text });
        if let Some(parent) = parent {
            self.recover_parent(parent);
        }
    }

    /// A batch parent recovers when all its children are resolved.
    fn recover_parent(&mut self, id: Uuid) {
        let Some(file) = self.ticket(id) else { return };
        let waits = |child: &Uuid| {
            self.ticket(*child).is_some_and(|c| c.row.state.is_open() && c.row.state != TicketState::Resolved)
        };
        if !ticket::may_recover(file.row.state) || file.children.iter().any(waits) {
            return;
        }
        let t5 = file.children.iter().filter_map(|&child| self.ticket(child)?.row.t5).max();
        self.resolve(id, BY_RULE, t5.unwrap_or(self.now), SELF_RECOVERED, Because::BatchResolved.into());
        self.look_at_what_was_told_late(id);
    }

    pub(super) fn close(&mut self, id: Uuid, actor: &str, sign_off: &str, why: String) {
        let now = self.now;
        let Some(file) = self.ticket_mut(id) else { return };
        file.row.t6 = file.row.t6.or(Some(now));
        file.row.t7 = Some(now);
        file.row.sign_off = Some(sign_off.to_owned());
        file.row.recovering_since = None;
        for clock in &mut file.clocks {
            ticket::on_sign_off(clock, now);
        }
        let (kiosk, site) = (file.row.kiosk.clone(), file.row.site.clone());
        let text = format!("#{} {}: {sign_off}", file.row.number, file.row.fault);
        let to = Some(TicketState::Closed);
        self.ticket_step(id, Step { actor, action: Deed::Close, to, reason: why });
        self.notify(Notice { kind: NoticeKind::TicketClosed, ticket: Some(id), kiosk, site, text });
        self.look_later(id);
    }

    /// Takes a ticket out of the lists of its kiosk or site; `adopt` drops it.
    pub(super) fn forget_ticket(&mut self, id: Uuid) {
        let Some(file) = self.ticket(id) else { return };
        let (kiosk, site) = (file.row.kiosk.clone(), file.row.site.clone());
        if let Some(ix) = kiosk.and_then(|kiosk| self.find(&kiosk)) {
            self.kiosk_mut(ix).busy_mut().tickets.retain(|&known| known != id);
        } else if let Some(site) = site.and_then(|site| self.site_mut(&site)) {
            site.busy_mut().tickets.retain(|&known| known != id);
        }
        self.over.forgotten_tickets.insert(id);
    }
}
