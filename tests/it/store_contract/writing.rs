//! Commits.
use kioskwatch_domain::{
    change::*,
    image::{FleetImage, TermsNoted},
};
use kioskwatch_proto::{
    CommandId, Epoch, Timestamp,
    faults::FaultClass,
    journal::Digest,
    words::{ServiceState, Severity},
};
use kioskwatch_server::store::{AuditVerdict, PageRequest, Scope, StoreError};
use sqlx::{Connection, Executor};

use super::{Empty, rows::*};

/// One or two rows of everything, and the image they make.
pub(crate) fn everything() -> (Vec<Change>, FleetImage) {
    let image = FleetImage {
        sites: vec![site("s1"), SiteRow { remote_consent: false, zone: Zone::Urban, ..site("s2") }],
        terms_noted: vec![(site_id("s1"), TermsNoted { first: SiteTermsRow::ALWAYS, newest: at(5) })],
        kiosks: vec![
            kiosk("k1", Some("s1")),
            KioskRow {
                admission: Admission::Quarantined,
                commissioned_at: None,
                decommissioned_at: Some(at(7)),
                ..kiosk("k2", None)
            },
        ],
        assignments: vec![
            AssignmentRow {
                kiosk: kiosk_id("k1"),
                group: GroupKind::Engineer,
                group_id: "li".into(),
                from: at(-DAY),
                to: Some(at(0)),
                said: None,
            },
            AssignmentRow {
                kiosk: kiosk_id("k1"),
                group: GroupKind::Site,
                group_id: "s1".into(),
                from: at(-DAY),
                to: None,
                said: None,
            },
        ],
        states: vec![full_state("k1"), least_state("k2")],
        heads: vec![head("k1", 3, 7), head("k1", 4, 0)],
        open_incidents: vec![incident(1, "k1", "k1/printer/jam"), least_incident(2, "s1/site_offline")],
        tickets: vec![full_ticket(1000, 1), least_ticket(1001, 2)],
        ticket_events: vec![(uuid(1000), 2), (uuid(1001), 1)],
        clocks: vec![full_clock(1000, "arrive"), least_clock(1000, "solution")],
        open_commands: vec![full_command(1, "k1"), least_command(2, "k2")],
        exclusions: vec![
            exclusion(1, Some("k1"), None),
            ExclusionRow { approved_by: None, approved_at: None, ..exclusion(2, None, Some("s1")) },
            ExclusionRow {
                withdrawn: Some(Withdrawn { by: "qian".into(), at: at(3) }),
                ..exclusion(3, None, Some("s1"))
            },
        ],
        last_ticket_number: 2,
        last_alive_at: Some(at(20)),
    };
    let mut changes: Vec<Change> = Vec::new();
    changes.extend(image.clocks.iter().cloned().map(Change::Clock));
    changes.extend(
        [ticket_event(1000, 1), ticket_event(1000, 2), ticket_event(1001, 1)].map(Change::TicketEvent),
    );
    changes.extend(image.sites.iter().cloned().map(Change::Site));
    changes.extend(image.kiosks.iter().cloned().map(Change::Kiosk));
    changes.extend(image.assignments.iter().cloned().map(Change::Assignment));
    changes.extend(image.states.iter().cloned().map(|s| Change::KioskState(Box::new(s))));
    changes.extend(image.heads.iter().cloned().map(Change::JournalHead));
    changes.extend(image.open_incidents.iter().cloned().map(|i| Change::Incident(Box::new(i))));
    changes.extend(image.tickets.iter().cloned().map(|t| Change::Ticket(Box::new(t))));
    changes.extend(image.open_commands.iter().cloned().map(|c| Change::Command(Box::new(c))));
    changes.extend(image.exclusions.iter().cloned().map(Change::Exclusion));
    changes.extend([
        Change::SiteTerms(SiteTermsRow::of(&site("s1"), at(5))),
        Change::SiteTerms(SiteTermsRow::of(&site("s1"), at(-5))),
        Change::SiteTerms(SiteTermsRow::of(&site("s1"), SiteTermsRow::ALWAYS)),
        Change::JournalRecord(record("k1", 3, 1)),
        Change::JournalGap(gap("k1", 2, 6)),
        Change::Evidence(evidence("k1", -HOUR, 0)),
        Change::Transition(transition("k1", 0, "offline")),
        Change::CommandEvent(command_event(1, "printing")),
        Change::Liveness(LivenessRow { server: uuid(1), from: at(-10), to: at(20) }),
        Change::Liveness(LivenessRow { server: uuid(2), from: at(-20), to: at(10) }),
        Change::Audit(audit(1)),
    ]);
    (changes, image)
}

pub(crate) async fn an_image_is_what_was_committed(empty: Empty) {
    let store = empty.open().await;
    assert_eq!(store.load_image(NOW).await.unwrap(), FleetImage::default());
    store.ping().await.unwrap();
    store.commit(&[]).await.unwrap();
    let (changes, image) = everything();
    store.commit(&changes).await.unwrap();
    assert_eq!(store.load_image(NOW).await.unwrap(), image);
    // What is not in the image is there as well.
    let (k1, page) = (kiosk_id("k1"), PageRequest::first());
    let records = store.journal_records(&Scope::All, &k1, Epoch(uuid(3)), &page).await.unwrap().unwrap();
    assert_eq!(records.items, [record("k1", 3, 1)]);
    assert_eq!(store.journal_gaps(&Scope::All, &k1).await.unwrap().unwrap(), [gap("k1", 2, 6)]);
    let found = store.evidence(&Scope::All, std::slice::from_ref(&k1), at(-DAY), at(DAY)).await.unwrap();
    assert_eq!(found, [evidence("k1", -HOUR, 0)]);
    let found = store.transitions(&Scope::All, &k1, at(-DAY), at(DAY), &page).await.unwrap().unwrap();
    assert_eq!(found.items, [transition("k1", 0, "offline")]);
    let command = store.command(&Scope::All, CommandId(uuid(1))).await.unwrap().unwrap();
    assert_eq!(
        (command.command, command.events),
        (full_command(1, "k1"), vec![command_event(1, "printing")])
    );
}

pub(crate) async fn a_row_again_replaces_the_first(empty: Empty) {
    let store = empty.open().await;
    let (changes, _) = everything();
    store.commit(&changes).await.unwrap();
    let state = KioskStateRow { inventory: "{}".into(), ..least_state("k1") };
    let ticket = TicketRow { number: 1, state: TicketState::New, ..least_ticket(1000, 1) };
    let other_site = SiteRow { name: "other".into(), region: "south".into(), ..site("s1") };
    let clock = least_clock(1000, "arrive");
    let incident = least_incident(1, "k1/printer/jam");
    let command = least_command(1, "k1");
    store
        .commit(&[
            Change::KioskState(Box::new(state.clone())),
            Change::Ticket(Box::new(ticket.clone())),
            Change::Site(other_site.clone()),
            Change::Clock(clock.clone()),
            Change::Incident(Box::new(incident.clone())),
            Change::Command(Box::new(command.clone())),
            Change::JournalHead(head("k1", 3, 8)),
        ])
        .await
        .unwrap();
    let image = store.load_image(NOW).await.unwrap();
    assert_eq!(image.states[0], state);
    assert_eq!(image.tickets[0], ticket);
    assert_eq!(image.sites[0], other_site);
    assert_eq!(image.clocks[0], clock);
    assert_eq!(image.open_incidents[0], incident);
    assert_eq!(image.open_commands[0], command);
    assert_eq!(image.heads[0], head("k1", 3, 8));
    assert_eq!((image.sites.len(), image.states.len(), image.tickets.len()), (2, 2, 2));
}

pub(crate) async fn every_word_of_every_enum_is_accepted(empty: Empty) {
    let store = empty.open().await;
    let mut changes = Vec::new();
    for (n, &state) in TicketState::ALL.iter().enumerate() {
        let n = n as u128;
        let source = TicketSource::ALL[n as usize % TicketSource::ALL.len()];
        let class = FaultClass::ALL[n as usize % FaultClass::ALL.len()];
        let zone = Zone::ALL[n as usize % Zone::ALL.len()];
        let severity = Severity::ALL[n as usize % Severity::ALL.len()];
        let priority = (n % 4) as u8 + 1;
        let ticket = TicketRow {
            state,
            source,
            class,
            zone,
            severity,
            priority,
            ..full_ticket(100 + n, n as u64 + 1)
        };
        changes.push(Change::Ticket(Box::new(ticket)));
    }
    for (n, &state) in CommandState::ALL.iter().enumerate() {
        changes.push(Change::Command(Box::new(CommandRow { state, ..full_command(n as u128, "k1") })));
    }
    for (n, &presence) in PresenceVerdict::ALL.iter().enumerate() {
        let service = ServiceState::ALL.get(n).copied();
        changes.push(Change::KioskState(Box::new(KioskStateRow {
            presence,
            service,
            ..full_state(&format!("k{n}"))
        })));
    }
    for (n, &admission) in Admission::ALL.iter().enumerate() {
        changes.push(Change::Kiosk(KioskRow { admission, ..kiosk(&format!("k{n}"), None) }));
    }
    for (n, &outcome) in RecordOutcome::ALL.iter().enumerate() {
        changes.push(Change::JournalRecord(JournalRecordRow { outcome, ..record("k1", 1, n as u64 + 1) }));
    }
    for &source in EvidenceSource::ALL {
        for &state in EvidenceState::ALL {
            changes.push(Change::Evidence(EvidenceRow { source, state, ..evidence("k1", 0, 1) }));
        }
    }
    for (n, &state) in ClockState::ALL.iter().enumerate() {
        changes.push(Change::Clock(ClockRow { state, ..full_clock(100, &format!("c{n}")) }));
    }
    for &group in GroupKind::ALL {
        let (kiosk, group_id) = (kiosk_id("k1"), "g".to_owned());
        changes.push(Change::Assignment(AssignmentRow {
            kiosk,
            group,
            group_id,
            from: NOW,
            to: None,
            said: None,
        }));
    }
    store.commit(&changes).await.unwrap();
    let image = store.load_image(NOW).await.unwrap();
    assert_eq!(image.tickets.len(), TicketState::ALL.len());
    assert_eq!(image.open_commands.len(), CommandState::ALL.iter().filter(|s| !s.is_final()).count());
    let found = store.evidence(&Scope::All, &[kiosk_id("k1")], at(0), at(1)).await.unwrap();
    assert_eq!(found.len(), EvidenceSource::ALL.len() * EvidenceState::ALL.len());
}

pub(crate) async fn the_same_key_twice_in_a_batch_is_one_row(empty: Empty) {
    let store = empty.open().await;
    let late = KioskStateRow { presence_reason: "later".into(), ..full_state("k1") };
    store
        .commit(&[
            Change::Kiosk(kiosk("k1", None)),
            Change::KioskState(Box::new(least_state("k1"))),
            Change::JournalRecord(record("k1", 3, 1)),
            Change::KioskState(Box::new(late.clone())),
            Change::JournalRecord(record("k1", 3, 1)),
            Change::Evidence(evidence("k1", 0, 100)),
            Change::Evidence(evidence("k1", 0, 50)),
            Change::Liveness(LivenessRow { server: uuid(1), from: at(0), to: at(9) }),
            Change::Liveness(LivenessRow { server: uuid(1), from: at(0), to: at(10) }),
        ])
        .await
        .unwrap();
    assert_eq!(store.load_image(NOW).await.unwrap().states, [late]);
    let found = store.evidence(&Scope::All, &[kiosk_id("k1")], at(0), at(1)).await.unwrap();
    assert_eq!(found, [evidence("k1", 0, 100)]);
    let found = store.server_liveness(at(0), at(1)).await.unwrap();
    assert_eq!(found, [LivenessRow { server: uuid(1), from: at(0), to: at(10) }]);
}

pub(crate) async fn one_incident_is_open_per_fingerprint(empty: Empty) {
    let store = empty.open().await;
    let first = incident(1, "k1", "same");
    store.commit(&[Change::Incident(Box::new(first.clone()))]).await.unwrap();
    let refused = store.commit(&[Change::Incident(Box::new(incident(2, "k1", "same")))]).await;
    assert!(matches!(refused, Err(StoreError::Conflict { statement: "store_incidents", .. })), "{refused:?}");
    // The connection is fit for more after a refusal.
    store.commit(&[Change::Incident(Box::new(closed(&first)))]).await.unwrap();
    store.commit(&[Change::Incident(Box::new(incident(2, "k1", "same")))]).await.unwrap();
    assert_eq!(store.load_image(NOW).await.unwrap().open_incidents, [incident(2, "k1", "same")]);
}

pub(crate) async fn a_problem_may_close_and_open_again_in_one_batch(empty: Empty) {
    let store = empty.open().await;
    let first = incident(1, "k1", "same");
    store.commit(&[Change::Incident(Box::new(first.clone()))]).await.unwrap();
    let again = Change::Incident(Box::new(incident(2, "k1", "same")));
    store.commit(&[again, Change::Incident(Box::new(closed(&first)))]).await.unwrap();
    let open = store.load_image(NOW).await.unwrap().open_incidents;
    assert_eq!(open, [incident(2, "k1", "same")]);
}

pub(crate) async fn the_same_record_again_changes_nothing(empty: Empty) {
    let store = empty.open().await;
    let records: Vec<Change> = (1..=20).map(|n| Change::JournalRecord(record("k1", 3, n))).collect();
    store.commit(&records[..10]).await.unwrap();
    let mut again = record("k1", 3, 1);
    again.received_at = at(DAY);
    let mut overlapping = records[5..].to_vec();
    overlapping.push(Change::JournalRecord(again));
    store.commit(&overlapping).await.unwrap();
    store.commit(&[Change::Kiosk(kiosk("k1", None))]).await.unwrap();
    let one = store.journal_record(&Scope::All, &kiosk_id("k1"), Epoch(uuid(3)), 1).await.unwrap();
    assert_eq!(one, Some(record("k1", 3, 1)));
    let page = PageRequest::first();
    let all =
        store.journal_records(&Scope::All, &kiosk_id("k1"), Epoch(uuid(3)), &page).await.unwrap().unwrap();
    assert_eq!(all.items.len(), 20);
}

pub(crate) async fn other_bytes_under_an_applied_number_are_a_fork(empty: Empty) {
    let store = empty.open().await;
    store.commit(&[Change::JournalRecord(record("k1", 3, 1))]).await.unwrap();
    let forged = JournalRecordRow { raw: "{}".into(), digest: Digest::of(b"{}"), ..record("k1", 3, 1) };
    let is_fork = |result: Result<(), StoreError>| match result {
        Err(StoreError::JournalFork { kiosk, epoch, seq }) => {
            assert_eq!((kiosk, epoch, seq), (kiosk_id("k1"), Epoch(uuid(3)), 1));
        }
        other => panic!("{other:?}"),
    };
    let batch = [Change::JournalRecord(record("k2", 3, 1)), Change::JournalRecord(forged.clone())];
    is_fork(store.commit(&batch).await);
    // Also within one batch, before the database is asked.
    is_fork(store.commit(&[Change::JournalRecord(record("k1", 3, 1)), Change::JournalRecord(forged)]).await);
    store.commit(&[Change::Kiosk(kiosk("k2", None))]).await.unwrap();
    let other = store.journal_record(&Scope::All, &kiosk_id("k2"), Epoch(uuid(3)), 1).await.unwrap();
    assert_eq!(other, None, "a refused commit leaves nothing");
}

pub(crate) async fn a_refused_batch_leaves_nothing(empty: Empty) {
    let store = empty.open().await;
    let (mut changes, _) = everything();
    let orphan = Change::TicketEvent(ticket_event(4242, 1));
    changes.push(orphan);
    let refused = store.commit(&changes).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(store.load_image(NOW).await.unwrap(), FleetImage::default());
    assert_eq!(store.audit(&PageRequest::first()).await.unwrap().items, []);
}

pub(crate) async fn evidence_only_grows(empty: Empty) {
    let store = empty.open().await;
    let live = |to, received_at: Option<Timestamp>| {
        Change::Evidence(EvidenceRow { source: EvidenceSource::Live, received_at, ..evidence("k1", 0, to) })
    };
    store.commit(&[live(100, None)]).await.unwrap();
    store.commit(&[live(200, Some(at(900)))]).await.unwrap();
    // Written by a server that noted no interval.
    let Change::Evidence(unnoted) = live(150, None) else { unreachable!() };
    store.commit(&[Change::Evidence(EvidenceRow { interval_s: None, ..unnoted })]).await.unwrap();
    let other_state = EvidenceRow { state: EvidenceState::Full, ..evidence("k1", 0, 10) };
    store.commit(&[Change::Evidence(other_state.clone())]).await.unwrap();
    let found = store.evidence(&Scope::All, &[kiosk_id("k1")], at(0), at(1)).await.unwrap();
    let grown =
        EvidenceRow { source: EvidenceSource::Live, received_at: Some(at(900)), ..evidence("k1", 0, 200) };
    assert_eq!(found, [other_state, grown]);
}

/// What is hardly stored yet is written without a look: where it is, nothing is lost and nothing stands twice.
pub(crate) async fn what_was_thought_to_be_new_and_is_stored_is_neither_lost_nor_stored_twice(empty: Empty) {
    let store = empty.open().await;
    let span = |n: i64, length: i64| Change::Evidence(evidence("k1", n * 100, n * 100 + length));
    let change = |n: i64, to: &str| Change::Transition(transition("k1", n, to));
    let record = |n: u64| Change::JournalRecord(record("k1", 3, n));
    let first = vec![Change::Kiosk(kiosk("k1", None)), Change::Transition(transition("k2", 1, "x"))];
    let first =
        first.into_iter().chain((0..3).flat_map(|n| [span(n, 50), change(n, "a"), record(n as u64 + 1)]));
    store.commit(&first.collect::<Vec<_>>()).await.unwrap();
    // Of each kind one that is stored already, one that grows or follows in its millisecond, and a new one.
    let again = (1..4).flat_map(|n| [span(n, 50 + n * 10), change(n, "b"), record(n as u64 + 1)]);
    store.commit(&again.collect::<Vec<_>>()).await.unwrap();
    let spans = store.evidence(&Scope::All, &[kiosk_id("k1")], at(0), at(1_000)).await.unwrap();
    let lengths: Vec<i64> = spans.iter().map(|row| row.to.since(row.from)).collect();
    assert_eq!(lengths, [50, 60, 70, 80]);
    let page = PageRequest::first();
    let found = store.transitions(&Scope::All, &kiosk_id("k1"), at(0), at(9), &page).await.unwrap().unwrap();
    let order: String = found.items.iter().rev().map(|row| row.to.as_str()).collect();
    assert_eq!(order, "aababb", "a before b in the same millisecond");
    let records = store.journal_records(&Scope::All, &kiosk_id("k1"), Epoch(uuid(3)), &page).await.unwrap();
    assert_eq!(records.unwrap().items.len(), 4);
}

pub(crate) async fn history_is_not_rewritten(empty: Empty) {
    let store = empty.open().await;
    let ticket = Change::Ticket(Box::new(least_ticket(1, 1)));
    store.commit(&[ticket, Change::TicketEvent(ticket_event(1, 1))]).await.unwrap();
    store.commit(&[Change::TicketEvent(ticket_event(1, 1))]).await.unwrap();
    let other = TicketEventRow { actor: "somebody".into(), ..ticket_event(1, 1) };
    let refused = store.commit(&[Change::TicketEvent(other)]).await;
    assert!(matches!(refused, Err(StoreError::Inconsistent { table: "ticket_event", .. })), "{refused:?}");
    let second = Change::Ticket(Box::new(least_ticket(2, 1)));
    let refused = store.commit(&[second]).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "two tickets with one number: {refused:?}");
}

pub(crate) async fn five_thousand_rows_of_a_kind_go_in_one_commit(empty: Empty) {
    let store = empty.open().await;
    let mut changes: Vec<Change> = (1..=5_000).map(|n| Change::JournalRecord(record("k1", 3, n))).collect();
    changes.extend((0..5_000).map(|n| Change::KioskState(Box::new(full_state(&format!("k{n}"))))));
    changes.extend((0..5_000).map(|n| Change::Kiosk(kiosk(&format!("k{n}"), None))));
    changes.extend((0..5_000).map(|n| Change::Transition(transition("k1", n, "offline"))));
    changes.extend((0..2_500).map(|n| Change::Audit(audit(n))));
    store.commit(&changes).await.unwrap();
    assert_eq!(store.load_image(NOW).await.unwrap().states.len(), 5_000);
    let verdict = store.verify_audit().await.unwrap();
    assert!(matches!(verdict, AuditVerdict::Intact { entries: 2_500, .. }), "{verdict:?}");
}

pub(crate) async fn what_happened_in_one_millisecond_keeps_its_order(empty: Empty) {
    let store = empty.open().await;
    let step = |to: &str| Change::Transition(transition("k1", 0, to));
    let line = |step: &str| Change::CommandEvent(command_event(1, step));
    store
        .commit(&[Change::Kiosk(kiosk("k1", None)), step("a"), step("b"), line("1"), line("2")])
        .await
        .unwrap();
    store
        .commit(&[step("c"), step("d"), line("3"), Change::Command(Box::new(full_command(1, "k1")))])
        .await
        .unwrap();
    let page = PageRequest::first();
    let found = store.transitions(&Scope::All, &kiosk_id("k1"), at(0), at(1), &page).await.unwrap().unwrap();
    let order: Vec<&str> = found.items.iter().map(|t| t.to.as_str()).collect();
    assert_eq!(order, ["d", "c", "b", "a"]);
    let command = store.command(&Scope::All, CommandId(uuid(1))).await.unwrap().unwrap();
    let order: Vec<&str> = command.events.iter().map(|e| e.step.as_str()).collect();
    assert_eq!(order, ["1", "2", "3"]);
}

pub(crate) async fn the_audit_is_one_chain(empty: Empty) {
    let store = empty.open().await;
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact { entries: 0, .. }));
    store.commit(&[Change::Audit(audit(1)), Change::Audit(audit(2))]).await.unwrap();
    store.commit(&[Change::Audit(AuditRow { actor: "a\0b".into(), ..audit(3) })]).await.unwrap();
    let entries = store.audit(&PageRequest::first()).await.unwrap().items;
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(entries[0].prev_hash, entries[1].hash);
    assert_eq!(entries[1].row, audit(2));
    assert_eq!(entries[2].prev_hash, "0".repeat(64));
    let AuditVerdict::Intact { entries: 3, hash } = store.verify_audit().await.unwrap() else { panic!() };
    assert_eq!(hash, entries[0].hash);
}

pub(crate) async fn the_audit_notices_what_was_done_behind_its_back(empty: Empty) {
    let store = empty.open().await;
    store.commit(&[Change::Audit(audit(1)), Change::Audit(audit(2)), Change::Audit(audit(3))]).await.unwrap();
    let mut intruder = sqlx::AnyConnection::connect(&super::raw_url(&empty)).await.unwrap();
    for forbidden in ["UPDATE audit SET actor = 'x' WHERE seq = 2", "DELETE FROM audit WHERE seq = 3"] {
        let refused = intruder.execute(forbidden).await;
        assert!(refused.is_err_and(|e| e.to_string().contains("audit entries are never")), "{forbidden}");
    }
    for guard in super::drop_guards(&empty) {
        intruder.execute(*guard).await.unwrap();
    }
    intruder.execute("UPDATE audit SET actor = 'x' WHERE seq = 2").await.unwrap();
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Broken { seq: 2, .. }));
    intruder.execute("UPDATE audit SET actor = 'li' WHERE seq = 2").await.unwrap();
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Intact { .. }));
    intruder.execute("DELETE FROM audit WHERE seq = 3").await.unwrap();
    assert!(matches!(store.verify_audit().await.unwrap(), AuditVerdict::Broken { seq: 3, .. }));
}
