//! What the engine asks the shell to do. The shell performs, logs and counts; it decides nothing.
//!
//! Effects of one step are performed in order. Records and command writes of one step may share one
//! transaction of the store, and must when it matters: a record and the state it tells of.
use kioskwatch_proto::{
    BootId, CommandId, PeripheralName, SessionId, Timestamp,
    artifact::Progress,
    command::Command,
    heartbeat::{Heartbeat, HostLoad, JournalHead, PeripheralState},
    journal::{Body, CommandOutcome, CommandResult, Header, Record, Snapshot, Was},
    local::HoldRequest,
    words::{ServiceState, ShutdownReason},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names one write that must be on disk before the engine goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append to the journal. Nobody hears of it before it is durable.
    Record(Draft),
    /// Store the command's state and append its records in one transaction, then report
    /// [`crate::input::Input::Stored`], or `NotStored`. Nothing is done for a command before that.
    PersistCommand(PersistCommand),
    /// Keep the hard state, in the transaction of this step's records: the next start begins from it.
    Remember(Snapshot),
    /// The journal knows every command that was asked for since then, by the server's clock.
    CommandsKnownSince(Timestamp),
    /// Durable word that the agent lived until now.
    Tick { until: Timestamp },
    /// Open this peripheral's port (or its proxy); answer with `PortOpened` or `PortTrouble`.
    OpenPort { peripheral: PeripheralName },
    /// Close it; no answer expected. Closing a closed port is nothing.
    ClosePort { peripheral: PeripheralName, reason: CloseReason },
    /// Write these bytes to the open port.
    Transmit { peripheral: PeripheralName, bytes: Vec<u8> },
    /// Publish, with the journal's head filled in.
    Heartbeat(HeartbeatDraft),
    /// [`crate::engine::Engine::inventory`] says something new: publish it.
    InventoryChanged,
    /// Publish for people who watch; may be lost.
    Progress(Progress),
    /// Ask the kiosk application to hold.
    HoldRequest(HoldRequest),
    /// The application may go on: the request is done with or given up.
    HoldOver { request: String },
    /// The answer to the local input of this step: not accepted, and why.
    Refused(LocalRefusal),
    /// Log and count.
    Note(Note),
    /// Everything is said: flush, disconnect as `planned`, mark the store clean and end.
    Stop(ShutdownReason),
}

/// A record that has no number yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub boot: BootId,
    pub at: Timestamp,
    pub mono_ms: u64,
    pub body: Body,
}

impl Draft {
    /// The record it becomes under a number.
    pub fn numbered(&self, seq: u64, was: Option<Was>) -> Record {
        let header = Header { seq, boot: self.boot, at: self.at, mono_ms: self.mono_ms, was };
        Record { header, body: self.body.clone() }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PersistCommand {
    pub token: Token,
    /// The highest verified counter.
    pub counter: u64,
    /// Insert or replace by id. `None` when only the counter moved.
    pub entry: Option<StoredCommand>,
    /// Ids whose time is over.
    pub forget: Vec<CommandId>,
    pub records: Vec<Draft>,
}

/// A command as the store remembers it; serialised by the store as it likes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredCommand {
    pub command: Command,
    /// Its last recorded state, told again when the command arrives again.
    pub last: CommandResult,
}

impl StoredCommand {
    pub fn state(&self) -> CommandOutcome {
        self.last.state
    }
}

/// A heartbeat without what only the journal knows.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatDraft {
    pub boot: BootId,
    pub session: SessionId,
    pub seq: u64,
    pub at: Timestamp,
    pub mono_ms: u64,
    pub interval_s: u32,
    pub service: ServiceState,
    pub peripherals: BTreeMap<PeripheralName, PeripheralState>,
    pub host: HostLoad,
}

impl HeartbeatDraft {
    pub fn complete(self, journal: JournalHead) -> Heartbeat {
        Heartbeat {
            boot: self.boot,
            session: self.session,
            seq: self.seq,
            at: self.at,
            mono_ms: self.mono_ms,
            interval_s: self.interval_s,
            // The clock that counts through suspend starts with the machine.
            uptime_s: self.mono_ms / 1000,
            service: self.service,
            peripherals: self.peripherals,
            host: self.host,
            journal,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The lease ended or was taken back.
    LeaseOver,
    /// Somebody else enabled the device: not opened again before the agent or its configuration restarts.
    NotOurs,
    /// It came open when nobody waited for it any more.
    NotAsked,
    /// The agent stops.
    Stopping,
}

/// Why a local input was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalRefusal {
    /// No peripheral of that name.
    UnknownPeripheral,
    /// The agent itself reads that peripheral.
    OwnedByAgent,
    /// The peripheral's mode is not `lease`.
    NotLeasable,
    /// Another lease of it is running.
    AlreadyLeased,
    /// No such lease.
    UnknownLease,
    /// No such open request to hold.
    UnknownRequest,
    /// A grant that ends before the action could.
    GrantTooShort,
    /// A duration or text outside its limit.
    OutOfRange,
    /// The agent is stopping.
    Stopping,
}

impl LocalRefusal {
    /// Stable code for the answer.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownPeripheral => "unknown_peripheral",
            Self::OwnedByAgent => "owned_by_agent",
            Self::NotLeasable => "not_leasable",
            Self::AlreadyLeased => "already_leased",
            Self::UnknownLease => "unknown_lease",
            Self::UnknownRequest => "unknown_request",
            Self::GrantTooShort => "grant_too_short",
            Self::OutOfRange => "out_of_range",
            Self::Stopping => "stopping",
        }
    }
}

/// What is worth a log line and a counter, and changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// A message on `command` that was no envelope.
    CommandUnreadable,
    /// An envelope that proves nothing and was not even recorded, because too many came.
    ForgeryFlood,
    /// The same envelope came again; nothing to say anew.
    CommandRepeated { command: CommandId },
    /// An input named a peripheral that is not configured.
    UnknownPeripheral { peripheral: PeripheralName },
    /// A driver offered bytes for a port the agent may not write to.
    BytesWithheld { peripheral: PeripheralName, bytes: usize },
    /// Work ran past its worst case and was given up.
    WorkOverdue { peripheral: PeripheralName },
    /// The port may not be opened.
    PortDenied { peripheral: PeripheralName },
    /// Another program holds the port.
    PortBusy { peripheral: PeripheralName, holder: Option<String> },
    /// An event of the device that is no fault.
    DeviceEvent { peripheral: PeripheralName, name: &'static str, raw: Vec<u8> },
    /// More faults at once than one peripheral may have; the rest was left out.
    FaultsCut { peripheral: PeripheralName },
    /// A value changes too often to be recorded each time, or no longer does.
    Flapping { peripheral: PeripheralName, fault: Option<String>, began: bool },
}

impl Note {
    /// Name for logs and counters.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CommandUnreadable => "command_unreadable",
            Self::ForgeryFlood => "forgery_flood",
            Self::CommandRepeated { .. } => "command_repeated",
            Self::UnknownPeripheral { .. } => "unknown_peripheral",
            Self::BytesWithheld { .. } => "bytes_withheld",
            Self::WorkOverdue { .. } => "work_overdue",
            Self::PortDenied { .. } => "port_denied",
            Self::PortBusy { .. } => "port_busy",
            Self::DeviceEvent { .. } => "device_event",
            Self::FaultsCut { .. } => "faults_cut",
            Self::Flapping { .. } => "flapping",
        }
    }
}
