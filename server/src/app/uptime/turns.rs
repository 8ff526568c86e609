//! One at a time counts a large group from its evidence; the others wait in line.
use tokio::sync::{Semaphore, SemaphorePermit};

use super::UptimeError;

/// Who counts more kiosks than this waits for a turn: it takes seconds, and a core of its own meanwhile.
const MANY: usize = 2_000;
/// Those who wait. Each keeps the names of its kiosks, some MiB of a large fleet.
const WAITING: usize = 3;

/// Whose question it is. Who goes away leaves the line, or ends what is being counted.
pub(super) struct Turns {
    line: Semaphore,
    counting: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self { line: Semaphore::new(WAITING + 1), counting: Semaphore::new(1) }
    }
}

/// Nobody else counts many while this is held.
#[derive(Debug)]
pub(super) struct Turn<'a>(#[expect(dead_code, reason = "held, not read")] Option<[SemaphorePermit<'a>; 2]>);

impl Turns {
    /// # Errors
    /// The line is full.
    pub(super) async fn begin(&self, kiosks: usize) -> Result<Turn<'_>, UptimeError> {
        if kiosks <= MANY {
            return Ok(Turn(None));
        }
        // They are never closed.
        let place = self.line.try_acquire().map_err(|_| UptimeError::Busy)?;
        let counting = self.counting.acquire().await.map_err(|_| UptimeError::Busy)?;
        Ok(Turn(Some([place, counting])))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn large_questions_wait_for_each_other_and_small_ones_for_nobody() {
        let turns = Turns::default();
        let first = turns.begin(MANY + 1).await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(turns.begin(MANY + 1))).collect();
        assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
        assert!(matches!(turns.begin(MANY + 1).await, Err(UptimeError::Busy)), "the line is full");
        assert!(timeout(Duration::ZERO, turns.begin(MANY)).await.unwrap().is_ok());
        // The first is done, the one behind it went away.
        drop(first);
        drop(waiting.remove(0));
        let second = waiting.remove(0).await.unwrap();
        assert!(waiting[0].as_mut().now_or_never().is_none());
        drop(second);
        waiting.remove(0).await.unwrap();
    }
}
