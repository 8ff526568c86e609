//! Sites and kiosks as people register and change them, with what was known of them when.
use std::sync::Arc;

use kioskwatch_proto::{SiteId, Timestamp};

use super::{
    Ix, changes,
    draft::Draft,
    hours::Hours,
    input::Actor,
    kiosk::Kiosk,
    operate::{conflict, invalid},
    plan::{Answer, Refusal, RefusalKind},
    site::Site,
};
use crate::{
    change::{
        Admission, AssignmentRow, Change, CommissionedRow, GroupKind, KioskRow, ServiceSpan, SiteRow,
        SiteTermsRow,
    },
    image::TermsNoted,
    incident::CloseReason,
    moment::Moment,
    uptime::{Commissioned, Known, known, past},
};

impl Draft<'_> {
    pub(super) fn put_site(&mut self, actor: &Actor, row: &SiteRow) -> Result<Answer, Refusal> {
        Hours::parse(&row.timezone, &row.service_hours).map_err(|e| invalid("service_hours", e))?;
        let row = SiteRow { updated_at: self.now, ..row.clone() };
        let was = self.site(&row.id).map(|site| (site.written.row(), site.terms_noted));
        let (known, noted) = was.map_or((None, None), |(known, noted)| (Some(known), noted));
        let is_anew =
            known.as_ref().is_none_or(|known| !row.has_terms_of(known) || !row.has_contract_of(known));
        let terms_noted = match is_anew {
            true => Some(self.note_terms(known.as_ref(), noted, &row)),
            false => noted,
        };
        let fresh = Site::of(&row, &self.fleet.alike);
        let mut site = match self.site(&row.id) {
            Some(known) => known.rewritten(fresh),
            None => fresh,
        };
        site.terms_noted = terms_noted;
        self.over.sites.insert(row.id.clone(), site);
        let changed = changes::of_site(known.as_ref(), &row);
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
        let now = self.now;
        let wrong = noted.filter(|noted| known::is_wrong(noted.newest, now));
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
    pub(super) fn put_service_hours(
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
        self.put_site(actor, &SiteRow { service_hours: after.to_owned(), ..known })
    }

    pub(super) fn put_timezone(
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
        self.put_site(actor, &SiteRow { timezone: after.to_owned(), ..known })
    }

    fn site_row(&self, id: &SiteId) -> Result<SiteRow, Refusal> {
        let missing = || Refusal::new(RefusalKind::NotFound, "site", format!("no site {id}"));
        Ok(self.site(id).ok_or_else(missing)?.written.row())
    }

    /// Whoever looked at its dates judged by them.
    pub(super) fn change_kiosk(
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
    pub(super) fn put_kiosk(
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
        let before = (self.kiosk(ix).site().cloned(), self.kiosk(ix).dates());
        let was_admitted = self.is_admitted(ix);
        let now = self.now;
        // Its dates are those of its newest stretch, and what is said of one that does not count yet.
        let dates = is.newest().filter(|_| row.commissioned_at.is_some()).unwrap_or(ServiceSpan::of(row));
        let row = &KioskRow { updated_at: now, ..dates.put_into(row) };
        let kiosk = self.kiosk_mut(ix);
        kiosk.admission = row.admission;
        kiosk.set_dates(ServiceSpan::of(row));
        self.assign(ix, row, is.first());
        self.rows.push(Change::Kiosk(row.clone()));
        let mut changed = changes::of_kiosk(known, row);
        // That it counted in time that has been is known since it is said: not to months that were fixed before.
        let reaches_back = is.first().is_some_and(|first| first < past::entered(now));
        let is_noted = noted.before(None).is_some();
        let is_news = if is_noted { noted.is_news(&is, now) } else { was != is };
        if is_news && (is_noted || !was.is_empty() || reaches_back) {
            changes::of_stretches(&mut changed, [&was, &is]);
            let since = [noted.learned_at(now)].into_iter().chain(noted.wrong(now));
            let known = [(CommissionedRow::ALWAYS, was)].into_iter().chain(since.map(|at| (at, is.clone())));
            self.rows.extend(known.map(|(known_from, stretches)| {
                Change::Commissioned(CommissionedRow { kiosk: row.id.clone(), known_from, stretches })
            }));
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
    pub(super) fn look_at_problems(&mut self, ix: Ix) {
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

    /// The end of its service was said ahead, and has come: what was seen in it ends with it, at that instant.
    pub(super) fn look_at_end(&mut self, ix: Ix) {
        let Some(end) = self.kiosk(ix).ends_at().filter(|end| *end <= self.now) else { return };
        for id in self.kiosk(ix).busy().incidents.clone() {
            if self.incident(id).is_some_and(|row| row.noticed_at < end) {
                self.close_incident(id, end, CloseReason::Retired);
            }
        }
    }

    /// Moves a kiosk between sites; who owned which second stays known (uptime definition 2.9). At its first site
    /// it stood since it was first put into service (`since`), whichever of the two was said first.
    fn assign(&mut self, ix: Ix, row: &KioskRow, since: Option<Timestamp>) {
        let (now, kiosk) = (self.now, self.kiosk(ix));
        let (before, from) = (kiosk.site().cloned(), kiosk.assigned_from.map(Moment::at));
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
            site.kiosks = site.kiosks.iter().copied().filter(|&known| known != ix).collect();
        }
        if let Some(id) = &row.site {
            self.rows.push(assignment(id, begins, None));
            if let Some(site) = self.site_mut(id) {
                site.kiosks = site.kiosks.iter().copied().chain([ix]).collect();
            }
        }
        let kiosk = self.kiosk_mut(ix);
        kiosk.moved |= from.is_some_and(|from| from < now);
        kiosk.site = row.site.clone().map(Arc::new);
        kiosk.assigned_from = row.site.as_ref().map(|_| begins.into());
        self.sites_to_judge.extend(before);
    }
}
