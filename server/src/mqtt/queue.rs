//! What one connection has received and the ingest has not taken yet: bounded in messages and in bytes.
//!
//! Each lane has its own, so that a storm on one takes no room from the other.
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{LinkEvent, Received};

/// Messages received and not yet taken, per connection.
pub const RECEIVE_QUEUE: usize = 8_192;
/// Their bytes, with those that are being decided: 190 of the largest messages, or more heartbeats than places.
const RECEIVE_BYTES: u32 = 12 << 20;
/// What a message takes beside its topic and payload.
const OVERHEAD_BYTES: usize = 256;

/// The ingest has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

/// Where a connection puts what it hears.
#[derive(Debug, Clone)]
pub struct Inlet {
    events: mpsc::Sender<(LinkEvent, Room)>,
    room: Arc<Semaphore>,
    in_hand: Arc<AtomicUsize>,
}

/// Where the ingest takes it.
#[derive(Debug)]
pub struct Outlet {
    events: mpsc::Receiver<(LinkEvent, Room)>,
    in_hand: Arc<AtomicUsize>,
}

/// The bytes of a message that was taken; given back when dropped.
#[derive(Debug)]
pub struct Room(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

/// A message that was received and stands in no queue yet.
struct InHand<'a>(&'a AtomicUsize);

impl<'a> InHand<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// An empty one.
pub fn queue() -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::channel(RECEIVE_QUEUE);
    let in_hand = Arc::new(AtomicUsize::new(0));
    let room = Arc::new(Semaphore::new(RECEIVE_BYTES as usize));
    (Inlet { events: sender, room, in_hand: Arc::clone(&in_hand) }, Outlet { events: receiver, in_hand })
}

impl Inlet {
    /// Waits for room. Who gives up waiting drops the message.
    pub async fn message(&self, received: Received) -> Result<(), Ended> {
        let _in_hand = InHand::new(&self.in_hand);
        let bytes = OVERHEAD_BYTES + received.topic.len() + received.payload.len();
        let bytes = u32::try_from(bytes).map_or(RECEIVE_BYTES, |bytes| bytes.min(RECEIVE_BYTES));
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| Ended)?;
        self.events.send((LinkEvent::Message(received), Room(Some(room)))).await.map_err(|_| Ended)
    }

    /// What the connection says of itself; needs a place and no bytes.
    pub async fn say(&self, event: LinkEvent) -> Result<(), Ended> {
        self.events.send((event, Room(None))).await.map_err(|_| Ended)
    }

    /// The same at once, if there is a place.
    pub(super) fn try_say(&self, event: LinkEvent) -> bool {
        self.events.try_send((event, Room(None))).is_ok()
    }

    /// Whether at least half of it is free.
    pub(super) fn has_room(&self) -> bool {
        self.events.capacity() >= RECEIVE_QUEUE / 2
            && self.room.available_permits() >= RECEIVE_BYTES as usize / 2
    }

    /// Messages that wait.
    pub fn waiting(&self) -> usize {
        self.events.max_capacity() - self.events.capacity()
    }
}

impl Outlet {
    /// `None`: the connection has ended.
    pub async fn recv(&mut self) -> Option<(LinkEvent, Room)> {
        self.events.recv().await
    }

    pub fn try_recv(&mut self) -> Option<(LinkEvent, Room)> {
        self.events.try_recv().ok()
    }

    pub fn waiting(&self) -> usize {
        self.events.len()
    }

    /// Nothing that was received is still to be taken, neither here nor in the hands of the connection: all but what came
    /// within [`HELD_MS`](super::HELD_MS).
    pub fn is_empty(&self) -> bool {
        // In this order: what leaves the hand is in the queue before.
        self.in_hand.load(SeqCst) == 0 && self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use kioskwatch_proto::Timestamp;

    use super::*;

    const LARGE: usize = 64 << 10;

    fn message(bytes: usize) -> Received {
        Received {
            topic: Bytes::from_static(b"kiosk/v1/00/K-1/journal"),
            payload: Bytes::from(vec![0; bytes]),
            retained: false,
            at: Timestamp(0),
        }
    }

    #[tokio::test]
    async fn a_lane_holds_so_many_bytes_and_what_was_decided_makes_room() {
        let (inlet, mut outlet) = queue();
        let fit = RECEIVE_BYTES as usize / (LARGE + OVERHEAD_BYTES + 23);
        for _ in 0..fit {
            inlet.message(message(LARGE)).await.unwrap();
        }
        assert!(!inlet.has_room() && outlet.waiting() == fit, "{fit} of {RECEIVE_QUEUE} places");
        let waiting = inlet.message(message(LARGE));
        tokio::pin!(waiting);
        assert_eq!((&mut waiting).now_or_never(), None);
        let taken: Vec<_> = std::iter::from_fn(|| outlet.try_recv()).collect();
        assert_eq!((&mut waiting).now_or_never(), None, "they are still being decided");
        assert!(!outlet.is_empty(), "one is in the hands of the connection");
        drop(taken);
        waiting.await.unwrap();
        assert!(outlet.try_recv().is_some() && outlet.is_empty() && inlet.has_room());
    }

    #[tokio::test]
    async fn a_message_that_was_given_up_is_in_nobodys_hands() {
        let (inlet, mut outlet) = queue();
        for _ in 0..RECEIVE_QUEUE {
            inlet.message(message(1)).await.unwrap();
        }
        {
            let waiting = inlet.message(message(1));
            tokio::pin!(waiting);
            assert_eq!((&mut waiting).now_or_never(), None);
            let told = inlet.say(LinkEvent::Up(super::super::Lane::Beats));
            assert_eq!(told.now_or_never(), None);
        }
        while outlet.try_recv().is_some() {}
        assert!(outlet.is_empty());
        drop(outlet);
        assert_eq!(inlet.message(message(1)).await, Err(Ended));
    }
}
