//! The bookkeeper: brings month figures up to date as evidence comes in, signs months at their freeze, and
//! proposes to restate signed ones.
//!
//! It goes round the fleet, a few kiosks at a time, and rests nine times as long as it worked: a tenth of one
//! core at most, whatever the size of the fleet. Kiosks about whose past something was committed come first.
//! What is decided is the domain's (`uptime::books`) and goes through the hub like everything else; after a
//! crash the same is decided again.
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use kioskwatch_domain::{
    change::{Change, MonthRow, RestatementRow},
    fleet::{Actor, Request},
    ids::Ids,
    interval::{Interval, IntervalSet},
    uptime::{
        Evidence, Figures, Month, Timeline,
        booking::{Booking, Owner},
        books::{self, BOOKKEEPER, Fresh, Stored, Terms},
    },
    wall,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use tokio::sync::watch;

use super::{
    UptimeError,
    board::{Parts, Shown},
    frame::{Frame, Places, Sets},
    reader::{Subject, UptimeReader, day_of, ms},
};
use crate::{
    app::{App, RequestError},
    clock::Stopwatch,
    store::{Scope, StoreError},
};

/// Kiosks of one step: few enough that a commit of their months delays nobody.
const KIOSKS_A_STEP: usize = 100;
/// A round begins this long after the one before it at the earliest.
const ROUND_EVERY: Duration = Duration::from_secs(10);
/// Rest after a step, in lengths of the step: the share of a core is one in this and one more.
const REST: u32 = 9;
const REST_AT_MOST: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_millis(500);
/// Months further back are not signed any more: their evidence may be gone.
const SIGN_BACK_MONTHS: usize = 14;

/// Why a step came to nothing; it is taken again.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error("reading: {0}")]
    Store(#[from] StoreError),
    #[error("reading: {0}")]
    Uptime(#[from] UptimeError),
    #[error("booking: {0}")]
    Booking(#[from] RequestError),
}

/// Since when a kiosk's past has changed.
pub(super) type Since = Timestamp;

/// Everything that could change its months is noted here between commit and booking.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    kiosks: BTreeMap<KioskId, Since>,
    sites: BTreeMap<SiteId, Since>,
}

/// A prompt span grows in time; its earlier parts were noted when they were committed. A day is far longer
/// than any commit waits.
const GROWS_WITHIN_MS: i64 = 86_400_000;

impl Dirty {
    pub(crate) fn note(&mut self, changes: &[Change]) {
        const ALWAYS: Since = Timestamp(i64::MIN);
        for change in changes {
            match change {
                Change::Evidence(row) => {
                    let grew = row.received_at.map_or(row.to.plus_ms(-GROWS_WITHIN_MS), |_| row.from);
                    self.kiosk(&row.kiosk, row.from.max(grew));
                }
                Change::Kiosk(row) => self.kiosk(&row.id, ALWAYS),
                Change::Assignment(row) => self.kiosk(&row.kiosk, row.from),
                Change::Site(row) => self.site(&row.id, ALWAYS),
                Change::Exclusion(row) => {
                    row.kiosk.iter().for_each(|id| self.kiosk(id, row.from));
                    row.site.iter().for_each(|id| self.site(id, row.from));
                }
                _ => {}
            }
        }
    }

    fn kiosk(&mut self, id: &KioskId, since: Since) {
        match self.kiosks.get_mut(id) {
            Some(known) => *known = since.min(*known),
            None => drop(self.kiosks.insert(id.clone(), since)),
        }
    }

    fn site(&mut self, id: &SiteId, since: Since) {
        let known = self.sites.entry(id.clone()).or_insert(since);
        *known = since.min(*known);
    }
}

/// Runs until `stop` turns true.
pub async fn keep_books(app: App, mut stop: watch::Receiver<bool>) {
    let mut keeper = Keeper::new(app);
    loop {
        let watch = Stopwatch::start();
        let worked = keeper.step().await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the books wait");
            false
        });
        let rest = if worked { (watch.elapsed() * REST).min(REST_AT_MOST) } else { IDLE };
        if tokio::time::timeout(rest, stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}

pub(crate) struct Keeper {
    app: App,
    ids: Ids,
    round: VecDeque<KioskId>,
    began: Option<Stopwatch>,
    places: Option<Places>,
    /// Looked at since our start: before that, everything about a kiosk may have changed while we were away.
    seen: BTreeSet<KioskId>,
    /// The local date on which old evidence was last forgotten, and whether this round does it.
    pruned_on: Option<chrono::NaiveDate>,
    pruning: bool,
    /// The last signed month, of those not seen yet.
    signed: Option<BTreeMap<KioskId, Month>>,
}

impl Keeper {
    pub(crate) fn new(app: App) -> Self {
        let ids = Ids::seeded(u128::from_le_bytes(crate::random::bytes()));
        let (round, seen) = (VecDeque::new(), BTreeSet::new());
        Self {
            app,
            ids,
            round,
            began: None,
            places: None,
            seen,
            pruned_on: None,
            pruning: false,
            signed: None,
        }
    }

    /// A few kiosks; `false` when there was nothing to do.
    async fn step(&mut self) -> Result<bool, StepError> {
        if self.signed.is_none() {
            self.signed = Some(self.app.store().frozen_months().await?.into_iter().collect());
        }
        let dirty = self.take_dirty();
        if !dirty.is_empty() {
            let outcome = self.look_at(&dirty).await;
            if outcome.is_err() {
                let mut waiting = self.app.books().dirty();
                dirty.iter().for_each(|(id, since)| waiting.kiosk(id, *since));
            }
            return outcome.map(|()| true);
        }
        if self.round.is_empty() && !self.begin_round() {
            return Ok(false);
        }
        let some: BTreeMap<KioskId, Since> =
            self.round.iter().take(KIOSKS_A_STEP).map(|id| (id.clone(), Timestamp(i64::MAX))).collect();
        self.look_at(&some).await?;
        if self.pruning {
            self.prune(some.keys().cloned().collect()).await?;
        }
        self.round.drain(..some.len().min(self.round.len()));
        if self.round.is_empty() {
            self.app.books().round_ended();
        }
        Ok(true)
    }

    /// Whether it is time for one.
    fn begin_round(&mut self) -> bool {
        if self.began.as_ref().is_some_and(|began| began.elapsed() < ROUND_EVERY) {
            return false;
        }
        self.began = Some(Stopwatch::start());
        self.places = None;
        let today = wall::date_of(self.app.default_zone(), self.app.clock().now().secs());
        self.pruning = self.pruned_on.replace(today) != Some(today);
        self.round = self.app.fleet().kiosks().map(|kiosk| kiosk.id.clone()).collect();
        !self.round.is_empty()
    }

    /// Once a day, after a look that has signed what was due: evidence beyond its time goes, signed figures
    /// stay.
    async fn prune(&self, kiosks: Vec<KioskId>) -> Result<(), StoreError> {
        let zone = self.app.default_zone();
        let running = Month::at(zone, self.app.clock().now().secs());
        let keep = self.app.config().uptime.keep_evidence_months;
        let oldest = (0..keep).fold(running, |month, _| month.previous());
        let store = self.app.store();
        store.prune_evidence(&kiosks, ms(oldest.period(zone).from)).await?;
        store.prune_months(&kiosks, running.previous().previous()).await
    }

    /// Those whose closed months may have changed; the running one is looked at in every round anyway.
    fn take_dirty(&mut self) -> BTreeMap<KioskId, Since> {
        let mut waiting = self.app.books().dirty();
        let sites = std::mem::take(&mut waiting.sites);
        if !sites.is_empty() {
            self.places = None;
            for kiosk in self.app.fleet().kiosks() {
                if let Some(since) = kiosk.site.and_then(|site| sites.get(site)) {
                    waiting.kiosk(kiosk.id, *since);
                }
            }
        }
        let month = Month::at(self.app.default_zone(), self.app.clock().now().secs());
        // A day to each side: zones.
        let running_since = ms(month.period(self.app.default_zone()).from + 86_400);
        waiting.kiosks.retain(|_, since| *since < running_since);
        let some: Vec<KioskId> = waiting.kiosks.keys().take(KIOSKS_A_STEP).cloned().collect();
        some.into_iter().filter_map(|id| waiting.kiosks.remove_entry(&id)).collect()
    }

    async fn look_at(&mut self, kiosks: &BTreeMap<KioskId, Since>) -> Result<(), StepError> {
        let app = self.app.clone();
        let live = |kiosk: &KioskId| app.live_evidence(kiosk);
        let reader = app.uptime_reader(&live);
        if self.places.is_none() {
            self.places = Some(reader.places().await?);
        }
        let Some(places) = self.places.as_ref() else { return Ok(()) };
        let look = Look::gather(&reader, places, kiosks, &self.seen, self.signed.as_ref()).await?;
        let mut changes = Vec::new();
        let mut shown = Vec::new();
        for subject in &look.subjects {
            let (booked, board) = look.keep(subject, &mut self.ids);
            changes.extend(booked);
            shown.push((subject.view.kiosk.id.clone(), board));
        }
        let months: BTreeSet<(Month, bool)> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Month(row) => Some((row.month, row.period_to <= reader.now)),
                _ => None,
            })
            .collect();
        if !changes.is_empty() {
            let actor = Actor { name: BOOKKEEPER.to_owned() };
            app.request(actor, Request::Book { changes, also: None }).await?;
        }
        for (month, is_over) in months {
            // Of a running month every step changes something: its sums are renewed with the round.
            app.books().month_changed(month, is_over);
        }
        app.books().show(shown);
        self.seen.extend(kiosks.keys().cloned());
        if let Some(signed) = &mut self.signed {
            signed.retain(|id, _| !kiosks.contains_key(id));
        }
        Ok(())
    }
}

/// Everything a step reads.
pub(super) struct Look<'a> {
    frame: Frame<'a>,
    places: &'a Places,
    terms: Terms,
    target: (i64, i64),
    now: Timestamp,
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
        places: &'a Places,
        kiosks: &BTreeMap<KioskId, Since>,
        seen: &BTreeSet<KioskId>,
        signed: Option<&BTreeMap<KioskId, Month>>,
    ) -> Result<Self, StepError> {
        let now = reader.now;
        let ids: Vec<KioskId> = kiosks.keys().cloned().collect();
        let (mut subjects, mut since) = (Vec::new(), BTreeMap::new());
        for view in reader.store.kiosks_of(&ids).await? {
            let Some(commissioned) = view.kiosk.commissioned_at else { continue };
            let zone = places.zone(&view.kiosk);
            let running = Month::at(zone, now.secs());
            let id = &view.kiosk.id;
            // A month can be restated up to five weeks after its end: the last two.
            let restatable = running.previous().previous();
            let first = if seen.contains(id) {
                let changed = kiosks.get(id).map_or(running, |since| Month::at(zone, since.secs()));
                changed.clamp(restatable, running.previous())
            } else {
                let signed = signed.and_then(|all| all.get(id)).map(|month| month.next());
                let oldest = (0..SIGN_BACK_MONTHS).fold(running, |month, _| month.previous());
                signed.unwrap_or(oldest).clamp(oldest, restatable)
            };
            let first = first.max(Month::at(zone, commissioned.secs()).min(running));
            since.insert(id.clone(), first);
            let period = Interval::new(first.period(zone).from, running.period(zone).to);
            subjects.push(Subject { view, zone, period });
        }
        let span = super::reader::span_of(&subjects).unwrap_or(Interval::new(now.secs(), now.secs() + 1));
        let mut frame = reader.frame_without_assignments(places, span, None).await?;
        frame.assign(reader.store.assignments_of(&ids, ms(span.from), ms(span.to)).await?);
        let oldest = since.values().min().copied().unwrap_or(Month::at(chrono_tz::UTC, now.secs()));
        let mut look = Self {
            frame,
            places,
            terms: reader.terms(),
            target: reader.target(),
            now,
            evidence: reader.evidence_of(&Scope::All, &subjects, span).await?,
            subjects,
            since,
            rows: BTreeMap::new(),
            restatements: BTreeMap::new(),
        };
        for row in reader.store.months_of_kiosks(&ids, oldest).await? {
            look.rows.entry((row.kiosk.clone(), row.month)).or_default().push(row);
        }
        for row in reader.store.restatements_of(&ids, oldest).await? {
            look.restatements.entry((row.kiosk.clone(), row.month)).or_default().push(row);
        }
        Ok(look)
    }

    /// What follows for one kiosk's months, and what a scrape shows of it.
    pub(super) fn keep(&self, subject: &Subject, ids: &mut Ids) -> (Vec<Change>, Shown) {
        let kiosk = &subject.view.kiosk;
        let running = Month::at(subject.zone, self.now.secs());
        let mut changes = Vec::new();
        let mut shown = Shown::default();
        let mut month = self.since.get(&kiosk.id).copied().unwrap_or(running);
        while month <= running {
            let period = month.period(subject.zone);
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

    fn fresh(&self, subject: &Subject, month: Month, stored: &Stored<'_>) -> Fresh {
        let period = month.period(subject.zone);
        let known = self.sets(subject, period, None);
        let current = self.book(subject, month, &known, None).book(0, self.now);
        let signed =
            books::must_sign(self.now, &self.terms, period.to, stored, self.listened_since(period.to)).then(
                || {
                    let freeze = self.terms.freeze_at(period.to);
                    let then = self.sets(subject, period, Some(freeze));
                    self.book(subject, month, &then, Some(freeze)).book(1, self.now)
                },
            );
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
            contracts: &self.places.contracts,
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
