//! Every worked example, exactly.

use std::collections::BTreeMap;

use kioskwatch_domain::cases::{CaseKind, evaluate};
use serde_json::Value;

/// A figure that shows a wrong method beside the right one; nobody computes it.
const WRONG: &str = "WRONG_mean_of_avail_ratios";

fn check(kind: CaseKind, text: &str, count: usize) {
    let file: Value = serde_json::from_str(text).unwrap();
    let computed = evaluate(kind, text).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!((cases.len(), computed.len()), (count, count));
    let mut wrong = BTreeMap::new();
    for (case, got) in cases.iter().zip(computed) {
        let mut expected = case["expect"].clone();
        for group in expected.as_object_mut().unwrap().values_mut() {
            if let Some(group) = group.as_object_mut() {
                group.remove(WRONG);
            }
        }
        expected["id"] = case["id"].clone();
        if got != expected {
            wrong.insert(case["id"].to_string(), format!("expected {expected}\n     got {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ: {wrong:#?}", wrong.len());
}

#[test]
fn every_uptime_case_gives_exactly_its_figures() {
    check(CaseKind::Uptime, include_str!("../cases/uptime.json"), 28);
}

#[test]
fn every_sla_case_gives_exactly_its_deadlines() {
    check(CaseKind::Sla, include_str!("../cases/sla.json"), 32);
}

#[test]
fn every_inspection_case_gives_exactly_its_dates_and_states() {
    check(CaseKind::Inspection, include_str!("../cases/inspection.json"), 39);
}
