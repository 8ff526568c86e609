//! A kiosk's month: its figures, its days, and every interval behind a percentage.
use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono::NaiveDate;
use chrono_tz::Tz;
use kioskwatch_domain::{
    interval::Interval,
    uptime::{Figures, Month, Ratio},
    wall,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    super::{
        shell::{Shell, render, zone},
        texts::Texts,
        time::{self, At},
    },
    calendar::{Calendar, Sheet, span_of},
    causes::Causes,
    chosen,
    facts::{self, Fact, facts},
    intervals::{Listed, Reader, Show},
    measure::{Measure, Tally},
    months_up_to, period, title,
    trend::{Judged, Trend},
};
use crate::{
    app::{MONTHS, UptimeAnswer, UptimeError, UptimeExplained, UptimeQuery, UptimeScope, unreadable},
    auth::Right,
    http::{Caller, Id, May, Problem, See, Web, evidence_of},
    store::{PageRequest, RestatementFilter, Scope},
};

/// What a reader chose.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Choice {
    /// `2026-10`; none: the month that runs.
    month: Option<String>,
    measure: Measure,
    show: Show,
    /// `2026-10-25`; none: the whole month.
    day: Option<String>,
    /// Intervals that begin before this second are not listed.
    after: Option<i64>,
}

#[derive(Template)]
#[template(path = "uptime_kiosk.html")]
struct KioskUptimePage {
    shell: Shell,
    t: &'static Texts,
    id: KioskId,
    site: String,
    zone: Tz,
    months: Turn,
    measure: Measure,
    show: Show,
    day: Option<NaiveDate>,
    /// The month is not over: the figures are those of this instant.
    running: bool,
    /// 0: not signed yet.
    version: u32,
    frozen: Option<At>,
    /// The day before which evidence is removed, where that concerns the month.
    forgotten: Option<NaiveDate>,
    /// The signed ratio, where the intervals below it come to another one.
    differs: Option<String>,
    facts: Vec<Fact>,
    figures: Vec<FigureCard>,
    coverage: Option<String>,
    /// What of its site's hours or zone cannot be read.
    problem: Option<String>,
    calendar: Calendar,
    trend: Trend,
    causes: Causes,
    account: Vec<Account>,
    equation: Equation,
    listed: Listed,
    /// Waits for somebody to decide.
    proposal: Option<Uuid>,
    may_ask: bool,
}

/// The month shown and its neighbours.
pub(super) struct Turn {
    pub(super) month: Month,
    pub(super) title: String,
    pub(super) before: Option<Month>,
    pub(super) after: Option<Month>,
}

/// One of the three ratios.
pub(super) struct FigureCard {
    pub(super) measure: Measure,
    pub(super) name: &'static str,
    pub(super) percent: String,
    pub(super) ratio: Ratio,
    pub(super) lost: String,
    /// See [`Measure::meets`].
    pub(super) met: Option<bool>,
    pub(super) chosen: bool,
}

/// One way to count, and its seconds in the chosen span.
struct Account {
    show: Show,
    name: &'static str,
    seconds: i64,
    length: String,
    chosen: bool,
}

/// `up / (up + down) = figure` for the chosen span.
struct Equation {
    ratio: Ratio,
    percent: String,
}

pub(in crate::console) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Id(id): Id<KioskId>,
    Query(choice): Query<Choice>,
) -> Result<Html<String>, Problem> {
    let t = shell.t;
    let app = web.app();
    let store = app.store();
    let site_of = async |id: Option<&SiteId>| match id {
        Some(site) => store.site(caller.scope(), site).await,
        None => Ok(None),
    };
    // One that moved to somebody else's site still has its time at this reader's.
    let view = store.kiosk(caller.scope(), &id).await?;
    let home = site_of(view.as_ref().and_then(|view| view.kiosk.site.as_ref())).await?;
    let zone = zone(&web, home.as_ref().map(|site| site.timezone.as_str()));
    let now = app.clock().now();
    let this_month = Month::at(zone, now.secs());
    let month = chosen(choice.month.as_deref(), this_month)?;
    let told = app.explain_uptime(caller.scope(), &id, period(month), None).await?;
    let (zone, site) = (told.zone, site_of(told.site.as_ref()).await?);
    let day = choice.day.as_deref().and_then(|day| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok());
    let day = day.filter(|day| Month::at(zone, wall::day_start(zone, *day)) == month);
    let span = day.map_or(told.period, |day| span_of(zone, day));
    let reader = Reader { t, zone, now };
    let mut listed = match choice.show {
        Show::Outside => Listed::outside(reader, &told, (span, choice.after)),
        show => Listed::pieces(reader, choice.measure, show, &told, (span, choice.after)),
    };
    if choice.show != Show::Outside
        && let Some(hull) = listed.hull()
    {
        let at = |seconds: i64| Timestamp(seconds.saturating_mul(1_000));
        // Of whomever it belongs to by now: only what speaks for an interval that this reader sees is shown.
        let rows = evidence_of(&web, &Scope::All, &id, at(hull.from), at(hull.to)).await?;
        let clipped = matches!(caller.scope(), Scope::Sites(_));
        listed.prove(reader, &rows, &told, clipped);
    }
    let query = UptimeQuery::of(UptimeScope::Kiosk(id.clone()), period(month));
    let official = app.uptime(caller.scope(), &query).await?;
    let target = official.target;
    let tally = Tally::of(choice.measure, &told.intervals, span);
    let sheet = Sheet {
        zone,
        month,
        measure: choice.measure,
        pieces: &told.intervals,
        outside: &told.outside,
        now: now.secs(),
        chosen: day,
        target,
    };
    let first = told.commissioned_at.map(|at| Month::at(zone, at.secs()));
    let mut shown = months_up_to(month, MONTHS);
    shown.retain(|one| first.is_some_and(|first| *one >= first));
    let months = months(&web, &caller, &id, &shown, choice.measure).await?;
    let (filter, one) = (waiting(&id, month), PageRequest::new(Some(1), None));
    let proposal = app.store().restatements(caller.scope(), &filter, &one).await?.items.pop();
    let sums = if official.version > 0 { &official.sums } else { &told.sums };
    let outages = (choice.measure == Measure::Avail && day.is_none()).then_some(sums);
    let by_cause = facts::by_cause(t, sums).filter(|_| outages.is_none());
    render(&KioskUptimePage {
        t,
        problem: site.as_ref().and_then(|site| unreadable(&site.timezone, &site.service_hours)),
        site: site.map_or_else(|| t.without_site.to_owned(), |site| site.name),
        zone,
        months: Turn::of(t, month, first, this_month),
        measure: choice.measure,
        show: choice.show,
        day,
        running: told.period.to > now.secs(),
        forgotten: (told.period.from < told.kept_from).then(|| wall::date_of(zone, told.kept_from)),
        differs: differing(&told.figures, &official, choice.measure),
        version: official.version,
        frozen: official.frozen_at.map(|at| At::new(zone, now, Timestamp(at.saturating_mul(1_000)))),
        facts: facts(t, sums, choice.measure, target).into_iter().chain(by_cause).collect(),
        figures: FigureCard::all(t, &sums.figures, choice.measure, target),
        coverage: coverage(t, &sums.figures),
        calendar: Calendar::draw(t, &sheet),
        trend: Trend::draw(t, &months, month, target),
        causes: Causes::of(t, &tally, outages),
        account: account(t, &told, choice.show, &tally, span),
        equation: Equation { ratio: tally.ratio(), percent: tally.ratio().display() },
        listed,
        proposal: proposal.map(|row| row.id),
        may_ask: caller.identity.may(Right::Correct),
        id,
        shell,
    })
}

fn waiting(kiosk: &KioskId, month: Month) -> RestatementFilter {
    let (kiosk, month) = (Some(kiosk.clone()), Some(month));
    RestatementFilter { open: Some(true), kiosk, month, ..RestatementFilter::default() }
}

async fn months(
    web: &Web,
    caller: &Caller,
    id: &KioskId,
    shown: &[Month],
    measure: Measure,
) -> Result<Vec<Judged>, Problem> {
    let mut months = Vec::with_capacity(shown.len());
    for &month in shown {
        let scope = UptimeScope::Kiosk(id.clone());
        let query = UptimeQuery::of(scope, period(month));
        let answer = match web.app().uptime(caller.scope(), &query).await {
            // It stood elsewhere for all of it.
            Err(UptimeError::NotFound(_)) => UptimeAnswer::default(),
            answer => answer?,
        };
        months.push(Judged::of(month, measure, &answer.sums.figures, answer.target));
    }
    Ok(months)
}

fn differing(shown: &Figures, official: &UptimeAnswer, measure: Measure) -> Option<String> {
    let ratio = measure.of(&official.sums.figures);
    (official.version > 0 && ratio != measure.of(shown)).then(|| ratio.display())
}

pub(super) fn coverage(t: &Texts, figures: &Figures) -> Option<String> {
    let coverage = figures.coverage();
    let low = if figures.has_insufficient_data() { t.coverage_low } else { "" };
    (coverage.den > 0).then(|| format!("{} {} {low}", t.coverage, coverage.display()))
}

/// What stands beside any other figure that says too little, with how little is known; nothing beside one that does not.
pub(super) fn insufficient(t: &Texts, figures: &Figures) -> Option<String> {
    let low = || format!("{} {}", t.coverage_low, figures.coverage().display());
    figures.has_insufficient_data().then(low)
}

fn account(
    t: &'static Texts,
    told: &UptimeExplained,
    shown: Show,
    tally: &Tally,
    span: Interval,
) -> Vec<Account> {
    let outside = told.outside.iter().map(|(part, _)| part.intersect(span).length()).sum();
    let one = |show: Show| {
        let seconds = match show {
            Show::Down => tally.down,
            Show::Up => tally.up,
            Show::LeftOut => tally.left_out,
            Show::Outside => outside,
        };
        Account { show, name: show.name(t), seconds, length: time::length(t, seconds), chosen: show == shown }
    };
    Show::ALL.map(one).into()
}

impl Turn {
    pub(super) fn of(t: &Texts, month: Month, first: Option<Month>, last: Month) -> Self {
        Self {
            title: title(t, month),
            before: Some(month.previous()).filter(|before| first.is_some_and(|first| *before >= first)),
            after: Some(month.next()).filter(|after| *after <= last),
            month,
        }
    }
}

impl FigureCard {
    pub(super) fn all(
        t: &'static Texts,
        figures: &Figures,
        chosen: Measure,
        target: (i64, i64),
    ) -> Vec<Self> {
        let card = |measure: Measure| {
            let ratio = measure.of(figures);
            Self {
                measure,
                name: measure.name(t),
                percent: if ratio.den > 0 { ratio.display() } else { "—".to_owned() },
                ratio,
                lost: time::length(t, ratio.den - ratio.num),
                met: measure.meets(ratio, target),
                chosen: measure == chosen,
            }
        };
        Measure::ALL.map(card).into()
    }
}
