//! The server's side of the broker: one module around the MQTT client.
//!
//! The session is clean and acknowledgements are automatic: correctness rests on the journal's own ack, so
//! nothing may pile up in the broker. Two connections share the work, because a storm of heartbeats must not
//! delay a fault: `journal` carries what must arrive, `beats` carries heartbeats, each into a `queue` of its own.
//! What one kiosk sends beyond its allowance ends here (`flood`).
mod canary;
mod flood;
mod keeper;
mod loss;
mod owed;
mod queue;
mod subscription;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use kioskwatch_proto::{
    KioskId, Timestamp,
    limits::MAX_PAYLOAD_BYTES,
    topic::{Channel, Topic},
};
use rumqttc::v5::{
    AsyncClient,
    mqttbytes::{QoS, v5::PublishProperties},
};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, coop::unconstrained},
};

use self::{
    flood::Senders,
    keeper::{Keeper, Proven},
};
pub use self::{
    flood::{Allowance, Bucket},
    queue::{Ended, Inlet, Outlet, RECEIVE_QUEUE, Room, queue},
};
use crate::clock::{Clock, Stopwatch};

/// Where the broker is and who we are to it.
#[derive(Debug, Clone)]
pub struct BrokerAddress {
    pub host: String,
    pub port: u16,
    pub tls: Option<TlsFiles>,
    pub user: Option<String>,
    /// Read from a file at every connect; never shown.
    pub password_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub ca: PathBuf,
    /// Certificate and key, when the broker asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What a connection needs to know.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    pub address: BrokerAddress,
    pub client_id: String,
    pub lane: Lane,
    /// Of each kiosk, on this connection.
    pub allowance: Allowance,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Journal,
    Beats,
}

impl Lane {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Beats => "beats",
        }
    }

    /// Whether its connection may rest without keeping anybody else waiting.
    const fn has_own_thread(self) -> bool {
        matches!(self, Self::Beats)
    }

    /// On which channel the server speaks to itself: one that nobody but servers reads.
    const fn canary_channel(self) -> Channel {
        match self {
            Self::Journal => Channel::Progress,
            Self::Beats => Channel::Heartbeat,
        }
    }

    fn channels(self) -> &'static [Channel] {
        match self {
            Self::Journal => &[
                Channel::Presence,
                Channel::Inventory,
                Channel::Journal,
                Channel::Progress,
                Channel::Artifact,
            ],
            Self::Beats => &[Channel::Heartbeat],
        }
    }

    /// Those of which the broker keeps each kiosk's last message, and sends it again to whoever subscribes.
    fn kept_channels(self) -> impl Iterator<Item = Channel> {
        self.channels().iter().copied().filter(|channel| channel.retained())
    }
}

/// For how long a connection at most leaves what has come to it unread, in milliseconds: heartbeats are read together.
pub(crate) const HELD_MS: i64 = 20;
/// Of a thread that reads one connection: twice what it takes without optimisation. What is not touched takes no memory.
const STACK_BYTES: usize = 1 << 20;

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub topic: Bytes,
    pub payload: Bytes,
    /// Delivered from the broker's store, or flagged so by its sender.
    pub retained: bool,
    pub at: Timestamp,
}

/// What a connection tells the ingest.
#[derive(Debug)]
pub enum LinkEvent {
    /// Subscribed: from now on we hear everything.
    Up(Lane),
    /// With the reason, and since when nothing had been delivered.
    Down(Lane, String, Stopwatch),
    /// Of a thousand heartbeats the broker drops so many before they reach us; 0: none any more.
    Loses(u16),
    Message(Received),
}

/// Counts what a connection had to give up; read by the metrics.
#[derive(Debug, Default)]
pub struct LinkCounters {
    /// The receive queue stayed full.
    pub dropped_incoming: std::sync::atomic::AtomicU64,
    /// More than a kiosk may send.
    pub over_allowance: std::sync::atomic::AtomicU64,
    /// The same by kiosk, until somebody takes note.
    flooding: Mutex<HashMap<KioskId, u64>>,
    pub dropped_outgoing: std::sync::atomic::AtomicU64,
    /// A connection ended by a defect of ours.
    pub panics: std::sync::atomic::AtomicU64,
}

/// Kiosks of which the drops are noted between two looks; those of others are only counted together.
const MAX_FLOODING: usize = 10_000;

impl LinkCounters {
    /// A message of this sender, as the topic names it, was one too many.
    pub(crate) fn dropped_of(&self, sender: &str) {
        self.over_allowance.fetch_add(1, Relaxed);
        // Who has no name of a kiosk says nothing that is read.
        let Ok(kiosk) = KioskId::new(sender) else { return };
        let mut flooding = self.flooding.lock().unwrap_or_else(PoisonError::into_inner);
        if flooding.len() < MAX_FLOODING || flooding.contains_key(&kiosk) {
            *flooding.entry(kiosk).or_default() += 1;
        }
    }

    /// Whose messages were dropped since the last look, and how many.
    pub fn take_flooding(&self) -> HashMap<KioskId, u64> {
        std::mem::take(&mut self.flooding.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One connection, kept up by a task of its own.
#[derive(Debug)]
pub struct Link {
    client: watch::Receiver<Option<AsyncClient>>,
    counters: Arc<LinkCounters>,
    proven: Arc<Proven>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum MqttConfigError {
    #[error("reading {what} {path}: {source}")]
    Read { what: &'static str, path: PathBuf, source: std::io::Error },
}

impl Link {
    /// Connects in the background, for ever, until stopped. Gives also what it hears.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start(options: LinkOptions, clock: Arc<Clock>) -> io::Result<(Self, Outlet)> {
        let (events, taken) = queue();
        let (client_tx, client) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::new(LinkCounters::default());
        let senders = Senders::new(options.allowance);
        let counters_of = Arc::clone(&counters);
        let proven = Arc::new(Proven::default());
        let keeper = Keeper {
            options,
            clock,
            events,
            counters: counters_of,
            proven: Arc::clone(&proven),
            client: client_tx,
            senders,
            delivered: Stopwatch::start(),
            told_unanswered: false,
            missed: false,
        };
        let task = match keeper.options.lane.has_own_thread() {
            true => alone(keeper.run(stopped))?,
            false => tokio::spawn(keeper.run(stopped)),
        };
        Ok((Self { client, counters, proven, stop, task }, taken))
    }

    pub fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    /// What was sent to us before this was delivered, as far as anybody can know; later silence may still turn
    /// out to have been deafness.
    pub fn proven_to(&self) -> Timestamp {
        self.proven.to()
    }

    /// Hands a message over for sending. `false`: not connected or the queue is full; the sender's own
    /// repetition (acks, commands) makes up for it.
    pub fn publish(&self, topic: &Topic, payload: Vec<u8>, expiry_s: Option<u32>) -> bool {
        let qos = if topic.channel.qos() == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let properties =
            PublishProperties { message_expiry_interval: expiry_s, ..PublishProperties::default() };
        // The client gives up its connection over a packet that the broker would refuse.
        let fits = payload.len() <= MAX_PAYLOAD_BYTES;
        let sent = match &*self.client.borrow() {
            Some(client) if fits => client
                .try_publish_with_properties(
                    topic.to_string(),
                    qos,
                    topic.channel.retained(),
                    payload,
                    properties,
                )
                .is_ok(),
            _ => false,
        };
        if !sent {
            self.counters.dropped_outgoing.fetch_add(1, Relaxed);
        }
        sent
    }

    /// Says goodbye to the broker; what was handed over before is written first.
    pub async fn stop(self) {
        let client = self.client.borrow().clone();
        if let Some(client) = client {
            let _ = client.try_disconnect();
        }
        let _ = self.stop.send(true);
        let mut task = self.task;
        if tokio::time::timeout(Duration::from_secs(2), &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Runs on a thread of its own, where nobody minds that it sleeps. It ends when nobody waits for it any more.
fn alone(task: impl Future<Output = ()> + Send + 'static) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut ends, ended) = oneshot::channel::<()>();
    std::thread::Builder::new().name("beats".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                // It has no neighbours to make room for: to be stopped in the middle of what waits would look like
                // having read all of it.
                () = unconstrained(task) => {}
                () = ends.closed() => {}
            }
        });
    })?;
    Ok(tokio::spawn(async { drop(ended.await) }))
}
