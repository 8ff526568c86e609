use super::*;
use crate::{
    calendar::WorkCalendar,
    policy::Policy,
    sla::{Clock, Hours, Pauses},
};

fn names(zone: Zone, class: FaultClass, severity: Severity) -> Vec<(String, i64)> {
    let terms = Terms { zone, class, severity };
    let clocks = opening_clocks(Uuid::nil(), Timestamp(0), terms, &Policy::default().clocks);
    clocks.into_iter().map(|c| (c.name, c.due_at.unwrap().ms() / 60_000)).collect()
}

fn expect(list: &[(&str, i64)]) -> Vec<(String, i64)> {
    list.iter().map(|(name, minutes)| ((*name).to_owned(), *minutes)).collect()
}

#[test]
fn clocks_depend_on_zone_class_and_severity() {
    let total = 72 * 60;
    let (operator, other) = (FaultClass::Operator, FaultClass::Replacement);
    assert_eq!(
        names(Zone::Urban, operator, Severity::Minor),
        expect(&[("solution", 40), ("phone", 30), ("arrive", 240), ("total", total)])
    );
    assert_eq!(
        names(Zone::Suburb, other, Severity::Major),
        expect(&[("solution", 40), ("arrive", 360), ("restore", 16 * 60), ("total", total)])
    );
    assert_eq!(
        names(Zone::Remote, other, Severity::Major),
        expect(&[("solution", 40), ("restore", 34 * 60), ("total", total)])
    );
}

#[test]
fn day_and_night_clocks_agree_with_the_calendar_arithmetic() {
    let calendar = WorkCalendar::from_lists(&[], &[]);
    let pauses = Pauses::none();
    let clock =
        Clock { hours: Hours::Always, zone: chrono_tz::Asia::Shanghai, calendar: &calendar, pauses: &pauses };
    let terms = Terms { zone: Zone::Suburb, class: FaultClass::Operator, severity: Severity::Major };
    let start = 1_795_399_200;
    for row in opening_clocks(Uuid::nil(), Timestamp(start * 1_000), terms, &Policy::default().clocks) {
        let due = clock.walk(start, i64::try_from(row.budget_s).unwrap()).unwrap().value;
        assert_eq!(due, row.due_at.map(Timestamp::secs), "{}", row.name);
    }
}

fn clock(name: &str) -> ClockRow {
    running(Uuid::nil(), name, Timestamp(0), (10, 20))
}

#[test]
fn an_event_at_the_due_time_is_on_time() {
    for (now, state, told) in [
        (9_999, ClockState::Running, None),
        (10_000, ClockState::Running, Some(Tick::Warned)),
        (20_000, ClockState::Running, Some(Tick::Warned)),
        (20_001, ClockState::Breached, Some(Tick::Breached)),
    ] {
        let mut clock = clock("arrive");
        assert_eq!(tick(&mut clock, Timestamp(10_000), None, Timestamp(now)), told, "{now}");
        assert_eq!(clock.state, state, "{now}");
    }
}

#[test]
fn recovery_drops_what_waits_for_people_and_meets_restore() {
    for (name, t5, state) in [
        ("solution", 5_000, ClockState::Dropped),
        ("arrive", 5_000, ClockState::Dropped),
        ("restore", 20_000, ClockState::Met),
        ("restore", 20_001, ClockState::Breached),
        ("total", 5_000, ClockState::Paused),
    ] {
        let mut clock = clock(name);
        on_recovery(&mut clock, Timestamp(t5), Timestamp(t5));
        assert_eq!(clock.state, state, "{name} {t5}");
    }
    let mut late = ClockRow { state: ClockState::Breached, ..clock("arrive") };
    on_recovery(&mut late, Timestamp(1), Timestamp(1));
    assert_eq!(late.state, ClockState::Breached, "a breach stays");
}

#[test]
fn total_goes_on_with_what_was_left_when_a_ticket_comes_back() {
    let mut clocks = vec![clock("total"), clock("arrive")];
    for clock in &mut clocks {
        on_recovery(clock, Timestamp(5_000), Timestamp(5_000));
    }
    assert_eq!(clocks[0].remaining_s, Some(15));
    let fresh = vec![
        running(Uuid::nil(), "total", Timestamp(100_000), (10, 20)),
        running(Uuid::nil(), "arrive", Timestamp(100_000), (10, 20)),
    ];
    on_return(&mut clocks, fresh, Timestamp(100_000));
    assert_eq!((clocks[0].state, clocks[0].due_at), (ClockState::Running, Some(Timestamp(115_000))));
    assert_eq!((clocks[1].state, clocks[1].due_at), (ClockState::Running, Some(Timestamp(120_000))));
}

#[test]
fn nobody_recovers_while_an_engineer_works_on_the_machine() {
    for &state in TicketState::ALL {
        let busy = matches!(state, TicketState::OnSite | TicketState::Repairing | TicketState::Resolved);
        assert_eq!(may_recover(state), state.is_open() && !busy, "{state:?}");
    }
}

#[test]
fn priorities_rank_lost_service_first() {
    let out = Some(ServiceState::OutOfService);
    assert_eq!(priority(Severity::Major, FaultClass::Operator, out), 1);
    assert_eq!(priority(Severity::Major, FaultClass::Operator, None), 2);
    assert_eq!(priority(Severity::Minor, FaultClass::Maintenance, None), 3);
    assert_eq!(priority(Severity::Minor, FaultClass::Operator, None), 4);
}
