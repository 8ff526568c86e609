//! What a technician reads in the log: one line for each fact, ids as fields.
use kioskwatch_agent_core::{Refusal, effect::Note};
use kioskwatch_proto::journal::{Body, FaultState};

/// Control characters of a device must not draw on anyone's terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '.' } else { c }).collect()
}

/// A fact that becomes a record.
pub(super) fn record(body: &Body) {
    match body {
        Body::Fault(fault) => {
            let (peripheral, code, severity) = (&fault.peripheral, &fault.fault, fault.severity);
            let text = plain(fault.detail.text.as_deref().unwrap_or_default());
            match fault.state {
                FaultState::Raised => tracing::warn!(%peripheral, fault = %code, %severity, text, "fault"),
                FaultState::Cleared => tracing::info!(%peripheral, fault = %code, "fault cleared"),
            }
        }
        Body::Peripheral(change) => {
            tracing::info!(peripheral = %change.peripheral, status = %change.status, "status");
        }
        Body::Service(service) => {
            let cause = plain(service.cause.as_deref().unwrap_or_default());
            tracing::info!(state = %service.state, cause, "service");
        }
        Body::Command(command) => {
            let reason = plain(command.reason.as_deref().unwrap_or_default());
            if [Refusal::BadSignature, Refusal::UnknownKey].iter().any(|refusal| refusal.code() == reason) {
                let hint = "the keys in [commands] keys may be another server's: compare them with what \
                            `kioskwatch-server signing-key` prints";
                tracing::warn!(command = %command.command, state = %command.state, reason, hint, "command");
            } else {
                tracing::info!(command = %command.command, state = %command.state, reason, "command");
            }
        }
        Body::Boot(boot) => tracing::info!(clean = boot.clean, "the agent begins"),
        Body::Shutdown(shutdown) => tracing::info!(reason = %shutdown.reason, "the agent stops"),
        other => tracing::debug!(kind = other.kind(), "recorded"),
    }
}

pub(super) fn note(note: &Note) {
    let name = note.name();
    match note {
        Note::CommandUnreadable | Note::ForgeryFlood => tracing::warn!(note = name, "commands"),
        Note::CommandRepeated { command } => tracing::info!(note = name, %command, "commands"),
        Note::PortDenied { peripheral } => {
            tracing::warn!(note = name, %peripheral, "the port may not be opened: check its owner and group");
        }
        Note::PortBusy { peripheral, holder } => {
            let holder = plain(holder.as_deref().unwrap_or("not to be seen"));
            tracing::warn!(note = name, %peripheral, holder, "another program holds the port");
        }
        Note::DeviceEvent { peripheral, name: event, raw } => {
            tracing::info!(note = name, %peripheral, event, raw = hex::encode(raw), "the device says");
        }
        Note::Flapping { peripheral, fault, began } => {
            tracing::warn!(note = name, %peripheral, fault, began, "changes too often to be told each time");
        }
        Note::BytesWithheld { peripheral, bytes } => {
            tracing::error!(note = name, %peripheral, bytes, "bytes for a port that is not ours");
        }
        Note::UnknownPeripheral { peripheral }
        | Note::WorkOverdue { peripheral }
        | Note::FaultsCut { peripheral } => tracing::warn!(note = name, %peripheral, "noted"),
    }
}
