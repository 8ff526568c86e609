//! One year's calendar file: TOML, with its source.
//!
//! Somebody types this file once a year from a printed notice, so every mistake we can see is refused
//! with the key and what would be right: a wrong day off moves deadlines of the whole fleet.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate, Weekday};
use chrono_tz::Tz;
use serde::Deserialize;

use super::{CalendarYear, YearStatus};

const SCHEMA: &str = "kioskwatch-calendar-1";

/// A calendar file that we refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("calendar file {file}: {key}: {problem}")]
pub struct CalendarFileError {
    pub file: String,
    /// The key that is wrong, as a path into the file; `file` when it is no TOML of ours at all.
    pub key: String,
    pub problem: String,
}

impl CalendarFileError {
    fn new(file: &str, key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), key: key.into(), problem: problem.into() }
    }

    pub(super) fn twice(file: &str, year: i32, other_id: &str) -> Self {
        let cure = "give both the same id to replace it, or keep one";
        Self::new(file, "year", format!("calendar {other_id} already describes {year}; {cure}"))
    }
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarFile {
    /// Short name of the calendar, such as `cn-2026`.
    pub id: String,
    pub country: String,
    pub zone: Tz,
    pub year: i32,
    /// The day the notice was published; a newer one of the same year replaces it.
    pub source_date: NaiveDate,
    pub source_url: Option<String>,
    pub days: CalendarYear,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    schema: String,
    id: String,
    country: String,
    timezone: String,
    year: i32,
    status: String,
    source: String,
    source_date: String,
    source_url: Option<String>,
    #[serde(default)]
    holiday: Vec<RawHoliday>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHoliday {
    name: String,
    #[expect(dead_code, reason = "named for readers of the file; the format allows it")]
    name_en: Option<String>,
    off_days: Vec<String>,
    #[serde(default)]
    makeup_work_days: Vec<String>,
}

impl CalendarFile {
    /// Reads the text of a file; `file` is its name, for the error.
    ///
    /// # Errors
    /// Not TOML, an unknown or missing key, or a value that cannot be right.
    pub fn parse(file: &str, text: &str) -> Result<Self, CalendarFileError> {
        let raw: Raw = toml::from_str(text)
            .map_err(|error| CalendarFileError::new(file, "file", error.to_string().trim().to_owned()))?;
        let wrong = |key: &str, problem: String| CalendarFileError::new(file, key, problem);
        if raw.schema != SCHEMA {
            return Err(wrong("schema", format!("\"{}\" is not \"{SCHEMA}\"", raw.schema)));
        }
        let zone = raw.timezone.parse().map_err(|_| {
            wrong("timezone", format!("\"{}\" is no IANA zone such as \"Asia/Shanghai\"", raw.timezone))
        })?;
        let status = match raw.status.as_str() {
            "official" => YearStatus::Official,
            "provisional" => YearStatus::Provisional,
            other => {
                return Err(wrong(
                    "status",
                    format!("\"{other}\" is neither \"official\" nor \"provisional\""),
                ));
            }
        };
        if raw.source.trim().is_empty() {
            return Err(wrong("source", "empty; name the notice these days come from".to_owned()));
        }
        let source_date =
            date(&raw.source_date).map_err(|problem| CalendarFileError::new(file, "source_date", problem))?;
        let (off, work) = lists(file, raw.year, &raw.holiday)?;
        let version = format!("{}@{source_date}", raw.id);
        Ok(Self {
            id: raw.id,
            country: raw.country,
            zone,
            year: raw.year,
            source_date,
            source_url: raw.source_url,
            days: CalendarYear { status, source: raw.source, version, off, work },
        })
    }
}

type DayLists = (BTreeSet<NaiveDate>, BTreeSet<NaiveDate>);

fn lists(file: &str, year: i32, holidays: &[RawHoliday]) -> Result<DayLists, CalendarFileError> {
    let (mut off, mut work) = (BTreeSet::new(), BTreeSet::new());
    for (at, holiday) in holidays.iter().enumerate() {
        let place = |list: &str| format!("holiday[{at}] ({}).{list}", holiday.name);
        for text in &holiday.off_days {
            take(text, year, &mut off).map_err(|p| CalendarFileError::new(file, place("off_days"), p))?;
        }
        for text in &holiday.makeup_work_days {
            let wrong = |problem| CalendarFileError::new(file, place("makeup_work_days"), problem);
            let day = take(text, year, &mut work).map_err(wrong)?;
            if !matches!(day.weekday(), Weekday::Sat | Weekday::Sun) {
                return Err(wrong(format!("{day} is a {}; only a week-end day is made up", day.weekday())));
            }
        }
    }
    if let Some(both) = off.intersection(&work).next() {
        let problem = format!("{both} is both a day off and a make-up work day; keep it in one list");
        return Err(CalendarFileError::new(file, "holiday", problem));
    }
    Ok((off, work))
}

fn take(text: &str, year: i32, into: &mut BTreeSet<NaiveDate>) -> Result<NaiveDate, String> {
    let day = date(text)?;
    if day.year() != year {
        return Err(format!("{day} is not in {year}; it belongs in the file of {}", day.year()));
    }
    if !into.insert(day) {
        return Err(format!("{day} is listed twice"));
    }
    Ok(day)
}

fn date(text: &str) -> Result<NaiveDate, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no date; write it as \"2026-01-31\""))
}
