//! A month that a reader turns over.
use chrono::{Datelike as _, Months, NaiveDate};

use super::super::texts::Texts;
use crate::{app::UptimePeriod, config::Language, http::Problem};

/// A month of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Month {
    first: NaiveDate,
}

impl Month {
    /// The month of a day.
    pub(crate) fn of(day: NaiveDate) -> Self {
        Self { first: day.with_day(1).unwrap_or(day) }
    }

    /// `2026-10`.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d");
        let wrong = |_| Problem::bad_request("bad_query", "month is written like 2026-10");
        first.map(|first| Self { first }).map_err(wrong)
    }

    /// Earlier or later, held at the ends of the calendar.
    pub(crate) fn plus(self, months: i32) -> Self {
        let distance = Months::new(months.unsigned_abs());
        let first = if months < 0 {
            self.first.checked_sub_months(distance)
        } else {
            self.first.checked_add_months(distance)
        };
        Self { first: first.unwrap_or(self.first) }
    }

    pub(crate) fn first_day(self) -> NaiveDate {
        self.first
    }

    pub(crate) fn period(self) -> UptimePeriod {
        UptimePeriod::Month { year: self.first.year(), month: self.first.month() }
    }

    pub(crate) fn title(self, t: &Texts) -> String {
        let format = match t.language {
            Language::ZhCn => "%Y 年 %-m 月",
            Language::En => "%B %Y",
        };
        self.first.format(format).to_string()
    }

    /// The number of the month alone.
    pub(crate) fn number(self) -> u32 {
        self.first.month()
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.first.format("%Y-%m"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_turn_over_years() {
        let december = Month::parse("2026-12").unwrap();
        assert_eq!(december.plus(1).to_string(), "2027-01");
        assert_eq!(december.plus(-12).to_string(), "2025-12");
        assert!(Month::parse("2026-13").is_err() && Month::parse("2026").is_err());
    }
}
