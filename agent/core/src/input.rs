//! Everything that can happen to an agent, as one enum.
use kioskwatch_proto::{
    PeripheralName, SessionId, Timestamp,
    heartbeat::HostLoad,
    local::{Busy, Grant, LeaseRequest, PushedPeripheral, PushedService, PushedTransaction},
    words::ShutdownReason,
};

use crate::{drivers::Mono, effect::Token};

/// The two clocks, read together by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock: for records and for the eyes of people; never for order or timers.
    pub wall: Timestamp,
    /// Milliseconds that count through suspend and never jump back within a boot.
    pub mono: Mono,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The time named by [`crate::engine::Engine::next_wake`] has come, or later. Always harmless.
    Wake,
    /// An [`crate::effect::Effect::OpenPort`] succeeded: the line is ours and its input drained.
    PortOpened {
        peripheral: PeripheralName,
    },
    /// Opening failed, or an open port went away; the port is closed now.
    PortTrouble {
        peripheral: PeripheralName,
        trouble: PortTrouble,
    },
    /// What came from the device; never empty.
    Bytes {
        peripheral: PeripheralName,
        bytes: Vec<u8>,
    },
    /// A look at the terminal, every few seconds.
    Host(HostLoad),
    /// The server's time, from an ack just received.
    ServerTime(Timestamp),
    /// From the kiosk application, already authenticated and parsed.
    /// Without an [`crate::effect::Effect::Refused`] in the same step it was accepted.
    Local(Local),
    /// Payload of one message on `command`, as it came.
    Command(Vec<u8>),
    /// The [`crate::effect::Effect::PersistCommand`] with this token is on disk.
    Stored(Token),
    /// It found no room there, and is not tried again.
    NotStored(Token),
    /// Connected to the broker.
    ConnectionUp {
        session: SessionId,
    },
    ConnectionDown,
    /// The journal lost a range to its cap: the whole state must be recorded now.
    SnapshotWanted,
    /// The machine or the agent is about to stop.
    Shutdown(ShutdownReason),
}

/// Why a port is not ours to talk to. Four different things, never mixed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortTrouble {
    /// Another program holds it, or its holders cannot be seen: no defect. The text names the holder.
    Busy { holder: Option<String> },
    /// There is no such device file: unplugged.
    Missing,
    /// We may not open it: a mistake of the installation.
    Denied,
    /// Reading or writing failed on an open port.
    Broken,
}

/// What the kiosk application says.
#[derive(Debug, Clone, PartialEq)]
pub enum Local {
    /// `PUT /v1/peripherals/{name}`
    Peripheral { name: PeripheralName, state: PushedPeripheral },
    /// `PUT /v1/service`
    Service(PushedService),
    /// `PUT /v1/busy`
    Busy(Busy),
    /// `POST /v1/transactions`
    Transaction(PushedTransaction),
    /// `POST /v1/grants/{request}`; `granted: false` takes a grant back.
    Grant { request: String, grant: Grant },
    /// `POST /v1/leases`; the shell makes the id.
    Lease { lease: String, request: LeaseRequest },
    /// `DELETE /v1/leases/{id}`
    EndLease { lease: String },
}
