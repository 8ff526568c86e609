//! `kioskwatch-server explain deadline`: when a service clock is due, and which stretches of time it counted.
use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use chrono_tz::Tz;
use clap::Args;
use kioskwatch_domain::{
    calendar::WorkCalendar,
    sla::{Clock, Hours, OfficeHours, Pause, Pauses},
};

use crate::{
    cli::{Problem, load, print},
    explain::{instant, local},
    run,
};

/// Office hours by name: (opens, closes) in seconds after local midnight of a working day.
fn office(name: &str) -> Option<OfficeHours> {
    let known: BTreeMap<&str, &[(i64, i64)]> =
        BTreeMap::from([("cn-office", &[(9 * 3_600, 18 * 3_600)][..])]);
    known.get(name).and_then(|windows| OfficeHours::new(windows))
}

#[derive(Debug, Args)]
pub(crate) struct Deadline {
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// 7x24 or cn-office.
    #[arg(long)]
    calendar: String,
    /// Local wall time (2026-03-10T09:00) or an instant with an offset.
    #[arg(long)]
    start: String,
    /// Running time: 40m, 4h, 72h, 1d (24 h), 90s.
    #[arg(long)]
    budget: String,
    /// FROM/TO of a pause; without TO it is still open. May be given several times.
    #[arg(long, num_args = 1.., value_name = "FROM/TO")]
    pause: Vec<String>,
}

impl Deadline {
    pub(crate) fn explain(&self) -> Result<(), Problem> {
        let config = load(self.config.as_deref())?;
        let work: WorkCalendar = run::calendar(&config).map_err(|e| Problem::Usage(e.to_string()))?;
        let zone: Tz = config.console.timezone.parse().unwrap_or(chrono_tz::Asia::Shanghai);
        let at = |name: &str, text: &str| {
            instant(zone, text).ok_or_else(|| {
                Problem::Usage(format!(
                    "--{name} {text}: expected a time like 2026-03-10T09:00 or with an offset"
                ))
            })
        };
        let start = at("start", &self.start)?;
        let budget_s = seconds(&self.budget).ok_or_else(|| {
            Problem::Usage(format!("--budget {}: expected 40m, 4h, 1d or 90s", self.budget))
        })?;
        let office_hours = office(&self.calendar);
        let hours = match (&office_hours, self.calendar.as_str()) {
            (Some(hours), _) => Hours::Office(hours),
            (None, "7x24") => Hours::Always,
            (None, other) => {
                return Err(Problem::Usage(format!("--calendar {other}: expected 7x24 or cn-office")));
            }
        };
        let mut pauses = Vec::new();
        for text in &self.pause {
            let (from, to) = text.split_once('/').unwrap_or((text, ""));
            let to = if to.is_empty() { None } else { Some(at("pause", to)?) };
            pauses.push(Pause { from: at("pause", from)?, to });
        }
        let pauses: Pauses = pauses.into_iter().collect();
        let clock = Clock { hours, zone, calendar: &work, pauses: &pauses };
        let due = clock.walk(start, budget_s).map_err(Problem::failed)?;
        let counted = clock.counted(start, budget_s).map_err(Problem::failed)?;

        let mut text = String::new();
        let _ = writeln!(text, "calendar {}  ({zone})", self.calendar);
        let _ = writeln!(text, "start    {}", local(zone, start));
        let _ = writeln!(text, "budget   {budget_s} s of running time\n");
        let mut sum = 0;
        for stretch in &counted.value {
            sum += stretch.length();
            let (from, to) = (local(zone, stretch.from), local(zone, stretch.to));
            let _ = writeln!(text, "{from}  to  {to}  {:>8} s  = {sum} s", stretch.length());
        }
        match due.value {
            Some(due) => {
                let _ = writeln!(text, "\ndue      {}", local(zone, due));
            }
            None => {
                let _ = writeln!(text, "\ndue      none: a pause is open, {} s remain", budget_s - sum);
            }
        }
        if due.provisional {
            let _ = writeln!(text, "provisional: no official holiday notice for a year that was asked");
        }
        print(&text)
    }
}

fn seconds(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let (number, factor) = match unit {
        's' => (&text[..text.len() - 1], 1),
        'm' => (&text[..text.len() - 1], 60),
        'h' => (&text[..text.len() - 1], 3_600),
        'd' => (&text[..text.len() - 1], 86_400),
        '0'..='9' => (text, 1),
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor).filter(|&s| s > 0)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn budgets_are_read_with_their_unit() {
        let table = [
            ("4h", Some(14_400)),
            ("40m", Some(2_400)),
            ("1d", Some(86_400)),
            ("90", Some(90)),
            ("90s", Some(90)),
        ];
        for (text, expected) in table {
            assert_eq!(seconds(text), expected, "{text}");
        }
        for bad in ["", "h", "-1h", "0h", "4x", "四h"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
