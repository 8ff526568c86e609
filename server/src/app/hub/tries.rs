//! How often one commit is tried, and when cutting its plan into pieces may help. Pure.
use std::time::Duration;

use crate::store::StoreError;

/// A commit that did not end in time, by our clock or the database's, this often in a row is too large, or the database too slow for it.
const STALLS_BEFORE_PIECES: u32 = 2;
/// Pauses between tries while the database is away.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// What to do after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The same again, after this pause.
    Again(Duration),
    /// Ask the store whether one of the tries arrived after all. Only when none did may other changes come in
    /// place of these: they would be stored beside them.
    Settle(Duration),
    /// It will never be stored.
    Never,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tries {
    /// The plan came from several things and can be made smaller.
    divisible: bool,
    stalls: u32,
    pause: Duration,
}

impl Tries {
    pub(super) fn new(divisible: bool) -> Self {
        Self { divisible, stalls: 0, pause: RETRY_FIRST }
    }

    pub(super) fn failed(&mut self, error: &StoreError) -> Next {
        if !error.is_retryable() {
            return Next::Never;
        }
        self.stalls = if error.is_overrun() { self.stalls + 1 } else { 0 };
        let pause = self.pause;
        self.pause = (pause * 2).min(RETRY_LAST);
        if self.divisible && self.stalls >= STALLS_BEFORE_PIECES {
            Next::Settle(pause)
        } else {
            Next::Again(pause)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stalled() -> StoreError {
        StoreError::Stalled { statement: "commit", limit_ms: 1 }
    }

    fn away() -> StoreError {
        StoreError::Unavailable { statement: "commit", source: sqlx::Error::PoolTimedOut }
    }

    #[test]
    fn a_plan_that_stalls_is_never_cut_before_it_is_known_where_it_stands() {
        let mut tries = Tries::new(true);
        assert_eq!(tries.failed(&stalled()), Next::Again(RETRY_FIRST));
        for _ in 0..3 {
            assert!(matches!(tries.failed(&stalled()), Next::Settle(_)));
        }
        assert!(matches!(tries.failed(&away()), Next::Again(_)), "it is not the size");
        assert!(matches!(tries.failed(&stalled()), Next::Again(_)), "in a row");
    }

    #[test]
    fn a_plan_that_the_database_ends_is_as_good_as_one_that_stalls() {
        let cancelled = || StoreError::Cancelled { statement: "commit", source: sqlx::Error::PoolTimedOut };
        let mut tries = Tries::new(true);
        assert_eq!(tries.failed(&cancelled()), Next::Again(RETRY_FIRST));
        assert!(matches!(tries.failed(&stalled()), Next::Settle(_)));
        assert!(matches!(tries.failed(&cancelled()), Next::Settle(_)));
    }

    #[test]
    fn what_cannot_be_cut_is_tried_for_ever_and_what_is_refused_never_again() {
        let mut tries = Tries::new(false);
        let pauses: Vec<_> = (0..10).map(|_| tries.failed(&stalled())).collect();
        assert_eq!(pauses[0], Next::Again(RETRY_FIRST));
        assert_eq!(pauses[9], Next::Again(RETRY_LAST));
        let full = StoreError::TooLarge { table: "t", column: "c", value: u64::MAX };
        assert_eq!(tries.failed(&full), Next::Never);
    }
}
