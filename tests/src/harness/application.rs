//! The application on a kiosk: tells the agent of transactions through its socket, as fast as it may.
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    task::JoinSet,
};

/// Between two tries while the agent is away.
const PAUSE: Duration = Duration::from_millis(20);

/// Several tills at once; gone when dropped.
#[derive(Debug)]
pub struct Application {
    kept: Arc<Vec<AtomicU64>>,
    _tills: JoinSet<()>,
}

impl Application {
    /// `tills` callers tell of one transaction after the other at this socket. Each repeats one until the agent
    /// says that it is kept.
    pub fn start(socket: &Path, tills: usize) -> Self {
        let kept: Arc<Vec<AtomicU64>> = Arc::new((0..tills).map(|_| AtomicU64::new(0)).collect());
        let mut tasks = JoinSet::new();
        for till in 0..tills {
            tasks.spawn(trade(socket.to_owned(), till, Arc::clone(&kept)));
        }
        Self { kept, _tills: tasks }
    }

    /// How many transactions the agent has said are kept.
    pub fn kept(&self) -> u64 {
        self.kept.iter().map(|count| count.load(Ordering::SeqCst)).sum()
    }

    /// Their ids.
    pub fn kept_ids(&self) -> Vec<String> {
        let tills = self.kept.iter().enumerate();
        tills.flat_map(|(till, count)| (1..=count.load(Ordering::SeqCst)).map(move |n| id(till, n))).collect()
    }
}

fn id(till: usize, n: u64) -> String {
    format!("till{till}-{n}")
}

async fn trade(socket: PathBuf, till: usize, kept: Arc<Vec<AtomicU64>>) {
    let mut line = None;
    for n in 1.. {
        loop {
            match tell(&socket, &mut line, &id(till, n)).await {
                Ok(true) => break,
                Ok(false) | Err(_) => {
                    line = None;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        kept[till].store(n, Ordering::SeqCst);
    }
}

/// One transaction told over this line, which is made when there is none. `true`: the agent says that it keeps it.
pub async fn tell(socket: &Path, line: &mut Option<UnixStream>, id: &str) -> io::Result<bool> {
    let line = match line {
        Some(line) => line,
        None => line.insert(UnixStream::connect(socket).await?),
    };
    let body = format!(r#"{{"id":{id:?},"type":"sale","outcome":"completed","duration_ms":1}}"#);
    let head = format!(
        "POST /v1/transactions HTTP/1.1\r\nhost: local\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    line.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    // "Kept" has no body: the answer ends with its head.
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 512];
        let read = line.read(&mut byte).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&byte[..read]);
        if answer.starts_with(b"HTTP/1.1 ") && answer.len() > 12 && !answer.starts_with(b"HTTP/1.1 204") {
            return Ok(false);
        }
    }
    Ok(true)
}
