//! Uptime figures: from stored evidence, service hours, exclusions and outages to integers, for any scope.
//!
//! The arithmetic is the domain's. A group's figures are sums over its kiosks, each limited to the time it
//! belonged to the group.
//!
//! - [`reader`]: figures from a store; [`members`]: of whom; [`count`]: those of any number of kiosks from their evidence,
//!   of many in turn ([`turns`]); [`gather`]: what those of a few are computed from; [`frame`]: what they have in common,
//!   [`places`]: the sites among it
//! - [`keeper`]: month figures brought up to date, signed and proposed anew; [`books`]: what that leaves in
//!   memory for those who ask, [`booked`] and [`trend`] for pages, as far as it fits ([`remembered`]); [`board`]: what a scrape shows, packed into [`pieces`]
//! - [`decisions`]: what people ask and answer about the past, and the [`effect`] they are shown; [`restating`]: what they
//!   answer about signed months; [`deciding`]: one at a time; [`configured`]: what a start says by itself
mod board;
mod booked;
mod books;
mod calendars;
mod configured;
mod count;
mod deciding;
mod decisions;
mod dirty;
mod due;
mod effect;
mod frame;
mod gather;
mod keeper;
mod look;
mod looks;
mod measure;
mod members;
mod pieces;
mod places;
mod reader;
mod register;
mod remembered;
mod restating;
mod trend;
mod turns;

use std::collections::BTreeSet;

use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{EvidenceRow, ExclusionRow, LivenessRow, MonthSums},
    interval::{Interval, IntervalSet},
    uptime::{Evidence, Explained, Figures, Month, exclusion::NotAccountable},
    wall,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};

use self::{books::Question, reader::Found};
use super::App;
use crate::store::{Scope, StoreError, WorstKiosk};

pub use self::{
    booked::Booked,
    configured::NoteError,
    decisions::{DecisionError, MonthVersions},
    keeper::keep_books,
    measure::Measure,
    places::unreadable,
    reader::{Live, NotLive, UptimeReader},
    restating::Restated,
};
pub(crate) use self::{books::Books, deciding::Deciding, reader::Unheard, trend::MONTHS};

/// Whose figures are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UptimeScope {
    Kiosk(KioskId),
    Site(SiteId),
    Region(String),
    Customer(String),
    Engineer(String),
    Model(String),
    Fleet,
}

impl UptimeScope {
    /// The kind of the group and its name.
    pub fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Kiosk(id) => ("kiosk", id.as_str()),
            Self::Site(id) => ("site", id.as_str()),
            Self::Region(name) => ("region", name),
            Self::Customer(name) => ("customer", name),
            Self::Engineer(name) => ("engineer", name),
            Self::Model(name) => ("model", name),
            Self::Fleet => ("fleet", ""),
        }
    }
}

/// For which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UptimePeriod {
    /// A local month of each kiosk's own zone.
    Month { year: i32, month: u32 },
    /// The local day of each kiosk's own zone that holds this instant.
    DayOf(Timestamp),
    /// The same instants for all.
    Between(Timestamp, Timestamp),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UptimeQuery {
    pub scope: UptimeScope,
    pub period: UptimePeriod,
    /// What had been received and approved at this instant about the time before it: of a month the version that
    /// stood then; default now.
    pub as_of: Option<Timestamp>,
    /// By which ratio the worst of a group are the worst.
    pub worst_by: Measure,
}

impl UptimePeriod {
    /// Instants around the period, whatever the zone.
    fn around(self) -> Result<Interval, UptimeError> {
        const AROUND_S: i64 = 86_400 + wall::MAX_OFFSET_S;
        match self {
            Self::Month { .. } => {
                let month = self.in_zone(Tz::UTC)?;
                Ok(Interval::new(month.from - AROUND_S, month.to + AROUND_S))
            }
            Self::DayOf(at) => Ok(Interval::new(at.secs() - AROUND_S, at.secs() + AROUND_S)),
            Self::Between(..) => self.in_zone(Tz::UTC),
        }
    }

    fn month(self) -> Option<Month> {
        match self {
            Self::Month { year, month } => Month::new(year, month),
            Self::DayOf(_) | Self::Between(..) => None,
        }
    }

    fn in_zone(self, zone: Tz) -> Result<Interval, UptimeError> {
        match self {
            Self::Month { year, month } => {
                let named = Month::new(year, month).ok_or(UptimeError::NoMonth { year, month })?;
                Ok(named.period(zone))
            }
            Self::DayOf(at) => Ok(reader::day_of(zone, at)),
            Self::Between(from, to) if to > from => Ok(Interval::new(from.secs(), to.secs())),
            Self::Between(..) => Err(UptimeError::Backwards),
        }
    }
}

impl UptimeQuery {
    /// As of now, the worst by availability, whose outages are told beside them.
    pub const fn of(scope: UptimeScope, period: UptimePeriod) -> Self {
        Self { scope, period, as_of: None, worst_by: Measure::Avail }
    }

    /// The month, when its official figures are meant.
    fn official(&self) -> Option<Month> {
        self.month().filter(|_| self.as_of.is_none())
    }

    fn month(&self) -> Option<Month> {
        self.period.month()
    }
}

/// Figures with what a reader needs to trust them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UptimeAnswer {
    pub sums: MonthSums,
    /// The highest signed version among the kiosks; 0: nothing was signed yet.
    pub version: u32,
    /// Every kiosk's figures are signed.
    pub signed: bool,
    /// When the official figures were fixed, in seconds since 1970: the latest of the kiosks'. Only where all
    /// are signed.
    pub frozen_at: Option<i64>,
    /// Up to where time had passed for the kiosk that was looked at longest ago.
    pub as_of: Timestamp,
    /// From the books, which follow evidence within a round of the bookkeeper; otherwise counted just now.
    pub booked: bool,
    pub kiosks: usize,
    /// What availability is judged by: of a signed month, what was promised for it.
    pub target: (i64, i64),
    /// Of a group: the ten that lost most of [`UptimeQuery::worst_by`].
    pub worst: Vec<WorstKiosk>,
    /// Sites whose service hours or zone could not be read; they count as always open. Kiosks whose evidence is gone:
    /// what nobody remembers is no downtime. Of a month also kiosks that the books may lack.
    pub problems: Vec<String>,
}

/// One kiosk's figures with every interval behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct UptimeExplained {
    pub zone: Tz,
    pub period: Interval,
    /// Where it stood last in the period, as far as the reader may know.
    pub site: Option<SiteId>,
    /// Since when it has ever counted, as is known now.
    pub commissioned_at: Option<Timestamp>,
    pub figures: Figures,
    /// The same with what stands beside the ratios.
    pub sums: MonthSums,
    /// See [`UptimeAnswer::target`].
    pub target: (i64, i64),
    /// Only what had been received and approved before this second counts; `None`: all that is known.
    pub known_before: Option<i64>,
    pub intervals: Vec<Explained>,
    /// The rest of the period as far as it has happened, in order, and why nobody answers for it.
    pub outside: Vec<(Interval, NotAccountable)>,
    /// The windows that are forgiven.
    pub exclusions: Vec<ExclusionRow>,
    /// When no server could receive from this kiosk, as far as anything is kept of it.
    pub outages: IntervalSet,
    /// Evidence of before this second may be removed: its time was over.
    pub kept_from: i64,
}

impl UptimeExplained {
    /// Whether nothing is known of a piece because what was known of it is removed.
    pub fn is_forgotten(&self, piece: &Explained) -> bool {
        piece.from < self.kept_from && piece.source.is_none()
    }

    /// Whether a row had arrived when what counts was fixed. Others speak for the same time, and count for nothing here.
    pub fn knew(&self, row: &EvidenceRow) -> bool {
        self.known_before.is_none_or(|limit| Evidence::from(row).arrived_before(limit))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum UptimeError {
    /// Also: outside the reader's scope.
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("{year}-{month:02} is no month")]
    NoMonth { year: i32, month: u32 },
    #[error("the period ends before it begins")]
    Backwards,
    /// Only months are in the books; see [`turns`].
    #[error(
        "others are asking for figures of many kiosks that are counted from their evidence; ask again in a minute"
    )]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Kiosks that sums of the books may lack.
pub(crate) struct NotBooked(BTreeSet<KioskId>);

impl NotBooked {
    /// So many are named.
    const NAMED: usize = 20;

    /// The first of them, each with what is wrong; of the others how many they are.
    pub(crate) fn said(&self, what: &str) -> Vec<String> {
        let mut said: Vec<_> =
            self.0.iter().take(Self::NAMED).map(|kiosk| format!("{kiosk}: {what}")).collect();
        if self.0.len() > Self::NAMED {
            said.push(format!("+ {}: {what}", self.0.len() - Self::NAMED));
        }
        said
    }
}

impl App {
    /// The figures of a scope that `reader` may see. What the books answered is remembered until they change.
    pub async fn uptime(&self, reader: &Scope, query: &UptimeQuery) -> Result<UptimeAnswer, UptimeError> {
        let mut answer = self.known_uptime(reader, query).await?;
        if let Some(month) = query.official() {
            let lacking = self.not_booked(reader, &query.scope, (month, month)).await?;
            answer
                .problems
                .extend(lacking.said("its months cannot be booked: sums of the books may lack it"));
        }
        Ok(answer)
    }

    async fn known_uptime(&self, reader: &Scope, query: &UptimeQuery) -> Result<UptimeAnswer, UptimeError> {
        let Some(month) = query.official() else { return self.look_up_uptime(reader, query).await };
        let by = Some(("kiosk", query.worst_by.as_str()));
        let question = Question::of(reader, &query.scope, (month, month)).by(by);
        let generation = match self.books().answer(&question) {
            Ok(answer) => return Ok(answer),
            Err(generation) => generation,
        };
        let answer = self.look_up_uptime(reader, query).await?;
        if answer.booked {
            self.books().remember(question, generation, &answer);
        }
        Ok(answer)
    }

    async fn look_up_uptime(&self, reader: &Scope, query: &UptimeQuery) -> Result<UptimeAnswer, UptimeError> {
        let found = self.uptime_reader().find(reader, query).await?;
        let asked = match found {
            Found::Answer(answer) => return Ok(answer),
            Found::Asked(asked) => asked,
        };
        let _turn = self.books().turns.begin(asked.rest.len()).await?;
        // Time has passed in the line.
        self.uptime_reader().count(reader, query, asked).await
    }

    /// Those whose rows of these months the bookkeeper cannot write. A group that is signed without them looks whole.
    pub(crate) async fn not_booked(
        &self,
        reader: &Scope,
        scope: &UptimeScope,
        (from, to): (Month, Month),
    ) -> Result<NotBooked, UptimeError> {
        let skipped: Vec<KioskId> = self.books().skipped().into_iter().collect();
        let mut lacking = BTreeSet::new();
        let months = std::iter::successors(Some(from), |month| Some(month.next()));
        for month in months.take_while(|month| *month <= to && !skipped.is_empty()) {
            let period = UptimePeriod::Month { year: month.year(), month: month.month() };
            let query = UptimeQuery::of(scope.clone(), period);
            lacking.extend(self.uptime_reader().members_among(reader, &query, skipped.clone()).await?);
        }
        Ok(NotBooked(lacking))
    }

    /// Every interval of one kiosk's period and why it counted as it did; the intervals sum to the figures.
    pub async fn explain_uptime(
        &self,
        reader: &Scope,
        kiosk: &KioskId,
        period: UptimePeriod,
        as_of: Option<Timestamp>,
    ) -> Result<UptimeExplained, UptimeError> {
        self.uptime_reader().explain(reader, kiosk, period, as_of).await
    }

    /// Which silence of a kiosk says nothing about it, as its figures of that time count it.
    pub(crate) async fn unheard(
        &self,
        kiosk: &KioskId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Unheard, UptimeError> {
        self.uptime_reader().unheard(kiosk, UptimePeriod::Between(from, to)).await
    }

    /// Kiosks that the bookkeeper has looked at since our start.
    pub fn books_shown(&self) -> usize {
        self.books().shown()
    }

    pub(crate) fn uptime_reader(&self) -> UptimeReader<'_> {
        UptimeReader {
            store: self.store(),
            config: self.config(),
            calendar: self.calendar(),
            now: self.clock().now(),
            live: self,
        }
    }
}

impl Live for App {
    fn evidence(&self, kiosk: &KioskId) -> Vec<Evidence> {
        self.fleet().live_evidence(kiosk, self.clock().now()).iter().map(Evidence::from).collect()
    }

    fn hearing(&self) -> Vec<LivenessRow> {
        self.fleet().live_hearing(self.clock().now())
    }

    fn unstored_since(&self, kiosk: &KioskId) -> Option<Timestamp> {
        self.fleet().unstored_since(kiosk, self.clock().now())
    }

    fn is_busy(&self) -> bool {
        self.messages_wait()
    }
}

#[cfg(test)]
mod tests;
