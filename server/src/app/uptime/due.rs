//! Which months of a kiosk the bookkeeper looks at.
//!
//! The last two in any case: they run, or may still be signed or restated. Further back those that the books say
//! nobody signed, however long ago: nothing but rows remembers that a signature had to wait. And of a kiosk about
//! whose past anything may have become known, those that were never booked, as far as there is evidence.
use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use kioskwatch_domain::{
    retention,
    uptime::{Commissioned, Month},
};
use kioskwatch_proto::{KioskId, Timestamp};

use super::{dirty::Since, frame::Counted, gather::Subject, places::Places, reader::UptimeReader};
use crate::{
    config::Config,
    store::{KioskNow, StoreError},
};

/// The first month of which evidence is kept while `running` runs.
pub(super) fn first_kept(config: &Config, running: Month) -> Month {
    retention::first_kept(config.uptime.keep_evidence_months, running)
}

/// The second before which evidence of each of these kiosks may be gone, on the clock of its zone; where the first month
/// that is kept is the one they are asked about, its beginning: of a kiosk that moved it begins on another clock. What a
/// month that nobody signed is made of stays: as of that month, nothing of its kiosk is gone. `zone`: by which old rows go.
pub(super) async fn kept_from(
    reader: &UptimeReader<'_>,
    zone: Tz,
    subjects: &[Subject],
    asked: Option<Month>,
) -> Result<BTreeMap<KioskId, i64>, StoreError> {
    let first = first_kept(reader.config, Month::at(zone, reader.now.secs()));
    let ids: Vec<KioskId> = subjects.iter().map(|subject| subject.view.kiosk.id.clone()).collect();
    let unsigned = by_kiosk(reader.store.open_months(&ids, first).await?);
    let of = |subject: &Subject| {
        let id = &subject.view.kiosk.id;
        let first = unsigned.get(id).and_then(BTreeSet::first).unwrap_or(&first);
        let from = match asked == Some(*first) {
            true => subject.period.from,
            false => first.period(subject.zone).from,
        };
        (id.clone(), from)
    };
    Ok(subjects.iter().map(of).collect())
}

/// The first month that can still be restated while `running` runs: up to two months after its end.
const fn restatable(running: Month) -> Month {
    running.previous().previous()
}

/// What the books say of the kiosks of a step.
pub(super) struct Due {
    now: Timestamp,
    first_kept: Month,
    /// The first month of any of these kiosks.
    pub(super) oldest: Month,
    /// The first of the last months, of each kiosk.
    recent: BTreeMap<KioskId, Month>,
    open: BTreeMap<KioskId, BTreeSet<Month>>,
    /// Only of those that are looked at anew.
    booked: BTreeMap<KioskId, BTreeSet<Month>>,
}

impl Due {
    /// `kiosks`: since when something has changed; `seen`: those that were looked at since our start.
    pub(super) async fn gather(
        reader: &UptimeReader<'_>,
        views: &[KioskNow],
        (places, counted): (&Places, &Counted),
        kiosks: &BTreeMap<KioskId, Since>,
        seen: impl Fn(&KioskId) -> bool,
    ) -> Result<Self, StoreError> {
        let now = reader.now;
        let (mut recent, mut anew) = (BTreeMap::new(), Vec::new());
        // Where it is furthest on: nothing is counted from evidence that went elsewhere already.
        let mut running = Month::at(places.zone_at(None), now.secs());
        for view in views {
            let (zone, id) = (places.zone_of(view), &view.kiosk.id);
            let here = Month::at(zone, now.secs());
            let restatable = restatable(here);
            let changed = kiosks.get(id).map_or(here, |since| Month::at(zone, since.secs()));
            let changed = if seen(id) { changed } else { restatable.previous() };
            if changed < restatable {
                anew.push(id.clone());
            }
            recent.insert(id.clone(), changed.clamp(restatable, here.previous()));
            running = running.max(here);
        }
        let ids: Vec<KioskId> = recent.keys().cloned().collect();
        let mut due = Self {
            now,
            first_kept: first_kept(reader.config, running),
            oldest: running,
            recent,
            open: by_kiosk(reader.store.open_months(&ids, running).await?),
            booked: anew.iter().map(|id| (id.clone(), BTreeSet::new())).collect(),
        };
        if !anew.is_empty() {
            due.booked.extend(by_kiosk(reader.store.booked_months(&anew, due.first_kept).await?));
        }
        let firsts = views.iter().filter_map(|view| {
            let counted = counted.of(&view.kiosk, None);
            due.before_recent(&counted, &view.kiosk.id, places.zone_of(view)).first().copied()
        });
        due.oldest = firsts.chain(due.recent.values().copied()).min().unwrap_or(running);
        Ok(due)
    }

    /// The months that a scrape shows: the running one and the last.
    pub(super) fn for_scrape(now: Timestamp, views: &[KioskNow], places: &Places) -> Self {
        let last = |view: &KioskNow| Month::at(places.zone_of(view), now.secs()).previous();
        let recent: BTreeMap<KioskId, Month> =
            views.iter().map(|view| (view.kiosk.id.clone(), last(view))).collect();
        let oldest = recent.values().copied().min();
        let oldest = oldest.unwrap_or_else(|| Month::at(places.zone_at(None), now.secs()));
        let (open, booked) = (BTreeMap::new(), BTreeMap::new());
        Self { now, first_kept: oldest, oldest, recent, open, booked }
    }

    /// In order, without an end that has not come. `booked`: the first booked one from [`Self::oldest`] on.
    pub(super) fn months(
        &self,
        counted: &Commissioned,
        id: &KioskId,
        zone: Tz,
        booked: Option<Month>,
    ) -> BTreeSet<Month> {
        let running = Month::at(zone, self.now.secs());
        let mut months = self.before_recent(counted, id, zone);
        let commissioned = counted.first().map(|at| Month::at(zone, at.secs()).min(running));
        let recent = self.recent.get(id).copied();
        if let (Some(begins), Some(recent)) = (booked.into_iter().chain(commissioned).min(), recent) {
            months.extend(from_to(recent.max(begins), running));
        }
        months
    }

    fn before_recent(&self, counted: &Commissioned, id: &KioskId, zone: Tz) -> BTreeSet<Month> {
        let Some(recent) = self.recent.get(id).copied() else { return BTreeSet::new() };
        let open = self.open.get(id).into_iter().flatten().copied().filter(|month| *month < recent);
        let mut months: BTreeSet<Month> = open.collect();
        let month = |at: Timestamp| Month::at(zone, at.secs());
        if let (Some(booked), Some(begins)) = (self.booked.get(id), counted.first().map(month)) {
            let ends = counted.newest().and_then(|newest| newest.decommissioned_at);
            let until = ends.map_or(recent, |at| month(at).next().min(recent));
            let served = from_to(begins.max(self.first_kept), until.previous());
            months.extend(served.filter(|month| !booked.contains(month)));
        }
        months
    }
}

fn from_to(from: Month, to: Month) -> impl Iterator<Item = Month> {
    std::iter::successors(Some(from), |month| Some(month.next())).take_while(move |month| *month <= to)
}

fn by_kiosk(months: Vec<(KioskId, Month)>) -> BTreeMap<KioskId, BTreeSet<Month>> {
    let mut all: BTreeMap<KioskId, BTreeSet<Month>> = BTreeMap::new();
    for (kiosk, month) in months {
        all.entry(kiosk).or_default().insert(month);
    }
    all
}
