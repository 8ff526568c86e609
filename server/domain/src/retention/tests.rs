use chrono_tz::{Asia::Shanghai, UTC};
use uuid::Uuid;

use super::*;

const KINDS: [Kept; 10] = [
    Kept::Evidence,
    Kept::EvidenceGap,
    Kept::JournalRecord,
    Kept::JournalGap,
    Kept::Transition,
    Kept::Command,
    Kept::Incident,
    Kept::Liveness,
    Kept::Exclusion,
    Kept::Ticket,
];

fn at(text: &str) -> Timestamp {
    Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

/// The month from whose beginning on everything stays.
fn first(policy: Policy, kept: Kept, now: &str, unsigned: Option<&str>) -> Month {
    let before = policy.before(kept, at(now), UTC, unsigned.map(month));
    let first = Month::at(UTC, before.secs() + wall::MAX_OFFSET_S);
    assert_eq!(first.period(UTC).from, before.secs() + wall::MAX_OFFSET_S, "whole months, everywhere");
    first
}

#[test]
fn each_kind_is_kept_for_its_months_and_what_is_referred_to_as_long_as_what_refers_to_it() {
    let now = "2026-11-22T10:00:00.000Z";
    // Configured; then evidence, records, tickets.
    let table = [
        ((14, 14, 60), ["2025-09", "2025-09", "2021-11"]),
        ((24, 14, 60), ["2024-11", "2024-11", "2021-11"]),
        ((3, 14, 60), ["2026-08", "2025-09", "2021-11"]),
        ((3, 36, 12), ["2026-08", "2023-11", "2023-11"]),
        ((1_200, 3, 12), ["1926-11", "1926-11", "1926-11"]),
    ];
    for ((evidence, records, tickets), months) in table {
        let policy = Policy::new(evidence, records, tickets);
        for kept in KINDS {
            let expected = match kept {
                Kept::Evidence | Kept::EvidenceGap | Kept::Liveness | Kept::Exclusion => months[0],
                Kept::JournalRecord | Kept::JournalGap | Kept::Transition | Kept::Command => months[1],
                Kept::Incident | Kept::Ticket => months[2],
            };
            assert_eq!(first(policy, kept, now, None), month(expected), "{kept:?} of {policy:?}");
        }
    }
}

#[test]
fn what_an_unsigned_month_is_made_of_stays() {
    let policy = Policy::new(14, 14, 60);
    let table = [
        (None, "2025-09"),
        // The month that runs is never signed and holds nothing back.
        (Some("2026-11"), "2025-09"),
        (Some("2025-09"), "2025-09"),
        (Some("2025-08"), "2025-08"),
        (Some("2023-01"), "2023-01"),
    ];
    for (unsigned, expected) in table {
        let found = first(policy, Kept::Liveness, "2026-11-22T10:00:00.000Z", unsigned);
        assert_eq!(found, month(expected), "{unsigned:?}");
    }
}

#[test]
fn months_change_on_the_wall_clock_of_the_company() {
    let policy = Policy::new(14, 14, 60);
    let table = [
        ("2026-10-31T15:59:59.999Z", "2025-08"),
        ("2026-10-31T16:00:00.000Z", "2025-09"),
        ("2026-11-30T15:59:59.999Z", "2025-09"),
    ];
    for (now, expected) in table {
        let before = policy.before(Kept::Evidence, at(now), Shanghai, None).secs();
        assert_eq!(before, month(expected).period(Shanghai).from - wall::MAX_OFFSET_S, "{now}");
    }
}

#[test]
fn a_clock_is_believed_once_servers_have_received_by_it_for_two_days() {
    const DAY: i64 = 86_400_000;
    let now = at("2026-11-22T10:00:00.000Z");
    let alive = |spans: &[(i64, i64)]| -> Vec<LivenessRow> {
        let row = |&(from, to): &(i64, i64)| LivenessRow {
            server: Uuid::from_u128(1),
            from: now.plus_ms(from),
            to: now.plus_ms(to),
        };
        spans.iter().map(row).collect()
    };
    let table: &[(&[(i64, i64)], bool)] = &[
        (&[], false),
        (&[(-2 * DAY, 0)], true),
        (&[(-2 * DAY + 1_000, 0)], false),
        // Two servers at one time are one.
        (&[(-DAY, 0), (-DAY, -1_000)], false),
        (&[(-20 * DAY, -19 * DAY), (-DAY, 0)], true),
        // It jumped by ten years an hour ago, forwards or back.
        (&[(-3_900 * DAY, -3_650 * DAY), (-3_600_000, 0)], false),
        (&[(3_400 * DAY, 3_650 * DAY), (-3_600_000, 0)], false),
    ];
    for (spans, believed) in table {
        assert_eq!(is_clock_believed(&alive(spans), now), *believed, "{spans:?}");
    }
}
