//! From a serial byte to a resolved ticket and an integer of uptime, through everything in between.
use kioskwatch_tests::{
    emulator::Phase,
    harness::{
        postgres::Postgres,
        stack::{PATIENCE, Plan, Stack},
        wait::wait_until,
    },
};
use serde_json::{Value, json};

use crate::program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_become_tickets_that_resolve_and_the_figures_tell_the_same_story() {
    let postgres = Postgres::shared();
    let database = postgres.fresh_database().await;
    let stack = Plan::new(program()).kiosk("K-0001", "S-01").database(database).start().await;
    let kiosk = &stack.kiosks[0];

    kiosk.printer.set(|printer| printer.cover_open = true);
    let cover = stack.ticket("K-0001", "cover_open").await;
    kiosk.acceptor.set(|acceptor| acceptor.phase = Phase::ValidatorJam);
    let jam = stack.ticket("K-0001", "note_jam").await;
    assert_ne!(cover["id"], jam["id"], "two devices, two tickets");
    for (ticket, peripheral) in [(&cover, "printer"), (&jam, "acceptor")] {
        explains_itself(&stack.detail(ticket).await, peripheral);
    }
    let hurt = stack.kiosk_until("K-0001", "the kiosk to be out of service", out_of_service).await;
    assert_eq!(hurt["open_tickets"], 2);
    assert_eq!(hurt["peripherals"]["printer"]["faults"], json!(["cover_open"]));

    kiosk.printer.set(|printer| printer.cover_open = false);
    kiosk.acceptor.set(|acceptor| acceptor.phase = Phase::Disabled);
    for (fault, ticket) in [("cover_open", cover), ("note_jam", jam)] {
        let resolved = stack.ticket_in("K-0001", fault, &["resolved"]).await;
        assert_eq!(resolved["id"], ticket["id"]);
        let detail = stack.detail(&resolved).await;
        let incident = &detail["incidents"][0];
        assert!(incident["opened_at"].as_str() < incident["closed_at"].as_str(), "{incident}");
        // The clocks stand still, and nobody had to press anything.
        let running = list(&detail["clocks"]).iter().filter(|clock| clock["state"] == "running").count();
        assert_eq!(running, 0, "{:#}", detail["clocks"]);
        let last = list(&detail["history"]).last().expect("a ticket has a history");
        assert_eq!(last["to"], "resolved", "{last}");
    }
    stack.all_in_service().await;

    engineer_runs_a_self_test(&stack).await;
    assert_eq!(kiosk.printer.state().test_prints, 1);

    timeline_is_whole(&stack).await;
    uptime_adds_up(&stack).await;
    inspections_are_due(&stack).await;
    let opened = "kioskwatch_tickets_opened_total{class=\"maintenance\",source=\"agent\"}";
    let by_operator = "kioskwatch_tickets_opened_total{class=\"operator\",source=\"agent\"}";
    let total = stack.metric(opened).await.unwrap() + stack.metric(by_operator).await.unwrap();
    assert!((total - 2.0).abs() < 0.1, "{total} tickets were counted");
    let online = stack.metric("kioskwatch_kiosks{state=\"online\"}").await.unwrap();
    assert!((online - 1.0).abs() < 0.1, "/metrics shows {online} kiosks online");
    let allowed = |violation: &&String| !violation.contains("print");
    let violations = kiosk.violations();
    assert_eq!(violations.iter().filter(allowed).count(), 0, "{violations:?}");
}

fn out_of_service(kiosk: &Value) -> bool {
    kiosk["service"] == "out_of_service"
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Class, severity, clocks, history: each is there, with its reason.
fn explains_itself(ticket: &Value, peripheral: &str) {
    assert_eq!(ticket["peripheral"], peripheral);
    assert_eq!(ticket["source"], "agent");
    assert_eq!(ticket["site"], "S-01");
    assert!(["operator", "maintenance", "replacement"].contains(&ticket["class"].as_str().unwrap()));
    assert!(["minor", "major"].contains(&ticket["severity"].as_str().unwrap()));
    assert!((1..=4).contains(&ticket["priority"].as_u64().unwrap()));
    let clocks = list(&ticket["clocks"]);
    assert!(!clocks.is_empty(), "{ticket:#}");
    for clock in clocks.iter().filter(|clock| clock["state"] == "running") {
        assert!(clock["due_at"].as_str() > ticket["opened_at"].as_str(), "{clock}");
        assert!(clock["budget_s"].as_u64() > Some(0), "{clock}");
    }
    assert!(clocks.iter().any(|clock| clock["state"] == "running"), "{clocks:?}");
    let history = list(&ticket["history"]);
    assert!(!history.is_empty());
    assert!(history.iter().all(|event| event["reason"] != ""), "{history:#?}");
    let incident = &list(&ticket["incidents"])[0];
    assert!(incident["triage_reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{incident}");
}

async fn engineer_runs_a_self_test(stack: &Stack) {
    let body = json!({"action": "self_test", "args": {"peripheral": "printer"}});
    let asked = stack.api().post("/api/v1/kiosks/K-0001/commands", body).await.unwrap();
    assert_eq!(asked.status, 202, "{}", asked.body);
    let path = format!("/api/v1/commands/{}", asked.body["id"].as_str().unwrap());
    let command = wait_until("the self-test to end", PATIENCE, || async {
        let command = stack.api().json(&path).await?;
        let ended = ["succeeded", "failed", "refused", "expired", "unknown"];
        if ended.iter().any(|state| command["state"] == *state) {
            Ok(command)
        } else {
            Err(command.to_string())
        }
    })
    .await;
    assert_eq!(command["state"], "succeeded", "{command:#}");
    let states: Vec<&str> =
        list(&command["steps"]).iter().filter_map(|step| step["state"].as_str()).collect();
    for state in ["sent", "accepted", "started", "succeeded"] {
        assert!(states.contains(&state), "{state} is not among {states:?}");
    }
}

/// The last day without a gap, with the evidence of the time out of service.
async fn timeline_is_whole(stack: &Stack) {
    let timeline = stack.api().json("/api/v1/kiosks/K-0001/timeline").await.unwrap();
    let intervals = list(&timeline["intervals"]);
    // Evidence counts in whole seconds.
    let second = |at: &Value| at.as_str().map(|text| text[..19].to_owned());
    assert_eq!(second(&intervals[0]["from"]), second(&timeline["from"]));
    assert_eq!(second(&intervals.last().unwrap()["to"]), second(&timeline["to"]));
    for pair in intervals.windows(2) {
        assert_eq!(pair[0]["to"], pair[1]["from"], "{pair:#?}");
    }
    let down = intervals.iter().find(|interval| interval["state"] == "OOS").expect("it was out of service");
    assert!(!list(&down["evidence"]).is_empty(), "{down:#}");
    assert!(intervals.iter().any(|interval| interval["state"] == "FULL"), "{intervals:#?}");
    assert!(!intervals.iter().any(|interval| interval["state"] == "OFF"), "{intervals:#?}");
}

async fn uptime_adds_up(stack: &Stack) {
    let uptime = stack.api().json("/api/v1/uptime?scope=kiosk&id=K-0001").await.unwrap();
    let number = |value: &Value| value.as_i64().unwrap();
    let (on, avail, full) = (&uptime["on"], &uptime["avail"], &uptime["full"]);
    assert!(number(&full["num"]) <= number(&avail["num"]), "{uptime:#}");
    assert!(number(&avail["num"]) <= number(&on["num"]), "{uptime:#}");
    let causes: i64 = uptime["causes"].as_object().unwrap().values().map(number).sum();
    assert_eq!(number(&avail["num"]) + causes, number(&avail["den"]), "{uptime:#}");
    assert!(causes > 0, "{uptime:#}");
    let site = stack.api().json("/api/v1/uptime?scope=site&id=S-01").await.unwrap();
    assert_eq!(site["kiosks"], 1, "{site:#}");
}

async fn inspections_are_due(stack: &Stack) {
    let all = stack.api().list("/api/v1/inspections").await.unwrap();
    for kind in ["phone", "onsite"] {
        let one = all.iter().find(|i| i["kind"] == kind && i["kiosk"] == "K-0001");
        let one = one.unwrap_or_else(|| panic!("no {kind} inspection in {all:#?}"));
        let at = |key: &str| one[key].as_str().unwrap_or_else(|| panic!("{key} in {one}")).to_owned();
        assert!(at("window_from") < at("window_to"), "{one}");
        assert!(at("window_to") <= at("report_due_at"), "{one}");
        assert!(at("report_due_at") < at("report_late_at"), "{one}");
    }
}
