//! What people ask of the fleet, with the guards as values; of its sites and kiosks in `registry`.
use kioskwatch_proto::limits::MAX_TEXT_CHARS;
use uuid::Uuid;

use super::{
    Ix,
    draft::Draft,
    hours::Window,
    input::{Actor, NewTicket, Request, TicketAction},
    plan::{Answer, Notice, NoticeKind, Refusal, RefusalKind},
};
use crate::{
    change::{AssignmentRow, Change, ExclusionRow, GroupKind, TicketRow, TicketState, Zone},
    incident::{CloseReason, is_ours},
    ticket::{self, Because, CANCEL_GROUNDS, Deed, SIGN_OFFS, Step},
    triage::ticket_severity,
    uptime::{
        Known,
        seal::{self, Seals},
    },
};

impl Refusal {
    pub(super) fn new(kind: RefusalKind, rule: &'static str, reason: impl Into<String>) -> Self {
        Self { kind, rule, reason: reason.into() }
    }
}

pub(super) fn invalid(rule: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Invalid, rule, reason)
}

pub(super) fn conflict(rule: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Conflict, rule, reason)
}

impl Draft<'_> {
    pub(super) fn request(&mut self, actor: &Actor, request: &Request) -> Result<Answer, Refusal> {
        match request {
            Request::PutSite(row) => self.put_site(actor, row),
            Request::PutServiceHours { site, before, after } => {
                self.put_service_hours(actor, site, before, after)
            }
            Request::PutTimezone { site, before, after } => self.put_timezone(actor, site, before, after),
            Request::PutKiosk(row) => self.put_kiosk(actor, row, None, &Known::default()),
            Request::ChangeKiosk { before, after, noted } => self.change_kiosk(actor, before, after, noted),
            Request::PutExclusion(row) => self.put_exclusion(actor, row),
            Request::Book { changes, also } => self.book(actor, changes, also.as_deref()),
            Request::Command(asked) => self.request_command(actor, asked),
            Request::ApproveCommand { command } => self.approve_command(actor, *command),
            Request::RejectCommand { command, reason } => self.reject_command(actor, *command, reason),
            Request::CancelCommand { command, reason } => self.cancel_command(actor, *command, reason),
            Request::OpenTicket(told) => self.told_by_person(actor, told),
            Request::Ticket { ticket, action } => self.act_on_ticket(actor, *ticket, action),
        }
    }

    fn put_exclusion(&mut self, actor: &Actor, row: &ExclusionRow) -> Result<Answer, Refusal> {
        if row.kiosk.is_some() == row.site.is_some() {
            return Err(invalid("exclusion", "an exclusion is for a kiosk or for a site"));
        }
        if row.to <= row.from {
            return Err(invalid("exclusion", "an exclusion ends after it begins"));
        }
        if row.approved_by.as_deref() == Some(row.requested_by.as_str()) {
            return Err(Refusal::new(RefusalKind::Forbidden, "2.4", "the requester cannot approve"));
        }
        let window = Window::of(row);
        let mut of: Vec<Ix> = Vec::new();
        if let Some(id) = &row.kiosk {
            let ix = self.find(id).ok_or_else(|| invalid("kiosk", format!("no kiosk {id}")))?;
            put_window(&mut self.kiosk_mut(ix).busy_mut().windows, row.id, window);
            of.push(ix);
        }
        if let Some(id) = &row.site {
            let site = self.site_mut(id).ok_or_else(|| invalid("site", format!("no site {id}")))?;
            put_window(&mut site.busy_mut().windows, row.id, window);
            of.extend_from_slice(&site.kiosks);
        }
        self.rows.push(Change::Exclusion(row.clone()));
        let detail =
            serde_json::json!({ "class": row.class, "from": row.from, "to": row.to, "reason": row.reason });
        let action = if row.withdrawn.is_some() { "withdraw_exclusion" } else { "put_exclusion" };
        self.audit_by(&actor.name, action, format!("exclusion/{}", row.id), &detail);
        if row.withdrawn.is_some() {
            // What it held back is decided now, and not when it would have ended.
            of.into_iter().for_each(|ix| self.look_at_problems(ix));
        }
        Ok(Answer::Exclusion(row.id))
    }

    /// Books are kept outside of the fleet; only their rows come through this door.
    fn book(&mut self, actor: &Actor, changes: &[Change], also: Option<&Request>) -> Result<Answer, Refusal> {
        let of_books = |change: &Change| {
            matches!(
                change,
                Change::Month(_)
                    | Change::Restatement(_)
                    | Change::Correction(_)
                    | Change::CalendarTerms(_)
                    | Change::Audit(_)
                    | Change::Assignment(AssignmentRow { group: GroupKind::Engineer | GroupKind::Model, .. })
            )
        };
        if !changes.iter().all(of_books) {
            let reason =
                "only month figures, restatements, corrections, calendars, engineers and models are booked";
            return Err(invalid("books", reason));
        }
        if let Some(request) = also {
            self.request(actor, request)?;
        }
        self.rows.extend_from_slice(changes);
        let months = changes.iter().filter_map(|change| match change {
            Change::Month(row) => Some(&**row),
            _ => None,
        });
        let seals = Seals::of(months);
        if !seals.is_empty() {
            self.audit_by(&actor.name, seal::SIGNED, "uptime".to_owned(), &seals.to_json());
        }
        Ok(Answer::Done)
    }

    /// SR-032: nobody calls twice for one problem; a second call joins the ticket that is there.
    fn told_by_person(&mut self, actor: &Actor, told: &NewTicket) -> Result<Answer, Refusal> {
        let missing = || Refusal::new(RefusalKind::NotFound, "kiosk", "no such kiosk");
        let ix = self.find(&told.kiosk).ok_or_else(missing)?;
        let text: String = told.text.chars().take(MAX_TEXT_CHARS).collect();
        let same = |id: &Uuid| {
            self.ticket(*id).is_some_and(|file| {
                let row = &file.row;
                row.state.is_open() && row.fault == told.fault && row.peripheral == told.peripheral
            })
        };
        if let Some(id) = self.kiosk(ix).busy().tickets.iter().copied().find(same) {
            self.urge(actor, id, Because::RepeatCall(text).into());
            return Ok(Answer::Ticket(id));
        }
        let (site, service) = (self.kiosk(ix).site().cloned(), self.kiosk(ix).state.service);
        let class = self.class_of(&told.fault);
        let severity = ticket_severity(self.policy.catalogue.severity(&told.fault), service);
        let zone = site.as_ref().and_then(|id| self.site(id)).map_or(Zone::Urban, |site| site.written.zone());
        let row = TicketRow {
            kiosk: Some(told.kiosk.clone()),
            site,
            peripheral: told.peripheral.clone(),
            class,
            severity,
            priority: ticket::priority(severity, class, service),
            source: told.source,
            zone,
            ..self.blank_ticket(told.fault.clone())
        };
        let id = row.id;
        self.file_ticket(row, format!("{}: {text}", actor.name));
        self.join_batch(id);
        Ok(Answer::Ticket(id))
    }

    fn act_on_ticket(&mut self, actor: &Actor, id: Uuid, action: &TicketAction) -> Result<Answer, Refusal> {
        let missing =
            || Refusal::new(RefusalKind::NotFound, "ticket", "no such ticket that may still change");
        let state = self.ticket(id).ok_or_else(missing)?.row.state;
        match action {
            TicketAction::Note { text } => self.note(actor, id, text),
            TicketAction::Urge { reason } => {
                if !state.is_open() {
                    return Err(conflict("SR-124", "only an open ticket can be urged"));
                }
                self.urge(actor, id, reason.clone());
            }
            TicketAction::Resolve { resolution } => self.resolve_by(actor, id, resolution)?,
            TicketAction::Close { sign_off, reason } => self.close_by(actor, id, sign_off, reason)?,
            TicketAction::Cancel { ground, reason } => self.cancel_by(actor, id, ground, reason)?,
            TicketAction::Reopen { reason } => self.reopen_by(actor, id, reason)?,
        }
        Ok(Answer::Done)
    }

    fn note(&mut self, actor: &Actor, id: Uuid, text: &str) {
        let reason = text.chars().take(MAX_TEXT_CHARS).collect();
        self.ticket_step(id, Step { actor: &actor.name, action: Deed::Note, to: None, reason });
    }

    /// 催上门: one step of priority, once.
    fn urge(&mut self, actor: &Actor, id: Uuid, reason: String) {
        let Some(urged_before) = self.ticket(id).map(super::ticket_file::TicketFile::was_urged) else {
            return;
        };
        let at = self.now;
        if let Some(file) = self.ticket_mut(id)
            && !urged_before
        {
            file.row.priority = file.row.priority.saturating_sub(1).max(1);
            file.set_extra("urged", serde_json::json!({ "at": at, "by": actor.name }));
        }
        self.ticket_step(id, Step { actor: &actor.name, action: Deed::Urge, to: None, reason });
    }

    fn resolve_by(&mut self, actor: &Actor, id: Uuid, resolution: &str) -> Result<(), Refusal> {
        let Some(file) = self.ticket(id) else { return Ok(()) };
        if !file.row.state.is_open() || file.row.state == TicketState::Resolved {
            return Err(conflict("3.5", "only open work can be resolved"));
        }
        if resolution.trim().is_empty() {
            return Err(invalid("SR-145", "a resolution states cause and solution"));
        }
        let ours = |i: &Uuid| self.incident(*i).is_some_and(|row| is_ours(&row.fault));
        if file.open.iter().any(|i| !ours(i)) {
            return Err(conflict("SR-146", "a fault of this ticket is still raised"));
        }
        let t5 = file.row.recovering_since.unwrap_or(self.now);
        self.end_our_faults(id);
        self.resolve(id, &actor.name, t5, resolution, resolution.to_owned());
        self.look_later(id);
        Ok(())
    }

    fn close_by(&mut self, actor: &Actor, id: Uuid, sign_off: &str, reason: &str) -> Result<(), Refusal> {
        let Some(file) = self.ticket(id) else { return Ok(()) };
        if file.row.state != TicketState::Resolved {
            return Err(conflict("SR-160", "only a resolved ticket can be closed"));
        }
        if file.row.resolution.is_none() {
            return Err(conflict("SR-145", "a ticket closes with its resolution only"));
        }
        if !SIGN_OFFS.contains(&sign_off) {
            return Err(invalid("SR-160", format!("{sign_off:?} is no sign-off")));
        }
        if sign_off != "signature" && file.was_visited() {
            return Err(conflict("C35", "somebody was there: the customer signs"));
        }
        self.end_our_faults(id);
        self.close(id, &actor.name, sign_off, reason.to_owned());
        Ok(())
    }

    fn cancel_by(&mut self, actor: &Actor, id: Uuid, ground: &str, reason: &str) -> Result<(), Refusal> {
        let Some(file) = self.ticket(id) else { return Ok(()) };
        if !ticket::may_cancel(file.row.state) {
            return Err(conflict("3.5", format!("a ticket in {} is not cancelled", file.row.state.as_str())));
        }
        if !CANCEL_GROUNDS.contains(&ground) {
            return Err(invalid("SR-091", format!("{ground:?} is no ground for cancelling")));
        }
        if reason.trim().is_empty() {
            return Err(invalid("SR-097", "a cancel states its reason"));
        }
        let now = self.now;
        let (mut kiosk, mut site, mut text) = (None, None, String::new());
        if let Some(file) = self.ticket_mut(id) {
            file.row.cancel_reason = Some(format!("{ground}: {reason}"));
            file.row.recovering_since = None;
            file.row.due_at = None;
            for clock in &mut file.clocks {
                ticket::on_cancel(clock, now);
            }
            (kiosk, site) = (file.row.kiosk.clone(), file.row.site.clone());
            text = format!("#{} {}: {ground}", file.row.number, file.row.fault);
        }
        let to = Some(TicketState::Cancelled);
        let step = Step { actor: &actor.name, action: Deed::Cancel, to, reason: reason.to_owned() };
        self.ticket_step(id, step);
        self.forget_ticket(id);
        self.notify(Notice { kind: NoticeKind::TicketCancelled, ticket: Some(id), kiosk, site, text });
        Ok(())
    }

    fn reopen_by(&mut self, actor: &Actor, id: Uuid, reason: &str) -> Result<(), Refusal> {
        let Some(file) = self.ticket(id) else { return Ok(()) };
        let closed = matches!(file.row.state, TicketState::Closed | TicketState::CalledBack);
        if !closed && file.row.state != TicketState::Resolved {
            return Err(conflict("SR-032", "only a resolved or closed ticket comes back"));
        }
        let ended = file.ended_at().unwrap_or(self.now);
        if closed && self.now.since(ended) > self.policy.tickets.reopen_ms {
            return Err(conflict("SR-032", "closed more than seven days ago: open a new ticket"));
        }
        self.bring_back(id, &actor.name, closed, reason.to_owned());
        Ok(())
    }

    /// Problems that only the server sees and only people end (a forked journal) end with their ticket.
    fn end_our_faults(&mut self, id: Uuid) {
        let open = self.ticket(id).map(|file| file.open.clone()).unwrap_or_default();
        for incident in open {
            let fork = self
                .incident(incident)
                .is_some_and(|row| row.fault.as_str() == kioskwatch_proto::faults::codes::JOURNAL_FORK);
            if fork {
                self.close_incident(incident, self.now, CloseReason::ByPerson);
            }
        }
    }
}

fn put_window(windows: &mut Vec<Window>, id: Uuid, window: Option<Window>) {
    windows.retain(|known| known.id != id);
    windows.extend(window);
}
