//! When a site is open, and approved time that does not count.
use chrono::NaiveDate;
use chrono_tz::Tz;
use kioskwatch_proto::Timestamp;

use crate::{calendar::WorkCalendar, change::ExclusionRow, service_hours::Schedule};

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
        let schedule = Schedule::of_site(schedule).map_err(|e| e.to_string())?;
        Ok(Self { zone, schedule })
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
