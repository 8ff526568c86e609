//! When a site is open, and approved time that does not count.
use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveTime, Timelike};
use chrono_tz::Tz;
use kioskwatch_proto::Timestamp;
use serde::Deserialize;

use crate::{
    calendar::WorkCalendar,
    change::ExclusionRow,
    service_hours::{Schedule, ScheduleVersion, Weekly, Window as Opening},
};

/// An approved exclusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) id: uuid::Uuid,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Window {
    /// `None` while nobody approved it.
    pub(super) fn of(row: &ExclusionRow) -> Option<Self> {
        row.approved_by.as_ref().map(|_| Self { id: row.id, from: row.from, to: row.to })
    }

    pub(super) fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.to
    }
}

/// The opening hours of a site with its wall clock.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hours {
    pub(super) zone: Tz,
    schedule: Schedule,
}

impl Hours {
    /// # Errors
    /// What is wrong with the texts, for the person who wrote them.
    pub(super) fn parse(timezone: &str, schedule: &str) -> Result<Self, String> {
        let zone: Tz = timezone.parse().map_err(|_| format!("{timezone:?} is no IANA time zone"))?;
        if schedule.trim().is_empty() {
            return Ok(Self { zone, schedule: Schedule::always_open() });
        }
        let versions: Vec<VersionText> =
            serde_json::from_str(schedule).map_err(|e| format!("service hours: {e}"))?;
        if versions.is_empty() {
            return Ok(Self { zone, schedule: Schedule::always_open() });
        }
        let versions: Result<Vec<ScheduleVersion>, String> =
            versions.into_iter().map(VersionText::into_version).collect();
        Ok(Self { zone, schedule: Schedule::new(versions?) })
    }

    /// What a row that cannot be read means: always open, so that no problem is hidden.
    pub(super) fn always() -> Self {
        Self { zone: Tz::UTC, schedule: Schedule::always_open() }
    }

    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.schedule.is_open(self.zone, &no_holidays(), now.secs())
    }

    pub(super) fn next_open(&self, now: Timestamp, days: u16) -> Option<Timestamp> {
        let at = self.schedule.next_open(self.zone, &no_holidays(), now.secs(), days)?;
        Some(Timestamp(at.saturating_mul(1_000)))
    }

    pub(super) fn date(&self, now: Timestamp) -> NaiveDate {
        crate::wall::date_of(self.zone, now.secs())
    }
}

/// Public holidays change figures, which read the calendar; a ticket is not held back by one.
fn no_holidays() -> WorkCalendar {
    WorkCalendar::from_lists(&[], &[])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionText {
    effective_from: Option<String>,
    weekly: WeeklyText,
    #[serde(default)]
    exceptions: BTreeMap<String, Vec<(String, String)>>,
    #[serde(default)]
    use_calendar: bool,
    makeup_day_hours: Option<Vec<(String, String)>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WeeklyText {
    Word(String),
    Rows(BTreeMap<String, Vec<(String, String)>>),
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl VersionText {
    fn into_version(self) -> Result<ScheduleVersion, String> {
        let weekly = match self.weekly {
            WeeklyText::Word(word) if word == "24x7" => Weekly::AlwaysOpen,
            WeeklyText::Word(word) => return Err(format!("service hours: {word:?} is not \"24x7\"")),
            WeeklyText::Rows(rows) => {
                if let Some(day) = rows.keys().find(|day| !DAYS.contains(&day.as_str())) {
                    return Err(format!("service hours: {day:?} is none of mon … sun"));
                }
                let mut week: [Vec<Opening>; 7] = Default::default();
                for (row, day) in week.iter_mut().zip(DAYS) {
                    *row = openings(rows.get(day).map_or(&[], Vec::as_slice))?;
                }
                Weekly::Rows(week)
            }
        };
        let mut version = ScheduleVersion::new(self.effective_from.as_deref().map(date).transpose()?, weekly);
        for (day, rows) in &self.exceptions {
            version.exceptions.insert(date(day)?, openings(rows)?);
        }
        if self.use_calendar {
            version.makeup_day = Some(openings(self.makeup_day_hours.as_deref().unwrap_or(&[]))?);
        }
        Ok(version)
    }
}

fn date(text: &str) -> Result<NaiveDate, String> {
    text.parse().map_err(|_| format!("service hours: {text:?} is no date like 2026-11-21"))
}

fn openings(rows: &[(String, String)]) -> Result<Vec<Opening>, String> {
    rows.iter()
        .map(|(opens, closes)| {
            let bad = || format!("service hours: {opens}-{closes} is no window of the day");
            let (opens, closes) = (second_of_day(opens), second_of_day(closes));
            opens.zip(closes).and_then(|(o, c)| Opening::new(o, c)).ok_or_else(bad)
        })
        .collect()
}

fn second_of_day(text: &str) -> Option<u32> {
    if text == "24:00" {
        return Some(86_400);
    }
    let time = NaiveTime::parse_from_str(text, "%H:%M")
        .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"))
        .ok()?;
    Some(time.num_seconds_from_midnight())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_hours_are_read_on_the_wall_clock_of_the_site() {
        let text = r#"[{"weekly":{"mon":[["08:00","20:00"]],"sat":[["22:00","02:00"]]}}]"#;
        let hours = Hours::parse("Asia/Shanghai", text).unwrap();
        let at = |text: &str| Timestamp::parse(text).unwrap();
        assert!(hours.is_open(at("2026-11-23T08:00:00+08:00")));
        assert!(!hours.is_open(at("2026-11-23T20:00:00+08:00")));
        assert!(hours.is_open(at("2026-11-22T01:59:59+08:00")));
        let next = hours.next_open(at("2026-11-22T12:00:00+08:00"), 14);
        assert_eq!(next, Some(at("2026-11-23T08:00:00+08:00")));
    }

    #[test]
    fn careless_hours_are_refused_with_the_place() {
        for (zone, text) in [
            ("Asia/Nowhere", ""),
            ("UTC", "{}"),
            ("UTC", r#"[{"weekly":"always"}]"#),
            ("UTC", r#"[{"weekly":{"montag":[]}}]"#),
            ("UTC", r#"[{"weekly":{"mon":[["08:00","25:00"]]}}]"#),
        ] {
            assert!(Hours::parse(zone, text).is_err(), "{zone} {text}");
        }
        assert!(Hours::parse("UTC", "").unwrap().is_open(Timestamp(0)));
    }
}
