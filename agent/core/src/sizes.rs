//! What a message may carry: a device or an application that says too much must not silence the kiosk.
use std::{cmp::Reverse, collections::BTreeMap};

use kioskwatch_proto::{
    PeripheralName, faults::Weight, heartbeat::PeripheralState, limits::MAX_STATES_BYTES,
};

/// Of a name that a device or a configuration gives: so many of them fit an inventory, whatever they are made of.
const MAX_LABEL_BYTES: usize = 80;

/// What a state says once something is left out of it.
const CUT: &str = r#","cut":true"#;

/// The states of all peripherals as a message carries them. Every peripheral and its status stay; of the faults the
/// least severe leave first, of those the ones that stop nothing, then the last by name, and what they stood on says so.
pub(crate) fn fitting(
    mut states: BTreeMap<PeripheralName, PeripheralState>,
) -> BTreeMap<PeripheralName, PeripheralState> {
    let bytes = serde_json::to_string(&states).map_or(0, |text| text.len());
    let mut over = signed(bytes) - signed(MAX_STATES_BYTES);
    if over <= 0 {
        return states;
    }
    let mut faults: Vec<_> = states
        .iter()
        .flat_map(|(name, state)| state.faults.iter().map(|fault| (name.clone(), fault.clone())))
        .collect();
    faults.sort_by_cached_key(|(name, fault)| {
        let Weight { severity, stops_peripheral } = Weight::of(fault);
        (severity, stops_peripheral, Reverse((name.clone(), fault.clone())))
    });
    for (name, fault) in faults {
        if over <= 0 {
            break;
        }
        let Some(state) = states.get_mut(&name) else { continue };
        state.faults.retain(|known| *known != fault);
        // Its quotation marks; a comma there is only beside another one.
        over -= signed(fault.as_str().len() + 2);
        if !std::mem::replace(&mut state.cut, true) {
            over += signed(CUT.len());
        }
    }
    states
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A name of an inventory; one that was cut ends in `…`.
pub(crate) fn label(text: &str) -> String {
    if text.len() <= MAX_LABEL_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_LABEL_BYTES - '…'.len_utf8());
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use kioskwatch_proto::{faults::FaultCode, words::PeripheralStatus};

    use super::*;

    fn states(peripherals: usize, faults: &[&str]) -> BTreeMap<PeripheralName, PeripheralState> {
        let faults: Vec<_> = faults.iter().map(|fault| FaultCode::new(fault).unwrap()).collect();
        let state = PeripheralState { status: PeripheralStatus::Online, faults, cut: false };
        (0..peripherals).map(|n| (PeripheralName::new(&format!("p{n:02}")).unwrap(), state.clone())).collect()
    }

    #[test]
    fn what_fits_is_left_alone() {
        let some = states(64, &["paper_low", "cover_open"]);
        assert_eq!(fitting(some.clone()), some);
    }

    #[test]
    fn the_least_severe_faults_leave_first_and_every_peripheral_stays() {
        let unknown: Vec<String> = (0..20).map(|n| format!("unknown_code({n:050})")).collect();
        let mut names: Vec<&str> = unknown.iter().map(String::as_str).collect();
        names.extend(["paper_low", "note_jam", "ups_fault"]);
        let cut = fitting(states(64, &names));
        let bytes = serde_json::to_string(&cut).unwrap().len();
        // All that fits, but for the commas.
        assert!((MAX_STATES_BYTES - 2_000..=MAX_STATES_BYTES).contains(&bytes), "{bytes}");
        assert_eq!(cut.len(), 64);
        let has = |state: &PeripheralState, code: &str| state.faults.iter().any(|f| f.as_str() == code);
        for state in cut.values() {
            assert!(
                state.cut && has(state, "note_jam") && has(state, "ups_fault") && !has(state, "paper_low")
            );
        }
        // Of the same severity those that come last.
        let left: Vec<usize> = cut.values().map(|state| state.faults.len()).collect();
        assert!(left[0] > left[63] && left.is_sorted_by(|a, b| a >= b), "{left:?}");
    }

    #[test]
    fn a_label_is_cut_between_characters_and_says_so() {
        assert_eq!(label("TM-T88V"), "TM-T88V");
        for long in ["x".repeat(81), "钞".repeat(500)] {
            let cut = label(&long);
            assert!(cut.len() <= MAX_LABEL_BYTES && cut.ends_with('…'), "{cut}");
        }
    }
}
