//! What a kiosk's condition proves about its service, and what made it so ("uptime definition 2.6 and 2.10").
//!
//! A cause explains the state it stands beside. A fault that stops nothing explains nothing, however long it is raised:
//! else a clock that is wrong would take a jammed acceptor out of the figure that engineers are measured by.
use kioskwatch_proto::{
    PeripheralName,
    faults::{FaultCode, Weight, codes},
    heartbeat::PeripheralState,
    words::{PeripheralStatus, ServiceState},
};

use super::kiosk::Kiosk;
use crate::{change::EvidenceState, cursor::state_of, uptime::Cause};

/// Faults of a peripheral that is not heard, as it is without mains.
const SILENT: [&str; 3] = [codes::COMM_TIMEOUT, codes::PORT_MISSING, codes::PRINTER_OFFLINE];

impl Kiosk {
    /// What the kiosk proves by saying `service`, and why it is no better; `knows_modules`: what is remembered of its
    /// peripherals still holds.
    pub(super) fn proves(
        &self,
        service: ServiceState,
        knows_modules: bool,
    ) -> (EvidenceState, Option<Cause>) {
        let required_down = knows_modules && self.required_down();
        let state = state_of(service, required_down);
        let cause = match state {
            _ if !knows_modules => None,
            EvidenceState::Full | EvidenceState::OnOnly | EvidenceState::Off => None,
            EvidenceState::Degraded => self.degraded_by(service),
            EvidenceState::Oos => self.stopped_by(service),
        };
        (state, cause)
    }

    /// Whether a required module is out of order, by its status.
    fn required_down(&self) -> bool {
        let mut broken = self.state.peripherals.iter().filter(|(_, part)| is_broken(&part.status));
        broken.any(|(name, _)| self.is_required(name))
    }

    fn is_required(&self, name: &PeripheralName) -> bool {
        let items = self.state.profile.iter().flat_map(|profile| &profile.items);
        items.into_iter().any(|item| item.required && item.name == *name)
    }

    /// What was said to be the reason of this very state.
    fn told(&self, service: ServiceState) -> Option<&str> {
        self.state
            .service_cause
            .as_deref()
            .map(String::as_str)
            .filter(|_| self.state.service == Some(service))
    }

    /// What is told of itself: a cause by its name alone, or a module and what is empty in it.
    fn said(&self, service: ServiceState) -> Option<Cause> {
        self.told(service).and_then(|told| match told {
            codes::APPLICATION_DOWN => Some(Cause::Software),
            word => Cause::named(word).or(empty_in(word)),
        })
    }

    /// The strongest of what stops it; where nobody says what does, of what could.
    fn stopped_by(&self, service: ServiceState) -> Option<Cause> {
        let told = self.told(service).unwrap_or_default();
        let named = told.split_once(": ").map_or("", |(name, _)| name);
        let why = empty_in(told);
        let mains_failed = self.faults().any(|fault| Cause::of_fault(fault.base()) == Cause::Power);
        let parts = || self.state.peripherals.iter();
        let stops = |(name, part): &&(PeripheralName, PeripheralState)| {
            name.as_str() == named || ((name.is_host() || self.is_required(name)) && is_stopped(part))
        };
        let of = |(name, part): &(PeripheralName, PeripheralState)| {
            // Of a module that says nothing of itself the application says it.
            let told = why.filter(|_| name.as_str() == named && !is_stopped(part));
            told.unwrap_or_else(|| of_part(part, mains_failed))
        };
        let known = parts().filter(stops).map(of).chain(self.said(service)).min();
        known
            .or_else(|| parts().filter(|(_, part)| is_stopped(part)).map(of).min())
            .or_else(|| mains_failed.then_some(Cause::Power))
    }

    /// Every raised fault takes something away.
    fn degraded_by(&self, service: ServiceState) -> Option<Cause> {
        let faults = self.faults().map(|fault| Cause::of_fault(fault.base()));
        faults.chain(self.said(service)).min()
    }

    fn faults(&self) -> impl Iterator<Item = &FaultCode> {
        self.state.peripherals.iter().flat_map(|(_, part)| &part.faults)
    }
}

/// The supply that a module is told to lack. The mains, the line and the host are the customer's and no detail of a module;
/// and a terminal's own faults are told under the name `host`.
fn empty_in(told: &str) -> Option<Cause> {
    let (_, why) = told.split_once(": ")?;
    let why = why.split_once('(').map_or(why, |(base, _sub_code)| base);
    Some(Cause::of_fault(why)).filter(|cause| *cause == Cause::Supplies)
}

const fn is_broken(status: &PeripheralStatus) -> bool {
    matches!(
        status,
        PeripheralStatus::Offline
            | PeripheralStatus::PowerOff
            | PeripheralStatus::NoDevice
            | PeripheralStatus::HardwareError
            | PeripheralStatus::UserError
            | PeripheralStatus::FraudAttempt
    )
}

fn stopping(part: &PeripheralState) -> impl Iterator<Item = &str> {
    part.faults.iter().filter(|fault| Weight::of(fault).stops_peripheral).map(FaultCode::base)
}

fn is_stopped(part: &PeripheralState) -> bool {
    is_broken(&part.status) || stopping(part).next().is_some()
}

/// Why a peripheral is out of work. One that is silent while the mains are away has no power: that is not its own fault.
fn of_part(part: &PeripheralState, mains_failed: bool) -> Cause {
    let says_nothing = matches!(
        part.status,
        PeripheralStatus::Offline | PeripheralStatus::PowerOff | PeripheralStatus::NoDevice
    );
    let is_silent = says_nothing && stopping(part).all(|fault| SILENT.contains(&fault));
    let own = || stopping(part).map(Cause::of_fault).min().unwrap_or(Cause::Hardware);
    if mains_failed && is_silent { Cause::Power } else { own() }
}
