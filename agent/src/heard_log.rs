//! The log of a test, line by line as it is written.
use tokio::sync::mpsc;
use tracing::{Level, subscriber::DefaultGuard};

#[derive(Clone)]
struct Lines(mpsc::UnboundedSender<String>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        drop(self.0.send(String::from_utf8_lossy(bytes).into_owned()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What this thread logs from now on, as long as the guard is held.
pub(crate) fn heard_log(most: Level) -> (DefaultGuard, mpsc::UnboundedReceiver<String>) {
    let (sender, lines) = mpsc::unbounded_channel();
    let log = Lines(sender);
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(most);
    let subscriber = subscriber.with_writer(move || log.clone()).finish();
    (tracing::subscriber::set_default(subscriber), lines)
}
