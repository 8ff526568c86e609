//! A calendar month, the period of a contract figure ("uptime definition 2.1").

use std::fmt;
use std::str::FromStr;

use chrono::Datelike as _;
use chrono_tz::Tz;

use crate::interval::Interval;
use crate::wall;

/// `2026-10`. Which instants it holds depends on the zone of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u32,
}

/// Not written as a year of four digits, a hyphen and a month from 01 to 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a month is written like 2026-10")]
pub struct NoMonth;

impl Month {
    /// `None` unless `month` is 1 to 12 and the year one that is written with four digits.
    #[must_use]
    pub fn new(year: i32, month: u32) -> Option<Self> {
        ((1..=12).contains(&month) && (1..=9_998).contains(&year)).then_some(Self { year, month })
    }

    /// The local month in which an instant lies; the nearest one we can name for instants far away.
    #[must_use]
    pub fn at(zone: Tz, t: i64) -> Self {
        let day = wall::date_of(zone, t);
        Self { year: day.year().clamp(1, 9_998), month: day.month() }
    }

    #[must_use]
    pub const fn year(self) -> i32 {
        self.year
    }

    /// 1 to 12.
    #[must_use]
    pub const fn month(self) -> u32 {
        self.month
    }

    /// From local midnight of its first day to that of the next month's.
    #[must_use]
    pub fn period(self, zone: Tz) -> Interval {
        wall::month(zone, self.year, self.month).unwrap_or(Interval::new(0, 0))
    }

    #[must_use]
    pub const fn next(self) -> Self {
        match self.month {
            12 => Self { year: self.year + 1, month: 1 },
            month => Self { year: self.year, month: month + 1 },
        }
    }

    #[must_use]
    pub const fn previous(self) -> Self {
        match self.month {
            1 => Self { year: self.year - 1, month: 12 },
            month => Self { year: self.year, month: month - 1 },
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Self, NoMonth> {
        let digits = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
        let (year, month) = text.split_once('-').ok_or(NoMonth)?;
        if !digits(year, 4) || !digits(month, 2) {
            return Err(NoMonth);
        }
        let (year, month) = (year.parse().map_err(|_| NoMonth)?, month.parse().map_err(|_| NoMonth)?);
        Self::new(year, month).ok_or(NoMonth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_read_as_it_is_written_and_follows_the_one_before() {
        for text in ["2026-10", "0001-01", "2026-12", "9998-12"] {
            assert_eq!(text.parse::<Month>().unwrap().to_string(), text);
        }
        for text in ["", "2026", "2026-13", "2026-00", "2026-1", "26-10", "2026-10-01", "+026-10", "9999-01"]
        {
            assert_eq!(text.parse::<Month>(), Err(NoMonth), "{text}");
        }
        let december: Month = "2026-12".parse().unwrap();
        assert_eq!(december.next().to_string(), "2027-01");
        assert_eq!(december.next().previous(), december);
        let zone = chrono_tz::Asia::Shanghai;
        assert_eq!(december.period(zone).to, december.next().period(zone).from);
        assert_eq!(Month::at(zone, december.period(zone).to - 1), december);
    }
}
