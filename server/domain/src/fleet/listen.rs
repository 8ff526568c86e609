//! Messages that are no records: birth, will, goodbye, inventory, and heartbeats that change something.
use std::sync::Arc;

use kioskwatch_proto::{
    BootId, Epoch, KioskId, SessionId, Timestamp,
    artifact::Progress,
    heartbeat::Heartbeat,
    inventory::Inventory,
    journal::{Ack, Digest},
    presence::{Presence, PresenceState},
};

use super::{
    Ix,
    count::{Count, MessageOutcome, SecurityEvent},
    draft::Draft,
    input::Input,
    kiosk::{Kiosk, Profile},
    live::{Began, LiveEdit},
};
use crate::{
    change::{Admission, Change, CommandEventRow, KioskRow},
    moment::Moment,
    policy::UnknownKiosks,
    presence::PresenceReason,
};

/// Two agents with one id are told about once in this time.
const TELL_AGAIN_MS: i64 = 60 * 60 * 1_000;
/// Kiosks that wait for approval; beyond it unknown ids are refused.
pub(super) const MAX_QUARANTINED: usize = 10_000;
/// Progress rows of one command; its states are written in any case.
const MAX_PROGRESS_ROWS: u16 = 200;

impl Draft<'_> {
    pub(super) fn take(&mut self, position: usize, input: &Input) {
        // Received before our clock was set back: nothing comes from the future.
        let heard = |at: &Timestamp| (*at).min(self.now);
        match input {
            Input::ServerStarted { server, last_alive_at } => self.server_started(*server, *last_alive_at),
            Input::BrokerUp => self.broker_up(),
            Input::ReadsAgain => self.reads_again(),
            Input::BrokerDown { since } => self.broker_down(*since),
            Input::HeartbeatsLost { per_mille } => self.heartbeats_lost(*per_mille),
            Input::ClockJumped { before } => self.clock_jumped(*before),
            Input::Read { to } => self.server_mut().read_to = Some(*to),
            Input::Sweep => self.sweep(),
            Input::SweepPart(looks) => self.sweep_part(looks),
            Input::LookFailed { look, reason } => self.look_failed(*look, reason),
            Input::FlushLiveness { share, heard_to } => self.flush_liveness(*share, *heard_to),
            Input::Presence { kiosk, received_at, retained, message } => {
                self.presence(kiosk, heard(received_at), *retained, message);
            }
            Input::Inventory { kiosk, received_at, message, raw } => {
                self.inventory(kiosk, heard(received_at), message, raw);
            }
            Input::Heartbeat { kiosk, received_at, message } => {
                self.heartbeat(kiosk, heard(received_at), message);
            }
            Input::Batch { kiosk, received_at, batch } => self.batch(kiosk, heard(received_at), batch),
            Input::RecordFailed { kiosk, epoch, seq, reason } => {
                self.record_failed(kiosk, *epoch, *seq, reason);
            }
            Input::Flood { kiosk } => self.flood(kiosk),
            Input::FloodEnded { kiosk, since, until, dropped } => {
                if self.find(kiosk).is_some() {
                    let detail = serde_json::json!({ "since": since, "until": until, "dropped": dropped });
                    self.audit("flood_ended", format!("kiosk/{kiosk}"), &detail);
                }
            }
            Input::Progress { kiosk, received_at, message } => {
                self.progress(kiosk, heard(received_at), message);
            }
            Input::Request { actor, request } => {
                let reply = self.request(actor, request);
                self.replies.push((position, reply));
            }
        }
    }

    /// The kiosk, registered now if nobody did and the policy wants to see it.
    pub(super) fn meet(&mut self, id: &KioskId) -> Option<Ix> {
        if let Some(ix) = self.find(id) {
            return Some(ix);
        }
        let admission = match self.policy.unknown_kiosks {
            UnknownKiosks::Quarantine if self.waiting_for_approval() < MAX_QUARANTINED => {
                self.over.met += 1;
                Admission::Quarantined
            }
            UnknownKiosks::Quarantine | UnknownKiosks::Refuse => {
                self.count(Count::Message(MessageOutcome::Refused));
                return None;
            }
            UnknownKiosks::Accept => Admission::Accepted,
        };
        let mut kiosk = Kiosk::new(id.clone(), admission, self.now);
        let commissioned_at = (admission == Admission::Accepted).then_some(self.now);
        kiosk.commissioned_at = commissioned_at.map(Moment::from);
        self.rows.push(Change::Kiosk(KioskRow {
            id: id.clone(),
            site: None,
            admission,
            model: String::new(),
            serial_no: String::new(),
            commissioned_at,
            decommissioned_at: None,
            updated_at: self.now,
        }));
        let detail = serde_json::json!({ "admission": admission.as_str(), "policy": self.policy.version });
        self.audit("kiosk_seen_first", format!("kiosk/{id}"), &detail);
        Some(self.add_kiosk(kiosk))
    }

    fn waiting_for_approval(&self) -> usize {
        self.fleet.quarantined + self.over.met
    }

    /// Whether the journal of a kiosk is acknowledged.
    pub(super) fn is_admitted(&self, ix: Ix) -> bool {
        self.kiosk(ix).in_service(self.now)
    }

    fn presence(&mut self, id: &KioskId, at: Timestamp, retained: bool, message: &Presence) {
        let Some(ix) = self.meet(id) else { return };
        let current = self.live(ix).session == Some(message.session);
        match message.state {
            PresenceState::Online => {
                self.note_connection(
                    ix,
                    message.session,
                    message.boot,
                    Began { sent_at: message.at.into(), at: at.into() },
                );
                if !retained {
                    self.edit_live(ix, LiveEdit::Life { at });
                    self.alive(ix, at, PresenceReason::Birth);
                }
                self.acknowledge(ix, message.epoch);
            }
            PresenceState::Offline | PresenceState::Planned if !current => {
                self.count(Count::Message(MessageOutcome::StaleWill));
                return;
            }
            PresenceState::Offline => {
                self.edit_live(ix, LiveEdit::Will { at });
                // The sweep judges: what was heard after the will may be the next input.
                self.arm(ix);
            }
            PresenceState::Planned => {
                // A retained one comes with our start; it was said between the last sign of life and now.
                let earliest = self.live(ix).last_seen().map_or(at, |seen| seen.min(at));
                let said_at = if retained { message.at.clamp(earliest, at) } else { at };
                self.goodbye(ix, said_at);
            }
        }
        self.count(Count::Message(MessageOutcome::Applied));
    }

    /// A connection or a run of the machine we may not know yet.
    fn note_connection(&mut self, ix: Ix, session: SessionId, boot: BootId, began: Began) {
        let second_voice = self.live(ix).is_second_voice(session, boot);
        if self.live(ix).session != Some(session) {
            self.edit_live(ix, LiveEdit::Session { session, began });
        }
        let state = &self.kiosk(ix).state;
        if state.session != Some(session) || state.boot != Some(boot) {
            let state = &mut self.kiosk_mut(ix).state;
            state.session = Some(session);
            state.boot = Some(boot);
        }
        if second_voice {
            self.two_agents(ix, "a connection or boot that had been replaced speaks again");
        }
    }

    pub(super) fn two_agents(&mut self, ix: Ix, how: &str) {
        self.count(Count::Security(SecurityEvent::TwoAgents));
        let told = self.live(ix).rare().two_agents_at;
        if told.is_none_or(|at| self.now.since(at) >= TELL_AGAIN_MS) {
            self.edit_live(ix, LiveEdit::TwoAgents { at: self.now });
            self.security(SecurityEvent::TwoAgents, ix, &format!("two agents use this id: {how}"));
        }
    }

    /// The kiosk is neither punished nor judged by it: what got through still counts.
    fn flood(&mut self, id: &KioskId) {
        self.count(Count::Security(SecurityEvent::Flood));
        if let Some(ix) = self.find(id) {
            let text = "it sends far more than an agent does; what is too much is dropped unread";
            self.security(SecurityEvent::Flood, ix, text);
        }
    }

    fn heartbeat(&mut self, id: &KioskId, at: Timestamp, beat: &Heartbeat) {
        let Some(ix) = self.meet(id) else { return };
        if self.live(ix).is_overtaken(at, beat) {
            self.count(Count::Message(MessageOutcome::Overtaken));
            return;
        }
        self.note_connection(ix, beat.session, beat.boot, Began { sent_at: beat.at.into(), at: at.into() });
        let proved = self.kiosk(ix).proves(beat.service, true);
        self.edit_live(ix, LiveEdit::Beat { at, beat: Box::new(beat.clone()), proved });
        self.alive(ix, at, PresenceReason::Heartbeat);
        self.arm(ix);
        let journal = beat.journal;
        self.follow_epoch(ix, journal.epoch, at);
        let known = self.kiosk(ix).head(journal.epoch).map(|head| head.upto);
        // The agent must hear where we are: it never told us this epoch, or it lost what it had sent.
        let behind = known.map_or(journal.last_seq > 0, |upto| journal.last_seq < upto);
        if behind || self.has_outlived(ix, journal.epoch) {
            self.acknowledge(ix, journal.epoch);
        }
        self.count(Count::Message(MessageOutcome::Applied));
    }

    /// Of a disk that was copied, one copy began a newer epoch, which moves the current state. When only the other
    /// one is heard for as long as a silent kiosk is waited for, it is the kiosk. Time in which we were deaf, or in
    /// which the fleet still reconnects, says nothing about the silent one.
    pub(super) fn follow_epoch(&mut self, ix: Ix, epoch: Epoch, at: Timestamp) {
        let outlived = self.is_given_up(ix, epoch);
        let since = self.live(ix).rare().outlived_since;
        if outlived != since.is_some() {
            self.edit_live(ix, LiveEdit::Outlived { since: outlived.then_some(at) });
        }
    }

    /// Whether a later epoch took over from this one.
    fn is_given_up(&self, ix: Ix, epoch: Epoch) -> bool {
        let kiosk = self.kiosk(ix);
        kiosk.state.epoch.is_some_and(|current| current != epoch) && kiosk.head(epoch).is_some()
    }

    fn has_outlived(&self, ix: Ix, epoch: Epoch) -> bool {
        let live = self.live(ix);
        let missed_heartbeats = i64::from(self.policy.presence.missed_heartbeats);
        let patience = i64::from(live.longest_interval_s()) * 1_000 * missed_heartbeats;
        let server = self.server();
        let alone = live.rare().outlived_since.is_some_and(|since| {
            let since = since.max(server.settled_at);
            self.now.since(since) >= patience + server.doubt.between(since, self.now)
        });
        alone && self.is_given_up(ix, epoch)
    }

    /// Says how far a journal is applied; 0 if it was never seen.
    pub(super) fn acknowledge(&mut self, ix: Ix, epoch: Epoch) {
        if !self.is_admitted(ix) {
            self.count(Count::Message(MessageOutcome::NotAdmitted));
            return;
        }
        if self.unreadable.contains(&(ix, epoch)) {
            self.count(Count::Message(MessageOutcome::JournalUnreadable));
            return;
        }
        let head = self.kiosk(ix).head(epoch);
        let (upto, mut digest) = head.map_or((0, None), |head| (head.upto, head.digest));
        if self.has_outlived(ix, epoch) {
            // What no agent holds: by the contract it then begins an epoch of its own.
            digest = Some(Digest::of(digest.map(|digest| digest.to_string()).unwrap_or_default().as_bytes()));
        }
        let ack = self.acks.entry((ix, epoch)).or_insert_with(|| Ack {
            epoch,
            upto,
            digest,
            server_time: self.now,
            rejected: Vec::new(),
        });
        (ack.upto, ack.digest) = (upto, digest);
    }

    fn inventory(&mut self, id: &KioskId, _at: Timestamp, message: &Inventory, raw: &Arc<str>) {
        let Some(ix) = self.meet(id) else { return };
        let digest = Digest::of(raw.as_bytes());
        // A retained message comes back at every connect; only a new text makes a row.
        if self.kiosk(ix).state.inventory != Some(digest) {
            let state = &mut self.kiosk_mut(ix).state;
            state.profile = Some(Arc::new(Profile::of(message)));
            state.inventory = Some(digest);
            self.inventories.insert(ix, raw.clone());
        }
        self.count(Count::Message(MessageOutcome::Applied));
    }

    fn progress(&mut self, id: &KioskId, _at: Timestamp, message: &Progress) {
        let known = self.command(message.command).filter(|row| row.kiosk == *id).map(|row| row.state);
        let Some(state) = known else {
            self.count(Count::Message(MessageOutcome::UnknownCommand));
            return;
        };
        let progress = &self.over.progress;
        let before = progress.get(&message.command).or_else(|| self.fleet.progress.get(&message.command));
        let rows = before.copied().unwrap_or(0);
        if rows >= MAX_PROGRESS_ROWS {
            self.count(Count::Message(MessageOutcome::TooMuchProgress));
            return;
        }
        self.over.progress.insert(message.command, rows + 1);
        self.rows.push(Change::CommandEvent(CommandEventRow {
            command: message.command,
            at: message.at.min(self.now),
            state,
            step: message.step.clone(),
            percent: message.percent,
            line: message.line.clone(),
        }));
        self.count(Count::Message(MessageOutcome::Applied));
    }
}
