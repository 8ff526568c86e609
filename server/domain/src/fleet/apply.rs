//! What an applied record means: evidence, current state, problems, results of commands.
use kioskwatch_proto::{
    PeripheralName, Timestamp,
    faults::FaultCode,
    heartbeat::PeripheralState,
    journal::{Body, Fault, FaultState, Record, Snapshot},
    limits::{MAX_FAULTS_PER_PERIPHERAL, MAX_PERIPHERALS},
    words::{PeripheralStatus, ServiceState},
};

use super::{
    Ix,
    count::{Count, RecordFate, words},
    draft::Draft,
    ingest::Delivery,
    kiosk::Peripherals,
    problems::Problem,
};
use crate::{
    change::TransitionRow,
    cursor::Proof,
    incident::{CloseReason, is_ours},
};

words!(
    /// How an agent came up, as a transition of `boot` keeps it.
    BootWay {
        /// The machine was on all the time.
        AgentRestart = "agent_restart",
        /// The agent had been stopped in order.
        Clean = "clean",
        Unclean = "unclean",
    }
);

impl Draft<'_> {
    /// Applies a record that is new. Records of an older epoch are evidence only.
    pub(super) fn apply(&mut self, delivery: Delivery, record: &Record, placed_at: Timestamp) {
        let current = self.kiosk(delivery.ix).state.epoch == Some(delivery.epoch);
        self.prove_time(delivery, record, placed_at);
        if current {
            self.change_state(delivery.ix, record, placed_at);
        }
        self.set_evidence_state(delivery, record, current);
        let fate = if current { RecordFate::Applied } else { RecordFate::Historic };
        self.count(Count::Record(fate));
    }

    /// The time between the record before and this one. A record sent again after a change of epoch goes on
    /// where its old journal ended.
    fn prove_time(&mut self, delivery: Delivery, record: &Record, placed_at: Timestamp) {
        let lived_until = match &record.body {
            Body::Boot(boot) => boot.previous_alive_until,
            _ => None,
        };
        let cursor_of = self.cursor_delivery(delivery, record);
        let proofs = self.head_mut(cursor_of).cursor.advance(record, placed_at, lived_until);
        let id = self.kiosk(delivery.ix).id.clone();
        for proof in proofs {
            let proof = Proof { to: proof.to.min(delivery.received_at), ..proof };
            if proof.from >= proof.to {
                continue;
            }
            let mut row = self.head_mut(cursor_of).cursor.paint(&id, proof, delivery.received_at);
            row.epoch = Some(delivery.epoch);
            row.seq = Some(record.header.seq);
            self.prove(delivery.ix, row);
        }
    }

    pub(super) fn cursor_delivery(&self, delivery: Delivery, record: &Record) -> Delivery {
        match record.header.was {
            Some(was) if self.kiosk(delivery.ix).head(was.epoch).is_some() => {
                Delivery { epoch: was.epoch, ..delivery }
            }
            _ => delivery,
        }
    }

    /// The state from this record on, as evidence has it.
    fn set_evidence_state(&mut self, delivery: Delivery, record: &Record, current: bool) {
        let told = match &record.body {
            Body::Service(service) => Some(service.state),
            Body::Snapshot(snapshot) => Some(snapshot.service),
            Body::Fault(_) | Body::Peripheral(_) if current => self.kiosk(delivery.ix).state.service,
            _ => None,
        };
        let Some(service) = told else { return };
        let cursor_of = self.cursor_delivery(delivery, record);
        if matches!(record.body, Body::Snapshot(_)) {
            self.head_mut(cursor_of).cursor.is_told_all();
        }
        let kiosk = self.kiosk(delivery.ix);
        let is_known = current && self.head(cursor_of).cursor.knows_modules();
        let (state, cause) = kiosk.proves(service, is_known);
        self.head_mut(cursor_of).cursor.set_state(state, cause);
    }

    fn change_state(&mut self, ix: Ix, record: &Record, at: Timestamp) {
        match &record.body {
            Body::Boot(boot) => {
                let again = self.kiosk(ix).state.boot == Some(record.header.boot);
                let how = match (again, boot.clean) {
                    (true, _) => BootWay::AgentRestart,
                    (false, true) => BootWay::Clean,
                    (false, false) => BootWay::Unclean,
                };
                self.kiosk_mut(ix).state.boot = Some(record.header.boot);
                self.note_change(ix, Change::new("boot", "", "up", at, how.as_str()));
            }
            Body::Shutdown(shutdown) => {
                self.note_change(ix, Change::new("boot", "up", "shutdown", at, shutdown.reason.as_str()));
            }
            Body::Service(service) => self.set_service(ix, service.state, service.cause.as_deref(), at),
            Body::Peripheral(told) => self.set_status(ix, &told.peripheral, &told.status, at),
            Body::Fault(fault) => self.set_fault(ix, fault, at),
            Body::Snapshot(snapshot) => self.take_snapshot(ix, snapshot, at),
            Body::Command(result) => self.command_word(ix, result, at),
            Body::Transaction(_) | Body::Alive(_) | Body::Dropped(_) | Body::Other(_) => {}
        }
    }

    fn note_change(&mut self, ix: Ix, change: Change<'_>) {
        let row = TransitionRow {
            kiosk: self.kiosk(ix).id.clone(),
            kind: change.kind.to_owned(),
            peripheral: change.peripheral.cloned(),
            from: change.from.to_owned(),
            to: change.to.to_owned(),
            at: change.at,
            noticed_at: self.now,
            reason: change.reason.to_owned(),
        };
        self.transition(row);
    }

    fn set_service(&mut self, ix: Ix, to: ServiceState, cause: Option<&str>, at: Timestamp) {
        let state = &self.kiosk(ix).state;
        let from = state.service;
        if from == Some(to) && state.service_cause.as_deref().map(String::as_str) == cause {
            return;
        }
        let state = &mut self.kiosk_mut(ix).state;
        state.service = Some(to);
        state.service_cause = cause.map(|cause| std::sync::Arc::new(cause.to_owned()));
        if from != Some(to) {
            state.service_since = Some(at.into());
            let from = from.map_or("", ServiceState::as_str);
            self.note_change(ix, Change::new("service", from, to.as_str(), at, cause.unwrap_or("")));
        }
    }

    fn set_status(&mut self, ix: Ix, name: &PeripheralName, to: &PeripheralStatus, at: Timestamp) {
        let known = self.kiosk(ix).state.peripherals.iter().find(|(n, _)| n == name);
        let from = known.map(|(_, peripheral)| peripheral.status.clone());
        if from.as_ref() == Some(to) {
            return;
        }
        if !self.edit_peripheral(ix, name, |peripheral| peripheral.status = to.clone()) {
            return;
        }
        let from = from.as_ref().map_or("", PeripheralStatus::as_str);
        let change =
            Change { peripheral: Some(name), ..Change::new("peripheral", from, to.as_str(), at, "") };
        self.note_change(ix, change);
    }

    fn set_fault(&mut self, ix: Ix, fault: &Fault, at: Timestamp) {
        let (name, code) = (&fault.peripheral, &fault.fault);
        match fault.state {
            FaultState::Raised => {
                let mut kept = false;
                let known = self.edit_peripheral(ix, name, |peripheral| {
                    let faults = &mut peripheral.faults;
                    if !faults.contains(code) && faults.len() < MAX_FAULTS_PER_PERIPHERAL {
                        faults.push(code.clone());
                    }
                    kept = faults.contains(code);
                });
                if kept {
                    self.raise(ix, &Problem::of_record(fault, at));
                } else if known {
                    self.count(Count::Record(RecordFate::TooManyFaults));
                }
            }
            FaultState::Cleared => {
                self.edit_peripheral(ix, name, |peripheral| peripheral.faults.retain(|known| known != code));
                if let Some(id) = self.find_incident(ix, Some(name), code.as_str()) {
                    self.close_incident(id, at, CloseReason::Cleared);
                }
            }
        }
    }

    /// The whole state: what it does not name is cleared, except what only the server raises.
    fn take_snapshot(&mut self, ix: Ix, snapshot: &Snapshot, at: Timestamp) {
        self.set_service(ix, snapshot.service, None, at);
        let before = self.kiosk(ix).state.peripherals.clone();
        let after = snapshot
            .peripherals
            .iter()
            .map(|(name, told)| {
                let known = before.iter().find(|(known, _)| known == name).map(|(_, known)| known);
                (name.clone(), whole(told, known))
            })
            .collect();
        let after = Peripherals::new(after);
        for (name, peripheral) in after.iter() {
            self.set_status(ix, name, &peripheral.status, at);
        }
        if before != after {
            self.kiosk_mut(ix).state.peripherals = after.clone();
        }
        let named = |name: Option<&PeripheralName>, code: &FaultCode| {
            after.iter().any(|(n, p)| Some(n) == name && p.faults.contains(code))
        };
        for id in self.kiosk(ix).busy().incidents.clone() {
            let Some(row) = self.incident(id) else { continue };
            if !is_ours(&row.fault) && !named(row.peripheral.as_ref(), &row.fault) {
                self.close_incident(id, at, CloseReason::NotInSnapshot);
            }
        }
        for (name, peripheral) in after.iter() {
            for code in &peripheral.faults {
                if self.find_incident(ix, Some(name), code.as_str()).is_none() {
                    let severity = self.policy.catalogue.severity(code);
                    self.raise(ix, &Problem::of_snapshot(name, code, severity, at));
                }
            }
        }
    }

    /// `false`: there are as many as the wire allows, and this is another one.
    fn edit_peripheral(
        &mut self,
        ix: Ix,
        name: &PeripheralName,
        edit: impl FnOnce(&mut PeripheralState),
    ) -> bool {
        let mut all: Vec<_> = self.kiosk(ix).state.peripherals.to_vec();
        match all.binary_search_by(|(known, _)| known.cmp(name)) {
            Ok(at) => edit(&mut all[at].1),
            Err(_)
                if all.iter().filter(|(known, _)| !known.is_host()).count() >= MAX_PERIPHERALS
                    && !name.is_host() =>
            {
                self.count(Count::Record(RecordFate::TooManyPeripherals));
                return false;
            }
            Err(at) => {
                let status = PeripheralStatus::Unknown;
                let mut fresh = PeripheralState { status, faults: Vec::new(), cut: false };
                edit(&mut fresh);
                all.insert(at, (name.clone(), fresh));
            }
        }
        let state = &mut self.kiosk_mut(ix).state;
        if **state.peripherals != *all {
            state.peripherals = Peripherals::new(all.into());
        }
        true
    }
}

/// What stood before a state that was cut stands on.
fn whole(told: &PeripheralState, known: Option<&PeripheralState>) -> PeripheralState {
    let mut state = PeripheralState { cut: false, ..told.clone() };
    for fault in known.filter(|_| told.cut).iter().flat_map(|known| &known.faults) {
        if !state.faults.contains(fault) && state.faults.len() < MAX_FAULTS_PER_PERIPHERAL {
            state.faults.push(fault.clone());
        }
    }
    state
}

/// A change of the kiosk's state, for its row.
#[derive(Clone, Copy)]
struct Change<'a> {
    kind: &'static str,
    peripheral: Option<&'a PeripheralName>,
    from: &'a str,
    to: &'a str,
    at: Timestamp,
    reason: &'a str,
}

impl<'a> Change<'a> {
    const fn new(kind: &'static str, from: &'a str, to: &'a str, at: Timestamp, reason: &'a str) -> Self {
        Self { kind, peripheral: None, from, to, at, reason }
    }
}
