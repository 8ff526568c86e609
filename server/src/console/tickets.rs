//! Lists of tickets: a page of its own, and the open ones beside the fleet and on a kiosk.
use std::cmp::Reverse;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use kioskwatch_domain::change::{ClockRow, ClockState, TicketRow, TicketState};
use kioskwatch_proto::{KioskId, Timestamp};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    shell::{Shell, ago, render, zone},
    texts::Texts,
    time::{self, Ago},
    tone::Tone,
};
use crate::{
    http::{Caller, May, Problem, See, Sites, Web, site_names},
    store::{PageRequest, TicketFilter},
};

/// Rows of the page.
const ROWS: u32 = 50;
/// Open tickets of one kiosk that are listed.
const MAX_OF_KIOSK: usize = 1_000;

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    /// `closed`, or nothing for the open ones.
    #[serde(default)]
    show: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "tickets.html")]
struct TicketsPage {
    shell: Shell,
    closed: bool,
    tickets: Vec<TicketLine>,
    next: Option<String>,
}

/// A ticket in a list.
pub(super) struct TicketLine {
    pub(super) id: Uuid,
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) place: String,
    pub(super) priority: u8,
    pub(super) severity: &'static str,
    pub(super) tone: &'static str,
    pub(super) state: &'static str,
    pub(super) opened: Ago,
    /// The clock that ends first, in words.
    pub(super) clock: Option<ClockLine>,
}

pub(super) struct ClockLine {
    pub(super) text: String,
    pub(super) tone: &'static str,
}

pub(super) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Query(which): Query<Which>,
) -> Result<Html<String>, Problem> {
    let closed = which.show == "closed";
    let filter = TicketFilter { open: Some(!closed), ..TicketFilter::default() };
    let request = PageRequest::new(Some(ROWS), which.cursor);
    let found = web.app().store().tickets(caller.scope(), &filter, &request).await?;
    let tickets = lines(&web, &caller, shell.t, found.items).await?;
    let next = found.next_cursor.map(|cursor| format!("/tickets?show={}&cursor={cursor}", which.show));
    render(&TicketsPage { shell, closed, tickets, next })
}

/// The open tickets, counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OpenTickets {
    pub(super) open: usize,
    /// Of these: resolved, waiting to close.
    pub(super) resolved: usize,
    pub(super) breached: usize,
}

impl OpenTickets {
    /// How many of them are resolved, in words; empty: none.
    pub(super) fn of_these(&self, t: &'static Texts) -> String {
        of_these(t, self.resolved)
    }
}

pub(super) fn of_these(t: &'static Texts, resolved: usize) -> String {
    if resolved == 0 { String::new() } else { t.of_these_resolved.replace("{}", &resolved.to_string()) }
}

/// The most urgent open tickets, and how many there are: from memory, for there may be as many as kiosks.
pub(super) fn open_lines(
    web: &Web,
    caller: &Caller,
    t: &'static Texts,
    sites: &Sites,
    shown: usize,
) -> (Vec<TicketLine>, OpenTickets) {
    let now = web.app().clock().now();
    let fleet = web.app().fleet();
    let mut count = OpenTickets::default();
    let mut urgent = Vec::new();
    let open = fleet.tickets().filter(|row| row.state.is_open());
    for row in open.filter(|row| caller.scope().shows(row.site.as_ref())) {
        let is_overdue = fleet.clocks(row.id).iter().any(|clock| clock.state == ClockState::Breached);
        let is_resolved = row.state == TicketState::Resolved;
        count.open += 1;
        count.resolved += usize::from(is_resolved);
        count.breached += usize::from(is_overdue);
        urgent.push(((!is_overdue, is_resolved, row.priority, row.opened_at, Reverse(row.number)), row));
    }
    // After a mass outage there are tens of thousands, and whoever is heard waits for the fleet.
    if shown < urgent.len() {
        urgent.select_nth_unstable_by_key(shown, |(urgency, _)| *urgency);
        urgent.truncate(shown);
    }
    urgent.sort_unstable_by_key(|(urgency, _)| *urgency);
    let with_clocks = |row: &TicketRow| (row.clone(), fleet.clocks(row.id).to_vec());
    let most: Vec<_> = urgent.into_iter().map(|(_, row)| with_clocks(row)).collect();
    drop(fleet);
    let line = |(row, clocks): &(TicketRow, Vec<ClockRow>)| TicketLine::new(web, t, now, sites, row, clocks);
    (most.iter().map(line).collect(), count)
}

/// The open tickets of one kiosk.
pub(super) async fn lines_of_kiosk(
    web: &Web,
    caller: &Caller,
    t: &'static Texts,
    kiosk: &KioskId,
) -> Result<Vec<TicketLine>, Problem> {
    let filter = TicketFilter { open: Some(true), kiosk: Some(kiosk.clone()), ..TicketFilter::default() };
    let rows = all(web, caller, &filter).await?;
    lines(web, caller, t, rows).await
}

async fn all(web: &Web, caller: &Caller, filter: &TicketFilter) -> Result<Vec<TicketRow>, Problem> {
    let mut rows = Vec::new();
    let mut page = PageRequest::first();
    while rows.len() < MAX_OF_KIOSK {
        let found = web.app().store().tickets(caller.scope(), filter, &page).await?;
        rows.extend(found.items);
        match found.next_cursor {
            Some(cursor) => page = page.after(cursor),
            None => break,
        }
    }
    Ok(rows)
}

async fn lines(
    web: &Web,
    caller: &Caller,
    t: &'static Texts,
    rows: Vec<TicketRow>,
) -> Result<Vec<TicketLine>, Problem> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let clocks = web.app().store().clocks_of(&ids).await?;
    let of = |row: &TicketRow| {
        let clocks: Vec<ClockRow> = clocks.iter().filter(|clock| clock.ticket == row.id).cloned().collect();
        clocks
    };
    let (sites, now) = (site_names(web, caller), web.app().clock().now());
    Ok(rows.iter().map(|row| TicketLine::new(web, t, now, &sites, row, &of(row))).collect())
}

impl TicketLine {
    fn new(
        web: &Web,
        t: &'static Texts,
        now: Timestamp,
        sites: &Sites,
        row: &TicketRow,
        clocks: &[ClockRow],
    ) -> Self {
        let site = row.site.as_ref().and_then(|id| sites.get(id));
        let zone = zone(web, site.map(|site| site.timezone()));
        let device = row.peripheral.as_ref().filter(|name| !name.is_host());
        let place = [
            row.kiosk.as_ref().map(KioskId::as_str),
            device.map(|name| t.word(name.as_str())),
            site.map(|site| site.name()),
        ];
        Self {
            id: row.id,
            number: row.number,
            title: t.fault(&web.app().policy().catalogue, &row.fault),
            place: place.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            priority: row.priority,
            severity: t.word(row.severity.as_str()),
            tone: Tone::of_ticket(row.state).class(),
            state: t.word(row.state.as_str()),
            opened: ago(t, zone, now, row.opened_at),
            clock: clock_of(t, now, clocks),
        }
    }
}

/// What the clocks of a ticket come to: the one that is overdue, or the one that ends first.
fn clock_of(t: &'static Texts, now: Timestamp, clocks: &[ClockRow]) -> Option<ClockLine> {
    let breached = clocks.iter().find(|clock| clock.state == ClockState::Breached);
    if let Some(clock) = breached {
        let text = format!("{} {}", t.word(&clock.name), t.word(clock.state.as_str()));
        return Some(ClockLine { text, tone: Tone::Out.class() });
    }
    let running = clocks.iter().filter(|clock| clock.state == ClockState::Running);
    let next = running.filter_map(|clock| Some((clock.due_at?, clock))).min_by_key(|(due, _)| *due)?;
    let (due, clock) = next;
    let left = time::length(t, due.since(now) / 1_000);
    let warned = clock.warn_at.is_some_and(|warn| warn <= now);
    let tone = if warned { Tone::Warn } else { Tone::Busy };
    Some(ClockLine { text: format!("{} {} {left}", t.word(&clock.name), t.left), tone: tone.class() })
}
