//! Looks of several statements and commits of the bookkeeper, kept apart as a rule: each waits for the other for a while
//! and then goes on. A look waits only for a commit that is under way, not for one that waits itself.
use std::time::Duration;

use tokio::{sync::watch, time::timeout};

/// A step of the bookkeeper waits for looks so long at most: whoever decides waits for it.
const LOOKED_WITHIN: Duration = Duration::from_secs(2);
/// A look waits for a commit so long at most: somebody waits for it, and a commit may take longer.
const BOOKED_WITHIN: Duration = Duration::from_millis(500);

/// Who is at it.
#[derive(Debug, Default)]
struct AtIt {
    looks: usize,
    bookings: usize,
}

#[derive(Debug, Default)]
pub(super) struct Looks(watch::Sender<AtIt>);

/// A look under way, until it is dropped.
pub(super) struct Looking<'a>(&'a Looks);

/// A commit under way, until it is dropped.
pub(super) struct Booking<'a> {
    looks: &'a Looks,
    /// No look was under way any more when it began.
    is_alone: bool,
}

impl Looks {
    pub(super) async fn look(&self) -> Looking<'_> {
        if !self.enter(BOOKED_WITHIN, |now| now.bookings == 0, |now| now.looks += 1).await {
            tracing::debug!("the books are written for long: a page is read beside it");
        }
        Looking(self)
    }

    pub(super) async fn booking(&self) -> Booking<'_> {
        let is_alone = self.enter(LOOKED_WITHIN, |now| now.looks == 0, |now| now.bookings += 1).await;
        Booking { looks: self, is_alone }
    }

    /// Enters as soon as that may be, or when the time is over; says whether it was in time. Nobody comes between the look
    /// whether it may be and the entry.
    async fn enter(&self, within: Duration, may: impl Fn(&AtIt) -> bool, enter: impl Fn(&mut AtIt)) -> bool {
        let enters = |now: &mut AtIt| {
            let may = may(now);
            if may {
                enter(now);
            }
            may
        };
        let mut changes = self.0.subscribe();
        let entered = async {
            while !self.0.send_if_modified(enters) {
                // The sender is ours and lives as long.
                let _ = changes.changed().await;
            }
        };
        let in_time = timeout(within, entered).await.is_ok();
        if !in_time {
            self.0.send_modify(&enter);
        }
        in_time
    }

    /// Somebody waits for somebody else.
    #[cfg(test)]
    pub(super) fn is_anybody_waiting(&self) -> bool {
        self.0.receiver_count() > 0
    }
}

impl Booking<'_> {
    pub(super) const fn is_alone(&self) -> bool {
        self.is_alone
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|now| now.looks -= 1);
    }
}

impl Drop for Booking<'_> {
    fn drop(&mut self) {
        self.looks.0.send_modify(|now| now.bookings -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_look_waits_for_a_commit_under_way_and_not_for_one_that_waits_itself() {
        let looks = Looks::default();
        let first = looks.look().await;
        let mut step = Box::pin(looks.booking());
        assert!(futures_util::poll!(&mut step).is_pending());
        let second = looks.look().now_or_never().expect("nobody books yet");
        drop(first);
        assert!(futures_util::poll!(&mut step).is_pending(), "it waits for the second too");
        drop(second);
        let step = step.await;
        assert!(step.is_alone());
        assert!(looks.look().now_or_never().is_none());
        drop(step);
        assert!(looks.look().now_or_never().is_some());
    }
}
