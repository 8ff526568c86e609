//! A disk that fills up or fails under PostgreSQL: whether its tables cannot grow or its log, or nothing is kept that
//! is written, the kiosks go on and hold, the server stays and says what is the matter, and on a disk that is well
//! again everything is there.
use kioskwatch_server::store::Store;
use kioskwatch_tests::harness::{
    application::Application,
    image_disk::{ImageDisk, may_mount},
    machine::{Machine, Sync},
    postgres::Postgres,
    server::Workdir,
    stack::{PATIENCE, Plan, Stack},
    untested::only_root_can_mount,
    wait::wait_until,
};
use rustix::process::Signal;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{
    disk::{business_goes_on, log_says, readyz_says},
    lines, program,
    told::Ears,
};

/// A cluster with three of its log's files, and an empty database.
const DISK_MIB: u64 = 224;
const FILES: u32 = 8_192;
/// So small that nothing of the log is kept for later use.
const SMALL_LOG: &str = "max_wal_size = 32MB\nmin_wal_size = 32MB\n";
const DATABASE: &str = "postgres";
const KIOSKS: [&str; 2] = ["K-0001", "K-0002"];
/// Small, so that the log is full to its last bytes; without end, so that it ends with the log.
const FILL_THE_LOG: &str = "DO $$ BEGIN LOOP
    PERFORM pg_logical_emit_message(false, 'ballast', repeat('x', 64));
END LOOP; END $$";

/// Two kiosks that do business, and a cluster on a disk of its own.
struct Shop {
    stack: Stack,
    applications: Vec<Application>,
    /// Hears what the server acknowledges.
    ears: Ears,
    cluster: Postgres,
    /// Connected while there is room: a new connection on a full disk may end with it.
    eyes: PgConnection,
    disk: ImageDisk,
    machine: Machine,
    _place: Workdir,
}

impl Shop {
    async fn open() -> Self {
        let place = Workdir::new("kioskwatch-it").unwrap();
        let disk = ImageDisk::mount_for(&place.path().join("disk"), DISK_MIB, FILES).unwrap();
        let machine = Machine::new(place.path()).unwrap();
        let cluster = Postgres::start_on(&machine, &disk.path().join("data"), SMALL_LOG);
        // A new cluster is left to the kernel to write.
        disk.sync().unwrap();
        let plan = KIOSKS.iter().fold(Plan::new(program()), |plan, id| plan.kiosk(id, "S-01"));
        let stack = plan.database(cluster.url(DATABASE)).start().await;
        let ears = Ears::at_the_broker_of(&stack).await;
        let applications = stack.kiosks.iter().map(|k| Application::start(&k.socket(), 2)).collect();
        let eyes = PgConnection::connect(&cluster.url(DATABASE)).await.unwrap();
        let mut shop = Self { stack, applications, ears, cluster, eyes, disk, machine, _place: place };
        shop.everybody_sells().await;
        // A file of the log that has room enough for what is tried in vain. It is made by the first who writes into it.
        shop.eyes.execute("SELECT pg_switch_wal()").await.unwrap();
        shop.eyes.execute("SELECT pg_logical_emit_message(true, 'first', '')").await.unwrap();
        shop
    }

    async fn everybody_sells(&self) {
        for application in &self.applications {
            business_goes_on(application, 20).await;
        }
    }

    /// What was acknowledged stands in the database, and the fault does not.
    async fn nothing_is_acknowledged_that_is_not_stored(&mut self) {
        let acknowledged = self.ears.acknowledged();
        let heads: Vec<(String, i64)> =
            sqlx::query_as("SELECT epoch, upto FROM journal_head").fetch_all(&mut self.eyes).await.unwrap();
        assert_eq!(heads.len(), KIOSKS.len());
        let heads: Vec<_> = heads.into_iter().map(|(epoch, upto)| (epoch, upto.unsigned_abs())).collect();
        Ears::told_nothing_beyond(&acknowledged, &heads);
        let broken = "SELECT count(*) FROM ticket WHERE fault = 'cover_open'";
        let tickets: i64 = sqlx::query_scalar(broken).fetch_one(&mut self.eyes).await.unwrap();
        assert_eq!(tickets, 0);
    }

    /// The kiosks go on and the server stays, until the last customer of the day; it has had time enough to
    /// acknowledge what it could not store.
    async fn business_goes_on_with_a_fault_that_nobody_can_store(&mut self) {
        assert_eq!(self.stack.server.monitoring_api().get("/livez").await.unwrap().status, 200);
        self.stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
        log_says(&self.stack.kiosks[0], "fault=cover_open").await;
        self.everybody_sells().await;
        assert_eq!(self.stack.server.monitoring_api().get("/livez").await.unwrap().status, 200);
        self.ears.a_kiosk_sends_again().await;
        readyz_says(&self.stack, "database").await;
        self.applications.clear();
    }

    /// Where its own new beginning failed too, a unit with `Restart=` starts it.
    async fn cluster_comes_back(&mut self) {
        self.eyes = wait_until("the cluster to take connections again", PATIENCE, || async {
            if !self.cluster.is_running() {
                self.cluster.revive()?;
            }
            PgConnection::connect(&self.cluster.url(DATABASE)).await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// By itself: the server's process is the one that was there before.
    async fn everything_is_there_once_and_nobody_started_the_server(mut self, server: Option<u32>) {
        self.stack.server.ready(PATIENCE).await.unwrap();
        let store = Store::open_beside(&self.cluster.url(DATABASE)).await.unwrap();
        lines::everything_arrives_and_nobody_is_offline(&self.stack, &store).await;
        store.close().await;
        self.stack.ticket("K-0001", "cover_open").await;
        assert!(self.stack.server.process_runs());
        assert_eq!(self.stack.server.process().unwrap().id(), server);
        let log = self.stack.server.log();
        assert!(!log.contains("cannot be applied") && !log.contains("piece by piece"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_whose_tables_cannot_grow_loses_nothing_and_goes_on_once_there_is_room() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let mut shop = Shop::open().await;
    let server = shop.stack.server.process().unwrap().id();
    shop.disk.fill().unwrap();
    readyz_says(&shop.stack, "the disk of the database is full").await;
    shop.business_goes_on_with_a_fault_that_nobody_can_store().await;
    shop.nothing_is_acknowledged_that_is_not_stored().await;
    assert!(shop.cluster.is_running() && !shop.cluster.log().contains("PANIC"), "{}", shop.cluster.log());

    shop.disk.make_room().unwrap();
    shop.everything_is_there_once_and_nobody_started_the_server(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_goes_down_because_its_log_cannot_grow_is_waited_for() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let mut shop = Shop::open().await;
    let server = shop.stack.server.process().unwrap().id();
    shop.disk.fill().unwrap();
    let refused = shop.eyes.execute(FILL_THE_LOG).await;
    assert!(refused.is_err() && shop.cluster.log().contains("PANIC"), "{refused:?} {}", shop.cluster.log());
    readyz_says(&shop.stack, "database").await;
    shop.business_goes_on_with_a_fault_that_nobody_can_store().await;

    shop.disk.make_room().unwrap();
    shop.cluster_comes_back().await;
    shop.everything_is_there_once_and_nobody_started_the_server(server).await;
}

/// A failed fsync is the end: what the kernel holds may be gone from its memory and never have been on the disk. So
/// PostgreSQL goes down, again while it recovers, and what the disk has is all there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_whose_disk_fails_goes_down_and_has_everything_that_was_acknowledged() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let mut shop = Shop::open().await;
    let server = shop.stack.server.process().unwrap().id();
    shop.machine.set(Sync::Fails, 0).unwrap();
    wait_until("the cluster to go down for good", PATIENCE, || async {
        let log = shop.cluster.log();
        if log.contains("PANIC") && !shop.cluster.is_running() { Ok(()) } else { Err(log) }
    })
    .await;
    shop.business_goes_on_with_a_fault_that_nobody_can_store().await;

    shop.disk.cut_power().unwrap();
    shop.machine.set(Sync::Honest, 0).unwrap();
    // Before the server can add to it.
    shop.stack.server.process().unwrap().signal(Signal::STOP).unwrap();
    shop.cluster_comes_back().await;
    shop.nothing_is_acknowledged_that_is_not_stored().await;
    shop.stack.server.process().unwrap().signal(Signal::CONT).unwrap();
    shop.everything_is_there_once_and_nobody_started_the_server(server).await;
}
