//! Power cuts under PostgreSQL: what the server acknowledged is in the cluster that starts from the disk again.
//! With `fsync = off` the same test must find loss, and the server says at its start that it will come to that.
use kioskwatch_tests::harness::{
    image_disk::{ImageDisk, may_mount},
    postgres::Postgres,
    server::Workdir,
    stack::{PATIENCE, Plan},
    untested::only_root_can_mount,
};
use rustix::process::Signal;

use crate::{
    power::{Verdict, told_and_cut},
    program,
};

/// Each takes seconds: a cluster starts from what the disk has.
const CUTS: u64 = 20;
/// A cluster, its log, and an empty database.
const DISK_MIB: u64 = 224;
const FILES: u32 = 8_192;
/// So small that the log takes turns with the data several times.
const SMALL_LOG: &str = "max_wal_size = 48MB\nmin_wal_size = 32MB\ncheckpoint_timeout = 30s\n";
const DATABASE: &str = "postgres";

async fn cut_postgres(settings: &str, cuts: u64) -> (Verdict, String) {
    let place = Workdir::new("kioskwatch-it").unwrap();
    let disk = ImageDisk::mount_for(&place.path().join("disk"), DISK_MIB, FILES).unwrap();
    let cluster = Postgres::start_at(&disk.path().join("data"), &format!("{SMALL_LOG}{settings}"));
    let kiosks = ["K-0001", "K-0002"];
    let plan = kiosks.iter().fold(Plan::new(program()), |plan, id| plan.kiosk(id, "S-01"));
    let stack = plan.database(cluster.url(DATABASE)).start().await;
    // What was there before the first word was told is no matter of this test.
    disk.sync().unwrap();
    let verdict = told_and_cut(&stack, cuts, async |told| {
        let server = stack.server.process().unwrap();
        server.signal(Signal::STOP).unwrap();
        cluster.pause();
        let image = disk.cut();
        cluster.go_on();
        server.signal(Signal::CONT).unwrap();
        let restarted = image.unwrap().mount(&place.path().join("restarted")).unwrap();
        match Postgres::start_again(&restarted.path().join("data")) {
            Ok(again) => told.missing_in(&again.url(DATABASE), &kiosks).await,
            Err(log) => vec![format!("it does not start: {log}")],
        }
    })
    .await;
    (verdict, stack.server.log())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_of_postgres_lose_nothing_the_server_has_acknowledged() {
    if !may_mount() {
        return only_root_can_mount();
    }
    // The server says itself how it wants to commit, whatever the cluster's default.
    let (verdict, log) = cut_postgres("synchronous_commit = off\n", CUTS).await;
    verdict.nothing_lost_in(CUTS);
    assert!(!log.contains("forgets in a power cut"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_forgets_is_told_at_the_start_and_found_out() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let (verdict, log) = cut_postgres("fsync = off\n", CUTS).await;
    assert!(!verdict.lost.is_empty(), "without fsync nothing was lost: this test sees nothing: {verdict:?}");
    assert!(log.contains("PostgreSQL forgets in a power cut") && log.contains("fsync = off"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_says_what_of_postgres_it_does_not_read_and_calls_no_setting_damage() {
    let place = Workdir::new("kioskwatch-it").unwrap();
    let cluster = Postgres::start_at(&place.path().join("data"), "fsync = off\n");
    let stack = Plan::new(program()).database(cluster.url(DATABASE)).start_without_kiosks().await;
    stack.server.ready(PATIENCE).await.unwrap();
    let check = stack.server.command(&["check"]).await.unwrap();
    let [told, wrong] = [check.stdout, check.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(told.contains("unbroken") && told.contains("pages are not checked here"), "{told}");
    assert!(!told.contains("whole"), "{told}");
    assert!(check.status.code() == Some(1) && wrong.contains("fsync = off"), "{wrong}");
    assert!(!wrong.contains("damaged"), "{wrong}");
}
