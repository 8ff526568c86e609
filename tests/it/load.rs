//! The load generator's own promises, small: what it measures is no test, what must never happen is.
use std::process::{Command, Stdio};

/// Runs the generator to its end; it fails by itself when a promise is broken.
fn load(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kioskwatch-load"));
    let output = command.args(args).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "kioskwatch-load {args:?}\n{out}{err}");
    out.into_owned()
}

#[test]
fn a_storm_of_reconnects_makes_nobody_offline_and_opens_no_ticket() {
    let report = load(&["storm", "--connections", "300", "--interval", "5"]);
    assert!(report.contains("of 300;"), "{report}");
}

#[test]
fn every_fault_through_the_broker_and_without_it_is_a_ticket() {
    let fleet = ["--kiosks", "60", "--interval", "5", "--faults", "10", "--seconds", "3"];
    let report = load(&[&fleet[..], &["--connections", "4", "--silent", "2"]].concat());
    assert!(report.contains("tickets opened"), "{report}");
    let report = load(&[&["direct"], &fleet[..]].concat());
    assert!(report.contains("fault to committed ticket"), "{report}");
}

#[test]
fn a_fleet_back_from_a_day_offline_is_committed_record_by_record() {
    for database in [&[][..], &["--postgres"]] {
        let args = ["catchup", "--kiosks", "20", "--records", "230"];
        let report = load(&[&args[..], database].concat());
        assert!(report.contains("20 kiosks with 230 records each"), "{report}");
    }
}
