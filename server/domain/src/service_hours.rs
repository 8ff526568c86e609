//! When a site is open: the seconds in which we promise a working kiosk ("uptime definition 2.2").
//!
//! A schedule is written on the wall clock of the site and comes in versions that begin on a date and
//! never reach back. A window belongs to the date it starts on, even when it ends after midnight.

mod text;

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use crate::calendar::{DayKind, WorkCalendar};
use crate::interval::{Interval, IntervalSet};
use crate::wall::{self, DAY_S};

/// Opening and closing time of a day, in seconds after local midnight, 0 to 86,400.
/// A window that closes at or before its opening runs into the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    opens: i64,
    closes: i64,
}

impl Window {
    /// The whole day.
    pub const DAY: Self = Self { opens: 0, closes: DAY_S };

    /// `None` when a bound is not within 0 to 86,400.
    #[must_use]
    pub fn new(opens_s: u32, closes_s: u32) -> Option<Self> {
        let (opens, closes) = (i64::from(opens_s), i64::from(closes_s));
        (opens <= DAY_S && closes <= DAY_S).then_some(Self { opens, closes })
    }

    /// The local seconds of this window when it starts on the day with that midnight.
    pub(crate) fn on(self, midnight: i64) -> Interval {
        let closes = if self.closes <= self.opens { self.closes + DAY_S } else { self.closes };
        Interval::new(midnight + self.opens, midnight + closes)
    }
}

/// The rows of an ordinary week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weekly {
    /// Never closed; holidays are not asked.
    AlwaysOpen,
    /// Monday to Sunday; an empty row is a closed day.
    Rows([Vec<Window>; 7]),
}

/// A schedule from a date on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleVersion {
    /// First local date of this version; `None` from the beginning.
    pub effective_from: Option<NaiveDate>,
    pub weekly: Weekly,
    /// One-off days, stronger than everything else; an empty list closes the day.
    pub exceptions: BTreeMap<NaiveDate, Vec<Window>>,
    /// Rows of a make-up work day, with days off closed; `None` when the site ignores holidays.
    pub makeup_day: Option<Vec<Window>>,
}

impl ScheduleVersion {
    #[must_use]
    pub fn new(effective_from: Option<NaiveDate>, weekly: Weekly) -> Self {
        Self { effective_from, weekly, exceptions: BTreeMap::new(), makeup_day: None }
    }

    fn rows(&self, day: NaiveDate, calendar: &WorkCalendar) -> &[Window] {
        if let Some(rows) = self.exceptions.get(&day) {
            return rows;
        }
        let Weekly::Rows(week) = &self.weekly else {
            return &[Window::DAY];
        };
        if let Some(makeup_day) = &self.makeup_day {
            match calendar.kind_of(day) {
                DayKind::Off => return &[],
                DayKind::MakeUpWork => return makeup_day,
                DayKind::Ordinary => {}
            }
        }
        &week[day.weekday().num_days_from_monday() as usize]
    }
}

/// Time in which a site stays open, or stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Seconds since 1970.
    pub within: Interval,
    pub open: bool,
}

/// All versions of a site's opening hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    versions: Vec<ScheduleVersion>,
}

impl Schedule {
    /// Versions in any order. Before the first one the site is closed.
    #[must_use]
    pub fn new(mut versions: Vec<ScheduleVersion>) -> Self {
        versions.sort_by_key(|version| version.effective_from);
        // Made for four, and of thousands of sites most have one.
        versions.shrink_to_fit();
        Self { versions }
    }

    /// Open day and night.
    #[must_use]
    pub fn always_open() -> Self {
        Self::new(vec![ScheduleVersion::new(None, Weekly::AlwaysOpen)])
    }

    /// The version in force on a date.
    #[must_use]
    pub fn version_on(&self, day: NaiveDate) -> Option<&ScheduleVersion> {
        let later = self.versions.partition_point(|version| version.effective_from.is_none_or(|d| d <= day));
        later.checked_sub(1).and_then(|at| self.versions.get(at))
    }

    /// The open seconds of a period, by the wall clock of `zone`: when the clock is set back both passes
    /// of the hour are open, when it is set forward the missing hour is nowhere.
    #[must_use]
    pub fn open_times(&self, zone: Tz, calendar: &WorkCalendar, period: Interval) -> IntervalSet {
        if period.is_empty() {
            return IntervalSet::empty();
        }
        let last = wall::date_of(zone, period.to - 1);
        // The day before may still be open after midnight, and a clock set back at midnight may show
        // yesterday once more: both are covered by one day more on each side.
        let mut day = wall::plus_days(wall::date_of(zone, period.from), -2);
        let mut local = Vec::new();
        while day <= last.succ_opt().unwrap_or(last) {
            if let Some(version) = self.version_on(day) {
                let midnight = wall::local_midnight(day);
                local.extend(version.rows(day, calendar).iter().map(|row| row.on(midnight)));
            }
            let Some(next) = day.succ_opt() else { break };
            day = next;
        }
        wall::instants_showing(zone, &local.into_iter().collect(), period)
    }

    #[must_use]
    pub fn is_open(&self, zone: Tz, calendar: &WorkCalendar, t: i64) -> bool {
        self.open_times(zone, calendar, Interval::new(t, t + 1)).contains(t)
    }

    /// Whether it is open at `t`, and how long that is sure to stay so: to its end, or for a day.
    #[must_use]
    pub fn stretch_from(&self, zone: Tz, calendar: &WorkCalendar, t: i64) -> Stretch {
        let day = Interval::new(t, t + DAY_S);
        match self.open_times(zone, calendar, day).iter().next() {
            Some(first) if first.contains(t) => Stretch { within: first, open: true },
            Some(first) => Stretch { within: Interval::new(t, first.from), open: false },
            None => Stretch { within: day, open: false },
        }
    }

    /// The first open second at or after `t`, looking no further than `within_days`.
    #[must_use]
    pub fn next_open(&self, zone: Tz, calendar: &WorkCalendar, t: i64, within_days: u16) -> Option<i64> {
        (0..i64::from(within_days.max(1))).find_map(|ahead| {
            let from = t + ahead * DAY_S;
            self.open_times(zone, calendar, Interval::new(from, from + DAY_S)).first_from(t)
        })
    }
}

#[cfg(test)]
mod tests;
