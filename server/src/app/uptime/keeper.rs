//! The bookkeeper: brings month figures up to date as evidence comes in, signs months at their freeze, and
//! proposes to restate signed ones.
//!
//! It looks at a few kiosks at a time, and rests nine times as long as it worked: a tenth of one core at most, whatever
//! the size of the fleet. Those of which something was committed come first: evidence, a verdict, a correction. Of the
//! others a round looks at those whose time has come: their hours begin or end, a month is to be signed, or their rows
//! have become old. In between their figures are a function of time (`uptime::outlook`).
//! After a start come the sums of a year for pages, and a look at what scrapes show ([`first_look`]), before any book.
//! What is decided is the domain's (`uptime::books`) and goes through the hub like everything else; after a
//! crash the same is decided again.
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{AuditRow, Change},
    fleet::{Actor, Ix, Request},
    ids::Ids,
    uptime::{Month, books::BOOKKEEPER},
};
use kioskwatch_proto::{KioskId, Timestamp};
use tokio::sync::watch;

mod first_look;
mod sites;

use self::first_look::FirstLook;
use super::{UptimeError, dirty::Since, look::Look, places::Places, reader::ms};
use crate::{
    app::{App, RequestError},
    clock::Stopwatch,
    store::StoreError,
};

/// Kiosks of one step: few enough that a commit of their months delays nobody.
const KIOSKS_A_STEP: usize = 100;
/// A round begins this long after the one before it at the earliest.
const ROUND_EVERY: Duration = Duration::from_secs(10);
/// Rows of the running month are written anew at this age at the latest …
const RENEWED_AFTER_S: u64 = 1_800;
/// … and as much sooner as this many a second suffice for all.
const RENEWED_A_SECOND: u64 = 10;
/// Answers about groups are summed anew so many times while their rows are.
const SUMS_RENEWED_OFTENER: u64 = 10;
/// Rest after a step, in lengths of the step: the share of a core is one in this and one more.
const REST: u32 = 9;
const REST_AT_MOST: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_millis(500);
/// Those that could not be booked are tried again this often: each try may be an error in the log.
const SKIPPED_AGAIN: Duration = Duration::from_secs(600);

/// Nobody has looked at it since our start: everything about it may have changed while we were away.
const STRANGER: i64 = i64::MIN;

/// Why a step came to nothing; it is taken again.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error("reading: {0}")]
    Store(#[from] StoreError),
    #[error("reading: {0}")]
    Uptime(#[from] UptimeError),
    #[error("booking: {0}")]
    Booking(#[from] RequestError),
    #[error("a defect of ours: counting this kiosk's months panicked")]
    Panicked,
}

impl StepError {
    /// Whether it would be the same again ([`StoreError::is_lasting`]).
    fn stays(&self) -> bool {
        match self {
            Self::Store(error) | Self::Uptime(UptimeError::Store(error)) => error.is_lasting(),
            Self::Booking(error) => !matches!(error, RequestError::Unavailable(_)),
            Self::Uptime(_) | Self::Panicked => true,
        }
    }
}

/// Runs until `stop` turns true.
pub async fn keep_books(app: App, mut stop: watch::Receiver<bool>) {
    let mut keeper = Keeper::new(app);
    let mut stage = Stage::Terms;
    loop {
        let watch = Stopwatch::start();
        // Who was not to decide would only be refused, again and again.
        let step = match keeper.app.books().decisions.clock_is_behind() {
            true => Ok(false),
            false => keeper.stage(&mut stage).await,
        };
        let lengths = if matches!(stage, Stage::FirstLook) { keeper.rest_at_first() } else { REST };
        // One that fails may have worked for long before it did.
        // To have waited for who looks was no work.
        let worked = watch.elapsed().saturating_sub(std::mem::take(&mut keeper.waited));
        let rest = (worked * lengths).min(REST_AT_MOST);
        let rest = match step {
            // Others come meanwhile: to look at one costs nearly as much as to look at ten.
            Ok(true) if keeper.left_nobody => rest.max(IDLE),
            Ok(true) => rest,
            Ok(false) => IDLE,
            Err(error) => {
                tracing::warn!(%error, "the books wait");
                rest.max(IDLE)
            }
        };
        if tokio::time::timeout(rest, stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}

/// What comes after a start, one after the other.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Terms,
    Year,
    FirstLook,
    Books,
}

pub(crate) struct Keeper {
    app: App,
    /// As long as it lasts.
    first: Option<FirstLook>,
    ids: Ids,
    round: VecDeque<Ix>,
    began: Option<Stopwatch>,
    /// When sums of the running month were last forgotten.
    summed: Option<Stopwatch>,
    /// All sites; read anew when one of them has changed.
    places: Option<Arc<Places>>,
    /// In which second each is looked at again, by place in the fleet.
    due_at: Vec<i64>,
    /// The second in which it was last asked whose time has come.
    asked_at: i64,
    /// The last step was for those whose past had changed.
    was_dirty: bool,
    /// It was for all of those.
    left_nobody: bool,
    /// Those whose months could not be booked when they were last looked at.
    skipped: BTreeMap<KioskId, Since>,
    /// When they were last tried again.
    tried: Option<Stopwatch>,
    /// For pages that were being read, in this step.
    waited: Duration,
}

impl Keeper {
    pub(crate) fn new(app: App) -> Self {
        let ids = Ids::seeded(u128::from_le_bytes(crate::random::bytes()));
        Self {
            app,
            first: None,
            ids,
            round: VecDeque::new(),
            began: None,
            summed: None,
            places: None,
            due_at: Vec::new(),
            asked_at: i64::MIN,
            was_dirty: false,
            left_nobody: false,
            skipped: BTreeMap::new(),
            tried: None,
            waited: Duration::ZERO,
        }
    }

    /// A step of the stage, which ends with the last of it; `false` when there was nothing to do.
    async fn stage(&mut self, stage: &mut Stage) -> Result<bool, StepError> {
        match stage {
            Stage::Terms => {
                self.tell_terms().await?;
                *stage = Stage::Year;
            }
            Stage::Year => {
                // Pages are only slower without it.
                if let Err(error) = self.app.sum_up_the_year().await {
                    tracing::warn!(%error, "the year is summed up by whoever asks first");
                }
                *stage = Stage::FirstLook;
            }
            Stage::FirstLook => {
                if !self.look_first().await? {
                    *stage = Stage::Books;
                }
            }
            Stage::Books => return self.step().await,
        }
        Ok(true)
    }

    /// A few kiosks; `false` when there was nothing to do.
    async fn step(&mut self) -> Result<bool, StepError> {
        self.spread_sites().await?;
        let round_waits = !self.round.is_empty() || self.begin_round();
        // By turns: neither those with late evidence nor the round waits for the whole of the other.
        if !(self.was_dirty && round_waits) {
            let dirty = self.take_dirty().await?;
            self.was_dirty = !dirty.is_empty();
            if self.was_dirty {
                self.left_nobody = !round_waits && dirty.len() < KIOSKS_A_STEP;
                return self.look_or_put_back(&dirty).await.map(|()| true);
            }
        }
        (self.was_dirty, self.left_nobody) = (false, false);
        if !round_waits {
            return Ok(false);
        }
        let (passed, some) = self.next_of_round();
        self.look_or_put_back(&some).await?;
        self.round.drain(..passed.min(self.round.len()));
        if self.round.is_empty() {
            self.round_ended();
        }
        Ok(true)
    }

    /// What is signed from now on is judged by these, whoever wrote them into the configuration.
    async fn tell_terms(&self) -> Result<(), StepError> {
        let terms = &self.app.config().uptime;
        let detail = serde_json::json!({
            "target": terms.target, "freeze_hours": terms.freeze_hours, "restate_days": terms.restate_days,
            "planned_notice_h": terms.planned_notice_h, "keep_evidence_months": terms.keep_evidence_months,
        });
        let row = AuditRow {
            at: self.app.clock().now(),
            actor: BOOKKEEPER.to_owned(),
            action: "uptime.terms".to_owned(),
            object: "uptime".to_owned(),
            detail: detail.to_string(),
        };
        let (changes, actor) = (vec![Change::Audit(row)], Actor { name: BOOKKEEPER.to_owned() });
        let deciding = self.app.books().decisions.begin().await?;
        deciding.ask(&self.app, actor, Request::Book { changes, also: None }).await?;
        Ok(())
    }

    /// Whether it is time for one, and anybody's time has come.
    fn begin_round(&mut self) -> bool {
        if self.began.as_ref().is_some_and(|began| began.elapsed() < ROUND_EVERY) {
            return false;
        }
        self.began = Some(Stopwatch::start());
        let now = self.app.clock().now().secs();
        if now < self.asked_at {
            // Our clock went back: what was said of later was said of another later.
            self.due_at.iter_mut().for_each(|at| *at = now.min(*at));
        }
        self.asked_at = now;
        self.meet_strangers();
        if self.tried.as_ref().is_none_or(|tried| tried.elapsed() >= SKIPPED_AGAIN) {
            self.tried = Some(Stopwatch::start());
            self.put_back(&self.skipped);
        }
        let skipped: HashSet<Ix> = {
            let fleet = self.app.fleet();
            self.skipped.keys().filter_map(|kiosk| fleet.place(kiosk)).collect()
        };
        let due = self.due_at.iter().zip(0..).filter(|(at, kiosk)| **at <= now && !skipped.contains(kiosk));
        self.round = due.map(|(_, kiosk)| kiosk).collect();
        if self.round.is_empty() {
            self.round_ended();
        }
        !self.round.is_empty()
    }

    /// A fleet only grows.
    fn meet_strangers(&mut self) {
        let kiosks = self.app.fleet().kiosks().len();
        self.due_at.resize(kiosks, STRANGER);
    }

    fn is_stranger(&self, kiosk: Ix) -> bool {
        self.due_at.get(kiosk as usize).is_none_or(|at| *at == STRANGER)
    }

    /// How many kiosks of the round are passed, and which of them are to be looked at: not those that were since it
    /// began, because something happened to them.
    fn next_of_round(&self) -> (usize, BTreeMap<KioskId, Since>) {
        let now = self.app.clock().now().secs();
        let fleet = self.app.fleet();
        let mut waiting = self.app.books().dirty();
        let (mut passed, mut some) = (0, BTreeMap::new());
        for &kiosk in &self.round {
            if some.len() == KIOSKS_A_STEP {
                break;
            }
            passed += 1;
            if self.due_at[kiosk as usize] <= now
                && let Some(known) = fleet.kiosk_at(kiosk)
            {
                let since = waiting.take_one(kiosk).unwrap_or(Timestamp(i64::MAX));
                some.insert(known.id.clone(), since);
            }
        }
        (passed, some)
    }

    async fn look_or_put_back(&mut self, kiosks: &BTreeMap<KioskId, Since>) -> Result<(), StepError> {
        let outcome = self.look_at(kiosks).await;
        if outcome.is_err() {
            self.put_back(kiosks);
        }
        outcome
    }

    /// They are to be looked at.
    fn put_back<'a>(&self, kiosks: impl IntoIterator<Item = (&'a KioskId, &'a Since)>) {
        let fleet = self.app.fleet();
        let mut waiting = self.app.books().dirty();
        kiosks.into_iter().for_each(|(id, since)| waiting.kiosk(fleet.place(id), *since));
    }

    /// Sums of the running month are of the instant that they name, until more becomes known of before it
    /// ([`Self::book`]). The round makes them newer now and then: it renews few of the rows that they are made of.
    fn round_ended(&mut self) {
        self.meet_strangers();
        let is_skipped =
            |kiosk| self.app.fleet().kiosk_at(kiosk).is_some_and(|kiosk| self.skipped.contains_key(kiosk.id));
        let mut strangers = (0..).zip(&self.due_at).filter(|(_, at)| **at == STRANGER);
        if strangers.all(|(kiosk, _)| is_skipped(kiosk)) {
            self.app.books().shown_whole();
        }
        let holds = Duration::from_secs(self.oldest_row_s() / SUMS_RENEWED_OFTENER);
        if self.summed.as_ref().is_none_or(|summed| summed.elapsed() >= holds) {
            self.summed = Some(Stopwatch::start());
            self.app.books().forget_running_sums();
        }
    }

    fn oldest_row_s(&self) -> u64 {
        (self.due_at.len() as u64 / RENEWED_A_SECOND).min(RENEWED_AFTER_S)
    }

    /// When a kiosk is looked at again at the latest: not all of those that were looked at together.
    fn renewed_after_s(&self) -> i64 {
        let half = self.oldest_row_s() / 2;
        i64::try_from(half + crate::random::below(half + 1)).unwrap_or(i64::MAX)
    }

    async fn take_dirty(&mut self) -> Result<BTreeMap<KioskId, Since>, StoreError> {
        let places = self.places().await?;
        let now = self.app.clock().now().secs();
        let mut starts: HashMap<Tz, Timestamp> = HashMap::new();
        let fleet = self.app.fleet();
        let month_start = |kiosk| {
            let zone = places.zone_at(fleet.kiosk_at(kiosk).and_then(|kiosk| kiosk.site));
            *starts.entry(zone).or_insert_with(|| ms(Month::at(zone, now).period(zone).from))
        };
        let taken = self.app.books().dirty().take(KIOSKS_A_STEP, month_start);
        let named = |(kiosk, since)| Some((fleet.kiosk_at(kiosk)?.id.clone(), since));
        Ok(taken.into_iter().filter_map(named).collect())
    }

    /// A kiosk whose months cannot be booked keeps no other waiting.
    async fn look_at(&mut self, kiosks: &BTreeMap<KioskId, Since>) -> Result<(), StepError> {
        if kiosks.is_empty() {
            return Ok(());
        }
        match self.book(kiosks).await {
            Err(error) if error.stays() && kiosks.len() > 1 => {
                for (kiosk, since) in kiosks {
                    let one = BTreeMap::from([(kiosk.clone(), *since)]);
                    let outcome = self.book(&one).await;
                    self.or_skip((kiosk, *since), outcome)?;
                }
                Ok(())
            }
            outcome => match kiosks.iter().next() {
                Some((kiosk, since)) => self.or_skip((kiosk, *since), outcome),
                None => outcome,
            },
        }
    }

    fn or_skip(
        &mut self,
        (kiosk, since): (&KioskId, Since),
        outcome: Result<(), StepError>,
    ) -> Result<(), StepError> {
        match outcome {
            Err(error) if error.stays() => {
                self.app.counters().commit_failed("poisoned");
                // Nobody knows whether it goes on as it did.
                let place = self.app.fleet().place(kiosk);
                place
                    .into_iter()
                    .for_each(|place| self.app.books().stop_growth(place, self.app.clock().now()));
                let before = self.skipped.get(kiosk).copied();
                // It is tried again and again: it is said once.
                if self
                    .skipped
                    .insert(kiosk.clone(), before.map_or(since, |before| before.min(since)))
                    .is_none()
                {
                    tracing::error!(%kiosk, %error, "its months cannot be applied to the books; it is skipped");
                    self.tell_skipped();
                }
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn book(&mut self, kiosks: &BTreeMap<KioskId, Since>) -> Result<(), StepError> {
        let app = self.app.clone();
        // Nobody decides about what is being looked at, and nothing is proposed over a decision.
        let deciding = app.books().decisions.begin().await?;
        let reader = app.uptime_reader();
        // While we waited somebody may have corrected the hours of a site.
        if app.books().dirty().waits_at_sites() {
            self.places = None;
        }
        let places = self.places().await?;
        // Before anything is read: what is committed by now is in it.
        let committed_to = app.books().committed_to();
        let known: BTreeMap<&KioskId, Ix> = {
            let fleet = app.fleet();
            kiosks.keys().filter_map(|kiosk| Some((kiosk, fleet.place(kiosk)?))).collect()
        };
        let is_seen = |kiosk: &KioskId| known.get(kiosk).is_some_and(|place| !self.is_stranger(*place));
        let look = Look::gather(&reader, places, kiosks, is_seen).await?.committed_to(committed_to);
        let is_late = look.subjects.iter().any(|subject| {
            let since = kiosks.get(&subject.view.kiosk.id);
            since.is_some_and(|since| look.changes_what_was_booked(subject, *since))
        });
        let (mut changes, mut shown, mut due_at) = (Vec::new(), Vec::new(), HashMap::new());
        for subject in &look.subjects {
            // What one kiosk has must not end the books of all.
            let ids = &mut self.ids;
            let kept = catch_unwind(AssertUnwindSafe(|| look.keep(subject, ids)));
            let kept = kept.map_err(|_| StepError::Panicked)?;
            changes.extend(kept.changes);
            let Some(&place) = known.get(&subject.view.kiosk.id) else { continue };
            shown.push((place, kept.shown));
            due_at.insert(place, kept.due_at);
        }
        if !changes.is_empty() {
            let actor = Actor { name: BOOKKEEPER.to_owned() };
            let waiting = Stopwatch::start();
            let booking = app.books().after_looks().await;
            self.waited += waiting.elapsed();
            if !booking.is_alone() {
                tracing::debug!("a page is read for long: the books are written beside it");
            }
            deciding.ask(&app, actor, Request::Book { changes, also: None }).await?;
        }
        if is_late {
            app.books().forget_running_sums();
        }
        app.books().show(shown);
        self.meet_strangers();
        for place in known.into_values() {
            let at = reader.now.secs() + self.renewed_after_s();
            self.due_at[place as usize] = due_at.get(&place).map_or(at, |due_at| at.min(*due_at));
        }
        let skipped = self.skipped.len();
        self.skipped.retain(|kiosk, _| !kiosks.contains_key(kiosk));
        if self.skipped.len() < skipped {
            self.tell_skipped();
        }
        Ok(())
    }

    /// Whoever asks about a group of theirs is told.
    fn tell_skipped(&self) {
        self.app.books().skip(self.skipped.keys().cloned().collect());
    }
}

#[cfg(test)]
mod tests;
