//! The first page: the fleet as it is now, problems first.
mod glance;

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{Admission, PresenceVerdict},
    fleet::WrittenSite,
};
use kioskwatch_proto::{KioskId, SiteId, Timestamp, words::Severity};
use serde::Deserialize;

use self::glance::{Counts, Glance, Group, Wanted};
use super::{
    shell::{Shell, ago, encoded, render, zone},
    texts::Texts,
    tickets::{OpenTickets, TicketLine, of_these, open_lines},
    time::Ago,
    tone::Tone,
};
use crate::{
    app::App,
    http::{Caller, May, Problem, See, Web, site_names, view::KioskNow},
};

/// Kiosks drawn on one page, those with problems first; who is beyond it is only counted.
const MAX_SHOWN: usize = 1_500;
/// Tickets beside the fleet.
const TICKETS_SHOWN: usize = 12;

/// What the reader looks for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Filter {
    /// `problems`, or nothing for all.
    #[serde(default)]
    show: String,
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "fleet.html")]
struct FleetPage {
    shell: Shell,
    filter: Filter,
    query: String,
    part: FleetPart,
}

#[derive(Template)]
#[template(path = "fleet_part.html")]
struct FleetPart {
    t: &'static Texts,
    counts: Vec<Count>,
    sites: Vec<SiteCard>,
    tickets: Vec<TicketLine>,
    open_tickets: usize,
    hidden: usize,
    /// There are no kiosks at all.
    empty: bool,
    /// Since when nobody is heard and judged.
    deaf: Option<Ago>,
}

struct Count {
    tone: &'static str,
    number: usize,
    label: &'static str,
    /// How many of them are how; mostly nothing.
    of_these: String,
}

struct SiteCard {
    id: Option<SiteId>,
    name: String,
    detail: String,
    total: usize,
    /// Of these: those with a problem, drawn or not.
    need: usize,
    worst: Tone,
    problems: Vec<Card>,
    healthy: Vec<Card>,
}

/// A kiosk in the list.
struct Card {
    id: KioskId,
    model: String,
    tone: Tone,
    /// The word that matters, and the other one.
    state: &'static str,
    beside: &'static str,
    faults: Vec<Chip>,
    tickets: u64,
    /// How many of them are resolved, in words.
    resolved: String,
    seen: Option<Ago>,
}

pub(super) struct Chip {
    pub(super) name: String,
    pub(super) tone: &'static str,
}

pub(super) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Query(filter): Query<Filter>,
) -> Result<Html<String>, Problem> {
    let part = FleetPart::load(&web, &caller, shell.t, &filter).await?;
    render(&FleetPage { query: filter.query(), shell, filter, part })
}

pub(super) async fn part(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Query(filter): Query<Filter>,
) -> Result<Html<String>, Problem> {
    render(&FleetPart::load(&web, &caller, shell.t, &filter).await?)
}

impl Filter {
    fn only_problems(&self) -> bool {
        self.show == "problems"
    }

    /// As it stands in an address.
    fn query(&self) -> String {
        let show = if self.only_problems() { "problems" } else { "" };
        let q: String = self.q.trim().chars().take(200).collect();
        format!("show={show}&q={}", encoded(&q))
    }
}

impl FleetPart {
    async fn load(web: &Web, caller: &Caller, t: &'static Texts, filter: &Filter) -> Result<Self, Problem> {
        let app = web.app();
        let now = app.clock().now();
        let sites = site_names(web, caller);
        let (tickets, open) = open_lines(web, caller, t, &sites, TICKETS_SHOWN);
        let wanted = Wanted::of(app, t, filter, &sites).await?;
        let glance = Glance::at(app, caller, &wanted).await;
        let counts = glance.counts;
        let (groups, hidden) = glance.worst_first(t, &sites, MAX_SHOWN);
        let drawn: Vec<KioskId> = groups.iter().flat_map(|group| group.drawn().cloned()).collect();
        let registered = app.store().kiosks_of(&drawn).await?;
        let models: HashMap<KioskId, String> =
            registered.into_iter().map(|one| (one.kiosk.id, one.kiosk.model)).collect();
        let zone_of = |site: Option<&WrittenSite>| zone(web, site.map(|site| site.timezone()));
        let deaf_since = app.fleet().deaf_since();
        let deaf = deaf_since.map(|since| ago(t, zone_of(None), now, since));
        let card = |id: &KioskId, site: Option<&WrittenSite>| {
            let kiosk = live(app, id)?;
            let model = models.get(id).cloned().unwrap_or_default();
            Some(Card::new(app, t, now, zone_of(site), &kiosk, model))
        };
        let site_card = |group: Group| {
            let row = group.site.as_ref().and_then(|id| sites.get(id)).map(Arc::as_ref);
            let cards = |ids: &[KioskId]| ids.iter().filter_map(|id| card(id, row)).collect();
            SiteCard {
                id: row.map(|row| row.id().clone()),
                name: group.name,
                detail: row.map_or_else(String::new, |row| detail(t, row)),
                total: group.total,
                need: group.need,
                worst: group.worst,
                problems: cards(&group.problems),
                healthy: cards(&group.healthy),
            }
        };
        let sites = groups.into_iter().map(site_card).collect();
        let (counts, empty) = (counts.list(t, &open), counts.total == 0);
        Ok(Self { t, counts, sites, tickets, open_tickets: open.open, hidden, empty, deaf })
    }
}

/// As the fleet in memory has it.
fn live(app: &App, id: &KioskId) -> Option<KioskNow> {
    let (fleet, floods) = (app.fleet(), app.floods());
    let kiosk = fleet.kiosk(id)?;
    Some(KioskNow { flood: floods.of(id), ..KioskNow::live(&fleet, &kiosk) })
}

fn detail(t: &'static Texts, row: &WrittenSite) -> String {
    let words = [&row.contract().region, &row.contract().customer, t.word(row.zone().as_str())];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · ")
}

impl Card {
    fn new(app: &App, t: &'static Texts, now: Timestamp, zone: Tz, kiosk: &KioskNow, model: String) -> Self {
        let catalogue = &app.policy().catalogue;
        let of_all = kiosk.peripherals.iter();
        let faults = of_all.flat_map(|(device, state)| state.faults.iter().map(move |code| (device, code)));
        let mut faults: Vec<(Severity, Chip)> = faults
            .map(|(device, code)| {
                let severity = catalogue.severity(code);
                let tone = Tone::of_severity(severity).class();
                (severity, Chip { name: t.fault_at(catalogue, device, code), tone })
            })
            .collect();
        if kiosk.flood.is_some() {
            let tone = Tone::of_severity(Severity::Minor).class();
            faults.push((Severity::Minor, Chip { name: t.word("flood").to_owned(), tone }));
        }
        faults.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
        let presence = t.word(kiosk.presence.as_str());
        let service = kiosk.service.map_or("", |service| t.word(service.as_str()));
        let (state, beside) = match kiosk.presence {
            _ if kiosk.admission == Admission::Quarantined => (t.word("quarantined"), presence),
            // What it said before it fell silent is no longer news.
            PresenceVerdict::Offline | PresenceVerdict::Unknown => (presence, ""),
            _ if service.is_empty() => (presence, ""),
            _ => (service, presence),
        };
        Self {
            id: kiosk.id.clone(),
            model,
            tone: Tone::of_kiosk(kiosk, catalogue),
            state,
            beside,
            faults: faults.into_iter().map(|(_, chip)| chip).collect(),
            tickets: kiosk.open_tickets,
            resolved: of_these(t, usize::try_from(kiosk.resolved_tickets).unwrap_or(usize::MAX)),
            seen: kiosk.last_seen_at.map(|at| ago(t, zone, now, at)),
        }
    }
}

impl Counts {
    fn list(&self, t: &'static Texts, tickets: &OpenTickets) -> Vec<Count> {
        let tone = |number: usize, tone: Tone| if number > 0 { tone.class() } else { "calm" };
        let count = |number: usize, worst: Tone, label| Count {
            tone: tone(number, worst),
            number,
            label,
            of_these: String::new(),
        };
        vec![
            Count { tone: "calm", ..count(self.total, Tone::Ok, t.kiosks) },
            count(self.online, Tone::Ok, t.word("online")),
            count(self.out, Tone::Out, t.word("out_of_service")),
            count(self.offline, Tone::Off, t.word("offline")),
            count(self.warn, Tone::Warn, t.word("degraded")),
            count(self.unknown, Tone::Unknown, t.word("unknown")),
            Count { of_these: tickets.of_these(t), ..count(tickets.open, Tone::Busy, t.open_tickets) },
            count(tickets.breached, Tone::Out, t.breached),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_stands_safely_in_an_address() {
        let filter = Filter { show: "problems".into(), q: " 北京 a&b=\"<".into() };
        assert_eq!(filter.query(), "show=problems&q=%E5%8C%97%E4%BA%AC%20a%26b%3D%22%3C");
    }
}
