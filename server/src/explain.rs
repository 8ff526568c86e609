//! `kioskwatch-server explain`: how a date or a figure came about, step by step.
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use clap::Subcommand;
use kioskwatch_domain::{
    change::{MonthRow, MonthSums},
    inspection::{Period, Planner},
    uptime::{Margin, Month, Reliability, Verdict, books::total},
    wall,
};
use kioskwatch_proto::KioskId;

use crate::{
    app::{NotLive, UptimePeriod, UptimeReader, inspection_policy},
    cli::{Problem, block_on, load, open_to_read, print},
    run,
    store::Scope,
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
        Explain::Uptime { config, kiosk, month } => uptime(config.as_deref(), &kiosk, &month),
        Explain::Inspection { config, period } => inspection(config.as_deref(), &period),
    }
}

fn uptime(config: Option<&Path>, kiosk: &str, month: &str) -> Result<(), Problem> {
    let kiosk = KioskId::new(kiosk).map_err(|e| Problem::Usage(format!("--kiosk: {e}")))?;
    let first = NaiveDate::parse_from_str(&format!("{month}-01"), "%Y-%m-%d")
        .map_err(|_| Problem::Usage(format!("--month {month}: expected a month like 2026-10")))?;
    let period = {
        use chrono::Datelike as _;
        UptimePeriod::Month { year: first.year(), month: first.month() }
    };
    let config = load(config)?;
    let calendar = run::calendar(&config).map_err(|e| Problem::Usage(e.to_string()))?;
    block_on(async {
        let store = open_to_read(&config).await?;
        let now = crate::clock::Clock::start().now();
        let reader =
            UptimeReader { store: &store, config: &config, calendar: &calendar, now, live: &NotLive };
        let told = reader.explain(&Scope::All, &kiosk, period, None).await.map_err(Problem::failed)?;
        let mut text = String::new();
        let figures = &told.figures;
        let _ = writeln!(
            text,
            "{kiosk}  {} to {}  ({})",
            local(told.zone, told.period.from),
            local(told.zone, told.period.to),
            told.zone
        );
        let _ = writeln!(text, "accountable {} s, known {} s", figures.accountable_s, figures.known_s);
        for (name, ratio) in
            [("on", figures.on), ("avail", figures.avail), ("full", figures.full), ("online", figures.online)]
        {
            let _ = writeln!(text, "{name:<7} {:>12} / {:<12} {}", ratio.num, ratio.den, ratio.display());
        }
        if told.period.from < told.kept_from {
            let day = local(told.zone, told.kept_from);
            let _ = writeln!(
                text,
                "evidence of before {day} may be removed: that time is unknown, not down; signed versions stay"
            );
        }
        beside(&mut text, &told.sums, told.target, told.zone);
        if let Some(month) = month_of(month) {
            let rows = store.versions_of_month(&Scope::All, &kiosk, month).await.map_err(Problem::failed)?;
            versions(&mut text, &rows, told.zone);
        }
        let _ = writeln!(
            text,
            "\nfrom                 to                   seconds state    source  cause        on     avail  full   why"
        );
        for piece in &told.intervals {
            let _ = writeln!(
                text,
                "{:<20} {:<20} {:>7} {:<8} {:<7} {:<12} {:<6} {:<6} {:<6} {}",
                local(told.zone, piece.from),
                local(told.zone, piece.to),
                piece.to - piece.from,
                piece.state.map_or("-", |state| state.as_str()),
                piece.source.map_or("-", |source| source.as_str()),
                piece.cause.map_or("-", |cause| cause.as_str()),
                word(piece.on.verdict),
                word(piece.avail.verdict),
                word(piece.full.verdict),
                if told.is_forgotten(piece) { "evidence_removed" } else { piece.avail.why.as_str() },
            );
        }
        store.close().await;
        print(&text)
    })
}

fn month_of(text: &str) -> Option<Month> {
    text.parse().ok()
}

/// What stands beside the ratios: causes, outages, and where availability is against its target.
fn beside(text: &mut String, sums: &MonthSums, target: (i64, i64), zone: Tz) {
    let avail = sums.figures.avail;
    let _ = writeln!(
        text,
        "excluded {} s; avail without any exclusion {}",
        sums.excluded_s,
        sums.raw_avail.display()
    );
    for (cause, seconds) in &sums.figures.causes {
        let _ = writeln!(text, "down by {:<12} {seconds} s", cause.as_str());
    }
    let _ = write!(text, "times unavailable {}", sums.outages);
    if let Some(one) = Reliability::of(avail, sums.outages) {
        let at = sums.longest_outage_at.map_or_else(String::new, |at| local(zone, at.secs()));
        let _ = write!(text, ", longest {} s from {at}", sums.longest_outage_s);
        let _ = write!(text, ", MTBF {} s, MTTR {} s", one.mtbf_s, one.mttr_s);
    }
    let _ = writeln!(text);
    if let Some(margin) = Margin::of(avail, target) {
        let word = |met| if met { "met" } else { "missed" };
        let _ = writeln!(
            text,
            "target {}/{} {}: {} s may be down, {} s left; one more hour down: {}, {}",
            target.0,
            target.1,
            word(margin.met),
            margin.allowed_down_s,
            margin.left_s,
            margin.after_one_hour.display(),
            word(margin.met_after_one_hour),
        );
    }
}

/// Every version of the month in the books, oldest first; what is known now comes before them.
fn versions(text: &mut String, rows: &[MonthRow], zone: Tz) {
    let newest = rows.iter().map(|row| row.version).max().unwrap_or(0);
    for version in 0..=newest {
        let of: Vec<&MonthRow> = rows.iter().filter(|row| row.version == version).collect();
        let Some(first) = of.first() else { continue };
        let avail = total(&of).figures.avail;
        let name = if version == 0 { "known now".to_owned() } else { format!("version {version}") };
        let _ = writeln!(
            text,
            "{name:<10} booked {}  avail {} / {} {}  inputs {}",
            local(zone, first.booked_at.secs()),
            avail.num,
            avail.den,
            avail.display(),
            &first.fingerprint[..first.fingerprint.len().min(16)],
        );
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Up => "up",
        Verdict::Down => "down",
        Verdict::LeftOut => "out",
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
