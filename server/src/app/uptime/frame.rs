//! What the figures of many kiosks have in common, indexed once: places, assignments, forgiven time, our own
//! outages. From it come the sets of one kiosk and period.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kioskwatch_domain::{
    calendar::WorkCalendar,
    change::{AssignmentRow, CalendarTermsRow, EvidenceGapRow, ExclusionRow, KioskRow, ServiceSpan},
    interval::{BEGINNING, Interval, IntervalSet},
    uptime::{
        Commissioned, Evidence, Exclusion, Inputs, Known, Source,
        booking::{self, Owner, models_told},
        rows::{span, unheard, unstored},
    },
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use uuid::Uuid;

use super::{
    UptimeScope,
    places::{Place, Places, belongs},
};
use crate::{config::Config, store::Scope};

/// What is the same for every kiosk of one question.
#[derive(Clone)]
pub(super) struct Frame<'a> {
    pub(super) as_of: i64,
    pub(super) places: Arc<Places>,
    calendars: Calendars<'a>,
    pub(super) outages: IntervalSet,
    /// Where what was heard of a kiosk could not be stored.
    unstored: BTreeMap<KioskId, IntervalSet>,
    /// Of each kiosk: evidence of before this second may be gone.
    kept_from: BTreeMap<KioskId, i64>,
    exclusions_of_kiosk: BTreeMap<KioskId, Vec<ExclusionRow>>,
    exclusions_of_site: BTreeMap<SiteId, Vec<ExclusionRow>>,
    assignments: BTreeMap<KioskId, Vec<AssignmentRow>>,
    counted: Counted,
    /// Heartbeats by their beginning.
    heard: BTreeMap<KioskId, Vec<Evidence>>,
}

/// Days off and make-up days, and the seconds before its begin at which planned work is approved at the latest.
#[derive(Clone)]
pub(super) struct Calendars<'a> {
    /// As configured.
    current: (&'a WorkCalendar, i64),
    known: Known<(WorkCalendar, i64)>,
}

impl<'a> Calendars<'a> {
    pub(super) fn of(calendar: &'a WorkCalendar, config: &Config, noted: Vec<CalendarTermsRow>) -> Self {
        let notice_h = i64::try_from(config.uptime.planned_notice_h).unwrap_or(0);
        let mut known = Known::default();
        for row in noted {
            known.learn(row.known_from, (row.days, row.planned_notice_h.saturating_mul(3_600)));
        }
        Self { current: (calendar, notice_h.saturating_mul(3_600)), known }
    }

    /// As they were known before a second; `None`: as they are.
    fn known(&self, before: Option<i64>) -> (&WorkCalendar, i64) {
        let noted = before.and_then(|_| self.known.before(before));
        noted.map_or(self.current, |(calendar, notice_s)| (calendar, *notice_s))
    }
}

/// When kiosks count: those of which more was noted than the dates in their row.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted(pub(super) BTreeMap<KioskId, Known<Commissioned>>);

impl Counted {
    /// As it was known before a second; `None`: as it is known.
    pub(super) fn of(&self, kiosk: &KioskRow, known_before: Option<i64>) -> Commissioned {
        let nothing = Known::default();
        self.0.get(&kiosk.id).unwrap_or(&nothing).or_of(ServiceSpan::of(kiosk), known_before)
    }
}

/// The sets a kiosk's figures of one period are computed from.
pub(super) struct Sets {
    pub(super) period: Interval,
    known_before: Option<i64>,
    pub(super) owners: Vec<(Owner, IntervalSet)>,
    /// The time of which two people said to whom its site belonged.
    pub(super) corrected: IntervalSet,
    /// The time of which two people said which model it was.
    pub(super) remodeled: IntervalSet,
    service: IntervalSet,
    commissioned: IntervalSet,
    exclusions: IntervalSet,
    pub(super) server_down: IntervalSet,
}

impl<'a> Frame<'a> {
    pub(super) fn new(
        places: Arc<Places>,
        calendars: Calendars<'a>,
        as_of: i64,
        outages: IntervalSet,
    ) -> Self {
        Self {
            as_of,
            places,
            calendars,
            outages,
            unstored: BTreeMap::new(),
            kept_from: BTreeMap::new(),
            exclusions_of_kiosk: BTreeMap::new(),
            exclusions_of_site: BTreeMap::new(),
            assignments: BTreeMap::new(),
            counted: Counted::default(),
            heard: BTreeMap::new(),
        }
    }

    pub(super) fn forgive(&mut self, rows: Vec<ExclusionRow>) {
        for row in rows {
            if let Some(kiosk) = &row.kiosk {
                self.exclusions_of_kiosk.entry(kiosk.clone()).or_default().push(row);
            } else if let Some(site) = &row.site {
                self.exclusions_of_site.entry(site.clone()).or_default().push(row);
            }
        }
    }

    /// As if it had been taken back.
    pub(super) fn withdraw(&mut self, exclusion: Uuid) {
        let of_kiosks = self.exclusions_of_kiosk.values_mut();
        of_kiosks.chain(self.exclusions_of_site.values_mut()).for_each(|rows| {
            rows.retain(|row| row.id != exclusion);
        });
    }

    /// What could not be stored of a kiosk is none of its silence.
    pub(super) fn miss(&mut self, gaps: &[EvidenceGapRow]) {
        for of_kiosk in gaps.chunk_by(|one, next| one.kiosk == next.kiosk) {
            self.unstored.insert(of_kiosk[0].kiosk.clone(), unstored(of_kiosk));
        }
    }

    /// What nobody remembers is no downtime: a kiosk's time before a second counts as if no server had listened.
    pub(super) fn forget(&mut self, before: BTreeMap<KioskId, i64>) {
        self.kept_from = before;
    }

    /// Evidence of this kiosk of before this second may be gone.
    pub(super) fn kept_from(&self, kiosk: &KioskId) -> i64 {
        self.kept_from.get(kiosk).copied().unwrap_or(BEGINNING)
    }

    pub(super) fn assign(&mut self, rows: Vec<AssignmentRow>) {
        for row in rows {
            self.assignments.entry(row.kiosk.clone()).or_default().push(row);
        }
    }

    pub(super) fn count(&mut self, counted: Counted) {
        self.counted = counted;
    }

    /// When a kiosk counts; see [`Counted::of`].
    pub(super) fn commissioned(&self, kiosk: &KioskRow, known_before: Option<i64>) -> Commissioned {
        self.counted.of(kiosk, known_before)
    }

    /// The same, with other dates of service of one kiosk.
    pub(super) fn recommission(&mut self, kiosk: &KioskRow, dates: ServiceSpan, now: Timestamp) {
        if let Ok(told) = self.commissioned(kiosk, None).told(now, dates) {
            self.counted.0.entry(kiosk.id.clone()).or_default().learn(now, told);
        }
    }

    /// What was heard of each kiosk says how long its next heartbeat may take.
    pub(super) fn hear(&mut self, evidence: &BTreeMap<KioskId, Vec<Evidence>>) {
        for (kiosk, claims) in evidence {
            let mut live: Vec<Evidence> =
                claims.iter().filter(|claim| claim.src == Source::Live).copied().collect();
            live.sort_by_key(|claim| claim.from);
            self.heard.insert(kiosk.clone(), live);
        }
    }

    /// When and where a kiosk stood, as far as it was read.
    pub(super) fn assignments(&self, kiosk: &KioskId) -> &[AssignmentRow] {
        self.assignments.get(kiosk).map_or(&[], Vec::as_slice)
    }

    /// `known_before`: only what had been approved, received and known of places, dates and the calendar before this
    /// second counts; `None`: all there is.
    /// `interval_s`: of heartbeats that were stored without it.
    pub(super) fn sets(
        &self,
        kiosk: &KioskRow,
        interval_s: i64,
        period: Interval,
        known_before: Option<i64>,
    ) -> Sets {
        let owners = self.places.owners(kiosk, self.assignments(&kiosk.id), known_before);
        let mut there: BTreeMap<Option<&SiteId>, IntervalSet> = BTreeMap::new();
        for (owner, set) in &owners {
            let at = there.entry(owner.site.as_ref()).or_default();
            *at = at.union(set);
        }
        let (calendar, _) = self.calendars.known(known_before);
        let (mut service, mut corrected) = (IntervalSet::empty(), IntervalSet::empty());
        let mut exclusions = self.granted(self.exclusions_of_kiosk.get(&kiosk.id), known_before);
        for (site, set) in &there {
            let open = Place::open(self.places.known(*site, known_before), calendar, period);
            service = service.union(&open.intersect(set));
            if let Some(site) = site {
                let told = self.places.contracts().corrected(site, known_before);
                corrected = corrected.union(&told.intersect(set));
            }
            let forgiven = site.and_then(|id| self.exclusions_of_site.get(id));
            exclusions = exclusions.union(&self.granted(forgiven, known_before).intersect(set));
        }
        let live = self.heard.get(&kiosk.id).map_or(&[][..], Vec::as_slice);
        let gone = Interval::new(period.from, self.kept_from(&kiosk.id).max(period.from));
        let unstored = self.unstored.get(&kiosk.id).cloned().unwrap_or_default();
        let missed = unstored.union(&IntervalSet::of(gone));
        let outages = if missed.is_empty() { &self.outages } else { &self.outages.union(&missed) };
        Sets {
            period,
            known_before,
            service,
            commissioned: self.commissioned(kiosk, known_before).counted(),
            exclusions,
            server_down: unheard(outages, live, period, interval_s),
            owners,
            corrected,
            remodeled: models_told(booking::known_before(self.assignments(&kiosk.id), known_before)),
        }
    }

    /// Windows that are forgiven, of this kiosk and of the reader's sites where it stood within the period, as far as
    /// they reach into `seen`.
    pub(super) fn exclusions_about(
        &self,
        kiosk: &KioskId,
        sets: &Sets,
        seen: &IntervalSet,
        reader: &Scope,
    ) -> Vec<ExclusionRow> {
        let own = self.exclusions_of_kiosk.get(kiosk).into_iter().flatten();
        let sites: BTreeSet<&SiteId> = sets.sites().filter(|id| reader.shows(Some(*id))).collect();
        let theirs = sites.into_iter().filter_map(|id| self.exclusions_of_site.get(id)).flatten();
        let reaches = |row: &&ExclusionRow| !seen.clip(span(row.from, Some(row.to))).is_empty();
        let all = own.chain(theirs).filter(reaches);
        all.filter(|row| self.forgives(row, sets.known_before)).cloned().collect()
    }

    fn granted(&self, rows: Option<&Vec<ExclusionRow>>, known_before: Option<i64>) -> IntervalSet {
        let granted = rows.into_iter().flatten().filter(|row| self.forgives(row, known_before));
        granted.map(|row| span(row.from, Some(row.to))).collect()
    }

    /// Whether it stood by what was known before a second, and was approved in time.
    fn forgives(&self, row: &ExclusionRow, known_before: Option<i64>) -> bool {
        let (_, notice_s) = self.calendars.known(known_before);
        Exclusion::of_row(row).is_some_and(|one| one.stood(known_before) && one.is_granted(notice_s))
    }
}

impl Sets {
    pub(super) fn inputs<'b>(&'b self, frame: &Frame<'_>, evidence: &'b [Evidence]) -> Inputs<'b> {
        Inputs {
            period: self.period,
            as_of: Some(frame.as_of),
            service: &self.service,
            commissioned: &self.commissioned,
            exclusions: &self.exclusions,
            server_down: &self.server_down,
            evidence,
            received_before: self.known_before,
        }
    }

    /// When the kiosk belonged to the group asked for, as far as this reader may know.
    pub(super) fn membership(&self, scope: &UptimeScope, reader: &Scope) -> IntervalSet {
        self.belonging(|owner| belongs(owner, scope) && reader.shows(owner.site.as_ref()))
    }

    /// When the kiosk belonged to such an owner.
    pub(super) fn belonging(&self, is_such: impl Fn(&Owner) -> bool) -> IntervalSet {
        let mine = self.owners.iter().filter(|(owner, _)| is_such(owner));
        mine.fold(IntervalSet::empty(), |all, (_, set)| all.union(&set.clip(self.period)))
    }

    /// Where it stood last within the period, of the times this reader may know of.
    pub(super) fn last_site(&self, reader: &Scope) -> Option<&SiteId> {
        let shown = self.owners.iter().filter(|(owner, _)| reader.shows(owner.site.as_ref()));
        let there =
            shown.filter_map(|(owner, set)| Some((set.clip(self.period).intervals().last()?.to, owner)));
        there.max_by_key(|(until, _)| *until).and_then(|(_, owner)| owner.site.as_ref())
    }

    /// Where it stood within the period.
    pub(super) fn sites(&self) -> impl Iterator<Item = &SiteId> {
        let there = self.owners.iter().filter(|(_, set)| !set.clip(self.period).is_empty());
        there.filter_map(|(owner, _)| owner.site.as_ref())
    }
}
