//! What time it is for the server: the wall clock of a kiosk may be anything.
use kioskwatch_proto::{Timestamp, limits::MAX_FUTURE_MS};

use crate::{drivers::Mono, input::Now};

/// With the server's own word the rest of the error is the message's way.
const ANCHORED_SLACK_MS: i64 = 5_000;
/// A word this far ahead of what was known is doubtful: a forgery, or a server whose clock is wrong.
const DOUBTFUL_MS: i64 = 60_000;
/// A doubtful word that nobody contradicts for this long is true: longer than any command lives that moves
/// something.
const BELIEVED_AFTER_MS: u64 = 10 * 60 * 1_000;

/// The server's word, carried on by the clock that never jumps; the wall clock until there is one.
///
/// Acknowledgements are not signed. Whoever can send one may let commands expire early, but never make one
/// last longer: the time does not go back, and what a signed command says has passed has passed, unless a later signed
/// command takes it back. And not for ever: a word far ahead counts at once, but the next one that does not bear it out takes it back. What was
/// believed goes back only to what the server and our own wall clock, which no message moves, last agreed upon.
#[derive(Debug, Default)]
pub(crate) struct ServerTime {
    anchor: Option<Told>,
    /// The last word that our own wall clock bore out.
    agreed: Option<Told>,
    /// A word far ahead of the anchor, and since when it stands.
    doubtful: Option<(Told, Mono)>,
    /// What verified commands prove at least.
    floor: Option<Proof>,
}

/// Verified commands come in the order in which they were issued: their counters rise.
#[derive(Debug, Clone, Copy)]
struct Proof {
    /// Of the last one.
    issued_at: Timestamp,
    /// It is at least that late.
    time: Told,
}

/// A time, and when we knew it.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Timestamp,
    then: Mono,
}

impl Told {
    fn carried(self, now: Mono) -> Timestamp {
        self.at.plus_ms(i64::try_from(now.saturating_sub(self.then)).unwrap_or(i64::MAX))
    }

    fn bears_out(self, other: Timestamp) -> bool {
        self.at.since(other).abs() <= DOUBTFUL_MS
    }

    /// The later of the two.
    fn or_later(self, known: Option<Self>) -> Self {
        let at = known.map_or(self.at, |known| known.carried(self.then).max(self.at));
        Self { at, ..self }
    }
}

impl ServerTime {
    pub(crate) fn heard(&mut self, server: Timestamp, now: Now) {
        let word = Told { at: server, then: now.mono };
        let known = self.anchor.map_or(now.wall, |anchor| anchor.carried(now.mono));
        let ahead_ms = server.since(known);
        if ahead_ms > DOUBTFUL_MS {
            return self.doubt(word);
        }
        if ahead_ms >= -ANCHORED_SLACK_MS || self.anchor.is_none() {
            self.anchor = Some(word.or_later(self.anchor));
            if word.bears_out(now.wall) {
                self.agreed = self.anchor;
            }
        } else if self.agreed.is_some_and(|agreed| word.bears_out(agreed.carried(now.mono))) {
            self.anchor = Some(word);
        } else {
            return;
        }
        self.doubtful = None;
    }

    fn doubt(&mut self, word: Told) {
        let since = match self.doubtful {
            Some((told, since)) if word.bears_out(told.carried(word.then)) => since,
            _ => word.then,
        };
        if word.then.saturating_sub(since) >= BELIEVED_AFTER_MS {
            (self.anchor, self.doubtful) = (Some(word), None);
        } else {
            self.doubtful = Some((word, since));
        }
    }

    /// A verified command was issued at that time, after all that were verified before: it is at least that late.
    ///
    /// One that was issued later and says an earlier time is the server's signed word that its clock was set back. What
    /// was proven by the clock of before is then none of its times; else nothing would run here until that time comes.
    pub(crate) fn proven(&mut self, issued_at: Timestamp, now: Mono) {
        let word = Told { at: issued_at, then: now };
        let before = self.floor.filter(|before| before.issued_at <= issued_at);
        self.floor = Some(Proof { issued_at, time: word.or_later(before.map(|before| before.time)) });
    }

    pub(crate) fn at(&self, now: Now) -> Timestamp {
        let told = self.anchor.map_or(now.wall, |anchor| anchor.carried(now.mono));
        let (doubtful, proven) = (self.doubtful.map(|(word, _)| word), self.floor.map(|floor| floor.time));
        [doubtful, proven].into_iter().flatten().map(|word| word.carried(now.mono)).fold(told, Ord::max)
    }

    /// The time that the server and our own wall clock, which no message moves, agree upon.
    pub(crate) fn agreed(&self, now: Now) -> Option<Timestamp> {
        let at = self.at(now);
        self.agreed
            .is_some_and(|agreed| agreed.carried(now.mono).since(at).abs() <= DOUBTFUL_MS)
            .then_some(at)
    }

    /// Whether the server has said anything; until then the time is our own wall clock's, which may be anything.
    pub(crate) fn is_told(&self) -> bool {
        self.anchor.is_some() || self.doubtful.is_some()
    }

    /// How far a time that should have come may still lie ahead.
    pub(crate) fn slack_ms(&self) -> i64 {
        if self.is_told() { ANCHORED_SLACK_MS } else { MAX_FUTURE_MS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const YEAR: i64 = 365 * 24 * 60 * MINUTE;
    /// When the server's time is zero for these tests.
    const START: i64 = 1_795_399_200_000;

    /// A kiosk whose own clock is this much ahead of the server's, after a quarter of an hour of true words.
    struct Bench {
        time: ServerTime,
        ahead_ms: i64,
        passed_ms: i64,
    }

    impl Bench {
        fn new(ahead_ms: i64) -> Self {
            let mut bench = Self { time: ServerTime::default(), ahead_ms, passed_ms: 0 };
            for _ in 0..15 {
                bench.hear(0);
                bench.pass(MINUTE);
            }
            bench
        }

        fn now(&self) -> Now {
            let mono = 1_000 + u64::try_from(self.passed_ms).unwrap();
            Now { wall: Timestamp(START + self.passed_ms + self.ahead_ms), mono }
        }

        fn pass(&mut self, ms: i64) {
            self.passed_ms += ms;
        }

        /// A word that is this much ahead of the truth.
        fn hear(&mut self, ahead_ms: i64) {
            self.time.heard(Timestamp(START + self.passed_ms + ahead_ms), self.now());
        }

        /// How much ahead of the truth the kiosk thinks it is.
        fn error(&self) -> i64 {
            self.time.at(self.now()).since(Timestamp(START + self.passed_ms))
        }
    }

    #[test]
    fn an_earlier_word_does_not_take_the_time_back() {
        for ahead in [-YEAR, -3 * MINUTE, 3 * MINUTE, YEAR] {
            let mut bench = Bench::new(ahead);
            for back in [1, 4_000, 10_000, MINUTE, 10 * MINUTE, YEAR] {
                bench.pass(30_000);
                bench.hear(-back);
                assert_eq!(bench.error(), 0, "own clock {ahead}, word {back} back");
            }
        }
    }

    #[test]
    fn a_word_from_the_far_future_counts_until_the_next_true_one() {
        for ahead in [-YEAR, 0, YEAR] {
            let mut bench = Bench::new(ahead);
            for forged in [2 * MINUTE, 60 * MINUTE, YEAR, 10 * YEAR] {
                bench.pass(1_000);
                bench.hear(forged);
                assert_eq!(bench.error(), forged, "nothing outlives its time");
                bench.pass(1_000);
                bench.hear(0);
                assert_eq!(bench.error(), 0, "own clock {ahead}, forged {forged}");
            }
        }
    }

    #[test]
    fn a_server_whose_clock_was_set_forward_is_followed_and_so_is_its_return() {
        let mut bench = Bench::new(0);
        for _ in 0..25 {
            bench.pass(30_000);
            bench.hear(YEAR);
            assert_eq!(bench.error(), YEAR);
        }
        // It is believed by now; our own clock agrees with what the server says since it was set right.
        bench.pass(30_000);
        bench.hear(0);
        assert_eq!(bench.error(), 0);
        // A clock of our own that is wrong is no witness: the time stays where it was proven to be.
        let mut alone = Bench::new(-YEAR);
        for _ in 0..25 {
            alone.pass(30_000);
            alone.hear(YEAR);
        }
        for back in [0, -YEAR] {
            alone.hear(back);
            assert_eq!(alone.error(), YEAR);
        }
    }

    #[test]
    fn one_forged_word_at_the_very_beginning_is_taken_back_by_an_own_clock_that_is_right() {
        let mut time = ServerTime::default();
        let at = |ms: i64| Now { wall: Timestamp(START + ms), mono: u64::try_from(ms).unwrap() };
        time.heard(Timestamp(START + YEAR), at(1_000));
        time.heard(Timestamp(START + 2_000), at(2_000));
        assert_eq!(time.at(at(2_000)), Timestamp(START + 2_000));
    }

    #[test]
    fn the_time_is_never_before_the_last_verified_command() {
        let mut time = ServerTime::default();
        time.proven(Timestamp(1_000_000), 1_000);
        assert_eq!(time.at(Now { wall: Timestamp(0), mono: 2_000 }), Timestamp(1_001_000));
        time.heard(Timestamp(5), Now { wall: Timestamp(0), mono: 2_000 });
        assert_eq!(time.at(Now { wall: Timestamp(0), mono: 3_000 }), Timestamp(1_002_000));
        // A later command that was long on its way.
        time.proven(Timestamp(1_000_500), 3_000);
        assert_eq!(time.at(Now { wall: Timestamp(0), mono: 3_000 }), Timestamp(1_002_000));
    }

    #[test]
    fn a_later_command_with_an_earlier_time_takes_back_what_a_server_proved_whose_clock_was_wrong() {
        for ahead in [0, YEAR] {
            let mut bench = Bench::new(ahead);
            let prove = |bench: &mut Bench, ahead_ms: i64| {
                let now = bench.now();
                bench.time.proven(Timestamp(START + bench.passed_ms + ahead_ms), now.mono);
            };
            prove(&mut bench, 10 * YEAR);
            assert_eq!(bench.error(), 10 * YEAR);
            bench.pass(MINUTE);
            bench.hear(0);
            assert_eq!(bench.error(), 10 * YEAR, "a word that nobody signed takes back nothing");
            prove(&mut bench, 0);
            assert_eq!(bench.error(), 0, "own clock {ahead}");
            // One that somebody held back is as late as everything else says.
            bench.pass(60 * MINUTE);
            prove(&mut bench, -60 * MINUTE);
            assert_eq!(bench.error(), 0, "own clock {ahead}");
        }
    }

    #[test]
    fn a_jumping_wall_clock_does_not_move_the_servers_time() {
        let mut time = ServerTime::default();
        assert_eq!(time.at(Now { wall: Timestamp(5_000), mono: 1 }), Timestamp(5_000));
        time.heard(Timestamp(1_000_000), Now { wall: Timestamp(999_000), mono: 1_000 });
        for wall in [0, 5_000_000, i64::MAX] {
            assert_eq!(time.at(Now { wall: Timestamp(wall), mono: 3_000 }), Timestamp(1_002_000));
        }
    }
}
