//! What agents and servers have told somebody, and what of it is missing where they are to keep it; what a server
//! whose database takes nothing acknowledges meanwhile.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use kioskwatch_agent::journal::{Journal, JournalConfig};
use kioskwatch_agent_core::journal::ReadLimit;
use kioskwatch_proto::{
    KioskId,
    topic::{Channel, Topic},
};
use kioskwatch_server::store::{AuditVerdict, Scope, Store, StoreError};
use kioskwatch_tests::harness::{
    client::Client,
    stack::{PATIENCE, Stack},
    wait::wait_until,
};
use serde_json::Value;

const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
const THREE_DAYS_MS: i64 = 72 * 3_600_000;

/// What an agent has told: the application, that it is kept; the broker, the record itself.
pub(crate) struct ToldByAgent {
    pub(crate) kept: Vec<String>,
    pub(crate) sent: Vec<Value>,
}

impl ToldByAgent {
    /// What of it is not in the journal after a restart.
    pub(crate) fn missing_in(&self, journal: &Path) -> Vec<String> {
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

/// What a server has told: agents, how far their journals are applied; people, that their notes are taken.
pub(crate) struct ToldByServer {
    /// By epoch.
    acknowledged: BTreeMap<String, u64>,
    ticket: uuid::Uuid,
    notes: Vec<String>,
}

impl ToldByServer {
    pub(crate) fn to(ears: &Ears, ticket: uuid::Uuid, notes: &[String]) -> Self {
        Self { acknowledged: ears.acknowledged(), ticket, notes: notes.to_vec() }
    }

    /// How many records and notes.
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.acknowledged.values().sum::<u64>()).unwrap() + self.notes.len()
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

/// Hears at the broker what the kiosks send and what the server acknowledges.
pub(crate) struct Ears(Client);

impl Ears {
    pub(crate) async fn at_the_broker_of(stack: &Stack) -> Self {
        let both = [Channel::Journal, Channel::Ack].map(Topic::fleet_filter);
        Self(Client::connect(stack.broker.address(), "ears", &both).await.unwrap())
    }

    /// Batches of records, as they came.
    pub(crate) fn sent(&self) -> Vec<Value> {
        self.0.heard(Channel::Journal.as_str())
    }

    /// The last number of each journal, by epoch.
    pub(crate) fn acknowledged(&self) -> BTreeMap<String, u64> {
        let mut acknowledged = BTreeMap::new();
        for ack in self.0.heard(Channel::Ack.as_str()) {
            let upto: &mut u64 = acknowledged.entry(ack["epoch"].as_str().unwrap().to_owned()).or_default();
            *upto = ack["upto"].as_u64().unwrap().max(*upto);
        }
        acknowledged
    }

    /// Waits for a record that comes again, which is 15 s after nothing was acknowledged: so long a server has had
    /// what it holds.
    pub(crate) async fn a_kiosk_sends_again(&self) {
        let until_now = self.sent().len();
        wait_until("a kiosk to send a record again", PATIENCE * 4, || async {
            let batches = self.sent();
            let mut heard = BTreeSet::new();
            let mut again = false;
            for (index, batch) in batches.iter().enumerate() {
                for record in batch["records"].as_array().unwrap() {
                    let is_new = heard.insert((batch["epoch"].to_string(), record["seq"].as_u64().unwrap()));
                    again |= !is_new && index >= until_now;
                }
            }
            if again { Ok(()) } else { Err(format!("{} batches, nothing twice", batches.len() - until_now)) }
        })
        .await;
    }

    /// `heads`: epochs with the last number that the database has of each, looked up after what was heard.
    #[track_caller]
    pub(crate) fn told_nothing_beyond(acknowledged: &BTreeMap<String, u64>, heads: &[(String, u64)]) {
        assert!(!acknowledged.is_empty(), "nothing was acknowledged at all");
        for (epoch, told) in acknowledged {
            let stored = heads.iter().find(|head| head.0 == *epoch).map(|head| head.1);
            assert!(stored.is_some_and(|upto| *told <= upto), "{epoch}: told {told}, has {stored:?}");
        }
    }
}
