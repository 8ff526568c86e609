//! How many heartbeats the broker drops on their way to us.
//!
//! What is sent at most once is dropped where we read slower than the broker is published to: Mosquitto keeps
//! `max_queued_messages` packets for a connection (a thousand, if nobody sets it) and throws away what comes then, whoever
//! sent it. So the flood of one kiosk costs the heartbeats of all, and nobody says so. While much is delivered we publish messages of our own among it; they are
//! numbered and come back in their order, so that one that is overtaken was dropped. Where none has ever come back, the
//! broker does not let us publish there, and nothing is known. Pure: `now` is an argument.
use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// One of ours goes among so many delivered messages, …
const AMONG: u32 = 256;
/// … and no oftener than this. While some are lost, as often as this in any case.
const EVERY: Duration = Duration::from_millis(100);
/// Who has not come back after this is lost, overtaken or not.
const OVERDUE: Duration = Duration::from_secs(5);
/// The last ones by which the share is judged: ten seconds of a loss.
const JUDGED: usize = 100;
/// A share that has changed is told no oftener than this.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Loss {
    next: u64,
    sent_at: Option<Instant>,
    /// One of ours has come back: the broker lets us publish.
    comes_back: bool,
    /// Messages of others since the last one of ours.
    delivered: u32,
    /// Sent and not come back, the oldest first.
    out: VecDeque<(u64, Instant)>,
    /// Of the last ones, the oldest first: was it lost?
    judged: VecDeque<bool>,
    lost: usize,
    told_per_mille: u16,
    told_at: Option<Instant>,
}

impl Loss {
    /// The payload of a message of ours that is published now.
    pub(super) fn send(&mut self, now: Instant) -> Vec<u8> {
        self.give_up_overdue(now);
        let number = self.next;
        self.next += 1;
        self.sent_at = Some(now);
        self.delivered = 0;
        self.out.push_back((number, now));
        number.to_be_bytes().to_vec()
    }

    /// One that could not be sent proves nothing.
    pub(super) fn unsent(&mut self) {
        self.out.pop_back();
    }

    /// Somebody else's message was delivered.
    pub(super) fn delivered(&mut self) {
        self.delivered = self.delivered.saturating_add(1);
    }

    /// One of ours was delivered: those before it never will be.
    pub(super) fn came_back(&mut self, payload: &[u8]) {
        let Ok(number) = payload.try_into().map(u64::from_be_bytes) else { return };
        // Before the first one the broker may not have let us publish.
        let knew = std::mem::replace(&mut self.comes_back, true);
        while let Some(&(first, _)) = self.out.front()
            && first <= number
        {
            self.out.pop_front();
            if knew || first == number {
                self.judge(first != number);
            }
        }
    }

    fn give_up_overdue(&mut self, now: Instant) {
        while let Some(&(_, sent_at)) = self.out.front()
            && now.saturating_duration_since(sent_at) >= OVERDUE
        {
            self.out.pop_front();
            if self.comes_back {
                self.judge(true);
            }
        }
    }

    /// Of all that were judged none came back: nothing is known of what else is lost, or all of it is.
    pub(super) const fn is_total(&self) -> bool {
        self.lost == JUDGED
    }

    fn judge(&mut self, lost: bool) {
        if self.judged.len() == JUDGED && self.judged.pop_front() == Some(true) {
            self.lost -= 1;
        }
        self.judged.push_back(lost);
        self.lost += usize::from(lost);
    }

    fn loses(&self) -> bool {
        self.told_per_mille > 0 || self.lost > 0
    }

    /// Whether there is something to do, or will be soon. Asked after every message.
    pub(super) fn looks(&self) -> bool {
        self.delivered >= AMONG || self.loses()
    }

    /// When the next one of ours is due though nothing is delivered. `None`: nothing was lost lately.
    pub(super) fn due(&self) -> Option<Instant> {
        self.sent_at.filter(|_| self.loses()).map(|at| at + EVERY)
    }

    /// Whether one of ours is to be sent.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.looks() && self.sent_at.is_none_or(|at| now.saturating_duration_since(at) >= EVERY)
    }

    /// How many of a thousand are lost, when that is to be told: 0 once none of the last ones was.
    pub(super) fn news(&mut self, now: Instant) -> Option<u16> {
        self.give_up_overdue(now);
        let per_mille = self.per_mille();
        let has_changed = per_mille != self.told_per_mille;
        let was_just_told = self.told_at.is_some_and(|at| now.saturating_duration_since(at) < TOLD_EVERY);
        (has_changed && !was_just_told).then_some(per_mille)
    }

    /// It was.
    pub(super) fn told(&mut self, per_mille: u16, now: Instant) {
        (self.told_per_mille, self.told_at) = (per_mille, Some(now));
    }

    /// A few that all came back, or were all lost, prove neither: the share is taken to be nearer to one half.
    fn per_mille(&self) -> u16 {
        if self.lost == 0 {
            return 0;
        }
        u16::try_from((self.lost + 1) * 1_000 / (self.judged.len() + 2)).unwrap_or(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publishes so many, of which the broker drops those that `drops` says, and gives all that was told.
    fn publish(loss: &mut Loss, now: &mut Instant, count: u64, drops: impl Fn(u64) -> bool) -> Vec<u16> {
        let one = |n| {
            *now += EVERY;
            let payload = loss.send(*now);
            if !drops(n) {
                loss.came_back(&payload);
            }
            let per_mille = loss.news(*now)?;
            loss.told(per_mille, *now);
            Some(per_mille)
        };
        (0..count).filter_map(one).collect()
    }

    #[test]
    fn the_share_that_is_dropped_is_told() {
        for (one_in, share) in [(2, 500), (4, 250), (10, 100), (50, 20)] {
            let (mut loss, mut now) = (Loss::default(), Instant::now());
            let told = publish(&mut loss, &mut now, 300, |n| n % one_in == 1);
            let last = told.last().copied().unwrap();
            assert!(last.abs_diff(share) < 20, "{one_in}: {told:?}");
            assert!(told.len() <= 31, "no oftener than each second: {told:?}");
        }
    }

    #[test]
    fn where_all_come_back_nothing_is_told_and_none_is_sent_without_need() {
        let (mut loss, mut now) = (Loss::default(), Instant::now());
        assert!(publish(&mut loss, &mut now, 300, |_| false).is_empty());
        assert_eq!(loss.due(), None);
        now += EVERY;
        (1..AMONG).for_each(|_| loss.delivered());
        assert!(!loss.is_due(now));
        loss.delivered();
        assert!(loss.is_due(now) && !loss.is_due(now - Duration::from_millis(1)));
    }

    #[test]
    fn a_loss_is_told_at_once_and_its_end_when_none_of_the_last_ones_was_lost() {
        let (mut loss, mut now) = (Loss::default(), Instant::now());
        publish(&mut loss, &mut now, 10, |_| false);
        assert_eq!(publish(&mut loss, &mut now, 2, |n| n == 0), [142]);
        assert_eq!(loss.due(), Some(now + EVERY), "also when nothing else is delivered");
        assert!(!publish(&mut loss, &mut now, JUDGED as u64 - 2, |_| false).contains(&0));
        assert_eq!(publish(&mut loss, &mut now, TOLD_EVERY.as_millis() as u64 / 100, |_| false), [0]);
        assert_eq!(loss.due(), None);
    }

    #[test]
    fn where_none_comes_back_any_more_all_are_lost_and_where_none_ever_came_nothing_is_known() {
        for lets_us_publish in [true, false] {
            let (mut loss, mut now) = (Loss::default(), Instant::now());
            let told = publish(&mut loss, &mut now, 200, |n| n > 0 || !lets_us_publish);
            assert_eq!(told.last().is_some_and(|&per_mille| per_mille > 900), lets_us_publish, "{told:?}");
            assert_eq!(loss.is_total(), lets_us_publish);
            assert!(loss.out.len() <= 50, "{}", loss.out.len());
        }
    }

    #[test]
    fn those_that_were_sent_before_the_broker_let_us_publish_are_not_lost_and_not_kept() {
        let (mut loss, mut now) = (Loss::default(), Instant::now());
        for _ in 0..100 {
            now += OVERDUE;
            loss.send(now);
        }
        assert_eq!(loss.out.len(), 1, "a quiet connection keeps the last one");
        assert!(publish(&mut loss, &mut now, 100, |_| false).is_empty());
    }

    #[test]
    fn what_comes_twice_or_late_or_was_never_sent_changes_nothing_more() {
        let (mut loss, now) = (Loss::default(), Instant::now());
        let sound = loss.send(now);
        loss.came_back(&sound);
        let [first, second, third] = [(); 3].map(|()| loss.send(now));
        loss.came_back(&second);
        let judged = loss.judged.clone();
        assert_eq!(judged, [false, true, false]);
        for payload in [&first[..], &second, b"", b"nonsense of somebody"] {
            loss.came_back(payload);
        }
        assert_eq!(loss.judged, judged);
        loss.unsent();
        loss.came_back(&third);
        assert_eq!(loss.judged, judged);
    }
}
