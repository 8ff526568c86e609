//! The loop and its turns on a real database, with connections to nobody.
mod deciding;
mod hearing;
mod uncommitted;

use std::sync::Arc;

use kioskwatch_domain::{
    change::{
        Change, ClockRow, ClockState, CommandRow, CommandState, MonthRow, MonthSums, PresenceVerdict,
        RecordOutcome, TicketRow, TicketSource, TicketState,
    },
    fleet::{Actor, Beat, Plan, Request},
    retention::Kept,
    testing::ScriptedAgent,
    uptime::{Month, books::BOOKKEEPER},
};
use kioskwatch_proto::{
    CommandId, Epoch, KioskId,
    faults::{FaultClass, FaultCode},
    journal::{Body, Boot, FaultState, Record, Was},
    presence::PresenceState,
    topic::{Channel, Topic},
    words::ServiceState,
};

use super::{
    turn::{BEATS_TOGETHER, MAX_BATCH},
    *,
};
use crate::{
    app::{
        UptimeScope,
        testing::{self, Folder},
    },
    config::Config,
    metrics::FleetFigures,
    mqtt::{Inlet, Lane, Received, queue},
    store::{PageRequest, Scope, StoreDefect},
};

struct Rig {
    hub: Hub,
    app: App,
    journal: Inlet,
    beats: Inlet,
    folder: Folder,
    stop: watch::Sender<bool>,
}

impl Rig {
    async fn start(rows: impl FnOnce(Timestamp) -> Vec<Change>) -> Self {
        let (app, requests, folder) = testing::app(Config::default(), rows).await;
        let ((journal, from_journal), (beats, from_beats)) = (queue(), queue());
        let link = |lane| testing::link(&app, lane).0;
        let (on_journal, on_beats) = ((link(Lane::Journal), from_journal), (link(Lane::Beats), from_beats));
        let mut hub = Hub::new(app.clone(), requests, on_journal, on_beats);
        let (stop, stopped) = watch::channel(false);
        let options =
            HubOptions { server: Uuid::from_u128(9), last_alive_at: None, flush_every: FLUSH_EVERY };
        hub.begin(&options, stopped).await.unwrap();
        Self { hub, app, journal, beats, folder, stop }
    }

    /// Behind the back of the server.
    async fn sabotage(&self, sql: &'static str) {
        self.folder.sabotage(sql).await;
    }

    async fn decide(&mut self, input: Input) {
        self.hub.decide(Turn::of([input])).await.unwrap();
    }

    async fn audit(&self, action: &str) -> Vec<String> {
        let entries = self.app.store().audit(&PageRequest::first()).await.unwrap().items;
        entries.into_iter().filter(|entry| entry.row.action == action).map(|entry| entry.row.object).collect()
    }

    fn poisoned(&self) -> u64 {
        self.counted("commit_failures_total{reason=\"poisoned\"}")
    }

    /// What the metrics say of one series.
    fn counted(&self, series: &str) -> u64 {
        let page = self.app.counters().page(&FleetFigures::default());
        let line = page.lines().find(|line| line.contains(series));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

fn kiosk(now: Timestamp) -> Change {
    kiosk_named("K-1", now)
}

fn kiosk_named(id: &str, now: Timestamp) -> Change {
    Change::Kiosk(testing::kiosk(KioskId::new(id).unwrap(), now))
}

fn command_id(n: u128) -> CommandId {
    CommandId(Uuid::from_u128(n))
}

/// The defect that nobody knows of yet: what panics.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// To apply a fault of this kiosk.
    Applying(KioskId),
    /// To decide about this command.
    Deciding(CommandId),
    /// To read what comes under this topic.
    Reading(Topic),
    /// To read a record that says this.
    ReadingRecord(&'static str),
    /// To hear this kiosk's heartbeat.
    Hearing(KioskId),
}

impl Defect {
    pub(super) fn strike_in_plan(defect: Option<&Self>, plan: &Plan) {
        let met = |change: &Change| match (defect, change) {
            (Some(Self::Applying(kiosk)), Change::JournalRecord(row)) => {
                row.kiosk == *kiosk && row.outcome == RecordOutcome::Applied && row.kind == "fault"
            }
            (Some(Self::Deciding(command)), Change::Command(row)) => row.id == *command,
            _ => false,
        };
        assert!(!plan.changes.iter().any(met), "a defect");
    }

    pub(super) fn strike_reading(defect: Option<&Self>, received: &Received) {
        let met = |defect: &Self| match defect {
            Self::Reading(topic) => received.topic == topic.to_string(),
            _ => false,
        };
        assert!(!defect.is_some_and(met), "a defect");
    }

    pub(super) fn strike_record(defect: Option<&Self>, raw: &str) {
        let met = |defect: &Self| matches!(defect, Self::ReadingRecord(text) if raw.contains(text));
        assert!(!defect.is_some_and(met), "a defect");
    }

    pub(super) fn strike_hearing(defect: Option<&Self>, beats: &[Beat]) {
        let met = |beat: &Beat| defect == Some(&Self::Hearing(beat.kiosk.clone()));
        assert!(!beats.iter().any(met), "a defect");
    }
}

fn received(agent: &ScriptedAgent, channel: Channel, payload: Vec<u8>, at: Timestamp) -> Received {
    let topic = Topic::new(agent.id.clone(), channel).to_string();
    Received { topic: topic.into(), payload: payload.into(), retained: false, at }
}

/// A ticket whose clock should have stopped a minute ago.
fn late_ticket(now: Timestamp) -> [Change; 2] {
    let (id, opened_at, due_at) = (Uuid::from_u128(7), now.plus_ms(-3_600_000), now.plus_ms(-60_000));
    let ticket = TicketRow {
        state: TicketState::Triaged,
        kiosk: Some(KioskId::new("K-1").unwrap()),
        class: FaultClass::Operator,
        source: TicketSource::Agent,
        due_at: Some(due_at),
        ..TicketRow::new(id, 1, FaultCode::new("paper_out").unwrap(), opened_at)
    };
    let clock = ClockRow {
        ticket: id,
        name: "restore".into(),
        state: ClockState::Running,
        started_at: opened_at,
        budget_s: 3_540,
        warn_at: None,
        due_at: Some(due_at),
        remaining_s: None,
        stopped_at: None,
        breached_at: None,
    };
    [Change::Ticket(Box::new(ticket)), Change::Clock(clock)]
}

#[tokio::test]
async fn a_service_clock_that_ran_out_is_counted_once_and_told_once() {
    let rows = |now| std::iter::once(kiosk(now)).chain(late_ticket(now)).collect();
    let mut rig = Rig::start(rows).await;
    let counts = |rig: &Rig| {
        let told = rig.counted("notifications_total{channel=\"log\"");
        (rig.counted("sla_breaches_total{clock=\"restore\"}"), told)
    };
    assert_eq!(counts(&rig), (0, 0));
    for _ in 0..2 {
        rig.decide(Input::Sweep).await;
        assert_eq!(counts(&rig), (1, 1));
    }
}

#[tokio::test]
async fn the_bookkeeper_hears_of_a_kiosk_with_the_commit_that_brings_it() {
    let mut rig = Rig::start(|now| vec![kiosk(now)]).await;
    let (new, now) = (KioskId::new("K-2").unwrap(), rig.app.clock().now());
    let request = Request::PutKiosk(testing::kiosk(new.clone(), now));
    rig.decide(Input::Request { actor: Actor { name: "manager".into() }, request }).await;
    let place = rig.app.fleet().place(&new).unwrap();
    assert!(rig.app.books().dirty().take_one(place).is_some());
}

/// What a kiosk owes in a month that is over, by all that is known.
fn booked(month: Month) -> Change {
    let period = month.period(chrono_tz::UTC);
    let nothing =
        MonthRow::nothing(KioskId::new("K-1").unwrap(), month, period, Timestamp(period.to * 1_000));
    let sums = MonthSums { excluded_s: 60, ..MonthSums::default() };
    Change::Month(Box::new(MonthRow { sums, fingerprint: "f".into(), ..nothing }))
}

#[tokio::test]
async fn sums_read_while_rows_are_committed_are_not_remembered() {
    let month: Month = "2026-04".parse().unwrap();
    let mut rig = Rig::start(|now| vec![kiosk(now), booked(month)]).await;
    let app = rig.app.clone();
    let are_remembered = async || {
        let by = ("site", "avail");
        let ask = async || app.booked(&Scope::All, &UptimeScope::Fleet, (month, month), by).await.unwrap();
        let first = ask().await;
        assert_eq!(first.months[0].kiosks, 1);
        Arc::ptr_eq(&first, &ask().await)
    };
    let book = |changes: Vec<Change>| {
        let actor = Actor { name: BOOKKEEPER.into() };
        Input::Request { actor, request: Request::Book { changes, also: None } }
    };
    rig.sabotage(
        "CREATE TRIGGER poison BEFORE UPDATE ON uptime_month BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )
    .await;
    // It can never be committed; until the next commit nobody knows that there is none.
    rig.decide(book(vec![booked(month)])).await;
    assert_eq!(rig.poisoned(), 1);
    assert!(!are_remembered().await, "some rows of before, some of after");
    rig.decide(book(vec![booked(month.next())])).await;
    assert!(are_remembered().await);
}
