//! When a site is open, and approved time that does not count.
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDate;
use chrono_tz::Tz;
use kioskwatch_proto::Timestamp;

use crate::{
    calendar::WorkCalendar,
    change::ExclusionRow,
    service_hours::{Schedule, Stretch},
};

/// An approved exclusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) id: uuid::Uuid,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Window {
    /// `None` while nobody approved it, and once it was taken back.
    pub(super) fn of(row: &ExclusionRow) -> Option<Self> {
        row.approved_by.as_ref().filter(|_| row.withdrawn.is_none()).map(|_| Self {
            id: row.id,
            from: row.from,
            to: row.to,
        })
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
    last: LastStretch,
}

/// What the schedule said last. It follows from the schedule, so it is no state: a copy begins without it, and
/// hours that differ in nothing else are equal. Every scrape asks every site, and a calendar costs microseconds.
#[derive(Debug, Default)]
struct LastStretch(Mutex<Option<Stretch>>);

impl Clone for LastStretch {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for LastStretch {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Hours {
    /// # Errors
    /// What is wrong with the texts, for the person who wrote them.
    pub(super) fn parse(timezone: &str, schedule: &str) -> Result<Self, String> {
        let zone: Tz = timezone.parse().map_err(|_| format!("{timezone:?} is no IANA time zone"))?;
        let schedule = Schedule::of_site(schedule).map_err(|e| e.to_string())?;
        Ok(Self { zone, schedule, last: LastStretch::default() })
    }

    /// What a row that cannot be read means: always open, so that no problem is hidden.
    pub(super) fn always() -> Self {
        Self { zone: Tz::UTC, schedule: Schedule::always_open(), last: LastStretch::default() }
    }

    /// By the same hours as figures: their versions, exceptions, and the calendar where the site keeps one. The calendar
    /// is always the same one while a fleet lives.
    pub(super) fn is_open(&self, calendar: &WorkCalendar, now: Timestamp) -> bool {
        let mut last = self.last.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.filter(|stretch| stretch.within.contains(now.secs()));
        let look = || self.schedule.stretch_from(self.zone, calendar, now.secs());
        last.insert(known.unwrap_or_else(look)).open
    }

    pub(super) fn next_open(&self, calendar: &WorkCalendar, now: Timestamp, days: u16) -> Option<Timestamp> {
        let at = self.schedule.next_open(self.zone, calendar, now.secs(), days)?;
        Some(Timestamp(at.saturating_mul(1_000)))
    }

    pub(super) fn date(&self, now: Timestamp) -> NaiveDate {
        crate::wall::date_of(self.zone, now.secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_hours_are_read_on_the_wall_clock_of_the_site() {
        let text = r#"[{"weekly":{"mon":[["08:00","20:00"]],"sat":[["22:00","02:00"]]}}]"#;
        let hours = Hours::parse("Asia/Shanghai", text).unwrap();
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let calendar = WorkCalendar::default();
        assert!(hours.is_open(&calendar, at("2026-11-23T08:00:00+08:00")));
        assert!(!hours.is_open(&calendar, at("2026-11-23T20:00:00+08:00")));
        assert!(hours.is_open(&calendar, at("2026-11-22T01:59:59+08:00")));
        let next = hours.next_open(&calendar, at("2026-11-22T12:00:00+08:00"), 14);
        assert_eq!(next, Some(at("2026-11-23T08:00:00+08:00")));
    }

    #[test]
    fn what_was_known_of_an_hour_says_nothing_of_another_one() {
        let text = r#"[{"weekly":{"mon":[["08:00","12:00"],["13:00","20:00"]]}}]"#;
        let hours = Hours::parse("Asia/Shanghai", text).unwrap();
        let monday = Timestamp::parse("2026-11-23T00:00:00+08:00").unwrap();
        let calendar = WorkCalendar::default();
        let by_calendar = |now: Timestamp| hours.schedule.is_open(hours.zone, &calendar, now.secs());
        // Forward, and then back as a clock that was ahead.
        let halves: Vec<_> = (-48..96).map(|half| monday.plus_ms(half * 1_800_000)).collect();
        for at in halves.iter().chain(halves.iter().rev()) {
            for at in [at.plus_ms(-1), *at] {
                assert_eq!(hours.is_open(&calendar, at), by_calendar(at), "{at}");
            }
        }
        assert_eq!(hours, hours.clone());
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
        assert!(Hours::parse("UTC", "").unwrap().is_open(&WorkCalendar::default(), Timestamp(0)));
    }
}
