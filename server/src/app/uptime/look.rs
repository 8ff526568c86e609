//! What a step of the bookkeeper reads, and what follows from it for each kiosk's months.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{Change, MonthRow, RestatementRow},
    ids::Ids,
    interval::{Interval, IntervalSet},
    uptime::{
        Evidence, Figures, Month, Timeline,
        booking::{Booking, Owner},
        books::{self, Fresh, Intake, Stored, Terms},
    },
    wall,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use super::{
    UptimeError,
    board::{Parts, Shown},
    dirty::Since,
    frame::{Frame, Places, Sets},
    gather::Subject,
    reader::{UptimeReader, day_of, ms},
};
use crate::store::KioskView;

/// Months further back are not signed any more: their evidence may be gone.
const SIGN_BACK_MONTHS: usize = 14;

/// Everything a step reads.
pub(super) struct Look<'a> {
    frame: Frame<'a>,
    terms: Terms,
    target: (i64, i64),
    now: Timestamp,
    /// See [`Intake`].
    committed_to: Timestamp,
    pub(super) subjects: Vec<Subject>,
    /// The first month to look at.
    since: BTreeMap<KioskId, Month>,
    evidence: BTreeMap<KioskId, Vec<Evidence>>,
    rows: BTreeMap<(KioskId, Month), Vec<MonthRow>>,
    restatements: BTreeMap<(KioskId, Month), Vec<RestatementRow>>,
}

impl<'a> Look<'a> {
    pub(super) async fn gather(
        reader: &'a UptimeReader<'_>,
        places: Arc<Places>,
        kiosks: &BTreeMap<KioskId, Since>,
        seen: &BTreeSet<KioskId>,
        signed: Option<&BTreeMap<KioskId, Month>>,
    ) -> Result<Self, UptimeError> {
        let now = reader.now;
        let ids: Vec<KioskId> = kiosks.keys().cloned().collect();
        let views = reader.store.kiosks_of(&ids).await?;
        let first_of = |view: &KioskView| {
            let zone = places.zone_at(view.kiosk.site.as_ref());
            let running = Month::at(zone, now.secs());
            let id = &view.kiosk.id;
            // A month can be restated up to five weeks after its end: the last two.
            let restatable = running.previous().previous();
            if seen.contains(id) {
                let since = kiosks.get(id).map(|since| Month::at(zone, since.secs()));
                since.unwrap_or(running).clamp(restatable, running.previous())
            } else {
                let signed = signed.and_then(|all| all.get(id)).map(|month| month.next());
                let oldest = (0..SIGN_BACK_MONTHS).fold(running, |month, _| month.previous());
                signed.unwrap_or(oldest).clamp(oldest, restatable)
            }
        };
        let oldest = views.iter().map(first_of).min().unwrap_or(Month::at(chrono_tz::UTC, now.secs()));
        let mut rows: BTreeMap<(KioskId, Month), Vec<MonthRow>> = BTreeMap::new();
        for row in reader.store.months_of_kiosks(&ids, oldest).await? {
            rows.entry((row.kiosk.clone(), row.month)).or_default().push(row);
        }
        let (mut subjects, mut since) = (Vec::new(), BTreeMap::new());
        for view in views {
            let (zone, id) = (places.zone_at(view.kiosk.site.as_ref()), &view.kiosk.id);
            let running = Month::at(zone, now.secs());
            // What was booked once stays a month of it, whatever its dates say by now.
            let booked = rows.range((id.clone(), first_of(&view))..).next().filter(|(key, _)| key.0 == *id);
            let booked = booked.filter(|(key, _)| key.1 <= running);
            let commissioned = view.kiosk.commissioned_at.map(|at| Month::at(zone, at.secs()).min(running));
            let Some(begins) = booked.map(|(key, _)| key.1).into_iter().chain(commissioned).min() else {
                continue;
            };
            let first = first_of(&view).max(begins);
            since.insert(id.clone(), first);
            let (from, to) = (first.period(Tz::UTC).from, running.period(Tz::UTC).to);
            // Some of these months may be on the clock of another site.
            let period = Interval::new(from - wall::MAX_OFFSET_S, to + wall::MAX_OFFSET_S);
            subjects.push(Subject { view, zone, period, version: 0, freeze: None });
        }
        let span = super::reader::span_of(&subjects).unwrap_or(Interval::new(now.secs(), now.secs() + 1));
        let mut frame = reader.frame(places, &ids, span, None).await?;
        frame.assign(reader.store.assignments_of(&ids, ms(span.from), ms(span.to)).await?);
        let mut look = Self {
            frame,
            terms: reader.terms(),
            target: reader.target(),
            now,
            committed_to: Timestamp(i64::MIN),
            evidence: reader.evidence_of(&ids, span).await?,
            subjects,
            since,
            rows,
            restatements: BTreeMap::new(),
        };
        for row in reader.store.restatements_of(&ids, oldest).await? {
            look.restatements.entry((row.kiosk.clone(), row.month)).or_default().push(row);
        }
        Ok(look)
    }

    /// Everything received before this had been committed when it looked; without it nothing is signed.
    pub(super) fn committed_to(self, committed_to: Timestamp) -> Self {
        Self { committed_to, ..self }
    }

    /// What follows for one kiosk's months, and what a scrape shows of it.
    pub(super) fn keep(&self, subject: &Subject, ids: &mut Ids) -> (Vec<Change>, Shown) {
        let kiosk = &subject.view.kiosk;
        let running = Month::at(subject.zone, self.now.secs());
        let mut changes = self.expired(subject);
        let mut shown = Shown::default();
        let mut month = self.since.get(&kiosk.id).copied().unwrap_or(running);
        while month <= running {
            let period = self.period(subject, month);
            let key = (kiosk.id.clone(), month);
            let stored = Stored {
                rows: self.rows.get(&key).map_or(&[], Vec::as_slice),
                restatements: self.restatements.get(&key).map_or(&[], Vec::as_slice),
            };
            let signed = stored.signed_version();
            let mut figures: Vec<MonthRow> = stored.version(signed).into_iter().cloned().collect();
            if signed == 0 || !self.terms.is_closed(period.to, self.now) {
                let fresh = self.fresh(subject, month, &stored);
                changes.extend(books::keep(self.now, &self.terms, period.to, &stored, &fresh, ids));
                if signed == 0 {
                    figures = fresh.signed.unwrap_or(fresh.current).rows;
                }
            }
            let parts = || figures.iter().map(|row| (row.site.as_ref(), &row.sums.figures));
            if month == running {
                shown.month = Some((period, Parts::of(parts())));
            } else if month.next() == running {
                shown.last_month = Some((running.period(subject.zone), Parts::of(parts())));
            }
            month = month.next();
        }
        let day = day_of(subject.zone, self.now);
        let shares = self.shares(subject, day);
        shown.today = Some((day, Parts::of(shares.iter().map(|(site, figures)| (site.as_ref(), figures)))));
        (changes, shown)
    }

    /// Of a signed month what was signed, otherwise the month on the clock of where the kiosk stood at its end: one
    /// that was moved to another zone since does not take its past along.
    fn period(&self, subject: &Subject, month: Month) -> Interval {
        let kiosk = &subject.view.kiosk;
        let rows = self.rows.get(&(kiosk.id.clone(), month)).into_iter().flatten();
        if let Some(signed) = rows.filter(|row| row.version > 0).max_by_key(|row| row.version) {
            return Interval::new(signed.period_from.secs(), signed.period_to.secs());
        }
        month.period(self.frame.zone_of(kiosk, month, self.now.secs()))
    }

    /// Proposals are for ended months that are not looked at any more when their days are over.
    fn expired(&self, subject: &Subject) -> Vec<Change> {
        let all = self.restatements.iter().filter(|((kiosk, _), _)| *kiosk == subject.view.kiosk.id);
        all.filter_map(|((_, month), restatements)| {
            let stored = Stored { rows: &[], restatements };
            books::expire(self.now, &self.terms, self.period(subject, *month).to, &stored)
        })
        .collect()
    }

    fn fresh(&self, subject: &Subject, month: Month, stored: &Stored<'_>) -> Fresh {
        let period = self.period(subject, month);
        let known = self.sets(subject, period, None);
        let current = self.book(subject, month, &known, None).book(0, self.now);
        let intake = Intake { listened_s: self.listened_since(period.to), committed_to: self.committed_to };
        let signed = books::must_sign(self.now, &self.terms, period.to, stored, intake).then(|| {
            let freeze = self.terms.freeze_at(period.to);
            let then = self.sets(subject, period, Some(freeze));
            self.book(subject, month, &then, Some(freeze)).book(1, self.now)
        });
        Fresh { current, signed }
    }

    /// For how many seconds some server has been receiving since then.
    fn listened_since(&self, at: i64) -> i64 {
        let since = Interval::new(at, self.now.secs().max(at));
        since.length() - self.frame.outages.clip(since).length()
    }

    fn sets(&self, subject: &Subject, period: Interval, approved_before: Option<i64>) -> Sets {
        self.frame.sets(&subject.view.kiosk, subject.interval_s(), period, approved_before)
    }

    fn book<'b>(
        &'b self,
        subject: &'b Subject,
        month: Month,
        sets: &'b Sets,
        received_before: Option<i64>,
    ) -> Booking<'b> {
        let kiosk = &subject.view.kiosk;
        Booking {
            month,
            kiosk,
            owners: &sets.owners,
            contracts: &self.frame.places.contracts,
            target: self.target,
            inputs: sets.inputs(&self.frame, self.claims(&kiosk.id), received_before),
        }
    }

    fn claims(&self, kiosk: &KioskId) -> &[Evidence] {
        self.evidence.get(kiosk).map_or(&[], Vec::as_slice)
    }

    fn shares(&self, subject: &Subject, period: Interval) -> Vec<(Option<SiteId>, Figures)> {
        let sets = self.sets(subject, period, None);
        let timeline = Timeline::build(&sets.inputs(&self.frame, self.claims(&subject.view.kiosk.id), None));
        let there =
            |(owner, set): &(Owner, IntervalSet)| (owner.site.clone(), timeline.within(set).figures());
        sets.owners.iter().map(there).filter(|(_, figures)| figures.accountable_s > 0).collect()
    }
}
