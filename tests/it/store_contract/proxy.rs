//! Stands between the store and PostgreSQL and breaks a connection at the worst moment.
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use kioskwatch_tests::harness::postgres::Postgres;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

/// What of the next COMMIT is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// The database never hears of it.
    Question = 1,
    /// The database does it, and nobody is told.
    Answer = 2,
    /// The database does it a while after the connection broke.
    Late = 3,
}

/// Long enough for the next attempt to reach the database first.
const LATE: Duration = Duration::from_millis(500);

pub(crate) struct Proxy {
    directory: PathBuf,
    cut: Arc<AtomicU8>,
    listening: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(cluster: &Postgres) -> Self {
        let directory = std::env::temp_dir().join(format!("kw-px-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&directory).unwrap();
        let listener = UnixListener::bind(directory.join(".s.PGSQL.5432")).unwrap();
        let cut = Arc::new(AtomicU8::new(0));
        let (server, armed) = (cluster.socket(), cut.clone());
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), armed.clone()));
            }
        });
        Self { directory, cut, listening }
    }

    /// The same database, through here.
    pub(crate) fn url(&self, direct: &str) -> String {
        let (start, _) = direct.split_once("?host=").unwrap();
        format!("{start}?host={}", self.directory.display())
    }

    pub(crate) fn cut_next_commit(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn forward(mut client: UnixStream, server: impl AsRef<Path>, armed: Arc<AtomicU8>) {
    let Ok(mut server) = UnixStream::connect(server).await else { return };
    let (mut question, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(1..) = read else { return };
                let question = &question[..read.unwrap_or(0)];
                let commits = question.windows(7).any(|w| w == b"COMMIT\0");
                let cut = if commits { armed.swap(0, Ordering::SeqCst) } else { 0 };
                if cut == Cut::Question as u8 {
                    return;
                }
                if cut == Cut::Late as u8 {
                    // The client is told that the line is dead; the server hears the question later.
                    let _ = client.shutdown().await;
                    let _ = tokio::time::timeout(LATE, std::future::pending::<()>()).await;
                }
                let _ = server.write_all(question).await;
                if cut == Cut::Answer as u8 || cut == Cut::Late as u8 {
                    let _ = server.read(&mut answer).await;
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(1..) = read else { return };
                let _ = client.write_all(&answer[..read.unwrap_or(0)]).await;
            }
        }
    }
}
