//! One ticket: where it stands, what is promised, what to do first, what happened.
use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, Redirect},
};
use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{ClockRow, ClockState, IncidentRow, TicketEventRow, TicketRow},
    fleet::{Request, TicketAction},
};
use kioskwatch_proto::{KioskId, Timestamp, clean_text};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    kiosk::FaultCard,
    shell::{Shell, render, zone},
    texts::Texts,
    time::{self, At},
    tone::Tone,
};
use crate::{
    auth::Right,
    http::{Caller, Id, May, Problem, See, Web, WorkTickets, ticket_in_scope},
    store,
};

#[derive(Template)]
#[template(path = "ticket.html")]
struct TicketPage {
    shell: Shell,
    id: Uuid,
    number: u64,
    title: String,
    may_note: bool,
    part: TicketPart,
}

#[derive(Template)]
#[template(path = "ticket_part.html")]
struct TicketPart {
    t: &'static Texts,
    number: u64,
    title: String,
    tone: &'static str,
    state: &'static str,
    recovering: bool,
    kiosk: Option<KioskId>,
    site: String,
    facts: Vec<(&'static str, String)>,
    times: Vec<(&'static str, At)>,
    clocks: Vec<ClockCard>,
    fault: FaultCard,
    history: Vec<Event>,
    incidents: Vec<Incident>,
    children: Vec<Child>,
    parent: Option<Uuid>,
}

struct ClockCard {
    name: String,
    tone: &'static str,
    state: &'static str,
    /// The sentence that counts: left, overdue, met.
    says: String,
    due: Option<At>,
    budget: String,
    /// Share of the budget that is used, 0 to 100.
    used: i64,
}

struct Event {
    at: At,
    actor: String,
    action: String,
    moved: Option<(&'static str, &'static str)>,
    reason: String,
}

struct Incident {
    name: String,
    peripheral: String,
    opened: At,
    closed: Option<At>,
    decision: String,
    raw: Option<String>,
    text: Option<String>,
}

struct Child {
    id: Uuid,
    number: u64,
    title: String,
    kiosk: String,
    state: &'static str,
    tone: &'static str,
}

#[derive(Deserialize)]
pub(super) struct Note {
    text: String,
}

pub(super) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Id(id): Id<Uuid>,
) -> Result<Html<String>, Problem> {
    let part = TicketPart::load(&web, &caller, shell.t, id).await?;
    let may_note = caller.identity.may(Right::WorkTickets);
    render(&TicketPage { id, number: part.number, title: part.title.clone(), may_note, shell, part })
}

pub(super) async fn part(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Id(id): Id<Uuid>,
) -> Result<Html<String>, Problem> {
    render(&TicketPart::load(&web, &caller, shell.t, id).await?)
}

pub(super) async fn note(
    State(web): State<Web>,
    May(caller, _): May<WorkTickets>,
    Id(id): Id<Uuid>,
    Form(note): Form<Note>,
) -> Result<Redirect, Problem> {
    ticket_in_scope(&web, &caller, id).await?;
    let text = clean_text(note.text.trim());
    if text.is_empty() {
        return Err(Problem::invalid("text: a note says something"));
    }
    let action = TicketAction::Note { text };
    web.app().request(caller.actor(), Request::Ticket { ticket: id, action }).await?;
    Ok(Redirect::to(&format!("/tickets/{id}")))
}

/// The clock and the zone everything on one page is told in.
#[derive(Clone, Copy)]
struct Moment {
    t: &'static Texts,
    zone: Tz,
    now: Timestamp,
}

impl Moment {
    fn at(self, at: Timestamp) -> At {
        At::new(self.zone, self.now, at)
    }

    fn length(self, ms: i64) -> String {
        time::length(self.t, ms / 1_000)
    }
}

impl TicketPart {
    async fn load(web: &Web, caller: &Caller, t: &'static Texts, id: Uuid) -> Result<Self, Problem> {
        let store::TicketView { ticket, events, clocks, incidents, children } =
            ticket_in_scope(web, caller, id).await?;
        let site = match &ticket.site {
            Some(site) => web.app().store().site(caller.scope(), site).await?,
            None => None,
        };
        let zone = zone(web, site.as_ref().map(|site| site.timezone.as_str()));
        let moment = Moment { t, zone, now: web.app().clock().now() };
        let catalogue = &web.app().policy().catalogue;
        let incident = |row: &IncidentRow| Incident::new(moment, t.fault(catalogue, &row.fault), row);
        let child = |row: &TicketRow| Child {
            id: row.id,
            number: row.number,
            title: t.fault(catalogue, &row.fault),
            kiosk: row.kiosk.as_ref().map_or_else(String::new, ToString::to_string),
            state: t.word(row.state.as_str()),
            tone: Tone::of_ticket(row.state).class(),
        };
        Ok(Self {
            t,
            number: ticket.number,
            title: t.fault(catalogue, &ticket.fault),
            tone: Tone::of_ticket(ticket.state).class(),
            state: t.word(ticket.state.as_str()),
            recovering: ticket.recovering_since.is_some() && ticket.t5.is_none(),
            kiosk: ticket.kiosk.clone(),
            site: site.map_or_else(String::new, |site| site.name),
            facts: facts(t, &ticket),
            times: times(moment, &ticket),
            clocks: clocks.iter().map(|clock| ClockCard::new(moment, clock)).collect(),
            fault: FaultCard::new(t, catalogue, &ticket.fault),
            history: events.iter().rev().map(|event| Event::new(moment, event)).collect(),
            incidents: incidents.iter().map(incident).collect(),
            children: children.iter().map(child).collect(),
            parent: ticket.parent,
        })
    }
}

fn facts(t: &'static Texts, ticket: &TicketRow) -> Vec<(&'static str, String)> {
    let peripheral = ticket.peripheral.as_ref().map(ToString::to_string);
    let mut facts = vec![
        (t.priority, ticket.priority.to_string()),
        (t.severity, t.word(ticket.severity.as_str()).to_owned()),
        (t.class, t.word(ticket.class.as_str()).to_owned()),
        (t.source, t.word(ticket.source.as_str()).to_owned()),
        (t.zone, t.word(ticket.zone.as_str()).to_owned()),
        (t.assignee, ticket.assignee.clone().unwrap_or_else(|| t.nobody.to_owned())),
    ];
    let more = [
        (t.peripheral, peripheral.as_deref().map(|name| t.word(name).to_owned())),
        (t.resolution, ticket.resolution.clone()),
        (t.cancel_reason, ticket.cancel_reason.clone()),
    ];
    facts.extend(more.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    facts
}

fn times(moment: Moment, ticket: &TicketRow) -> Vec<(&'static str, At)> {
    let t = moment.t;
    let times = [
        (t.detected, ticket.t0),
        (t.reported, Some(ticket.t1)),
        (t.restored, ticket.t5),
        (t.signed, ticket.t6),
        (t.closed, ticket.t7),
    ];
    times.into_iter().filter_map(|(name, at)| at.map(|at| (name, moment.at(at)))).collect()
}

impl ClockCard {
    fn new(moment: Moment, clock: &ClockRow) -> Self {
        let t = moment.t;
        let budget_ms = i64::try_from(clock.budget_s).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
        let left_ms = clock.due_at.map(|due| due.since(moment.now));
        let warned = clock.warn_at.is_some_and(|warn| warn <= moment.now);
        let tone = match clock.state {
            ClockState::Running if left_ms.is_some_and(|left| left < 0) => Tone::Out,
            ClockState::Running if warned => Tone::Warn,
            state => Tone::of_clock(state),
        };
        let remaining_ms = clock.remaining_s.map(|s| i64::try_from(s).unwrap_or(0) * 1_000);
        let says = match (clock.state, left_ms, clock.stopped_at) {
            (ClockState::Running | ClockState::Breached, Some(left), None) if left < 0 => {
                format!("{} {}", t.overdue_by, moment.length(-left))
            }
            (ClockState::Running, Some(left), _) => format!("{} {}", t.left, moment.length(left)),
            (ClockState::Paused, ..) => {
                format!("{} {}", t.paused_with, moment.length(remaining_ms.unwrap_or(0)))
            }
            (ClockState::Met, _, Some(at)) => format!("{} {}", t.met_at, moment.at(at).short),
            (state, ..) => t.word(state.as_str()).to_owned(),
        };
        let open_ms = match clock.state {
            ClockState::Running => left_ms.unwrap_or(budget_ms),
            ClockState::Paused => remaining_ms.unwrap_or(0),
            _ => 0,
        };
        let used = 100 - (open_ms.clamp(0, budget_ms) * 100).checked_div(budget_ms.max(1)).unwrap_or(0);
        Self {
            name: t.word(&clock.name).to_owned(),
            tone: tone.class(),
            state: t.word(clock.state.as_str()),
            says,
            due: clock.due_at.map(|due| moment.at(due)),
            budget: moment.length(budget_ms),
            used,
        }
    }
}

impl Event {
    fn new(moment: Moment, row: &TicketEventRow) -> Self {
        let t = moment.t;
        let moved = row.from.filter(|from| *from != row.to);
        Self {
            at: moment.at(row.at),
            actor: row.actor.clone(),
            action: t.word(&row.action).to_owned(),
            moved: moved.map(|from| (t.word(from.as_str()), t.word(row.to.as_str()))),
            reason: row.reason.clone(),
        }
    }
}

impl Incident {
    fn new(moment: Moment, name: String, row: &IncidentRow) -> Self {
        let peripheral = row.peripheral.as_ref().map_or("", |name| name.as_str());
        let words = [row.triage.as_str(), row.triage_reason.as_str()];
        Self {
            name,
            peripheral: moment.t.word(peripheral).to_owned(),
            opened: moment.at(row.opened_at),
            closed: row.closed_at.map(|at| moment.at(at)),
            decision: words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · "),
            raw: row.raw.clone(),
            text: row.text.clone(),
        }
    }
}
