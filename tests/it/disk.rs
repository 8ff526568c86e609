//! Disks that are full, fail or let nobody write, at the kiosk and at the server: nothing is lost, nothing is
//! acknowledged that is not kept.
use kioskwatch_server::store::Store;
use kioskwatch_tests::{
    emulator::Phase,
    harness::{
        application::Application,
        image_disk::{ImageDisk, may_mount},
        kiosk::Kiosk,
        machine::{Machine, Sync},
        rows::Rows,
        server::Workdir,
        stack::{PATIENCE, Plan, Stack},
        tmpfs::Tmpfs,
        untested::only_root_can_mount,
        wait::wait_until,
    },
};
use serde_json::json;

use crate::{
    lines,
    power::missing_after_a_cut,
    program,
    told::{Ears, ToldByAgent, ToldByServer},
};

pub(crate) async fn readyz_says(stack: &Stack, word: &str) {
    let monitoring = stack.server.monitoring_api();
    wait_until("/readyz to say what is missing", PATIENCE, || async {
        let ready = monitoring.get("/readyz").await?;
        let named = ready.status == 503 && ready.body.to_string().contains(word);
        if named { Ok(()) } else { Err(format!("{ready:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_on_a_full_disk_keeps_running_and_tells_everything_once_there_is_room() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start_without_kiosks().await;
    let Some(disk) = Tmpfs::mount(&stack.kiosks[0].journal_dir(), "1m") else {
        return only_root_can_mount();
    };
    stack.kiosks[0].boot().unwrap();
    stack.all_in_service().await;
    let pid = stack.kiosks[0].agent().unwrap().id();

    // What the journal has set aside for this hour goes first, then that is taken as well.
    disk.fill().unwrap();
    wait_until("the journal to live on its reserve", PATIENCE, || async {
        let log = stack.kiosks[0].log();
        if log.contains("has room again") { Ok(()) } else { Err(log) }
    })
    .await;
    disk.fill().unwrap();
    let log = stack.kiosks[0].log().len();
    wait_until("the journal to have no room at all", PATIENCE, || async {
        let log = stack.kiosks[0].log()[log..].to_owned();
        if log.contains("no room for the journal") { Ok(()) } else { Err(log) }
    })
    .await;
    let log = stack.kiosks[0].log().len();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = Phase::StackerFull);
    let kiosk = &stack.kiosks[0];
    wait_until("the agent to find both faults, full disk or not", PATIENCE, || async {
        let log = kiosk.log()[log..].to_owned();
        let found = log.contains("fault=cover_open") && log.contains("fault=stacker_full");
        if found { Ok(()) } else { Err(log) }
    })
    .await;
    // Heartbeats go on: a full disk is no dead kiosk.
    for _ in 0..6 {
        let heard = stack.kiosk("K-0001").await.unwrap()["presence"]["last_seen_at"].clone();
        let again = |k: &serde_json::Value| {
            k["presence"]["state"] == "online" && k["presence"]["last_seen_at"].as_str() > heard.as_str()
        };
        stack.kiosk_until("K-0001", "another heartbeat", again).await;
    }

    disk.make_room().unwrap();
    stack.ticket("K-0001", "cover_open").await;
    stack.ticket("K-0001", "stacker_full").await;
    let agent = stack.kiosks[0].agent().unwrap();
    assert!(agent.runs() && agent.id() == pid, "it was never started again");
    assert!(stack.tickets("K-0001", "kiosk_offline").await.unwrap().is_empty());
}

/// Not at once and not later: for as long as it takes a kiosk to send the fault again.
async fn nothing_is_acknowledged_that_is_not_stored(stack: &Stack, ears: &Ears) {
    ears.a_kiosk_sends_again().await;
    let acknowledged = ears.acknowledged();
    let database = format!("sqlite://{}", stack.server.data_dir.join("kioskwatch.sqlite").display());
    Ears::told_nothing_beyond(&acknowledged, &Rows::of_file(&database).heads().await.unwrap());
    assert!(stack.tickets("K-0001", "cover_open").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_a_full_disk_says_so_acknowledges_nothing_and_goes_on_once_there_is_room() {
    let place = Workdir::new("kioskwatch-it").unwrap();
    let Some(disk) = Tmpfs::mount(place.path(), "6m") else { return only_root_can_mount() };
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").server_dir(place.path().join("server"));
    let mut stack = plan.start().await;
    let ears = Ears::at_the_broker_of(&stack).await;
    // One word at least, of before.
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = Phase::StackerFull);
    stack.ticket("K-0001", "stacker_full").await;

    disk.fill().unwrap();
    readyz_says(&stack, "the disk of the database is full").await;
    assert_eq!(stack.server.monitoring_api().get("/livez").await.unwrap().status, 200);
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    let agent = stack.kiosks[0].log();
    wait_until("the agent to have recorded the fault", PATIENCE, || async {
        let log = stack.kiosks[0].log();
        if log[agent.len()..].contains("cover_open") { Ok(()) } else { Err("no fault yet".to_owned()) }
    })
    .await;
    nothing_is_acknowledged_that_is_not_stored(&stack, &ears).await;
    assert!(stack.server.process_runs(), "{}", stack.server.log());

    disk.make_room().unwrap();
    stack.server.ready(PATIENCE).await.unwrap();
    stack.ticket("K-0001", "cover_open").await;
    assert!(stack.tickets("K-0001", "kiosk_offline").await.unwrap().is_empty());
}

pub(crate) async fn log_says(kiosk: &Kiosk, sentence: &str) {
    wait_until(sentence, PATIENCE, || async {
        let log = kiosk.log();
        if log.contains(sentence) { Ok(()) } else { Err(log) }
    })
    .await;
}

pub(crate) async fn business_goes_on(application: &Application, more: u64) {
    let wanted = application.kept() + more;
    wait_until("the kiosk to do business", PATIENCE, || async {
        let kept = application.kept();
        if kept >= wanted { Ok(()) } else { Err(format!("{kept} of {wanted} kept")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_disk_fails_ends_at_once_and_the_next_start_tells_everything() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start_without_kiosks().await;
    let mut disk = ImageDisk::mount(&stack.kiosks[0].journal_dir(), 48).unwrap();
    let machine = Machine::new(stack.dir.path()).unwrap();
    machine.set(Sync::Honest, 0).unwrap();
    machine.env().into_iter().for_each(|(name, value)| stack.kiosks[0].set_env(name, value));
    stack.kiosks[0].boot().unwrap();
    stack.all_in_service().await;
    let ears = Ears::at_the_broker_of(&stack).await;
    let application = Application::start(&stack.kiosks[0].socket(), 2);
    business_goes_on(&application, 10).await;

    machine.set(Sync::Fails, 0).unwrap();
    log_says(&stack.kiosks[0], "the disk does not keep what it is given").await;
    let agent = stack.kiosks[0].agent().unwrap();
    wait_until("the agent to end", PATIENCE, || {
        let runs = agent.runs();
        async move { if runs { Err("it runs".to_owned()) } else { Ok(()) } }
    })
    .await;
    // What only the kernel's memory held is gone: the disk is all there is to begin with.
    disk.cut_power().unwrap();
    let told = ToldByAgent { kept: application.kept_ids(), sent: ears.sent() };
    let journal = stack.kiosks[0].journal();
    let missing = tokio::task::spawn_blocking(move || told.missing_in(&journal)).await.unwrap();
    assert_eq!(missing, Vec::<String>::new());
    machine.set(Sync::Honest, 0).unwrap();
    stack.kiosks[0].start_agent().unwrap();
    business_goes_on(&application, 10).await;
    let told = ToldByAgent { kept: application.kept_ids(), sent: ears.sent() };
    drop(application);
    stack.all_in_service().await;
    let restarted = disk.cut().unwrap().mount(&stack.dir.path().join("restarted")).unwrap();
    let journal = restarted.path().join("journal.sqlite");
    let missing = tokio::task::spawn_blocking(move || told.missing_in(&journal)).await.unwrap();
    assert_eq!(missing, Vec::<String>::new());
    let database = format!("sqlite://{}", stack.server.data_dir.join("kioskwatch.sqlite").display());
    let store = Store::open_beside(&database).await.unwrap();
    lines::everything_arrives_and_nobody_is_offline(&stack, &store).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_on_a_read_only_disk_says_so_and_the_server_says_that_it_is_gone() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start_without_kiosks().await;
    let disk = ImageDisk::mount(&stack.kiosks[0].journal_dir(), 24).unwrap();
    stack.kiosks[0].boot().unwrap();
    stack.all_in_service().await;
    disk.turn_read_only().unwrap();
    log_says(&stack.kiosks[0], "the disk does not keep what it is given").await;
    // As systemd would.
    stack.kiosks[0].start_agent().unwrap();
    log_says(&stack.kiosks[0], "cannot be written: the agent needs it to keep records").await;
    stack.ticket("K-0001", "kiosk_offline").await;
    assert!(!stack.kiosks[0].log().contains("setting it aside"), "nothing is wrong with what is on the disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_disk_fails_acknowledges_nothing_until_it_keeps_again() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let place = Workdir::new("kioskwatch-it").unwrap();
    let disk = ImageDisk::mount(&place.path().join("disk"), 192).unwrap();
    let machine = Machine::new(place.path()).unwrap();
    machine.set(Sync::Honest, 0).unwrap();
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").server_dir(disk.path().join("server"));
    let mut stack = plan.server_env(machine.env()).start().await;
    let ears = Ears::at_the_broker_of(&stack).await;
    stack.kiosks[0].acceptor.set(|acceptor| acceptor.phase = Phase::StackerFull);
    let ticket = stack.ticket("K-0001", "stacker_full").await["id"].as_str().unwrap().to_owned();
    let note_path = format!("/api/v1/tickets/{ticket}/actions/note");
    let api = stack.api();
    let note = async |text| {
        let taken = api.post(&note_path, json!({"text": text})).await.unwrap();
        assert!((200..300).contains(&taken.status), "{taken:?}");
    };
    note("before").await;
    let told = |notes: &[&str]| {
        let notes: Vec<String> = notes.iter().map(|&note| note.to_owned()).collect();
        ToldByServer::to(&ears, ticket.parse().unwrap(), &notes)
    };

    machine.set(Sync::Fails, 0).unwrap();
    readyz_says(&stack, "database").await;
    assert_eq!(stack.server.monitoring_api().get("/livez").await.unwrap().status, 200);
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    log_says(&stack.kiosks[0], "fault=cover_open").await;
    nothing_is_acknowledged_that_is_not_stored(&stack, &ears).await;
    // What the kernel still shows to everybody need not be on the disk.
    let missing = missing_after_a_cut(&stack, &disk, &told(&["before"]), &["K-0001"]).await;
    assert_eq!(missing, Vec::<String>::new());

    machine.set(Sync::Honest, 0).unwrap();
    stack.server.ready(PATIENCE).await.unwrap();
    stack.ticket("K-0001", "cover_open").await;
    note("after").await;
    let missing = missing_after_a_cut(&stack, &disk, &told(&["before", "after"]), &["K-0001"]).await;
    assert_eq!(missing, Vec::<String>::new());
    assert!(stack.server.process_runs(), "{}", stack.server.log());
    assert!(stack.tickets("K-0001", "kiosk_offline").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_a_read_only_disk_acknowledges_nothing_and_a_mended_disk_has_everything() {
    if !may_mount() {
        return only_root_can_mount();
    }
    let place = Workdir::new("kioskwatch-it").unwrap();
    let disk = ImageDisk::mount(&place.path().join("disk"), 192).unwrap();
    let plan = Plan::new(program()).kiosk("K-0001", "S-01").server_dir(disk.path().join("server"));
    let mut stack = plan.start().await;
    // The configuration is an old file, not one the kernel still holds.
    disk.sync().unwrap();
    disk.turn_read_only().unwrap();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    log_says(&stack.kiosks[0], "fault=cover_open").await;
    let monitoring = stack.server.monitoring_api();
    wait_until("the server to be no longer ready", PATIENCE, || async {
        // The kernel may also end it: SQLite shares memory through a file that cannot be written any more.
        match monitoring.get("/readyz").await {
            Ok(ready) if ready.status == 200 => Err("ready".to_owned()),
            Ok(_) | Err(_) => Ok(()),
        }
    })
    .await;

    // Whoever starts it there is told which file cannot be written.
    stack.server.kill().await.unwrap();
    let refused = stack.server.command(&["migrate"]).await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("kioskwatch.sqlite"), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");

    let image = disk.cut().unwrap();
    image.repair().unwrap();
    let at = disk.path().to_owned();
    drop(disk);
    let _mended = image.mount(&at).unwrap();
    stack.server.start().await.unwrap();
    stack.server.ready(PATIENCE).await.unwrap();
    stack.ticket("K-0001", "cover_open").await;
    assert!(stack.tickets("K-0001", "kiosk_offline").await.unwrap().is_empty());
}
