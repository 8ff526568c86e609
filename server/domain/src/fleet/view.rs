//! What the fleet shows: borrowed, for metrics, the API and tests.
use kioskwatch_proto::{
    BootId, Epoch, KioskId, PeripheralName, SessionId, SiteId, Timestamp,
    heartbeat::{HostLoad, PeripheralState},
    words::ServiceState,
};
use uuid::Uuid;

use crate::change::{Admission, PresenceVerdict};

/// One kiosk as of now: the committed state plus what heartbeats said since.
#[derive(Debug, Clone, PartialEq)]
pub struct KioskView<'a> {
    pub id: &'a KioskId,
    pub site: Option<&'a SiteId>,
    pub admission: Admission,
    pub presence: PresenceVerdict,
    pub presence_since: Timestamp,
    pub presence_reason: &'static str,
    pub last_seen_at: Option<Timestamp>,
    pub interval_s: u32,
    pub session: Option<SessionId>,
    pub boot: Option<BootId>,
    pub epoch: Option<Epoch>,
    pub service: Option<ServiceState>,
    pub service_since: Option<Timestamp>,
    pub peripherals: &'a [(PeripheralName, PeripheralState)],
    pub load: HostLoad,
    pub open_incidents: &'a [Uuid],
    pub tickets: &'a [Uuid],
}

/// How many kiosks are in each presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PresenceCounts {
    pub unknown: u64,
    pub online: u64,
    pub late: u64,
    pub offline: u64,
}
