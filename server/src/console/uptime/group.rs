//! The uptime of a fleet, a region, a site, a customer, an engineer or a model: a month or a quarter of it,
//! divided among its parts, the worst first.
use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use kioskwatch_domain::{
    change::MonthSums,
    fleet::WrittenSite,
    uptime::{Month, Ratio},
};
use kioskwatch_proto::{SiteId, Timestamp};
use serde::Deserialize;

use super::{
    super::{
        bar::percent,
        shell::{Shell, encoded, render},
        texts::Texts,
        time::{self, At},
    },
    causes::Causes,
    chosen,
    facts::{self, Fact, facts},
    kiosk::{FigureCard, Turn, coverage, insufficient},
    measure::{Measure, Tally},
    months_up_to, period, target, title,
    trend::{Judged, Trend},
};
use crate::{
    app::{MONTHS, UptimeQuery, UptimeScope, unreadable},
    auth::Right,
    http::{Caller, May, Problem, See, Sites, Web, site_names, uptime_scope},
    store::{MAX_GROUPS, MonthGroup, MonthRatios, MonthTotal},
};

/// Kiosks in the list of the worst.
const WORST: usize = 10;
/// Sites named at most.
const MAX_PROBLEMS: usize = 5;
/// How a whole can be divided.
const KINDS: [&str; 6] = ["region", "site", "customer", "engineer", "model", "kiosk"];

/// What a reader chose.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Choice {
    scope: Option<String>,
    id: Option<String>,
    month: Option<String>,
    /// `quarter`: the whole quarter that holds the month.
    span: String,
    measure: Measure,
    by: Option<String>,
}

#[derive(Template)]
#[template(path = "uptime_group.html")]
struct GroupPage {
    shell: Shell,
    t: &'static Texts,
    /// Everything of the address but month and measure.
    here: String,
    whole: Whole,
    by: &'static str,
    /// How else it can be divided, and which of them is shown.
    kinds: Vec<(&'static str, bool)>,
    quarter: bool,
    months: Turn,
    measure: Measure,
    running: bool,
    /// The highest version among the kiosks; 0: nothing is signed yet.
    version: u32,
    signed: bool,
    /// Somebody had to be on for a second at least.
    counted: bool,
    as_of: At,
    kiosks: u64,
    figures: Vec<FigureCard>,
    coverage: Option<String>,
    /// Sites whose hours or zone cannot be read, and how.
    problems: Vec<String>,
    facts: Vec<Fact>,
    trend: Trend,
    causes: Causes,
    parts: Vec<Part>,
    /// There may be more parts than are listed.
    cut: bool,
    worst: Vec<Part>,
    may_ask: bool,
}

/// What the page is about.
struct Whole {
    kind: &'static str,
    id: String,
    name: String,
}

/// A month of the whole, and how final it is.
struct Standing {
    sums: MonthSums,
    version: u32,
    signed: bool,
    as_of: Timestamp,
    kiosks: u64,
    target: (i64, i64),
}

/// One row of the division.
struct Part {
    name: String,
    /// Where a click leads; nowhere for what belongs to nobody.
    link: Option<String>,
    percent: String,
    ratio: Ratio,
    /// Too little of it is known.
    insufficient: Option<String>,
    met: Option<bool>,
    down: String,
    width: String,
    outages: i64,
    longest: String,
    kiosks: u64,
    version: String,
}

pub(in crate::console) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Query(choice): Query<Choice>,
) -> Result<Html<String>, Problem> {
    let t = shell.t;
    let app = web.app();
    let scope = uptime_scope(choice.scope.as_deref().unwrap_or("fleet"), choice.id.as_deref())?;
    let (kind, id) = scope.words();
    let by = KINDS.into_iter().find(|kind| choice.by.as_deref() == Some(*kind));
    let by = by.unwrap_or_else(|| usual_parts(kind));
    let zone = app.default_zone();
    let now = app.clock().now();
    let running = Month::at(zone, now.secs());
    let month = chosen(choice.month.as_deref(), running)?;
    let quarter = choice.span == "quarter";
    let (from, to) = if quarter { quarter_of(month) } else { (month, month) };
    let sites = site_names(&web, &caller);
    if kind == "site" && !sites.keys().any(|site| site.as_str() == id) {
        return Err(Problem::not_found("site"));
    }
    let last = to.min(running);
    let shown: Vec<Month> = months_of(from, last).collect();
    let before = months_up_to(from.previous(), MONTHS - shown.len());
    // Neither needs the other.
    let (booked, ratios) = tokio::try_join!(
        app.booked(caller.scope(), &scope, (from, last), (by, choice.measure.as_str())),
        app.trend(caller.scope(), &scope, &before)
    )?;
    let mut problems = problems(t, &scope, &sites);
    problems.extend(app.not_booked(caller.scope(), &scope, (from, last)).await?.said(t.not_booked));
    let mut standing = Vec::with_capacity(shown.len());
    for (month, total) in shown.iter().zip(&booked.months) {
        standing.push(Standing::of(&web, &caller, &scope, *month, total).await?);
    }
    let before = before.into_iter().zip(ratios);
    let trend = trend(&web, before, shown.into_iter().zip(&standing), choice.measure);
    let shown = standing;
    let sums: MonthSums = shown.iter().map(|one| &one.sums).sum();
    // Of a quarter as of kiosks with several promises: the highest. A month in which nothing counted promised nothing.
    let counted = shown.iter().filter(|one| one.sums.figures.accountable_s > 0);
    let target = MonthTotal::highest(counted.map(|one| one.target)).unwrap_or_else(|| target(&web));
    let link = Link { month, quarter, measure: choice.measure };
    let cut = booked.parts.len() >= MAX_GROUPS as usize;
    let parts = parts(t, &booked.parts, by, &sites, target, link);
    let mut worst = self::parts(t, &booked.kiosks, "kiosk", &sites, target, link);
    worst.retain(|part| part.ratio.num < part.ratio.den);
    worst.truncate(WORST);
    let lost = sums.figures.causes.iter().map(|(cause, seconds)| (cause.as_str(), *seconds)).collect();
    let tally = Tally { down: sums.figures.avail.den - sums.figures.avail.num, lost, ..Tally::default() };
    let step = if quarter { 3 } else { 1 };
    let engineers = (kind == "engineer").then(|| facts::engineers(t, &sums));
    render(&GroupPage {
        t,
        here: format!("/uptime?scope={kind}&id={}", encoded(id)),
        whole: Whole { kind, id: id.to_owned(), name: name_of(t, kind, id, &sites) },
        kinds: KINDS.into_iter().filter(|one| *one != kind).map(|one| (one, one == by)).collect(),
        by,
        quarter,
        months: turn(t, from, to, running, step),
        measure: choice.measure,
        running: to >= running,
        version: shown.iter().map(|one| one.version).max().unwrap_or(0),
        // A month in which nothing was counted has nothing to sign.
        signed: shown.iter().all(|one| one.signed || one.sums.figures.accountable_s == 0),
        counted: sums.figures.accountable_s > 0,
        // Of nobody nothing was known at any time.
        as_of: At::new(
            zone,
            now,
            shown.iter().filter(|one| one.kiosks > 0).map(|one| one.as_of).max().unwrap_or(now),
        ),
        kiosks: shown.iter().map(|one| one.kiosks).max().unwrap_or(0),
        figures: FigureCard::all(t, &sums.figures, choice.measure, target),
        coverage: coverage(t, &sums.figures),
        problems,
        facts: engineers.into_iter().chain(facts(t, &sums, choice.measure, target)).collect(),
        trend: Trend::draw(t, &trend, month, target),
        causes: Causes::of(t, &tally, Some(&sums)),
        parts,
        cut,
        worst,
        may_ask: caller.identity.may(Right::Correct),
        shell,
    })
}

/// Of the sites that a page is about; of people and models, of all.
fn problems(t: &Texts, scope: &UptimeScope, sites: &Sites) -> Vec<String> {
    let about = |site: &&WrittenSite| match scope {
        UptimeScope::Site(id) => site.id() == id,
        UptimeScope::Region(name) => site.contract().region == *name,
        UptimeScope::Customer(name) => site.contract().customer == *name,
        _ => true,
    };
    // Tens of thousands of sites have the same few hours.
    let mut read: HashMap<(&str, &str), Option<String>> = HashMap::new();
    let mut found = Vec::new();
    for site in sites.values().map(Arc::as_ref).filter(about) {
        let (zone, hours) = (site.timezone(), site.service_hours());
        let problem = read.entry((zone, hours)).or_insert_with(|| unreadable(zone, hours));
        found.extend(problem.as_ref().map(|problem| format!("{}: {}: {problem}", t.unreadable, site.name())));
        if found.len() == MAX_PROBLEMS {
            break;
        }
    }
    found
}

/// What one looks at first.
fn usual_parts(kind: &str) -> &'static str {
    match kind {
        "fleet" => "region",
        "site" => "kiosk",
        _ => "site",
    }
}

fn quarter_of(month: Month) -> (Month, Month) {
    let back = (month.month() - 1) % 3;
    let first = (0..back).fold(month, |month, _| month.previous());
    (first, first.next().next())
}

fn turn(t: &Texts, from: Month, to: Month, running: Month, step: usize) -> Turn {
    let back = (0..step).fold(from, |month, _| month.previous());
    let title = if step == 3 { format!("{} Q{}", from.year(), to.month() / 3) } else { title(t, from) };
    Turn { month: from, title, before: Some(back), after: Some(to.next()).filter(|next| *next <= running) }
}

fn months_of(from: Month, to: Month) -> impl Iterator<Item = Month> {
    std::iter::successors(Some(from), |month| Some(month.next())).take_while(move |month| *month <= to)
}

impl Standing {
    /// From the books, whose rows the parts are summed from too; counted now where they have none yet.
    async fn of(
        web: &Web,
        caller: &Caller,
        scope: &UptimeScope,
        month: Month,
        total: &MonthTotal,
    ) -> Result<Self, Problem> {
        if total.kiosks > 0 {
            return Ok(Self {
                target: total.judged_by(target(web)),
                sums: total.sums.clone(),
                version: total.newest_version,
                signed: total.oldest_version > 0,
                as_of: total.as_of,
                kiosks: total.kiosks,
            });
        }
        let query = UptimeQuery::of(scope.clone(), period(month));
        let answer = web.app().uptime(caller.scope(), &query).await?;
        Ok(Self {
            sums: answer.sums,
            version: answer.version,
            signed: answer.signed,
            as_of: answer.as_of,
            kiosks: answer.kiosks as u64,
            target: answer.target,
        })
    }
}

/// Months as they are booked, and behind them those that are shown.
fn trend<'a>(
    web: &Web,
    before: impl Iterator<Item = (Month, MonthRatios)>,
    shown: impl Iterator<Item = (Month, &'a Standing)>,
    measure: Measure,
) -> Vec<Judged> {
    let before = before.map(|(month, ratios)| {
        Judged::of(month, measure, &ratios.figures, ratios.promised.unwrap_or_else(|| target(web)))
    });
    let shown = shown.map(|(month, one)| Judged::of(month, measure, &one.sums.figures, one.target));
    before.chain(shown).skip_while(|one| one.ratio.den == 0).collect()
}

fn name_of(t: &Texts, kind: &str, id: &str, sites: &Sites) -> String {
    match kind {
        "fleet" => t.whole_fleet.to_owned(),
        "site" => site_name(sites, id),
        _ => id.to_owned(),
    }
}

fn site_name(sites: &Sites, id: &str) -> String {
    let site = SiteId::new(id).ok().and_then(|id| sites.get(&id));
    site.map_or_else(|| id.to_owned(), |site| site.name().to_owned())
}

/// What the addresses of a page have in common.
#[derive(Clone, Copy)]
struct Link {
    month: Month,
    quarter: bool,
    measure: Measure,
}

/// Worst first by the chosen ratio: the most lost seconds.
fn parts(
    t: &'static Texts,
    groups: &[MonthGroup],
    by: &str,
    sites: &Sites,
    target: (i64, i64),
    link: Link,
) -> Vec<Part> {
    let lost = |group: &MonthGroup| {
        let ratio = link.measure.of(&group.figures);
        ratio.den - ratio.num
    };
    let most = groups.iter().map(&lost).max().unwrap_or(1).max(1);
    let mut groups: Vec<&MonthGroup> = groups.iter().collect();
    groups.sort_by(|one, other| lost(other).cmp(&lost(one)).then_with(|| one.name.cmp(&other.name)));
    groups
        .into_iter()
        .map(|group| {
            let ratio = link.measure.of(&group.figures);
            let down = lost(group);
            Part {
                name: match by {
                    _ if group.name.is_empty() => t.unassigned.to_owned(),
                    "site" => site_name(sites, &group.name),
                    _ => group.name.clone(),
                },
                link: link.to(by, &group.name),
                percent: if ratio.den > 0 { ratio.display() } else { "—".to_owned() },
                insufficient: insufficient(t, &group.figures),
                met: link.measure.meets(ratio, target),
                down: time::length(t, down),
                width: percent(down, most),
                ratio,
                outages: group.outages,
                longest: time::length(t, group.longest_outage_s),
                kiosks: group.kiosks,
                version: versions(t, group.oldest_version, group.newest_version),
            }
        })
        .collect()
}

impl Link {
    fn to(self, by: &str, name: &str) -> Option<String> {
        let Self { month, quarter, measure } = self;
        if name.is_empty() {
            return None;
        }
        let span = if quarter { "&span=quarter" } else { "" };
        let (name, measure) = (encoded(name), measure.as_str());
        Some(match by {
            "kiosk" => format!("/kiosks/{name}/uptime?month={month}&measure={measure}"),
            _ => format!("/uptime?scope={by}&id={name}&month={month}&measure={measure}{span}"),
        })
    }
}

/// `v1`, `v1–2`, or that nothing is signed yet.
fn versions(t: &Texts, oldest: u32, newest: u32) -> String {
    match (oldest, newest) {
        (_, 0) => t.word("open_month").to_owned(),
        (oldest, newest) if oldest == newest => format!("v{newest}"),
        (oldest, newest) => format!("v{oldest}–{newest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_the_three_months_around() {
        for month in ["2026-10", "2026-11", "2026-12"] {
            let (from, to) = quarter_of(month.parse().unwrap());
            assert_eq!((from.to_string().as_str(), to.to_string().as_str()), ("2026-10", "2026-12"));
        }
        let month = |text: &str| text.parse::<Month>().unwrap();
        let t = Texts::of(crate::config::Language::En);
        let turn = turn(t, month("2026-01"), month("2026-03"), month("2026-05"), 3);
        assert_eq!((turn.title.as_str(), turn.before), ("2026 Q1", Some(month("2025-10"))));
        assert_eq!(turn.after, Some(month("2026-04")), "a quarter that has begun can be looked at");
    }
}
