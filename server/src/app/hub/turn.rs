//! What one turn of the loop takes from the queues, and in which order.
use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use kioskwatch_domain::fleet::{Beat, Heard, IncomingRecord, Input};
use kioskwatch_proto::KioskId;
use tokio::time::Instant;

use super::Hub;
use crate::{
    app::{Asked, Asker, REQUEST_QUEUE, decode},
    clock::Stopwatch,
    mqtt::{HELD_MS, Lane, LinkEvent, RECEIVE_QUEUE, Received, Room},
    panics::caught_at_once,
};

/// Messages of one lane decided in one plan and committed in one transaction: what a storm of reconnects takes of memory
/// at once is this many rows, more than once.
pub(super) const MAX_BATCH: usize = 1_000;
/// Heartbeats that wait for memory together: what they touch fits into the processor's nearest caches.
pub(super) const BEATS_TOGETHER: usize = 64;
/// Heartbeats are read this often at most, unless many wait: nobody waits for one, and to be woken for each costs more
/// than to hear it. They were stamped when they came.
const BEATS_EVERY: Duration = Duration::from_millis(50);
/// Journal records decided in one plan.
const MAX_BATCH_RECORDS: usize = 20_000;

/// Who waits for an answer, by the place of their input in the turn.
pub(super) type Replies = BTreeMap<usize, Asker>;

/// What one turn of the loop has gathered.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) inputs: Vec<Input>,
    pub(super) replies: Replies,
    records: usize,
    /// Not heard yet: older than whatever is put to the inputs next.
    beats: Vec<(Beat, Room)>,
    /// What the messages among the inputs take of their queues, until they are decided.
    pub(super) rooms: Vec<Room>,
}

impl Turn {
    pub(super) fn of(inputs: impl Into<Vec<Input>>) -> Self {
        Self { inputs: inputs.into(), ..Self::default() }
    }
}

impl Hub {
    /// Takes whatever else is waiting, so that one commit serves many: what must arrive before heartbeats.
    pub(super) fn drain(&mut self, turn: &mut Turn) {
        self.hear(turn);
        for _ in 0..REQUEST_QUEUE {
            let Ok(asked) = self.requests.try_recv() else { break };
            self.take_request(turn, asked);
        }
        while turn.inputs.len() < MAX_BATCH && turn.records < MAX_BATCH_RECORDS {
            let Some(event) = self.from_journal.try_recv() else { break };
            self.take_event(turn, event);
        }
        // Beside whatever the journals bring: who is heard must not be called silent.
        let most = turn.inputs.len() + MAX_BATCH;
        let mut none_waited = None;
        for _ in 0..RECEIVE_QUEUE {
            let at = self.app.clock().now();
            if self.from_beats.is_empty() {
                none_waited = Some(at);
                break;
            }
            if turn.inputs.len() + turn.beats.len() >= most {
                break;
            }
            let Some(event) = self.from_beats.try_recv() else { break };
            self.take_event(turn, event);
        }
        self.hear(turn);
        let many_wait = self.from_beats.waiting() >= BEATS_TOGETHER;
        self.beats_again = (!many_wait).then(|| Instant::now() + BEATS_EVERY);
        if let Some(at) = none_waited {
            // Whatever woke us, and whatever journals wait.
            self.beats_read = Stopwatch::start();
            self.read_to = at.plus_ms(-HELD_MS);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.from_journal.waiting() + self.from_beats.waiting()
    }

    pub(super) fn has_taken_all(&self) -> bool {
        self.from_journal.is_empty() && self.from_beats.is_empty()
    }

    pub(super) fn take_request(&self, turn: &mut Turn, asked: Asked) {
        // Whoever asked has gone: nothing is done behind their back.
        if asked.asker.has_gone() {
            return;
        }
        turn.replies.insert(turn.inputs.len(), asked.asker);
        turn.inputs.push(Input::Request { actor: asked.actor, request: asked.request });
    }

    pub(super) fn take_event(&mut self, turn: &mut Turn, (event, room): (LinkEvent, Room)) {
        if !matches!(event, LinkEvent::Message(_)) {
            self.hear(turn);
        }
        match event {
            LinkEvent::Message(received) => {
                self.take_message(turn, &received, room);
            }
            LinkEvent::Up(lane) => {
                tracing::info!(lane = lane.name(), "connected to the broker");
                let heard = self.hears();
                self.lanes_up[lane_index(lane)] = true;
                if !heard && self.hears() {
                    self.app.health().broker.store(true, Relaxed);
                    turn.inputs.push(Input::BrokerUp);
                }
            }
            LinkEvent::Loses(per_mille) => {
                let before = self.app.health().heartbeats_lost.swap(per_mille, Relaxed);
                match per_mille {
                    0 => tracing::info!("the broker drops no heartbeats any more"),
                    _ if before == 0 => tracing::warn!(
                        per_mille,
                        "the broker is sent more than we read and drops heartbeats of all kiosks: until that ends, who is \
                         silent is called offline later"
                    ),
                    _ => tracing::debug!(
                        per_mille,
                        "the share of heartbeats that the broker drops has changed"
                    ),
                }
                turn.inputs.push(Input::HeartbeatsLost { per_mille });
            }
            LinkEvent::Down(lane, reason, delivered) => {
                tracing::warn!(lane = lane.name(), reason, "not connected to the broker");
                let heard = self.hears();
                self.lanes_up[lane_index(lane)] = false;
                self.app.health().broker.store(false, Relaxed);
                if heard {
                    // What we might have heard until then, we did not: nobody is judged by it.
                    let deaf_ms = i64::try_from(delivered.elapsed().as_millis()).unwrap_or(i64::MAX);
                    turn.inputs.push(Input::BrokerDown { since: self.app.clock().now().plus_ms(-deaf_ms) });
                }
                // The next connection finds out by itself.
                if lane == Lane::Beats && self.app.health().heartbeats_lost.swap(0, Relaxed) > 0 {
                    turn.inputs.push(Input::HeartbeatsLost { per_mille: 0 });
                }
            }
        }
    }

    /// A defect of ours costs the message that met it: sent again, it would else end every server that starts.
    fn take_message(&self, turn: &mut Turn, received: &Received, room: Room) {
        let read = || {
            #[cfg(test)]
            super::tests::Defect::strike_reading(self.defect.as_ref(), received);
            decode::read(received, |raw| self.read_record(received, raw))
        };
        let read = match caught_at_once(read) {
            Ok(read) => read,
            Err(panic) => {
                let topic = topic_of(received);
                tracing::error!(topic, panic, "reading a message panicked: a defect of ours; it is dropped");
                self.app.counters().panicked("message");
                return;
            }
        };
        match read {
            Ok(decode::Message::Heartbeat(kiosk, message)) => {
                turn.beats.push((Beat { kiosk, received_at: received.at, message }, room));
                if turn.beats.len() == BEATS_TOGETHER {
                    self.hear(turn);
                }
            }
            Ok(decode::Message::Input(input)) => {
                if let Input::Batch { batch, .. } = &input {
                    turn.records += batch.records.len();
                }
                self.hear(turn);
                turn.inputs.push(input);
                turn.rooms.push(room);
            }
            Err(unreadable) => {
                self.app.counters().message(unreadable.channel, unreadable.reason);
                let kiosk = unreadable.kiosk.as_ref().map(KioskId::as_str);
                let (reason, detail) = (unreadable.reason, unreadable.detail);
                tracing::debug!(kiosk, channel = unreadable.channel, reason, detail, "message dropped");
            }
        }
    }

    /// A defect of ours costs the record that met it: it goes to quarantine under its number, and what stands
    /// behind it is not sent again for ever. At once, because reading knows nothing but the bytes: the next try
    /// would end as this one did.
    fn read_record(&self, received: &Received, raw: &str) -> IncomingRecord {
        let read = || {
            #[cfg(test)]
            super::tests::Defect::strike_record(self.defect.as_ref(), raw);
            IncomingRecord::read(raw)
        };
        caught_at_once(read).unwrap_or_else(|panic| {
            let topic = topic_of(received);
            tracing::error!(
                topic,
                panic,
                "reading a journal record panicked: a defect of ours; it is set aside"
            );
            self.app.counters().panicked("message");
            IncomingRecord::unread(raw, &format!("reading it panicked: {panic}"))
        })
    }

    /// Notes the heartbeats that were gathered; those that change more than that are decided with the turn.
    fn hear(&self, turn: &mut Turn) {
        if turn.beats.is_empty() {
            return;
        }
        let (beats, rooms): (Vec<Beat>, Vec<Room>) = turn.beats.drain(..).unzip();
        let heard = self.heard(&beats);
        self.app.counters().messages("heartbeat", "applied", heard.iter().flatten().count() as u64);
        for ((beat, room), heard) in beats.into_iter().zip(rooms).zip(heard) {
            if heard.is_some_and(|heard| heard.durable) {
                let Beat { kiosk, received_at, message } = beat;
                turn.inputs.push(Input::Heartbeat { kiosk, received_at, message });
                turn.rooms.push(room);
            }
        }
    }

    /// `None`: to hear that one panics. All before it are heard once more, which changes nothing.
    fn heard(&self, beats: &[Beat]) -> Vec<Option<Heard>> {
        let hear = || {
            #[cfg(test)]
            super::tests::Defect::strike_hearing(self.defect.as_ref(), beats);
            self.app.fleet_mut().heard_together(beats)
        };
        match (caught_at_once(hear), beats) {
            (Ok(heard), _) => heard.into_iter().map(Some).collect(),
            (Err(panic), [beat]) => {
                let kiosk = beat.kiosk.as_str();
                tracing::error!(
                    kiosk,
                    panic,
                    "hearing a heartbeat panicked: a defect of ours; it is dropped"
                );
                self.app.counters().panicked("message");
                vec![None]
            }
            (Err(_), _) => beats.chunks(1).flat_map(|beat| self.heard(beat)).collect(),
        }
    }
}

/// For people.
fn topic_of(received: &Received) -> String {
    String::from_utf8_lossy(&received.topic).chars().take(200).collect()
}

const fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Journal => 0,
        Lane::Beats => 1,
    }
}
