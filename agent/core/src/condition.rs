//! What one peripheral is known to have: its status and its faults, each confirmed on its own.
use std::collections::{BTreeMap, BTreeSet};

use kioskwatch_proto::{
    faults::{FaultCode, codes},
    heartbeat::PeripheralState,
    journal::FaultDetail,
    limits::{MAX_FAULTS_PER_PERIPHERAL, MAX_RAW_BYTES, MAX_TEXT_CHARS},
    words::PeripheralStatus,
};

use crate::{
    confirm::{Confirmed, Sight, Verdict},
    drivers::FoundFault,
};

/// Faults of the way to the device, not of the device. Only a look that got that far says they are gone.
const LINK_FAULTS: [&str; 3] = [codes::COMM_TIMEOUT, codes::COMM_GARBLED, codes::PORT_MISSING];

/// A code that our own programs raise by name.
pub(crate) fn own_code(text: &str) -> FaultCode {
    FaultCode::new(text).expect("codes named in the contract are well-formed")
}

/// One look at a peripheral.
#[derive(Debug, Clone)]
pub(crate) enum Observation {
    /// The device itself spoke: a fault it does not name is gone.
    Whole { status: PeripheralStatus, faults: Vec<(FaultCode, FaultDetail)> },
    /// We got no further than the line: faults of the device are neither seen nor gone.
    Line { status: PeripheralStatus, fault: Option<(FaultCode, FaultDetail)> },
}

impl Observation {
    pub(crate) fn no_answer() -> Self {
        let fault = (own_code(codes::COMM_TIMEOUT), FaultDetail::default());
        Self::Line { status: PeripheralStatus::Offline, fault: Some(fault) }
    }

    pub(crate) fn garbled(raw: &[u8]) -> Self {
        let fault = (own_code(codes::COMM_GARBLED), detail_of(raw, None));
        Self::Line { status: PeripheralStatus::HardwareError, fault: Some(fault) }
    }

    pub(crate) fn port_missing() -> Self {
        let fault = (own_code(codes::PORT_MISSING), FaultDetail::default());
        Self::Line { status: PeripheralStatus::NoDevice, fault: Some(fault) }
    }

    /// Somebody else holds the port (`port_busy`) or we may not open it (`unknown`): no defect.
    pub(crate) fn no_access(status: PeripheralStatus) -> Self {
        Self::Line { status, fault: None }
    }

    pub(crate) fn reading(status: PeripheralStatus, found: &[FoundFault]) -> Self {
        let faults = found.iter().map(|f| (f.code.clone(), detail_of(&f.raw, f.text.as_deref()))).collect();
        Self::Whole { status, faults }
    }
}

/// Raw bytes and text of a device, cut to what the wire allows.
pub(crate) fn detail_of(raw: &[u8], text: Option<&str>) -> FaultDetail {
    FaultDetail {
        raw: (!raw.is_empty()).then(|| hex::encode(&raw[..raw.len().min(MAX_RAW_BYTES)])),
        text: text.map(cut_text),
    }
}

/// Control characters out, length within the limit.
pub(crate) fn cut_text(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT_CHARS).collect()
}

/// A told change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Status(PeripheralStatus),
    Raised(FaultCode, FaultDetail),
    Cleared(FaultCode),
    /// Of a fault, or of the status.
    Flapping {
        fault: Option<FaultCode>,
        began: bool,
    },
    /// More faults at once than are kept.
    FaultsCut,
}

#[derive(Debug, Clone)]
pub(crate) struct Condition {
    status: Confirmed<PeripheralStatus>,
    faults: BTreeMap<FaultCode, Confirmed<bool>>,
}

impl Condition {
    pub(crate) fn new(status: PeripheralStatus) -> Self {
        Self { status: Confirmed::new(status), faults: BTreeMap::new() }
    }

    /// Faults that stood before the agent started stand until a look says otherwise.
    pub(crate) fn remember(&mut self, faults: &[FaultCode]) {
        for code in faults.iter().take(MAX_FAULTS_PER_PERIPHERAL) {
            self.faults.insert(code.clone(), Confirmed::new(true));
        }
    }

    pub(crate) fn status(&self) -> &PeripheralStatus {
        self.status.told()
    }

    /// The told faults, in order of their names.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &FaultCode> {
        self.faults.iter().filter(|(_, c)| *c.told()).map(|(code, _)| code)
    }

    pub(crate) fn has(&self, code: &str) -> bool {
        self.faults().any(|f| f.as_str() == code)
    }

    pub(crate) fn state(&self) -> PeripheralState {
        PeripheralState {
            status: self.status().clone(),
            faults: self.faults().cloned().collect(),
            cut: false,
        }
    }

    /// Something was seen that is not confirmed yet.
    pub(crate) fn doubtful(&self) -> bool {
        self.status.doubtful() || self.faults.values().any(Confirmed::doubtful)
    }

    pub(crate) fn observe(&mut self, observation: Observation, sight: Sight<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        let (status, seen, whole) = match observation {
            Observation::Whole { status, faults } => (status, faults, true),
            Observation::Line { status, fault } => (status, fault.into_iter().collect(), false),
        };
        let mut named = BTreeSet::new();
        let mut cut = false;
        for (code, detail) in seen {
            if self.faults.len() >= MAX_FAULTS_PER_PERIPHERAL && !self.faults.contains_key(&code) {
                cut = true;
            } else if named.insert(code.clone()) {
                self.see_fault(&code, true, detail, sight, &mut changes);
            }
        }
        changes.extend(cut.then_some(Change::FaultsCut));
        let absent: Vec<FaultCode> = self
            .faults
            .keys()
            .filter(|code| !named.contains(*code) && (whole || LINK_FAULTS.contains(&code.as_str())))
            .cloned()
            .collect();
        for code in absent {
            self.see_fault(&code, false, FaultDetail::default(), sight, &mut changes);
        }
        let bad = !status.works();
        let verdict = self.status.see(status, bad, sight);
        self.tell_status(verdict, &mut changes);
        changes
    }

    /// One fault on its own, as the terminal's own checks see them.
    pub(crate) fn see_fault(
        &mut self,
        code: &FaultCode,
        present: bool,
        detail: FaultDetail,
        sight: Sight<'_>,
        changes: &mut Vec<Change>,
    ) {
        if !present && !self.faults.contains_key(code) {
            return;
        }
        let track = self.faults.entry(code.clone()).or_insert_with(|| Confirmed::new(false));
        match track.see(present, present, sight) {
            Verdict::Changed if present => changes.push(Change::Raised(code.clone(), detail)),
            Verdict::Changed => changes.push(Change::Cleared(code.clone())),
            Verdict::FlappingBegan => {
                changes.push(Change::Raised(code.clone(), say_flapping(detail, sight)));
                changes.push(Change::Flapping { fault: Some(code.clone()), began: true });
            }
            Verdict::Calmed { changed } => tell_calmed(code.clone(), changed, changes),
            Verdict::Same | Verdict::Soft | Verdict::Held => {}
        }
        if !*track.told() && track.settled() {
            self.faults.remove(code);
        }
    }

    /// Lets flapping end when nothing is seen any more.
    pub(crate) fn calm(&mut self, sight: Sight<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (code, track) in &mut self.faults {
            if let Verdict::Calmed { changed } = track.calm(sight) {
                tell_calmed(code.clone(), changed, &mut changes);
            }
        }
        self.faults.retain(|_, track| *track.told() || !track.settled());
        let verdict = self.status.calm(sight);
        self.tell_status(verdict, &mut changes);
        changes
    }

    /// Our own verdict, told at once.
    pub(crate) fn set_status(&mut self, status: PeripheralStatus) -> Option<Change> {
        self.status.set(status.clone()).then_some(Change::Status(status))
    }

    /// Our own verdict, told at once.
    pub(crate) fn raise(&mut self, code: FaultCode, detail: FaultDetail) -> Option<Change> {
        let track = self.faults.entry(code.clone()).or_insert_with(|| Confirmed::new(false));
        track.set(true).then_some(Change::Raised(code, detail))
    }

    fn tell_status(&self, verdict: Verdict, changes: &mut Vec<Change>) {
        match verdict {
            Verdict::Changed => changes.push(Change::Status(self.status.told().clone())),
            Verdict::FlappingBegan => {
                changes.push(Change::Status(self.status.told().clone()));
                changes.push(Change::Flapping { fault: None, began: true });
            }
            Verdict::Calmed { changed } => {
                if changed {
                    changes.push(Change::Status(self.status.told().clone()));
                }
                changes.push(Change::Flapping { fault: None, began: false });
            }
            Verdict::Same | Verdict::Soft | Verdict::Held => {}
        }
    }
}

fn tell_calmed(code: FaultCode, changed: bool, changes: &mut Vec<Change>) {
    if changed {
        changes.push(Change::Cleared(code.clone()));
    }
    changes.push(Change::Flapping { fault: Some(code), began: false });
}

fn say_flapping(mut detail: FaultDetail, sight: Sight<'_>) -> FaultDetail {
    let note = format!(
        "flapping: {} changes within {} s; kept raised until it calms down",
        sight.limits.start_at,
        sight.limits.window_ms / 1000
    );
    detail.text = Some(match detail.text {
        Some(text) => cut_text(&format!("{note}; {text}")),
        None => note,
    });
    detail
}

#[cfg(test)]
mod tests;
