//! Opening hours as a site's record and a case file carry them: a JSON array of versions.
//!
//! `[{"effective_from": "2026-03-16", "weekly": {"mon": [["08:00", "20:00"]]}, "exceptions": {"2026-05-01": []},
//! "use_calendar": true, "makeup_day_hours": [["09:00", "17:00"]]}]`; only `weekly` is required, and it may
//! be `"24x7"`.

use super::{Schedule, ScheduleVersion, Weekly, Window};
use crate::json::{Node, ReadError};

/// Monday first.
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Schedule {
    /// Reads the JSON text of a site.
    ///
    /// # Errors
    /// Not JSON, or the first key that cannot be right, with its path.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        let place = "service_hours";
        let value = serde_json::from_str(text)
            .map_err(|error| ReadError::new(place, "it", format!("not JSON: {error}")))?;
        Self::read(&Node::root(place, &value))
    }

    /// Reads what a site's record holds: no text is always open.
    ///
    /// # Errors
    /// As [`Schedule::parse`].
    pub fn of_site(text: &str) -> Result<Self, ReadError> {
        if text.trim().is_empty() { Ok(Self::always_open()) } else { Self::parse(text) }
    }

    /// Reads what somebody enters. A window that opens and closes at one instant is stored as a whole day from then
    /// on, and meant as none as often: what was stored stays what it is, but nobody enters it anew.
    ///
    /// # Errors
    /// As [`Schedule::of_site`], and such a window.
    pub fn entered(text: &str) -> Result<Self, ReadError> {
        let schedule = Self::of_site(text)?;
        let mut windows = schedule.versions.iter().flat_map(windows_of);
        let empty = windows.find(|window| window.opens == window.closes).copied();
        drop(windows);
        match empty {
            None => Ok(schedule),
            Some(window) => {
                let (h, m) = (window.opens / 3_600, window.opens / 60 % 60);
                let problem = format!(
                    "opens and closes at {h:02}:{m:02}; a whole day is [\"00:00\",\"24:00\"], a closed one an empty list"
                );
                Err(ReadError::new("service_hours", "a window", problem))
            }
        }
    }

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, ReadError> {
        Ok(Self::new(node.items()?.iter().map(version).collect::<Result<_, _>>()?))
    }
}

fn windows_of(version: &ScheduleVersion) -> impl Iterator<Item = &Window> {
    let week = match &version.weekly {
        Weekly::AlwaysOpen => [].as_slice(),
        Weekly::Rows(week) => week.as_slice(),
    };
    let days = week.iter().chain(version.exceptions.values()).chain(&version.makeup_day);
    days.flatten()
}

fn version(node: &Node<'_>) -> Result<ScheduleVersion, ReadError> {
    let mut version =
        ScheduleVersion::new(node.maybe("effective_from", Node::date)?, weekly(&node.need("weekly")?)?);
    if let Some(exceptions) = node.get("exceptions") {
        for (day, rows) in exceptions.entries()? {
            let day = day.parse().map_err(|_| rows.error("the key is no date such as \"2026-03-16\""))?;
            version.exceptions.insert(day, windows(&rows)?);
        }
    }
    if node.or("use_calendar", false, Node::flag)? {
        version.makeup_day = Some(node.or("makeup_day_hours", Vec::new(), windows)?);
    }
    Ok(version)
}

fn weekly(node: &Node<'_>) -> Result<Weekly, ReadError> {
    if node.text().is_ok_and(|text| text == "24x7") {
        return Ok(Weekly::AlwaysOpen);
    }
    let mut week: [Vec<Window>; 7] = Default::default();
    for (name, rows) in node.entries()? {
        let day = WEEKDAYS.iter().position(|weekday| *weekday == name);
        let day = day.ok_or_else(|| rows.error(format!("is none of {}", WEEKDAYS.join(", "))))?;
        week[day] = windows(&rows)?;
    }
    Ok(Weekly::Rows(week))
}

fn windows(node: &Node<'_>) -> Result<Vec<Window>, ReadError> {
    let window = |row: &Node<'_>| {
        let (opens, closes) = row.pair()?;
        let window = Window::new(opens.time_of_day()?, closes.time_of_day()?);
        window.ok_or_else(|| row.error("lies outside the day"))
    };
    let mut windows: Vec<Window> = node.items()?.iter().map(window).collect::<Result<_, _>>()?;
    windows.shrink_to_fit();
    Ok(windows)
}
