//! The working-day calendar: which days are worked, and how sure we are.
//!
//! Every year has an official notice of days off and of week-end days that are worked instead. Until it
//! is published the year is provisional, and every answer that touched such a year says so (rulebook
//! 4.1): a deadline that may move must not look as firm as one that cannot.

mod file;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate, Weekday};

pub use file::{CalendarFile, CalendarFileError};

use crate::json::{Node, ReadError};
use crate::wall::plus_days;

/// No search for a working day goes further than this: ten years without one is a broken calendar.
const SEARCH_LIMIT_DAYS: i64 = 3_660;

/// The most working days one may ask for at a time, so that a mistyped number cannot spin for ever.
pub const MAX_WORKING_DAYS: u32 = 2_500;

/// Whether a year rests on a published notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YearStatus {
    Official,
    Provisional,
}

/// The days of one year that differ from the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarYear {
    pub status: YearStatus,
    /// Where the lists come from, for the reader of a deadline.
    pub source: String,
    /// Id and date of the notice, such as `cn-2026@2025-11-04`; empty for lists without a file.
    pub version: String,
    pub off: BTreeSet<NaiveDate>,
    pub work: BTreeSet<NaiveDate>,
}

/// What to do when asked about a year that was never loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingYears {
    /// Refuse: a business clock must not run on guesses (rulebook 4.3).
    #[default]
    Refuse,
    /// Take Monday to Friday as worked and mark the answer provisional.
    FollowTheWeek,
}

/// What the calendar says about a day, apart from its weekday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayKind {
    Off,
    MakeUpWork,
    Ordinary,
}

/// Why a working-day question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error("no calendar for {year}: load its file, or allow provisional years (asked about {day})")]
    MissingYear { year: i32, day: NaiveDate },
    #[error("no working day within ten years of {day}: the calendar marks every day off")]
    NoWorkingDay { day: NaiveDate },
    #[error("{n} working days is not a number we count: 1 to {MAX_WORKING_DAYS}")]
    BadCount { n: u32 },
}

/// The years we know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkCalendar {
    years: BTreeMap<i32, CalendarYear>,
    missing: MissingYears,
}

impl WorkCalendar {
    #[must_use]
    pub fn new(years: BTreeMap<i32, CalendarYear>, missing: MissingYears) -> Self {
        Self { years, missing }
    }

    /// Reads calendar files, given as (file name, text).
    ///
    /// # Errors
    /// The first file that cannot be read, with its name, its key and what would be right; also two
    /// files of different ids for one year.
    pub fn from_files<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        missing: MissingYears,
    ) -> Result<Self, CalendarFileError> {
        let parsed = files.into_iter().map(|(name, text)| Ok((name, CalendarFile::parse(name, text)?)));
        Self::assemble(parsed.collect::<Result<Vec<_>, CalendarFileError>>()?, missing)
    }

    /// Puts parsed files, each with its name, together. A file replaces an earlier one of the same `id`:
    /// that is how a site corrects a calendar that was shipped.
    ///
    /// # Errors
    /// Two files of different ids describe one year.
    pub fn assemble<'a>(
        files: impl IntoIterator<Item = (&'a str, CalendarFile)>,
        missing: MissingYears,
    ) -> Result<Self, CalendarFileError> {
        let mut by_year: BTreeMap<i32, CalendarFile> = BTreeMap::new();
        for (name, file) in files {
            match by_year.get(&file.year) {
                Some(known) if known.id != file.id => {
                    return Err(CalendarFileError::twice(name, file.year, &known.id));
                }
                _ => by_year.insert(file.year, file),
            };
        }
        Ok(Self { years: by_year.into_iter().map(|(year, file)| (year, file.days)).collect(), missing })
    }

    /// A calendar of bare lists, without years or sources: what a site's own schedule may carry.
    #[must_use]
    pub fn from_lists(off: &[NaiveDate], work: &[NaiveDate]) -> Self {
        let mut years: BTreeMap<i32, CalendarYear> = BTreeMap::new();
        let blank = || CalendarYear {
            status: YearStatus::Provisional,
            source: String::new(),
            version: String::new(),
            off: BTreeSet::new(),
            work: BTreeSet::new(),
        };
        for day in off {
            years.entry(day.year()).or_insert_with(blank).off.insert(*day);
        }
        for day in work {
            years.entry(day.year()).or_insert_with(blank).work.insert(*day);
        }
        Self { years, missing: MissingYears::FollowTheWeek }
    }

    /// The days that differ from the week, and nothing of where they come from: what service hours ask.
    #[must_use]
    pub fn bare(&self) -> Self {
        let [off, work] = self.days();
        Self::from_lists(&off, &work)
    }

    /// The days of [`Self::bare`] as JSON, in order: `{"off":["2026-10-01"],"work":["2026-10-10"]}`.
    #[must_use]
    pub fn days_text(&self) -> String {
        let texts = |days: Vec<NaiveDate>| days.iter().map(NaiveDate::to_string).collect::<Vec<_>>();
        let [off, work] = self.days().map(texts);
        serde_json::json!({ "off": off, "work": work }).to_string()
    }

    /// Reads [`Self::days_text`].
    ///
    /// # Errors
    /// Not such a text.
    pub fn of_days_text(text: &str) -> Result<Self, ReadError> {
        let place = "days";
        let value = serde_json::from_str(text)
            .map_err(|error| ReadError::new(place, "it", format!("not JSON: {error}")))?;
        Self::of_days(&Node::root(place, &value))
    }

    pub(crate) fn of_days(node: &Node<'_>) -> Result<Self, ReadError> {
        Ok(Self::from_lists(&node.dates("off")?, &node.dates("work")?))
    }

    /// Days off, and days that are worked instead.
    fn days(&self) -> [Vec<NaiveDate>; 2] {
        let all = |of: fn(&CalendarYear) -> &BTreeSet<NaiveDate>| {
            self.years.values().flat_map(of).copied().collect()
        };
        [all(|year| &year.off), all(|year| &year.work)]
    }

    #[must_use]
    pub fn year(&self, year: i32) -> Option<&CalendarYear> {
        self.years.get(&year)
    }

    /// The years with a file, in order.
    pub fn years(&self) -> impl Iterator<Item = i32> + '_ {
        self.years.keys().copied()
    }

    /// The versions of all years, for a ticket to pin when its clocks start (rulebook 4.1).
    #[must_use]
    pub fn version(&self) -> String {
        self.years.values().map(|year| year.version.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// What the lists say about a day. A make-up day wins over a day off (rulebook 4.1).
    #[must_use]
    pub fn kind_of(&self, day: NaiveDate) -> DayKind {
        match self.years.get(&day.year()) {
            Some(year) if year.work.contains(&day) => DayKind::MakeUpWork,
            Some(year) if year.off.contains(&day) => DayKind::Off,
            _ => DayKind::Ordinary,
        }
    }

    /// A year that ought to have an official file and has none: this one and, from 1 December on, the
    /// next (rulebook 4.3).
    #[must_use]
    pub fn year_to_fetch(&self, today: NaiveDate) -> Option<i32> {
        let next = (today.month() == 12).then_some(today.year() + 1);
        std::iter::once(today.year())
            .chain(next)
            .find(|wanted| self.years.get(wanted).is_none_or(|year| year.status == YearStatus::Provisional))
    }

    /// Starts a series of questions that remembers how sure the answers are.
    #[must_use]
    pub fn ask(&self) -> Questions<'_> {
        Questions { calendar: self, provisional: false }
    }
}

/// A series of working-day questions. Once one of them touched a year without an official notice, the
/// whole answer is provisional.
#[derive(Debug, Clone)]
pub struct Questions<'a> {
    calendar: &'a WorkCalendar,
    provisional: bool,
}

impl Questions<'_> {
    /// Whether any question so far was about a year without an official notice.
    #[must_use]
    pub fn provisional(&self) -> bool {
        self.provisional
    }

    /// Whether a day is worked.
    ///
    /// # Errors
    /// The year is not loaded and the calendar refuses to guess.
    pub fn is_working_day(&mut self, day: NaiveDate) -> Result<bool, CalendarError> {
        match self.calendar.years.get(&day.year()) {
            Some(year) if year.status == YearStatus::Official => {}
            None if self.calendar.missing == MissingYears::Refuse => {
                return Err(CalendarError::MissingYear { year: day.year(), day });
            }
            _ => self.provisional = true,
        }
        Ok(match self.calendar.kind_of(day) {
            DayKind::MakeUpWork => true,
            DayKind::Off => false,
            DayKind::Ordinary => !matches!(day.weekday(), Weekday::Sat | Weekday::Sun),
        })
    }

    /// The first working day that is `day` or later.
    ///
    /// # Errors
    /// A year that is not loaded, or no working day at all.
    pub fn on_or_after(&mut self, day: NaiveDate) -> Result<NaiveDate, CalendarError> {
        self.search(day, 1)
    }

    /// The last working day that is `day` or earlier.
    ///
    /// # Errors
    /// A year that is not loaded, or no working day at all.
    pub fn on_or_before(&mut self, day: NaiveDate) -> Result<NaiveDate, CalendarError> {
        self.search(day, -1)
    }

    /// The first `n` working days after `day`, which is not counted itself (rulebook 4.1).
    ///
    /// # Errors
    /// `n` is zero or absurd, a year is not loaded, or there is no working day.
    pub fn days_after(&mut self, day: NaiveDate, n: u32) -> Result<Vec<NaiveDate>, CalendarError> {
        self.count(day, n, 1)
    }

    /// The `n`th working day after `day`.
    ///
    /// # Errors
    /// As [`Self::days_after`].
    pub fn nth_after(&mut self, day: NaiveDate, n: u32) -> Result<NaiveDate, CalendarError> {
        let days = self.count(day, n, 1)?;
        days.last().copied().ok_or(CalendarError::BadCount { n })
    }

    /// The `n`th working day before `day`, which is not counted itself.
    ///
    /// # Errors
    /// As [`Self::days_after`].
    pub fn nth_before(&mut self, day: NaiveDate, n: u32) -> Result<NaiveDate, CalendarError> {
        let days = self.count(day, n, -1)?;
        days.last().copied().ok_or(CalendarError::BadCount { n })
    }

    fn count(&mut self, day: NaiveDate, n: u32, step: i64) -> Result<Vec<NaiveDate>, CalendarError> {
        if n == 0 || n > MAX_WORKING_DAYS {
            return Err(CalendarError::BadCount { n });
        }
        let mut days = Vec::new();
        let mut last = day;
        for _ in 0..n {
            last = self.search(plus_days(last, step), step)?;
            days.push(last);
        }
        Ok(days)
    }

    fn search(&mut self, start: NaiveDate, step: i64) -> Result<NaiveDate, CalendarError> {
        let mut day = start;
        for _ in 0..SEARCH_LIMIT_DAYS {
            if self.is_working_day(day)? {
                return Ok(day);
            }
            day = plus_days(day, step);
        }
        Err(CalendarError::NoWorkingDay { day: start })
    }
}

#[cfg(test)]
mod tests;
