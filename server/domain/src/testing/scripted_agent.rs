//! What an agent would send, made by hand: numbers, boots and clocks are kept consistent.
use std::collections::BTreeMap;

use kioskwatch_proto::{
    BootId, Epoch, KioskId, PeripheralName, SessionId, Timestamp,
    faults::FaultCode,
    heartbeat::{Heartbeat, HostLoad, JournalHead, PeripheralState},
    journal::{Body, Boot, Fault, FaultDetail, FaultState, Header, Record, Service, Snapshot, Was},
    presence::{Presence, PresenceState},
    words::{PeripheralStatus, ServiceState, Severity},
};
use uuid::Uuid;

use crate::fleet::{IncomingRecord, Input, RecordBatch};

/// One kiosk's agent. Its device clock may be off; its journal is held until acknowledged.
#[derive(Debug, Clone)]
pub struct ScriptedAgent {
    pub id: KioskId,
    pub epoch: Epoch,
    pub boot: BootId,
    pub session: SessionId,
    pub interval_s: u32,
    /// Device minus true time.
    pub clock_error_ms: i64,
    pub booted_at: Timestamp,
    pub service: ServiceState,
    /// Unacknowledged records, in order.
    pub journal: Vec<(u64, String)>,
    pub last_seq: u64,
    pub beats: u64,
    /// Runs before the next boot may have left no record.
    pub disk_was_full: bool,
    fresh: u128,
}

impl ScriptedAgent {
    #[must_use]
    pub fn new(id: &str, booted_at: Timestamp) -> Self {
        let id = KioskId::new(id).expect("a test names kiosks well");
        let fresh = u128::from(crc(id.as_str())) << 64;
        let mut agent = Self {
            id,
            epoch: Epoch(Uuid::nil()),
            boot: BootId(Uuid::nil()),
            session: SessionId(Uuid::nil()),
            interval_s: 30,
            clock_error_ms: 0,
            booted_at,
            service: ServiceState::InService,
            journal: Vec::new(),
            last_seq: 0,
            beats: 0,
            disk_was_full: false,
            fresh,
        };
        agent.epoch = Epoch(agent.fresh());
        agent.boot = BootId(agent.fresh());
        agent.session = SessionId(agent.fresh());
        agent
    }

    /// Another one for each boot: copies of a disk draw their own.
    fn fresh(&mut self) -> Uuid {
        self.fresh += 1;
        Uuid::from_u128((self.boot.0.as_u128() & 0xffff) << 64 | self.fresh)
    }

    /// A record of the current boot; it stands in the journal until acknowledged.
    pub fn record(&mut self, now: Timestamp, body: Body) -> u64 {
        self.record_was(now, body, None)
    }

    /// A record that had another number before a change of epoch.
    pub fn record_was(&mut self, now: Timestamp, body: Body, was: Option<Was>) -> u64 {
        self.last_seq += 1;
        let header = Header {
            seq: self.last_seq,
            boot: self.boot,
            at: now.plus_ms(self.clock_error_ms),
            mono_ms: u64::try_from(now.since(self.booted_at).max(0)).unwrap_or(0),
            was,
        };
        self.journal.push((self.last_seq, Record { header, body }.to_json()));
        self.last_seq
    }

    pub fn fault(&mut self, now: Timestamp, peripheral: &str, fault: &str, state: FaultState) -> u64 {
        self.fault_of(now, peripheral, fault, state, Severity::Minor)
    }

    pub fn fault_of(
        &mut self,
        now: Timestamp,
        peripheral: &str,
        fault: &str,
        state: FaultState,
        severity: Severity,
    ) -> u64 {
        let (peripheral, fault) = (name(peripheral), code(fault));
        let detail = FaultDetail::default();
        self.record(now, Body::Fault(Fault { peripheral, fault, state, severity, detail }))
    }

    pub fn service(&mut self, now: Timestamp, state: ServiceState) -> u64 {
        self.service = state;
        self.record(now, Body::Service(Service { state, cause: None }))
    }

    /// The whole state with these faults.
    pub fn snapshot(&mut self, now: Timestamp, faults: &[(&str, &str)]) -> u64 {
        let mut peripherals: BTreeMap<PeripheralName, PeripheralState> = BTreeMap::new();
        for (peripheral, fault) in faults {
            let fresh =
                || PeripheralState { status: PeripheralStatus::Online, faults: Vec::new(), cut: false };
            peripherals.entry(name(peripheral)).or_insert_with(fresh).faults.push(code(fault));
        }
        let snapshot = Snapshot { service: self.service, peripherals, previous_epoch: None };
        self.record(now, Body::Snapshot(snapshot))
    }

    /// The machine restarts; the agent lived until `alive_until`.
    pub fn reboot(&mut self, now: Timestamp, alive_until: Timestamp) -> u64 {
        let previous_boot = Some(self.boot);
        self.boot = BootId(self.fresh());
        self.booted_at = now;
        let previous_alive_until = Some(alive_until.plus_ms(self.clock_error_ms));
        let unrecorded = self.disk_was_full;
        self.record(now, Body::Boot(Boot { previous_boot, previous_alive_until, clean: false, unrecorded }))
    }

    /// The journal is lost: a new epoch with a snapshot.
    pub fn lose_journal(&mut self, now: Timestamp) {
        self.epoch = Epoch(self.fresh());
        self.last_seq = 0;
        self.journal.clear();
        self.snapshot(now, &[]);
    }

    /// A new connection: presence with a fresh session.
    pub fn connect(&mut self, now: Timestamp) -> Input {
        self.session = SessionId(self.fresh());
        self.beats = 0;
        self.presence(now, PresenceState::Online)
    }

    #[must_use]
    pub fn presence(&self, now: Timestamp, state: PresenceState) -> Input {
        let message = Presence {
            state,
            session: self.session,
            boot: self.boot,
            epoch: self.epoch,
            at: now.plus_ms(self.clock_error_ms),
            reason: None,
        };
        Input::Presence { kiosk: self.id.clone(), received_at: now, retained: false, message }
    }

    pub fn heartbeat(&mut self, now: Timestamp) -> Heartbeat {
        self.beats += 1;
        Heartbeat {
            boot: self.boot,
            session: self.session,
            seq: self.beats,
            at: now.plus_ms(self.clock_error_ms),
            mono_ms: u64::try_from(now.since(self.booted_at).max(0)).unwrap_or(0),
            interval_s: self.interval_s,
            uptime_s: 1,
            service: self.service,
            peripherals: BTreeMap::new(),
            host: HostLoad::default(),
            journal: JournalHead {
                epoch: self.epoch,
                last_seq: self.last_seq,
                pending: u64::try_from(self.journal.len()).unwrap_or(0),
            },
        }
    }

    /// Everything unacknowledged as one message.
    #[must_use]
    pub fn batch(&self, now: Timestamp) -> Input {
        let first = self.journal.first().map_or(self.last_seq + 1, |(seq, _)| *seq);
        self.batch_of(now, first, self.journal.iter().map(|(_, raw)| raw.as_str()))
    }

    /// Chosen records as one message.
    pub fn batch_of<'a>(&self, now: Timestamp, first: u64, raw: impl Iterator<Item = &'a str>) -> Input {
        let records = raw.map(IncomingRecord::read).collect();
        let batch = RecordBatch { epoch: self.epoch, first, records };
        Input::Batch { kiosk: self.id.clone(), received_at: now, batch }
    }

    /// Forgets what the server has.
    pub fn acknowledged(&mut self, epoch: Epoch, upto: u64) {
        if epoch == self.epoch {
            self.journal.retain(|(seq, _)| *seq > upto);
        }
    }
}

fn name(text: &str) -> PeripheralName {
    PeripheralName::new(text).expect("a test names peripherals well")
}

fn code(text: &str) -> FaultCode {
    FaultCode::new(text).expect("a test names faults well")
}

fn crc(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
