//! From a few kiosks to everything that their figures are computed from: where each stood, on whose wall clock the period
//! lies. Nothing is read of anybody else.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{AssignmentRow, CalendarTermsRow, EvidenceGapRow, GroupKind, LivenessRow, MonthRow, MonthSums},
    interval::Interval,
    uptime::{Evidence, booking::measure, books::Terms, rows::server_down},
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp, limits::HEARTBEAT_INTERVAL_S};

use super::{
    UptimeError, UptimePeriod, UptimeScope,
    due::kept_from,
    frame::{Calendars, Counted, Frame, Sets},
    places::{Alike, Places},
    reader::{UptimeReader, ms, span_of},
};
use crate::store::{KioskNow, PageRequest, Scope, StoreError};

/// Kiosks whose evidence is read in one go.
pub(super) const KIOSKS_AT_ONCE: usize = 500;

/// A kiosk and the time asked for in its own zone.
pub(super) struct Subject {
    pub(super) view: KioskNow,
    pub(super) zone: Tz,
    pub(super) period: Interval,
    /// The version of the month asked for that stands; none: not signed, or no month.
    pub(super) signed: Vec<MonthRow>,
    /// See [`known_before`].
    pub(super) known_before: Option<i64>,
}

/// The one basis of figures: only what had been received, approved and known before this second counts; `None`:
/// all that is known. Signed figures are made of what was known when they were fixed or restated, any others of what was
/// known at the instant that was asked for.
fn known_before(signed: &[MonthRow], as_of: Option<Timestamp>, terms: &Terms) -> Option<i64> {
    match signed.first() {
        None => as_of.map(Timestamp::secs),
        // Signed by a server that did not write it down.
        Some(row) if row.version == 1 => {
            Some(row.frozen_at.map_or_else(|| terms.freeze_at(row.period_to.secs()), Timestamp::secs))
        }
        Some(row) => Some(row.booked_at.secs()),
    }
}

impl Subject {
    pub(super) fn interval_s(&self) -> i64 {
        self.view.interval_s.map_or(0, i64::from)
    }

    /// What its figures are made of: those that were signed, or those that nobody signed yet.
    pub(super) fn sets(&self, frame: &Frame<'_>) -> Sets {
        frame.sets(&self.view.kiosk, self.interval_s(), self.period, self.known_before)
    }

    /// What was signed of it to be owed by the part of a group that this reader sees.
    fn signed_share(&self, scope: &UptimeScope, reader: &Scope) -> Option<MonthSums> {
        let mine = |row: &&MonthRow| row.has_time() && is_of(row, scope) && reader.shows(row.site.as_ref());
        let rows: Vec<&MonthRow> = self.signed.iter().filter(mine).collect();
        (!rows.is_empty()).then(|| rows.into_iter().map(|row| &row.sums).sum())
    }
}

/// Whether a row of a kiosk that was asked for belongs to the group, as it was booked.
fn is_of(row: &MonthRow, scope: &UptimeScope) -> bool {
    match scope {
        UptimeScope::Kiosk(_) | UptimeScope::Fleet => true,
        UptimeScope::Site(id) => row.site.as_ref() == Some(id),
        UptimeScope::Region(name) => row.region == *name,
        UptimeScope::Customer(name) => row.customer == *name,
        UptimeScope::Engineer(name) => row.engineer.as_ref() == Some(name),
        UptimeScope::Model(name) => row.model == *name,
    }
}

/// When servers could hear, what of these kiosks could not be stored, and by which calendars we went.
pub(super) struct Heard {
    alive: Vec<LivenessRow>,
    gaps: Vec<EvidenceGapRow>,
    calendars: Vec<CalendarTermsRow>,
}

/// A few kiosks with all that their figures are computed from.
pub(super) struct Gathered<'a> {
    pub(super) subjects: Vec<Subject>,
    pub(super) frame: Frame<'a>,
    evidence: BTreeMap<KioskId, Vec<Evidence>>,
}

impl Gathered<'_> {
    pub(super) fn claims(&self, subject: &Subject) -> &[Evidence] {
        self.evidence.get(&subject.view.kiosk.id).map_or(&[], Vec::as_slice)
    }

    /// What this kiosk owes the part of a group that this reader sees, and where it stood meanwhile unless that is
    /// signed; nothing when it was no member.
    pub(super) fn share(
        &self,
        subject: &Subject,
        scope: &UptimeScope,
        reader: &Scope,
    ) -> Option<(MonthSums, Option<Sets>)> {
        if !subject.signed.is_empty() {
            return Some((subject.signed_share(scope, reader)?, None));
        }
        let sets = subject.sets(&self.frame);
        let member = sets.membership(scope, reader);
        if member.is_empty() {
            return None;
        }
        let sums = measure(&sets.inputs(&self.frame, self.claims(subject)), &member);
        Some((sums, Some(sets)))
    }
}

impl UptimeReader<'_> {
    /// At most [`KIOSKS_AT_ONCE`]; those that do not exist are left out.
    pub(super) async fn gather(
        &self,
        kiosks: &[KioskId],
        period: UptimePeriod,
        as_of: Option<Timestamp>,
    ) -> Result<Gathered<'_>, UptimeError> {
        let around = period.around()?;
        let as_of = as_of.map(|at| at.min(self.now));
        // A database is asked for what it takes to answer one question, and then for the next: what needs no other
        // answer is asked at once.
        let (views, rows, counted, mut signed, heard) = tokio::try_join!(
            self.store.kiosks_of(kiosks),
            self.store.assignments_of(kiosks, ms(around.from), ms(around.to)),
            self.store.commissioned_of(kiosks),
            self.signed(kiosks, period, as_of),
            self.heard(kiosks, around),
        )?;
        let places = Arc::new(self.places_at(&stood_at(&views, &rows)).await?);
        let mut stood: BTreeMap<&KioskId, Vec<AssignmentRow>> = BTreeMap::new();
        for row in &rows {
            stood.entry(&row.kiosk).or_default().push(row.clone());
        }
        // A period that runs is on the clock of where the kiosk is now.
        let until = (period.in_zone(Tz::UTC)?.to - 1).min(self.now.secs());
        let mut subjects = Vec::with_capacity(views.len());
        for view in views {
            let rows = stood.get(&view.kiosk.id).map_or(&[][..], Vec::as_slice);
            // What was signed stays where it was, whatever has become known of zones and moves since.
            let signed = signed.remove(&view.kiosk.id).unwrap_or_default();
            let known_before = known_before(&signed, as_of, &self.terms());
            let (zone, span) = match (signed.first(), period.month()) {
                (None, Some(month)) => {
                    let asked_at = (self.now.secs(), known_before);
                    places.unsigned((&view.kiosk, rows), month, asked_at, &self.terms())
                }
                (row, _) => {
                    let zone = places.zone(&view.kiosk, rows, until, known_before);
                    let signed = row.map(|row| Interval::new(row.period_from.secs(), row.period_to.secs()));
                    (zone, signed.map_or_else(|| period.in_zone(zone), Ok)?)
                }
            };
            subjects.push(Subject { view, zone, period: span, signed, known_before });
        }
        let span = span_of(&subjects).unwrap_or(around);
        let mut about = names(places.sites());
        about.extend(kiosks.iter().map(KioskId::as_str));
        let (mut frame, kept, evidence) = tokio::try_join!(
            self.frame(Arc::clone(&places), &about, (span, as_of), heard),
            kept_from(self, places.zone_at(None), &subjects, period.month()),
            self.evidence_of(kiosks, span),
        )?;
        frame.assign(rows);
        frame.count(Counted(counted));
        frame.forget(kept);
        frame.hear(&evidence);
        Ok(Gathered { subjects, frame, evidence })
    }

    /// Of each of these kiosks the version of the month that stood at an instant, or stands.
    async fn signed(
        &self,
        kiosks: &[KioskId],
        period: UptimePeriod,
        as_of: Option<Timestamp>,
    ) -> Result<BTreeMap<KioskId, Vec<MonthRow>>, StoreError> {
        let mut signed: BTreeMap<KioskId, Vec<MonthRow>> = BTreeMap::new();
        let Some(month) = period.month() else { return Ok(signed) };
        for row in self.store.signed_months(kiosks, month).await? {
            if as_of.is_some_and(|at| row.booked_at > at) {
                continue;
            }
            let rows = signed.entry(row.kiosk.clone()).or_default();
            rows.retain(|other| other.version == row.version);
            rows.push(row);
        }
        Ok(signed)
    }

    /// These sites.
    pub(super) async fn places_at(&self, sites: &BTreeSet<SiteId>) -> Result<Places, StoreError> {
        let ids = names(sites);
        let (sites, corrected) =
            tokio::try_join!(self.store.sites_of(&ids), self.store.contract_corrections(Some(&ids)))?;
        let mut places = Places::none(self.config);
        // Read after them: of one that changed meanwhile they say what it was.
        places.learn(&sites, &self.store.site_terms(Some(&ids)).await?, &mut Alike::default());
        places.correct(&corrected);
        Ok(places)
    }

    /// All sites, some at a time: their rows together are most of a large fleet's memory.
    pub(super) async fn places(&self) -> Result<Places, StoreError> {
        let (mut places, mut alike) = (Places::none(self.config), Alike::default());
        let mut page = PageRequest::first_of_many();
        loop {
            // Of all sites: hours and zones are no secret of a figure that may be seen.
            let found = self.store.sites(&Scope::All, &page).await?;
            let ids: Vec<&str> = found.items.iter().map(|site| site.id.as_str()).collect();
            places.learn(&found.items, &self.store.site_terms(Some(&ids)).await?, &mut alike);
            match found.next_cursor {
                Some(cursor) => page = page.after(cursor),
                None => break,
            }
        }
        places.correct(&self.store.contract_corrections(None).await?);
        Ok(places)
    }

    /// Read before evidence is: what we claim to have heard by then is in it, or in a gap.
    pub(super) async fn heard(&self, kiosks: &[KioskId], within: Interval) -> Result<Heard, StoreError> {
        let (from, to) = (ms(heard_of(within).from), ms(within.to));
        // First what is not written: what is written meanwhile is then seen twice instead of not at all.
        let mut alive = self.live.hearing();
        let hearing = async {
            alive.extend(self.store.server_liveness(from, to).await?);
            // A claim that grew without somebody came with a gap.
            let gaps = self.store.evidence_gaps(kiosks, from, to).await?;
            Ok((alive, gaps))
        };
        let ((alive, gaps), calendars) = tokio::try_join!(hearing, self.store.calendar_terms())?;
        Ok(Heard { alive, gaps, calendars })
    }

    /// Without assignments. `about`: names of kiosks and sites; `heard`: of this span at least.
    pub(super) async fn frame(
        &self,
        places: Arc<Places>,
        about: &[&str],
        (span, as_of): (Interval, Option<Timestamp>),
        heard: Heard,
    ) -> Result<Frame<'_>, StoreError> {
        let forgiven = self.store.exclusions_about(about, ms(span.from), ms(span.to)).await?;
        let calendars = Calendars::of(self.calendar, self.config, heard.calendars);
        let outages = server_down(&heard.alive, heard_of(span));
        let mut frame = Frame::new(places, calendars, as_of.unwrap_or(self.now).secs(), outages);
        frame.forgive(forgiven);
        frame.miss(&heard.gaps);
        Ok(frame)
    }

    /// Stored evidence, and what heartbeats have said since it was last written.
    pub(super) async fn evidence_of(
        &self,
        kiosks: &[KioskId],
        span: Interval,
    ) -> Result<BTreeMap<KioskId, Vec<Evidence>>, StoreError> {
        // First what is not written, as with our own hearing.
        let mut by_kiosk: BTreeMap<KioskId, Vec<Evidence>> =
            kiosks.iter().map(|id| (id.clone(), self.live.evidence(id))).collect();
        for row in self.store.evidence(&Scope::All, kiosks, ms(span.from), ms(span.to)).await? {
            let claim = Evidence::from(&row);
            by_kiosk.entry(row.kiosk).or_default().push(claim);
        }
        Ok(by_kiosk)
    }
}

/// An outage of ours that ended just before reaches in by an interval of heartbeats.
fn heard_of(span: Interval) -> Interval {
    let longest_s = i64::from(*HEARTBEAT_INTERVAL_S.end());
    Interval::new(span.from.saturating_sub(longest_s), span.to)
}

/// The sites where these kiosks are and were.
pub(super) fn stood_at<'a>(
    views: impl IntoIterator<Item = &'a KioskNow>,
    rows: &[AssignmentRow],
) -> BTreeSet<SiteId> {
    let assigned = rows.iter().filter(|row| row.group == GroupKind::Site);
    let mut sites: BTreeSet<SiteId> = assigned.filter_map(|row| row.group_id.parse().ok()).collect();
    sites.extend(views.into_iter().filter_map(|view| view.kiosk.site.clone()));
    sites
}

pub(super) fn names<'a>(sites: impl IntoIterator<Item = &'a SiteId>) -> Vec<&'a str> {
    sites.into_iter().map(SiteId::as_str).collect()
}
