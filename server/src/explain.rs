//! `kioskwatch-server explain`: how a date or a figure came about, step by step.
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use chrono::{DateTime, NaiveDateTime};
use chrono_tz::Tz;
use clap::Subcommand;
use kioskwatch_domain::{
    inspection::{Period, Planner},
    wall,
};

use crate::{
    app::inspection_policy,
    cli::{Problem, load, print},
    run,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Explain {
    /// When a service clock is due, and how the time was counted.
    Deadline(crate::explain_deadline::Deadline),
    /// Every interval of a kiosk's month and why it counted as it did.
    Uptime {
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[arg(long)]
        kiosk: String,
        /// Local month of the kiosk's site: 2026-10.
        #[arg(long, value_name = "YYYY-MM")]
        month: String,
    },
    /// Windows and deadlines of an inspection period.
    Inspection {
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A month (2026-09) for the inspection by phone, a quarter (2026-Q3) for the one on site.
        #[arg(long)]
        period: String,
    },
}

pub(crate) fn run(what: Explain) -> Result<(), Problem> {
    match what {
        Explain::Deadline(deadline) => deadline.explain(),
        Explain::Uptime { config, kiosk, month } => {
            crate::explain_uptime::uptime(config.as_deref(), &kiosk, &month)
        }
        Explain::Inspection { config, period } => inspection(config.as_deref(), &period),
    }
}

fn inspection(config: Option<&Path>, period: &str) -> Result<(), Problem> {
    let wanted = Period::parse(period).ok_or_else(|| {
        Problem::Usage(format!("--period {period}: expected a month like 2026-09 or a quarter like 2026-Q3"))
    })?;
    // Without a file the defaults of the sample hold: dates can be asked for on any machine.
    let config = load(config)?;
    let calendar = run::calendar(&config).map_err(|e| Problem::Usage(e.to_string()))?;
    let policy = inspection_policy(&config);
    let zone: Tz = config.console.timezone.parse().unwrap_or(chrono_tz::Asia::Shanghai);
    let planner = Planner { policy: &policy, zone, calendar: &calendar };
    let plan = planner.plan(wanted).map_err(Problem::failed)?;
    let mut text = String::new();
    let _ = writeln!(text, "{period}  inspection {}  ({zone})", wanted.kind().as_str());
    let rows = [
        ("period", Some(plan.period_from), Some(plan.period_to), "from its first day up to the next period"),
        (
            "window",
            Some(plan.window_from),
            Some(plan.window_to),
            "planned start on a working day; ends at 24:00",
        ),
        ("latest start", Some(plan.latest_start), None, "the window must still fit into the period"),
        ("report due, strict", Some(plan.report_due_strict), None, "before this day begins"),
        ("report due, lenient", Some(plan.report_due_lenient), None, "in between the report is disputed"),
        ("reminder", Some(plan.remind_at), None, "last working day before the strict due, 09:00"),
    ];
    for (name, from, to, why) in rows {
        let from = from.map_or_else(String::new, |t| local(zone, t));
        let to = to.map_or_else(String::new, |t| format!(" to {}", local(zone, t)));
        let _ = writeln!(text, "{name:<20} {:<44} {why}", format!("{from}{to}"));
    }
    if plan.provisional {
        let _ = writeln!(text, "provisional: no official holiday notice for a year that was asked");
    }
    print(&text)
}

pub(crate) fn local(zone: Tz, t: i64) -> String {
    wall::local_of(zone, t).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A local wall time, or an instant with an offset.
pub(crate) fn instant(zone: Tz, text: &str) -> Option<i64> {
    if let Ok(t) = DateTime::parse_from_rfc3339(text) {
        return Some(t.timestamp());
    }
    ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|t| wall::instant_of(zone, t))
}
