//! The server's shell around the fleet: hears, plans, commits, adopts, tells; and dies where it is told to.
mod wrong;

use std::{collections::BTreeMap, sync::Arc};

use kioskwatch_domain::{
    change::{Admission, Change, KioskRow, SiteRow, Zone},
    fleet::{Actor, Beat, Fleet, IncomingRecord, Input, RecordBatch, Request},
    ids::Ids,
    image::FleetImage,
    policy::Policy,
    testing::memory_store::MemoryStore,
};
use kioskwatch_proto::{
    KioskId, SiteId, Timestamp, faults::Catalogue, journal::Ack, presence::PresenceState,
};

use super::{
    broker::{Up, UpBody},
    inspect::{Inspection, Ledgers},
    mistake::Mistake,
    story::Crash,
    tickets::Stirred,
};

pub(super) use wrong::RECOVER_HOLD_MS;

/// 2026-11-02T00:00:00Z: the beginning of every world.
const BEGINNING_MS: i64 = 1_793_577_600_000;
/// Not having read messages for longer than this is deafness.
const DEAF_AFTER_MS: i64 = 2_000;
/// A sweep comes at least this often.
const SWEEP_ANYWAY_MS: i64 = 10_000;
/// How old the image is that a cache would give.
const STALE_IMAGE_MS: i64 = 10 * 60_000;

/// True time on a clock that is right.
#[must_use]
pub(super) fn wall(now: i64) -> Timestamp {
    Timestamp(BEGINNING_MS + now)
}

/// What is on the server's disk, with our own count of what it applied.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    pub(super) store: MemoryStore,
    /// How often each record of the ledger is applied.
    pub(super) applied: BTreeMap<usize, u32>,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) disk: Disk,
    backup: Option<Disk>,
    cached: Option<(i64, FleetImage)>,
    policy: Arc<Policy>,
    mistake: Option<Mistake>,
    pub(super) fleet: Option<Fleet>,
    ids: Ids,
    inbox: Vec<Input>,
    /// Came together and are not heard yet: older than whatever is put into the inbox next.
    beats: Vec<Beat>,
    /// What arrived while a commit was tried again and again.
    waiting: Vec<(i64, Up, bool)>,
    pub(super) failing: u32,
    stuck: bool,
    pub(super) crash: Option<Crash>,
    /// The connection to the broker.
    pub(super) linked: bool,
    told_up: bool,
    last_turn: i64,
    /// What its wall clock shows more than is true.
    clock_ahead_ms: i64,
    /// Jumped by so much while a commit was tried again and again: noticed afterwards.
    unnoticed_jump_ms: i64,
    /// Who is called offline, and since when by silence: of a goodbye there is none.
    pub(super) offline: BTreeMap<KioskId, Option<i64>>,
    /// When the running server heard each kiosk, newest last.
    pub(super) heard: BTreeMap<KioskId, Vec<i64>>,
    pub(super) stirred: Stirred,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    Done,
    /// The commit failed: again in a moment.
    Again,
    Died,
}

impl Server {
    #[must_use]
    pub(super) fn new(seed: u64, mistake: Option<Mistake>) -> Self {
        Self {
            disk: Disk::default(),
            backup: None,
            cached: None,
            policy: wrong::policy(mistake),
            mistake,
            fleet: None,
            ids: Ids::seeded(u128::from(seed) << 32 | 0x5e7),
            inbox: Vec::new(),
            beats: Vec::new(),
            waiting: Vec::new(),
            failing: 0,
            stuck: false,
            crash: None,
            linked: false,
            told_up: false,
            last_turn: 0,
            clock_ahead_ms: 0,
            unnoticed_jump_ms: 0,
            offline: BTreeMap::new(),
            heard: BTreeMap::new(),
            stirred: Stirred::default(),
        }
    }

    pub(super) fn catalogue(&self) -> &Catalogue {
        &self.policy.catalogue
    }

    /// What its clock shows.
    #[must_use]
    pub(super) fn clock(&self, now: i64) -> Timestamp {
        wall(now).plus_ms(self.clock_ahead_ms)
    }

    /// By how much its clock is wrong, noticed or not.
    #[must_use]
    pub(super) fn clock_error_ms(&self) -> i64 {
        self.clock_ahead_ms + self.unnoticed_jump_ms
    }

    /// Its clock is set to another time. A running server notices before it does anything else.
    pub(super) fn jump(&mut self, now: i64, by_ms: i64) {
        if self.mistake == Some(Mistake::OwnClockJumpUnnoticed) {
            self.clock_ahead_ms += by_ms;
            return;
        }
        if self.stuck {
            self.unnoticed_jump_ms += by_ms;
            return;
        }
        self.hear_together();
        let before = self.clock(now);
        self.clock_ahead_ms += by_ms;
        let noticed = matches!(self.inbox.first(), Some(Input::ClockJumped { .. }));
        if self.fleet.is_some() && !noticed {
            self.inbox.insert(0, Input::ClockJumped { before });
        }
    }

    #[must_use]
    pub(super) fn has_work(&self) -> bool {
        self.fleet.is_some() && !(self.inbox.is_empty() && self.beats.is_empty())
    }

    pub(super) fn die(&mut self) {
        self.fleet = None;
        self.inbox.clear();
        self.beats.clear();
        self.waiting.clear();
        self.linked = false;
        self.told_up = false;
        self.stuck = false;
        self.clock_ahead_ms += std::mem::take(&mut self.unnoticed_jump_ms);
        self.heard.clear();
    }

    pub(super) fn back_up(&mut self) {
        self.backup = Some(self.disk.clone());
    }

    /// Puts the backup back. False when there is none.
    pub(super) fn restore(&mut self) -> bool {
        let Some(backup) = self.backup.clone() else { return false };
        self.disk = backup;
        true
    }

    /// A process starts from what the disk holds.
    pub(super) fn start(&mut self, now: i64) {
        let mut image = self.disk.store.image();
        match (self.mistake, &self.cached) {
            (Some(Mistake::HeadsForgotten), _) => image.heads.clear(),
            (Some(Mistake::StaleImage), Some((_, cached))) => image = cached.clone(),
            _ => {}
        }
        let last_alive_at = image.last_alive_at;
        self.fleet = Some(Fleet::from_image(self.policy.clone(), image));
        self.last_turn = now;
        let server = self.ids.uuid(self.clock(now));
        self.inbox.push(Input::ServerStarted { server, last_alive_at });
    }

    /// Registers the site and its kiosks: the first thing anybody does.
    pub(super) fn register(&mut self, kiosks: &[KioskId]) {
        let site = SiteId::new("S-1").expect("a good name");
        let actor = Actor { name: "setup".into() };
        let at = wall(0);
        let row = SiteRow {
            id: site.clone(),
            name: "the site".into(),
            region: "r".into(),
            customer: "c".into(),
            zone: Zone::Urban,
            timezone: "Asia/Shanghai".into(),
            service_hours: String::new(),
            contacts: "[]".into(),
            remote_consent: false,
            updated_at: at,
        };
        self.inbox.push(Input::Request { actor: actor.clone(), request: Request::PutSite(row) });
        for id in kiosks {
            let row = KioskRow {
                id: id.clone(),
                site: Some(site.clone()),
                admission: Admission::Accepted,
                model: "m".into(),
                serial_no: "s".into(),
                commissioned_at: Some(at),
                decommissioned_at: None,
                updated_at: at,
            };
            self.inbox.push(Input::Request { actor: actor.clone(), request: Request::PutKiosk(row) });
        }
    }

    pub(super) fn link_up(&mut self) {
        self.linked = true;
        if self.mistake == Some(Mistake::OwnDeafnessUnnoticed) && self.told_up {
            return;
        }
        self.told_up = true;
        self.hear_together();
        self.inbox.push(Input::BrokerUp);
    }

    pub(super) fn link_down(&mut self, now: i64) {
        if std::mem::take(&mut self.linked)
            && self.fleet.is_some()
            && self.mistake != Some(Mistake::OwnDeafnessUnnoticed)
        {
            self.hear_together();
            self.inbox.push(Input::BrokerDown { since: self.clock(now) });
        }
    }

    /// Whether a sweep has something to do: its own liveness every ten seconds, else what is due. A sweep
    /// more changes nothing.
    #[must_use]
    pub(super) fn is_due(&self, now: i64) -> bool {
        let due = |fleet: &Fleet| fleet.next_deadline().is_some_and(|at| at <= self.clock(now));
        now % SWEEP_ANYWAY_MS == 0 || self.fleet.as_ref().is_some_and(due)
    }

    /// A tick of the shell: silence of our own first, then the question.
    pub(super) fn tick(&mut self, now: i64, question: Input) {
        if self.fleet.is_none() || self.stuck {
            return;
        }
        if self.cached.as_ref().is_none_or(|(at, _)| now - at >= STALE_IMAGE_MS)
            && self.mistake == Some(Mistake::StaleImage)
        {
            self.cached = Some((now, self.disk.store.image()));
        }
        self.hear_together();
        self.inbox.push(question);
    }

    /// A message arrived.
    pub(super) fn receive(&mut self, now: i64, message: Up, retained: bool) {
        if self.stuck {
            self.waiting.push((now, message, retained));
            return;
        }
        let mut received_at = self.clock(now);
        if self.fleet.is_none() {
            return;
        }
        let kiosk = message.kiosk;
        let trusting = self.mistake == Some(Mistake::DeviceClockTrusted);
        let living = !retained && !matches!(message.body, UpBody::Inventory(_));
        let input = match message.body {
            UpBody::Presence(mut message) => {
                if message.state == PresenceState::Online && living {
                    hear(&mut self.heard, &kiosk, now);
                }
                match self.mistake {
                    Some(Mistake::WillIsVerdict) if message.state == PresenceState::Offline => {
                        message.state = PresenceState::Planned;
                    }
                    Some(Mistake::NoTimeAfterWill) if message.state == PresenceState::Offline => {
                        let heard = self.heard.get(&kiosk).and_then(|times| times.last());
                        received_at = heard.map_or(received_at, |&heard| self.clock(heard));
                    }
                    _ => {}
                }
                Input::Presence { kiosk, received_at, retained, message }
            }
            UpBody::Inventory(message) => {
                let raw = serde_json::to_string(&message).unwrap_or_default().into();
                Input::Inventory { kiosk, received_at, message, raw }
            }
            UpBody::Heartbeat(message) => {
                hear(&mut self.heard, &kiosk, now);
                if trusting {
                    received_at = message.at;
                }
                self.beats.push(Beat { kiosk, received_at, message });
                return;
            }
            UpBody::Journal { epoch, first, records } => {
                hear(&mut self.heard, &kiosk, now);
                let records: Vec<_> = records.iter().map(|raw| IncomingRecord::read(raw)).collect();
                if trusting && let Some(Ok(last)) = records.last().map(|last| &last.parsed) {
                    received_at = last.header.at;
                }
                let mut batch = RecordBatch { epoch, first, records };
                if self.mistake == Some(Mistake::GapGivenUp) {
                    wrong::begin_where_it_begins(&mut batch);
                }
                Input::Batch { kiosk, received_at, batch }
            }
        };
        self.hear_together();
        self.inbox.push(input);
    }

    /// Notes the heartbeats that came since, as the product's loop does; those that change more are decided.
    fn hear_together(&mut self) {
        let beats = std::mem::take(&mut self.beats);
        let Some(fleet) = self.fleet.as_mut().filter(|_| !beats.is_empty()) else { return };
        let heard = fleet.heard_together(&beats);
        let durable = beats.into_iter().zip(heard).filter(|(_, heard)| heard.durable);
        let inputs = durable.map(|(Beat { kiosk, received_at, message }, _)| Input::Heartbeat {
            kiosk,
            received_at,
            message,
        });
        self.inbox.extend(inputs);
    }

    /// One turn: plan, commit, adopt; the acks that may leave.
    pub(super) fn turn(&mut self, now: i64, ledgers: &mut Ledgers<'_>) -> (Turned, Vec<(KioskId, Ack)>) {
        let mut acks = Vec::new();
        self.hear_together();
        let (clock, last_turn) = (self.clock(now), self.clock(self.last_turn));
        let Some(fleet) = &mut self.fleet else { return (Turned::Done, acks) };
        if self.inbox.is_empty() {
            return (Turned::Done, acks);
        }
        if now - self.last_turn > DEAF_AFTER_MS && self.linked && self.stuck {
            self.inbox.splice(0..0, [Input::BrokerDown { since: last_turn }, Input::BrokerUp]);
            self.last_turn = now;
        }
        let mut inputs = std::mem::take(&mut self.inbox);
        look_up_old_places(&self.disk.store, &mut inputs);
        let recalled = self.disk.store.recall(&fleet.to_recall(&inputs));
        let plan = fleet.plan_recalling(clock, &inputs, &recalled, &mut self.ids);
        let writes = !plan.is_empty();
        if self.mistake == Some(Mistake::AckBeforeCommit) {
            acks.extend(plan.outcome().acks.iter().cloned());
        }
        if writes && self.crash.take_if(|crash| *crash == Crash::BeforeCommit).is_some() {
            return (Turned::Died, acks);
        }
        if writes && self.failing > 0 {
            self.failing -= 1;
            self.inbox = inputs;
            self.stuck = true;
            return (Turned::Again, acks);
        }
        let forgotten =
            (self.mistake == Some(Mistake::TicketForgotten)).then(|| wrong::without_tickets(&plan.changes));
        let changes = forgotten.as_deref().unwrap_or(&plan.changes);
        if let Err(error) = self.disk.store.commit(changes) {
            ledgers.problems.push(format!("a plan breaks a promise of the store: {error}"));
            return (Turned::Died, acks);
        }
        let (ahead_ms, offline) = (self.clock_ahead_ms, &mut self.offline);
        Inspection { now, ahead_ms, heard: &self.heard, offline, disk: &mut self.disk }
            .changes(changes, ledgers);
        self.stirred.note(now, changes);
        if writes && self.crash.take_if(|crash| *crash == Crash::AfterCommit).is_some() {
            return (Turned::Died, acks);
        }
        let committed = match fleet.adopt(plan) {
            Ok(committed) => committed,
            Err(stale) => {
                ledgers.problems.push(stale.to_string());
                return (Turned::Died, acks);
            }
        };
        acks.extend(committed.acks);
        if self.mistake == Some(Mistake::AckOfReceived) {
            acks.iter_mut().for_each(|(kiosk, ack)| wrong::overstate(kiosk, ack, &inputs));
        }
        if writes && self.crash.take_if(|crash| *crash == Crash::BeforeAcks).is_some() {
            self.same_after_restart(ledgers);
            return (Turned::Died, Vec::new());
        }
        if !self.stuck {
            self.last_turn = now;
        }
        if std::mem::take(&mut self.stuck) {
            self.last_turn = now;
            match std::mem::take(&mut self.unnoticed_jump_ms) {
                0 => {}
                by_ms => self.jump(now, by_ms),
            }
            for (at, message, retained) in std::mem::take(&mut self.waiting) {
                self.receive(at, message, retained);
            }
        }
        (Turned::Done, acks)
    }

    /// A fleet rebuilt from the store is the fleet that wrote it.
    pub(super) fn same_after_restart(&self, ledgers: &mut Ledgers<'_>) {
        let Some(fleet) = &self.fleet else { return };
        let rebuilt = Fleet::from_image(self.policy.clone(), self.disk.store.image());
        if let Some(difference) = fleet.difference(&rebuilt) {
            ledgers.problems.push(format!("a restart forgets something: {}", only_changed(&difference)));
        }
    }

    /// What the store holds of a kiosk's journals, for checks.
    #[must_use]
    pub(super) fn applied_to(&self, kiosk: &KioskId, ack: &Ack) -> u64 {
        self.disk.store.heads.get(&(kiosk.clone(), ack.epoch)).map_or(0, |head| head.upto)
    }

    /// Changes that were planned and never committed are not in here.
    #[must_use]
    pub(super) fn is_up(&self) -> bool {
        self.fleet.is_some()
    }
}

/// Records of an old epoch meet what the store has under their old numbers.
fn look_up_old_places(store: &MemoryStore, inputs: &mut [Input]) {
    for input in inputs {
        let Input::Batch { kiosk, batch, .. } = input else { continue };
        for record in &mut batch.records {
            if let Some(was) = record.stood_at() {
                let stored = store.records.get(&(kiosk.clone(), was.epoch, was.seq));
                record.compare_with(stored.map(|row| &*row.raw));
            }
        }
    }
}

/// Sign of life of a kiosk; a verdict may be about silence that ended in the same turn.
fn hear(heard: &mut BTreeMap<KioskId, Vec<i64>>, kiosk: &KioskId, now: i64) {
    let times = heard.entry(kiosk.clone()).or_default();
    if times.len() == 16 {
        times.remove(0);
    }
    times.push(now);
}

/// Whether a change tells of an applied record.
#[must_use]
pub(super) fn applied_record(change: &Change) -> Option<&kioskwatch_domain::change::JournalRecordRow> {
    use kioskwatch_domain::change::RecordOutcome;
    match change {
        Change::JournalRecord(row) if row.outcome == RecordOutcome::Applied && row.kind != "dropped" => {
            Some(row)
        }
        _ => None,
    }
}

/// The lines of two long descriptions that do not stand in both.
fn only_changed(difference: &str) -> String {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for line in difference.lines() {
        *count.entry(line.trim()).or_default() += 1;
    }
    let odd = difference.lines().map(str::trim).filter(|line| count.get(line).is_some_and(|n| n % 2 == 1));
    odd.collect::<Vec<_>>().join(" ")
}
