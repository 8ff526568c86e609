//! The polling task: one connection after the other, with pauses that spread a fleet.
use std::{pin::pin, sync::PoisonError, time::Duration};

use kioskwatch_proto::{
    KioskId, SessionId,
    topic::{Channel, Topic},
};
use rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, Event, Incoming,
        mqttbytes::{
            QoS,
            v5::{Filter, Publish, SubscribeReasonCode},
        },
    },
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use super::{LinkEvent, Order, Setup, Slot, WINDOW, advice, jitter, options::options, qos};

/// A connection that held this long was a good one: the pauses begin anew.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// The last word must be through by then.
const GOODBYE_LIMIT: Duration = Duration::from_secs(4);

pub(super) struct Link<E> {
    setup: Setup<E>,
    client: Slot,
    orders: mpsc::Receiver<Order>,
    dropped: u64,
}

/// Why a connection is over.
enum End {
    Lost(String),
    Stop,
}

/// How long a connection held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// It never came about.
    Never,
    Briefly,
    Long,
}

/// Where one connection stands.
struct Connection {
    session: SessionId,
    client: AsyncClient,
    up_since: Option<Instant>,
    /// When it counts as dead, unless something comes in before.
    silent_at: Instant,
    leaving: bool,
}

impl<E: Send> Link<E> {
    pub(super) fn new(setup: Setup<E>, client: Slot, orders: mpsc::Receiver<Order>) -> Self {
        Self { setup, client, orders, dropped: 0 }
    }

    pub(super) async fn run(mut self) {
        let (mut failures, mut lost_in_a_row) = (0, 0);
        loop {
            let session = SessionId(Uuid::new_v4());
            let (end, held) = self.connect(session).await;
            self.slot(None);
            let End::Lost(why) = end else { return };
            failures = if held == Held::Long { 0 } else { failures + 1 };
            lost_in_a_row = if held == Held::Briefly { lost_in_a_row + 1 } else { 0 };
            let pause = jitter::pause(failures, self.setup.config.reconnect_max_ms);
            tracing::warn!(broker = %self.setup.config.endpoint, why, pause_ms = pause.as_millis(), "not connected");
            if let Some(hint) = advice::does_not_last(lost_in_a_row, self.kiosk()) {
                tracing::warn!(broker = %self.setup.config.endpoint, "{hint}");
            }
            if self.wait(pause).await {
                return;
            }
        }
    }

    /// `true` when the agent ends meanwhile.
    async fn wait(&mut self, pause: Duration) -> bool {
        let mut pause = pin!(sleep(pause));
        loop {
            tokio::select! {
                () = &mut pause => return false,
                order = self.orders.recv() => match order {
                    // There is nothing to rebuild.
                    Some(Order::Rebuild { .. }) => {}
                    Some(Order::Goodbye { .. }) | None => return true,
                },
            }
        }
    }

    fn slot(&self, client: Option<AsyncClient>) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// The broker answers a ping each keep-alive: a third of one more without a word, and the line is half-open. Less
    /// than one and a half keep-alives, with what a busy machine takes to notice.
    fn silence(&self) -> Duration {
        Duration::from_secs(u64::from(self.setup.config.keep_alive_s)) * 4 / 3
    }

    fn kiosk(&self) -> &KioskId {
        &self.setup.kiosk
    }

    /// One connection from beginning to end.
    async fn connect(&mut self, session: SessionId) -> (End, Held) {
        let will = (self.setup.will)(session);
        let options = match options(self.kiosk(), &self.setup.config, &will) {
            Ok(options) => options,
            Err(error) => return (End::Lost(error.to_string()), Held::Never),
        };
        let silence = self.silence();
        let (client, mut eventloop) = AsyncClient::new(options, WINDOW.into());
        let silent_at = Instant::now() + silence;
        let mut connection = Connection { session, client, up_since: None, silent_at, leaving: false };
        let end = 'connection: loop {
            // Pinned, and polled until it is done: an order must not cut a half-written packet.
            let mut poll = pin!(eventloop.poll());
            let event = loop {
                tokio::select! {
                    event = &mut poll => break event,
                    () = sleep_until(connection.silent_at) => {
                        break 'connection End::Lost("the broker has gone silent".into());
                    }
                    order = self.orders.recv() => match order {
                        Some(Order::Rebuild { why }) => break 'connection End::Lost(why.to_owned()),
                        Some(Order::Goodbye { presence }) => {
                            if !self.leave(&mut connection, presence) {
                                break 'connection End::Stop;
                            }
                        }
                        None => break 'connection End::Stop,
                    },
                }
            };
            match event {
                Ok(event) => {
                    if let Some(end) = self.handle(&mut connection, event) {
                        break end;
                    }
                }
                Err(_) if connection.leaving => break End::Stop,
                Err(error) => {
                    break End::Lost(advice::explain(&error, self.kiosk(), &self.setup.config));
                }
            }
        };
        let held = match connection.up_since {
            None => Held::Never,
            Some(since) if since.elapsed() < GOOD_AFTER => Held::Briefly,
            Some(_) => Held::Long,
        };
        if connection.up_since.is_some() {
            self.slot(None);
            // Must arrive: the engine counts on a pair of up and down.
            drop(self.setup.events.send((self.setup.wrap)(LinkEvent::Down)).await);
        }
        (end, held)
    }

    /// Queues the last word; `false` when nobody would hear it.
    fn leave(&self, connection: &mut Connection, presence: Vec<u8>) -> bool {
        if connection.up_since.is_none() {
            return false;
        }
        connection.leaving = true;
        // What takes longer than this is cut off; the will then speaks for us.
        connection.silent_at = Instant::now() + GOODBYE_LIMIT;
        let topic = Topic::new(self.kiosk().clone(), Channel::Presence).to_string();
        self.slot(None);
        connection.client.try_publish(topic, qos(Channel::Presence), true, presence).is_ok()
            && connection.client.try_disconnect().is_ok()
    }

    fn handle(&mut self, connection: &mut Connection, event: Event) -> Option<End> {
        match event {
            Event::Incoming(packet) => {
                if !connection.leaving {
                    connection.silent_at = Instant::now() + self.silence();
                }
                self.incoming(connection, packet)
            }
            Event::Outgoing(Outgoing::Disconnect) if connection.leaving => Some(End::Stop),
            Event::Outgoing(_) => None,
        }
    }

    fn incoming(&mut self, connection: &mut Connection, packet: Incoming) -> Option<End> {
        match packet {
            Incoming::ConnAck(_) => {
                let filters =
                    Topic::agent_filters(self.kiosk()).map(|path| Filter::new(path, QoS::AtLeastOnce));
                if connection.client.try_subscribe_many(filters).is_err() {
                    return Some(End::Lost("the subscription found no room".into()));
                }
                None
            }
            Incoming::SubAck(ack) => {
                if ack.return_codes.iter().any(|code| !matches!(code, SubscribeReasonCode::Success(_))) {
                    return Some(End::Lost("the broker refuses our subscriptions: look at its ACL".into()));
                }
                let session = connection.session;
                connection.up_since = Some(Instant::now());
                self.slot(Some(connection.client.clone()));
                tracing::info!(broker = %self.setup.config.endpoint, %session, "connected");
                self.tell(LinkEvent::Up { session })
            }
            Incoming::Publish(publish) => self.message(&publish),
            _ => None,
        }
    }

    fn message(&mut self, publish: &Publish) -> Option<End> {
        let topic = std::str::from_utf8(&publish.topic).ok().and_then(|text| Topic::parse(text).ok());
        let Some(topic) = topic.filter(|topic| topic.kiosk == self.setup.kiosk) else {
            tracing::warn!(topic = %String::from_utf8_lossy(&publish.topic), "a message that is not for us");
            return None;
        };
        if publish.retain {
            // Neither channel is retained: somebody plays with the broker.
            tracing::warn!(channel = %topic.channel, "a retained message on a channel that is not retained");
            return None;
        }
        let payload = publish.payload.to_vec();
        match topic.channel {
            Channel::Ack => self.tell(LinkEvent::Ack(payload)),
            Channel::Command => self.tell(LinkEvent::Command(payload)),
            _ => None,
        }
    }

    /// Never waits: an ack comes again, a command is sent again, and a loop this far behind is being watched.
    fn tell(&mut self, event: LinkEvent) -> Option<End> {
        let is_up = matches!(event, LinkEvent::Up { .. });
        match self.setup.events.try_send((self.setup.wrap)(event)) {
            Ok(()) => None,
            Err(TrySendError::Closed(_)) => Some(End::Stop),
            Err(TrySendError::Full(_)) if is_up => Some(End::Lost("the agent is too busy".into())),
            Err(TrySendError::Full(_)) => {
                self.dropped += 1;
                tracing::warn!(dropped = self.dropped, "a message was dropped: the agent is too busy");
                None
            }
        }
    }
}
