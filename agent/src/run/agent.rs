//! The running agent: the engine and the handles of everything that does what it asks.
use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt as _, stream::FuturesOrdered};
use kioskwatch_agent_core::{
    effect::{HeartbeatDraft, Token},
    engine::Engine,
    input::Input,
};
use kioskwatch_proto::{
    BootId, Epoch, KioskId, PeripheralName, SessionId, Timestamp,
    artifact::Progress,
    heartbeat::JournalHead,
    journal::Ack,
    local::{AgentStatus, HoldRequest},
    payload::parse_payload,
    presence::{Presence, PresenceState},
    topic::Channel,
};
use serde::Serialize;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Event, RunError, now};
use crate::{
    clock,
    courier::{Courier, CourierEvent},
    host::Sampler,
    journal::{Done, Journal, JournalError, Notice, Op, Reply},
    local_api::{Answer, Call, LocalApi, Request},
    mqtt::{LinkEvent, Mqtt},
    serial::{Port, PortEvent},
    watchdog::Notifier,
};

/// A request to the journal that is not on disk yet, and what hangs on it.
#[derive(Debug, Default)]
pub(super) struct Hanging {
    pub(super) tokens: Vec<Token>,
    pub(super) answer: Option<oneshot::Sender<Answer>>,
    /// Told only after what they may tell of is on disk.
    pub(super) messages: Vec<Message>,
    /// A new epoch begins with it: presence and inventory name the epoch.
    pub(super) announces: bool,
}

/// What the engine wants published.
#[derive(Debug)]
pub(super) enum Message {
    Heartbeat(HeartbeatDraft),
    Inventory,
    Progress(Progress),
}

/// What became of one request.
pub(super) type Written = (Hanging, Result<Result<Done, JournalError>, oneshot::error::RecvError>);
type Waiting = std::pin::Pin<Box<dyn Future<Output = Written> + Send>>;

pub(super) struct Agent {
    pub(super) kiosk: KioskId,
    pub(super) boot: BootId,
    pub(super) engine: Engine,
    pub(super) ports: BTreeMap<PeripheralName, Port>,
    pub(super) journal: Arc<Journal>,
    pub(super) mqtt: Arc<Mqtt>,
    pub(super) courier: Courier,
    pub(super) api: Option<LocalApi>,
    pub(super) sampler: Sampler,
    pub(super) notifier: Notifier,
    /// In the order of the requests.
    pub(super) waiting: FuturesOrdered<Waiting>,
    /// Open requests to hold, for listeners that come later.
    pub(super) holds: Vec<HoldRequest>,
    pub(super) session: Option<SessionId>,
    pub(super) acknowledged_at: Option<Timestamp>,
    pub(super) stopping: bool,
    /// The journal is another one than we began with; whether because the old one was damaged.
    pub(super) journal_replaced: Option<bool>,
}

impl Agent {
    /// One input, and what follows from it.
    pub(super) fn step(&mut self, input: Input) {
        self.step_for(input, None);
    }

    fn step_for(&mut self, input: Input, answer: Option<oneshot::Sender<Answer>>) {
        let mut effects = Vec::new();
        self.engine.step(now(), input, &mut effects);
        self.perform(effects, answer);
    }

    pub(super) fn happened(&mut self, event: Event) {
        match event {
            Event::Port(peripheral, event) => self.step(match event {
                PortEvent::Opened => Input::PortOpened { peripheral },
                PortEvent::Trouble(trouble) => Input::PortTrouble { peripheral, trouble },
                PortEvent::Bytes(bytes) => Input::Bytes { peripheral, bytes },
            }),
            Event::Link(LinkEvent::Up { session }) => self.connected(session),
            Event::Link(LinkEvent::Down) => {
                self.session = None;
                self.notifier.status("not connected to the broker; records are kept");
                self.courier.disconnected();
                self.step(Input::ConnectionDown);
            }
            Event::Link(LinkEvent::Ack(payload)) => self.acknowledged(&payload),
            Event::Link(LinkEvent::Command(payload)) => self.step(Input::Command(payload)),
            Event::Courier(CourierEvent::NewEpochWanted { resend_from, .. }) => self.new_epoch(resend_from),
            Event::Courier(CourierEvent::SnapshotWanted) => self.step(Input::SnapshotWanted),
            Event::Courier(CourierEvent::Notices(notices)) => self.noticed(notices),
            Event::Local(call) => self.asked(call),
        }
    }

    fn connected(&mut self, session: SessionId) {
        self.session = Some(session);
        self.notifier.status("connected");
        self.announce();
        self.courier.connected(session);
        self.step(Input::ConnectionUp { session });
    }

    /// Presence first: the server answers it with what it has of our journal.
    fn announce(&mut self) {
        let Some(session) = self.session else { return };
        let epoch = self.journal.head().borrow().epoch;
        let presence = self.presence(PresenceState::Online, session, None);
        if !self.publish(Channel::Presence, &presence) || !self.publish_inventory(epoch) {
            self.mqtt.rebuild("the connection takes no messages");
        }
    }

    fn presence(&self, state: PresenceState, session: SessionId, reason: Option<&str>) -> Presence {
        let epoch = self.journal.head().borrow().epoch;
        Presence {
            state,
            session,
            boot: self.boot,
            epoch,
            at: clock::wall(),
            reason: reason.map(str::to_owned),
        }
    }

    pub(super) fn publish_inventory(&self, epoch: Epoch) -> bool {
        self.publish(Channel::Inventory, &self.engine.inventory(epoch))
    }

    /// Hands a message over; what is not connected is not an error here.
    pub(super) fn publish(&self, channel: Channel, message: &impl Serialize) -> bool {
        let payload = serde_json::to_vec(message).expect("wire types have text keys and finite numbers");
        match self.mqtt.publish(channel, payload) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%channel, %error, "not sent");
                false
            }
        }
    }

    fn acknowledged(&mut self, payload: &[u8]) {
        let ack: Ack = match parse_payload(payload) {
            Ok(ack) => ack,
            Err(error) => {
                tracing::warn!(reason = error.reason(), %error, "an acknowledgement was dropped");
                return;
            }
        };
        if ack.upto > self.journal.head().borrow().acked {
            self.acknowledged_at = Some(clock::wall());
        }
        let server_time = ack.server_time;
        self.courier.acknowledged(ack);
        self.step(Input::ServerTime(server_time));
    }

    fn new_epoch(&mut self, resend_from: u64) {
        let old = self.journal.head().borrow().epoch;
        let epoch = Epoch(Uuid::new_v4());
        tracing::warn!(%old, new = %epoch, resend_from, "a new epoch begins");
        let op = Op::NewEpoch { epoch, first: self.engine.epoch_draft(old), resend_from };
        self.keep(vec![op], Hanging { announces: true, ..Hanging::default() });
    }

    /// Hands a request to the journal; what hangs on it happens when it is on disk.
    pub(super) fn keep(&mut self, ops: Vec<Op>, hanging: Hanging) {
        let reply: Reply<Done> = self.journal.write(ops);
        self.waiting.push_back(Box::pin(async move { (hanging, reply.await) }));
    }

    /// The next request that is on disk; waits for ever when none is under way.
    pub(super) async fn next_written(&mut self) -> Written {
        match self.waiting.next().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    pub(super) fn written(&mut self, (hanging, result): Written) -> Result<(), RunError> {
        let done = match result {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => {
                tracing::error!(%error, "a record was not kept");
                if let Some(answer) = hanging.answer {
                    drop(answer.send(Answer::NoRoom));
                }
                // A kiosk with a full disk still lives.
                self.send(hanging.messages);
                for token in hanging.tokens {
                    self.step(Input::NotStored(token));
                }
                return Ok(());
            }
            Err(_) => return Err(RunError::JournalGone),
        };
        if let Some(answer) = hanging.answer {
            let kept = done.written.iter().all(Option::is_some);
            drop(answer.send(if kept { Answer::Done } else { Answer::NoRoom }));
        }
        self.noticed(done.notices);
        self.send(hanging.messages);
        for token in hanging.tokens {
            self.step(Input::Stored(token));
        }
        if hanging.announces {
            self.announce();
        }
        Ok(())
    }

    fn noticed(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Evicted { records, snapshot_wanted } => {
                    if records > 0 {
                        tracing::warn!(
                            records,
                            snapshot_wanted,
                            "records were dropped to keep the journal's cap"
                        );
                    }
                    if snapshot_wanted {
                        self.step(Input::SnapshotWanted);
                    }
                }
                Notice::SetAside { path, reason } => {
                    tracing::error!(path = %path.display(), reason, "the journal was damaged and set aside");
                    self.journal_replaced = Some(true);
                }
                Notice::MovedIn => drop(self.journal_replaced.get_or_insert(false)),
                // Of the start alone.
                Notice::Roomless { .. } => {}
                Notice::DiskFull(full) => tracing::warn!(full, "room for the journal"),
            }
        }
    }

    fn asked(&mut self, call: Call) {
        let Call { request, answer } = call;
        // Whoever asked may be gone; then nobody is told.
        match request {
            Request::Input(local) => self.step_for(Input::Local(local), Some(answer)),
            Request::Status => drop(answer.send(Answer::Status(Box::new(self.status())))),
            Request::Holds => drop(answer.send(Answer::Holds(self.holds.clone()))),
        }
    }

    pub(super) fn journal_head(&self) -> JournalHead {
        let head = *self.journal.head().borrow();
        JournalHead { epoch: head.epoch, last_seq: head.last_seq, pending: head.pending() }
    }

    fn status(&self) -> AgentStatus {
        let snapshot = self.engine.snapshot(None);
        AgentStatus {
            kiosk: self.kiosk.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: self.boot,
            service: snapshot.service,
            connected: self.session.is_some(),
            acknowledged_at: self.acknowledged_at,
            journal: self.journal_head(),
            peripherals: snapshot.peripherals,
        }
    }

    /// Says goodbye to the broker in order, so that no will speaks for us, and lets go of everything.
    pub(super) async fn leave(self, reason: &str) {
        let presence =
            self.session.map(|session| self.presence(PresenceState::Planned, session, Some(reason)));
        let payload = presence.and_then(|p| serde_json::to_vec(&p).ok()).unwrap_or_default();
        drop(self.api);
        self.mqtt.goodbye(payload).await;
        self.courier.stop().await;
    }
}
