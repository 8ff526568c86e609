//! Reads: pages, scopes, filters.
use std::collections::BTreeSet;

use kioskwatch_domain::change::*;
use kioskwatch_proto::{CommandId, Epoch};
use kioskwatch_server::store::{
    KioskFilter, Page, PageRequest, Scope, StoreError, TicketFilter, TokenHash, TokenRow,
};

use super::{Empty, rows::*};

fn only(site: &str) -> Scope {
    Scope::Sites(BTreeSet::from([site_id(site)]))
}

/// Walks a list page by page.
macro_rules! walk {
    ($limit:expr, |$page:ident| $call:expr) => {{
        let mut $page = PageRequest::new(Some($limit), None);
        let mut items = Vec::new();
        loop {
            let found: Page<_> = $call;
            assert!(found.items.len() <= $limit as usize);
            items.extend(found.items);
            let Some(cursor) = found.next_cursor else { break items };
            $page = $page.after(cursor);
        }
    }};
}

pub(crate) async fn pages_follow_each_other_without_gap_or_repeat(empty: Empty) {
    let store = empty.open().await;
    let k = kiosk_id("k000");
    let mut changes = Vec::new();
    for n in 0..23_u128 {
        let id = format!("k{n:03}");
        changes.push(Change::Site(site(&format!("s{n:03}"))));
        changes.push(Change::Kiosk(kiosk(&id, Some("s000"))));
        changes.push(Change::Ticket(Box::new(least_ticket(n, n as u64 + 1))));
        // Several in the same millisecond.
        let same_time = at(n as i64 / 5);
        let row = IncidentRow { opened_at: same_time, ..incident(n, "k000", &format!("f{n}")) };
        changes.push(Change::Incident(Box::new(row)));
        changes.push(Change::Transition(transition("k000", n as i64 / 5, &n.to_string())));
        let row = CommandRow { requested_at: same_time, ..least_command(n, "k000") };
        changes.push(Change::Command(Box::new(row)));
        changes.push(Change::JournalRecord(record("k000", 3, n as u64 + 1)));
        changes.push(Change::Audit(audit(n as i64)));
    }
    store.commit(&changes).await.unwrap();
    for limit in [1, 5, 22, 23, 24, 0, 9_999] {
        let limit = PageRequest::new(Some(limit), None).limit();
        let sites = walk!(limit, |p| store.sites(&Scope::All, &p).await.unwrap());
        assert!(sites.is_sorted_by_key(|s| s.id.clone()));
        let kiosks = walk!(limit, |p| store.kiosks(&Scope::All, &KioskFilter::default(), &p).await.unwrap());
        assert!(kiosks.is_sorted_by_key(|v| v.kiosk.id.clone()));
        let tickets =
            walk!(limit, |p| store.tickets(&Scope::All, &TicketFilter::default(), &p).await.unwrap());
        assert!(tickets.iter().rev().is_sorted_by_key(|t| t.number));
        let incidents = walk!(limit, |p| store.incidents(&Scope::All, &k, &p).await.unwrap().unwrap());
        assert!(incidents.iter().rev().is_sorted_by_key(|i| (i.opened_at, i.id)));
        let moves =
            walk!(limit, |p| store.transitions(&Scope::All, &k, at(0), at(DAY), &p).await.unwrap().unwrap());
        let order: Vec<u32> = moves.iter().rev().map(|t| t.to.parse().unwrap()).collect();
        assert_eq!(order, (0..23).collect::<Vec<_>>());
        let commands = walk!(limit, |p| store.commands(&Scope::All, &k, &p).await.unwrap().unwrap());
        assert!(commands.iter().rev().is_sorted_by_key(|c| (c.requested_at, c.id)));
        let epoch = Epoch(uuid(3));
        let records =
            walk!(limit, |p| store.journal_records(&Scope::All, &k, epoch, &p).await.unwrap().unwrap());
        assert!(records.iter().rev().is_sorted_by_key(|r| r.seq));
        let audit = walk!(limit, |p| store.audit(&p).await.unwrap());
        let sizes =
            [sites.len(), kiosks.len(), tickets.len(), incidents.len(), commands.len(), records.len()];
        assert_eq!(sizes, [23; 6], "limit {limit}");
        assert_eq!(audit.len(), 23);
        let ids: BTreeSet<_> = incidents.iter().map(|i| i.id).collect();
        assert_eq!(ids.len(), 23);
    }
}

pub(crate) async fn a_foreign_cursor_is_refused(empty: Empty) {
    let store = empty.open().await;
    for cursor in ["", "x", "%%%", "bnVsbA", "W10"] {
        let page = PageRequest::new(None, Some(cursor.into()));
        let refused = store.sites(&Scope::All, &page).await;
        assert!(matches!(refused, Err(StoreError::BadCursor)), "{cursor}: {refused:?}");
    }
    let (first, second) = (Change::Site(site("s1")), Change::Site(site("s2")));
    store.commit(&[first, second]).await.unwrap();
    let page = PageRequest::new(Some(1), None);
    let cursor = store.sites(&Scope::All, &page).await.unwrap().next_cursor.unwrap();
    let refused = store.audit(&page.after(cursor)).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)), "{refused:?}");
}

pub(crate) async fn what_is_out_of_scope_is_not_there(empty: Empty) {
    let store = empty.open().await;
    let k2 = kiosk_id("k2");
    let in_s2 =
        |ticket: TicketRow| TicketRow { site: Some(site_id("s2")), kiosk: Some(kiosk_id("k2")), ..ticket };
    store
        .commit(&[
            Change::Site(site("s1")),
            Change::Site(site("s2")),
            Change::Kiosk(kiosk("k1", Some("s1"))),
            Change::Kiosk(kiosk("k2", Some("s2"))),
            Change::Kiosk(kiosk("homeless", None)),
            Change::Ticket(Box::new(full_ticket(1, 1))),
            Change::Ticket(Box::new(in_s2(full_ticket(2, 2)))),
            Change::Ticket(Box::new(in_s2(TicketRow { parent: Some(uuid(1)), ..full_ticket(3, 3) }))),
            Change::Incident(Box::new(incident(1, "k2", "f"))),
            Change::Transition(transition("k2", 0, "x")),
            Change::Evidence(evidence("k1", 0, 10)),
            Change::Evidence(evidence("k2", 0, 10)),
            Change::Exclusion(exclusion(1, Some("k2"), None)),
            Change::Exclusion(exclusion(2, None, Some("s2"))),
            Change::Exclusion(exclusion(3, Some("k1"), None)),
            Change::Command(Box::new(full_command(1, "k2"))),
            Change::JournalHead(head("k2", 3, 1)),
            Change::JournalRecord(record("k2", 3, 1)),
            Change::JournalGap(gap("k2", 1, 2)),
            Change::Assignment(AssignmentRow {
                kiosk: k2.clone(),
                group: GroupKind::Site,
                group_id: "s2".into(),
                from: at(0),
                to: None,
                said: None,
            }),
        ])
        .await
        .unwrap();
    let page = PageRequest::first();
    let nobody = Scope::Sites(BTreeSet::new());
    for (scope, sees) in
        [(only("s1"), false), (nobody.clone(), false), (only("s2"), true), (Scope::All, true)]
    {
        let epoch = Epoch(uuid(3));
        assert_eq!(store.site(&scope, &site_id("s2")).await.unwrap().is_some(), sees);
        assert_eq!(store.kiosk(&scope, &k2).await.unwrap().is_some(), sees);
        assert_eq!(store.ticket(&scope, uuid(2)).await.unwrap().is_some(), sees);
        assert_eq!(store.incidents(&scope, &k2, &page).await.unwrap().is_some(), sees);
        assert_eq!(store.transitions(&scope, &k2, at(-1), at(1), &page).await.unwrap().is_some(), sees);
        assert_eq!(store.command(&scope, CommandId(uuid(1))).await.unwrap().is_some(), sees);
        assert_eq!(store.commands(&scope, &k2, &page).await.unwrap().is_some(), sees);
        assert_eq!(store.journal_heads(&scope, &k2).await.unwrap().is_some(), sees);
        assert_eq!(store.journal_records(&scope, &k2, epoch, &page).await.unwrap().is_some(), sees);
        assert_eq!(store.journal_record(&scope, &k2, epoch, 1).await.unwrap().is_some(), sees);
        assert_eq!(store.journal_gaps(&scope, &k2).await.unwrap().is_some(), sees);
        let seen = store.evidence(&scope, std::slice::from_ref(&k2), at(0), at(1)).await.unwrap();
        assert_eq!(seen.len(), usize::from(sees));
    }
    let names = |scope: Scope| {
        let (store, page) = (store.clone(), page.clone());
        async move {
            let sites = store.sites(&scope, &page).await.unwrap().items.len();
            let kiosks = store.kiosks(&scope, &KioskFilter::default(), &page).await.unwrap().items.len();
            let tickets = store.tickets(&scope, &TicketFilter::default(), &page).await.unwrap().items.len();
            let exclusions = store.exclusions(&scope, at(0), at(1)).await.unwrap().len();
            let both = [kiosk_id("k1"), kiosk_id("k2"), kiosk_id("none")];
            let evidence = store.evidence(&scope, &both, at(0), at(1)).await.unwrap().len();
            [sites, kiosks, tickets, exclusions, evidence]
        }
    };
    assert_eq!(names(Scope::All).await, [2, 3, 3, 3, 2]);
    assert_eq!(names(only("s1")).await, [1, 1, 1, 1, 1]);
    assert_eq!(names(only("s2")).await, [1, 1, 2, 2, 1]);
    assert_eq!(names(nobody).await, [0; 5]);
    // A filter narrows a scope, it never widens it.
    let filter = TicketFilter { site: Some(site_id("s2")), ..TicketFilter::default() };
    assert_eq!(store.tickets(&only("s1"), &filter, &page).await.unwrap().items, []);
    let filter = KioskFilter { site: Some(site_id("s2")), ..KioskFilter::default() };
    assert_eq!(store.kiosks(&only("s1"), &filter, &page).await.unwrap().items, []);
    // A ticket's children of another site stay unseen.
    assert_eq!(store.ticket(&only("s1"), uuid(1)).await.unwrap().unwrap().children, []);
    assert_eq!(store.ticket(&Scope::All, uuid(1)).await.unwrap().unwrap().children.len(), 1);
}

pub(crate) async fn tickets_are_narrowed_by_state_kiosk_site_and_openness(empty: Empty) {
    let store = empty.open().await;
    let states = [TicketState::New, TicketState::Resolved, TicketState::Closed, TicketState::Cancelled];
    let tickets: Vec<TicketRow> = (0..12_u128)
        .map(|n| TicketRow {
            state: states[n as usize % 4],
            kiosk: Some(kiosk_id(&format!("k{}", n % 3))),
            site: Some(site_id(&format!("s{}", n % 2))),
            ..least_ticket(n, n as u64 + 1)
        })
        .collect();
    let changes: Vec<Change> = tickets.iter().cloned().map(|t| Change::Ticket(Box::new(t))).collect();
    store.commit(&changes).await.unwrap();
    let mut filters = 0;
    for state in [None, Some(TicketState::New), Some(TicketState::Closed)] {
        for kiosk in [None, Some(kiosk_id("k1")), Some(kiosk_id("none"))] {
            for site in [None, Some(site_id("s1"))] {
                for open in [None, Some(true), Some(false)] {
                    let filter = TicketFilter { state, kiosk: kiosk.clone(), site: site.clone(), open };
                    let mut expected: Vec<TicketRow> = tickets
                        .iter()
                        .filter(|t| state.is_none_or(|s| t.state == s))
                        .filter(|t| kiosk.is_none() || t.kiosk == kiosk)
                        .filter(|t| site.is_none() || t.site == site)
                        .filter(|t| open.is_none_or(|o| t.state.is_open() == o))
                        .cloned()
                        .collect();
                    expected.reverse();
                    let found = walk!(2, |p| store.tickets(&Scope::All, &filter, &p).await.unwrap());
                    assert_eq!(found, expected, "{filter:?}");
                    filters += 1;
                }
            }
        }
    }
    assert_eq!(filters, 54);
}

pub(crate) async fn kiosks_are_narrowed_by_site_and_presence(empty: Empty) {
    let store = empty.open().await;
    let offline = KioskStateRow { presence: PresenceVerdict::Offline, ..full_state("k2") };
    store
        .commit(&[
            Change::Kiosk(kiosk("k1", Some("s1"))),
            Change::Kiosk(kiosk("k2", Some("s1"))),
            Change::Kiosk(kiosk("k3", Some("s2"))),
            Change::KioskState(Box::new(full_state("k1"))),
            Change::KioskState(Box::new(offline.clone())),
            Change::Ticket(Box::new(TicketRow { kiosk: Some(kiosk_id("k2")), ..full_ticket(1, 1) })),
            Change::Ticket(Box::new(TicketRow {
                kiosk: Some(kiosk_id("k2")),
                state: TicketState::Closed,
                ..full_ticket(2, 2)
            })),
        ])
        .await
        .unwrap();
    let page = PageRequest::first();
    let filter = KioskFilter { site: Some(site_id("s1")), presence: Some(PresenceVerdict::Offline) };
    let found = store.kiosks(&Scope::All, &filter, &page).await.unwrap().items;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].state.as_ref(), found[0].open_tickets), (Some(&offline), 1));
    let filter = KioskFilter { site: Some(site_id("s1")), presence: None };
    assert_eq!(store.kiosks(&Scope::All, &filter, &page).await.unwrap().items.len(), 2);
    let silent = store.kiosk(&Scope::All, &kiosk_id("k3")).await.unwrap().unwrap();
    assert_eq!((silent.state, silent.open_tickets), (None, 0));
    assert_eq!(store.kiosk(&Scope::All, &kiosk_id("none")).await.unwrap(), None);
}

pub(crate) async fn kiosks_are_found_by_their_models(empty: Empty) {
    let store = empty.open().await;
    let of = |id: &str, model: &str| Change::Kiosk(KioskRow { model: model.into(), ..kiosk(id, None) });
    let rows = [of("k3", "KT-2"), of("k1", "KT-2"), of("k2", "kt-2"), of("k4", "")];
    store.commit(&rows).await.unwrap();
    let mut models = store.models().await.unwrap();
    models.sort();
    assert_eq!(models, ["", "KT-2", "kt-2"]);
    let mut found = store.kiosks_of_models(&["KT-2", "none"]).await.unwrap();
    found.sort();
    assert_eq!(found, [kiosk_id("k1"), kiosk_id("k3")]);
}

pub(crate) async fn a_ticket_comes_with_all_that_hangs_on_it(empty: Empty) {
    let store = empty.open().await;
    let child = TicketRow { parent: Some(uuid(1000)), ..full_ticket(1001, 2) };
    let own = incident(1, "k1", "a");
    let others = IncidentRow { ticket: Some(uuid(1001)), ..incident(2, "k1", "b") };
    store
        .commit(&[
            Change::Ticket(Box::new(full_ticket(1000, 1))),
            Change::Ticket(Box::new(child.clone())),
            Change::Incident(Box::new(closed(&own))),
            Change::Incident(Box::new(others)),
            Change::TicketEvent(ticket_event(1000, 2)),
            Change::TicketEvent(ticket_event(1000, 1)),
            Change::TicketEvent(ticket_event(1001, 1)),
            Change::Clock(full_clock(1000, "total")),
            Change::Clock(least_clock(1000, "arrive")),
        ])
        .await
        .unwrap();
    let view = store.ticket(&Scope::All, uuid(1000)).await.unwrap().unwrap();
    assert_eq!(view.ticket, full_ticket(1000, 1));
    assert_eq!(view.events, [ticket_event(1000, 1), ticket_event(1000, 2)]);
    assert_eq!(view.clocks, [least_clock(1000, "arrive"), full_clock(1000, "total")]);
    assert_eq!(view.incidents, [closed(&own)]);
    assert_eq!(view.children, [child]);
    let more = least_clock(1001, "arrive");
    store.commit(&[Change::Clock(more.clone())]).await.unwrap();
    let of_both = [view.clocks, vec![more.clone()]].concat();
    assert_eq!(store.clocks_of(&[uuid(1001), uuid(1000), uuid(4)]).await.unwrap(), of_both);
    assert_eq!(store.clocks_of(&[uuid(1001)]).await.unwrap(), [more]);
    assert_eq!(store.ticket(&Scope::All, uuid(4)).await.unwrap(), None);
}

pub(crate) async fn overlapping_spans_are_found_and_touching_ones_are_not(empty: Empty) {
    let store = empty.open().await;
    let span = |from, to| Change::Evidence(evidence("k1", from, to));
    let alive = |n, from, to| Change::Liveness(LivenessRow { server: uuid(n), from: at(from), to: at(to) });
    let excluded = |n, from, to| {
        Change::Exclusion(ExclusionRow { from: at(from), to: at(to), ..exclusion(n, Some("k1"), None) })
    };
    let assigned = |n: u32, from: i64, to: Option<i64>| {
        Change::Assignment(AssignmentRow {
            kiosk: kiosk_id("k1"),
            group: GroupKind::Engineer,
            group_id: format!("e{n}"),
            from: at(from),
            to: to.map(at),
            said: None,
        })
    };
    store
        .commit(&[
            span(0, 10),
            span(10, 20),
            span(20, 30),
            alive(1, 0, 10),
            alive(2, 10, 20),
            alive(3, 20, 30),
            excluded(1, 0, 10),
            excluded(2, 10, 20),
            excluded(3, 20, 30),
            assigned(1, 0, Some(10)),
            assigned(2, 10, Some(20)),
            assigned(3, 19, None),
            assigned(4, 20, None),
        ])
        .await
        .unwrap();
    let found = store.evidence(&Scope::All, &[kiosk_id("k1")], at(10), at(20)).await.unwrap();
    assert_eq!(found, [evidence("k1", 10, 20)]);
    assert_eq!(store.server_liveness(at(10), at(20)).await.unwrap().len(), 1);
    assert_eq!(store.exclusions(&Scope::All, at(10), at(20)).await.unwrap().len(), 1);
    let found = store.assignments_of(&[kiosk_id("k1")], at(10), at(20)).await.unwrap();
    assert_eq!(found.iter().map(|a| a.group_id.as_str()).collect::<Vec<_>>(), ["e2", "e3"]);
    // The first site comes along, before the time or behind it; whose has none has no row.
    let stood = |n: u32, from: i64, to: Option<i64>| {
        let group_id = format!("s{n}");
        let (group, kiosk) = (GroupKind::Site, kiosk_id("k1"));
        Change::Assignment(AssignmentRow {
            kiosk,
            group,
            group_id,
            from: at(from),
            to: to.map(at),
            said: None,
        })
    };
    store.commit(&[stood(2, 0, Some(5)), stood(1, 5, Some(9)), stood(3, 40, None)]).await.unwrap();
    for (from, to, expected) in
        [(10, 20, &["e2", "e3", "s2"][..]), (-9, -5, &["s2"]), (50, 60, &["e3", "e4", "s2", "s3"])]
    {
        let found = store.assignments_of(&[kiosk_id("k1"), kiosk_id("k2")], at(from), at(to)).await.unwrap();
        assert_eq!(found.iter().map(|a| a.group_id.as_str()).collect::<Vec<_>>(), expected, "{from}..{to}");
    }
    let found = store.evidence(&Scope::All, &[kiosk_id("k1")], at(5), at(25)).await.unwrap();
    assert_eq!(found.len(), 3);
}

pub(crate) async fn a_gap_of_evidence_grows_and_closes(empty: Empty) {
    let store = empty.open().await;
    let gap = |id, from, to| EvidenceGapRow { kiosk: kiosk_id(id), from: at(from), to: at(to) };
    let gaps = [gap("k1", 0, 10), gap("k1", 20, 30), gap("k2", 0, 10)];
    store.commit(&gaps.clone().map(Change::EvidenceGap)).await.unwrap();
    store.commit(&[Change::EvidenceGap(gap("k2", 0, 40))]).await.unwrap();
    let both = [kiosk_id("k1"), kiosk_id("k2")];
    let found = store.evidence_gaps(&both, at(10), at(20)).await.unwrap();
    assert_eq!(found, [gap("k2", 0, 40)], "those that only touch are not asked for");
    assert_eq!(store.evidence_gaps(&both[..1], at(0), at(40)).await.unwrap(), gaps[..2]);
    store.commit(&[Change::EvidenceGap(gap("k1", 0, 0))]).await.unwrap();
    let found = store.evidence_gaps(&both[..1], at(-9), at(9)).await.unwrap();
    assert_eq!(found, [gap("k1", 0, 0)], "empty: it could be stored after all");
}

pub(crate) async fn closed_history_stays_out_of_the_image(empty: Empty) {
    let store = empty.open().await;
    let closed_at = |n: u128, t7: Option<i64>| {
        let state = TicketState::Closed;
        TicketRow { state, t7: t7.map(at), ..full_ticket(n, n as u64) }
    };
    store
        .commit(&[
            Change::Ticket(Box::new(closed_at(1, Some(-DAY)))),
            Change::Ticket(Box::new(closed_at(2, Some(-100 * DAY)))),
            Change::Ticket(Box::new(closed_at(3, None))),
            Change::TicketEvent(ticket_event(1, 1)),
            Change::TicketEvent(ticket_event(2, 1)),
            Change::Clock(full_clock(1, "total")),
            Change::Clock(full_clock(2, "total")),
            Change::Incident(Box::new(closed(&incident(1, "k1", "f")))),
            Change::Command(Box::new(CommandRow { state: CommandState::Expired, ..full_command(1, "k1") })),
            Change::Exclusion(ExclusionRow { to: at(-100 * DAY), ..exclusion(1, Some("k1"), None) }),
            Change::Exclusion(ExclusionRow {
                from: at(300 * DAY),
                to: at(301 * DAY),
                ..exclusion(2, None, Some("s"))
            }),
        ])
        .await
        .unwrap();
    let image = store.load_image(NOW).await.unwrap();
    assert_eq!(image.tickets, [closed_at(1, Some(-DAY))]);
    assert_eq!(image.ticket_events, [(uuid(1), 1)]);
    assert_eq!(image.clocks, [full_clock(1, "total")]);
    assert_eq!((image.open_incidents, image.open_commands), (vec![], vec![]));
    assert_eq!(image.exclusions.len(), 1);
    assert_eq!(image.last_ticket_number, 3, "closed tickets keep their numbers");
}

pub(crate) async fn journals_are_read_by_epoch(empty: Empty) {
    let store = empty.open().await;
    let (k1, page) = (kiosk_id("k1"), PageRequest::first());
    store
        .commit(&[
            Change::Kiosk(kiosk("k1", None)),
            Change::JournalHead(head("k1", 3, 2)),
            Change::JournalHead(head("k1", 4, 1)),
            Change::JournalRecord(record("k1", 3, 1)),
            Change::JournalRecord(record("k1", 3, 2)),
            Change::JournalRecord(JournalRecordRow {
                outcome: RecordOutcome::Quarantined,
                reason: Some(awkward()),
                ..record("k1", 4, 1)
            }),
            Change::JournalRecord(record("k2", 3, 1)),
        ])
        .await
        .unwrap();
    let heads = store.journal_heads(&Scope::All, &k1).await.unwrap().unwrap();
    assert_eq!(heads, [head("k1", 4, 1), head("k1", 3, 2)]);
    let found = store.journal_records(&Scope::All, &k1, Epoch(uuid(3)), &page).await.unwrap().unwrap();
    assert_eq!(found.items, [record("k1", 3, 2), record("k1", 3, 1)]);
    let found = store.journal_record(&Scope::All, &k1, Epoch(uuid(4)), 1).await.unwrap().unwrap();
    assert_eq!(found.reason, Some(awkward()));
    for seq in [0, 2, u64::MAX] {
        assert_eq!(store.journal_record(&Scope::All, &k1, Epoch(uuid(4)), seq).await.unwrap(), None);
    }
    // The one writer asks for many places at once.
    let place = |kiosk: &str, epoch: u128| (kiosk_id(kiosk), Epoch(uuid(epoch)));
    let places = [place("k1", 4), place("k1", 9), place("k2", 3)];
    assert_eq!(store.journal_heads_at(&places).await.unwrap(), [head("k1", 4, 1)]);
    let numbers = [("k1", 3, 2), ("k1", 3, 9), ("k2", 3, 1), ("k1", 3, u64::MAX)];
    let numbers = numbers.map(|(kiosk, epoch, seq)| (kiosk_id(kiosk), Epoch(uuid(epoch)), seq));
    let found = store.journal_raw_at(&numbers).await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[&numbers[0]], *record("k1", 3, 2).raw);
    assert_eq!(found[&numbers[2]], *record("k2", 3, 1).raw);
    assert!(store.journal_raw_at(&[]).await.unwrap().is_empty());
}

pub(crate) async fn tokens_are_found_by_hash_until_revoked(empty: Empty) {
    let store = empty.open().await;
    let full = TokenRow {
        id: uuid(1),
        name: awkward(),
        role: "dispatcher".into(),
        scope: Scope::Sites(BTreeSet::from([site_id("s1"), site_id("s2")])),
        desk: Some("call_centre".into()),
        created_at: at(0),
        expires_at: Some(at(DAY)),
        revoked_at: None,
    };
    let least = TokenRow {
        id: uuid(2),
        scope: Scope::All,
        desk: None,
        expires_at: None,
        role: "admin".into(),
        created_at: at(1),
        ..full.clone()
    };
    let (a, b) = (TokenHash([1; 32]), TokenHash([2; 32]));
    store.create_token(&full, &a).await.unwrap();
    store.create_token(&least, &b).await.unwrap();
    let twice = store.create_token(&TokenRow { id: uuid(3), ..least.clone() }, &b).await;
    assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
    assert_eq!(store.token_by_hash(&a).await.unwrap(), Some(full.clone()));
    assert_eq!(store.token_by_hash(&b).await.unwrap(), Some(least.clone()));
    assert_eq!(store.token_by_hash(&TokenHash([3; 32])).await.unwrap(), None);
    assert!(store.revoke_token(uuid(1), at(5)).await.unwrap());
    assert!(!store.revoke_token(uuid(1), at(6)).await.unwrap());
    let revoked = TokenRow { revoked_at: Some(at(5)), ..full };
    assert_eq!(store.tokens().await.unwrap(), [revoked, least]);
}
