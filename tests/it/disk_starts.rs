//! A kiosk whose disk is full when its agent starts or stops: it speaks all the same, and ends when it is asked to.
use std::{fs, os::unix::fs::FileExt as _, path::Path};

use kioskwatch_tests::{
    emulator::Phase,
    harness::{
        stack::{PATIENCE, Plan, Stack},
        tmpfs::Tmpfs,
        untested::only_root_can_mount,
        wait::wait_until,
    },
};
use serde_json::Value;

use crate::{disk::log_says, program};

/// A kiosk in service whose journal has a disk of its own.
async fn kiosk_with_a_disk() -> Option<(Stack, Tmpfs)> {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start_without_kiosks().await;
    let disk = Tmpfs::mount(&stack.kiosks[0].journal_dir(), "1m")?;
    stack.kiosks[0].boot().unwrap();
    stack.all_in_service().await;
    Some((stack, disk))
}

async fn starts_and_is_heard(stack: &mut Stack) {
    let heard = stack.kiosk("K-0001").await.unwrap()["presence"]["last_seen_at"].clone();
    stack.kiosks[0].start_agent().unwrap();
    // Twice: the second heartbeat is the running loop's.
    let mut before = heard;
    for _ in 0..2 {
        let again = |kiosk: &Value| {
            kiosk["presence"]["state"] == "online"
                && kiosk["presence"]["last_seen_at"].as_str() > before.as_str()
        };
        stack.kiosk_until("K-0001", "a heartbeat of the agent that was started", again).await;
        before = stack.kiosk("K-0001").await.unwrap()["presence"]["last_seen_at"].clone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_starts_on_a_full_disk_gives_up_its_reserve_and_speaks() {
    let Some((mut stack, disk)) = kiosk_with_a_disk().await else { return only_root_can_mount() };
    assert!(stack.kiosks[0].stop_agent().await.unwrap(), "{}", stack.kiosks[0].log());
    disk.fill().unwrap();
    starts_and_is_heard(&mut stack).await;
    log_says(&stack.kiosks[0], "trying with less reserve=true").await;
    disk.make_room().unwrap();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    stack.ticket("K-0001", "cover_open").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_any_room_starts_stops_and_tells_everything_later() {
    let Some((mut stack, disk)) = kiosk_with_a_disk().await else { return only_root_can_mount() };
    // The reserve too.
    disk.fill().unwrap();
    log_says(&stack.kiosks[0], "has room again").await;
    disk.fill().unwrap();
    let log = stack.kiosks[0].log().len();
    wait_until("the journal to have no room at all", PATIENCE, || async {
        let log = stack.kiosks[0].log()[log..].to_owned();
        if log.contains("no room for the journal") { Ok(()) } else { Err(log) }
    })
    .await;

    stack.kiosks[0].kill_agent().await.unwrap();
    starts_and_is_heard(&mut stack).await;
    assert!(stack.kiosks[0].stop_agent().await.unwrap(), "{}", stack.kiosks[0].log());
    // What it let go of is taken as well: not even what SQLite shares with other readers has room.
    disk.fill().unwrap();
    starts_and_is_heard(&mut stack).await;
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = Phase::StackerFull);
    log_says(&stack.kiosks[0], "fault=stacker_full").await;
    disk.make_room().unwrap();
    stack.ticket("K-0001", "stacker_full").await;
    assert!(stack.tickets("K-0001", "kiosk_offline").await.unwrap().is_empty());
}

/// What no agent can mend in its place.
fn damage(journal: &Path) {
    let file = fs::OpenOptions::new().write(true).open(journal.join("journal.sqlite")).unwrap();
    file.write_all_at(&[0xa5; 512], 4_096).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_without_room_for_another_takes_that_of_older_ones_or_waits_and_the_agent_speaks() {
    let Some((mut stack, disk)) = kiosk_with_a_disk().await else { return only_root_can_mount() };
    let dir = stack.kiosks[0].journal_dir();
    let aside = |n: u32| dir.join(format!("journal.sqlite.corrupt-{n}"));
    assert!(stack.kiosks[0].stop_agent().await.unwrap(), "{}", stack.kiosks[0].log());
    for n in 1..=3 {
        fs::write(aside(n), [0; 100_000]).unwrap();
    }
    damage(&dir);
    fs::remove_file(dir.join("journal.sqlite.reserve")).unwrap();
    disk.fill().unwrap();
    starts_and_is_heard(&mut stack).await;
    log_says(&stack.kiosks[0], "removed to make room for a new journal").await;
    assert_eq!([1, 3, 4].map(|n| aside(n).exists()), [false, true, true]);

    assert!(stack.kiosks[0].stop_agent().await.unwrap(), "{}", stack.kiosks[0].log());
    for n in 1..=3 {
        let _ = fs::remove_file(aside(n));
    }
    damage(&dir);
    let _ = fs::remove_file(dir.join("journal.sqlite.reserve"));
    disk.fill().unwrap();
    starts_and_is_heard(&mut stack).await;
    log_says(&stack.kiosks[0], "there is no room for the journal").await;
    let host = |kiosk: &Value| kiosk.to_string().contains("journal_corrupt");
    stack.kiosk_until("K-0001", "word of the damaged journal", host).await;
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = Phase::StackerFull);
    log_says(&stack.kiosks[0], "fault=stacker_full").await;
    disk.make_room().unwrap();
    log_says(&stack.kiosks[0], "there is room for the journal").await;
    stack.ticket("K-0001", "stacker_full").await;
    assert!(aside(5).exists());
}
