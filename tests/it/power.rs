//! Power cuts: whatever was told to somebody is on the disk, as an image of the running program's disk shows.
//!
//! Two hundred cuts, a hundred each of a kiosk and of the server. Every cut is mounted as after a restart and
//! opened by the product's own code. On a disk that forgets what it was told to keep the same test must fail.
use kioskwatch_tests::{
    harness::{
        application::Application,
        image_disk::{ImageDisk, may_mount},
        machine::{Machine, Sync},
        server::Workdir,
        stack::{PATIENCE, Plan, Stack},
        untested::only_root_can_mount,
        wait::wait_until,
    },
    sim::rng::Rng,
};
use rustix::process::Signal;
use serde_json::json;

use crate::{
    program,
    told::{Ears, ToldByAgent, ToldByServer},
};

const CUTS: u64 = 100;
/// On a disk that forgets, the first cuts already show it.
const CUTS_OF_A_LIAR: u64 = 8;
const SEED: u64 = 20_261_122;
/// What happens between two cuts, at most: transactions at the kiosk, acknowledged records at the server.
const AT_MOST_BETWEEN: u64 = 30;

/// What became of what had been told, cut by cut.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    cuts: u64,
    told: usize,
    pub(crate) lost: Vec<String>,
}

impl Verdict {
    #[track_caller]
    pub(crate) fn nothing_lost_in(&self, wanted: u64) {
        let Self { cuts, told, lost } = self;
        assert!(lost.is_empty(), "seed {SEED}, {cuts} cuts, {told} things told: {lost:#?}");
        assert!(*cuts == wanted && *told as u64 > wanted, "too little happened: {self:?}");
    }
}

async fn cut_an_agent(sync: Sync, cuts: u64) -> Verdict {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start_without_kiosks().await;
    let disk = ImageDisk::mount(&stack.kiosks[0].journal_dir(), 48).unwrap();
    let machine = Machine::new(stack.dir.path()).unwrap();
    machine.set(sync, 0).unwrap();
    machine.env().into_iter().for_each(|(name, value)| stack.kiosks[0].set_env(name, value));
    stack.kiosks[0].boot().unwrap();
    stack.all_in_service().await;
    let ears = Ears::at_the_broker_of(&stack).await;
    let application = Application::start(&stack.kiosks[0].socket(), 4);

    let mut dice = Rng::new(SEED);
    let mut verdict = Verdict::default();
    for cut in 0..cuts {
        let wanted = application.kept() + 1 + dice.below(AT_MOST_BETWEEN);
        wait_until("the kiosk to do business", PATIENCE, || async {
            let kept = application.kept();
            if kept >= wanted { Ok(()) } else { Err(format!("{kept} of {wanted} kept")) }
        })
        .await;
        let told = ToldByAgent { kept: application.kept_ids(), sent: ears.sent() };
        let agent = stack.kiosks[0].agent().unwrap();
        agent.signal(Signal::STOP).unwrap();
        let image = disk.cut();
        agent.signal(Signal::CONT).unwrap();
        let restarted = image.unwrap().mount(&stack.dir.path().join("restarted")).unwrap();
        verdict.cuts += 1;
        verdict.told = told.kept.len() + told.sent.len();
        let journal = restarted.path().join("journal.sqlite");
        let missing = tokio::task::spawn_blocking(move || told.missing_in(&journal)).await.unwrap();
        verdict.lost.extend(missing.into_iter().map(|what| format!("cut {cut}: {what}")));
        drop(restarted);
    }
    verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_power_cuts_of_a_kiosk_lose_nothing_it_has_told() {
    if !may_mount() {
        return only_root_can_mount();
    }
    cut_an_agent(Sync::Honest, CUTS).await.nothing_lost_in(CUTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kiosk_whose_disk_forgets_is_found_out() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let verdict = cut_an_agent(Sync::Lies, CUTS_OF_A_LIAR).await;
    assert!(!verdict.lost.is_empty(), "without fsync nothing was lost: this test sees nothing: {verdict:?}");
}

async fn cut_a_server(sync: Sync, cuts: u64) -> Verdict {
    let place = Workdir::new("kioskwatch-it").unwrap();
    let disk = ImageDisk::mount(&place.path().join("disk"), 192).unwrap();
    let machine = Machine::new(place.path()).unwrap();
    machine.set(sync, 0).unwrap();
    let kiosks = ["K-0001", "K-0002"];
    let plan = kiosks.iter().fold(Plan::new(program()), |plan, id| plan.kiosk(id, "S-01"));
    let stack = plan.server_dir(disk.path().join("server")).server_env(machine.env()).start().await;
    told_and_cut(&stack, cuts, async |told| missing_after_a_cut(&stack, &disk, told, &kiosks).await).await
}

/// The power of the server goes now; its directory `server` is on `disk`. It goes on: the cut is a copy.
pub(crate) async fn missing_after_a_cut(
    stack: &Stack,
    disk: &ImageDisk,
    told: &ToldByServer,
    kiosks: &[&str],
) -> Vec<String> {
    let server = stack.server.process().unwrap();
    server.signal(Signal::STOP).unwrap();
    let image = disk.cut();
    server.signal(Signal::CONT).unwrap();
    let restarted = image.unwrap().mount(&stack.dir.path().join("restarted")).unwrap();
    let file = restarted.path().join("server/data/kioskwatch.sqlite");
    told.missing_in(&format!("sqlite://{}", file.display()), kiosks).await
}

/// Between two cuts records are acknowledged and a note is taken. `cut` says what of all that was told is
/// missing after a restart; the first loss ends it.
pub(crate) async fn told_and_cut(
    stack: &Stack,
    cuts: u64,
    cut: impl AsyncFn(&ToldByServer) -> Vec<String>,
) -> Verdict {
    let ears = Ears::at_the_broker_of(stack).await;
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    let ticket = stack.ticket("K-0001", "cover_open").await["id"].as_str().unwrap().to_owned();
    let (note_path, ticket) = (format!("/api/v1/tickets/{ticket}/actions/note"), ticket.parse().unwrap());
    let applications: Vec<_> = stack.kiosks.iter().map(|k| Application::start(&k.socket(), 2)).collect();

    let mut dice = Rng::new(SEED);
    let mut verdict = Verdict::default();
    let mut notes = Vec::new();
    for n in 0..cuts {
        let heard = || ears.acknowledged().values().sum::<u64>();
        let wanted = heard() + 1 + dice.below(AT_MOST_BETWEEN);
        wait_until("records to be acknowledged", PATIENCE, || async {
            let count = heard();
            if count >= wanted { Ok(()) } else { Err(format!("{count} of {wanted}")) }
        })
        .await;
        let note = format!("note {n}");
        let taken = stack.api().post(&note_path, json!({"text": note})).await.unwrap();
        assert!((200..300).contains(&taken.status), "{taken:?}");
        notes.push(note);
        let told = ToldByServer::to(&ears, ticket, &notes);
        verdict.cuts += 1;
        verdict.told = told.count();
        verdict.lost.extend(cut(&told).await.into_iter().map(|what| format!("cut {n}: {what}")));
        if !verdict.lost.is_empty() {
            break;
        }
    }
    drop(applications);
    verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_power_cuts_of_the_server_lose_nothing_it_has_acknowledged() {
    if !may_mount() {
        return only_root_can_mount();
    }
    cut_a_server(Sync::Honest, CUTS).await.nothing_lost_in(CUTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_disk_forgets_is_found_out() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let verdict = cut_a_server(Sync::Lies, CUTS_OF_A_LIAR).await;
    assert!(!verdict.lost.is_empty(), "without fsync nothing was lost: this test sees nothing: {verdict:?}");
}
