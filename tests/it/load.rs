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

/// Of evidence, as the report tells them.
fn intervals(report: &str) -> Option<u32> {
    let text = report.lines().find_map(|line| line.trim().strip_prefix("evidence"))?;
    text.trim().split(' ').next()?.parse().ok()
}

#[test]
fn a_storm_of_reconnects_makes_nobody_offline_and_opens_no_ticket() {
    let report = load(&["storm", "--connections", "300", "--interval", "5"]);
    assert!(report.contains("of 300;") && report.contains("without TLS"), "{report}");
}

/// A handshake takes long on a loaded machine, and a will shortens the wait to one interval.
#[test]
fn a_storm_of_handshakes_makes_nobody_offline_and_opens_no_ticket() {
    let report = load(&["storm", "--connections", "100", "--interval", "15", "--tls"]);
    assert!(report.contains("of 100;") && report.contains("TLS 1.3 with certificates"), "{report}");
}

#[test]
fn a_fleet_back_from_a_day_offline_is_committed_record_by_record() {
    for database in [&[][..], &["--postgres"]] {
        let args = ["catchup", "--kiosks", "20", "--records", "230"];
        let report = load(&[&args[..], database].concat());
        assert!(report.contains("20 kiosks with 230 records each"), "{report}");
        let report = load(&[&args[..], &["--flapping"], database].concat());
        assert!(intervals(&report).is_some_and(|intervals| intervals >= 229), "{report}");
    }
}

#[test]
fn a_fleet_back_from_a_day_offline_is_committed_through_a_broker() {
    let report = load(&["catchup", "--kiosks", "20", "--records", "230", "--flapping", "--broker"]);
    assert!(report.contains("SQLite, Mosquitto, a part of them at once"), "{report}");
    assert!(intervals(&report).is_some_and(|intervals| intervals >= 229), "{report}");
    let report = load(&["catchup", "--kiosks", "20", "--records", "230", "--broker", "--as-agents"]);
    assert!(report.contains("all at once as agents"), "{report}");
    let refused = Command::new(env!("CARGO_BIN_EXE_kioskwatch-load"))
        .args(["catchup", "--server", "kioskwatch-server"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("--broker"), "{said}");
}

#[test]
fn every_fault_of_a_fleet_is_a_ticket_through_a_broker_and_without_one() {
    let paced = ["--kiosks", "60", "--connections", "5", "--rate", "300", "--faults", "5"];
    let short = ["--seconds", "2", "--silent", "5"];
    let report = load(&[&paced[..], &short].concat());
    assert!(report.contains("of the bare subscriber"), "{report}");
    assert!(report.contains("each one incident, in "), "{report}");
    assert!(report.contains("  seen in the list after it") && report.contains("longest"), "{report}");
    assert!(report.contains("killed and started again\n  ready, everybody known"), "{report}");
    let report = load(&["direct", "--kiosks", "60", "--interval", "1", "--faults", "5", "--seconds", "2"]);
    assert!(report.contains(" of 10\n"), "{report}");
}

#[test]
fn it_is_told_who_falls_behind_first() {
    let report =
        load(&["limit", "--kiosks", "60", "--connections", "5", "--from", "500000", "--seconds", "1"]);
    assert!(report.contains("what fell behind first: "), "{report}");
}
