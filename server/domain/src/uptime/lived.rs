//! Whether our clock is behind: by when servers of the same database were alive.
//!
//! What is said of sites, kiosks and calendars is known from the instant on in which it is said. A server whose clock is
//! months behind would write over what was known since, and signed months would be explained by what nobody knew. A clock
//! that was ahead for a while leaves life behind it too, so which of the two is wrong is told by where most of it lies; and at
//! once where the kiosks that are heard read our time on clocks of their own.
use kioskwatch_proto::Timestamp;

use super::rows::span;
use crate::change::LivenessRow;
use crate::interval::{BEGINNING, END, Interval, IntervalSet};

/// A clock that is less behind writes behind what was known ([`super::known::behind`]), and nothing over it.
const BEHIND_S: i64 = 86_400;

/// Whoever lived for less beyond that has signed nothing there.
const LIVED_S: i64 = 3_600;

/// Within this a kiosk reads the same as we do: nobody who is behind by so little is held up.
pub const SAME_CLOCK_MS: i64 = 3_600_000;

/// So many clocks do not go wrong alike; where a server is the clock of its kiosks they say nothing.
const WITNESSES: u64 = 3;

/// What kiosks that were heard lately, by the clock that shows now, read on their own: how many about the same, and how
/// many something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Witnesses {
    pub agree: u64,
    pub differ: u64,
}

impl Witnesses {
    const fn vouch(self) -> bool {
        self.agree >= WITNESSES && self.agree > 2 * self.differ
    }
}

/// The newest instant at which a server was alive, if the clock that shows `now` is behind it: if servers lived right
/// after `now`, or longer behind it than before, and kiosks do not vouch for it.
#[must_use]
pub fn behind(now: Timestamp, lived: &[LivenessRow], witnesses: Witnesses) -> Option<Timestamp> {
    let now = now.secs();
    let alive: IntervalSet = lived.iter().map(|row| span(row.from, Some(row.to))).collect();
    let within = |from: i64, to: i64| alive.clip(Interval::new(from, to)).length();
    let soon = now.saturating_add(BEHIND_S);
    let later = within(soon, END);
    let is_behind =
        !witnesses.vouch() && later > LIVED_S && (within(now, soon) > 0 || later > within(BEGINNING, now));
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
            let told =
                |agree, differ| behind(Timestamp(now * DAY), &lived(&spans), Witnesses { agree, differ });
            assert_eq!(told(0, 0), newest, "{why}");
            assert_eq!(told(2, 0), newest, "{why}, and two may be wrong alike");
            assert_eq!(told(4, 2), newest, "{why}, and kiosks disagree");
            assert_eq!(told(5, 2), None, "{why}, and most kiosks read the same");
        }
    }
}
