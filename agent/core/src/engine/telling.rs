//! From changes to records.
use std::collections::BTreeMap;

use kioskwatch_proto::{
    PeripheralName,
    faults::Weight,
    heartbeat::PeripheralState,
    journal::{
        Body, Fault, FaultDetail, FaultState, Peripheral as PeripheralRecord, Service as ServiceRecord,
    },
};

use super::Engine;
use crate::{
    application::ApplicationWord,
    condition::Change,
    effect::{Draft, Effect, Note},
    peripheral::Outputs,
    service::{Part, decide},
};

impl Engine {
    pub(super) fn update_service(&mut self, out: &mut Vec<Effect>) {
        let word = self.application.word(self.now.mono);
        let parts: Vec<_> = self
            .peripherals
            .iter()
            .map(|p| Part {
                name: p.name(),
                required: p.config.required,
                status: p.condition.status(),
                faults: p.condition.faults().collect(),
            })
            .collect();
        let heard = word != ApplicationWord::Awaited
            && self.peripherals.iter().all(|p| !p.config.required || p.known());
        let verdict = decide(&word, &parts);
        let told = self.service.update(self.now.mono, heard, verdict).cloned();
        if let Some(verdict) = told {
            self.changed = true;
            self.record(Body::Service(ServiceRecord { state: verdict.state, cause: verdict.cause }), out);
        }
    }

    /// The states of all peripherals, and of the terminal itself when something is wrong with it.
    pub(super) fn states(&self) -> BTreeMap<PeripheralName, PeripheralState> {
        let mut states: BTreeMap<_, _> =
            self.peripherals.iter().map(|p| (p.name().clone(), p.condition.state())).collect();
        let host = self.host.condition().state();
        if !host.faults.is_empty() {
            states.insert(self.host.name().clone(), host);
        }
        states
    }

    /// Tells what a peripheral had to say, and passes on the ends of work.
    pub(super) fn hear(&mut self, index: usize, outputs: Outputs, out: &mut Vec<Effect>) {
        out.extend(outputs.effects);
        let name = self.peripherals[index].name().clone();
        for change in outputs.changes {
            self.tell(&name, change, out);
        }
        if outputs.inventory {
            out.push(Effect::InventoryChanged);
        }
        for (work, end) in outputs.ended {
            self.with_commands(out, |commands, site| commands.ended(name.as_str(), work, end, site));
        }
    }

    pub(super) fn tell_host(&mut self, changes: Vec<Change>, out: &mut Vec<Effect>) {
        let name = self.host.name().clone();
        for change in changes {
            self.tell(&name, change, out);
        }
    }

    pub(super) fn tell(&mut self, peripheral: &PeripheralName, change: Change, out: &mut Vec<Effect>) {
        let (fault, state, detail) = match change {
            Change::Status(status) => {
                self.changed = true;
                let record = PeripheralRecord { peripheral: peripheral.clone(), status };
                return self.record(Body::Peripheral(record), out);
            }
            Change::Raised(code, detail) => (code, FaultState::Raised, detail),
            Change::Cleared(code) => (code, FaultState::Cleared, FaultDetail::default()),
            Change::Flapping { fault, began } => {
                let fault = fault.map(|f| f.to_string());
                out.push(Effect::Note(Note::Flapping { peripheral: peripheral.clone(), fault, began }));
                return;
            }
            Change::FaultsCut => {
                out.push(Effect::Note(Note::FaultsCut { peripheral: peripheral.clone() }));
                return;
            }
        };
        self.changed = true;
        let severity = Weight::of(&fault).severity;
        let record = Fault { peripheral: peripheral.clone(), fault, state, severity, detail };
        self.record(Body::Fault(record), out);
    }

    pub(super) fn draft(&self, body: Body) -> Draft {
        Draft { boot: self.boot, at: self.now.wall, mono_ms: self.now.mono, body }
    }

    pub(super) fn record(&self, body: Body, out: &mut Vec<Effect>) {
        out.push(Effect::Record(self.draft(body)));
    }
}
