//! Whether something that moves parts may happen now. Everything unknown is a no.
use crate::{
    application::{Application, BusyVerdict},
    config::ApplicationGate,
    drivers::Mono,
};

/// Why not now. A command waits for it to pass, until its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsafe {
    /// The application has not said whether a customer is busy.
    NoFacts,
    /// It said so too long ago.
    OldFacts,
    /// A customer is in a transaction.
    Transaction,
    /// A note is in escrow or moving.
    Escrow,
    /// A card is in the reader.
    Card,
    /// A door is open: somebody's hand may be inside.
    Door,
    /// The application has not agreed to hold.
    NoGrant,
    /// The device, or one that guards money or cards, is not known to be idle.
    NotIdle,
    /// A device that guards money or cards is not ours, and no application speaks for it.
    ValuablesNotOwned,
    /// The device belongs to the application and is not lent.
    NoLease,
    /// The line to the device is not open.
    PortClosed,
    /// Other work is running on the device.
    DeviceBusy,
}

impl Unsafe {
    /// The `reason` of a deferred command.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoFacts => "no_busy_facts",
            Self::OldFacts => "old_busy_facts",
            Self::Transaction => "transaction",
            Self::Escrow => "escrow",
            Self::Card => "card",
            Self::Door => "door",
            Self::NoGrant => "no_grant",
            Self::NotIdle => "device_not_idle",
            Self::ValuablesNotOwned => "valuables_not_owned",
            Self::NoLease => "no_lease",
            Self::PortClosed => "port_closed",
            Self::DeviceBusy => "device_busy",
        }
    }
}

/// A device as far as the gate is concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GateDevice {
    /// The action is about this one.
    pub(crate) target: bool,
    pub(crate) owned: bool,
    pub(crate) guards_valuables: bool,
    pub(crate) idle: bool,
}

/// The facts alone: what must hold before the application is even asked.
pub(crate) fn check_facts(
    gate: ApplicationGate,
    application: &Application,
    devices: &[GateDevice],
    now: Mono,
) -> Result<(), Unsafe> {
    match gate {
        ApplicationGate::Required { .. } => match application.busy(now) {
            BusyVerdict::Free => {}
            BusyVerdict::NoFacts => return Err(Unsafe::NoFacts),
            BusyVerdict::OldFacts => return Err(Unsafe::OldFacts),
            BusyVerdict::Transaction => return Err(Unsafe::Transaction),
            BusyVerdict::Escrow => return Err(Unsafe::Escrow),
            BusyVerdict::Card => return Err(Unsafe::Card),
            BusyVerdict::Door => return Err(Unsafe::Door),
        },
        ApplicationGate::None => {
            for device in devices.iter().filter(|d| d.guards_valuables) {
                if !device.owned {
                    return Err(Unsafe::ValuablesNotOwned);
                }
                if !device.idle {
                    return Err(Unsafe::NotIdle);
                }
            }
        }
    }
    if devices.iter().any(|d| d.target && !d.idle) {
        return Err(Unsafe::NotIdle);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kioskwatch_proto::local::Busy;

    use super::*;

    const FREE: Busy = Busy { transaction: false, escrow: false, card: false, door: false, valid_for_s: 10 };
    const REQUIRED: ApplicationGate = ApplicationGate::Required { down_after_ms: 60_000 };
    const TARGET: GateDevice = GateDevice { target: true, owned: true, guards_valuables: false, idle: true };

    fn with(busy: Busy) -> Application {
        let mut application = Application::new(REQUIRED, 0);
        application.facts(busy, 1_000);
        application
    }

    #[test]
    fn every_fact_alone_is_a_no() {
        let table = [
            (FREE, Ok(())),
            (Busy { transaction: true, ..FREE }, Err(Unsafe::Transaction)),
            (Busy { escrow: true, ..FREE }, Err(Unsafe::Escrow)),
            (Busy { card: true, ..FREE }, Err(Unsafe::Card)),
            (Busy { door: true, ..FREE }, Err(Unsafe::Door)),
        ];
        for (busy, expected) in table {
            assert_eq!(check_facts(REQUIRED, &with(busy), &[TARGET], 1_500), expected, "{busy:?}");
        }
        assert_eq!(
            check_facts(REQUIRED, &Application::new(REQUIRED, 0), &[TARGET], 1_500),
            Err(Unsafe::NoFacts)
        );
    }

    #[test]
    fn facts_are_believed_for_two_seconds_or_less() {
        assert_eq!(check_facts(REQUIRED, &with(FREE), &[TARGET], 2_999), Ok(()));
        assert_eq!(check_facts(REQUIRED, &with(FREE), &[TARGET], 3_000), Err(Unsafe::OldFacts));
        let short = with(Busy { valid_for_s: 1, ..FREE });
        assert_eq!(check_facts(REQUIRED, &short, &[TARGET], 2_000), Err(Unsafe::OldFacts));
    }

    #[test]
    fn without_an_application_every_device_that_guards_money_must_be_ours_and_idle() {
        let none = ApplicationGate::None;
        let application = Application::new(none, 0);
        let money = GateDevice { target: false, owned: true, guards_valuables: true, idle: true };
        let table = [
            (money, Ok(())),
            (GateDevice { idle: false, ..money }, Err(Unsafe::NotIdle)),
            (GateDevice { owned: false, ..money }, Err(Unsafe::ValuablesNotOwned)),
            (GateDevice { guards_valuables: false, owned: false, idle: false, ..money }, Ok(())),
        ];
        for (device, expected) in table {
            assert_eq!(check_facts(none, &application, &[TARGET, device], 0), expected, "{device:?}");
        }
        let unsure = GateDevice { idle: false, ..TARGET };
        assert_eq!(check_facts(none, &application, &[unsure], 0), Err(Unsafe::NotIdle));
    }
}
