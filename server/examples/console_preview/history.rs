//! Months behind a kiosk: mostly well, with outages of every cause, a few bad days and a server that was away.
use kioskwatch_domain::change::{Change, EvidenceRow, EvidenceSource, EvidenceState, LivenessRow};
use kioskwatch_proto::{KioskId, Timestamp};
use uuid::Uuid;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Since when kiosks stand there.
pub(crate) const DAYS: i64 = 200;
/// Where [`super::fleet`] draws the last day by hand.
const LAST: i64 = 20 * HOUR;

/// How a day may go wrong: how long, in what state, why.
const OUTAGES: [(i64, EvidenceState, &str); 6] = [
    (12 * MINUTE, EvidenceState::Oos, "software"),
    (47 * MINUTE, EvidenceState::Oos, "hardware"),
    (3 * HOUR, EvidenceState::Off, "power"),
    (95 * MINUTE, EvidenceState::Degraded, "supplies"),
    (25 * MINUTE, EvidenceState::Oos, "host"),
    (9 * HOUR, EvidenceState::Off, "power"),
];

/// The same numbers for the same kiosk and day, every time.
fn dice(kiosk: &KioskId, day: i64) -> i64 {
    let seed = kiosk.as_str().bytes().fold(7_i64, |sum, byte| (sum * 131 + i64::from(byte)) % 1_000_003);
    (seed * 7_919 + day * 104_729).rem_euclid(1_000)
}

pub(crate) fn add(changes: &mut Vec<Change>, now: Timestamp, kiosk: &KioskId) {
    for day in 1..=DAYS {
        let (from, to) = (-day * DAY - LAST + DAY, -(day - 1) * DAY - LAST + DAY);
        let (from, to) = (from.min(-LAST), to.min(-LAST));
        let dice = dice(kiosk, day);
        let outage = (dice < 90).then(|| OUTAGES[usize::try_from(dice % 6).unwrap_or(0)]);
        let Some((length, state, cause)) = outage.filter(|_| from < to) else {
            span(changes, now, kiosk, (from, to), EvidenceState::Full, None);
            continue;
        };
        let begins = from + (dice * 7 % 14) * HOUR;
        // Nobody says anything for a while after a power cut.
        let silent = if cause == "power" && dice % 2 == 0 { 20 * MINUTE } else { 0 };
        span(changes, now, kiosk, (from, begins), EvidenceState::Full, None);
        span(changes, now, kiosk, (begins, begins + length), state, Some(cause));
        span(changes, now, kiosk, (begins + length + silent, to), EvidenceState::Full, None);
    }
}

fn span(
    changes: &mut Vec<Change>,
    now: Timestamp,
    kiosk: &KioskId,
    (from, to): (i64, i64),
    state: EvidenceState,
    cause: Option<&str>,
) {
    if from < to {
        changes.push(Change::Evidence(EvidenceRow {
            kiosk: kiosk.clone(),
            source: if cause.is_some() { EvidenceSource::Journal } else { EvidenceSource::Live },
            from: now.plus_ms(from),
            to: now.plus_ms(to),
            state,
            cause: cause.map(Into::into),
            received_at: None,
            epoch: None,
            seq: None,
            interval_s: None,
        }));
    }
}

/// When the server was there: away for two hours nine days ago.
pub(crate) fn liveness(now: Timestamp) -> [Change; 2] {
    let row = |from: i64, to: i64| {
        Change::Liveness(LivenessRow {
            server: Uuid::from_u128(1),
            from: now.plus_ms(from),
            to: now.plus_ms(to),
        })
    };
    [row(-(DAYS + 1) * DAY, -9 * DAY), row(-9 * DAY + 2 * HOUR, HOUR)]
}
