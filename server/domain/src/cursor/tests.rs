use kioskwatch_proto::{
    BootId,
    journal::{Alive, Body, Boot, Header, Service, Shutdown},
    words::ServiceState,
};
use uuid::Uuid;

use super::*;

fn record(boot: u128, at: i64, body: Body) -> Record {
    let boot = BootId(Uuid::from_u128(boot));
    let mono_ms = u64::try_from(at).unwrap();
    Record { header: Header { seq: 1, boot, at: Timestamp(at), mono_ms, was: None }, body }
}

fn boot(alive_until: Option<i64>) -> Body {
    Body::Boot(Boot {
        previous_boot: None,
        previous_alive_until: alive_until.map(Timestamp),
        clean: false,
        unrecorded: false,
    })
}

fn service() -> Body {
    Body::Service(Service { state: ServiceState::InService, cause: None })
}

/// Runs records through a cursor; a service record leaves FULL behind.
fn proofs(records: &[Record]) -> Vec<(i64, i64, &'static str, Option<&'static str>)> {
    let mut cursor = Cursor::default();
    let mut all = Vec::new();
    for record in records {
        let lived = match &record.body {
            Body::Boot(boot) => boot.previous_alive_until,
            _ => None,
        };
        for p in cursor.advance(record, record.header.at, lived) {
            all.push((p.from.ms(), p.to.ms(), p.state.as_str(), p.cause.map(Cause::as_str)));
        }
        if matches!(record.body, Body::Service(_)) {
            cursor.set_state(EvidenceState::Full, None);
        }
    }
    all
}

#[test]
fn two_records_of_one_boot_prove_the_machine_on_in_the_state_of_the_first() {
    let alive = Body::Alive(Alive { until: Timestamp(90) });
    let got = proofs(&[record(1, 10, boot(None)), record(1, 20, service()), record(1, 90, alive)]);
    assert_eq!(got, [(10, 20, "ON_ONLY", None), (20, 90, "FULL", None)]);
}

#[test]
fn another_boot_proves_off_from_the_last_tick_of_the_old_one() {
    let got = proofs(&[record(1, 20, service()), record(2, 500, boot(Some(80)))]);
    assert_eq!(got, [(20, 80, "FULL", None), (80, 500, "OFF", None)]);
}

#[test]
fn without_a_last_tick_the_machine_is_off_from_its_last_record() {
    let got = proofs(&[record(1, 20, service()), record(2, 500, boot(None))]);
    assert_eq!(got, [(20, 500, "OFF", None)]);
}

#[test]
fn the_same_boot_after_an_agent_restart_is_on_and_nothing_more() {
    let got = proofs(&[record(1, 20, service()), record(1, 500, boot(Some(80))), record(1, 600, service())]);
    assert_eq!(got, [(20, 80, "FULL", None), (80, 500, "ON_ONLY", None), (500, 600, "ON_ONLY", None)]);
}

#[test]
fn between_a_last_tick_and_a_boot_only_a_machine_that_never_stopped_proves_more_where_the_disk_had_no_room() {
    let was_on = (80, 500, "ON_ONLY", None);
    for (next, between) in [(1, Some(was_on)), (2, None)] {
        let (alive_until, clean) = (Some(Timestamp(80)), false);
        let boot = Boot { previous_boot: None, previous_alive_until: alive_until, clean, unrecorded: true };
        let got = proofs(&[
            record(1, 20, service()),
            record(next, 500, Body::Boot(boot)),
            record(next, 600, service()),
        ]);
        let last = (500, 600, "ON_ONLY", None);
        let expected: Vec<_> =
            [Some((20, 80, "FULL", None)), between, Some(last)].into_iter().flatten().collect();
        assert_eq!(got, expected, "boot {next}");
    }
}

#[test]
fn a_shutdown_tells_why_the_machine_was_off() {
    for (reason, cause) in [(ShutdownReason::PowerLoss, "power"), (ShutdownReason::Reboot, "software")] {
        let down = Body::Shutdown(Shutdown { reason });
        let got = proofs(&[record(1, 20, service()), record(1, 50, down), record(2, 500, boot(Some(60)))]);
        assert_eq!(got, [(20, 50, "FULL", None), (50, 60, "FULL", None), (60, 500, "OFF", Some(cause))]);
    }
}

#[test]
fn a_last_tick_outside_its_bounds_is_held_inside_them() {
    for (told, end) in [(5, 20), (9_999, 500)] {
        let got = proofs(&[record(1, 20, service()), record(2, 500, boot(Some(told)))]);
        let off_from = got.iter().find(|p| p.2 == "OFF").map_or(500, |p| p.0);
        assert_eq!(off_from, end);
    }
}

/// A required module that is out of order stops the kiosk whatever its application says: it must not be forgotten.
#[test]
fn across_a_record_that_was_set_aside_nothing_is_proved_and_modules_are_remembered() {
    let mut cursor = Cursor::default();
    cursor.advance(&record(1, 10, service()), Timestamp(10), None);
    cursor.step_over();
    assert!(cursor.advance(&record(1, 90, service()), Timestamp(90), None).is_empty());
    assert!(cursor.knows_modules());
    cursor.interrupt();
    cursor.step_over();
    assert!(!cursor.knows_modules(), "what a gap took is gone");
}

#[test]
fn across_missing_records_nothing_is_proved() {
    let mut cursor = Cursor::default();
    cursor.advance(&record(1, 10, service()), Timestamp(10), None);
    cursor.interrupt();
    assert!(cursor.advance(&record(1, 90, service()), Timestamp(90), None).is_empty());
}

#[test]
fn across_evicted_records_the_boot_still_proves_the_machine_on() {
    let mut cursor = Cursor::default();
    cursor.advance(&record(1, 10, service()), Timestamp(10), None);
    cursor.set_state(EvidenceState::Full, None);
    cursor.blur();
    let proofs = cursor.advance(&record(1, 90, service()), Timestamp(90), None);
    assert_eq!((proofs.len(), proofs[0].state), (1, EvidenceState::OnOnly));
}

#[test]
fn a_row_grows_while_nothing_changes_and_prompt_and_late_parts_stay_apart() {
    let kiosk = KioskId::new("K").unwrap();
    let mut cursor = Cursor::default();
    let mut paint = |from: i64, to: i64, received: i64| {
        let proof =
            Proof { from: Timestamp(from), to: Timestamp(to), state: EvidenceState::Full, cause: None };
        let row = cursor.paint(&kiosk, proof, Timestamp(received));
        (row.from.ms(), row.to.ms(), row.received_at.map(Timestamp::ms))
    };
    assert_eq!(paint(0, 10_000, 10_000), (0, 10_000, None));
    assert_eq!(paint(10_000, 20_000, 20_000), (0, 20_000, None));
    assert_eq!(paint(20_000, 2_000_000, 2_000_000), (20_000, 2_000_000, Some(2_000_000)));
    assert_eq!(paint(2_000_000, 2_010_000, 9_000_000), (2_000_000, 2_010_000, Some(9_000_000)));
    assert_eq!(paint(2_010_000, 2_020_000, 9_000_000), (2_000_000, 2_020_000, Some(9_000_000)));
}

#[test]
fn what_a_silent_kiosk_sends_in_one_second_is_one_row_and_what_counts_at_an_instant_stays() {
    let kiosk = KioskId::new("K").unwrap();
    let minute = 60_000;
    // An hour of silence, in which something was noted each minute, is sent within three seconds.
    let sent = (0..60).map(|n| (n * minute, (n + 1) * minute, 3_600_000 + 50 * n + 10));
    let mut cursor = Cursor::default();
    let mut rows: Vec<EvidenceRow> = Vec::new();
    for (from, to, received) in sent.clone() {
        let proof =
            Proof { from: Timestamp(from), to: Timestamp(to), state: EvidenceState::Full, cause: None };
        let row = cursor.paint(&kiosk, proof, Timestamp(received));
        rows.retain(|old| old.from != row.from);
        rows.push(row);
    }
    assert_eq!(rows.len(), 4, "three seconds, and what was prompt: {rows:?}");
    for limit in 3_599..3_605 {
        let known = |from: i64, to: i64, received: Option<i64>| {
            let is_known = received.is_none_or(|at| Timestamp(at).secs() < limit);
            if is_known { to.min(received.unwrap_or(i64::MAX)) - from } else { 0 }
        };
        let is_late = |from: i64, received: i64| (received - from > PROMPT_MS).then_some(received);
        let of_rows: i64 = rows
            .iter()
            .map(|row| known(row.from.ms(), row.to.ms(), row.received_at.map(Timestamp::ms)))
            .sum();
        let of_records: i64 =
            sent.clone().map(|(from, to, received)| known(from, to, is_late(from, received))).sum();
        assert_eq!(of_rows, of_records, "before second {limit}");
    }
}

#[test]
fn a_cursor_survives_its_text() {
    let mut cursor = Cursor::default();
    cursor.advance(&record(1, 10, service()), Timestamp(10), None);
    cursor.set_state(EvidenceState::Oos, Some(Cause::Supplies));
    let proof =
        Proof { from: Timestamp(1), to: Timestamp(2), state: EvidenceState::Off, cause: Some(Cause::Power) };
    cursor.paint(&KioskId::new("K").unwrap(), proof, Timestamp(2));
    let text = serde_json::to_string(&cursor).unwrap();
    assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor);
}

#[test]
fn records_are_placed_by_the_boots_quickest_heartbeat_or_between_their_neighbours() {
    let clocks =
        [BootClock { boot: BootId(Uuid::from_u128(1)), mono_zero: Timestamp(1_000).into(), interval_s: 30 }];
    let mut cursor = Cursor::default();
    cursor.advance(&record(9, 700, service()), Timestamp(700), None);
    // boot, device time, arrival, where, ahead
    for (boot, at, received, placed, ahead) in [
        (1, 500, 9_000, 1_500, false),
        (1, 500, 1_200, 1_200, false),
        (2, 800, 9_000, 800, false),
        (2, 500, 9_000, 700, false),
        (2, 60_000, 9_000, 9_000, false),
        (2, 500_000, 9_000, 9_000, true),
    ] {
        let got = place(&record(boot, at, service()), Timestamp(received), &clocks, &cursor);
        assert_eq!(got, (Timestamp(placed), ahead), "{boot} {at} {received}");
    }
}

/// A restored server has heard no heartbeat of the boot yet: the wrong clock of a kiosk would put what it says months away,
/// and prove that it was so ever since.
#[test]
fn across_missing_records_a_boot_keeps_its_place_in_time() {
    let at = |at, mono_ms| {
        let mut record = record(1, at, service());
        record.header.mono_ms = mono_ms;
        record
    };
    let other = record(2, 100, service());
    for take in [Cursor::interrupt, Cursor::step_over] {
        let mut cursor = Cursor::default();
        cursor.advance(&at(10_000, 4_000), Timestamp(10_000), None);
        take(&mut cursor);
        let stands = |record: &Record| place(record, Timestamp(90_000), [], &cursor).0.ms();
        assert_eq!(stands(&at(20, 7_000)), 13_000, "by its own clock it came before");
        assert_eq!(stands(&other), 10_000, "no earlier than what came before");
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor);
        assert!(cursor.advance(&at(20, 7_000), Timestamp(13_000), None).is_empty());
        cursor.set_state(EvidenceState::Degraded, None);
        let next = cursor.advance(&at(50, 8_000), Timestamp(14_000), None);
        assert_eq!(next.iter().map(|p| (p.from.ms(), p.to.ms())).collect::<Vec<_>>(), [(13_000, 14_000)]);
    }
}

#[test]
fn the_strongest_cause_comes_first() {
    assert!(Cause::Power < Cause::Supplies && Cause::Supplies < Cause::Unexplained);
}

/// Power, network and host leave the figure that engineers are measured by: the terminal's own faults do not.
#[test]
fn a_fault_is_the_customers_only_where_the_mains_failed() {
    for (code, cause) in [
        ("on_battery", "power"),
        ("ups_shutdown_active", "power"),
        ("battery_low", "hardware"),
        ("paper_out", "supplies"),
        ("application_down", "software"),
        ("disk_full", "software"),
        ("clock_wrong", "software"),
        ("journal_corrupt", "software"),
        ("temperature_high", "hardware"),
        ("note_jam", "hardware"),
    ] {
        assert_eq!(Cause::of_fault(code).as_str(), cause, "{code}");
    }
}

#[test]
fn a_required_module_out_of_order_beats_what_the_application_says() {
    assert_eq!(state_of(ServiceState::InService, true), EvidenceState::Oos);
    assert_eq!(state_of(ServiceState::Degraded, false), EvidenceState::Degraded);
    assert_eq!(state_of(ServiceState::Supervised, false), EvidenceState::Oos);
}

#[test]
fn an_agent_that_was_stopped_on_purpose_leaves_no_time_unexplained() {
    let back = Boot {
        previous_boot: None,
        previous_alive_until: Some(Timestamp(80)),
        clean: true,
        unrecorded: false,
    };
    let got = proofs(&[record(1, 20, service()), record(1, 500, Body::Boot(back))]);
    assert_eq!(got, [(20, 80, "FULL", None), (80, 500, "ON_ONLY", Some("software"))]);
}

/// A record of a boot whose clock shows `at` and which has run for `mono_ms`.
fn told(boot: u128, at: i64, mono_ms: i64) -> Record {
    let mut record = record(boot, mono_ms, service());
    record.header.at = Timestamp(at);
    record
}

/// What the records prove of the minutes after a lost range; `heard` knows when a boot began.
fn after_a_loss(records: &[(Record, i64)], heard: &[(u128, i64)]) -> Vec<(i64, i64, &'static str)> {
    let clocks: Vec<BootClock> = heard
        .iter()
        .map(|&(boot, zero)| BootClock {
            boot: BootId(Uuid::from_u128(boot)),
            mono_zero: Timestamp(zero * MINUTE).into(),
            interval_s: 30,
        })
        .collect();
    let mut cursor = Cursor::default();
    cursor.advance(&told(1, 600 * MINUTE, 30 * MINUTE), Timestamp(600 * MINUTE), None);
    cursor.set_state(EvidenceState::Full, None);
    cursor.interrupt();
    let mut all = Vec::new();
    for (n, (record, received)) in records.iter().enumerate() {
        let received_at = Timestamp(received * MINUTE);
        // Heard is what was heard before it came.
        let known = clocks.iter().filter(|_| received_at.ms() > 790 * MINUTE);
        let (placed, _) = place(record, received_at, known, &cursor);
        let proofs = cursor.advance(record, placed, None);
        all.extend(proofs.iter().map(|p| (p.from.ms() / MINUTE, p.to.ms() / MINUTE, p.state.as_str())));
        // The snapshot of the boot, and nothing changes.
        if n == 0 {
            cursor.set_state(EvidenceState::Full, None);
        }
    }
    all
}

const MINUTE: i64 = 60_000;

/// The mains fail at 601, and come back at 720; what tells of it is lost.
#[test]
fn after_a_lost_range_a_boot_whose_clock_is_behind_proves_nothing_until_it_is_heard() {
    let mut sent: Vec<_> = [5, 65, 68].map(|m| (told(2, m * MINUTE, m * MINUTE), 789)).into();
    assert_eq!(after_a_loss(&sent, &[]), [], "nobody can tell when it ran");
    // From the first record after which it was heard.
    sent.extend([80, 90].map(|m| (told(2, m * MINUTE, m * MINUTE), 811)));
    assert_eq!(after_a_loss(&sent, &[(2, 720)]), [(800, 810, "FULL")]);
    // Or from the first of which its clock was set.
    sent.truncate(3);
    sent.extend([75, 80].map(|m| (told(2, (720 + m) * MINUTE, m * MINUTE), 811)));
    assert_eq!(after_a_loss(&sent, &[]), [(795, 800, "FULL")]);
}
