//! The only module that knows rumqttc.
//!
//! Every connection gets a client, an event loop and a session id of its own: nothing of a lost connection is
//! carried over, because the journal already holds what matters, and because a library that resumes by itself
//! is where connections have been seen to wedge. One task polls; everybody else hands over with
//! [`Mqtt::publish`], which never waits.
mod advice;
pub mod jitter;
mod link;
mod options;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use kioskwatch_proto::{
    KioskId, SessionId,
    limits::MAX_PAYLOAD_BYTES,
    presence::Presence,
    topic::{Channel, Topic},
};
use rumqttc::v5::{AsyncClient, mqttbytes::QoS};
use tokio::sync::mpsc;

pub use options::{OptionsError, check_files};

/// Unacknowledged publishes at one time; also what waits for the polling task. The default of the library
/// costs 14 MB of tables.
pub const WINDOW: u16 = 16;
/// Orders for the polling task.
const ORDERS: usize = 8;

/// What the loop hears from the broker.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkEvent {
    /// Connected and subscribed.
    Up {
        session: SessionId,
    },
    Down,
    /// A message on `ack`.
    Ack(Vec<u8>),
    /// A message on `command`.
    Command(Vec<u8>),
}

/// Why a message was not handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    #[error("not connected")]
    NotConnected,
    #[error("the window of unacknowledged messages is full")]
    WindowFull,
    #[error("{0} bytes are more than a payload may have")]
    TooLarge(usize),
}

enum Order {
    /// Give the connection up and make a new one.
    Rebuild { why: &'static str },
    /// Publish this last word and disconnect in order.
    Goodbye { presence: Vec<u8> },
}

type Slot = Arc<Mutex<Option<AsyncClient>>>;

/// What the will of a connection says, made anew for each session.
pub type WillOf = Box<dyn Fn(SessionId) -> Presence + Send>;

/// The handle of the connection.
#[derive(Debug)]
pub struct Mqtt {
    kiosk: KioskId,
    client: Slot,
    orders: mpsc::Sender<Order>,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// Everything a connection needs.
pub struct Setup<E> {
    pub kiosk: KioskId,
    pub config: crate::config::Mqtt,
    pub will: WillOf,
    pub events: mpsc::Sender<E>,
    pub wrap: fn(LinkEvent) -> E,
}

impl<E> std::fmt::Debug for Setup<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("kiosk", &self.kiosk).finish_non_exhaustive()
    }
}

impl Mqtt {
    /// Starts to connect, and never stops trying.
    pub fn start<E: Send + 'static>(setup: Setup<E>) -> Self {
        let kiosk = setup.kiosk.clone();
        let client = Slot::default();
        let (orders, receiver) = mpsc::channel(ORDERS);
        let task = tokio::spawn(link::Link::new(setup, client.clone(), receiver).run());
        Self { kiosk, client, orders, task: Mutex::new(Some(task)) }
    }

    /// Hands a message over with the QoS and retention of its channel. "Ok" means queued, no more.
    pub fn publish(&self, channel: Channel, payload: Vec<u8>) -> Result<(), NotSent> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(NotSent::TooLarge(payload.len()));
        }
        let slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let client = slot.as_ref().ok_or(NotSent::NotConnected)?;
        let topic = Topic::new(self.kiosk.clone(), channel).to_string();
        client.try_publish(topic, qos(channel), channel.retained(), payload).map_err(|_| NotSent::WindowFull)
    }

    pub fn is_connected(&self) -> bool {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The connection brings nothing through: make a new one.
    pub fn rebuild(&self, why: &'static str) {
        // A full queue already holds such an order.
        drop(self.orders.try_send(Order::Rebuild { why }));
    }

    /// Says goodbye with a last retained presence, disconnects in order, and ends the task.
    pub async fn goodbye(&self, presence: Vec<u8>) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.orders.send(Order::Goodbye { presence }).await.is_ok()
            && let Some(task) = task
        {
            drop(task.await);
        }
    }
}

fn qos(channel: Channel) -> QoS {
    if channel.qos() == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce }
}
