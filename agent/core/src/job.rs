//! What a command means here: which work on which peripherals, and how its ends are told.
use kioskwatch_proto::{
    PeripheralName,
    command::{Action, ActionClass, Command},
    faults::FaultCode,
    limits::MAX_RESULT_BYTES,
};
use serde_json::{Map, Value, json};

use crate::{
    condition::{cut_text, detail_of},
    drivers::{CannotDo, Identity, Reading, Work},
    gate::Unsafe,
    peripheral::{End, Peripheral},
    refusal::Refusal,
};

/// The actions this agent carries out, as the inventory lists them.
pub const SUPPORTED: [Action; 3] = [Action::Probe, Action::Identify, Action::SelfTest];

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    pub(crate) action: Action,
    pub(crate) work: Work,
    /// One after the other, in the order of the configuration.
    pub(crate) targets: Vec<PeripheralName>,
}

impl Job {
    /// `{"peripheral": name}` names one; without it all that can do the work are meant.
    pub(crate) fn plan(command: &Command, peripherals: &[Peripheral]) -> Result<Self, Refusal> {
        let action = Action::parse(&command.action).ok_or(Refusal::UnknownAction)?;
        let work = match action {
            Action::Probe => Work::Probe,
            Action::Identify => Work::Identify,
            Action::SelfTest => Work::SelfTest,
            Action::ResetPeripheral
            | Action::CollectDiagnostics
            | Action::ReadLog
            | Action::PingNetwork
            | Action::RestartApplication
            | Action::RestartAgent
            | Action::Reboot => return Err(Refusal::UnsupportedAction),
        };
        let can =
            |p: &&Peripheral| p.commandable() && (work != Work::SelfTest || p.worst_case_ms(work).is_some());
        let targets: Vec<_> = match command.args.get("peripheral") {
            Some(Value::String(name)) => {
                let named = peripherals.iter().find(|p| p.name().as_str() == name);
                let named = named.ok_or(Refusal::UnknownPeripheral)?;
                if !named.commandable() {
                    return Err(Refusal::NotOurs);
                }
                Some(named).filter(can).into_iter().map(|p| p.name().clone()).collect()
            }
            Some(_) => return Err(Refusal::BadArguments),
            None => peripherals.iter().filter(can).map(|p| p.name().clone()).collect(),
        };
        if targets.is_empty() {
            return Err(Refusal::UnsupportedByDevice);
        }
        Ok(Self { action, work, targets })
    }

    /// Whether it needs no gate.
    pub(crate) fn only_reads(&self) -> bool {
        self.action.class() == ActionClass::Read
    }
}

/// How one peripheral's part ended; the reason is empty when it went well.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    pub(crate) value: Value,
    pub(crate) failure: Option<&'static str>,
}

impl Part {
    pub(crate) fn failed(reason: &'static str) -> Self {
        Self { value: json!({"error": reason}), failure: Some(reason) }
    }

    pub(crate) fn skipped(why: Unsafe) -> Self {
        Self { value: json!({"skipped": why.code()}), failure: Some("unsafe_now") }
    }

    /// The command's time was over before this one's turn.
    pub(crate) fn too_late() -> Self {
        Self { value: json!({"skipped": "not_after"}), failure: Some("not_after") }
    }

    pub(crate) fn cannot(cannot: CannotDo) -> Self {
        match cannot {
            CannotDo::Unsupported => Self::failed("unsupported_by_device"),
            CannotDo::Occupied => Self::failed("device_busy"),
            CannotDo::NotNow(text) => {
                Self { value: json!({"error": "not_now", "text": cut_text(&text)}), failure: Some("not_now") }
            }
        }
    }

    pub(crate) fn of(end: End) -> Self {
        let fine = |value| Self { value, failure: None };
        match end {
            End::Reading(reading) => fine(reading_json(&reading)),
            End::Identity(identity) => fine(identity_json(&identity)),
            End::Tested(result) => {
                let mut value = json!({"passed": result.passed, "summary": result.summary});
                if let Some(reading) = &result.reading {
                    value["reading"] = reading_json(reading);
                }
                Self { value, failure: (!result.passed).then_some("test_failed") }
            }
            End::NoAnswer => Self::failed("no_answer"),
            End::Garbled => Self::failed("garbled"),
            End::Overdue => Self::failed("overdue"),
            End::PortClosed => Self::failed("port_closed"),
            End::NotOurs => Self::failed("not_ours"),
        }
    }
}

fn reading_json(reading: &Reading) -> Value {
    let faults: Vec<Value> = reading
        .faults
        .iter()
        .map(|fault| {
            let detail = detail_of(&fault.raw, fault.text.as_deref());
            let code: &FaultCode = &fault.code;
            json!({"fault": code, "detail": detail})
        })
        .collect();
    // A measured value that is no number has no place in JSON.
    let values: Map<String, Value> =
        reading.values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({"status": reading.status, "state": reading.state, "values": values, "faults": faults})
}

fn identity_json(identity: &Identity) -> Value {
    json!({
        "maker": identity.maker,
        "model": identity.model,
        "firmware": identity.firmware,
        "serial": identity.serial,
    })
}

/// The result of the whole command; details give way when it would be too large for a record.
pub(crate) fn result(parts: &[(PeripheralName, Part)]) -> Value {
    let all: Map<String, Value> =
        parts.iter().map(|(name, part)| (name.to_string(), part.value.clone())).collect();
    let whole = json!({"peripherals": all});
    if whole.to_string().len() <= MAX_RESULT_BYTES {
        return whole;
    }
    let short: Map<String, Value> = parts
        .iter()
        .map(|(name, part)| (name.to_string(), json!({"outcome": part.failure.unwrap_or("done")})))
        .collect();
    json!({"cut": true, "peripherals": short})
}
