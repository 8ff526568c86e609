//! From a dark site to the one who is called: the server's metrics, our rules in a real Prometheus, our routes and
//! inhibitions in a real Alertmanager, a webhook.
use std::time::Duration;

use kioskwatch_tests::harness::{
    api::Api,
    monitoring::{Webhook, alertmanager, prometheus},
    stack::{PATIENCE, Plan},
    wait::wait_until,
};
use serde_json::{Value, json};

use crate::program;

/// Scrape, rule, its `for`, the group's wait, on a busy machine.
const LONG: Duration = PATIENCE.saturating_add(Duration::from_secs(30));

async fn hears(webhook: &Webhook, receiver: &str, status: &str, alert: &str) -> Value {
    let what = format!("{receiver} to be told that {alert} is {status}");
    wait_until(&what, LONG, || async { webhook.was_told(receiver, status, alert) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_reaches_the_one_it_is_for_and_is_taken_back() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-01").start().await;
    let webhook = Webhook::start().await.unwrap();
    let dir = stack.dir.path().to_owned();
    let (_alertmanager, receives) = alertmanager(&dir, &webhook).unwrap();
    let _prometheus = prometheus(&dir, stack.server.monitoring, Some(receives)).unwrap();
    hears(&webhook, "outside", "firing", "DeadMansSwitch").await;

    for kiosk in &mut stack.kiosks {
        kiosk.lose_power().await.unwrap();
    }
    let dark = hears(&webhook, "on_call", "firing", "SiteDown").await;
    assert_eq!((&dark["site"], &dark["severity"]), (&json!("S-01"), &json!("page")));
    for kiosk in &mut stack.kiosks {
        kiosk.boot().unwrap();
    }
    hears(&webhook, "on_call", "resolved", "SiteDown").await;

    stack.server.kill().await.unwrap();
    hears(&webhook, "on_call", "firing", "ServerNotReady").await;
    // Its silence is what the outside waits for.
    assert!(webhook.was_told("outside", "resolved", "DeadMansSwitch").is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_from_a_greater_alert_is_held_back() {
    let dir = kioskwatch_tests::harness::server::Workdir::new("inhibitions").unwrap();
    let webhook = Webhook::start().await.unwrap();
    let (_alertmanager, address) = alertmanager(dir.path(), &webhook).unwrap();
    let api = Api::new(address);
    let alert = |name: &str, labels: Value| {
        let mut labels = labels;
        labels["alertname"] = json!(name);
        json!({"labels": labels})
    };
    let target = |name: &str, site: &str, ratio: &str| {
        alert(name, json!({"severity": "ticket", "scope": "site", "id": site, "ratio": ratio}))
    };
    let send = async |alerts: &Value| {
        wait_until("Alertmanager to take alerts", LONG, || async {
            let reply = api.post("/api/v2/alerts", alerts.clone()).await?;
            if reply.status == 200 { Ok(()) } else { Err(format!("{reply:?}")) }
        })
        .await;
    };
    // First: what comes together may be told before it is noted what holds it back.
    send(&json!([alert("SiteDown", json!({"severity": "page", "site": "S-01"}))])).await;
    hears(&webhook, "on_call", "firing", "SiteDown").await;
    let sent = json!([
        alert("KioskDown", json!({"severity": "ticket", "site": "S-01", "kiosk": "K-0001"})),
        alert("KioskDown", json!({"severity": "ticket", "site": "S-02", "kiosk": "K-0002"})),
        target("UptimeTargetMissed", "S-03", "on"),
        target("UptimeTargetAtRisk", "S-03", "avail"),
        target("UptimeTargetMissed", "S-04", "avail"),
        target("UptimeTargetAtRisk", "S-05", "on"),
        target("UptimeTargetMissed", "S-05", "avail"),
        target("UptimeTargetMissed", "S-06", "on"),
        target("UptimeTargetMissed", "S-06", "avail"),
    ]);
    let sent_count = 1 + sent.as_array().unwrap().len();
    send(&sent).await;
    let held_back = || async {
        let alerts = api.json("/api/v2/alerts?silenced=false").await?;
        let alerts = alerts.as_array().cloned().unwrap_or_default();
        if alerts.len() < sent_count {
            return Err(format!("{alerts:?}"));
        }
        let held = alerts.iter().filter(|alert| alert["status"]["state"] == "suppressed");
        let held = held.map(|alert| &alert["labels"]);
        let mut held: Vec<_> = held
            .map(|labels| {
                let text = |key: &str| labels[key].as_str().unwrap_or_default().to_owned();
                (text("alertname"), text("kiosk") + &text("id"), text("ratio"))
            })
            .collect();
        held.sort();
        // It takes alerts in first, and notes afterwards what they hold back.
        if held.len() < 3 {
            return Err(format!("only {held:?} are held back"));
        }
        Ok(held)
    };
    let held = wait_until("all alerts", LONG, held_back).await;
    let held: Vec<_> = held.iter().map(|(name, of, ratio)| [&name[..], &of[..], &ratio[..]]).collect();
    let expected = [
        ["KioskDown", "K-0001", ""],
        ["UptimeTargetAtRisk", "S-03", "avail"],
        ["UptimeTargetMissed", "S-06", "avail"],
    ];
    assert_eq!(held, expected, "a missed target is not hidden by one at risk");

    let told = hears(&webhook, "desk", "firing", "KioskDown").await;
    assert_eq!(told["kiosk"], "K-0002");
}

#[test]
fn the_sign_of_life_is_due_again_whenever_its_group_is_looked_at() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/alertmanager/alertmanager.yml");
    let text = std::fs::read_to_string(file).unwrap();
    let route = text.split("DeadMansSwitch]").nth(1).unwrap().split("- matchers").next().unwrap();
    let seconds = |key: &str| -> u64 {
        let value = route.split(&format!("{key}: ")).nth(1).unwrap().lines().next().unwrap();
        let (number, unit) = value.split_at(value.len() - 1);
        number.parse::<u64>().unwrap()
            * match unit {
                "s" => 1,
                "m" => 60,
                _ => panic!("{value}"),
            }
    };
    // With equal ones Alertmanager sends every other time: a message just short of its age waits for the next look.
    assert!(seconds("repeat_interval") < seconds("group_interval"), "{route}");
}
