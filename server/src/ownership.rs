//! Which server owns the fleet. Several may be started on one PostgreSQL; one does, the others wait to take over, and every
//! commit checks that its server still does.
use std::{sync::Arc, time::Duration};

use kioskwatch_proto::Timestamp;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    clock::{Clock, Stopwatch},
    store::{Store, StoreError},
};

/// One server owns the whole fleet for now.
const PARTITION: &str = "fleet";
const LEASE: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The end of a lease that nobody has any more.
pub(crate) const GIVEN_BACK: Timestamp = Timestamp(0);

/// What the lease of another server said, and since when by a clock that never jumps. Its end is an instant of the
/// owner's wall clock, which may have been years ahead when it died.
#[derive(Debug, Default)]
struct Watched(Option<(Uuid, Timestamp, Duration)>);

impl Watched {
    /// Up to which end a lease is taken from whoever has it: this one's, once it was not renewed for as long as it lasts.
    /// One that is renewed meanwhile ends later, and is not taken.
    fn lapsed(&mut self, owner: Uuid, until: Timestamp, now: Duration) -> Timestamp {
        let seen = self.0.get_or_insert((owner, until, now));
        if (seen.0, seen.1) != (owner, until) {
            *seen = (owner, until, now);
        }
        if now.saturating_sub(seen.2) >= LEASE { until } else { GIVEN_BACK }
    }
}

/// Waits until this server owns the fleet, and keeps it. A server that was killed takes its own lease again at once: it
/// is known by its data directory.
pub(crate) async fn hold_lease(
    store: &Store,
    server: Uuid,
    clock: &Arc<Clock>,
) -> Result<JoinHandle<()>, StoreError> {
    let until = |clock: &Clock| clock.now().plus_ms(LEASE.as_millis() as i64);
    let (waiting, mut watched) = (Stopwatch::start(), Watched::default());
    let mut lapsed = GIVEN_BACK;
    let lease = loop {
        match store.take_lease(PARTITION, server, lapsed, until(clock)).await {
            Ok(lease) => break lease,
            Err(StoreError::LeaseHeld { owner, until, .. }) => {
                lapsed = watched.lapsed(owner, until, waiting.elapsed());
                tracing::info!(%owner, %until, "another server owns the fleet; waiting to take over");
                tokio::time::sleep(ASK_EVERY).await;
            }
            Err(error) => return Err(error),
        }
    };
    tracing::info!(fence = lease.fence, "this server owns the fleet");
    let (store, clock) = (store.clone(), Arc::clone(clock));
    Ok(tokio::spawn(async move {
        let mut tick = tokio::time::interval(RENEW_EVERY);
        loop {
            tick.tick().await;
            if let Err(error) = store.renew_lease(until(&clock)).await {
                tracing::warn!(%error, "the lease was not renewed");
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_nobody_renews_lapses_whatever_the_clock_of_its_owner_said() {
        let (mut watched, ours, theirs) = (Watched::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        let years_ahead = Timestamp(i64::MAX / 2);
        for (owner, until, second, lapsed) in [
            (theirs, years_ahead, 0, false),
            (theirs, years_ahead, 14, false),
            // It lives.
            (theirs, years_ahead.plus_ms(5_000), 15, false),
            (theirs, years_ahead.plus_ms(5_000), 29, false),
            (theirs, years_ahead.plus_ms(5_000), 30, true),
            // Another one was faster.
            (ours, years_ahead.plus_ms(5_000), 31, false),
            (ours, years_ahead.plus_ms(5_000), 46, true),
        ] {
            let found = watched.lapsed(owner, until, Duration::from_secs(second));
            assert_eq!(found, if lapsed { until } else { GIVEN_BACK }, "after {second} s");
        }
    }

    #[tokio::test]
    async fn a_lease_that_ends_in_years_is_taken_by_its_end_unless_it_was_renewed_since() {
        let folder = crate::app::testing::Folder::new();
        let store = Store::open(&folder.database()).await.unwrap();
        let clock = Arc::new(Clock::start());
        let years_ahead = clock.now().plus_ms(10 * 365 * 86_400_000);
        store.take_lease(PARTITION, Uuid::from_u128(1), clock.now(), years_ahead).await.unwrap();
        let seen = store.take_lease(PARTITION, Uuid::from_u128(2), clock.now(), years_ahead).await;
        let Err(StoreError::LeaseHeld { until, .. }) = seen else { panic!("{seen:?}") };
        assert_eq!(until, years_ahead);
        let renewed = years_ahead.plus_ms(5_000);
        store.take_lease(PARTITION, Uuid::from_u128(1), clock.now(), renewed).await.unwrap();
        let late = store.take_lease(PARTITION, Uuid::from_u128(2), until, renewed).await;
        assert!(matches!(late, Err(StoreError::LeaseHeld { .. })), "it was renewed in between: {late:?}");
        let end = clock.now().plus_ms(15_000);
        store.take_lease(PARTITION, Uuid::from_u128(2), renewed, end).await.unwrap();
    }
}
