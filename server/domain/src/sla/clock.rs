//! Running time (rulebook 4.1 and 4.2).
//!
//! A second runs when its calendar is open and no pause covers it. Closed hours inside a pause are not
//! paused time: they would not have run anyway.

use std::ops::ControlFlow;

use chrono_tz::Tz;

use crate::calendar::{CalendarError, WorkCalendar};
use crate::interval::{END, Interval, IntervalSet};
use crate::wall::{self, DAY_S};

/// A clock that finds its budget only after a century has a calendar that is never open.
const LONGEST_WALK_DAYS: u32 = 36_600;

/// Why a deadline cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlaError {
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    #[error("a budget of {budget_s} s is nothing to count: it must be at least 1")]
    EmptyBudget { budget_s: i64 },
    #[error("the calendar never opens long enough for {budget_s} s")]
    NeverOpen { budget_s: i64 },
}

/// The open seconds of a working day, as seconds after local midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficeHours {
    windows: IntervalSet,
}

impl OfficeHours {
    /// `None` when a window is empty or not within one day.
    #[must_use]
    pub fn new(windows: &[(i64, i64)]) -> Option<Self> {
        let fits = windows.iter().all(|(opens, closes)| 0 <= *opens && opens < closes && *closes <= DAY_S);
        let windows = || windows.iter().map(|(opens, closes)| Interval::new(*opens, *closes)).collect();
        fits.then(|| Self { windows: windows() })
    }
}

/// When a clock can run at all.
#[derive(Debug, Clone, Copy)]
pub enum Hours<'a> {
    /// Day and night; no calendar is asked.
    Always,
    /// On working days, within office hours.
    Office(&'a OfficeHours),
}

/// A reason to stop the clock. Only pauses that count are given here: waiting for our own parts, for
/// one, does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    pub from: i64,
    /// `None` while it lasts.
    pub to: Option<i64>,
}

/// All pauses of a clock, painted: overlaps count once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pauses {
    painted: IntervalSet,
    open_from: Option<i64>,
}

impl Pauses {
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The beginning of the earliest pause that still lasts.
    #[must_use]
    pub fn open_from(&self) -> Option<i64> {
        self.open_from
    }
}

impl FromIterator<Pause> for Pauses {
    fn from_iter<I: IntoIterator<Item = Pause>>(pauses: I) -> Self {
        let mut open_from: Option<i64> = None;
        let painted = pauses
            .into_iter()
            .map(|pause| {
                if pause.to.is_none() {
                    open_from = Some(open_from.map_or(pause.from, |known| known.min(pause.from)));
                }
                Interval::new(pause.from, pause.to.unwrap_or(END))
            })
            .collect();
        Self { painted, open_from }
    }
}

/// An answer, and whether it rests on a year without an official notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading<T> {
    pub value: T,
    pub provisional: bool,
}

/// One clock of a ticket.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    pub hours: Hours<'a>,
    pub zone: Tz,
    pub calendar: &'a WorkCalendar,
    pub pauses: &'a Pauses,
}

impl Clock<'_> {
    /// The instant directly after the `budget_s`th running second from `start` on; `None` while an open
    /// pause keeps it from being reached. A budget that ends at closing time is due at closing time.
    ///
    /// # Errors
    /// The budget is below one second, a year is not loaded, or the calendar never opens.
    pub fn walk(&self, start: i64, budget_s: i64) -> Result<Reading<Option<i64>>, SlaError> {
        let counted = self.counted(start, budget_s)?;
        let spent: i64 = counted.value.iter().map(|part| part.length()).sum();
        let due = counted.value.last().filter(|_| spent == budget_s).map(|last| last.to);
        Ok(Reading { value: due, provisional: counted.provisional })
    }

    /// The stretches of running time that [`Self::walk`] spends, in order: how a due time was counted.
    ///
    /// # Errors
    /// As [`Self::walk`].
    pub fn counted(&self, start: i64, budget_s: i64) -> Result<Reading<Vec<Interval>>, SlaError> {
        if budget_s < 1 {
            return Err(SlaError::EmptyBudget { budget_s });
        }
        let mut left = budget_s;
        let mut counted = Vec::new();
        let until = self.pauses.open_from.unwrap_or(END);
        let walked = self.each_running(Interval::new(start, until), |part| {
            let used = part.length().min(left);
            counted.push(Interval::new(part.from, part.from + used));
            left -= used;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if walked.value == Walked::GaveUp || (left > 0 && self.pauses.open_from.is_none()) {
            return Err(SlaError::NeverOpen { budget_s });
        }
        Ok(Reading { value: counted, provisional: walked.provisional })
    }

    /// Running seconds in `[start, at)`.
    ///
    /// # Errors
    /// A year is not loaded.
    pub fn elapsed(&self, start: i64, at: i64) -> Result<Reading<i64>, SlaError> {
        let mut spent = 0;
        let walked = self.each_running(Interval::new(start, at), |part| {
            spent += part.length();
            ControlFlow::Continue(())
        })?;
        Ok(Reading { value: spent, provisional: walked.provisional })
    }

    /// Visits the running stretches of a period in order, day by day where days matter, so that only the
    /// dates really walked are asked about.
    fn each_running(
        &self,
        period: Interval,
        mut visit: impl FnMut(Interval) -> ControlFlow<()>,
    ) -> Result<Reading<Walked>, SlaError> {
        let mut ask = self.calendar.ask();
        let mut pass = |open: &IntervalSet| {
            open.clip(period).subtract(&self.pauses.painted).iter().try_for_each(&mut visit)
        };
        let Hours::Office(office) = self.hours else {
            let stopped = pass(&IntervalSet::of(period)).is_break();
            return Ok(Reading { value: Walked::stopped(stopped), provisional: false });
        };
        if period.is_empty() {
            return Ok(Reading { value: Walked::ToTheEnd, provisional: false });
        }
        let mut day = wall::date_of(self.zone, period.from);
        for _ in 0..LONGEST_WALK_DAYS {
            let next = wall::plus_days(day, 1);
            let today = Interval::new(wall::day_start(self.zone, day), wall::day_start(self.zone, next));
            if today.from >= period.to {
                return Ok(Reading { value: Walked::ToTheEnd, provisional: ask.provisional() });
            }
            if ask.is_working_day(day)? {
                let local = office.windows.shifted(wall::local_midnight(day));
                if pass(&wall::instants_showing(self.zone, &local, today)).is_break() {
                    return Ok(Reading { value: Walked::Stopped, provisional: ask.provisional() });
                }
            }
            day = next;
        }
        Ok(Reading { value: Walked::GaveUp, provisional: ask.provisional() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walked {
    /// The visitor had enough.
    Stopped,
    ToTheEnd,
    /// The walk became absurdly long.
    GaveUp,
}

impl Walked {
    const fn stopped(yes: bool) -> Self {
        if yes { Self::Stopped } else { Self::ToTheEnd }
    }
}
