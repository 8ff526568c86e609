//! Inspections that are due: until when, and until when their report.
use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono_tz::Tz;
use kioskwatch_domain::inspection::{InspectionState, ReportState};
use kioskwatch_proto::{KioskId, Timestamp};
use serde::Deserialize;

use super::{
    refusal,
    shell::{Shell, encoded, render},
    texts::Texts,
    time::{self, At},
    tone::Tone,
};
use crate::{
    app::DueInspection,
    http::{May, Problem, See, Web, site_names},
    store::PageRequest,
};

/// Kiosks of a page; each owes one to four.
const KIOSKS: u32 = 50;

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "inspections.html")]
struct InspectionsPage {
    shell: Shell,
    t: &'static Texts,
    lines: Vec<Line>,
    /// Kiosks whose dates cannot be known, and why.
    problems: Vec<String>,
    next: Option<String>,
}

struct Line {
    kiosk: KioskId,
    site: String,
    kind: &'static str,
    period: String,
    tone: &'static str,
    state: &'static str,
    report: &'static str,
    /// First and last day.
    window: [String; 2],
    report_due: At,
    provisional: bool,
}

pub(super) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Query(which): Query<Which>,
) -> Result<Html<String>, Problem> {
    let (t, now) = (shell.t, web.app().clock().now());
    let request = PageRequest::new(Some(KIOSKS), which.cursor);
    let found = web.app().inspections(caller.scope(), now, &request).await?;
    let sites = site_names(&web, &caller);
    let line = |item: &DueInspection| {
        let site = item.site.as_ref().and_then(|id| sites.get(id)).map(|site| site.name().to_owned());
        Line::new(t, now, item, site.unwrap_or_default())
    };
    render(&InspectionsPage {
        lines: found.items.iter().map(line).collect(),
        problems: found.problems.iter().map(|problem| refusal::told(t, Tz::UTC, problem)).collect(),
        next: found.next_cursor.map(|cursor| format!("/inspections?cursor={}", encoded(&cursor))),
        t,
        shell,
    })
}

impl Line {
    fn new(t: &'static Texts, now: Timestamp, item: &DueInspection, site: String) -> Self {
        let at = |seconds: i64| Timestamp(seconds.saturating_mul(1_000));
        let day = |seconds| time::local(item.zone, at(seconds))[..10].to_owned();
        let (plan, outcome) = (item.due.plan, item.due.outcome);
        Self {
            kiosk: item.kiosk.clone(),
            site,
            kind: t.word_of("inspection", item.due.kind.as_str()),
            period: plan.period.to_string(),
            tone: tone(outcome.inspection).class(),
            state: t.word_of("inspection", outcome.inspection.as_str()),
            report: outcome.report.map_or("", |report| t.word_of("report", ReportState::as_str(report))),
            // Its end is the first second that is too late.
            window: [day(plan.window_from), day(plan.window_to - 1)],
            report_due: At::new(item.zone, now, at(plan.report_due_strict)),
            provisional: plan.provisional,
        }
    }
}

const fn tone(state: InspectionState) -> Tone {
    match state {
        InspectionState::Overdue | InspectionState::Missed => Tone::Out,
        InspectionState::Late => Tone::Warn,
        InspectionState::Open => Tone::Wait,
        InspectionState::OnTime => Tone::Ok,
        InspectionState::Planned => Tone::Busy,
        InspectionState::Waived | InspectionState::NotDue => Tone::Unknown,
    }
}
