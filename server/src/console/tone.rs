//! How bad something looks: one tone for each kiosk, and the order in which people should look.
use kioskwatch_domain::{
    change::{Admission, ClockState, CommandState, PresenceVerdict, TicketState},
    fleet::KioskView,
};
use kioskwatch_proto::{
    faults::{Catalogue, FaultCode},
    words::{ServiceState, Severity},
};

use crate::http::view::KioskNow;

/// A class of the style sheet; worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    /// Customers cannot use it.
    Out,
    /// Nobody hears it.
    Off,
    /// Something is missing or broken, it still works.
    Warn,
    /// Somebody must decide.
    Wait,
    /// Nothing is known.
    Unknown,
    /// People are working on it.
    Busy,
    Ok,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Wait => "wait",
            Self::Unknown => "unknown",
            Self::Busy => "busy",
            Self::Ok => "ok",
        }
    }

    pub(super) fn is_problem(self) -> bool {
        self < Self::Busy
    }

    pub(super) fn of_kiosk(now: &KioskNow, catalogue: &Catalogue) -> Self {
        let standing = (now.admission, now.presence, now.service);
        let faults = now.peripherals.values().flat_map(|state| &state.faults);
        Self::of_standing(standing, now.flood.is_some(), faults, catalogue)
    }

    /// The same of one in the fleet's memory.
    pub(super) fn at_a_glance(now: &KioskView<'_>, floods: bool, catalogue: &Catalogue) -> Self {
        let standing = (now.admission, now.presence, now.service);
        let faults = now.peripherals.iter().flat_map(|(_, state)| &state.faults);
        Self::of_standing(standing, floods, faults, catalogue)
    }

    fn of_standing<'a>(
        standing: (Admission, PresenceVerdict, Option<ServiceState>),
        floods: bool,
        mut faults: impl Iterator<Item = &'a FaultCode>,
        catalogue: &Catalogue,
    ) -> Self {
        match standing {
            (Admission::Quarantined | Admission::Refused, ..) => Self::Wait,
            (_, PresenceVerdict::Offline, _) => Self::Off,
            (_, PresenceVerdict::Unknown, _) => Self::Unknown,
            (.., Some(ServiceState::OutOfService)) => Self::Out,
            (.., Some(ServiceState::Supervised)) => Self::Busy,
            (_, PresenceVerdict::Late, _) | (.., Some(ServiceState::Degraded)) => Self::Warn,
            _ if floods => Self::Warn,
            _ if faults.any(|code| catalogue.severity(code) != Severity::Info) => Self::Warn,
            (.., None) => Self::Unknown,
            _ => Self::Ok,
        }
    }

    pub(super) const fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Major => Self::Out,
            Severity::Minor => Self::Warn,
            Severity::Info => Self::Busy,
        }
    }

    /// Of a word of the timeline or of a device.
    pub(super) fn of_word(word: &str) -> Self {
        match word {
            "online" | "in_service" | "FULL" | "busy" => Self::Ok,
            "offline" | "OFF" | "power_off" | "no_device" => Self::Off,
            "degraded" | "late" | "DEGRADED" | "user_error" | "port_busy" | "starting" => Self::Warn,
            "supervised" | "ON_ONLY" => Self::Busy,
            "out_of_service" | "OOS" | "hardware_error" | "fraud_attempt" | "potential_fraud" => Self::Out,
            _ => Self::Unknown,
        }
    }

    pub(super) const fn of_ticket(state: TicketState) -> Self {
        match state {
            TicketState::New | TicketState::Triaged | TicketState::PendingBatch => Self::Out,
            TicketState::Unreachable | TicketState::AccessDenied => Self::Wait,
            TicketState::Resolved => Self::Ok,
            state if !state.is_open() => Self::Unknown,
            _ => Self::Warn,
        }
    }

    pub(super) const fn of_clock(state: ClockState) -> Self {
        match state {
            ClockState::Running => Self::Busy,
            ClockState::Paused => Self::Wait,
            ClockState::Met => Self::Ok,
            ClockState::Breached => Self::Out,
            ClockState::Dropped => Self::Unknown,
        }
    }

    pub(super) const fn of_command(state: CommandState) -> Self {
        match state {
            CommandState::Succeeded => Self::Ok,
            CommandState::Failed | CommandState::Refused => Self::Out,
            CommandState::Expired | CommandState::Cancelled | CommandState::Unknown => Self::Unknown,
            CommandState::AwaitingApproval | CommandState::Deferred => Self::Wait,
            _ => Self::Busy,
        }
    }
}
