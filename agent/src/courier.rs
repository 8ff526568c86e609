//! Carries the journal to the server: asks the core what to send, reads it, hands it to the broker.
//!
//! A task of its own, because it waits for the journal; the loop never does.
use std::sync::Arc;

use kioskwatch_agent_core::{
    delivery::{Delivery, DeliveryConfig, DeliveryInput, DeliveryOutput, NewEpochReason, Turn},
    journal::{Entry, JournalView, ReadLimit},
};
use kioskwatch_proto::{
    Epoch, SessionId,
    journal::{Ack, Batch, Digest},
    topic::Channel,
};
use serde_json::value::RawValue;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    clock,
    journal::{Head, Journal, Notice, Op},
    mqtt::Mqtt,
};

/// Acknowledgements that may wait for the courier.
const QUEUE: usize = 64;

/// The connection there is.
type Link = Option<SessionId>;

/// What the courier tells the loop.
#[derive(Debug, PartialEq)]
pub enum CourierEvent {
    /// The server knows other records under our numbers: begin a new epoch.
    NewEpochWanted { reason: NewEpochReason, resend_from: u64 },
    /// The server lost records that we no longer hold: tell it the whole state.
    SnapshotWanted,
    /// The journal did something on its own while an acknowledgement was written.
    Notices(Vec<Notice>),
}

/// The handle of the courier's task.
#[derive(Debug)]
pub struct Courier {
    /// A state and no message: it is never lost, however long the courier waits for the disk.
    link: watch::Sender<Link>,
    /// Each with the connection it came by.
    acks: mpsc::Sender<(Link, Ack)>,
    task: JoinHandle<()>,
}

impl Courier {
    pub fn start<E: Send + 'static>(
        config: DeliveryConfig,
        journal: Arc<Journal>,
        mqtt: Arc<Mqtt>,
        events: mpsc::Sender<E>,
        wrap: fn(CourierEvent) -> E,
    ) -> Self {
        let (acks, heard) = mpsc::channel(QUEUE);
        let (link, connection) = watch::channel(None);
        let head = journal.head();
        let task = Task {
            delivery: Delivery::new(config),
            view: View::new(&head),
            head,
            journal,
            mqtt,
            events,
            wrap,
            epoch_pause: EpochPause::default(),
        };
        Self { link, acks, task: tokio::spawn(task.run(connection, heard)) }
    }

    /// Ends the task and lets go of the journal.
    pub async fn stop(self) {
        self.task.abort();
        // Ended by us: that it was cancelled is no news.
        drop(self.task.await);
    }

    pub fn connected(&self, session: SessionId) {
        self.link.send_replace(Some(session));
    }

    pub fn disconnected(&self) {
        self.link.send_replace(None);
    }

    pub fn acknowledged(&self, ack: Ack) {
        let link = *self.link.borrow();
        if self.acks.try_send((link, ack)).is_err() {
            tracing::warn!("an acknowledgement was dropped: the journal is slow; it comes again");
        }
    }
}

/// The journal as the core wants to see it. The one digest it may ask for is looked up beforehand.
struct View {
    head: Head,
    digest: Option<(u64, Digest)>,
}

impl View {
    fn new(head: &watch::Receiver<Head>) -> Self {
        Self { head: *head.borrow(), digest: None }
    }
}

impl JournalView for View {
    fn epoch(&self) -> Epoch {
        self.head.epoch
    }
    fn first(&self) -> u64 {
        self.head.first
    }
    fn last(&self) -> u64 {
        self.head.last_seq
    }
    fn acked(&self) -> u64 {
        self.head.acked
    }
    fn digest(&self, seq: u64) -> Option<Digest> {
        self.digest.filter(|(of, _)| *of == seq).map(|(_, digest)| digest)
    }
}

struct Task<E> {
    delivery: Delivery,
    view: View,
    head: watch::Receiver<Head>,
    journal: Arc<Journal>,
    mqtt: Arc<Mqtt>,
    events: mpsc::Sender<E>,
    wrap: fn(CourierEvent) -> E,
    epoch_pause: EpochPause,
}

/// New epochs come at growing distances: a server that contradicts every one of them must not fill the disk.
#[derive(Default)]
struct EpochPause {
    /// The epoch whose end was already asked for.
    asked: Option<Epoch>,
    last_at: Option<u64>,
    pause_ms: u64,
}

const FIRST_EPOCH_PAUSE_MS: u64 = 1_000;
const MAX_EPOCH_PAUSE_MS: u64 = 15 * 60 * 1000;
/// A disk is restored or cloned once; after this long without another contradiction the next is news.
const EPOCH_PAUSE_FORGOTTEN_MS: u64 = 60 * 60 * 1000;

impl EpochPause {
    /// How long to wait before this epoch is replaced; `None` when that is already under way.
    fn wait(&mut self, epoch: Epoch, now: u64) -> Option<u64> {
        if self.asked.replace(epoch) == Some(epoch) {
            return None;
        }
        let since = self.last_at.map(|at| now.saturating_sub(at));
        self.pause_ms = match since {
            Some(ms) if ms < EPOCH_PAUSE_FORGOTTEN_MS => {
                (self.pause_ms * 2).clamp(FIRST_EPOCH_PAUSE_MS, MAX_EPOCH_PAUSE_MS)
            }
            _ => 0,
        };
        self.last_at = Some(now + self.pause_ms);
        Some(self.pause_ms)
    }
}

impl<E: Send + 'static> Task<E> {
    async fn run(mut self, mut link: watch::Receiver<Link>, mut acks: mpsc::Receiver<(Link, Ack)>) {
        loop {
            let wake = self.delivery.next_wake();
            let input = tokio::select! {
                // The connection before what came by it.
                biased;
                changed = link.changed() => match changed {
                    Ok(()) => link.borrow_and_update().map_or(DeliveryInput::Disconnected, DeliveryInput::Connected),
                    Err(_) => return,
                },
                ack = acks.recv() => match ack {
                    None => return,
                    Some((by, _)) if by != *link.borrow() => continue,
                    Some((_, ack)) => {
                        let digest = self.journal.digest(ack.upto).await;
                        self.view.digest = digest.ok().and_then(Result::ok).flatten().map(|d| (ack.upto, d));
                        DeliveryInput::Ack(ack)
                    }
                },
                changed = self.head.changed() => match changed {
                    Ok(()) => self.moved(),
                    Err(_) => return,
                },
                () = clock::sleep_until(wake) => DeliveryInput::Wake,
            };
            self.take(input).await;
        }
    }

    fn moved(&mut self) -> DeliveryInput {
        let head = *self.head.borrow_and_update();
        if head.epoch == self.view.head.epoch { DeliveryInput::Appended } else { DeliveryInput::EpochStarted }
    }

    /// One input, and everything that follows from it.
    async fn take(&mut self, input: DeliveryInput) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.view.head = *self.head.borrow();
            let turn = Turn { now: clock::mono_ms(), random: getrandom::u32().unwrap_or(0) };
            let mut outputs = Vec::new();
            self.delivery.step(turn, input, &self.view, &mut outputs);
            for output in outputs {
                inputs.extend(self.perform(output).await);
            }
        }
        self.view.digest = None;
    }

    async fn perform(&mut self, output: DeliveryOutput) -> Option<DeliveryInput> {
        match output {
            DeliveryOutput::Send { from, max_records, max_bytes } => {
                let records = usize::try_from(max_records).unwrap_or(usize::MAX);
                return Some(self.send(from, ReadLimit { records, bytes: max_bytes }).await);
            }
            DeliveryOutput::Acked { upto } => {
                let op = Op::Acked { upto, at: clock::wall() };
                if let Ok(Ok(done)) = self.journal.write(vec![op]).await
                    && !done.notices.is_empty()
                {
                    self.tell(CourierEvent::Notices(done.notices)).await;
                }
                tracing::debug!(upto, "the server has committed");
            }
            DeliveryOutput::StartNewEpoch { reason, resend_from } => {
                let pause_ms = self.epoch_pause.wait(self.view.head.epoch, clock::mono_ms())?;
                tracing::error!(
                    ?reason,
                    resend_from,
                    pause_ms,
                    "the server knows other records under our numbers"
                );
                let event = (self.wrap)(CourierEvent::NewEpochWanted { reason, resend_from });
                let events = self.events.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
                    drop(events.send(event).await);
                });
            }
            DeliveryOutput::Rejected(all) => {
                for rejected in all {
                    tracing::warn!(
                        seq = rejected.seq,
                        reason = rejected.reason,
                        "the server refused a record"
                    );
                }
            }
            DeliveryOutput::Ignored(why) => tracing::info!(?why, "an acknowledgement changed nothing"),
            DeliveryOutput::SnapshotWanted => {
                tracing::warn!("the server was restored to before our oldest record: the whole state again");
                self.tell(CourierEvent::SnapshotWanted).await;
            }
            DeliveryOutput::Stalled => self.mqtt.rebuild("no acknowledgement for too long"),
        }
        None
    }

    async fn tell(&self, event: CourierEvent) {
        // The receiver is gone only when the agent ends.
        drop(self.events.send((self.wrap)(event)).await);
    }

    async fn send(&self, from: u64, limit: ReadLimit) -> DeliveryInput {
        let entries = match self.journal.read(from, limit).await {
            Ok(Ok(entries)) => entries,
            Ok(Err(error)) => {
                tracing::error!(%error, from, "records could not be read");
                return DeliveryInput::NotSent;
            }
            Err(_) => return DeliveryInput::NotSent,
        };
        let Some(last) = entries.last() else { return DeliveryInput::NotSent };
        let (through, records) = (last.through, entries.len() as u64);
        let head = self.view.head;
        match self.mqtt.publish(Channel::Journal, batch(head.epoch, head.first, &entries)) {
            Ok(()) => {
                tracing::debug!(from, through, records, "records sent");
                DeliveryInput::Sent { through, records }
            }
            Err(error) => {
                tracing::debug!(%error, from, "records not sent");
                DeliveryInput::NotSent
            }
        }
    }
}

/// The message: each record as the exact bytes that were stored.
fn batch(epoch: Epoch, first: u64, entries: &[Entry]) -> Vec<u8> {
    let records =
        entries.iter().filter_map(|entry| serde_json::from_str::<&RawValue>(&entry.json).ok()).collect();
    serde_json::to_vec(&Batch { epoch, first, records }).expect("raw JSON and numbers serialise")
}

#[cfg(test)]
mod tests {
    use kioskwatch_proto::{
        KioskId, Timestamp,
        presence::{Presence, PresenceState},
    };

    use super::*;
    use crate::{config, journal::JournalConfig, mqtt::Setup};

    #[tokio::test]
    async fn a_connection_is_noticed_however_many_acknowledgements_wait() {
        let dir = std::env::temp_dir().join(format!("kioskwatch-courier-{}", uuid::Uuid::new_v4()));
        let config = JournalConfig::new(dir.join("journal.sqlite"), 0, 0);
        let (journal, opened) = Journal::open(&config).unwrap();
        let fault = kioskwatch_agent_core::journal_suite::fault(1);
        journal.write(vec![Op::Record(fault)]).await.unwrap().unwrap();
        let (_guard, mut lines) = crate::heard_log::heard_log(tracing::Level::DEBUG);
        let text =
            "[kiosk]\nid = \"K-1\"\n[gate]\napplication = \"none\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n";
        let config = config::parse("test", text, config::Environment::default()).unwrap();
        let boot = kioskwatch_proto::BootId(uuid::Uuid::nil());
        let (epoch, at, state) = (opened.head.epoch, Timestamp(0), PresenceState::Offline);
        let will = move |session| Presence { state, session, boot, epoch, at, reason: None };
        let (events, _heard) = mpsc::channel(4);
        let kiosk = KioskId::new("K-1").unwrap();
        let setup = Setup { kiosk, config: config.mqtt, will: Box::new(will), events, wrap: drop };
        let (events, _told) = mpsc::channel(4);
        let patient = DeliveryConfig { wait_for_ack_ms: 0, ..DeliveryConfig::default() };
        let courier =
            Courier::start(patient, Arc::new(journal), Arc::new(Mqtt::start(setup)), events, |_| ());
        // Its task has not run yet, as if it waited for the disk.
        let ack = Ack {
            epoch: opened.head.epoch,
            upto: 0,
            digest: None,
            rejected: Vec::new(),
            server_time: Timestamp(0),
        };
        (0..2 * QUEUE).for_each(|_| courier.acknowledged(ack.clone()));
        courier.connected(SessionId(uuid::Uuid::from_u128(1)));
        let sends = async { while !lines.recv().await.unwrap().contains("records not sent") {} };
        tokio::time::timeout(std::time::Duration::from_secs(30), sends).await.expect("it tries to send");
        courier.stop().await;
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn new_epochs_come_at_growing_distances_and_once_for_each_epoch() {
        let epoch = |n| Epoch(uuid::Uuid::from_u128(n));
        let mut pause = EpochPause::default();
        assert_eq!(pause.wait(epoch(1), 0), Some(0));
        assert_eq!(pause.wait(epoch(1), 5), None);
        assert_eq!(pause.wait(epoch(2), 10), Some(1_000));
        assert_eq!(pause.wait(epoch(3), 1_500), Some(2_000));
        let late = 1_500 + 2_000 + EPOCH_PAUSE_FORGOTTEN_MS;
        assert_eq!(pause.wait(epoch(4), late), Some(0));
    }

    #[test]
    fn a_batch_carries_the_stored_bytes_unchanged() {
        let json = r#"{"seq":3,"kind":"weather",  "spaced":1.50}"#;
        let entry = Entry { seq: 3, through: 3, json: json.to_owned() };
        let text = String::from_utf8(batch(Epoch(uuid::Uuid::nil()), 2, &[entry])).unwrap();
        assert!(text.contains(json) && text.contains("\"first\":2"), "{text}");
    }
}
