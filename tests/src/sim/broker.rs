//! The broker: who is connected, what is retained, and whose will is published. It can lose everything.
use std::{collections::BTreeMap, sync::Arc};

use kioskwatch_proto::{
    Epoch, KioskId, heartbeat::Heartbeat, inventory::Inventory, presence::Presence, presence::PresenceState,
};

/// A message of a kiosk.
#[derive(Debug, Clone)]
pub(super) struct Up {
    pub(super) kiosk: KioskId,
    pub(super) body: UpBody,
}

#[derive(Debug, Clone)]
pub(super) enum UpBody {
    Presence(Presence),
    Inventory(Box<Inventory>),
    Heartbeat(Box<Heartbeat>),
    Journal { epoch: Epoch, first: u64, records: Vec<Arc<str>> },
}

/// Names one connection of a kiosk; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conn(pub u64);

#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) conn: Conn,
    pub(super) machine: usize,
    pub(super) will: Presence,
}

#[derive(Debug, Default)]
pub(super) struct Broker {
    pub(super) up: bool,
    /// By client id, which is the kiosk's: a second connection takes over.
    clients: BTreeMap<KioskId, Client>,
    presence: BTreeMap<KioskId, Presence>,
    inventory: BTreeMap<KioskId, Box<Inventory>>,
}

impl Broker {
    #[must_use]
    pub(super) fn new() -> Self {
        Self { up: true, ..Self::default() }
    }

    /// Everything is lost: connections, retained messages, wills.
    pub(super) fn die(&mut self) {
        *self = Self::default();
    }

    /// A new connection; the one it takes over from, if any.
    pub(super) fn connect(&mut self, kiosk: &KioskId, client: Client) -> Option<Client> {
        self.clients.insert(kiosk.clone(), client)
    }

    /// The connection ended; `None` when it was replaced before.
    pub(super) fn disconnect(&mut self, kiosk: &KioskId, conn: Conn) -> Option<Client> {
        if self.is_current(kiosk, conn) { self.clients.remove(kiosk) } else { None }
    }

    #[must_use]
    pub(super) fn is_current(&self, kiosk: &KioskId, conn: Conn) -> bool {
        self.clients.get(kiosk).is_some_and(|client| client.conn == conn)
    }

    #[must_use]
    pub(super) fn client(&self, kiosk: &KioskId) -> Option<&Client> {
        self.clients.get(kiosk)
    }

    /// Keeps what is retained.
    pub(super) fn take(&mut self, message: &Up) {
        match &message.body {
            UpBody::Presence(presence) => {
                self.presence.insert(message.kiosk.clone(), presence.clone());
            }
            UpBody::Inventory(inventory) => {
                self.inventory.insert(message.kiosk.clone(), inventory.clone());
            }
            UpBody::Heartbeat(_) | UpBody::Journal { .. } => {}
        }
    }

    /// What a server hears when it subscribes.
    #[must_use]
    pub(super) fn retained(&self) -> Vec<Up> {
        let presence = self
            .presence
            .iter()
            .map(|(kiosk, presence)| Up { kiosk: kiosk.clone(), body: UpBody::Presence(presence.clone()) });
        let inventory = self.inventory.iter().map(|(kiosk, inventory)| Up {
            kiosk: kiosk.clone(),
            body: UpBody::Inventory(inventory.clone()),
        });
        presence.chain(inventory).collect()
    }
}

/// The will as the broker publishes it.
#[must_use]
pub(super) fn will(kiosk: &KioskId, client: &Client) -> Up {
    let will = Presence { state: PresenceState::Offline, ..client.will.clone() };
    Up { kiosk: kiosk.clone(), body: UpBody::Presence(will) }
}
