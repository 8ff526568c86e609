//! Waiting for a fact instead of for time.
use std::time::Duration;

use tokio::time::Instant;

/// How often a fact is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The fact did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:?} for {what}; last seen: {last}")]
pub struct NeverCame {
    pub what: String,
    pub waited: Duration,
    pub last: String,
}

/// Looks until `look` gives a value or the time is over; the `Err` of the last look says what was seen instead.
pub async fn wait_for<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T, NeverCame>
where
    F: Future<Output = Result<T, String>>,
{
    let until = tokio::time::Instant::now() + limit;
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() >= until => {
                return Err(NeverCame { what: what.to_owned(), waited: limit, last });
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// The same for tests: panics with what was waited for and what was seen instead.
#[track_caller]
pub fn wait_until<'a, T: 'a, F>(
    what: &'a str,
    limit: Duration,
    look: impl FnMut() -> F + 'a,
) -> impl Future<Output = T> + 'a
where
    F: Future<Output = Result<T, String>> + 'a,
{
    let place = std::panic::Location::caller();
    async move {
        match wait_for(what, limit, look).await {
            Ok(value) => value,
            Err(error) => panic!("{place}: {error}"),
        }
    }
}
