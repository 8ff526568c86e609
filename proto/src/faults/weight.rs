//! What an agent decides by. The words of the catalogue are for people, and stay with the server.
use super::FaultCode;
use crate::words::Severity;

/// What a fault does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    pub severity: Severity,
    /// Whether the fault alone takes a required peripheral out of work.
    pub stops_peripheral: bool,
}

/// By code, in order; made from `faults.toml` by the build script.
const WEIGHTS: &[(&str, Weight)] = include!(concat!(env!("OUT_DIR"), "/weights.rs"));

impl Weight {
    /// As the shipped catalogue says; an unknown code is `minor`, never harmless, and stops nothing by itself.
    pub fn of(code: &FaultCode) -> Self {
        let unknown = Self { severity: Severity::Minor, stops_peripheral: false };
        WEIGHTS.binary_search_by(|(known, _)| known.cmp(&code.base())).map_or(unknown, |at| WEIGHTS[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Catalogue;

    #[test]
    fn an_agent_weighs_every_fault_as_the_catalogue_does() {
        let catalogue = Catalogue::built_in();
        for entry in catalogue.entries() {
            let weight = Weight { severity: entry.severity, stops_peripheral: entry.stops_peripheral };
            let with_sub = FaultCode::new(&format!("{}(x)", entry.code)).unwrap();
            assert_eq!((Weight::of(&entry.code), Weight::of(&with_sub)), (weight, weight), "{}", entry.code);
        }
        let unknown = FaultCode::new("never_heard_of").unwrap();
        let weight = Weight { severity: catalogue.severity(&unknown), stops_peripheral: false };
        assert_eq!((Weight::of(&unknown), WEIGHTS.len()), (weight, catalogue.entries().count()));
    }
}
