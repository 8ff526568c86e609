//! A database that stalls for half a minute, PostgreSQL and SQLite: the kiosks are held back, the server stays and
//! says what is the matter, none of it costs memory, and then everything is there, once.
use std::time::Duration;

use kioskwatch_proto::{
    KioskId,
    limits::MAX_IN_FLIGHT_RECORDS,
    topic::{Channel, Topic},
};
use kioskwatch_server::store::Store;
use kioskwatch_tests::{
    harness::{
        application::Application,
        client::Client,
        image_disk::{ImageDisk, may_mount},
        postgres::Postgres,
        server::Workdir,
        stack::{PATIENCE, Plan, Stack},
        untested::only_root_can_mount,
        wait::wait_until,
    },
    load::fleet::{Fleet, Pace},
};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use tokio::time::Instant;

use crate::{
    disk::{business_goes_on, readyz_says},
    lines, program,
    told::Ears,
};

const STALL: Duration = Duration::from_secs(30);
/// Others that go on sending heartbeats: more than the server's queue for them holds, several times.
const NEIGHBOURS: u32 = 200;
const HEARTBEATS: Pace = Pace { heartbeats: 1_500, faults: 0, length: STALL };
/// What queues and buffers may take meanwhile: less than all these heartbeats, if they were kept.
const GROWTH_MIB: u64 = 16;

pub(crate) fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

fn plan() -> Plan {
    Plan::new(program()).kiosk("K-0001", "S-01").kiosk("K-0002", "S-02")
}

fn sqlite_of(stack: &Stack) -> String {
    format!("sqlite://{}", stack.server.data_dir.join("kioskwatch.sqlite").display())
}

/// Both keep more than twice what they may send beyond the last word of the server, say so, and have not sent it.
async fn agents_hold_back(stack: &Stack, ears: &Ears) {
    for kiosk in &stack.kiosks {
        let beats = Topic::new(KioskId::new(&kiosk.id).unwrap(), Channel::Heartbeat).to_string();
        let hears =
            Client::connect(stack.broker.address(), &format!("by {}", kiosk.id), &[beats]).await.unwrap();
        wait_until("a kiosk to say how much it holds back", PATIENCE, || async {
            let heard = hears.heard(Channel::Heartbeat.as_str());
            let pending = heard.last().and_then(|beat| beat["journal"]["pending"].as_u64());
            if pending > Some(2 * MAX_IN_FLIGHT_RECORDS) { Ok(()) } else { Err(format!("{pending:?}")) }
        })
        .await;
    }
    // The longest list first: what is acknowledged after it was read only makes the distance smaller.
    let (sent, acknowledged) = (ears.last_sent(), ears.acknowledged());
    let mut most = 0;
    for (epoch, last) in sent {
        let beyond = last.saturating_sub(acknowledged.get(&epoch).copied().unwrap_or(0));
        assert!(beyond <= MAX_IN_FLIGHT_RECORDS, "{epoch}: {beyond} records sent that nobody acknowledged");
        most = most.max(beyond);
    }
    assert!(most > 0, "nothing was on its way");
}

/// `stall` stops the database until what it gives is put to `go_on`.
async fn holds_the_kiosks_back_and_costs_no_memory<T>(
    stack: &Stack,
    database: &str,
    stall: impl AsyncFnOnce() -> T,
    go_on: impl AsyncFnOnce(T),
) {
    let ears = Ears::at_the_broker_of(stack).await;
    let applications: Vec<_> = stack.kiosks.iter().map(|k| Application::start(&k.socket(), 2)).collect();
    business_goes_on(&applications[0], 20).await;
    // From what nobody heard acknowledged a distance would be measured to the journal's beginning.
    wait_until("a word of the server to each kiosk", PATIENCE, || async {
        let heard = ears.acknowledged().len();
        if heard >= stack.kiosks.len() { Ok(()) } else { Err(format!("to {heard}")) }
    })
    .await;
    let store = Store::open_beside(database).await.unwrap();
    let pid = stack.server.process().unwrap().id().unwrap();
    let mut neighbours = Fleet::connect(NEIGHBOURS, 4, 30, stack.broker.address()).await.unwrap();
    neighbours.introduce().await.unwrap();
    let before = resident_mib(pid);

    let stalled = stall().await;
    let began = Instant::now();
    let pressure = tokio::spawn(async move { neighbours.play(HEARTBEATS).await });
    readyz_says(stack, "database").await;
    let monitoring = stack.server.monitoring_api();
    wait_until("half a minute to pass with a living server", STALL + PATIENCE, || async {
        let alive = monitoring.get("/livez").await?;
        assert_eq!(alive.status, 200, "{alive:?}");
        let grown = resident_mib(pid).saturating_sub(before);
        assert!(grown <= GROWTH_MIB, "{before} MiB, and {grown} more while it waits");
        let stalled = began.elapsed();
        if stalled >= STALL { Ok(()) } else { Err(format!("{stalled:?}")) }
    })
    .await;
    let sent = pressure.await.unwrap().unwrap().heartbeats;
    assert!(sent > 20_000, "only {sent} heartbeats pressed");
    // Business goes on at the kiosks, and is kept there.
    for application in &applications {
        business_goes_on(application, 20).await;
    }
    agents_hold_back(stack, &ears).await;
    drop(applications);
    go_on(stalled).await;

    stack.server.ready(PATIENCE).await.unwrap();
    lines::everything_arrives_and_nobody_is_offline(stack, &store).await;
    store.close().await;
    assert_eq!(stack.server.process().unwrap().id(), Some(pid));
}

/// Somebody else holds a lock, as these statements take it.
async fn locked(database: &str, statements: [&'static str; 2]) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let mut holder = AnyConnection::connect(database).await.unwrap();
    for statement in statements {
        holder.execute(statement).await.unwrap();
    }
    holder
}

async fn unlocked(mut holder: AnyConnection) {
    holder.execute("ROLLBACK").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_postgres_holds_the_kiosks_back_and_costs_no_memory() {
    let cluster = Postgres::shared();
    let database = cluster.fresh_database().await;
    let stack = plan().database(database.clone()).start().await;
    let lock = ["BEGIN", "LOCK TABLE journal_head IN ACCESS EXCLUSIVE MODE"];
    let stall = async || locked(&database, lock).await;
    holds_the_kiosks_back_and_costs_no_memory(&stack, &database, stall, unlocked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_sqlite_holds_the_kiosks_back_and_costs_no_memory() {
    let stack = plan().start().await;
    let database = sqlite_of(&stack);
    let stall = async || locked(&database, ["PRAGMA busy_timeout = 20000", "BEGIN EXCLUSIVE"]).await;
    holds_the_kiosks_back_and_costs_no_memory(&stack, &database, stall, unlocked).await;
}

/// Nobody is told that a write fails: it does not come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_disk_below_sqlite_holds_the_kiosks_back_and_costs_no_memory() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let place = Workdir::new("kioskwatch-it").unwrap();
    let dir = place.path().join("server");
    let disk = ImageDisk::mount(&dir.join("data"), 192).unwrap();
    let stack = plan().server_dir(dir).start().await;
    let database = sqlite_of(&stack);
    let stall = async || disk.freeze().unwrap();
    holds_the_kiosks_back_and_costs_no_memory(&stack, &database, stall, async |frozen| drop(frozen)).await;
}
