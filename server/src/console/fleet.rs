//! The first page: the fleet as it is now, problems first.
use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono_tz::Tz;
use kioskwatch_domain::change::{Admission, PresenceVerdict, SiteRow};
use kioskwatch_proto::{KioskId, PeripheralName, SiteId, Timestamp, words::Severity};
use serde::Deserialize;

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
    store::{KioskFilter, PageRequest, StoreError},
};

/// Kiosks drawn on one page; healthy ones beyond it are only counted.
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
    problems: Vec<Card>,
    healthy: Vec<Card>,
}

impl SiteCard {
    fn worst(&self) -> Tone {
        self.problems.iter().map(|card| card.tone).min().unwrap_or(Tone::Ok)
    }
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
    /// As alerts and the API call it.
    code: String,
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

    fn matches(&self, card: &Card, site: Option<&SiteRow>) -> bool {
        let wanted = self.q.trim().to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        let problem = !self.only_problems() || card.tone.is_problem();
        let named = wanted.is_empty()
            || has(card.id.as_str())
            || has(&card.model)
            || site.is_some_and(|site| has(&site.name) || has(site.id.as_str()) || has(&site.region))
            || card.faults.iter().any(|chip| has(&chip.name) || has(&chip.code));
        problem && named
    }
}

impl FleetPart {
    async fn load(web: &Web, caller: &Caller, t: &'static Texts, filter: &Filter) -> Result<Self, Problem> {
        let app = web.app();
        let now = app.clock().now();
        let sites = site_names(web, caller).await?;
        let models = models(app, caller).await?;
        let kiosks: Vec<KioskNow> = {
            let (fleet, floods) = (app.fleet(), app.floods());
            let all = fleet.kiosks().filter(|kiosk| caller.identity.sees_site(kiosk.site));
            all.map(|kiosk| KioskNow { flood: floods.of(kiosk.id), ..KioskNow::live(&fleet, &kiosk) })
                .collect()
        };
        let (tickets, open) = open_lines(web, caller, t, TICKETS_SHOWN).await?;
        let zone_of = |site: Option<&SiteRow>| zone(web, site.map(|site| site.timezone.as_str()));
        let mut counts = Counts::default();
        let mut groups: BTreeMap<Option<SiteId>, Vec<Card>> = BTreeMap::new();
        let empty = kiosks.is_empty();
        let deaf_since = app.fleet().deaf_since();
        let deaf = deaf_since.map(|since| ago(t, zone_of(None), now, since));
        for kiosk in kiosks {
            let site = kiosk.site.as_ref().and_then(|id| sites.get(id));
            let model = models.get(&kiosk.id).cloned().unwrap_or_default();
            let card = Card::new(app, t, now, zone_of(site), &kiosk, model);
            counts.add(&kiosk, card.tone);
            if filter.matches(&card, site) {
                groups.entry(kiosk.site).or_default().push(card);
            }
        }
        let mut cards: Vec<SiteCard> =
            groups.into_iter().map(|(id, group)| site_card(t, id.as_ref(), &sites, group)).collect();
        cards.sort_by(|a, b| a.worst().cmp(&b.worst()).then_with(|| a.name.cmp(&b.name)));
        let hidden = cut(&mut cards);
        let counts = counts.list(t, &open);
        Ok(Self { t, counts, sites: cards, tickets, open_tickets: open.open, hidden, empty, deaf })
    }
}

/// Models stand in the register, not in the fleet's memory.
async fn models(app: &App, caller: &Caller) -> Result<BTreeMap<KioskId, String>, StoreError> {
    let mut models = BTreeMap::new();
    let mut page = PageRequest::first();
    while models.len() < MAX_SHOWN {
        let found = app.store().kiosks(caller.scope(), &KioskFilter::default(), &page).await?;
        models.extend(found.items.into_iter().map(|view| (view.kiosk.id, view.kiosk.model)));
        match found.next_cursor {
            Some(cursor) => page = page.after(cursor),
            None => break,
        }
    }
    Ok(models)
}

fn site_card(
    t: &'static Texts,
    id: Option<&SiteId>,
    sites: &BTreeMap<SiteId, SiteRow>,
    group: Vec<Card>,
) -> SiteCard {
    let total = group.len();
    let (mut problems, mut healthy): (Vec<Card>, Vec<Card>) =
        group.into_iter().partition(|card| card.tone.is_problem());
    problems.sort_by(|a, b| a.tone.cmp(&b.tone).then_with(|| a.id.cmp(&b.id)));
    healthy.sort_by(|a, b| a.id.cmp(&b.id));
    let row = id.and_then(|id| sites.get(id));
    let name = match (id, row) {
        (None, _) => t.without_site.to_owned(),
        (Some(id), None) => id.to_string(),
        (Some(_), Some(row)) => row.name.clone(),
    };
    let detail = row.map_or_else(String::new, |row| {
        let words = [row.region.as_str(), row.customer.as_str(), t.word(row.zone.as_str())];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · ")
    });
    SiteCard { id: row.map(|row| row.id.clone()), name, detail, total, problems, healthy }
}

/// Leaves out healthy kiosks beyond what one page can show, and says how many.
fn cut(cards: &mut [SiteCard]) -> usize {
    let mut room = MAX_SHOWN.saturating_sub(cards.iter().map(|card| card.problems.len()).sum());
    let mut hidden = 0;
    for card in cards {
        hidden += card.healthy.len().saturating_sub(room);
        card.healthy.truncate(room);
        room -= card.healthy.len();
    }
    hidden
}

impl Card {
    fn new(app: &App, t: &'static Texts, now: Timestamp, zone: Tz, kiosk: &KioskNow, model: String) -> Self {
        let catalogue = &app.policy().catalogue;
        let of_all = kiosk.peripherals.iter();
        let host = PeripheralName::host().to_string();
        let faults = of_all.flat_map(|(device, state)| state.faults.iter().map(move |code| (device, code)));
        let mut faults: Vec<(Severity, Chip)> = faults
            .map(|(device, code)| {
                let severity = catalogue.severity(code);
                let tone = Tone::of_severity(severity).class();
                let fault = t.fault(catalogue, code);
                let name = if *device == host { fault } else { format!("{fault} · {}", t.word(device)) };
                (severity, Chip { name, code: code.to_string(), tone })
            })
            .collect();
        if kiosk.flood.is_some() {
            let (code, tone) = ("flood", Tone::of_severity(Severity::Minor).class());
            faults
                .push((Severity::Minor, Chip { name: t.word(code).to_owned(), code: code.to_owned(), tone }));
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

/// The headline.
#[derive(Default)]
struct Counts {
    total: usize,
    online: usize,
    offline: usize,
    unknown: usize,
    out: usize,
    warn: usize,
}

impl Counts {
    fn add(&mut self, kiosk: &KioskNow, tone: Tone) {
        self.total += 1;
        match kiosk.presence {
            PresenceVerdict::Online | PresenceVerdict::Late => self.online += 1,
            PresenceVerdict::Offline => self.offline += 1,
            PresenceVerdict::Unknown => self.unknown += 1,
        }
        match tone {
            Tone::Out => self.out += 1,
            Tone::Warn => self.warn += 1,
            _ => {}
        }
    }

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
