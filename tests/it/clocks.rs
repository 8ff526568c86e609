//! Wall clocks that jump while the programs run: the server's by hours and years, a kiosk's the same.
use kioskwatch_proto::KioskId;
use kioskwatch_server::store::Store;
use kioskwatch_tests::{
    emulator::Phase,
    harness::{
        machine::{Machine, Sync},
        postgres::Postgres,
        server::Workdir,
        stack::{PATIENCE, Plan, Stack},
        wait::wait_until,
    },
};
use serde_json::{Value, json};

use crate::{past::Past, possible::figures_are_possible, program};

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
/// One after the other; each is how far the wall clock is ahead of the truth from then on.
const JUMPS: [i64; 6] = [7_000, -7_000, 3 * HOUR_MS, -3 * HOUR_MS, 10 * YEAR_MS, 0];

async fn everybody_is_heard(stack: &Stack) {
    for kiosk in &stack.kiosks {
        let since = stack.metric(&last_heard(&kiosk.id)).await.unwrap();
        wait_until("a heartbeat after the jump", PATIENCE, || async {
            let now = stack.metric(&last_heard(&kiosk.id)).await?;
            let seen = stack.kiosk(&kiosk.id).await?;
            let heard = now != since && seen["presence"]["state"] == "online";
            if heard { Ok(()) } else { Err(seen.to_string()) }
        })
        .await;
    }
}

fn last_heard(kiosk: &str) -> String {
    format!("kioskwatch_kiosk_last_heartbeat_timestamp_seconds{{kiosk=\"{kiosk}\",site=\"S-01\"}}")
}

async fn nobody_was_judged(stack: &Stack) {
    let tickets = stack.api().list("/api/v1/tickets").await.unwrap();
    let judged: Vec<&Value> = tickets
        .iter()
        .filter(|ticket| ticket["fault"] == "kiosk_offline" || ticket["fault"] == "site_offline")
        .collect();
    assert!(judged.is_empty(), "{judged:#?}");
}

/// A clock that is ten years ahead has passed every freeze.
async fn no_month_was_signed(stack: &Stack) {
    let file = stack.server.data_dir.join("kioskwatch.sqlite");
    let store = Store::open_beside(&format!("sqlite://{}", file.display())).await.unwrap();
    let kiosks: Vec<KioskId> = stack.kiosks.iter().map(|kiosk| kiosk.id.parse().unwrap()).collect();
    let months = store.months_of_kiosks(&kiosks, "2000-01".parse().unwrap()).await.unwrap();
    store.close().await;
    assert!(months.iter().all(|row| row.version == 0), "{months:?}");
}

/// A fault and its recovery still make one ticket, and a command still runs.
async fn all_works(stack: &mut Stack, phase: Phase, fault: &str) {
    let before = stack.kiosks[0].acceptor.set(|acceptor| std::mem::replace(&mut acceptor.phase, phase));
    stack.ticket("K-0001", fault).await;
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = before);
    stack.ticket_in("K-0001", fault, &["resolved"]).await;
    let asked = stack.api().post("/api/v1/kiosks/K-0001/commands", json!({"action": "probe"})).await.unwrap();
    assert_eq!(asked.status, 202, "{asked:?}");
    let path = format!("/api/v1/commands/{}", asked.body["id"].as_str().unwrap());
    wait_until("the command to be carried out", PATIENCE, || async {
        let command = stack.api().json(&path).await?;
        if command["state"] == "succeeded" { Ok(()) } else { Err(command.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_jumps_judges_nobody_and_goes_on() {
    let place = Workdir::new("kioskwatch-it").unwrap();
    let machine = Machine::new(place.path()).unwrap();
    machine.set(Sync::Honest, 0).unwrap();
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-01");
    let mut stack = plan.server_env(machine.env()).start().await;
    for (n, ahead_ms) in (1..).zip(JUMPS) {
        machine.set(Sync::Honest, ahead_ms).unwrap();
        wait_until("the server to notice its clock", PATIENCE, || async {
            let told = stack.server.log().matches("clock jumped").count();
            if told >= n { Ok(()) } else { Err(format!("{told} of {n} jumps told of")) }
        })
        .await;
        everybody_is_heard(&stack).await;
        // While the clock is wrong, not only when it is right again.
        if ahead_ms == 3 * HOUR_MS {
            all_works(&mut stack, Phase::StackerFull, "stacker_full").await;
        }
        if ahead_ms == 10 * YEAR_MS {
            all_works(&mut stack, Phase::ValidatorJam, "note_jam").await;
            figures_are_possible(&stack, "K-0001", ahead_ms).await;
        }
    }
    nobody_was_judged(&stack).await;
    no_month_was_signed(&stack).await;
    figures_are_possible(&stack, "K-0001", 0).await;
    all_works(&mut stack, Phase::StackerRemoved, "stacker_removed").await;
    let audit = stack.server.command(&["audit", "verify"]).await.unwrap();
    assert!(audit.status.success(), "{audit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kiosk_whose_clock_jumps_keeps_its_order_and_its_place() {
    let place = Workdir::new("kioskwatch-it").unwrap();
    let machine = Machine::new(place.path()).unwrap();
    machine.set(Sync::Honest, 0).unwrap();
    let mut stack =
        Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-01").start_without_kiosks().await;
    machine.env().into_iter().for_each(|(name, value)| stack.kiosks[0].set_env(name, value));
    for kiosk in &mut stack.kiosks {
        kiosk.boot().unwrap();
    }
    stack.all_in_service().await;
    for ahead_ms in JUMPS {
        machine.set(Sync::Honest, ahead_ms).unwrap();
        everybody_is_heard(&stack).await;
        stack.kiosks[0].printer.set(|printer| printer.cover_open = !printer.cover_open);
        let open = stack.kiosks[0].printer.set(|printer| printer.cover_open);
        let shows = move |kiosk: &Value| kiosk["peripherals"].to_string().contains("cover_open") == open;
        stack.kiosk_until("K-0001", "the cover as it is", shows).await;
    }
    nobody_was_judged(&stack).await;
    all_works(&mut stack, Phase::StackerFull, "stacker_full").await;
    // Dated by the server's time, whatever the kiosk's clock said.
    figures_are_possible(&stack, "K-0001", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_with_its_clock_behind_notes_nothing_until_it_is_right() {
    let place = Workdir::new("kioskwatch-it").unwrap();
    let machine = Machine::new(place.path()).unwrap();
    machine.set(Sync::Honest, 0).unwrap();
    let cluster = Postgres::shared();
    let url = cluster.fresh_database().await;
    Past::write(&url, "K-0001", "S-01").await;
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").database(url.clone());
    let mut stack = plan.server_env(machine.env()).start_without_kiosks().await;
    let store = Store::open_beside(&url).await.unwrap();
    let noted = async || {
        let terms = store.calendar_terms().await.unwrap();
        terms.iter().map(|row| (row.known_from.ms(), row.planned_notice_h)).collect::<Vec<_>>()
    };
    let before = noted().await;
    stack.server.stop().await.unwrap();

    machine.set(Sync::Honest, -40 * 24 * HOUR_MS).unwrap();
    stack.server.set_env("KIOSKWATCH__UPTIME__PLANNED_NOTICE_H", "100");
    stack.server.start().await.unwrap();
    wait_until("the server to say that its clock is behind", PATIENCE, || async {
        let said = stack.server.monitoring_api().get("/readyz").await?.body.to_string();
        if said.contains("the clock is behind") { Ok(()) } else { Err(said) }
    })
    .await;
    let model = json!({ "site": "S-01", "model": "KT-9" });
    let refused = stack.api().put("/api/v1/kiosks/K-0001", model.clone()).await.unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(noted().await, before, "over what was known since");

    machine.set(Sync::Honest, 0).unwrap();
    stack.server.ready(PATIENCE).await.unwrap();
    wait_until("the notice to be noted", PATIENCE, || async {
        let after = noted().await;
        let is_noted = after.last().is_some_and(|(_, notice_h)| *notice_h == 100);
        if is_noted && after.starts_with(&before) { Ok(()) } else { Err(format!("{after:?}")) }
    })
    .await;
    let put = stack.api().put("/api/v1/kiosks/K-0001", model).await.unwrap();
    assert_eq!(put.status, 200, "{put:?}");
    store.close().await;
}
