//! The local interface: HTTP and JSON on a Unix socket, for the kiosk application.
//!
//! Knows: the socket, requests and their bodies. Must not know: what a request means; each becomes one
//! [`Call`] to the loop, which answers. Who may connect is said by the socket's rights (0660).
mod answer;
mod holds;
mod impatient;
mod route;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use kioskwatch_agent_core::{effect::LocalRefusal, input::Local};
use kioskwatch_proto::local::{AgentStatus, HoldRequest};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, broadcast, mpsc, oneshot},
};

use self::impatient::Impatient;

/// Connections at one time: an application needs two or three.
pub const MAX_CONNECTIONS: usize = 16;
/// One body; the same limit as a message to the server.
pub const MAX_BODY: usize = kioskwatch_proto::limits::MAX_PAYLOAD_BYTES;
/// A request must be complete by then.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// An application that takes none of its answers for so long is cut off, and may come again.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Events a listener may be behind before it is cut off and comes again.
const HOLD_QUEUE: usize = 32;

/// One request for the loop, and where its answer goes.
#[derive(Debug)]
pub struct Call {
    pub request: Request,
    pub answer: oneshot::Sender<Answer>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    Input(Local),
    Status,
    /// The open requests to hold, for a listener that has just come.
    Holds,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Accepted, and on disk if it made a record.
    Done,
    Refused(LocalRefusal),
    /// It was accepted and could not be kept.
    NoRoom,
    Status(Box<AgentStatus>),
    Holds(Vec<HoldRequest>),
}

/// What listeners of `GET /v1/requests` are told.
#[derive(Debug, Clone, PartialEq)]
pub enum HoldEvent {
    Ask(HoldRequest),
    /// The application may go on.
    Over {
        request: String,
    },
}

/// Why the interface is not there.
#[derive(Debug, thiserror::Error)]
pub enum LocalApiError {
    #[error("another agent listens on {path}")]
    InUse { path: String },
    #[error("listening on {path}")]
    Listen { path: String, source: io::Error },
}

/// The handle: dropping it closes the socket.
#[derive(Debug)]
pub struct LocalApi {
    holds: broadcast::Sender<HoldEvent>,
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

/// What every connection needs.
struct Shared<E> {
    calls: mpsc::Sender<E>,
    wrap: fn(Call) -> E,
    holds: broadcast::Sender<HoldEvent>,
    /// See [`ANSWER_LIMIT`].
    answer_limit: Duration,
}

impl LocalApi {
    /// Binds the socket, in place of one that a dead agent left.
    pub fn start<E: Send + 'static>(
        path: &Path,
        calls: mpsc::Sender<E>,
        wrap: fn(Call) -> E,
    ) -> Result<Self, LocalApiError> {
        Self::start_with(path, calls, wrap, ANSWER_LIMIT)
    }

    fn start_with<E: Send + 'static>(
        path: &Path,
        calls: mpsc::Sender<E>,
        wrap: fn(Call) -> E,
        answer_limit: Duration,
    ) -> Result<Self, LocalApiError> {
        let listener = bind(path)?;
        let (holds, _) = broadcast::channel(HOLD_QUEUE);
        let shared = Arc::new(Shared { calls, wrap, holds: holds.clone(), answer_limit });
        let task = tokio::spawn(accept(listener, shared));
        Ok(Self { holds, path: path.to_owned(), task })
    }

    pub fn tell(&self, event: HoldEvent) {
        // Without a listener nobody is told; one that comes later asks for what is open.
        drop(self.holds.send(event));
    }
}

impl Drop for LocalApi {
    fn drop(&mut self) {
        self.task.abort();
        // A socket that stays is replaced by the next agent.
        drop(fs::remove_file(&self.path));
    }
}

fn bind(path: &Path) -> Result<UnixListener, LocalApiError> {
    let shown = path.display().to_string();
    let failed = |source| LocalApiError::Listen { path: shown.clone(), source };
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(LocalApiError::InUse { path: shown });
        }
        fs::remove_file(path).map_err(failed)?;
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

async fn accept<E: Send + 'static>(listener: UnixListener, shared: Arc<Shared<E>>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    serve(stream, &shared).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the local interface took no connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve<E: Send + 'static>(stream: UnixStream, shared: &Shared<E>) {
    let service = service_fn(|request| async move {
        Ok::<_, std::convert::Infallible>(route::handle(request, shared).await)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_LIMIT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(Impatient::new(stream, shared.answer_limit)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of the local interface ended early");
    }
}
