//! `/metrics` as Prometheus takes it: promtool's own check, and a real Prometheus that scrapes the running stack.
use std::{io::Write as _, process::Stdio, time::Duration};

use kioskwatch_tests::{
    emulator::Paper,
    harness::{
        monitoring::prometheus,
        stack::{PATIENCE, Plan},
        wait::wait_until,
    },
};
use serde_json::json;

use crate::program;

/// The names others rely on; each must have samples on a running stack.
const PROMISED: &[&str] = &[
    "kioskwatch_build_info",
    "kioskwatch_kiosks",
    "kioskwatch_site_kiosks",
    "kioskwatch_site_kiosks_expected",
    "kioskwatch_kiosk_up",
    "kioskwatch_kiosk_expected",
    "kioskwatch_kiosk_last_heartbeat_timestamp_seconds",
    "kioskwatch_kiosk_in_service",
    "kioskwatch_peripheral_up",
    "kioskwatch_faults_active",
    "kioskwatch_uptime_up_seconds",
    "kioskwatch_uptime_accountable_seconds",
    "kioskwatch_uptime_known_seconds",
    "kioskwatch_uptime_unknown_seconds",
    "kioskwatch_uptime_to_come_seconds",
    "kioskwatch_uptime_down_seconds",
    "kioskwatch_uptime_target_ratio",
    "kioskwatch_uptime_target_numerator",
    "kioskwatch_uptime_target_denominator",
    "kioskwatch_tickets_open",
    "kioskwatch_tickets_open_oldest_timestamp_seconds",
    "kioskwatch_tickets_opened_total",
    "kioskwatch_sla_breaches_total",
    "kioskwatch_ticket_stage_seconds_count",
    "kioskwatch_inspections",
    "kioskwatch_commands_total",
    "kioskwatch_messages_total",
    "kioskwatch_ingest_seconds_count",
    "kioskwatch_fault_to_ticket_seconds_count",
    "kioskwatch_queue_depth",
    "kioskwatch_dropped_total",
    "kioskwatch_suppressed_total",
    "kioskwatch_notifications_total",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_are_well_formed_and_a_real_prometheus_reads_them() {
    let stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    stack.kiosks[0].printer.set(|printer| printer.paper = Paper::NearEnd);
    stack.metric_reaches("kioskwatch_suppressed_total{reason=\"info\"}", 1.0).await;
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    stack.ticket("K-0001", "cover_open").await;
    let command = json!({"action": "identify", "args": {"peripheral": "printer"}});
    assert_eq!(stack.api().post("/api/v1/kiosks/K-0001/commands", command).await.unwrap().status, 202);

    let page = stack.server.monitoring_api().text("/metrics").await.unwrap();
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts: install the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    let told =
        String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && told.trim().is_empty(), "promtool check metrics: {told}");

    let (_prometheus, prometheus) = prometheus(stack.dir.path(), stack.server.monitoring, None).unwrap();
    // What people were told is told by the log, and by nothing else so far.
    stack.metric_reaches("kioskwatch_notifications_total{channel=\"log\",outcome=\"written\"}", 1.0).await;
    for name in PROMISED {
        wait_until(name, PATIENCE + Duration::from_secs(15), || async {
            let answer = prometheus.json(&format!("/api/v1/query?query={name}")).await?;
            let series = answer["data"]["result"].as_array().map_or(0, Vec::len);
            if series > 0 { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
    }
    // Every kind of group holds the same seconds as the fleet.
    for scope in ["site", "region", "customer", "engineer", "kiosk"] {
        let query = format!(
            "sum(kioskwatch_uptime_up_seconds{{scope=\"{scope}\",ratio=\"on\",period=\"month\"}}) \
             == sum(kioskwatch_uptime_up_seconds{{scope=\"fleet\",ratio=\"on\",period=\"month\"}}) > 0"
        );
        let query: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
        wait_until(scope, PATIENCE, || async {
            let answer = prometheus.json(&format!("/api/v1/query?query={query}")).await?;
            let equal = answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty());
            if equal { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
    }
    // Ratios are divided from sums of whole seconds, and never above 1.
    let ratio = "sum(kioskwatch_uptime_up_seconds{scope=\"site\",ratio=\"on\",period=\"today\"})/sum(kioskwatch_uptime_accountable_seconds{scope=\"site\",ratio=\"on\",period=\"today\"})";
    let encoded: String = ratio.bytes().map(|b| format!("%{b:02X}")).collect();
    let answer = prometheus.json(&format!("/api/v1/query?query={encoded}")).await.unwrap();
    let value: f64 = answer["data"]["result"][0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!((0.5..=1.0).contains(&value), "{answer}");
}
