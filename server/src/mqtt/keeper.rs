//! One connection, kept up: from connect to loss, and again.
use std::{
    sync::{
        Arc,
        atomic::{
            AtomicI64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use kioskwatch_proto::{
    Timestamp,
    limits::{MAX_NAME_LEN, MAX_PACKET_BYTES},
    topic::Topic,
};
use rumqttc::{
    NetworkOptions, Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{QoS, v5::Packet},
    },
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    HELD_MS, Inlet, Lane, LinkCounters, LinkEvent, LinkOptions, MqttConfigError, Received,
    canary::{Act, Canary},
    flood::Senders,
    loss::Loss,
    owed::Owed,
    subscription::{AskAgain, Subscription},
};
use crate::{
    clock::{Clock, Stopwatch},
    panics,
};

pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The broker answers a ping each keep-alive: a third of one more without a word, and the line is half-open. Less than
/// one and a half keep-alives, with what a busy machine takes to notice.
const SILENCE: Duration = KEEP_ALIVE.checked_mul(4).expect("short").checked_div(3).expect("not by nothing");
const CONNECT_TIMEOUT_S: u64 = 10;
/// First pause before a reconnect; doubles, with full jitter.
const BACKOFF_BASE_MS: u64 = 250;
const BACKOFF_CAP_MS: u64 = 5_000;
/// How long a full receive queue holds the connection back before a message is dropped and counted.
const HOLD_BACK: Duration = Duration::from_secs(2);
/// Heartbeats come one by one, and to be woken for each costs more than to read it. Once there was none to read, the next
/// ones are read together: as long after the first. Their stamps are late by that at most.
const REST: Duration = Duration::from_millis(HELD_MS.unsigned_abs());
/// After so many deliveries in the time of a rest the next ones are not left to wait: Mosquitto, if nobody tells it
/// otherwise, keeps twice as many for us and drops the others.
const BUSY: u32 = 500;
/// Messages handed over for sending and not yet written.
const SEND_QUEUE: usize = 4_096;
/// Of ours, sent and not yet acknowledged by the broker. The client's default table costs 14 MB.
const MAX_INFLIGHT: u16 = 256;

/// When the connection of the heartbeats may leave what comes unread: see [`REST`]. Pure: `now` is an argument.
#[derive(Debug, Default)]
struct Rest {
    delivered: u32,
    counted_from: Option<Instant>,
}

impl Rest {
    /// Whether to rest after a delivery. One that had to be waited for has none behind it.
    fn is_due(&mut self, was_awaited: bool, now: impl FnOnce() -> Instant) -> bool {
        self.delivered = self.delivered.saturating_add(1);
        if !was_awaited {
            return false;
        }
        let now = now();
        if self.counted_from.is_some_and(|from| now.saturating_duration_since(from) < REST) {
            return false;
        }
        self.counted_from = Some(now);
        std::mem::take(&mut self.delivered) < BUSY
    }
}

/// Up to when a connection has proven to deliver, in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Proven(AtomicI64);

impl Default for Proven {
    fn default() -> Self {
        Self(i64::MAX.into())
    }
}

impl Proven {
    /// As long as nothing would accuse the connection, its silence is believed.
    fn set(&self, delivered_at: Option<Timestamp>) {
        let to = delivered_at.map_or(i64::MAX, Timestamp::ms);
        self.0.store(to, SeqCst);
    }

    pub(super) fn to(&self) -> Timestamp {
        Timestamp(self.0.load(SeqCst))
    }
}

/// See the module.
pub(super) struct Keeper {
    pub(super) options: LinkOptions,
    pub(super) clock: Arc<Clock>,
    pub(super) events: Inlet,
    pub(super) counters: Arc<LinkCounters>,
    pub(super) proven: Arc<Proven>,
    pub(super) client: watch::Sender<Option<AsyncClient>>,
    pub(super) senders: Senders,
    /// When the connection last delivered something, or was made.
    pub(super) delivered: Stopwatch,
    /// Said once that our own messages do not come back.
    pub(super) told_unanswered: bool,
    /// A message that the broker keeps was given up: it is asked for again when there is room.
    pub(super) missed: bool,
}

impl Keeper {
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
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
                            self.counters.panics.fetch_add(1, Relaxed);
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
            let down = LinkEvent::Down(self.options.lane, reason, self.delivered);
            if self.events.say(down).await.is_err() {
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
        self.delivered = Stopwatch::start();
        // All of it comes again with the new subscription.
        self.missed = false;
        let mut asked = Subscription::of(self.options.lane.channels().iter().copied());
        let mut owed = Owed::default();
        let mut canary: Option<Canary> = None;
        let mut again = AskAgain::default();
        let (mut loss, mut rest) = (Loss::default(), Rest::default());
        let own_topic = self.canary_topic();
        loop {
            let mut was_awaited = false;
            let event = {
                // Kept over the canaries: a poll that is dropped may lose half a packet.
                let dead_at = owed.answer_due().map_or(silent_at, |due| due.min(silent_at));
                let mut poll = std::pin::pin!(timeout_at(dead_at, event_loop.poll()));
                let mut at_once = poll.as_mut().now_or_never();
                loop {
                    if let Some(event) = at_once.take() {
                        break event;
                    }
                    was_awaited = true;
                    let canary_due = canary.as_ref().map_or(dead_at, Canary::due);
                    let canary_due = loss.due().map_or(canary_due, |due| due.min(canary_due));
                    tokio::select! {
                        biased;
                        event = &mut poll => break event,
                        () = sleep_until(canary_due), if canary.is_some() => {}
                    }
                    if canary.is_some()
                        && self.missed
                        && again.is_due(Instant::now())
                        && self.events.has_room()
                    {
                        let kept = Subscription::of(self.options.lane.kept_channels());
                        // A full send queue has better things to carry; this is tried again.
                        if client.try_subscribe_many(kept.filters()).is_ok() {
                            tracing::info!("messages were given up; asking the broker for those it keeps");
                            (asked, self.missed) = (kept, false);
                            again.asked(Instant::now());
                        }
                    }
                    if let Some(reason) = self.look_for_losses(&client, &mut loss) {
                        return reason;
                    }
                    let now = Instant::now();
                    match canary.as_mut().filter(|canary| canary.due() <= now).map(|canary| canary.tick(now))
                    {
                        Some(Act::Send) => self.send_canary(&client, &mut loss),
                        Some(Act::Deaf) => {
                            return "the broker delivers nothing, not even our own messages".to_owned();
                        }
                        Some(Act::Unanswered) => {
                            self.tell_unanswered();
                            self.send_canary(&client, &mut loss);
                        }
                        Some(Act::Wait) | None => {}
                    }
                }
            };
            let Ok(event) = event else {
                return "the broker has gone silent".to_owned();
            };
            let came_in = matches!(event, Ok(Event::Incoming(_)));
            let is_delivery = matches!(event, Ok(Event::Incoming(Packet::Publish(_))));
            if owed.withheld(&event, Instant::now()) {
                return "the broker withholds its acknowledgements".to_owned();
            }
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    if client.try_subscribe_many(asked.filters()).is_err() {
                        return "subscribing: the send queue is full".to_owned();
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    if let Some(refused) = asked.refused(&ack.return_codes) {
                        return format!("the broker refuses our subscriptions: {refused}");
                    }
                    // Otherwise kept messages were asked for again.
                    if canary.is_none() {
                        *failures = 0;
                        canary = Some(Canary::new(Instant::now()));
                        self.proven.set(None);
                        self.client.send_replace(Some(client.clone()));
                        if self.events.say(LinkEvent::Up(self.options.lane)).await.is_err() {
                            return "the ingest ended".to_owned();
                        }
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let is_own = publish.topic == own_topic;
                    let at = self.clock.now();
                    let (topic, payload) = (publish.topic, publish.payload);
                    match is_own {
                        true => loss.came_back(&payload),
                        false => loss.delivered(),
                    }
                    let received = Received { topic, payload, retained: publish.retain, at };
                    let read = Instant::now();
                    self.hand_over(received).await;
                    owed.held_back(read.elapsed());
                    match &mut canary {
                        Some(canary) if is_own => canary.came_back(Instant::now()),
                        Some(canary) => canary.heard(Instant::now()),
                        None => {}
                    }
                    let accusable = canary.as_ref().is_some_and(Canary::comes_back);
                    self.proven.set(accusable.then_some(at));
                    if let Some(reason) = self.look_for_losses(&client, &mut loss) {
                        return reason;
                    }
                }
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
            if came_in {
                // After it was handed over: while we hold the broker back, the silence is ours.
                silent_at = Instant::now() + SILENCE;
                // A living connection may have lost its subscription: where that would show, only what the
                // subscription brings counts.
                if is_delivery || !canary.as_ref().is_some_and(Canary::comes_back) {
                    self.delivered = Stopwatch::start();
                }
            }
            if *stopped.borrow() && self.client.borrow().is_none() {
                return "stopped".to_owned();
            }
            if is_delivery && self.options.lane.has_own_thread() && rest.is_due(was_awaited, Instant::now) {
                std::thread::sleep(REST);
            }
        }
    }

    fn canary_topic(&self) -> String {
        Topic::canary(&self.options.client_id, self.options.lane.canary_channel())
    }

    /// When the queue is full, the next one is soon enough.
    fn send_canary(&self, client: &AsyncClient, loss: &mut Loss) {
        let payload = loss.send(Instant::now());
        if client.try_publish(self.canary_topic(), QoS::AtMostOnce, false, payload).is_err() {
            loss.unsent();
        }
    }

    /// Journals are sent again; of heartbeats nobody but we can know. Gives why the connection is to be made anew.
    fn look_for_losses(&self, client: &AsyncClient, loss: &mut Loss) -> Option<String> {
        if self.options.lane != Lane::Beats || !loss.looks() {
            return None;
        }
        let now = Instant::now();
        if loss.is_due(now) {
            self.send_canary(client, loss);
        }
        // Where there is no place for it now, there will be.
        if let Some(per_mille) = loss.news(now)
            && self.events.try_say(LinkEvent::Loses(per_mille))
        {
            loss.told(per_mille, now);
        }
        loss.is_total().then(|| "the broker delivers none of our own messages any more".to_owned())
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
        let is_kept = {
            let topic = std::str::from_utf8(&received.topic).unwrap_or_default();
            if Topic::is_canary(topic) {
                return;
            }
            // What no kiosk can be called has one bucket for all of it, and costs no memory by its length.
            let sender = Topic::sender(topic).filter(|name| name.len() <= MAX_NAME_LEN).unwrap_or_default();
            let bytes = received.topic.len() + received.payload.len();
            let is_kept = Topic::is_standing(topic);
            if !self.senders.take(sender, bytes, is_kept, Instant::now()) {
                self.counters.dropped_of(sender);
                return;
            }
            is_kept
        };
        // Not reading holds the broker back, and through it the agents; not for ever, or we lose the session.
        if tokio::time::timeout(HOLD_BACK, self.events.message(received)).await.is_err() {
            self.missed |= is_kept;
            self.counters.dropped_incoming.fetch_add(1, Relaxed);
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
    use super::*;

    #[test]
    fn the_reader_of_heartbeats_rests_unless_more_come_than_the_broker_keeps_for_it() {
        for (in_a_rest, rests) in [(1, true), (BUSY / 2, true), (BUSY, false), (100_000, false)] {
            let (mut rest, mut now) = (Rest::default(), Instant::now());
            assert!(rest.is_due(true, || now), "nothing is known yet");
            for _ in 0..10 {
                now += REST;
                for _ in 0..in_a_rest {
                    assert!(!rest.is_due(false, || now), "more may wait");
                }
                assert_eq!(rest.is_due(true, || now), rests, "{in_a_rest}");
                assert!(!rest.is_due(true, || now), "{in_a_rest}: at most once in the time of one");
            }
        }
    }
}
