//! One ticket: where it stands, what is promised, what to do first, what happened, and what people can do.
pub(super) mod work;

use askama::Template;
use axum::{extract::State, response::Html};
use chrono_tz::Tz;
use kioskwatch_domain::{
    change::{ClockRow, ClockState, IncidentRow, TicketEventRow, TicketRow, TicketState},
    incident::is_ours,
};
use kioskwatch_proto::{KioskId, Timestamp, faults::Catalogue};
use uuid::Uuid;

use self::work::{Tried, WorkForm};
use super::{
    kiosk::FaultCard,
    shell::{Shell, render, zone},
    texts::Texts,
    time::{self, At},
    told,
    tone::Tone,
};
use crate::{
    auth::Right,
    http::{Caller, Id, May, Problem, See, Web, ticket_in_scope},
    store,
};

#[derive(Template)]
#[template(path = "ticket.html")]
struct TicketPage {
    shell: Shell,
    id: Uuid,
    number: u64,
    title: String,
    /// Empty: the reader may only look, or nothing is left to do.
    work: Vec<WorkForm>,
    may_work: bool,
    /// Why the last try came to nothing, where its form went with the state that had it.
    problem: Option<String>,
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
    stands: TicketState,
    zone: Tz,
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
    /// Who says what of it.
    said: Option<(&'static str, String)>,
}

struct Child {
    id: Uuid,
    number: u64,
    title: String,
    kiosk: String,
    state: &'static str,
    tone: &'static str,
}

pub(super) async fn page(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Id(id): Id<Uuid>,
) -> Result<Html<String>, Problem> {
    show(&web, &caller, shell, id, None).await
}

async fn show(
    web: &Web,
    caller: &Caller,
    shell: Shell,
    id: Uuid,
    tried: Option<Tried<'_>>,
) -> Result<Html<String>, Problem> {
    let part = TicketPart::load(web, caller, shell.t, id).await?;
    let may_work = caller.identity.may(Right::WorkTickets);
    let work =
        if may_work { work::forms(shell.t, part.stands, part.zone, tried.as_ref()) } else { Vec::new() };
    let is_told = work.iter().any(|form| form.problem.is_some());
    let problem = tried.filter(|_| !is_told).map(|tried| tried.told(shell.t, part.zone));
    let (number, title) = (part.number, part.title.clone());
    render(&TicketPage { id, number, title, work, may_work, problem, shell, part })
}

pub(super) async fn part(
    State(web): State<Web>,
    May(caller, _): May<See>,
    shell: Shell,
    Id(id): Id<Uuid>,
) -> Result<Html<String>, Problem> {
    render(&TicketPart::load(&web, &caller, shell.t, id).await?)
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
        let incident = |row: &IncidentRow| Incident::new(moment, catalogue, row);
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
            stands: ticket.state,
            zone,
            recovering: ticket.recovering_since.is_some() && ticket.t5.is_none(),
            kiosk: ticket.kiosk.clone(),
            site: site.map_or_else(String::new, |site| site.name),
            facts: facts(t, &ticket),
            times: times(moment, &ticket),
            clocks: clocks.iter().map(|clock| ClockCard::new(moment, clock)).collect(),
            fault: FaultCard::new(t, catalogue, &ticket.fault),
            history: events.iter().rev().map(|event| Event::new(moment, catalogue, event)).collect(),
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
        (t.resolution, ticket.resolution.as_deref().map(|text| told::resolution(t, text).to_owned())),
        (t.sign_off, ticket.sign_off.as_deref().map(|word| t.word_of("sign_off", word).to_owned())),
        (t.cancel_reason, ticket.cancel_reason.as_deref().map(|text| told::cancelled(t, text))),
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
    fn new(moment: Moment, catalogue: &Catalogue, row: &TicketEventRow) -> Self {
        let t = moment.t;
        let moved = row.from.filter(|from| *from != row.to);
        Self {
            at: moment.at(row.at),
            actor: told::actor(t, &row.actor),
            action: t.word(&row.action).to_owned(),
            moved: moved.map(|from| (t.word(from.as_str()), t.word(row.to.as_str()))),
            reason: told::reason(t, catalogue, &row.reason),
        }
    }
}

impl Incident {
    fn new(moment: Moment, catalogue: &Catalogue, row: &IncidentRow) -> Self {
        let t = moment.t;
        let peripheral = row.peripheral.as_ref().map_or("", |name| name.as_str());
        let said = |text: &str| match told::seen(t, catalogue, text).filter(|_| is_ours(&row.fault)) {
            Some(seen) => (t.server_says, seen),
            None => (t.device_says, text.to_owned()),
        };
        Self {
            name: t.fault(catalogue, &row.fault),
            peripheral: t.word(peripheral).to_owned(),
            opened: moment.at(row.opened_at),
            closed: row.closed_at.map(|at| moment.at(at)),
            decision: told::decision(t, row, |at| moment.at(at).short),
            raw: row.raw.clone(),
            said: row.text.as_deref().map(said),
        }
    }
}
