//! Sockets and timers around the hub.
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::{Error, v5::Packet};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    Odds,
    hub::{Conn, Effect, Hub},
};

/// Packets that wait for a slow reader; what finds no room is dropped, as Mosquitto does beyond its queue.
const OUTBOX: usize = 4_096;
/// Larger than anything a kiosk or a server may send.
const MAX_PACKET: u32 = 1024 * 1024;
/// For a connection that has not said its keep-alive yet.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);
/// The first byte of a DISCONNECT, whose short form the codec does not read.
const DISCONNECT: u8 = 14;

struct Broker {
    hub: Mutex<Hub>,
    outboxes: Mutex<HashMap<Conn, mpsc::Sender<Packet>>>,
}

pub(super) async fn serve(listen: SocketAddr, seed: u64, odds: Odds) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let broker = Arc::new(Broker { hub: Mutex::new(Hub::new(seed, odds)), outboxes: Mutex::default() });
    let mut honesty = signal(SignalKind::user_defined1())?;
    let mut forgetting = signal(SignalKind::user_defined2())?;
    let mut last: Conn = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                last += 1;
                tokio::spawn(connection(Arc::clone(&broker), stream, last));
            }
            _ = honesty.recv() => broker.hub().odds = Odds::HONEST,
            _ = forgetting.recv() => broker.hub().forget_wildcards(),
        }
    }
}

/// How a connection ended.
enum End {
    Goodbye,
    Lost,
}

async fn connection(broker: Arc<Broker>, stream: TcpStream, conn: Conn) {
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.into_split();
    let (outbox, mut waiting) = mpsc::channel::<Packet>(OUTBOX);
    broker.outboxes().insert(conn, outbox);
    let writer = async {
        let mut bytes = BytesMut::new();
        while let Some(packet) = waiting.recv().await {
            bytes.clear();
            if packet.write(&mut bytes, None).is_ok() && write.write_all(&bytes).await.is_err() {
                break;
            }
        }
        End::Lost
    };
    let end = tokio::select! {
        end = writer => end,
        end = listen_to(&broker, read, conn) => end,
    };
    broker.outboxes().remove(&conn);
    let effects = broker.hub().closed(conn, matches!(end, End::Goodbye));
    broker.perform(effects);
}

/// Takes what one client says until it says nothing more.
async fn listen_to(broker: &Arc<Broker>, mut read: OwnedReadHalf, conn: Conn) -> End {
    let mut bytes = BytesMut::new();
    let mut patience = FIRST_PATIENCE;
    loop {
        let is_disconnect = bytes.first().is_some_and(|byte| byte >> 4 == DISCONNECT);
        match Packet::read(&mut bytes, Some(MAX_PACKET)) {
            Ok(Packet::Disconnect(_)) => return End::Goodbye,
            Ok(packet) => {
                if let Packet::Connect(connect, ..) = &packet {
                    // A client that is silent for one and a half of its keep-alives is gone.
                    patience = Duration::from_millis(u64::from(connect.keep_alive) * 1_500);
                }
                let effects = broker.hub().packet(conn, packet);
                broker.perform(effects);
            }
            Err(Error::InsufficientBytes(_)) => match timeout(patience, read.read_buf(&mut bytes)).await {
                Ok(Ok(read)) if read > 0 => {}
                _ => return End::Lost,
            },
            Err(_) => return if is_disconnect { End::Goodbye } else { End::Lost },
        }
    }
}

impl Broker {
    fn hub(&self) -> std::sync::MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outboxes(&self) -> std::sync::MutexGuard<'_, HashMap<Conn, mpsc::Sender<Packet>>> {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(self: &Arc<Self>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, packet, after_ms: 0 } => self.send(to, *packet),
                Effect::Send { to, packet, after_ms } => {
                    let broker = Arc::clone(self);
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(after_ms)).await;
                        broker.send(to, *packet);
                    });
                }
                // The writer ends with its outbox, and the connection with the writer.
                Effect::Close { conn } => drop(self.outboxes().remove(&conn)),
            }
        }
    }

    fn send(&self, to: Conn, packet: Packet) {
        if let Some(outbox) = self.outboxes().get(&to) {
            drop(outbox.try_send(packet));
        }
    }
}
