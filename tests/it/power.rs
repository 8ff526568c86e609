//! Power cuts: whatever was told to somebody is on the disk, as an image of the running program's disk shows.
//!
//! Two hundred cuts, a hundred each of a kiosk and of the server. Every cut is mounted as after a restart and
//! opened by the product's own code. On a disk that forgets what it was told to keep the same test must fail.
use std::{collections::BTreeMap, path::Path};

use kioskwatch_agent::journal::{Journal, JournalConfig};
use kioskwatch_agent_core::journal::ReadLimit;
use kioskwatch_proto::{
    KioskId,
    topic::{Channel, Topic},
};
use kioskwatch_server::store::{AuditVerdict, Scope, Store, StoreError};
use kioskwatch_tests::{
    harness::{
        application::Application,
        client::Client,
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
use serde_json::{Value, json};

use crate::program;

const CUTS: u64 = 100;
/// On a disk that forgets, the first cuts already show it.
const CUTS_OF_A_LIAR: u64 = 8;
const SEED: u64 = 20_261_122;
/// What happens between two cuts, at most: transactions at the kiosk, acknowledged records at the server.
const AT_MOST_BETWEEN: u64 = 30;
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
const THREE_DAYS_MS: i64 = 72 * 3_600_000;

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

/// What an agent has told: the application, that it is kept; the broker, the record itself.
struct ToldByAgent {
    kept: Vec<String>,
    sent: Vec<Value>,
}

impl ToldByAgent {
    /// What of it is not in the journal after a restart.
    fn missing_in(&self, journal: &Path) -> Vec<String> {
        let config = JournalConfig::new(journal.to_owned(), JOURNAL_BYTES, THREE_DAYS_MS);
        let (journal, opened) = match Journal::open(&config) {
            Ok(opened) => opened,
            Err(error) => return vec![format!("it does not open: {error}")],
        };
        let all = ReadLimit { records: usize::MAX, bytes: usize::MAX };
        let mut missing: Vec<String> =
            opened.notices.iter().map(|notice| format!("a cut damages nothing: {notice:?}")).collect();
        let entries = match journal.read(1, all).blocking_recv() {
            Ok(Ok(entries)) => entries,
            refused => {
                missing.push(format!("it opens and cannot be read: {refused:?}"));
                return missing;
            }
        };
        let mut records: BTreeMap<u64, Value> = BTreeMap::new();
        for entry in &entries {
            match serde_json::from_str(&entry.json) {
                Ok(record) => drop(records.insert(entry.seq, record)),
                Err(error) => missing.push(format!("record {}: {error}", entry.seq)),
            }
        }
        let ids: Vec<&Value> = records.values().map(|record| &record["id"]).collect();
        missing.extend(self.kept.iter().filter(|id| !ids.iter().any(|i| *i == id.as_str())).cloned());
        let epoch = opened.head.epoch.to_string();
        for batch in &self.sent {
            for sent in batch["records"].as_array().unwrap() {
                let here = sent["seq"].as_u64().and_then(|seq| records.get(&seq));
                if batch["epoch"] != epoch.as_str() || here != Some(sent) {
                    missing.push(format!("sent: {sent}, here: {here:?}"));
                }
            }
        }
        missing
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
    let journals = [Topic::fleet_filter(Channel::Journal)];
    let ears = Client::connect(stack.broker.address(), "ears", &journals).await.unwrap();
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
        let told = ToldByAgent { kept: application.kept_ids(), sent: ears.heard(Channel::Journal.as_str()) };
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

/// What a server has told: agents, how far their journals are applied; people, that their notes are taken.
pub(crate) struct ToldByServer {
    /// By epoch.
    acknowledged: BTreeMap<String, u64>,
    ticket: uuid::Uuid,
    notes: Vec<String>,
}

impl ToldByServer {
    fn heard(acks: &[Value], ticket: uuid::Uuid, notes: &[String]) -> Self {
        let mut acknowledged = BTreeMap::new();
        for ack in acks {
            let upto: &mut u64 = acknowledged.entry(ack["epoch"].as_str().unwrap().to_owned()).or_default();
            *upto = ack["upto"].as_u64().unwrap().max(*upto);
        }
        Self { acknowledged, ticket, notes: notes.to_vec() }
    }

    fn count(&self) -> u64 {
        self.acknowledged.values().sum()
    }

    pub(crate) async fn missing_in(&self, url: &str, kiosks: &[&str]) -> Vec<String> {
        let store = match Store::open(url).await {
            Ok(store) => store,
            Err(error) => return vec![format!("it does not open: {error}")],
        };
        let mut missing = Vec::new();
        if let Err(error) = self.compare(&store, kiosks, &mut missing).await {
            missing.push(format!("it opens and cannot be read: {error}"));
        }
        store.close().await;
        missing
    }

    async fn compare(
        &self,
        store: &Store,
        kiosks: &[&str],
        missing: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        let mut applied = BTreeMap::new();
        for id in kiosks {
            let kiosk = KioskId::new(id).unwrap();
            let heads = store.journal_heads(&Scope::All, &kiosk).await?.unwrap_or_default();
            for head in heads {
                let last = store.journal_record(&Scope::All, &kiosk, head.epoch, head.upto).await?;
                if last.is_none() {
                    missing.push(format!("{id}: applied up to {}, and no such record", head.upto));
                }
                applied.insert(head.epoch.to_string(), head.upto);
            }
        }
        for (epoch, upto) in &self.acknowledged {
            let here = applied.get(epoch).copied().unwrap_or(0);
            if here < *upto {
                missing.push(format!("{epoch}: {upto} acknowledged, {here} here"));
            }
        }
        let ticket = store.ticket(&Scope::All, self.ticket).await?;
        let told: Vec<String> = ticket.into_iter().flat_map(|t| t.events).map(|event| event.reason).collect();
        missing.extend(self.notes.iter().filter(|note| !told.contains(*note)).cloned());
        match store.verify_audit().await {
            Ok(AuditVerdict::Intact { .. }) => {}
            other => missing.push(format!("the audit: {other:?}")),
        }
        Ok(())
    }
}

async fn cut_a_server(sync: Sync, cuts: u64) -> Verdict {
    let place = Workdir::new("kioskwatch-it").unwrap();
    let disk = ImageDisk::mount(&place.path().join("disk"), 192).unwrap();
    let machine = Machine::new(place.path()).unwrap();
    machine.set(sync, 0).unwrap();
    let kiosks = ["K-0001", "K-0002"];
    let plan = kiosks.iter().fold(Plan::new(program()), |plan, id| plan.kiosk(id, "S-01"));
    let stack = plan.server_dir(disk.path().join("server")).server_env(machine.env()).start().await;
    told_and_cut(&stack, cuts, async |told| {
        let server = stack.server.process().unwrap();
        server.signal(Signal::STOP).unwrap();
        let image = disk.cut();
        server.signal(Signal::CONT).unwrap();
        let restarted = image.unwrap().mount(&place.path().join("restarted")).unwrap();
        let file = restarted.path().join("server/data/kioskwatch.sqlite");
        told.missing_in(&format!("sqlite://{}", file.display()), &kiosks).await
    })
    .await
}

/// Between two cuts records are acknowledged and a note is taken. `cut` says what of all that was told is
/// missing after a restart; the first loss ends it.
pub(crate) async fn told_and_cut(
    stack: &Stack,
    cuts: u64,
    cut: impl AsyncFn(&ToldByServer) -> Vec<String>,
) -> Verdict {
    let acks = [Topic::fleet_filter(Channel::Ack)];
    let ears = Client::connect(stack.broker.address(), "ears", &acks).await.unwrap();
    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    let ticket = stack.ticket("K-0001", "cover_open").await["id"].as_str().unwrap().to_owned();
    let (note_path, ticket) = (format!("/api/v1/tickets/{ticket}/actions/note"), ticket.parse().unwrap());
    let applications: Vec<_> = stack.kiosks.iter().map(|k| Application::start(&k.socket(), 2)).collect();

    let mut dice = Rng::new(SEED);
    let mut verdict = Verdict::default();
    let mut notes = Vec::new();
    for n in 0..cuts {
        let heard = || ToldByServer::heard(&ears.heard(Channel::Ack.as_str()), ticket, &[]).count();
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
        let told = ToldByServer::heard(&ears.heard(Channel::Ack.as_str()), ticket, &notes);
        verdict.cuts += 1;
        verdict.told = usize::try_from(told.count()).unwrap() + notes.len();
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
