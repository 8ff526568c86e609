use proptest::prelude::*;

use super::*;
use crate::config::FlappingLimits;

const LIMITS: FlappingLimits = FlappingLimits { window_ms: 60_000, start_at: 8, stop_below: 4 };

fn sight(now: u64) -> Sight<'static> {
    Sight { now, probes: 2, limits: &LIMITS }
}

fn reading(codes: &[&str]) -> Observation {
    let faults = codes.iter().map(|c| (own_code(c), FaultDetail::default())).collect();
    let status = if codes.is_empty() { PeripheralStatus::Online } else { PeripheralStatus::UserError };
    Observation::Whole { status, faults }
}

#[test]
fn a_fault_is_told_after_the_second_look_and_cleared_likewise() {
    let mut condition = Condition::new(PeripheralStatus::Online);
    assert!(condition.observe(reading(&["paper_out"]), sight(0)).is_empty());
    assert!(condition.doubtful());
    let changes = condition.observe(reading(&["paper_out"]), sight(1));
    assert_eq!(
        changes,
        [
            Change::Raised(own_code("paper_out"), FaultDetail::default()),
            Change::Status(PeripheralStatus::UserError)
        ]
    );
    assert!(!condition.doubtful());
    assert!(condition.observe(reading(&[]), sight(2)).is_empty());
    assert_eq!(
        condition.observe(reading(&[]), sight(3)),
        [Change::Cleared(own_code("paper_out")), Change::Status(PeripheralStatus::Online)]
    );
}

#[test]
fn a_silent_line_says_nothing_about_the_devices_own_faults() {
    let mut condition = Condition::new(PeripheralStatus::Online);
    for now in 0..2 {
        condition.observe(reading(&["paper_out"]), sight(now));
    }
    for now in 2..4 {
        condition.observe(Observation::no_answer(), sight(now));
    }
    let names: Vec<_> = condition.faults().map(FaultCode::as_str).collect();
    assert_eq!(names, ["comm_timeout", "paper_out"]);
    for now in 4..6 {
        condition.observe(reading(&[]), sight(now));
    }
    assert_eq!(condition.faults().count(), 0);
}

#[test]
fn a_busy_port_is_a_status_and_never_a_fault() {
    let mut condition = Condition::new(PeripheralStatus::Online);
    for now in 0..2 {
        condition.observe(Observation::no_access(PeripheralStatus::PortBusy), sight(now));
    }
    assert_eq!(condition.status(), &PeripheralStatus::PortBusy);
    assert_eq!(condition.faults().count(), 0);
}

#[test]
fn unknown_codes_are_kept_as_they_came() {
    let mut condition = Condition::new(PeripheralStatus::Online);
    for now in 0..2 {
        condition.observe(reading(&["unknown_code(3f)"]), sight(now));
    }
    assert!(condition.has("unknown_code(3f)"));
}

#[test]
fn flapping_is_said_once_and_the_fault_stays() {
    let mut condition = Condition::new(PeripheralStatus::Online);
    let mut told = Vec::new();
    for now in 0..100 {
        let seen: &[&str] = if now / 2 % 2 == 0 { &["cover_open"] } else { &[] };
        told.extend(condition.observe(reading(seen), sight(now)));
    }
    let texts: Vec<_> =
        told.iter().filter(|c| matches!(c, Change::Raised(_, d) if d.text.is_some())).collect();
    assert_eq!(texts.len(), 1, "{told:?}");
    assert!(condition.has("cover_open"));
    let calmed = condition.calm(sight(100 + LIMITS.window_ms));
    assert!(calmed.contains(&Change::Cleared(own_code("cover_open"))), "{calmed:?}");
}

#[test]
fn a_flood_of_faults_is_cut() {
    let mut condition = Condition::new(PeripheralStatus::Online);
    let faults =
        (0..200).map(|n| (own_code(&format!("unknown_code({n})")), FaultDetail::default())).collect();
    let changes =
        condition.observe(Observation::Whole { status: PeripheralStatus::Online, faults }, sight(0));
    assert_eq!(changes, [Change::FaultsCut]);
}

proptest! {
    #[test]
    fn raised_and_cleared_alternate_for_every_fault(
        looks in prop::collection::vec((0..5u8, 0..20_000u64), 1..200),
    ) {
        let mut condition = Condition::new(PeripheralStatus::Online);
        let mut raised: BTreeSet<FaultCode> = BTreeSet::new();
        let mut now = 0;
        for (look, pause) in looks {
            now += pause;
            let observation = match look {
                0 => reading(&[]),
                1 => reading(&["paper_out"]),
                2 => reading(&["paper_out", "cover_open"]),
                3 => Observation::no_answer(),
                _ => Observation::garbled(&[1, 2]),
            };
            let mut changes = condition.observe(observation, sight(now));
            changes.extend(condition.calm(sight(now)));
            for change in changes {
                match change {
                    Change::Raised(code, _) => prop_assert!(raised.insert(code)),
                    Change::Cleared(code) => prop_assert!(raised.remove(&code)),
                    _ => {}
                }
            }
            let told: BTreeSet<_> = condition.faults().cloned().collect();
            prop_assert_eq!(&told, &raised);
        }
    }
}
