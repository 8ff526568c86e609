//! What is old enough goes, a few rows at a time; everything else stays, and nothing refers to what is gone.
use kioskwatch_domain::{change::*, retention::Kept};
use kioskwatch_proto::{CommandId, Epoch, KioskId, Timestamp};
use kioskwatch_server::store::{OldTickets, PageRequest, Place, Scope, Store, StoreError};

use super::{Empty, rows::*};

const KIOSKS: [&str; 2] = ["k1", "k2"];
/// Rows of each kind and kiosk: one an hour, of which the first five are old.
const ROWS: u64 = 10;
const BEFORE: Timestamp = Timestamp(NOW.0 + 5 * HOUR);

fn ids() -> [KioskId; 2] {
    KIOSKS.map(kiosk_id)
}

/// An hour's rows of a kiosk, of every kind that is kept for it.
fn hour(kiosk: &str, n: u64) -> Vec<Change> {
    let then = n as i64 * HOUR;
    let id = u128::from(n) + if kiosk == "k1" { 100 } else { 200 };
    let command = CommandRow {
        state: CommandState::Succeeded,
        requested_at: at(then),
        finished_at: Some(at(then)),
        ..least_command(id, kiosk)
    };
    let incident = IncidentRow {
        opened_at: at(then - 1),
        closed_at: Some(at(then)),
        ticket: None,
        parent: None,
        ..incident(id, kiosk, &format!("{kiosk} {n}"))
    };
    vec![
        Change::Evidence(evidence(kiosk, then - 1, then)),
        Change::EvidenceGap(EvidenceGapRow { kiosk: kiosk_id(kiosk), from: at(then - 1), to: at(then) }),
        Change::JournalRecord(JournalRecordRow { received_at: at(then), ..record(kiosk, 3, n + 1) }),
        Change::JournalGap(JournalGapRow { at: at(then), ..gap(kiosk, 100 + 2 * n, 101 + 2 * n) }),
        Change::Transition(TransitionRow { noticed_at: at(then), ..transition(kiosk, then - 1, "x") }),
        Change::Command(Box::new(command)),
        Change::CommandEvent(CommandEventRow { command: CommandId(uuid(id)), ..command_event(id, "a") }),
        Change::CommandEvent(CommandEventRow { command: CommandId(uuid(id)), ..command_event(id, "b") }),
        Change::Incident(Box::new(incident)),
    ]
}

async fn filled(empty: &Empty) -> Store {
    let store = empty.open().await;
    let mut changes = Vec::new();
    for name in KIOSKS {
        changes.push(Change::Kiosk(kiosk(name, None)));
        changes.push(Change::JournalHead(head(name, 3, ROWS)));
        changes.extend((0..ROWS).flat_map(|n| hour(name, n)));
    }
    store.commit(&changes).await.unwrap();
    store
}

/// Rows of both kiosks.
async fn rows_of(store: &Store, kept: Kept) -> usize {
    let (all, page) = (&Scope::All, &PageRequest::first());
    let mut rows = 0;
    for id in &ids() {
        rows += match kept {
            Kept::Evidence => {
                store.evidence(all, std::slice::from_ref(id), at(-DAY), at(DAY)).await.unwrap().len()
            }
            Kept::EvidenceGap => {
                store.evidence_gaps(std::slice::from_ref(id), at(-DAY), at(DAY)).await.unwrap().len()
            }
            Kept::JournalRecord => {
                store.journal_records(all, id, Epoch(uuid(3)), page).await.unwrap().unwrap().items.len()
            }
            Kept::JournalGap => store.journal_gaps(all, id).await.unwrap().unwrap().len(),
            Kept::Transition => {
                store.transitions(all, id, at(-DAY), at(DAY), page).await.unwrap().unwrap().items.len()
            }
            Kept::Command => store.commands(all, id, page).await.unwrap().unwrap().items.len(),
            Kept::Incident => store.incidents(all, id, page).await.unwrap().unwrap().items.len(),
            Kept::Liveness | Kept::Exclusion | Kept::Ticket => 0,
        };
    }
    rows
}

pub(crate) async fn what_is_old_goes_a_few_rows_at_a_time_and_nothing_younger(empty: Empty) {
    let store = filled(&empty).await;
    for kept in Kept::OF_A_KIOSK {
        // A command takes its two steps along.
        let (all, old) = if kept == Kept::Command { (20, 30) } else { (20, 10) };
        assert_eq!(rows_of(&store, kept).await, all, "{kept:?}");
        let (mut gone, mut steps) = (0, 0);
        loop {
            let step = store.remove_of_kiosks(kept, &ids(), BEFORE, 2).await.unwrap();
            if step == 0 {
                break;
            }
            (gone, steps) = (gone + step, steps + 1);
        }
        assert_eq!((gone, rows_of(&store, kept).await), (old, 10), "{kept:?}");
        // Those that take rows along are few at a time by themselves.
        assert!(steps >= 3 || matches!(kept, Kept::Command | Kept::Incident), "{kept:?}: {steps} steps");
    }
    // Of nobody who was not named.
    let store = &store;
    let none = async |kept| store.remove_of_kiosks(kept, &[kiosk_id("k9")], at(DAY), 2).await.unwrap();
    for kept in Kept::OF_A_KIOSK {
        assert_eq!(none(kept).await, 0, "{kept:?}");
    }
}

pub(crate) async fn what_is_not_over_or_came_late_stays(empty: Empty) {
    let store = empty.open().await;
    let open = IncidentRow { ticket: None, parent: None, ..incident(1, "k1", "open") };
    let explained = IncidentRow { parent: Some(uuid(3)), fingerprint: "c".into(), ..closed(&open) };
    let parent = IncidentRow { id: uuid(3), fingerprint: "p".into(), parent: None, ..closed(&open) };
    let explained = IncidentRow { id: uuid(2), closed_at: Some(at(40 * DAY)), ..explained };
    store
        .commit(&[
            Change::Kiosk(kiosk("k1", None)),
            Change::Command(Box::new(CommandRow { requested_at: at(0), ..full_command(9, "k1") })),
            Change::Transition(TransitionRow { noticed_at: at(40 * DAY), ..transition("k1", 0, "late") }),
            Change::Incident(Box::new(open)),
            Change::Incident(Box::new(parent)),
            Change::Incident(Box::new(explained)),
        ])
        .await
        .unwrap();
    let gone = async |kept, before| store.remove_of_kiosks(kept, &ids(), before, 9).await.unwrap();
    assert_eq!(gone(Kept::Command, at(30 * DAY)).await, 0, "it is open");
    assert_eq!(gone(Kept::Transition, at(30 * DAY)).await, 0, "it was told yesterday");
    assert_eq!(
        gone(Kept::Incident, at(30 * DAY)).await,
        0,
        "one is open, one explains another that is young"
    );
    assert_eq!(gone(Kept::Incident, at(50 * DAY)).await, 1, "first what is explained");
    assert_eq!(gone(Kept::Incident, at(50 * DAY)).await, 1, "then what explained it");
    assert_eq!(gone(Kept::Incident, at(50 * DAY)).await, 0);
}

pub(crate) async fn of_a_journal_its_beginning_goes_and_what_is_gone_is_told_from_what_never_came(
    empty: Empty,
) {
    let store = empty.open().await;
    // 3 came by a clock that was ahead; 5 to 6 never came.
    let came = [(1, 0), (2, 0), (3, 20), (4, 0), (7, 0)];
    let mut changes = vec![
        Change::Kiosk(kiosk("k1", None)),
        Change::JournalHead(head("k1", 3, 7)),
        Change::JournalGap(gap("k1", 5, 6)),
    ];
    changes.extend(came.map(|(seq, day)| {
        Change::JournalRecord(JournalRecordRow { received_at: at(day * DAY), ..record("k1", 3, seq) })
    }));
    store.commit(&changes).await.unwrap();
    let place = |seq: u64| -> Place { (kiosk_id("k1"), Epoch(uuid(3)), seq) };
    let removed = async || {
        let asked: Vec<Place> = (1..=8).map(place).chain([(kiosk_id("k1"), Epoch(uuid(4)), 1)]).collect();
        let mut found: Vec<u64> =
            store.journal_removed_at(&asked).await.unwrap().into_iter().map(|place| place.2).collect();
        found.sort_unstable();
        found
    };
    let remove =
        async |day: i64| store.remove_of_kiosks(Kept::JournalRecord, &ids(), at(day * DAY), 9).await.unwrap();
    assert_eq!(removed().await, [0_u64; 0]);
    assert_eq!((remove(10).await, remove(10).await), (2, 0));
    assert_eq!(removed().await, [1, 2]);
    assert_eq!(remove(21).await, 3);
    // Beyond the head nothing has come, and what lies in a gap never did.
    assert_eq!(removed().await, [1, 2, 3, 4, 7]);
    assert_eq!(store.journal_heads(&Scope::All, &kiosk_id("k1")).await.unwrap().unwrap().len(), 1);
}

pub(crate) async fn what_the_fleet_shares_goes_by_its_end(empty: Empty) {
    let store = empty.open().await;
    let span = |n: i64| LivenessRow { server: uuid(1), from: at(n * HOUR), to: at(n * HOUR + 1) };
    let window = |n: i64| ExclusionRow { to: at(n * HOUR + 1), ..exclusion(n as u128, Some("k1"), None) };
    let mut changes: Vec<Change> = (0..10).map(|n| Change::Liveness(span(n))).collect();
    changes.extend((0..10).map(|n| Change::Exclusion(window(n))));
    store.commit(&changes).await.unwrap();
    for kept in Kept::OF_THE_FLEET {
        let mut gone = Vec::new();
        while gone.last() != Some(&0) {
            gone.push(store.remove_of_fleet(kept, BEFORE, 2).await.unwrap());
        }
        assert_eq!(gone, [2, 2, 1, 0], "{kept:?}");
    }
    let alive = store.server_liveness(at(-DAY), at(DAY)).await.unwrap();
    assert!(alive.len() == 5 && alive.iter().all(|span| span.to >= BEFORE), "{alive:?}");
    let windows = store.exclusions(&Scope::All, at(-DAY), at(DAY)).await.unwrap();
    assert!(windows.len() == 5 && windows.iter().all(|window| window.to >= BEFORE), "{windows:?}");
}

/// Closed at an hour.
fn over(id: u128, number: u64, hour: i64) -> TicketRow {
    let t7 = Some(at(hour * HOUR));
    TicketRow { state: TicketState::Closed, opened_at: at(-DAY), t7, ..least_ticket(id, number) }
}

fn episode(id: u128, ticket: Option<u128>, parent: Option<u128>, hour: Option<i64>) -> Change {
    Change::Incident(Box::new(IncidentRow {
        closed_at: hour.map(|hour| at(hour * HOUR)),
        ticket: ticket.map(uuid),
        parent: parent.map(uuid),
        ..incident(id, "k1", &format!("f{id}"))
    }))
}

async fn incidents(store: &Store) -> usize {
    let page = PageRequest::first();
    store.incidents(&Scope::All, &kiosk_id("k1"), &page).await.unwrap().unwrap().items.len()
}

pub(crate) async fn a_ticket_goes_with_all_that_hangs_on_it_and_nothing_dangles(empty: Empty) {
    let store = empty.open().await;
    let ticket = |row: TicketRow| Change::Ticket(Box::new(row));
    let cancelled = TicketRow { state: TicketState::Cancelled, t7: None, ..over(6, 6, 0) };
    let called_off = |hour: i64| TicketEventRow { at: at(hour * HOUR), ..ticket_event(6, 1) };
    let below = |id, number, hour| TicketRow { parent: Some(uuid(8)), ..over(id, number, hour) };
    store
        .commit(&[
            Change::Kiosk(kiosk("k1", None)),
            // Goes: with history, a clock, its incident, and the one that its incident explained.
            ticket(over(1, 1, 1)),
            Change::TicketEvent(ticket_event(1, 1)),
            Change::TicketEvent(ticket_event(1, 2)),
            Change::Clock(full_clock(1, "total")),
            episode(11, Some(1), None, Some(1)),
            episode(12, None, Some(11), Some(1)),
            // Stay: open; closed later; with an open incident; with one that explains the incident of another.
            ticket(TicketRow { opened_at: at(-DAY), ..least_ticket(2, 2) }),
            ticket(over(3, 3, 5)),
            ticket(over(4, 4, 1)),
            episode(14, Some(4), None, None),
            ticket(over(5, 5, 1)),
            episode(15, Some(5), None, Some(1)),
            episode(16, Some(3), Some(15), Some(1)),
            // Ended with its last line.
            ticket(cancelled),
            Change::TicketEvent(called_off(5)),
            // A batch goes after its tickets; these wait for it to be closed.
            ticket(below(7, 7, 1)),
            ticket(over(8, 8, 2)),
            ticket(below(9, 9, 5)),
            // The last number is never given again.
            ticket(over(10, 10, 1)),
        ])
        .await
        .unwrap();
    let look = async |hour: i64| store.old_tickets(at(hour * HOUR), 0, 50).await.unwrap();
    let names =
        |ids: &[u128]| OldTickets { ids: ids.iter().map(|&n| uuid(n).to_string()).collect(), next: None };
    assert_eq!(look(5).await, names(&[1, 7]));
    // History, clock, two incidents, two tickets.
    assert_eq!(store.remove_tickets(&look(5).await.ids).await.unwrap(), 7);
    assert!(store.ticket(&Scope::All, uuid(1)).await.unwrap().is_none());
    assert_eq!((look(5).await, incidents(&store).await), (names(&[]), 3));
    assert_eq!(look(6).await, names(&[3, 6, 9]));
    store.remove_tickets(&look(6).await.ids).await.unwrap();
    assert_eq!(look(6).await, names(&[5, 8]), "what referred to them is gone");
    store.remove_tickets(&look(6).await.ids).await.unwrap();
    assert_eq!((look(6).await, incidents(&store).await), (names(&[]), 1));
    let image = store.load_image(NOW.plus_ms(900 * DAY)).await.unwrap();
    assert_eq!((image.last_ticket_number, image.open_incidents.len(), image.tickets.len()), (10, 1, 1));
    // Some at a time, by their numbers.
    let first = store.old_tickets(at(6 * HOUR), 0, 1).await.unwrap();
    assert_eq!(first, OldTickets { ids: vec![], next: Some(2) });
    assert_eq!(store.old_tickets(at(6 * HOUR), 4, 9).await.unwrap(), names(&[]));
}

pub(crate) async fn nothing_is_removed_once_somebody_else_holds_the_lease(empty: Empty) {
    let store = filled(&empty).await;
    store
        .commit(&[Change::Ticket(Box::new(over(1, 1, 0))), Change::Ticket(Box::new(over(2, 2, 0)))])
        .await
        .unwrap();
    store.commit(&[Change::Liveness(LivenessRow { server: uuid(1), from: at(0), to: at(1) })]).await.unwrap();
    store.take_lease("all", uuid(1), at(0), at(1)).await.unwrap();
    let other = Store::open_beside(&empty.url).await.unwrap();
    other.take_lease("all", uuid(2), at(2), at(DAY)).await.unwrap();
    let fenced =
        |removed: Result<u64, StoreError>| assert!(matches!(removed, Err(StoreError::Fenced { .. })));
    for kept in Kept::OF_A_KIOSK {
        fenced(store.remove_of_kiosks(kept, &ids(), BEFORE, 2).await);
        assert_eq!(rows_of(&store, kept).await, 20, "{kept:?}");
    }
    fenced(store.remove_of_fleet(Kept::Liveness, at(DAY), 2).await);
    let old = store.old_tickets(at(HOUR), 0, 9).await.unwrap();
    assert_eq!(old.ids, [uuid(1).to_string()]);
    fenced(store.remove_tickets(&old.ids).await);
    assert!(store.ticket(&Scope::All, uuid(1)).await.unwrap().is_some());
}
