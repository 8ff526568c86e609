//! What cannot be decided or committed costs nobody else anything.
use super::*;

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

async fn nine_overdue_commands() -> Rig {
    let rows = |now| {
        let commands = (1..=9).map(|n| overdue_command(n, now));
        std::iter::once(kiosk(now)).chain(commands).collect()
    };
    Rig::start(rows).await
}

/// Nobody can end it, and the others end all the same.
async fn the_fifth_is_left_alone(mut rig: Rig) {
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
async fn a_deadline_that_cannot_be_committed_costs_nobody_else_anything() {
    let rig = nine_overdue_commands().await;
    rig.sabotage(
        "CREATE TRIGGER poison BEFORE INSERT ON command WHEN NEW.id = '00000000-0000-0000-0000-000000000005'
         BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )
    .await;
    the_fifth_is_left_alone(rig).await;
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
async fn a_start_forgets_everybody_but_whom_it_cannot_commit() {
    let ids = ["K-1", "K-2", "K-3"];
    let mut rig = Rig::start(|now| ids.map(|id| kiosk_named(id, now)).into()).await;
    let now = rig.app.clock().now();
    rig.decide(Input::BrokerUp).await;
    for id in ids {
        rig.decide(ScriptedAgent::new(id, now).connect(now)).await;
    }
    rig.sabotage(
        "CREATE TRIGGER poison BEFORE INSERT ON transition WHEN NEW.kiosk = 'K-2'
         BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )
    .await;
    rig.decide(Input::ServerStarted { server: uuid::Uuid::now_v7(), last_alive_at: Some(now) }).await;
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

/// Up to which record its journal is applied.
fn upto(rig: &Rig, agent: &ScriptedAgent) -> Option<u64> {
    rig.app.fleet().journal(&agent.id, agent.epoch).map(|at| at.0)
}

#[tokio::test]
async fn a_decision_that_panics_costs_one_record_and_nobody_else_anything() {
    let mut rig = Rig::start(|now| ["K-1", "K-2"].map(|id| kiosk_named(id, now)).into()).await;
    let now = rig.app.clock().now();
    let [mut agent, mut neighbour] = ["K-1", "K-2"].map(|id| ScriptedAgent::new(id, now));
    rig.hub.defect = Some(Defect::Applying(agent.id.clone()));
    agent.service(now, ServiceState::InService);
    agent.fault(now, "printer", "paper_out", FaultState::Raised);
    agent.service(now, ServiceState::Degraded);
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
    assert!(rig.counted("panics_total{part=\"decision\"}") >= 3);
}

#[tokio::test]
async fn a_sweep_that_panics_costs_one_deadline_and_nobody_else_anything() {
    let mut rig = nine_overdue_commands().await;
    rig.hub.defect = Some(Defect::Deciding(command_id(5)));
    the_fifth_is_left_alone(rig).await;
}

/// As an agent sends what it holds.
fn batch_of(agent: &ScriptedAgent) -> Vec<u8> {
    let records: Vec<&str> = agent.journal.iter().map(|(_, json)| json.as_str()).collect();
    format!(r#"{{"epoch":"{}","first":1,"records":[{}]}}"#, agent.epoch, records.join(",")).into_bytes()
}

#[tokio::test]
async fn a_record_whose_reading_panics_is_set_aside_with_its_bytes_and_the_rest_of_its_message_is_applied() {
    let mut rig = Rig::start(|now| vec![kiosk(now)]).await;
    let now = rig.app.clock().now();
    let mut agent = ScriptedAgent::new("K-1", now);
    rig.hub.defect = Some(Defect::ReadingRecord("paper_out"));
    agent.service(now, ServiceState::InService);
    agent.fault(now, "printer", "paper_out", FaultState::Raised);
    agent.service(now, ServiceState::Degraded);
    // The acknowledgement may be lost: the same bytes again change nothing.
    for _ in 0..2 {
        rig.journal.message(received(&agent, Channel::Journal, batch_of(&agent), now)).await.unwrap();
        let mut turn = Turn::default();
        rig.hub.drain(&mut turn);
        rig.hub.decide(turn).await.unwrap();
        assert_eq!(upto(&rig, &agent), Some(3), "the one before it and the one behind it");
    }
    let kept = async |seq| {
        let record = rig.app.store().journal_record(&Scope::All, &agent.id, agent.epoch, seq).await.unwrap();
        record.map(|row| (row.outcome, row.reason, row.raw.to_string()))
    };
    let reason = Some("reading it panicked: a defect".to_owned());
    assert_eq!(kept(2).await, Some((RecordOutcome::Quarantined, reason, agent.journal[1].1.clone())));
    assert_eq!(kept(3).await.map(|(outcome, ..)| outcome), Some(RecordOutcome::Applied));
    assert_eq!(rig.audit("record_set_aside").await, ["kiosk/K-1"], "told once");
    assert_eq!(rig.counted("panics_total{part=\"message\"}"), 2);
    assert_eq!(rig.counted("messages_total{channel=\"journal_record\",outcome=\"quarantined\"}"), 1);
}

#[tokio::test]
async fn a_record_whose_storing_panics_is_set_aside_by_itself_and_nobody_else_waits_for_it() {
    let mut rig = Rig::start(|now| ["K-1", "K-2"].map(|id| kiosk_named(id, now)).into()).await;
    let now = rig.app.clock().now();
    let [mut agent, mut neighbour] = ["K-1", "K-2"].map(|id| ScriptedAgent::new(id, now));
    agent.service(now, ServiceState::InService);
    agent.fault(now, "printer", StoreDefect::STRIKES, FaultState::Raised);
    agent.service(now, ServiceState::Degraded);
    for turn in 1..=3 {
        neighbour.service(now, ServiceState::InService);
        let inputs = vec![agent.batch(now), neighbour.batch(now)];
        rig.hub.decide(Turn::of(inputs)).await.unwrap();
        assert_eq!((upto(&rig, &agent), upto(&rig, &neighbour)), (Some(1), Some(turn)));
    }
    rig.decide(agent.batch(now)).await;
    assert_eq!(upto(&rig, &agent), Some(3));
    assert_eq!(rig.audit("record_failed").await, ["kiosk/K-1"; 3]);
    assert_eq!(rig.audit("record_set_aside").await, ["kiosk/K-1"]);
}

/// What an agent sends again and again must not end every server that starts.
#[tokio::test]
async fn a_message_whose_reading_panics_costs_itself_and_nobody_else_anything() {
    let mut rig = Rig::start(|now| ["K-1", "K-2"].map(|id| kiosk_named(id, now)).into()).await;
    let now = rig.app.clock().now();
    let mut agents = ["K-1", "K-2"].map(|id| ScriptedAgent::new(id, now));
    rig.hub.defect = Some(Defect::Reading(Topic::new(agents[0].id.clone(), Channel::Journal)));
    for _ in 0..2 {
        for agent in &mut agents {
            agent.service(now, ServiceState::InService);
            let payload = batch_of(agent);
            rig.journal.message(received(agent, Channel::Journal, payload, now)).await.unwrap();
        }
    }
    let mut turn = Turn::default();
    rig.hub.drain(&mut turn);
    rig.hub.decide(turn).await.unwrap();
    let upto = |agent: &ScriptedAgent| rig.app.fleet().journal(&agent.id, agent.epoch).map(|at| at.0);
    assert_eq!(agents.each_ref().map(upto), [None, Some(2)]);
    assert_eq!(rig.counted("panics_total{part=\"message\"}"), 2);
    assert_eq!(rig.hub.waiting(), 0);
}

#[tokio::test]
async fn a_heartbeat_whose_hearing_panics_costs_itself_and_nobody_else_anything() {
    let ids = ["K-1", "K-2", "K-3"];
    let mut rig = Rig::start(|now| ids.map(|id| kiosk_named(id, now)).into()).await;
    let now = rig.app.clock().now();
    rig.decide(Input::BrokerUp).await;
    rig.hub.defect = Some(Defect::Hearing(KioskId::new("K-2").unwrap()));
    for id in ids {
        let mut agent = ScriptedAgent::new(id, now);
        let payload = serde_json::to_vec(&agent.heartbeat(now)).unwrap();
        rig.beats.message(received(&agent, Channel::Heartbeat, payload, now)).await.unwrap();
    }
    let mut turn = Turn::default();
    rig.hub.drain(&mut turn);
    rig.hub.decide(turn).await.unwrap();
    let presence = |id| rig.app.fleet().kiosk(&KioskId::new(id).unwrap()).unwrap().presence.as_str();
    assert_eq!(ids.map(presence), ["online", "unknown", "online"]);
    assert_eq!(rig.counted("panics_total{part=\"message\"}"), 1);
    assert_eq!(rig.counted("messages_total{channel=\"heartbeat\",outcome=\"applied\"}"), 2);
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
        let boot = Boot { previous_boot: None, previous_alive_until: None, clean: true, unrecorded: false };
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
