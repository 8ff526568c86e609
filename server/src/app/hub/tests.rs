//! The loop and its turns on a real database, with connections to nobody.
use std::sync::Arc;

use kioskwatch_domain::{
    change::{
        Change, ClockRow, ClockState, CommandRow, CommandState, MonthRow, MonthSums, RecordOutcome,
        TicketRow, TicketSource, TicketState,
    },
    fleet::{Actor, Plan, Request},
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
    store::{PageRequest, Scope},
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

/// Nobody approved it in time.
fn overdue_command(n: u128, now: Timestamp) -> Change {
    Change::Command(Box::new(CommandRow {
        id: command_id(n),
        kiosk: KioskId::new("K-1").unwrap(),
        action: "probe".into(),
        args: "{}".into(),
        actor: "somebody".into(),
        approver: None,
        ticket: None,
        state: CommandState::AwaitingApproval,
        counter: 0,
        requested_at: now.plus_ms(-600_000),
        issued_at: None,
        not_after: now.plus_ms(-300_000),
        sent_at: None,
        attempts: 0,
        finished_at: None,
        reason: None,
        result: None,
    }))
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
async fn a_deadline_that_cannot_be_committed_costs_nobody_else_anything() {
    let rows = |now| {
        let commands = (1..=9).map(|n| overdue_command(n, now));
        std::iter::once(kiosk(now)).chain(commands).collect()
    };
    let mut rig = Rig::start(rows).await;
    rig.sabotage(
        "CREATE TRIGGER poison BEFORE INSERT ON command WHEN NEW.id = '00000000-0000-0000-0000-000000000005'
         BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )
    .await;
    for _ in 0..3 {
        rig.decide(Input::Sweep).await;
        for n in 1..=9 {
            let found = rig.app.store().command(&Scope::All, command_id(n)).await.unwrap().unwrap();
            let expected = if n == 5 { CommandState::AwaitingApproval } else { CommandState::Expired };
            assert_eq!(found.command.state, expected, "{n}");
        }
        assert_eq!(rig.audit("deadline_failed").await, [format!("command/{}", command_id(5))]);
        assert_eq!(rig.poisoned(), 1, "left alone for a while");
    }
}

#[tokio::test]
async fn evidence_that_cannot_be_committed_costs_nobody_else_anything() {
    let mut rig = Rig::start(|now| (1..=9).map(|n| kiosk_named(&format!("K-{n}"), now)).collect()).await;
    rig.decide(Input::BrokerUp).await;
    let begun = rig.app.clock().now();
    let ids: Vec<KioskId> = (1..=9).map(|n| KioskId::new(&format!("K-{n}")).unwrap()).collect();
    for id in &ids {
        let message = Box::new(ScriptedAgent::new(id.as_str(), begun).heartbeat(begun));
        rig.decide(Input::Heartbeat { kiosk: id.clone(), received_at: begun, message }).await;
    }
    while rig.app.clock().now() <= begun {
        tokio::task::yield_now().await;
    }
    rig.sabotage(
        "CREATE TRIGGER poison BEFORE INSERT ON kiosk_seen WHEN NEW.kiosk = 'K-5'
         BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )
    .await;
    for _ in 0..3 {
        let heard_to = rig.app.clock().now();
        rig.decide(flush_of(Share::ALL, Some(heard_to))).await;
        let end = Timestamp(i64::MAX / 2);
        let rows = rig.app.store().evidence(&Scope::All, &ids, begun, end).await.unwrap();
        let written: Vec<_> = rows.iter().map(|row| row.kiosk.as_str()).collect();
        assert_eq!(written, ["K-1", "K-2", "K-3", "K-4", "K-6", "K-7", "K-8", "K-9"]);
        let claims = rig.app.store().server_liveness(begun, end).await.unwrap();
        assert_eq!(claims.iter().map(|row| row.to).max(), Some(heard_to), "we go on saying that we listen");
        let gaps = rig.app.store().evidence_gaps(&ids, begun, end).await.unwrap();
        let gaps: Vec<_> = gaps.iter().map(|row| (row.kiosk.as_str(), row.from, row.to)).collect();
        assert_eq!(gaps, [("K-5", begun, heard_to)], "but not to that one");
        assert!(!rig.hub.flush_failed);
        assert_eq!(rig.audit("evidence_failed").await, ["kiosk/K-5"]);
        assert_eq!(rig.poisoned(), 1, "left alone for a while");
    }
}

#[tokio::test]
async fn a_server_hears_again_although_what_it_forgot_of_one_kiosk_cannot_be_committed() {
    let ids = ["K-1", "K-2", "K-3"];
    let mut rig = Rig::start(|now| ids.map(|id| kiosk_named(id, now)).into()).await;
    let now = rig.app.clock().now();
    rig.decide(Input::BrokerUp).await;
    for id in ids {
        rig.decide(ScriptedAgent::new(id, now).connect(now)).await;
    }
    rig.decide(Input::BrokerDown { since: now.plus_ms(-3_600_000) }).await;
    rig.sabotage(
        "CREATE TRIGGER poison BEFORE INSERT ON transition WHEN NEW.kiosk = 'K-2'
         BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )
    .await;
    rig.decide(Input::BrokerUp).await;
    assert_eq!(rig.app.fleet().deaf_since(), None, "one kiosk does not keep us deaf");
    for _ in 0..3 {
        rig.decide(Input::Sweep).await;
        let presence = |id| rig.app.fleet().kiosk(&KioskId::new(id).unwrap()).unwrap().presence.as_str();
        assert_eq!(ids.map(presence), ["unknown", "online", "unknown"]);
        assert_eq!(rig.audit("deadline_failed").await, ["kiosk/K-2", "server"]);
    }
    assert_eq!(rig.app.fleet().forgetting_from(), None);
}

#[tokio::test]
async fn a_jump_of_the_clock_that_cannot_be_committed_is_deafness_at_least() {
    let mut rig = Rig::start(|_| Vec::new()).await;
    rig.hub.lanes_up = [true; 2];
    rig.decide(Input::BrokerUp).await;
    rig.sabotage(
        "CREATE TRIGGER poison BEFORE INSERT ON audit WHEN NEW.action = 'clock_jumped'
         BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )
    .await;
    let begun = rig.app.clock().now();
    while rig.app.clock().now() <= begun.plus_ms(1) {
        tokio::task::yield_now().await;
    }
    let jumped = rig.app.clock().now();
    rig.decide(Input::ClockJumped { before: begun }).await;
    let told = rig.app.clock().now();
    while rig.app.clock().now() <= told {
        tokio::task::yield_now().await;
    }
    let heard = rig.app.fleet().live_hearing(rig.app.clock().now());
    assert!(heard.iter().all(|row| row.to <= begun || row.from >= jumped), "{heard:?}");
    assert!(heard.iter().any(|row| row.from >= jumped), "and we hear again: {heard:?}");
}

/// In the middle of a decision.
pub(super) fn panic_if_applied(defect: Option<&KioskId>, plan: &Plan) {
    let applied = |change: &Change| match change {
        Change::JournalRecord(row) => {
            Some(&row.kiosk) == defect && row.outcome == RecordOutcome::Applied && row.kind == "fault"
        }
        _ => false,
    };
    assert!(!plan.changes.iter().any(applied), "a defect");
}

#[tokio::test]
async fn a_decision_that_panics_costs_one_record_and_nobody_else_anything() {
    let mut rig = Rig::start(|now| ["K-1", "K-2"].map(|id| kiosk_named(id, now)).into()).await;
    let now = rig.app.clock().now();
    let [mut agent, mut neighbour] = ["K-1", "K-2"].map(|id| ScriptedAgent::new(id, now));
    rig.hub.defect_about = Some(agent.id.clone());
    agent.service(now, ServiceState::InService);
    agent.fault(now, "printer", "paper_out", FaultState::Raised);
    agent.service(now, ServiceState::Degraded);
    let upto =
        |rig: &Rig, agent: &ScriptedAgent| rig.app.fleet().journal(&agent.id, agent.epoch).map(|at| at.0);
    for turn in 1..=3 {
        neighbour.service(now, ServiceState::InService);
        let inputs = vec![agent.batch(now), neighbour.batch(now)];
        rig.hub.decide(Turn::of(inputs)).await.unwrap();
        assert_eq!(upto(&rig, &agent), Some(1), "the one before it is applied");
        assert_eq!(upto(&rig, &neighbour), Some(turn));
        assert_eq!(rig.poisoned(), turn);
    }
    rig.decide(agent.batch(now)).await;
    assert_eq!(upto(&rig, &agent), Some(3), "and the one behind it");
    let kept = rig.app.store().journal_record(&Scope::All, &agent.id, agent.epoch, 2).await.unwrap().unwrap();
    assert_eq!(kept.outcome, RecordOutcome::Quarantined);
    assert_eq!(rig.audit("record_failed").await, ["kiosk/K-1"; 3], "{:?}", kept.reason);
}

#[tokio::test]
async fn a_record_whose_old_place_is_damaged_is_quarantined_and_holds_nobody_up() {
    let mut rig = Rig::start(|now| vec![kiosk(now)]).await;
    let mut agent = ScriptedAgent::new("K-1", rig.app.clock().now());
    for _ in 0..20 {
        agent.service(rig.app.clock().now(), ServiceState::InService);
    }
    rig.decide(agent.batch(rig.app.clock().now())).await;
    rig.sabotage("UPDATE journal_record SET raw = x'ff00' WHERE seq = 3").await;
    let old = agent.epoch;
    agent.epoch = Epoch(Uuid::from_u128(99));
    (agent.last_seq, agent.journal) = (0, Vec::new());
    for seq in [2, 3] {
        let was = Some(Was { epoch: old, seq });
        let boot = Boot { previous_boot: None, previous_alive_until: None, clean: true };
        agent.record_was(rig.app.clock().now(), Body::Boot(boot), was);
    }
    let upto = |rig: &Rig| rig.app.fleet().journal(&agent.id, agent.epoch).unwrap().0;
    for _ in 0..3 {
        rig.decide(agent.batch(rig.app.clock().now())).await;
        assert_eq!(upto(&rig), 1, "the one before it could be looked up");
    }
    rig.decide(agent.batch(rig.app.clock().now())).await;
    assert_eq!(upto(&rig), 2);
    let kept = rig.app.store().journal_record(&Scope::All, &agent.id, agent.epoch, 2).await.unwrap().unwrap();
    assert_eq!(kept.outcome, RecordOutcome::Quarantined);
    assert_eq!(rig.audit("record_failed").await.len(), 3);
}

#[tokio::test]
async fn a_journal_whose_place_is_damaged_waits_alone() {
    let mut rig = Rig::start(|now| ["K-1", "K-2"].map(|id| kiosk_named(id, now)).into()).await;
    let now = rig.app.clock().now();
    let mut agents = ["K-1", "K-2"].map(|id| ScriptedAgent::new(id, now));
    let first = agents.each_mut().map(|agent| {
        agent.service(now, ServiceState::InService);
        agent.clone()
    });
    for _ in 0..20 {
        for agent in &mut agents {
            rig.decide(agent.batch(now)).await;
            agent.lose_journal(now);
        }
    }
    let [one, two] = first.each_ref().map(|agent| rig.app.fleet().journal(&agent.id, agent.epoch));
    assert_eq!((one, two), (None, None), "both are forgotten");
    rig.sabotage("UPDATE journal_head SET digest = 'damaged' WHERE kiosk = 'K-1'").await;
    let mut old = first;
    for agent in &mut old {
        agent.service(now, ServiceState::OutOfService);
    }
    let inputs = old.each_ref().map(|agent| agent.batch(now));
    rig.hub.decide(Turn::of(inputs)).await.unwrap();
    let mut stored = Vec::new();
    for agent in &old {
        let record = rig.app.store().journal_record(&Scope::All, &agent.id, agent.epoch, 2).await.unwrap();
        stored.push(record.is_some());
    }
    assert_eq!(stored, [false, true]);
}

#[tokio::test]
async fn a_record_sent_again_after_its_row_was_removed_is_a_repeat() {
    let mut rig = Rig::start(|now| vec![kiosk(now)]).await;
    let now = rig.app.clock().now();
    let mut agent = ScriptedAgent::new("K-1", now);
    agent.fault(now, "printer", "paper_out", FaultState::Raised);
    agent.fault(now, "printer", "paper_out", FaultState::Cleared);
    for _ in 0..20 {
        agent.service(now, ServiceState::InService);
    }
    let first = Record::parse(&agent.journal[0].1).unwrap().body;
    rig.decide(agent.batch(now)).await;
    let (store, ids) = (rig.app.store().clone(), [agent.id.clone()]);
    let later = now.plus_ms(3_600_000);
    assert_eq!(store.remove_of_kiosks(Kept::JournalRecord, &ids, later, 100).await.unwrap(), 22);
    let page = PageRequest::first();
    let incidents = async || store.incidents(&Scope::All, &ids[0], &page).await.unwrap().unwrap().items.len();
    assert_eq!(incidents().await, 1);
    // Under its number: its journal's head knows.
    rig.decide(agent.batch(now)).await;
    let records = store.journal_records(&Scope::All, &ids[0], agent.epoch, &page).await.unwrap().unwrap();
    assert_eq!((records.items.len(), incidents().await), (0, 1));
    // Under another number, from a copy of the disk.
    let old = agent.epoch;
    agent.epoch = Epoch(Uuid::from_u128(99));
    (agent.last_seq, agent.journal) = (0, Vec::new());
    agent.record_was(now, first, Some(Was { epoch: old, seq: 1 }));
    rig.decide(agent.batch(now)).await;
    let kept = store.journal_record(&Scope::All, &ids[0], agent.epoch, 1).await.unwrap().unwrap();
    assert_eq!((kept.outcome, incidents().await), (RecordOutcome::Repeat, 1));
}

#[tokio::test]
async fn who_asks_again_and_again_keeps_no_deadline_from_being_looked_at() {
    let mut rig = Rig::start(|_| Vec::new()).await;
    let (app, actor) = (rig.app.clone(), Actor { name: "somebody".into() });
    let asking = tokio::spawn(async move {
        let request = Request::RejectCommand { command: command_id(1), reason: String::new() };
        app.request(actor, request).await
    });
    while rig.app.waiting_requests() == 0 {
        tokio::task::yield_now().await;
    }
    let (_stop, mut stop) = watch::channel(false);
    let (mut sweep, mut flush) = (interval(1), interval(3_600));
    flush.tick().await;
    assert!(matches!(rig.hub.next(&mut stop, &mut sweep, &mut flush).await, Wake::Sweep));
    let Wake::Request(asked) = rig.hub.next(&mut stop, &mut sweep, &mut flush).await else {
        panic!("the tick is over");
    };
    drop(asked);
    assert!(asking.await.unwrap().is_err());
}

fn interval(seconds: u64) -> Interval {
    tokio::time::interval(Duration::from_secs(seconds))
}

#[tokio::test]
async fn messages_read_in_a_turn_without_a_tick_were_read() {
    let mut rig = Rig::start(|_| Vec::new()).await;
    let before = rig.hub.last_turn;
    while before.elapsed() < Duration::from_millis(5) {
        tokio::task::yield_now().await;
    }
    let waited = before.elapsed();
    rig.hub.drain(&mut Turn::default());
    let read = rig.hub.last_turn.elapsed();
    assert!(read + waited <= before.elapsed(), "last read {read:?} ago, before that not for {waited:?}");
}

#[tokio::test]
async fn deafness_is_noticed_at_the_next_turn_however_seldom_the_server_sweeps() {
    let mut rig = Rig::start(|_| Vec::new()).await;
    rig.hub.lanes_up = [true; 2];
    rig.decide(Input::BrokerUp).await;
    rig.hub.deaf_after = Duration::from_millis(5);
    let mut turn = Turn::default();
    rig.hub.notice_deafness(&mut turn);
    let read = rig.hub.last_turn;
    while read.elapsed() <= rig.hub.deaf_after {
        tokio::task::yield_now().await;
    }
    let mut turn = Turn::default();
    rig.hub.notice_deafness(&mut turn);
    assert!(matches!(turn.inputs[..], [Input::BrokerDown { .. }, Input::ReadsAgain]), "{:?}", turn.inputs);
}

#[tokio::test]
async fn a_server_that_ends_claims_nothing_of_the_time_that_its_clock_skipped_just_before() {
    const HOUR: i64 = 3_600_000;
    let mut rig = Rig::start(|_| Vec::new()).await;
    rig.app.clock().fall_behind(HOUR);
    rig.hub.lanes_up = [true; 2];
    rig.decide(Input::BrokerUp).await;
    let begun = rig.app.clock().now();
    rig.stop.send(true).unwrap();
    rig.hub.run().await.unwrap();
    let ended = rig.app.clock().now();
    assert!(ended.since(begun) >= HOUR, "the clock jumped when it was looked at");
    let claims = rig.app.store().server_liveness(begun, ended).await.unwrap();
    assert!(claims.iter().all(|row| row.to.since(row.from) < HOUR / 2), "{claims:?}");
}

/// From kiosks that nobody knows: each heartbeat is an input of the plan.
fn heartbeat_of_a_stranger(n: usize, now: Timestamp) -> Received {
    let mut agent = ScriptedAgent::new(&format!("X-{n}"), now);
    let payload = serde_json::to_vec(&agent.heartbeat(now)).unwrap();
    received(&agent, Channel::Heartbeat, payload, now)
}

fn received(agent: &ScriptedAgent, channel: Channel, payload: Vec<u8>, at: Timestamp) -> Received {
    let topic = Topic::new(agent.id.clone(), channel).to_string();
    Received { topic: topic.into(), payload: payload.into(), retained: false, at }
}

#[tokio::test]
async fn a_storm_of_heartbeats_delays_no_fault_and_a_storm_of_journals_no_heartbeat() {
    let mut rig = Rig::start(|now| vec![kiosk(now)]).await;
    let now = rig.app.clock().now();
    for n in 0..MAX_BATCH * 2 {
        rig.beats.message(heartbeat_of_a_stranger(n, now)).await.unwrap();
    }
    let mut agent = ScriptedAgent::new("K-1", now);
    let birth = |agent: &ScriptedAgent| {
        let Input::Presence { message, .. } = agent.presence(now, PresenceState::Online) else {
            panic!("a birth")
        };
        received(agent, Channel::Presence, serde_json::to_vec(&message).unwrap(), now)
    };
    rig.journal.message(birth(&agent)).await.unwrap();
    let mut turn = Turn::default();
    rig.hub.drain(&mut turn);
    assert!(matches!(turn.inputs[0], Input::Presence { .. }), "{:?}", turn.inputs[0]);
    assert_eq!(rig.beats.waiting(), MAX_BATCH, "the storm goes on");
    assert_eq!(rig.hub.heard_to(), None, "and nobody claims to have heard what waits");
    rig.hub.decide(turn).await.unwrap();
    while !rig.hub.has_taken_all() {
        let mut turn = Turn::default();
        rig.hub.drain(&mut turn);
        rig.hub.decide(turn).await.unwrap();
    }

    for _ in 0..MAX_BATCH * 2 {
        rig.journal.message(birth(&agent)).await.unwrap();
    }
    let payload = serde_json::to_vec(&agent.heartbeat(now)).unwrap();
    rig.beats.message(received(&agent, Channel::Heartbeat, payload, now)).await.unwrap();
    let mut turn = Turn::default();
    rig.hub.drain(&mut turn);
    assert_eq!((rig.journal.waiting(), rig.beats.waiting()), (MAX_BATCH, 0));
    drop(turn);
    assert!(rig.hub.heard_to().is_none());
}

#[tokio::test]
async fn heartbeats_wait_for_company_unless_there_is_enough_of_it() {
    let mut rig = Rig::start(|now| vec![kiosk(now)]).await;
    let now = rig.app.clock().now();
    let mut next = async |waiting: usize| {
        for n in 0..waiting {
            rig.beats.message(heartbeat_of_a_stranger(n, now)).await.unwrap();
        }
        let mut turn = Turn::default();
        rig.hub.drain(&mut turn);
        let at_once = rig.hub.beats_again.is_none();
        rig.beats.message(heartbeat_of_a_stranger(waiting, now)).await.unwrap();
        let rest = std::iter::from_fn(|| rig.hub.from_beats.try_recv()).count();
        (at_once, rest)
    };
    assert_eq!(next(3).await, (false, 1));
    assert_eq!(next(MAX_BATCH + BEATS_TOGETHER).await, (true, BEATS_TOGETHER + 1));
    rig.hub.drain(&mut Turn::default());
    rig.beats.message(heartbeat_of_a_stranger(0, now)).await.unwrap();
    let again = rig.hub.beats_again;
    assert!(next_beat(&mut rig.hub.from_beats, again).await.is_some());
    assert!(again.is_none_or(|at| Instant::now() >= at));
}

/// What a kiosk owes in a month that is over, by all that is known.
fn booked(month: Month) -> Change {
    let at = |secs: i64| Timestamp(secs * 1_000);
    let period = month.period(chrono_tz::UTC);
    Change::Month(Box::new(MonthRow {
        month,
        kiosk: KioskId::new("K-1").unwrap(),
        version: 0,
        site: None,
        engineer: None,
        region: String::new(),
        customer: String::new(),
        model: String::new(),
        period_from: at(period.from),
        period_to: at(period.to),
        as_of: at(period.to),
        booked_at: at(period.to),
        frozen_at: None,
        target: (99, 100),
        sums: MonthSums { excluded_s: 60, ..MonthSums::default() },
        fingerprint: "f".into(),
        inputs: "{}".into(),
    }))
}

#[tokio::test]
async fn sums_read_while_rows_are_committed_are_not_remembered() {
    let month: Month = "2026-04".parse().unwrap();
    let mut rig = Rig::start(|now| vec![kiosk(now), booked(month)]).await;
    let app = rig.app.clone();
    let are_remembered = async || {
        let ask = async || app.booked(&Scope::All, &UptimeScope::Fleet, (month, month), None).await.unwrap();
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
