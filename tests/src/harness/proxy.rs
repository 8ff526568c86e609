//! A line between agents and broker that can be cut: a TCP forwarder with faults.
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// How the line behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineState {
    Up,
    /// Every byte waits this long.
    Delayed(Duration),
    /// So many bytes a second, each way.
    Throttled(u32),
    /// Connections are closed in order, new ones refused.
    Cut,
    /// The same without order: a peer that has forgotten them (RST).
    Reset,
    /// Connections stay open and nothing comes through, as behind a dead router.
    Blackhole,
    /// Only what comes from the broker is held back.
    DeafToBroker,
    /// Only what goes to the broker is held back.
    MuteToBroker,
}

/// Forwards `address()` to a target. Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<LineState>>,
    accepted: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(watch::channel(LineState::Up).0);
        let accepted = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, target, Arc::clone(&state), Arc::clone(&accepted)));
        Ok(Self { address, state, accepted, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, state: LineState) {
        self.state.send_replace(state);
    }

    /// How often somebody called, whether let through or not.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// One state after the other, each for its time; then the line is up.
    pub async fn play(&self, steps: &[(LineState, Duration)]) {
        for (state, duration) in steps {
            self.set(*state);
            tokio::time::sleep(*duration).await;
        }
        self.set(LineState::Up);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    state: Arc<watch::Sender<LineState>>,
    accepted: Arc<AtomicU64>,
) {
    let mut pairs = tokio::task::JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        accepted.fetch_add(1, Ordering::SeqCst);
        let state = state.subscribe();
        let now = *state.borrow();
        if ends(now) {
            reset_if(now, &client);
            continue;
        }
        while pairs.try_join_next().is_some() {}
        pairs.spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (mut client, mut server) = (client, server);
            let (client_read, client_write) = client.split();
            let (server_read, server_write) = server.split();
            let end = tokio::select! {
                () = forward(client_read, server_write, state.clone(), false) => LineState::Up,
                () = forward(server_read, client_write, state.clone(), true) => LineState::Up,
                end = ended(state.clone()) => end,
            };
            reset_if(end, &client);
            reset_if(end, &server);
        });
    }
}

fn ends(state: LineState) -> bool {
    matches!(state, LineState::Cut | LineState::Reset)
}

/// A socket that may not linger says RST when it is closed.
fn reset_if(state: LineState, socket: &TcpStream) {
    if state == LineState::Reset {
        let _ = socket.set_zero_linger();
    }
}

async fn ended(mut state: watch::Receiver<LineState>) -> LineState {
    match state.wait_for(|state| ends(*state)).await.map(|state| *state) {
        Ok(state) => state,
        // The proxy is gone, and with it this task.
        Err(_) => std::future::pending().await,
    }
}

async fn forward(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut state: watch::Receiver<LineState>,
    from_broker: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        // Also an end is held back: behind a dead router nobody hears that the other one has gone.
        let read = from.read(&mut buffer).await.unwrap_or(0);
        loop {
            let now = *state.borrow_and_update();
            match now {
                LineState::Delayed(pause) => {
                    tokio::time::sleep(pause).await;
                    break;
                }
                LineState::Throttled(rate) => {
                    let bytes = u32::try_from(read).unwrap_or(u32::MAX);
                    tokio::time::sleep(Duration::from_secs(1) * bytes / rate.max(1)).await;
                    break;
                }
                LineState::DeafToBroker if from_broker => {}
                LineState::MuteToBroker if !from_broker => {}
                LineState::Blackhole => {}
                LineState::Up
                | LineState::Cut
                | LineState::Reset
                | LineState::DeafToBroker
                | LineState::MuteToBroker => break,
            }
            // Held back until the line is another one; TCP keeps the order.
            if state.changed().await.is_err() {
                return;
            }
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
