//! What is known of the books between the database and those who ask: what must be looked at again, what a
//! scrape shows, and sums that still hold.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use kioskwatch_domain::{change::Change, fleet::Ix, uptime::Month};
use kioskwatch_proto::{KioskId, Timestamp};
use tokio::{
    sync::watch,
    time::{error::Elapsed, timeout},
};

use super::{
    UptimeAnswer, UptimeScope,
    board::{Board, Shown},
    booked::Booked,
    deciding::Decisions,
    dirty::Dirty,
    looks::{Booking, Looks},
    remembered::Remembered,
    turns::Turns,
};
use crate::{
    metrics::{Seconds, UptimeFigures},
    store::{MonthRatios, Scope},
};

/// What an answer weighs in memory, in rows of 200 bytes: its sums, and the ten that were down longest.
const ROWS_OF_ANSWER: usize = 10;

/// The ratios of a month in the same measure.
const ROWS_OF_RATIOS: usize = 1;

/// Figures go on by themselves for so long after the last of which everything is committed: some rounds in which the
/// hub says so. Longer than that, nobody can tell whether there is anything to go on.
const HEARD_WITHIN_MS: i64 = 120_000;

/// Who asked for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// The reader's scope.
    reader: String,
    /// The first and the last.
    months: (Month, Month),
    kind: &'static str,
    id: String,
    /// How the group is divided, and by which ratio its worst parts come first.
    by: Option<(&'static str, &'static str)>,
}

impl Question {
    pub(super) fn of(reader: &Scope, scope: &UptimeScope, months: (Month, Month)) -> Self {
        let (kind, id) = scope.words();
        Self { reader: format!("{reader:?}"), months, kind, id: id.to_owned(), by: None }
    }

    pub(super) fn by(self, by: Option<(&'static str, &'static str)>) -> Self {
        Self { by, ..self }
    }

    pub(super) fn is_about(&self, month: Month) -> bool {
        self.months.0 <= month && month <= self.months.1
    }

    /// Its size, in rows of 200 bytes: a reader of a thousand sites is some 25 kB, a name what anybody wrote.
    pub(super) fn rows(&self) -> usize {
        1 + (self.reader.len() + self.id.len()) / 200
    }
}

pub(crate) struct Books {
    dirty: Mutex<Dirty>,
    board: RwLock<Board>,
    /// Every kiosk of the fleet was looked at since our start.
    is_whole: AtomicBool,
    answers: Mutex<Answers>,
    /// Milliseconds since 1970.
    committed_to: AtomicI64,
    /// See [`Self::decided`].
    decided_to: watch::Sender<Timestamp>,
    /// Whose months cannot be booked.
    skipped: Mutex<BTreeSet<KioskId>>,
    pub(crate) decisions: Decisions,
    pub(super) turns: Turns,
    /// Keeps looks of several statements and commits of the bookkeeper apart, as a rule. That a look is of one moment
    /// is known by `bookings` and `under_way` of the answers alone.
    looks: Looks,
}

#[derive(Default)]
struct Answers {
    /// Rises when what is remembered of a month is forgotten.
    generations: BTreeMap<Month, u64>,
    /// Rises with every booking of a month's rows.
    bookings: BTreeMap<Month, u64>,
    /// Months whose rows are being committed: a look that ends now may have read some of them before and some
    /// after.
    under_way: BTreeSet<Month>,
    /// Months that run and changed in this round.
    running: Vec<Month>,
    known: Remembered<UptimeAnswer>,
    ratios: Remembered<MonthRatios>,
    divided: Remembered<Arc<Booked>>,
}

impl Answers {
    fn forget(&mut self, month: Month) {
        *self.generations.entry(month).or_default() += 1;
        self.known.forget(month);
        self.ratios.forget(month);
        self.divided.forget(month);
    }

    /// Rises when what is remembered of any of these months is forgotten.
    fn generation(&self, (from, to): (Month, Month)) -> u64 {
        self.generations.range(from..).take_while(|(month, _)| **month <= to).map(|(_, rises)| rises).sum()
    }

    /// Rises with every booking of any of these months.
    fn bookings(&self, (from, to): (Month, Month)) -> u64 {
        self.bookings.range(from..).take_while(|(month, _)| **month <= to).map(|(_, rises)| rises).sum()
    }
}

impl Default for Books {
    fn default() -> Self {
        Self {
            dirty: Mutex::default(),
            board: RwLock::default(),
            is_whole: AtomicBool::new(false),
            answers: Mutex::default(),
            committed_to: AtomicI64::new(i64::MIN),
            decided_to: watch::Sender::new(Timestamp(i64::MIN)),
            skipped: Mutex::default(),
            decisions: Decisions::default(),
            turns: Turns::default(),
            looks: Looks::default(),
        }
    }
}

impl Books {
    /// Of every message and request received before this it is decided and committed what it says; what heartbeats
    /// and silences say is written later ([`Self::took_in`]).
    pub(crate) fn decided(&self, before: Timestamp) {
        self.decided_to.send_replace(before);
    }

    /// Waits until what was received before this is [decided](Self::decided).
    ///
    /// # Errors
    /// That took longer than this.
    pub(super) async fn wait_for_all_before(&self, at: Timestamp, limit: Duration) -> Result<(), Elapsed> {
        // The sender is ours: it cannot be gone.
        timeout(limit, self.decided_to.subscribe().wait_for(|before| *before >= at)).await.map(drop)
    }

    /// Everything received before this is committed.
    pub(crate) fn took_in(&self, before: Timestamp) {
        self.committed_to.store(before.ms(), SeqCst);
    }

    pub(super) fn committed_to(&self) -> Timestamp {
        Timestamp(self.committed_to.load(SeqCst))
    }

    /// Before a commit, which [`Self::note`] follows. Of one that fails the months stay under way until the next.
    pub(crate) fn committing(&self, changes: &[Change]) {
        self.answers().under_way = booked_months(changes).map(|(month, _)| month).collect();
    }

    /// The bookkeeper goes on without these.
    pub(crate) fn skip(&self, kiosks: BTreeSet<KioskId>) {
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) = kiosks;
    }

    pub(super) fn skipped(&self) -> BTreeSet<KioskId> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Between a commit and the answer to it. `place`: see [`Dirty::note`].
    pub(crate) fn note(&self, changes: &[Change], place: impl Fn(&KioskId) -> Option<Ix>) {
        self.dirty().note(changes, place);
        let months: BTreeSet<(Month, bool)> = booked_months(changes).collect();
        // Of a running month every step makes rows longer: its sums stay true of when they were made.
        months.into_iter().for_each(|(month, is_over)| self.month_changed(month, is_over));
        self.answers().under_way.clear();
    }

    pub(crate) fn dirty(&self) -> MutexGuard<'_, Dirty> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn show(&self, kiosks: Vec<(Ix, Shown)>) {
        let mut board = self.board.write().unwrap_or_else(PoisonError::into_inner);
        kiosks.into_iter().for_each(|(kiosk, shown)| board.show(kiosk, shown));
    }

    /// See [`Board::stop_growth`].
    pub(super) fn stop_growth(&self, kiosk: Ix, at: Timestamp) {
        self.board.write().unwrap_or_else(PoisonError::into_inner).stop_growth(kiosk, at);
    }

    pub(super) fn shown(&self) -> usize {
        self.board.read().unwrap_or_else(PoisonError::into_inner).kiosks()
    }

    /// Everybody was looked at since our start, or cannot be.
    pub(super) fn shown_whole(&self) {
        self.is_whole.store(true, SeqCst);
    }

    /// None as long as they would be the sums of those who happened to be looked at first.
    pub(crate) fn totals(&self, now: Timestamp) -> UptimeFigures {
        let is_whole = self.is_whole.load(SeqCst);
        let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
        if is_whole { board.totals(now, self.heard_to()) } else { UptimeFigures::default() }
    }

    /// By what last month is judged, once everybody was looked at.
    pub(crate) fn promised(&self, now: Timestamp) -> Option<(i64, i64)> {
        let is_whole = self.is_whole.load(SeqCst);
        let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
        board.promised(now).filter(|_| is_whole)
    }

    /// Up to when figures go on by themselves.
    fn heard_to(&self) -> Timestamp {
        self.committed_to().plus_ms(HEARD_WITHIN_MS)
    }

    /// See [`Board::kiosk`].
    pub(crate) fn of_kiosks(
        &self,
        kiosks: impl Iterator<Item = Ix>,
        now: Timestamp,
    ) -> Vec<[Option<Seconds>; 3]> {
        let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
        let heard_to = self.heard_to();
        kiosks.map(|kiosk| board.kiosk(kiosk, now, heard_to)).collect()
    }

    /// Rows of this month were booked. Answers about a month that is over are forgotten at once.
    pub(super) fn month_changed(&self, month: Month, is_over: bool) {
        let mut answers = self.answers();
        *answers.bookings.entry(month).or_default() += 1;
        if is_over {
            answers.forget(month);
        } else if !answers.running.contains(&month) {
            answers.running.push(month);
        }
    }

    /// Of months that run.
    pub(super) fn forget_running_sums(&self) {
        let mut answers = self.answers();
        std::mem::take(&mut answers.running).into_iter().for_each(|month| answers.forget(month));
    }

    /// A remembered answer, or the generation to remember one under.
    pub(super) fn answer(&self, question: &Question) -> Result<UptimeAnswer, u64> {
        let answers = self.answers();
        answers.known.get(question).ok_or_else(|| answers.generation(question.months))
    }

    /// Unless rows were booked while it was computed.
    pub(super) fn remember(&self, question: Question, generation: u64, answer: &UptimeAnswer) {
        let mut answers = self.answers();
        if answers.generation(question.months) == generation {
            answers.known.insert(question, ROWS_OF_ANSWER, answer.clone());
        }
    }

    /// As [`Self::answer`].
    pub(super) fn ratios(&self, question: &Question) -> Result<MonthRatios, u64> {
        let answers = self.answers();
        answers.ratios.get(question).ok_or_else(|| answers.generation(question.months))
    }

    /// As [`Self::remember`].
    pub(super) fn remember_ratios(&self, question: Question, generation: u64, ratios: &MonthRatios) {
        let mut answers = self.answers();
        if answers.generation(question.months) == generation {
            answers.ratios.insert(question, ROWS_OF_RATIOS, ratios.clone());
        }
    }

    /// Waits for looks that are under way, for a while; see [`Self::divided`].
    pub(super) async fn after_looks(&self) -> Booking<'_> {
        self.looks.booking().await
    }

    #[cfg(test)]
    pub(super) fn is_anybody_waiting(&self) -> bool {
        self.looks.is_anybody_waiting()
    }

    /// A remembered division, or what `look` says, which reads several statements: once more when rows of these
    /// months were booked between them, and remembered unless that happened again. The bookkeeper of a large fleet books
    /// some rows of the running month every few seconds, so it waits meanwhile ([`Looks`]): every look would be taken twice,
    /// and none remembered.
    pub(super) async fn divided<E, F>(
        &self,
        question: &Question,
        look: impl Fn() -> F,
    ) -> Result<Arc<Booked>, E>
    where
        F: Future<Output = Result<Booked, E>>,
    {
        let known = || self.answers().divided.get(question);
        if let Some(booked) = known() {
            return Ok(booked);
        }
        let _look = self.looks.look().await;
        // Somebody else may have asked the same meanwhile.
        if let Some(booked) = known() {
            return Ok(booked);
        }
        let mut bookings = self.answers().bookings(question.months);
        let mut booked = Arc::new(look().await?);
        if let Err(meanwhile) = self.remember_divided(question, bookings, &booked) {
            bookings = meanwhile;
            booked = Arc::new(look().await?);
            let _moved_again = self.remember_divided(question, bookings, &booked);
        }
        Ok(booked)
    }

    /// Of nobody nothing: anybody can ask for names that nobody has.
    ///
    /// # Errors
    /// Rows were booked during the look, or may have been: the bookings by now.
    fn remember_divided(&self, question: &Question, bookings: u64, booked: &Arc<Booked>) -> Result<(), u64> {
        let mut answers = self.answers();
        let by_now = answers.bookings(question.months);
        if by_now != bookings || answers.under_way.iter().any(|month| question.is_about(*month)) {
            return Err(by_now);
        }
        if booked.is_about_somebody() {
            answers.divided.insert(question.clone(), booked.rows(), Arc::clone(booked));
        }
        Ok(())
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Months of which rows change, and whether each is over.
fn booked_months(changes: &[Change]) -> impl Iterator<Item = (Month, bool)> {
    changes.iter().filter_map(|change| match change {
        Change::Month(row) => Some((row.month, row.version > 0 || row.period_to <= row.booked_at)),
        _ => None,
    })
}
