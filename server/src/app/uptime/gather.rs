//! From a question to everything that the figures of a few kiosks are computed from: who is meant, where each
//! stood, on whose wall clock the period lies. Nothing is read of anybody else.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{AssignmentRow, GroupKind, MonthSums, SiteRow},
    interval::Interval,
    uptime::{Evidence, Month, booking::measure, rows::server_down},
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use super::{
    UptimeError, UptimePeriod, UptimeScope,
    frame::{Frame, Places, Sets},
    reader::{UptimeReader, ms, span_of},
};
use crate::store::{KioskView, PageRequest, Scope, StoreError};

/// Kiosks whose evidence is read in one go.
pub(super) const KIOSKS_AT_ONCE: usize = 500;

/// A kiosk and the time asked for in its own zone.
pub(super) struct Subject {
    pub(super) view: KioskView,
    pub(super) zone: Tz,
    pub(super) period: Interval,
    /// The version of the month asked for that stands; 0: not signed, or no month.
    pub(super) version: u32,
    /// The second at which the month asked for is fixed; nothing else is.
    pub(super) freeze: Option<i64>,
}

impl Subject {
    pub(super) fn interval_s(&self) -> i64 {
        self.view.state.as_ref().map_or(0, |state| i64::from(state.interval_s))
    }

    /// From everything that counts for the official figures of the period.
    pub(super) fn sets(&self, frame: &Frame<'_>) -> Sets {
        frame.sets(&self.view.kiosk, self.interval_s(), self.period, None)
    }

    /// The sets behind a version, and the second before which evidence had to be received for it.
    pub(super) fn sets_of_version(&self, frame: &Frame<'_>, version: u32) -> (Sets, Option<i64>) {
        let (approved_before, received_before) = match version {
            0 => (None, self.freeze),
            1 => (self.freeze, self.freeze),
            _ => (None, None),
        };
        let sets = frame.sets(&self.view.kiosk, self.interval_s(), self.period, approved_before);
        (sets, received_before)
    }
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

    /// What this kiosk owes the part of a group that this reader sees, and where it stood meanwhile; nothing when
    /// it was no member.
    pub(super) fn share(
        &self,
        subject: &Subject,
        scope: &UptimeScope,
        reader: &Scope,
    ) -> Option<(MonthSums, Sets)> {
        let sets = subject.sets(&self.frame);
        let member = sets.membership(&self.frame.places, scope, reader);
        if member.is_empty() {
            return None;
        }
        let sums = measure(&sets.inputs(&self.frame, self.claims(subject), subject.freeze), &member);
        Some((sums, sets))
    }
}

impl UptimeReader<'_> {
    /// Those who may have belonged to a group within a time, as far as this reader sees it; who did is in their
    /// assignments.
    pub(super) async fn members(
        &self,
        reader: &Scope,
        scope: &UptimeScope,
        within: Interval,
    ) -> Result<Vec<KioskId>, StoreError> {
        let (from, to) = (ms(within.from), ms(within.to));
        let of = async |kind, names: Vec<&str>| self.store.kiosks_of_groups(kind, names, from, to).await;
        let (kind, name) = scope.words();
        let mut members = match scope {
            UptimeScope::Kiosk(id) => return Ok(vec![id.clone()]),
            UptimeScope::Site(_) => of(GroupKind::Site, vec![name]).await?,
            UptimeScope::Region(_) | UptimeScope::Customer(_) => {
                let sites = self.store.sites_of_contract(kind, name).await?;
                of(GroupKind::Site, names(&sites)).await?
            }
            UptimeScope::Engineer(_) => of(GroupKind::Engineer, vec![name]).await?,
            UptimeScope::Model(name) => self.store.kiosks_of_model(Some(name)).await?,
            UptimeScope::Fleet => self.store.kiosks_of_model(None).await?,
        };
        if let Scope::Sites(sites) = reader {
            let seen: BTreeSet<KioskId> = of(GroupKind::Site, names(sites)).await?.into_iter().collect();
            members.retain(|kiosk| seen.contains(kiosk));
        }
        Ok(members)
    }

    /// At most [`KIOSKS_AT_ONCE`]; those that do not exist are left out.
    pub(super) async fn gather(
        &self,
        kiosks: &[KioskId],
        period: UptimePeriod,
        as_of: Option<Timestamp>,
    ) -> Result<Gathered<'_>, UptimeError> {
        let around = period.around()?;
        let views = self.store.kiosks_of(kiosks).await?;
        let rows = self.store.assignments_of(kiosks, ms(around.from), ms(around.to)).await?;
        let places = self.places_of(&views, &rows).await?;
        let mut stood: BTreeMap<&KioskId, Vec<AssignmentRow>> = BTreeMap::new();
        for row in &rows {
            stood.entry(&row.kiosk).or_default().push(row.clone());
        }
        let mut signed = BTreeMap::new();
        if let UptimePeriod::Month { year, month } = period
            && let Some(month) = Month::new(year, month)
        {
            let found = self.store.signed_periods(kiosks, month).await?;
            signed = found.into_iter().map(|row| (row.kiosk, (row.version, row.period))).collect();
        }
        // A period that runs is on the clock of where the kiosk is now.
        let until = (period.in_zone(Tz::UTC)?.to - 1).min(self.now.secs());
        let mut subjects = Vec::with_capacity(views.len());
        for view in views {
            let rows = stood.get(&view.kiosk.id).map_or(&[][..], Vec::as_slice);
            let zone = places.zone(&view.kiosk, rows, until);
            // What was signed stays where it was, whatever has become known of zones and moves since.
            let (version, span) = match signed.get(&view.kiosk.id) {
                Some(&signed) => signed,
                None => (0, period.in_zone(zone)?),
            };
            let freeze = period.is_month().then(|| self.terms().freeze_at(span.to));
            subjects.push(Subject { view, zone, period: span, version, freeze });
        }
        let span = span_of(&subjects).unwrap_or(around);
        let mut frame = self.frame(Arc::new(places), kiosks, span, as_of).await?;
        frame.assign(rows);
        let evidence = self.evidence_of(kiosks, span).await?;
        frame.hear(&evidence);
        Ok(Gathered { subjects, frame, evidence })
    }

    /// The sites where these kiosks are and were.
    async fn places_of(&self, views: &[KioskView], rows: &[AssignmentRow]) -> Result<Places, StoreError> {
        let assigned = rows.iter().filter(|row| row.group == GroupKind::Site);
        let mut ids: BTreeSet<SiteId> = assigned.filter_map(|row| row.group_id.parse().ok()).collect();
        ids.extend(views.iter().filter_map(|view| view.kiosk.site.clone()));
        Ok(Places::of(&self.store.sites_of(&names(&ids)).await?, self.config))
    }

    /// All sites.
    pub(super) async fn places(&self) -> Result<Places, StoreError> {
        let mut sites: Vec<SiteRow> = Vec::new();
        let mut page = PageRequest::first();
        loop {
            // Of all sites: hours and zones are no secret of a figure that may be seen.
            let found = self.store.sites(&Scope::All, &page).await?;
            sites.extend(found.items);
            match found.next_cursor {
                Some(cursor) => page = page.after(cursor),
                None => return Ok(Places::of(&sites, self.config)),
            }
        }
    }

    /// Without assignments.
    pub(super) async fn frame(
        &self,
        places: Arc<Places>,
        kiosks: &[KioskId],
        span: Interval,
        as_of: Option<Timestamp>,
    ) -> Result<Frame<'_>, StoreError> {
        let (from, to) = (ms(span.from), ms(span.to));
        // First what is not written: what is written meanwhile is then seen twice instead of not at all.
        let mut alive = self.live.hearing();
        alive.extend(self.store.server_liveness(from, to).await?);
        let as_of = as_of.map_or(self.now, |t| t.min(self.now)).secs();
        let outages = server_down(&alive, span);
        let mut about = names(places.sites());
        about.extend(kiosks.iter().map(KioskId::as_str));
        let forgiven = self.store.exclusions_about(&about, from, to).await?;
        let mut frame = Frame::new(places, self.calendar, self.config, as_of, outages);
        frame.forgive(forgiven);
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

fn names<'a>(sites: impl IntoIterator<Item = &'a SiteId>) -> Vec<&'a str> {
    sites.into_iter().map(SiteId::as_str).collect()
}
