//! What people ask of the fleet, with the guards as values.
use std::sync::Arc;

use kioskwatch_proto::{SiteId, Timestamp, limits::MAX_TEXT_CHARS};
use uuid::Uuid;

use super::{
    Ix, changes,
    draft::Draft,
    hours::{Hours, Window},
    input::{Actor, NewTicket, Request, TicketAction},
    kiosk::Kiosk,
    plan::{Answer, Notice, NoticeKind, Refusal, RefusalKind},
    site::Site,
};
use crate::{
    change::{
        Admission, AssignmentRow, Change, CommissionedRow, ExclusionRow, GroupKind, KioskRow, ServiceSpan,
        SiteRow, SiteTermsRow, TicketRow, TicketState, Zone,
    },
    image::TermsNoted,
    incident::{CloseReason, is_ours},
    moment::Moment,
    ticket::{self, Because, CANCEL_GROUNDS, Deed, SIGN_OFFS, Step},
    triage::ticket_severity,
    uptime::{
        Commissioned, Known, known, past,
        seal::{self, Seals},
    },
};

impl Refusal {
    pub(super) fn new(kind: RefusalKind, rule: &'static str, reason: impl Into<String>) -> Self {
        Self { kind, rule, reason: reason.into() }
    }
}

fn invalid(rule: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Invalid, rule, reason)
}

fn conflict(rule: &'static str, reason: impl Into<String>) -> Refusal {
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

    fn put_site(&mut self, actor: &Actor, row: &SiteRow) -> Result<Answer, Refusal> {
        Hours::parse(&row.timezone, &row.service_hours).map_err(|e| invalid("service_hours", e))?;
        let row = SiteRow { updated_at: self.now, ..row.clone() };
        let was = self.site(&row.id).map(|site| (Arc::clone(&site.row), site.terms_noted));
        let (known, noted) = was.map_or((None, None), |(known, noted)| (Some(known), noted));
        let is_anew =
            known.as_ref().is_none_or(|known| !row.has_terms_of(known) || !row.has_contract_of(known));
        let terms_noted = match is_anew {
            true => Some(self.note_terms(known.as_deref(), noted, &row)),
            false => noted,
        };
        let fresh = Site { terms_noted, ..Site::of(&row) };
        let site = match self.site_mut(&row.id) {
            Some(known) => Site {
                kiosks: known.kiosks.clone(),
                outage: known.outage,
                tickets: known.tickets.clone(),
                windows: known.windows.clone(),
                ..fresh
            },
            None => fresh,
        };
        self.over.sites.insert(row.id.clone(), site);
        let changed = changes::of_site(known.as_deref(), &row);
        let detail =
            serde_json::json!({ "zone": row.zone.as_str(), "timezone": row.timezone, "changed": changed });
        self.audit_by(&actor.name, "put_site", format!("site/{}", row.id), &detail);
        self.rows.push(Change::Site(row));
        Ok(Answer::Done)
    }

    /// From now on the site is as `row` says, and was as it was `before`.
    fn note_terms(
        &mut self,
        before: Option<&SiteRow>,
        noted: Option<TermsNoted>,
        row: &SiteRow,
    ) -> TermsNoted {
        /// A clock that is so far ahead was wrong when it was noted; one that is less was adjusted since.
        const WRONG_MS: i64 = 86_400_000;
        let now = self.now;
        let wrong = noted.filter(|noted| noted.newest.since(now) > WRONG_MS);
        // What nobody noted, or only by a clock that was years ahead, it always was.
        let always = before.filter(|_| noted.is_none_or(|noted| noted.first > now && wrong.is_some()));
        let since = if wrong.is_some() { now } else { known::behind(noted.map(|noted| noted.newest), now) };
        // What waits ahead says the same from then on.
        let newest = wrong.map_or(since, |noted| noted.newest);
        let rows = always.map(|before| (before, SiteTermsRow::ALWAYS)).into_iter();
        let rows = rows.chain([(row, since)]).chain((newest != since).then_some((row, newest)));
        self.rows.extend(rows.map(|(site, since)| Change::SiteTerms(SiteTermsRow::of(site, since))));
        let first =
            always.map_or(noted.map_or(since, |noted| noted.first.min(since)), |_| SiteTermsRow::ALWAYS);
        TermsNoted { first, newest }
    }

    /// Somebody may have changed the site since `before` was read.
    fn put_service_hours(
        &mut self,
        actor: &Actor,
        id: &SiteId,
        before: &str,
        after: &str,
    ) -> Result<Answer, Refusal> {
        let known = self.site_row(id)?;
        if known.service_hours != before {
            return Err(conflict("2.8", "the site's service hours were changed since: ask again"));
        }
        self.put_site(actor, &SiteRow { service_hours: after.to_owned(), ..(*known).clone() })
    }

    fn put_timezone(
        &mut self,
        actor: &Actor,
        id: &SiteId,
        before: &str,
        after: &str,
    ) -> Result<Answer, Refusal> {
        let known = self.site_row(id)?;
        if known.timezone != before {
            return Err(conflict("2.8", "the site's time zone was changed since: ask again"));
        }
        self.put_site(actor, &SiteRow { timezone: after.to_owned(), ..(*known).clone() })
    }

    fn site_row(&self, id: &SiteId) -> Result<Arc<SiteRow>, Refusal> {
        let missing = || Refusal::new(RefusalKind::NotFound, "site", format!("no site {id}"));
        Ok(Arc::clone(&self.site(id).ok_or_else(missing)?.row))
    }

    /// Whoever looked at its dates judged by them.
    fn change_kiosk(
        &mut self,
        actor: &Actor,
        before: &KioskRow,
        after: &KioskRow,
        noted: &Known<Commissioned>,
    ) -> Result<Answer, Refusal> {
        let missing = || Refusal::new(RefusalKind::NotFound, "kiosk", format!("no kiosk {}", before.id));
        let kiosk = self.kiosk(self.find(&before.id).ok_or_else(missing)?);
        if kiosk.dates() != ServiceSpan::of(before) {
            return Err(conflict("2.8", "the kiosk's dates of service were changed since: ask again"));
        }
        self.put_kiosk(actor, after, Some(before), noted)
    }

    /// `known` and `noted`: as it is stored, with what the fleet itself has no use for.
    fn put_kiosk(
        &mut self,
        actor: &Actor,
        row: &KioskRow,
        known: Option<&KioskRow>,
        noted: &Known<Commissioned>,
    ) -> Result<Answer, Refusal> {
        if let Some(site) = &row.site
            && self.site(site).is_none()
        {
            return Err(invalid("site", format!("no site {site}")));
        }
        let found = self.find(&row.id);
        let dates = found.map_or_else(ServiceSpan::default, |ix| self.kiosk(ix).dates());
        let was = noted.or_of(dates, None);
        let is = was.put(self.now, dates, ServiceSpan::of(row)).map_err(|why| conflict("2.3", why))?;
        let ix = found.unwrap_or_else(|| self.add_kiosk(Kiosk::new(row.id.clone(), row.admission, self.now)));
        let before = (self.kiosk(ix).site.clone(), self.kiosk(ix).dates());
        let was_admitted = self.is_admitted(ix);
        let now = self.now;
        // Its dates are those of its newest stretch, and what is said of one that does not count yet.
        let dates = is.newest().filter(|_| row.commissioned_at.is_some()).unwrap_or(ServiceSpan::of(row));
        let row = &KioskRow { updated_at: now, ..dates.put_into(row) };
        let kiosk = self.kiosk_mut(ix);
        kiosk.admission = row.admission;
        kiosk.decommissioned_at = row.decommissioned_at.map(Moment::from);
        kiosk.commissioned_at = row.commissioned_at.map(Moment::from);
        self.assign(ix, row, is.first());
        self.rows.push(Change::Kiosk(row.clone()));
        let mut changed = changes::of_kiosk(known, row);
        // That it counted in time that has been is known since it is said: not to months that were fixed before.
        let reaches_back = is.first().is_some_and(|first| first < past::entered(now));
        if was != is && (noted.before(None).is_some() || !was.is_empty() || reaches_back) {
            changes::of_stretches(&mut changed, [&was, &is]);
            let row = |known_from, stretches| {
                Change::Commissioned(CommissionedRow { kiosk: row.id.clone(), known_from, stretches })
            };
            self.rows.extend([row(CommissionedRow::ALWAYS, was), row(noted.learned_at(now), is)]);
        }
        let detail = serde_json::json!({
            "admission": row.admission.as_str(), "site": row.site, "changed": changed,
        });
        self.audit_by(&actor.name, "put_kiosk", format!("kiosk/{}", row.id), &detail);
        match (was_admitted, self.is_admitted(ix)) {
            (false, true) => self.welcome(ix),
            (true, false) if row.admission == Admission::Accepted => self.retire(ix),
            _ if before != (row.site.clone(), ServiceSpan::of(row)) => self.look_at_problems(ix),
            _ => {}
        }
        Ok(Answer::Done)
    }

    /// Approved: its journal may flow.
    fn welcome(&mut self, ix: Ix) {
        if let Some(epoch) = self.kiosk(ix).state.epoch {
            self.acknowledge(ix, epoch);
        }
        self.look_at_problems(ix);
    }

    /// What was held or suppressed under other circumstances is decided again.
    fn look_at_problems(&mut self, ix: Ix) {
        for id in self.kiosk(ix).busy().incidents.clone() {
            self.triage(id);
        }
    }

    /// Retired: its open problems end with it. Tickets are people's to close.
    fn retire(&mut self, ix: Ix) {
        for id in self.kiosk(ix).busy().incidents.clone() {
            self.close_incident(id, self.now, CloseReason::Retired);
        }
    }

    /// Moves a kiosk between sites; who owned which second stays known (uptime definition 2.9). At its first site
    /// it stood since it was first put into service (`since`), whichever of the two was said first.
    fn assign(&mut self, ix: Ix, row: &KioskRow, since: Option<Timestamp>) {
        let (now, kiosk) = (self.now, self.kiosk(ix));
        let (before, from) = (kiosk.site.clone(), kiosk.assigned_from.map(Moment::at));
        let begins = match kiosk.moved || (before.is_some() && before != row.site) {
            true => now,
            false => since.map_or(now, |since| since.min(now)),
        };
        let assignment = |site: &SiteId, from, to| {
            Change::Assignment(AssignmentRow {
                kiosk: row.id.clone(),
                group: GroupKind::Site,
                group_id: site.to_string(),
                from,
                to,
                said: None,
            })
        };
        if before == row.site {
            // Said anew: nothing is left of the later beginning.
            if let (Some(site), Some(from)) = (before, from.filter(|from| *from > begins)) {
                self.rows.extend([assignment(&site, from, Some(from)), assignment(&site, begins, None)]);
                self.kiosk_mut(ix).assigned_from = Some(begins.into());
            }
            return;
        }
        if let (Some(site), Some(from)) = (&before, from) {
            self.rows.push(assignment(site, from, Some(now)));
        }
        if let Some(site) = before.as_ref().and_then(|id| self.site_mut(id)) {
            Arc::make_mut(&mut site.kiosks).retain(|&known| known != ix);
        }
        if let Some(id) = &row.site {
            self.rows.push(assignment(id, begins, None));
            if let Some(site) = self.site_mut(id) {
                Arc::make_mut(&mut site.kiosks).push(ix);
            }
        }
        let kiosk = self.kiosk_mut(ix);
        kiosk.moved |= from.is_some_and(|from| from < now);
        kiosk.site.clone_from(&row.site);
        kiosk.assigned_from = row.site.as_ref().map(|_| begins.into());
        self.sites_to_judge.extend(before);
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
            put_window(&mut site.windows, row.id, window);
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
                    | Change::Assignment(AssignmentRow { group: GroupKind::Engineer, .. })
            )
        };
        if !changes.iter().all(of_books) {
            let reason = "only month figures, restatements, corrections, calendars and engineers are booked";
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
        let (site, service) = (self.kiosk(ix).site.clone(), self.kiosk(ix).state.service);
        let class = self.class_of(&told.fault);
        let severity = ticket_severity(self.policy.catalogue.severity(&told.fault), service);
        let zone = site.as_ref().and_then(|id| self.site(id)).map_or(Zone::Urban, |site| site.row.zone);
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
