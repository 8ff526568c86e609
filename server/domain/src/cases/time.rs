//! Times as they are written in case files.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;

use crate::calendar::{CalendarYear, MissingYears, WorkCalendar, YearStatus};
use crate::interval::{BEGINNING, END, Interval, IntervalSet};
use crate::json::{Node, ReadError as CaseError};
use crate::wall;

impl Node<'_> {
    pub(super) fn zone(&self) -> Result<Tz, CaseError> {
        let name = self.text()?;
        name.parse().map_err(|_| self.error(format!("\"{name}\" is no IANA zone such as \"Asia/Shanghai\"")))
    }

    /// A date-time with an offset, or a wall time in `zone`.
    pub(super) fn instant(&self, zone: Tz) -> Result<i64, CaseError> {
        let text = self.text()?;
        parse_instant(zone, text)
            .ok_or_else(|| self.error(format!("\"{text}\" is no date-time such as \"2026-03-10T23:30\"")))
    }

    /// `[from, to]`, where a `to` of null means without end.
    pub(super) fn interval(&self, zone: Tz) -> Result<Interval, CaseError> {
        let (from, to) = self.pair()?;
        let to = if to.is_null() { END } else { to.instant(zone)? };
        let from = if from.is_null() { BEGINNING } else { from.instant(zone)? };
        Ok(Interval::new(from, to))
    }

    pub(super) fn interval_set(&self, zone: Tz) -> Result<IntervalSet, CaseError> {
        self.items()?.iter().map(|one| one.interval(zone)).collect()
    }

    /// The working days of a header, with their zone.
    pub(super) fn calendar(&self, missing: MissingYears) -> Result<(Tz, WorkCalendar), CaseError> {
        let zone = self.need("tz")?.zone()?;
        let mut years = BTreeMap::new();
        for (year, data) in self.need("years")?.entries()? {
            let number = year.parse().map_err(|_| data.error("the key is no year"))?;
            let status = data.need("status")?;
            let status = match status.text()? {
                "official" => YearStatus::Official,
                "provisional" => YearStatus::Provisional,
                other => {
                    let problem = format!("\"{other}\" is neither \"official\" nor \"provisional\"");
                    return Err(status.error(problem));
                }
            };
            let source = data.or("source", String::new(), |node| Ok(node.text()?.to_owned()))?;
            let off: BTreeSet<NaiveDate> = data.dates("off")?.into_iter().collect();
            let work: BTreeSet<NaiveDate> = data.dates("work")?.into_iter().collect();
            years.insert(number, CalendarYear { status, source, version: String::new(), off, work });
        }
        Ok((zone, WorkCalendar::new(years, missing)))
    }
}

/// Milliseconds, where somebody wrote them, are floored.
fn parse_instant(zone: Tz, text: &str) -> Option<i64> {
    let (text, utc) = text.strip_suffix('Z').map_or((text, ""), |bare| (bare, "+00:00"));
    let with_offset = format!("{text}{utc}");
    let offset = ["%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M%:z"]
        .iter()
        .find_map(|format| DateTime::parse_from_str(&with_offset, format).ok());
    if let Some(instant) = offset {
        return Some(instant.timestamp());
    }
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    Some(wall::instant_of(zone, local))
}
