//! A line between agents and broker that can be cut: a TCP forwarder with faults.
use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// How the line behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineState {
    Up,
    /// Every byte waits this long.
    Delayed(Duration),
    /// Connections are reset, new ones refused.
    Cut,
    /// Connections stay open and nothing comes through, as behind a dead router.
    Blackhole,
    /// Only what comes from the broker is swallowed.
    DeafToBroker,
}

/// Forwards `address()` to a target. Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<LineState>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(watch::channel(LineState::Up).0);
        let task = tokio::spawn(accept(listener, target, Arc::clone(&state)));
        Ok(Self { address, state, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, state: LineState) {
        self.state.send_replace(state);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: Arc<watch::Sender<LineState>>) {
    let mut pairs = tokio::task::JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let state = state.subscribe();
        if *state.borrow() == LineState::Cut {
            continue;
        }
        while pairs.try_join_next().is_some() {}
        pairs.spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            let cut = cut(state.clone());
            tokio::select! {
                () = forward(client_read, server_write, state.clone(), false) => {}
                () = forward(server_read, client_write, state, true) => {}
                () = cut => {}
            }
        });
    }
}

async fn cut(mut state: watch::Receiver<LineState>) {
    if state.wait_for(|state| *state == LineState::Cut).await.is_err() {
        // The proxy is gone, and with it this task.
        std::future::pending::<()>().await;
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<LineState>,
    from_broker: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return };
        if read == 0 {
            return;
        }
        loop {
            let now = *state.borrow_and_update();
            match now {
                LineState::Delayed(pause) => {
                    tokio::time::sleep(pause).await;
                    break;
                }
                LineState::DeafToBroker if from_broker => {}
                LineState::Blackhole => {}
                LineState::Up | LineState::Cut | LineState::DeafToBroker => break,
            }
            // Held back until the line is another one; TCP keeps the order.
            if state.changed().await.is_err() {
                return;
            }
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
