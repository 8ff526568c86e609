//! One kiosk: its state now, its devices, its day, its tickets, and what it can be asked to do.
use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono_tz::Tz;
use kioskwatch_domain::{
    change::Admission,
    uptime::{Figures, Month},
    wall,
};
use kioskwatch_proto::{
    CommandId, KioskId, Timestamp,
    faults::{Catalogue, FaultCode},
};
use serde::Deserialize;

use super::{
    bar::{DayBar, day_of},
    command::{CommandLine, CommandPart},
    shell::{Shell, ago, render, zone},
    texts::Texts,
    tickets::{TicketLine, lines_of_kiosk},
    time::{self, Ago, At},
    told,
    tone::Tone,
    uptime::{Measure, period},
};
use crate::{
    app::{Flood, UptimePeriod, UptimeQuery, UptimeScope},
    auth::Right,
    config::Language,
    http::{
        Caller, Id, May, Problem, See, Web, kiosk_in_scope, timeline_of, transitions,
        view::{KioskNow, PeripheralView, inventory},
    },
    store::{self, PageRequest},
};

/// Changes listed under the bar.
const CHANGES: usize = 40;
/// Commands listed.
const COMMANDS: u32 = 5;

#[derive(Deserialize)]
pub(super) struct Watching {
    /// The command whose progress is shown.
    command: Option<CommandId>,
}

#[derive(Template)]
#[template(path = "kiosk.html")]
struct KioskPage {
    shell: Shell,
    id: KioskId,
    may_operate: bool,
    peripherals: Vec<(String, String)>,
    watching: Option<(CommandId, CommandPart)>,
    part: KioskPart,
}

#[derive(Template)]
#[template(path = "kiosk_part.html")]
struct KioskPart {
    t: &'static Texts,
    id: KioskId,
    site: String,
    zone: Tz,
    tone: &'static str,
    presence: &'static str,
    presence_tone: &'static str,
    presence_reason: String,
    presence_since: Option<Ago>,
    service: &'static str,
    service_tone: &'static str,
    service_since: Option<Ago>,
    service_cause: String,
    seen: Option<Ago>,
    waits_for_admission: bool,
    flood: Option<FloodLine>,
    facts: Vec<(&'static str, String)>,
    load: Vec<(&'static str, String)>,
    peripherals: Vec<PeripheralCard>,
    bar: DayBar,
    changes: Vec<Changed>,
    tickets: Vec<TicketLine>,
    uptime: Vec<Period>,
    commands: Vec<CommandLine>,
}

/// Messages that were dropped because they were too many.
struct FloodLine {
    dropped: u64,
    since: Ago,
    until: Ago,
}

struct PeripheralCard {
    title: String,
    name: String,
    tone: &'static str,
    status: String,
    detail: String,
    faults: Vec<FaultCard>,
}

/// What a fault means and what to do.
pub(super) struct FaultCard {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) tone: &'static str,
    pub(super) severity: &'static str,
    pub(super) who: &'static str,
    pub(super) meaning: String,
    pub(super) steps: Vec<String>,
    pub(super) parts: Vec<String>,
}

struct Changed {
    at: At,
    about: String,
    from: String,
    to: String,
    tone: &'static str,
    reason: String,
}

struct Period {
    name: &'static str,
    /// What leads to the intervals of this period.
    query: String,
    ratios: Vec<PeriodRatio>,
    /// Something else than full coverage.
    coverage: Option<String>,
}

struct PeriodRatio {
    measure: Measure,
    name: &'static str,
    percent: String,
    below: bool,
}

pub(super) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Id(id): Id<KioskId>,
    Query(watching): Query<Watching>,
) -> Result<Html<String>, Problem> {
    let part = KioskPart::load(&web, &caller, shell.t, &id).await?;
    let names = part.peripherals.iter().filter(|card| card.name != "host");
    let peripherals = names.map(|card| (card.name.clone(), card.title.clone())).collect();
    let may_operate = caller.identity.may(Right::Operate);
    let watching = match watching.command {
        Some(command) => Some((command, CommandPart::load(&web, &caller, shell.t, command).await?)),
        None => None,
    };
    render(&KioskPage { id, may_operate, peripherals, watching, shell, part })
}

pub(super) async fn part(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Id(id): Id<KioskId>,
) -> Result<Html<String>, Problem> {
    render(&KioskPart::load(&web, &caller, shell.t, &id).await?)
}

impl KioskPart {
    async fn load(web: &Web, caller: &Caller, t: &'static Texts, id: &KioskId) -> Result<Self, Problem> {
        let app = web.app();
        let view = kiosk_in_scope(web, caller, id).await?;
        let kiosk = KioskNow::of(app, &view);
        let site = match &view.kiosk.site {
            Some(site) => app.store().site(caller.scope(), site).await?,
            None => None,
        };
        let zone = zone(web, site.as_ref().map(|site| site.timezone.as_str()));
        let now = app.clock().now();
        let (from, to) = day_of(zone, now);
        let spans = timeline_of(web, caller, id, from, to).await?.spans;
        let counted = app.counted(&view.kiosk).await?.counted();
        let changes = transitions(web, caller, id, from, to).await?;
        let catalogue = &app.policy().catalogue;
        let since = |at: Option<Timestamp>| at.map(|at| ago(t, zone, now, at));
        let commands =
            app.store().commands(caller.scope(), id, &PageRequest::new(Some(COMMANDS), None)).await?;
        let commands = commands.map(|page| page.items).unwrap_or_default();
        let changed = |row| Changed::new(t, zone, now, catalogue, row);
        Ok(Self {
            t,
            id: id.clone(),
            site: site.map_or_else(|| t.without_site.to_owned(), |site| site.name),
            zone,
            tone: Tone::of_kiosk(&kiosk, catalogue).class(),
            presence: t.word(kiosk.presence.as_str()),
            presence_tone: Tone::of_word(kiosk.presence.as_str()).class(),
            presence_reason: kiosk.presence_reason.clone(),
            presence_since: since(kiosk.presence_since),
            service: kiosk.service.map_or("—", |service| t.word(service.as_str())),
            service_tone: kiosk.service.map_or(Tone::Unknown, |s| Tone::of_word(s.as_str())).class(),
            service_since: since(kiosk.service_since),
            service_cause: view
                .state
                .as_ref()
                .and_then(|state| state.service_cause.as_deref())
                .map(|cause| told::cause(t, catalogue, cause))
                .unwrap_or_default(),
            seen: since(kiosk.last_seen_at),
            waits_for_admission: kiosk.admission == Admission::Quarantined,
            flood: kiosk.flood.map(|Flood { since, until, dropped }| {
                let at = |at| ago(t, zone, now, at);
                FloodLine { dropped, since: at(since), until: at(until) }
            }),
            facts: facts(t, zone, &view, &kiosk, app.engineer_of(id).await?),
            load: load(t, &kiosk),
            peripherals: peripherals(t, catalogue, &view, &kiosk),
            bar: DayBar::new(t, zone, now, &spans, &counted),
            changes: changes.iter().take(CHANGES).map(changed).collect(),
            tickets: lines_of_kiosk(web, caller, t, id).await?,
            uptime: uptime(web, caller, t, id, zone, now).await?,
            commands: commands.iter().map(|row| CommandLine::new(t, zone, now, row)).collect(),
        })
    }
}

fn facts(
    t: &'static Texts,
    zone: Tz,
    view: &store::KioskView,
    now: &KioskNow,
    engineer: Option<String>,
) -> Vec<(&'static str, String)> {
    let inventory = inventory(view);
    let facts = [
        (t.answers_for, engineer),
        (t.model, Some(view.kiosk.model.clone())),
        (t.serial_no, Some(view.kiosk.serial_no.clone())),
        (t.agent_version, inventory.map(|inventory| inventory.agent_version)),
        (t.interval, now.interval_s.map(|s| time::length(t, i64::from(s)))),
        (t.commissioned, view.kiosk.commissioned_at.map(|at| time::local(zone, at)[..10].to_owned())),
    ];
    let told =
        |(name, text): (_, Option<String>)| text.filter(|text| !text.is_empty()).map(|text| (name, text));
    facts.into_iter().filter_map(told).collect()
}

fn load(t: &'static Texts, kiosk: &KioskNow) -> Vec<(&'static str, String)> {
    let percent = |ratio: f64| format!("{:.0} %", ratio * 100.0);
    let load = kiosk.load;
    let all = [
        (t.cpu, load.cpu_ratio.map(percent)),
        (t.memory, load.memory_used_ratio.map(percent)),
        (t.disk, load.disk_used_ratio.map(percent)),
        (t.temperature, load.temperature_celsius.map(|degrees| format!("{degrees:.0} °C"))),
    ];
    all.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
}

fn peripherals(
    t: &'static Texts,
    catalogue: &Catalogue,
    view: &store::KioskView,
    kiosk: &KioskNow,
) -> Vec<PeripheralCard> {
    let all = PeripheralView::all(&kiosk.peripherals, inventory(view).as_ref());
    let mut cards: Vec<(Tone, PeripheralCard)> = all
        .into_iter()
        .map(|(name, peripheral)| {
            let faults: Vec<FaultCard> =
                peripheral.faults.iter().map(|code| FaultCard::new(t, catalogue, code)).collect();
            let of_faults = peripheral.faults.iter().map(|code| Tone::of_severity(catalogue.severity(code)));
            let tone = of_faults.chain([Tone::of_word(&peripheral.status)]).min().unwrap_or(Tone::Unknown);
            let kind = peripheral.kind.as_deref().unwrap_or(&name);
            let mode = peripheral.mode.map(|mode| t.word(mode));
            let parts = [peripheral.model.as_deref(), peripheral.driver.as_deref(), mode];
            let card = PeripheralCard {
                title: t.word(kind).to_owned(),
                tone: tone.class(),
                status: t.word(&peripheral.status).to_owned(),
                detail: parts.into_iter().flatten().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" · "),
                faults,
                name,
            };
            (tone, card)
        })
        .collect();
    cards.sort_by_key(|(tone, _)| *tone);
    cards.into_iter().map(|(_, card)| card).collect()
}

async fn uptime(
    web: &Web,
    caller: &Caller,
    t: &'static Texts,
    id: &KioskId,
    zone: Tz,
    now: Timestamp,
) -> Result<Vec<Period>, Problem> {
    let today = wall::date_of(zone, now.secs());
    let wanted = [
        (t.today, UptimePeriod::DayOf(now), format!("day={today}&")),
        (t.this_month, period(Month::at(zone, now.secs())), String::new()),
    ];
    let mut periods = Vec::new();
    for (name, period, link) in wanted {
        let query = UptimeQuery::of(UptimeScope::Kiosk(id.clone()), period);
        let answer = web.app().uptime(caller.scope(), &query).await?;
        periods.push(Period::new(t, name, link, &answer.sums.figures, web.app().config().uptime.target));
    }
    Ok(periods)
}

impl Period {
    fn new(
        t: &'static Texts,
        name: &'static str,
        query: String,
        figures: &Figures,
        target: [u64; 2],
    ) -> Self {
        let [a, b] = target.map(|n| i64::try_from(n).unwrap_or(1));
        let ratio = |measure: Measure| {
            let ratio = measure.of(figures);
            PeriodRatio {
                measure,
                name: measure.name(t),
                percent: if ratio.den > 0 { ratio.display() } else { "—".to_owned() },
                below: ratio.den > 0 && !ratio.meets(a, b),
            }
        };
        let coverage = figures.coverage();
        let partial = coverage.den > 0 && coverage.num < coverage.den;
        let warning = if figures.has_insufficient_data() { t.coverage_low } else { "" };
        Self {
            name,
            query,
            ratios: Measure::ALL.map(ratio).into(),
            coverage: partial.then(|| format!("{} {} {warning}", t.coverage, coverage.display())),
        }
    }
}

impl FaultCard {
    pub(super) fn new(t: &'static Texts, catalogue: &Catalogue, code: &FaultCode) -> Self {
        let entry = catalogue.get(code);
        let severity = catalogue.severity(code);
        let zh = t.language == Language::ZhCn;
        let pick = |zh_text: &String, en_text: &String| if zh { zh_text.clone() } else { en_text.clone() };
        let steps = entry.map(|e| if zh { &e.first_steps_zh } else { &e.first_steps_en });
        let parts = entry.map(|e| e.parts.iter().map(|key| t.part(catalogue, key)).collect());
        Self {
            code: code.to_string(),
            name: t.fault(catalogue, code),
            tone: Tone::of_severity(severity).class(),
            severity: t.word(severity.as_str()),
            who: entry.map_or("", |e| t.word(e.who.as_str())),
            meaning: entry.map_or_else(String::new, |e| pick(&e.meaning_zh, &e.meaning_en)),
            steps: steps.cloned().unwrap_or_default(),
            parts: parts.unwrap_or_default(),
        }
    }
}

impl Changed {
    fn new(
        t: &'static Texts,
        zone: Tz,
        now: Timestamp,
        catalogue: &Catalogue,
        row: &kioskwatch_domain::change::TransitionRow,
    ) -> Self {
        let [from, to, reason] = told::transition(t, catalogue, row);
        let about = match &row.peripheral {
            Some(name) => t.word(name.as_str()).to_owned(),
            None => t.word(&row.kind).to_owned(),
        };
        Self { at: At::new(zone, now, row.at), about, from, to, tone: Tone::of_word(&row.to).class(), reason }
    }
}
