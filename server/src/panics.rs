//! A part of the server that panics: what it said, and who hears of it. Nothing goes on half-dead: a request
//! is answered, a connection is made anew, and any other long-lived task that ends takes the server with it.
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures_util::FutureExt as _;
use tokio::task::JoinError;

/// What the panic said.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Runs to its end or to its panic. What it shares with others must be right after every step, as with locks
/// that nobody poisons.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| text_of(&*panic).to_owned())
}

/// The same for what waits for nothing.
pub(crate) fn caught_at_once<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| text_of(&*panic).to_owned())
}

/// How a task ended that was to run as long as the server, in words for its last line.
pub(crate) fn how_it_ended<T: std::fmt::Debug>(ended: Result<T, JoinError>) -> String {
    match ended {
        Ok(value) => format!("ended with {value:?}"),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => format!("panicked: {}", text_of(&*panic)),
            Err(error) => error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_in_its_own_words() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        let failed: Result<(), _> = caught(async { panic!("page {} is torn", 3) }).await;
        assert_eq!(failed, Err("page 3 is torn".to_owned()));
        let failed: Result<(), _> = caught_at_once(|| panic!("{} bytes", 3));
        assert_eq!(failed, Err("3 bytes".to_owned()));
        let task = tokio::spawn(async { panic!("no paper") });
        assert_eq!(how_it_ended::<()>(task.await), "panicked: no paper");
        assert_eq!(how_it_ended(tokio::spawn(async { 1 }).await), "ended with 1");
    }
}
