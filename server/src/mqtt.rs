//! The server's side of the broker: one module around the MQTT client.
//!
//! The session is clean and acknowledgements are automatic: correctness rests on the journal's own ack, so
//! nothing may pile up in the broker. Two connections share the work, because a storm of heartbeats must not
//! delay a fault: `journal` carries what must arrive, `beats` carries heartbeats. What one kiosk sends beyond
//! its allowance ends here (`flood`).
mod canary;
mod flood;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use kioskwatch_proto::{
    Timestamp,
    limits::{MAX_PACKET_BYTES, MAX_PAYLOAD_BYTES},
    topic::{Channel, Topic},
};
use rumqttc::{
    NetworkOptions, Outgoing, Transport,
    v5::{
        AsyncClient, ConnectionError, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{Filter, Packet, PublishProperties},
        },
    },
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout_at},
};

pub use self::flood::{Allowance, Bucket};
use self::{
    canary::{Act, Canary},
    flood::{Senders, Verdict},
};
use crate::{clock::Clock, panics};

const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The broker answers a ping each keep-alive: half of one more without a word, and the line is half-open.
const SILENCE: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT_S: u64 = 10;
/// First pause before a reconnect; doubles, with full jitter.
const BACKOFF_BASE_MS: u64 = 250;
const BACKOFF_CAP_MS: u64 = 5_000;
/// Messages received and not yet taken by the ingest, per connection.
pub const RECEIVE_QUEUE: usize = 8_192;
/// How long a full receive queue holds the connection back before a message is dropped and counted.
const HOLD_BACK: Duration = Duration::from_secs(2);
/// Messages handed over for sending and not yet written.
const SEND_QUEUE: usize = 4_096;
/// When the broker acknowledges nothing of ours for this long, the client's table of unacknowledged messages
/// fills up in silence and nothing leaves it any more: a new connection begins with an empty one.
const WITHHELD: Duration = KEEP_ALIVE;
/// Of ours, sent and not yet acknowledged by the broker. The client's default table costs 14 MB.
const MAX_INFLIGHT: u16 = 256;

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
}

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
    /// With the reason, and for how long nothing had been delivered when it was noticed.
    Down(Lane, String, Duration),
    Message(Received),
    /// This sender, as the topic names it, has begun to send more than it may.
    Flood(Lane, String),
}

/// Counts what a connection had to give up; read by the metrics.
#[derive(Debug, Default)]
pub struct LinkCounters {
    /// The receive queue stayed full.
    pub dropped_incoming: std::sync::atomic::AtomicU64,
    /// More than a kiosk may send.
    pub over_allowance: std::sync::atomic::AtomicU64,
    pub dropped_outgoing: std::sync::atomic::AtomicU64,
    /// A connection ended by a defect of ours.
    pub panics: std::sync::atomic::AtomicU64,
}

/// Up to when a connection has proven to deliver, in milliseconds since 1970.
#[derive(Debug)]
struct Proven(std::sync::atomic::AtomicI64);

impl Default for Proven {
    fn default() -> Self {
        Self(i64::MAX.into())
    }
}

impl Proven {
    /// As long as nothing would accuse the connection, its silence is believed.
    fn set(&self, delivered_at: Option<Timestamp>) {
        let to = delivered_at.map_or(i64::MAX, Timestamp::ms);
        self.0.store(to, std::sync::atomic::Ordering::SeqCst);
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
    /// Connects in the background, for ever, until stopped.
    pub fn start(options: LinkOptions, clock: Arc<Clock>, events: mpsc::Sender<LinkEvent>) -> Self {
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
            deaf_for: Duration::ZERO,
            told_unanswered: false,
        };
        let task = tokio::spawn(keeper.run(stopped));
        Self { client, counters, proven, stop, task }
    }

    pub fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    /// What was sent to us before this was delivered, as far as anybody can know; later silence may still turn
    /// out to have been deafness.
    pub fn proven_to(&self) -> Timestamp {
        Timestamp(self.proven.0.load(std::sync::atomic::Ordering::SeqCst))
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
            self.counters.dropped_outgoing.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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

struct Keeper {
    options: LinkOptions,
    clock: Arc<Clock>,
    events: mpsc::Sender<LinkEvent>,
    counters: Arc<LinkCounters>,
    proven: Arc<Proven>,
    client: watch::Sender<Option<AsyncClient>>,
    senders: Senders,
    /// How long the connection that ended had delivered nothing.
    deaf_for: Duration,
    /// Said once that our own messages do not come back.
    told_unanswered: bool,
}

impl Keeper {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut failures = 0_u32;
        while !*stopped.borrow() {
            let reason = match self.mqtt_options() {
                Ok(options) => {
                    let (client, event_loop) = AsyncClient::new(options, SEND_QUEUE);
                    let connection = self.one_connection(client, event_loop, &mut failures, &stopped);
                    match panics::caught(connection).await {
                        Ok(reason) => reason,
                        // As with a lost connection: a new one begins with nothing of the old.
                        Err(panic) => {
                            self.counters.panics.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            format!("a defect of ours: it panicked: {panic}")
                        }
                    }
                }
                Err(error) => error.to_string(),
            };
            self.client.send_replace(None);
            if *stopped.borrow() {
                break;
            }
            let deaf = std::mem::take(&mut self.deaf_for);
            if self.events.send(LinkEvent::Down(self.options.lane, reason, deaf)).await.is_err() {
                break;
            }
            failures = failures.saturating_add(1);
            let pause = backoff(failures);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => {}
            }
        }
    }

    /// One client and event loop from connect to loss: nothing of a lost session is carried over.
    async fn one_connection(
        &mut self,
        client: AsyncClient,
        mut event_loop: EventLoop,
        failures: &mut u32,
        stopped: &watch::Receiver<bool>,
    ) -> String {
        let mut silent_at = Instant::now() + SILENCE;
        let mut owed = Owed::default();
        let mut canary: Option<Canary> = None;
        loop {
            let event = {
                // Kept over the canaries: a poll that is dropped may lose half a packet.
                let mut poll = std::pin::pin!(timeout_at(silent_at, event_loop.poll()));
                loop {
                    let canary_due = canary.as_ref().map_or(silent_at, Canary::due);
                    tokio::select! {
                        biased;
                        event = &mut poll => break event,
                        () = sleep_until(canary_due), if canary.is_some() => {}
                    }
                    match canary.as_mut().map(|canary| canary.tick(Instant::now())) {
                        Some(Act::Send) => self.send_canary(&client),
                        Some(Act::Deaf(silence)) => {
                            self.deaf_for = silence;
                            return "the broker delivers nothing, not even our own messages".to_owned();
                        }
                        Some(Act::Unanswered) => {
                            self.tell_unanswered();
                            self.send_canary(&client);
                        }
                        Some(Act::Wait) | None => {}
                    }
                }
            };
            let Ok(event) = event else {
                return "the broker has gone silent".to_owned();
            };
            let came_in = matches!(event, Ok(Event::Incoming(_)));
            if owed.withheld(&event, Instant::now()) {
                return "the broker withholds its acknowledgements".to_owned();
            }
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    let filters = self.options.lane.channels().iter().map(|&channel| {
                        let qos = if channel.qos() == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
                        Filter::new(Topic::fleet_filter(channel), qos)
                    });
                    if client.try_subscribe_many(filters).is_err() {
                        return "subscribing: the send queue is full".to_owned();
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    let refused = ack.return_codes.iter().any(|code| format!("{code:?}").contains("Fail"));
                    if refused {
                        return "the broker refuses our subscriptions".to_owned();
                    }
                    *failures = 0;
                    canary = Some(Canary::new(Instant::now()));
                    self.proven.set(None);
                    self.client.send_replace(Some(client.clone()));
                    if self.events.send(LinkEvent::Up(self.options.lane)).await.is_err() {
                        return "the ingest ended".to_owned();
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let is_own = publish.topic == self.canary_topic();
                    let at = self.clock.now();
                    let (topic, payload) = (publish.topic, publish.payload);
                    let received = Received { topic, payload, retained: publish.retain, at };
                    self.hand_over(received).await;
                    match &mut canary {
                        Some(canary) if is_own => canary.came_back(Instant::now()),
                        Some(canary) => canary.heard(Instant::now()),
                        None => {}
                    }
                    let accusable = canary.as_ref().is_some_and(Canary::comes_back);
                    self.proven.set(accusable.then_some(at));
                }
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
            if came_in {
                // After it was handed over: while we hold the broker back, the silence is ours.
                silent_at = Instant::now() + SILENCE;
            }
            if *stopped.borrow() && self.client.borrow().is_none() {
                return "stopped".to_owned();
            }
        }
    }

    fn canary_topic(&self) -> String {
        Topic::canary(&self.options.client_id, self.options.lane.canary_channel())
    }

    /// When the queue is full, the next one is soon enough.
    fn send_canary(&self, client: &AsyncClient) {
        let _ = client.try_publish(self.canary_topic(), QoS::AtMostOnce, false, Vec::new());
    }

    fn tell_unanswered(&mut self) {
        if !std::mem::replace(&mut self.told_unanswered, true) {
            tracing::warn!(
                topic = self.canary_topic(),
                "our own messages on this topic do not come back: does the broker's ACL let the server publish \
                 and read there? Until then a subscription that the broker forgets is not noticed"
            );
        }
    }

    async fn hand_over(&mut self, received: Received) {
        let verdict = {
            let topic = std::str::from_utf8(&received.topic).unwrap_or_default();
            if Topic::is_canary(topic) {
                return;
            }
            let sender = Topic::sender(topic).unwrap_or_default();
            let bytes = received.topic.len() + received.payload.len();
            let verdict = self.senders.judge(sender, bytes, Topic::is_standing(topic), Instant::now());
            if verdict == Verdict::DropAndTell {
                let flood = LinkEvent::Flood(self.options.lane, sender.to_owned());
                if self.events.try_send(flood).is_err() {
                    self.senders.untold(sender);
                }
            }
            verdict
        };
        if verdict != Verdict::Take {
            self.counters.over_allowance.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return;
        }
        let event = match self.events.try_send(LinkEvent::Message(received)) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(event)) => event,
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        };
        // Not reading holds the broker back, and through it the agents; not for ever, or we lose the session.
        if tokio::time::timeout(HOLD_BACK, self.events.send(event)).await.is_err() {
            self.counters.dropped_incoming.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn mqtt_options(&self) -> Result<MqttOptions, MqttConfigError> {
        let address = &self.options.address;
        let mut options = MqttOptions::new(&self.options.client_id, &address.host, address.port);
        let mut network = NetworkOptions::new();
        // Acknowledgements are small and somebody waits for them: filling a packet first costs 40 ms.
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_connection_timeout(CONNECT_TIMEOUT_S);
        options.set_clean_start(true);
        options.set_max_packet_size(Some(u32::try_from(MAX_PACKET_BYTES).unwrap_or(u32::MAX)));
        options.set_outgoing_inflight_upper_limit(MAX_INFLIGHT);
        if let Some(user) = &address.user {
            let password = match &address.password_file {
                Some(path) => String::from_utf8_lossy(&read("password file", path)?).trim_end().to_owned(),
                None => String::new(),
            };
            options.set_credentials(user, password);
        }
        if let Some(tls) = &address.tls {
            let identity = match &tls.identity {
                Some((cert, key)) => Some((read("certificate", cert)?, read("private key", key)?)),
                None => None,
            };
            options.set_transport(Transport::tls(read("CA certificate", &tls.ca)?, identity, None));
        }
        Ok(options)
    }
}

/// What the broker owes us: acknowledgements of our messages.
#[derive(Debug, Default)]
struct Owed {
    messages: u32,
    /// Since the last one that came, or since the first message.
    since: Option<Instant>,
}

impl Owed {
    /// Takes an event of the connection. `true`: none has come for too long.
    fn withheld(&mut self, event: &Result<Event, ConnectionError>, now: Instant) -> bool {
        match event {
            // An id of 0 is a message that wants no acknowledgement.
            Ok(Event::Outgoing(Outgoing::Publish(id))) if *id > 0 => {
                self.messages += 1;
                self.since.get_or_insert(now);
            }
            Ok(Event::Incoming(Packet::PubAck(_))) => {
                self.messages = self.messages.saturating_sub(1);
                self.since = (self.messages > 0).then_some(now);
            }
            _ => {}
        }
        self.since.is_some_and(|since| now.duration_since(since) > WITHHELD)
    }
}

fn read(what: &'static str, path: &std::path::Path) -> Result<Vec<u8>, MqttConfigError> {
    std::fs::read(path).map_err(|source| MqttConfigError::Read { what, path: path.to_owned(), source })
}

/// Full jitter: anywhere between nothing and the doubled cap.
fn backoff(failures: u32) -> Duration {
    let cap = BACKOFF_BASE_MS.saturating_mul(1 << failures.min(16)).min(BACKOFF_CAP_MS);
    Duration::from_millis(crate::random::below(cap) + 1)
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::v5::{PingResp, PubAck};

    use super::*;

    const SENT: Event = Event::Outgoing(Outgoing::Publish(7));

    fn acknowledged() -> Event {
        Event::Incoming(Packet::PubAck(PubAck::new(7, None)))
    }

    #[test]
    fn a_broker_that_acknowledges_nothing_is_found_and_a_silent_connection_is_not() {
        let (mut owed, begun) = (Owed::default(), Instant::now());
        let ping = || Ok(Event::Incoming(Packet::PingResp(PingResp)));
        assert!(!owed.withheld(&ping(), begun + WITHHELD * 9));
        let sent = begun + WITHHELD * 10;
        assert!(!owed.withheld(&Ok(SENT), sent));
        assert!(!owed.withheld(&ping(), sent + WITHHELD));
        assert!(owed.withheld(&ping(), sent + WITHHELD + Duration::from_millis(1)));
    }

    #[test]
    fn an_acknowledgement_buys_time_and_the_last_one_ends_the_wait() {
        let (mut owed, begun) = (Owed::default(), Instant::now());
        for _ in 0..2 {
            assert!(!owed.withheld(&Ok(SENT), begun));
        }
        assert!(!owed.withheld(&Ok(acknowledged()), begun + WITHHELD));
        assert!(owed.withheld(&Ok(SENT), begun + WITHHELD * 3));
        for _ in 0..2 {
            assert!(!owed.withheld(&Ok(acknowledged()), begun + WITHHELD * 3));
        }
        assert!(!owed.withheld(&Ok(Event::Incoming(Packet::PingResp(PingResp))), begun + WITHHELD * 9));
    }
}
