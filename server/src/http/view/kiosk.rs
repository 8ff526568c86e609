//! A kiosk as JSON: what is registered, with what is known of it this moment.
use std::collections::BTreeMap;

use kioskwatch_domain::{
    change::{Admission, KioskRow, KioskStateRow, PresenceVerdict, ServiceSpan, TicketState},
    fleet::{self, Fleet},
    uptime::Commissioned,
};
use kioskwatch_proto::{
    BootId, Epoch, KioskId, SiteId, Timestamp,
    faults::FaultCode,
    heartbeat::{HostLoad, PeripheralState},
    inventory::Inventory,
    words::ServiceState,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::{App, Flood},
    store,
};

/// The state of one kiosk now: the fleet in memory where it knows the kiosk, else the last committed row.
#[derive(Debug, Clone)]
pub(crate) struct KioskNow {
    pub(crate) id: KioskId,
    pub(crate) admission: Admission,
    pub(crate) presence: PresenceVerdict,
    pub(crate) presence_since: Option<Timestamp>,
    pub(crate) presence_reason: String,
    pub(crate) last_seen_at: Option<Timestamp>,
    pub(crate) interval_s: Option<u32>,
    pub(crate) boot: Option<BootId>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) service: Option<ServiceState>,
    pub(crate) service_since: Option<Timestamp>,
    pub(crate) peripherals: BTreeMap<String, PeripheralState>,
    pub(crate) load: HostLoad,
    pub(crate) open_tickets: u64,
    /// Of the open ones: resolved, waiting to close.
    pub(crate) resolved_tickets: u64,
    pub(crate) flood: Option<Flood>,
}

impl KioskNow {
    /// As the fleet in memory has it, which knows of no flood.
    pub(crate) fn live(fleet: &Fleet, view: &fleet::KioskView<'_>) -> Self {
        // A kiosk remembers closed tickets too, because they may come back.
        let states = || view.tickets.iter().filter_map(|id| fleet.ticket(*id)).map(|ticket| ticket.state);
        let peripherals = view.peripherals.iter();
        Self {
            id: view.id.clone(),
            admission: view.admission,
            presence: view.presence,
            presence_since: Some(view.presence_since),
            presence_reason: view.presence_reason.to_string(),
            last_seen_at: view.last_seen_at,
            interval_s: (view.interval_s > 0).then_some(view.interval_s),
            boot: view.boot,
            epoch: view.epoch,
            service: view.service,
            service_since: view.service_since,
            peripherals: peripherals.map(|(name, state)| (name.to_string(), state.clone())).collect(),
            load: view.load,
            open_tickets: states().filter(|state| state.is_open()).count() as u64,
            resolved_tickets: states().filter(|state| *state == TicketState::Resolved).count() as u64,
            flood: None,
        }
    }
}

impl KioskNow {
    /// Of a stored kiosk; the fleet's word counts where there is one.
    pub(crate) fn of(app: &App, view: &store::KioskView) -> Self {
        let live = {
            let fleet = app.fleet();
            fleet.kiosk(&view.kiosk.id).map(|live| Self::live(&fleet, &live))
        };
        let mut now = live.unwrap_or_else(|| Self::stored(&view.kiosk, view.state.as_ref()));
        now.open_tickets = view.open_tickets;
        now.resolved_tickets = view.resolved_tickets;
        now.flood = app.floods().of(&now.id);
        now
    }

    fn stored(kiosk: &KioskRow, state: Option<&KioskStateRow>) -> Self {
        let peripherals = state.map(|state| serde_json::from_str(&state.peripherals).unwrap_or_default());
        Self {
            id: kiosk.id.clone(),
            admission: kiosk.admission,
            presence: state.map_or(PresenceVerdict::Unknown, |state| state.presence),
            presence_since: state.map(|state| state.presence_since),
            presence_reason: state.map_or_else(String::new, |state| state.presence_reason.clone()),
            last_seen_at: state.and_then(|state| state.last_seen_at),
            interval_s: state.map(|state| state.interval_s).filter(|s| *s > 0),
            boot: state.and_then(|state| state.boot),
            epoch: state.and_then(|state| state.epoch),
            service: state.and_then(|state| state.service),
            service_since: state.and_then(|state| state.service_since),
            peripherals: peripherals.unwrap_or_default(),
            load: HostLoad::default(),
            open_tickets: 0,
            resolved_tickets: 0,
            flood: None,
        }
    }
}

/// Our verdict on a kiosk's connection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PresenceView {
    /// `unknown`, `online`, `late`, `offline`.
    state: &'static str,
    /// When it became true.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Timestamp>,
    reason: String,
}

/// One device inside a kiosk.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Peripheral)]
pub(crate) struct PeripheralView {
    pub(crate) status: String,
    #[schema(value_type = Vec<String>)]
    pub(crate) faults: Vec<FaultCode>,
    /// From the inventory, where the kiosk sent one.
    pub(crate) kind: Option<String>,
    pub(crate) driver: Option<String>,
    /// `owned`, `pushed`, `proxy`, `lease`.
    pub(crate) mode: Option<&'static str>,
    pub(crate) required: Option<bool>,
    pub(crate) model: Option<String>,
    pub(crate) firmware: Option<String>,
    pub(crate) serial: Option<String>,
}

/// A terminal in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Kiosk)]
pub(crate) struct KioskView {
    #[schema(value_type = String)]
    id: KioskId,
    #[schema(value_type = Option<String>)]
    site: Option<SiteId>,
    /// `accepted`, `quarantined` or `refused`.
    admission: &'static str,
    model: String,
    serial_no: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    commissioned_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    decommissioned_at: Option<Timestamp>,
    presence: PresenceView,
    /// `in_service`, `degraded`, `out_of_service`, `supervised`; null: never told.
    service: Option<&'static str>,
    #[schema(value_type = Option<String>, format = DateTime)]
    service_since: Option<Timestamp>,
    peripherals: BTreeMap<String, PeripheralView>,
    /// Tickets that are not closed, with those that are resolved and wait to close.
    open_tickets: u64,
    /// How many of the open ones are resolved.
    resolved_tickets: u64,
    /// It sends more than `[flood]` allows, and what is too much is dropped; null: it does not.
    flood: Option<FloodView>,
}

/// What had to be dropped of a kiosk's messages, until nothing more was for ten minutes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Flood)]
pub(crate) struct FloodView {
    /// When it began, or when the server was started.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// When a message was last dropped.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Messages dropped since it began.
    dropped: u64,
}

impl From<Flood> for FloodView {
    fn from(Flood { since, until, dropped }: Flood) -> Self {
        Self { since, until, dropped }
    }
}

/// A terminal with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KioskDetail {
    #[serde(flatten)]
    kiosk: KioskView,
    /// Who answers for it.
    engineer: Option<String>,
    /// From and to when it counts: every stretch of its service, the newest of which has the dates above.
    stretches: Vec<StretchView>,
    service_cause: Option<String>,
    /// Seconds between its heartbeats.
    interval_s: Option<u32>,
    #[schema(value_type = Option<String>, format = "uuid")]
    boot: Option<BootId>,
    #[schema(value_type = Option<String>, format = "uuid")]
    epoch: Option<Epoch>,
    agent_version: Option<String>,
    os: Option<String>,
    /// Actions its agent takes as commands.
    actions: Vec<String>,
    host: HostView,
}

/// A stretch of service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StretchView {
    #[schema(value_type = Option<String>, format = DateTime)]
    commissioned_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    decommissioned_at: Option<Timestamp>,
}

impl From<&ServiceSpan> for StretchView {
    fn from(one: &ServiceSpan) -> Self {
        Self { commissioned_at: one.commissioned_at, decommissioned_at: one.decommissioned_at }
    }
}

/// Load of the terminal in its last heartbeat.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostView {
    cpu_ratio: Option<f64>,
    memory_used_ratio: Option<f64>,
    disk_used_ratio: Option<f64>,
    temperature_celsius: Option<f64>,
}

impl KioskView {
    pub(crate) fn of(app: &App, view: &store::KioskView) -> Self {
        Self::new(&view.kiosk, KioskNow::of(app, view), inventory(view).as_ref())
    }

    fn new(row: &KioskRow, now: KioskNow, inventory: Option<&Inventory>) -> Self {
        Self {
            id: row.id.clone(),
            site: row.site.clone(),
            admission: now.admission.as_str(),
            model: row.model.clone(),
            serial_no: row.serial_no.clone(),
            commissioned_at: row.commissioned_at,
            decommissioned_at: row.decommissioned_at,
            presence: PresenceView {
                state: now.presence.as_str(),
                since: now.presence_since,
                last_seen_at: now.last_seen_at,
                reason: now.presence_reason,
            },
            service: now.service.map(ServiceState::as_str),
            service_since: now.service_since,
            peripherals: PeripheralView::all(&now.peripherals, inventory),
            open_tickets: now.open_tickets,
            resolved_tickets: now.resolved_tickets,
            flood: now.flood.map(FloodView::from),
        }
    }
}

impl KioskDetail {
    pub(crate) fn of(
        app: &App,
        view: &store::KioskView,
        engineer: Option<String>,
        counted: &Commissioned,
    ) -> Self {
        let now = KioskNow::of(app, view);
        let inventory = inventory(view);
        Self {
            engineer,
            stretches: counted.spans().iter().map(StretchView::from).collect(),
            service_cause: view.state.as_ref().and_then(|state| state.service_cause.clone()),
            interval_s: now.interval_s,
            boot: now.boot,
            epoch: now.epoch,
            agent_version: inventory.as_ref().map(|inventory| inventory.agent_version.clone()),
            os: inventory.as_ref().map(|inventory| inventory.os.clone()),
            actions: inventory.as_ref().map(|inventory| inventory.actions.clone()).unwrap_or_default(),
            host: HostView {
                cpu_ratio: now.load.cpu_ratio,
                memory_used_ratio: now.load.memory_used_ratio,
                disk_used_ratio: now.load.disk_used_ratio,
                temperature_celsius: now.load.temperature_celsius,
            },
            kiosk: KioskView::new(&view.kiosk, now, inventory.as_ref()),
        }
    }
}

/// What the kiosk said it is made of, if it did.
pub(crate) fn inventory(view: &store::KioskView) -> Option<Inventory> {
    view.state.as_ref().and_then(|state| serde_json::from_str(&state.inventory).ok())
}

impl PeripheralView {
    /// Peripherals with a state, and those of the inventory that have none yet.
    pub(crate) fn all(
        states: &BTreeMap<String, PeripheralState>,
        inventory: Option<&Inventory>,
    ) -> BTreeMap<String, Self> {
        let mut all: BTreeMap<String, Self> = states
            .iter()
            .map(|(name, state)| (name.clone(), Self::bare(state.status.as_str(), state.faults.clone())))
            .collect();
        for item in inventory.iter().flat_map(|inventory| &inventory.peripherals) {
            let view = all.entry(item.name.to_string()).or_insert_with(|| Self::bare("unknown", Vec::new()));
            view.kind = Some(item.kind.clone());
            view.driver = Some(item.driver.clone());
            view.mode = Some(item.mode.as_str());
            view.required = Some(item.required);
            view.model = item.model.clone();
            view.firmware = item.firmware.clone();
            view.serial = item.serial.clone();
        }
        all
    }

    fn bare(status: &str, faults: Vec<FaultCode>) -> Self {
        Self {
            status: status.to_owned(),
            faults,
            kind: None,
            driver: None,
            mode: None,
            required: None,
            model: None,
            firmware: None,
            serial: None,
        }
    }
}
