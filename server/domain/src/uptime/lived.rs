//! Whether our clock is behind: by when servers of the same database were alive.
//!
//! What is said of sites, kiosks and calendars is known from the instant on in which it is said. A server whose clock is
//! months behind would write over what was known since, and signed months would be explained by what nobody knew. A clock
//! that was ahead for a while leaves life behind it too, so which of the two is wrong is told by where most of it lies.
use kioskwatch_proto::Timestamp;

use super::rows::span;
use crate::change::LivenessRow;
use crate::interval::{BEGINNING, END, Interval, IntervalSet};

/// A clock that is less behind writes behind what was known ([`super::known::behind`]), and nothing over it.
const BEHIND_S: i64 = 86_400;

/// Whoever lived for less beyond that has signed nothing there.
const LIVED_S: i64 = 3_600;

/// The newest instant at which a server was alive, if the clock that shows `now` is behind it: if servers lived right
/// after `now`, or longer behind it than before.
#[must_use]
pub fn behind(now: Timestamp, lived: &[LivenessRow]) -> Option<Timestamp> {
    let now = now.secs();
    let alive: IntervalSet = lived.iter().map(|row| span(row.from, Some(row.to))).collect();
    let within = |from: i64, to: i64| alive.clip(Interval::new(from, to)).length();
    let soon = now.saturating_add(BEHIND_S);
    let later = within(soon, END);
    let is_behind = later > LIVED_S && (within(now, soon) > 0 || later > within(BEGINNING, now));
    lived.iter().map(|row| row.to).max().filter(|_| is_behind)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn the_clock_is_behind_where_servers_lived_right_after_it_or_longer_than_before_it() {
        let lived = |spans: &[(i64, i64)]| -> Vec<LivenessRow> {
            let row = |(from, to): &(i64, i64)| LivenessRow {
                server: Uuid::nil(),
                from: Timestamp(*from),
                to: Timestamp(*to),
            };
            spans.iter().map(row).collect()
        };
        let hour = DAY / 24;
        for (now, spans, is_behind, why) in [
            (400, vec![(100 * DAY, 400 * DAY)], false, "it goes on where the last one ended"),
            (401, vec![(100 * DAY, 400 * DAY)], false, "it was off for a day"),
            (
                399,
                vec![(100 * DAY, 400 * DAY)],
                false,
                "by a day: what it says is noted behind what was known",
            ),
            (398, vec![(100 * DAY, 400 * DAY)], true, "by more"),
            (0, vec![(100 * DAY, 400 * DAY)], true, "it lost its battery"),
            (1, vec![(0, DAY), (100 * DAY, 400 * DAY)], true, "and did before, for a day"),
            (
                20,
                vec![(0, 20 * DAY), (9_000 * DAY, 9_002 * DAY)],
                false,
                "the one before was ahead for two days",
            ),
            (20, vec![(9_000 * DAY, 9_002 * DAY)], true, "nobody knows yet which of them is wrong"),
            (20, vec![(17 * DAY, 20 * DAY), (9_000 * DAY, 9_002 * DAY)], false, "by now it is known"),
            (20, vec![(9_000 * DAY, 9_000 * DAY + hour)], false, "nobody signed anything in an hour"),
            (20, vec![], false, "there was none"),
        ] {
            let newest = spans.iter().map(|(_, to)| Timestamp(*to)).max().filter(|_| is_behind);
            assert_eq!(behind(Timestamp(now * DAY), &lived(&spans)), newest, "{why}");
        }
    }
}
