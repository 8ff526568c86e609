//! One site down is one ticket (D3), and many kiosks with one fault are one decision (SR-110).
use kioskwatch_proto::{
    SiteId, Timestamp,
    faults::{FaultCode, codes},
    words::Severity,
};
use uuid::Uuid;

use super::{
    draft::Draft,
    plan::{Notice, NoticeKind},
};
use crate::{
    change::{IncidentRow, TicketSource, TicketState},
    incident::{CloseReason, site_fingerprint},
    ticket::{BY_RULE, Because, Deed, Step, may_join_batch},
    triage::{Decision, HoldReason, ShareReason, is_site_outage},
};

/// The kiosks of a site as an outage sees them.
#[derive(Default)]
struct Headcount {
    /// In service, by day and by night.
    should_be_on: usize,
    /// Offline until we hear of them, also while nobody can hear.
    down: usize,
    /// Those that dropped within the window and wait for their neighbours.
    dropped: Vec<Uuid>,
}

impl Draft<'_> {
    /// Begins or ends the outages of sites whose kiosks changed. Each site is counted once per input.
    pub(super) fn judge_sites(&mut self) {
        while let Some(site) = self.sites_to_judge.pop_first() {
            self.judge_site(&site);
        }
    }

    fn judge_site(&mut self, id: &SiteId) {
        let Some(site) = self.site(id) else { return };
        let (outage, now) = (site.busy().outage, self.now);
        let works = site.works(&self.policy.calendar, now);
        let heads = self.headcount(id);
        match outage {
            None if works && is_site_outage(heads.dropped.len(), heads.should_be_on) => {
                self.begin_outage(id, &heads.dropped);
            }
            // While we do not hear, nobody is back.
            Some(incident) if self.server().hears(now) && !is_site_outage(heads.down, heads.should_be_on) => {
                self.end_outage(id, incident);
            }
            _ => {}
        }
    }

    fn headcount(&self, id: &SiteId) -> Headcount {
        let mut heads = Headcount::default();
        let Some(site) = self.site(id) else { return heads };
        let now = self.now;
        for &ix in site.kiosks.iter() {
            if !self.kiosk(ix).should_be_on(now) {
                continue;
            }
            heads.should_be_on += 1;
            let Some(incident) = self.find_incident(ix, None, codes::KIOSK_OFFLINE) else { continue };
            heads.down += 1;
            if self.incident(incident).is_some_and(|row| HoldReason::of(row) == Some(HoldReason::SiteHold)) {
                heads.dropped.push(incident);
            }
        }
        heads
    }

    fn begin_outage(&mut self, id: &SiteId, dropped: &[Uuid]) {
        let Some(fault) = FaultCode::new(codes::SITE_OFFLINE) else { return };
        let opened_at = dropped.iter().filter_map(|&i| self.incident(i)).map(|row| row.opened_at).min();
        let incident = self.ids.uuid(self.now);
        let row = IncidentRow {
            id: incident,
            fingerprint: site_fingerprint(id, &fault),
            kiosk: None,
            site: Some(id.clone()),
            peripheral: None,
            severity: self.fault_severity(codes::SITE_OFFLINE, Severity::Major),
            fault,
            opened_at: opened_at.unwrap_or(self.now),
            noticed_at: self.now,
            closed_at: None,
            close_reason: None,
            raw: None,
            text: Some(Because::DroppedTogether(dropped.len()).into()),
            ticket: None,
            triage: String::new(),
            triage_reason: String::new(),
            triage_due_at: None,
            parent: None,
        };
        self.over.incidents.insert(incident, row);
        if let Some(site) = self.site_mut(id) {
            site.busy_mut().outage = Some(incident);
        }
        for &child in dropped {
            self.note_decision(child, &Decision::Attach(incident, ShareReason::SiteOutage));
        }
        match self.site_ticket(id, codes::SITE_OFFLINE) {
            Some((ticket, None)) => {
                self.note_decision(incident, &Decision::Gather(ticket, ShareReason::FaultBack));
                self.gather(ticket, incident);
            }
            Some((ticket, Some(why))) => {
                self.note_decision(incident, &Decision::Reopen(ticket, why));
                self.reopen(ticket, incident, why);
            }
            None => {
                self.note_decision(incident, &Decision::OpenTicket);
                self.open_site_ticket(id, incident);
            }
        }
    }

    /// The site's ticket for a fault: open, or to be brought back for the reason.
    fn site_ticket(&self, id: &SiteId, code: &str) -> Option<(Uuid, Option<ShareReason>)> {
        let site = self.site(id)?;
        site.busy().tickets.iter().rev().find_map(|&ticket| {
            let file = self.ticket(ticket).filter(|file| file.row.fault.as_str() == code)?;
            let recent = |at: Timestamp| self.now.since(at) <= self.policy.tickets.reopen_ms;
            match file.row.state {
                TicketState::Resolved => Some((ticket, Some(ShareReason::FaultBack))),
                TicketState::Closed | TicketState::CalledBack => {
                    file.ended_at().filter(|&at| recent(at)).map(|_| (ticket, Some(ShareReason::CameBack)))
                }
                state if state.is_open() => Some((ticket, None)),
                _ => None,
            }
        })
    }

    /// The site is back: its ticket recovers, and those still down get time and then tickets of their own.
    fn end_outage(&mut self, id: &SiteId, incident: Uuid) {
        let until = self.now.plus_ms(self.policy.tickets.site_hold_ms);
        let members = self.site(id).map(|site| site.kiosks.clone()).unwrap_or_default();
        for &ix in members.iter() {
            let Some(child) = self.find_incident(ix, None, codes::KIOSK_OFFLINE) else { continue };
            if self.incident(child).is_some_and(|row| row.parent == Some(incident) && row.ticket.is_none()) {
                let hold = Decision::Hold { until, why: HoldReason::SiteReturned };
                self.note_decision(child, &hold);
            }
        }
        if let Some(site) = self.site_mut(id) {
            site.busy_mut().outage = None;
        }
        self.close_incident(incident, self.now, CloseReason::SiteBack);
    }

    /// SR-110: the fifth kiosk of a site with one fault on one local day makes a batch decision. Called for
    /// each new ticket of a kiosk; tickets of which nobody has departed wait for the region's decision.
    pub(super) fn join_batch(&mut self, ticket: Uuid) {
        let Some(row) = self.ticket(ticket).map(|file| file.row.clone()) else { return };
        let Some(id) = row.site.clone() else { return };
        let Some(site) = self.site(&id) else { return };
        if matches!(row.fault.as_str(), codes::KIOSK_OFFLINE | codes::SITE_OFFLINE) {
            return;
        }
        let day = site.hours().date(row.t1);
        let is_parent = |t: &Uuid| {
            self.ticket(*t).is_some_and(|file| {
                file.row.fault == row.fault
                    && file.row.state.is_open()
                    && site.hours().date(file.row.t1) == day
            })
        };
        if let Some(parent) = site.busy().tickets.iter().copied().find(is_parent) {
            self.put_into_batch(ticket, parent);
            return;
        }
        let mut members = Vec::new();
        for &ix in site.kiosks.iter() {
            let same = self.kiosk(ix).busy().tickets.iter().copied().find(|&t| {
                self.ticket(t).is_some_and(|file| {
                    let other = &file.row;
                    other.fault == row.fault && other.parent.is_none() && site.hours().date(other.t1) == day
                })
            });
            members.extend(same);
        }
        if members.len() < self.policy.tickets.batch_kiosks {
            return;
        }
        let parent = self.open_batch_ticket(&id, &row);
        for member in members {
            self.put_into_batch(member, parent);
        }
    }

    fn put_into_batch(&mut self, ticket: Uuid, parent: Uuid) {
        let Some(file) = self.ticket_mut(ticket) else { return };
        if !may_join_batch(file.row.state) {
            return;
        }
        file.row.parent = Some(parent);
        if let Some(parent) = self.ticket_mut(parent) {
            parent.children.push(ticket);
        }
        let reason = Because::JoinsBatch.into();
        let to = Some(TicketState::PendingBatch);
        self.ticket_step(ticket, Step { actor: BY_RULE, action: Deed::PendingBatch, to, reason });
    }

    fn open_batch_ticket(&mut self, site: &SiteId, model: &crate::change::TicketRow) -> Uuid {
        let row = crate::change::TicketRow {
            id: self.ids.uuid(self.now),
            number: self.next_number(),
            state: TicketState::PendingBatch,
            kiosk: None,
            peripheral: None,
            source: TicketSource::Server,
            opened_at: self.now,
            t0: None,
            t1: self.now,
            due_at: None,
            parent: None,
            assignee: None,
            extra: "{}".into(),
            ..model.clone()
        };
        let id = row.id;
        let text = format!("{site}: {} on many kiosks today", row.fault);
        self.file_ticket(row, Because::ManyKiosks.into());
        let (kiosk, site) = (None, Some(site.clone()));
        self.notify(Notice { kind: NoticeKind::BatchDecision, ticket: Some(id), kiosk, site, text });
        id
    }
}
