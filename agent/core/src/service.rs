//! The service state of the kiosk, from what its application says and what its peripherals are.
use kioskwatch_proto::{
    PeripheralName,
    faults::{FaultCode, Weight, codes},
    words::{PeripheralStatus, ServiceState},
};

use crate::{application::ApplicationWord, condition::cut_text, drivers::Mono};

/// After a start the peripherals and the application get this long to be heard before silence counts.
pub(crate) const START_GRACE_MS: u64 = 30_000;
/// The cause while nothing is known yet.
pub(crate) const CAUSE_STARTING: &str = "starting";

/// One peripheral as far as the service is concerned.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) name: &'a PeripheralName,
    pub(crate) required: bool,
    pub(crate) status: &'a PeripheralStatus,
    pub(crate) faults: Vec<&'a FaultCode>,
}

/// A state and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) state: ServiceState,
    pub(crate) cause: Option<String>,
}

impl Verdict {
    fn new(state: ServiceState, cause: String) -> Self {
        Self { state, cause: Some(cause) }
    }
}

/// What a peripheral does to the service.
enum Effect {
    None,
    Degrades(String),
    Stops(String),
}

fn effect_of(part: &Part<'_>, application: &ApplicationWord) -> Effect {
    let name = part.name;
    let stopped = if let Some(code) = part.faults.iter().copied().find(|c| Weight::of(c).stops_peripheral) {
        Some(format!("{name}: {code}"))
    } else if part.status.works() {
        None
    } else if part.status == &PeripheralStatus::PortBusy {
        // Another program holds the port. That program is the application's, which then knows best; without
        // an application nobody knows, which is a doubt and no outage.
        return match application {
            ApplicationWord::NotNeeded => Effect::Degrades(format!("{name}: port_busy")),
            _ => first_fault(part),
        };
    } else {
        let why = part.faults.first().map_or_else(|| part.status.to_string(), ToString::to_string);
        Some(format!("{name}: {why}"))
    };
    match stopped {
        Some(cause) if part.required => Effect::Stops(cause),
        Some(cause) => Effect::Degrades(cause),
        None => first_fault(part),
    }
}

fn first_fault(part: &Part<'_>) -> Effect {
    part.faults.first().map_or(Effect::None, |code| Effect::Degrades(format!("{}: {code}", part.name)))
}

/// The order of what decides: a person at the machine, a dead application, a required peripheral, the
/// application's own word, everything else that is not well.
pub(crate) fn decide(application: &ApplicationWord, parts: &[Part<'_>]) -> Verdict {
    if let ApplicationWord::Says(ServiceState::Supervised, cause) = application {
        return Verdict { state: ServiceState::Supervised, cause: said(cause.as_ref()) };
    }
    if *application == ApplicationWord::Down {
        return Verdict::new(ServiceState::OutOfService, codes::APPLICATION_DOWN.to_owned());
    }
    if *application == ApplicationWord::Awaited {
        return Verdict::new(ServiceState::OutOfService, CAUSE_STARTING.to_owned());
    }
    let mut degraded = None;
    for part in parts {
        match effect_of(part, application) {
            Effect::Stops(cause) => return Verdict::new(ServiceState::OutOfService, cause),
            Effect::Degrades(cause) => degraded = degraded.or(Some(cause)),
            Effect::None => {}
        }
    }
    match application {
        ApplicationWord::Says(state @ (ServiceState::OutOfService | ServiceState::Degraded), cause) => {
            Verdict { state: *state, cause: said(cause.as_ref()).or(degraded) }
        }
        _ => match degraded {
            Some(cause) => Verdict::new(ServiceState::Degraded, cause),
            None => Verdict { state: ServiceState::InService, cause: None },
        },
    }
}

fn said(cause: Option<&String>) -> Option<String> {
    cause.map(|text| cut_text(text))
}

/// The told service state. After a start it keeps what was told before until enough is known.
#[derive(Debug)]
pub(crate) struct Service {
    told: Verdict,
    settled: bool,
    grace_until: Mono,
}

impl Service {
    /// `before`: the state before the agent restarted, if the machine did not.
    pub(crate) fn new(before: Option<ServiceState>, now: Mono) -> Self {
        let told = match before {
            Some(state) => Verdict { state, cause: None },
            None => Verdict::new(ServiceState::OutOfService, CAUSE_STARTING.to_owned()),
        };
        Self { told, settled: false, grace_until: now + START_GRACE_MS }
    }

    pub(crate) fn state(&self) -> ServiceState {
        self.told.state
    }

    /// The end of the grace, while it runs.
    pub(crate) fn next_wake(&self) -> Option<Mono> {
        (!self.settled).then_some(self.grace_until)
    }

    /// Returns the verdict when it is to be told anew.
    pub(crate) fn update(&mut self, now: Mono, everyone_heard: bool, verdict: Verdict) -> Option<&Verdict> {
        self.settled |= everyone_heard || now >= self.grace_until;
        if !self.settled || self.told == verdict {
            return None;
        }
        self.told = verdict;
        Some(&self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(
        application: &ApplicationWord,
        required: bool,
        status: &PeripheralStatus,
        faults: &[&str],
    ) -> (ServiceState, String) {
        let name = PeripheralName::new("printer").unwrap();
        let codes: Vec<_> = faults.iter().map(|c| FaultCode::new(c).unwrap()).collect();
        let part = Part { name: &name, required, status, faults: codes.iter().collect() };
        let verdict = decide(application, &[part]);
        (verdict.state, verdict.cause.unwrap_or_default())
    }

    #[test]
    fn peripherals_alone_decide_without_an_application() {
        use PeripheralStatus as S;
        use ServiceState as V;
        let none = &ApplicationWord::NotNeeded;
        let table: &[(bool, S, &[&str], V, &str)] = &[
            (true, S::Online, &[], V::InService, ""),
            (true, S::Busy, &[], V::InService, ""),
            (true, S::Online, &["paper_low"], V::Degraded, "printer: paper_low"),
            (true, S::UserError, &["paper_out"], V::OutOfService, "printer: paper_out"),
            (false, S::UserError, &["paper_out"], V::Degraded, "printer: paper_out"),
            (true, S::Offline, &[], V::OutOfService, "printer: offline"),
            (true, S::NoDevice, &["port_missing"], V::OutOfService, "printer: port_missing"),
            (true, S::Stale, &[], V::OutOfService, "printer: stale"),
            (true, S::PortBusy, &[], V::Degraded, "printer: port_busy"),
            (false, S::Offline, &[], V::Degraded, "printer: offline"),
        ];
        for (required, status, faults, state, cause) in table {
            let expected = (*state, (*cause).to_owned());
            assert_eq!(verdict(none, *required, status, faults), expected, "{status} {faults:?}");
        }
    }

    #[test]
    fn the_applications_word_counts_below_required_peripherals() {
        use ServiceState as V;
        let says = |state| ApplicationWord::Says(state, Some("app".into()));
        let ok = &PeripheralStatus::Online;
        assert_eq!(verdict(&says(V::InService), true, ok, &[]).0, V::InService);
        assert_eq!(verdict(&says(V::OutOfService), true, ok, &[]), (V::OutOfService, "app".into()));
        assert_eq!(verdict(&says(V::Degraded), true, ok, &[]), (V::Degraded, "app".into()));
        let dead = &PeripheralStatus::Offline;
        assert_eq!(verdict(&says(V::InService), true, dead, &[]).0, V::OutOfService);
        assert_eq!(verdict(&says(V::Supervised), true, dead, &[]).0, V::Supervised);
        assert_eq!(
            verdict(&ApplicationWord::Down, true, ok, &[]),
            (V::OutOfService, "application_down".into())
        );
        let busy = &PeripheralStatus::PortBusy;
        assert_eq!(verdict(&says(V::InService), true, busy, &[]).0, V::InService, "its own port");
    }

    #[test]
    fn a_restart_of_the_agent_keeps_the_state_until_enough_is_known() {
        let mut service = Service::new(Some(ServiceState::InService), 0);
        let out = Verdict::new(ServiceState::OutOfService, "printer: starting".into());
        assert_eq!(service.update(10, false, out.clone()), None);
        assert_eq!(service.update(START_GRACE_MS, false, out.clone()), Some(&out));
    }
}
