//! What a hostile or broken client can say: it is named, counted, and nobody else notices.
use kioskwatch_proto::{
    KioskId,
    topic::{Channel, Topic},
};
use kioskwatch_tests::harness::{
    client::Client,
    stack::{PATIENCE, Plan, Stack},
    wait::wait_until,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{possible::figures_are_possible, program};

/// A kiosk that exists only on the wire, and does not always tell the truth.
struct Liar {
    client: Client,
    kiosk: KioskId,
    epoch: Uuid,
    boot: Uuid,
}

impl Liar {
    async fn connect(stack: &Stack, id: &str) -> Self {
        let kiosk = KioskId::new(id).unwrap();
        let filters = Topic::agent_filters(&kiosk);
        let client = Client::connect(stack.broker.address(), "a-liar", &filters).await.unwrap();
        Self { client, kiosk, epoch: Uuid::new_v4(), boot: Uuid::new_v4() }
    }

    fn topic(&self, channel: Channel) -> String {
        Topic::new(self.kiosk.clone(), channel).to_string()
    }

    async fn say(&mut self, channel: Channel, payload: impl Into<Vec<u8>>) {
        self.client.say(&self.topic(channel), payload, false).await.unwrap();
    }

    async fn batch(&mut self, records: Vec<Value>) {
        let batch = json!({"epoch": self.epoch, "first": 1, "records": records});
        self.say(Channel::Journal, batch.to_string()).await;
    }

    /// A record with the usual header around this body.
    fn record(&self, seq: u64, at: &str, mut body: Value) -> Value {
        body["seq"] = seq.into();
        body["boot"] = self.boot.to_string().into();
        body["at"] = at.into();
        body["mono_ms"] = (1_000 * seq).into();
        body
    }

    /// Waits for an acknowledgement of exactly this number that pleases `look`.
    async fn acknowledged(&self, upto: u64, look: impl Fn(&Value) -> bool) -> Value {
        wait_until("the server's word on the journal", PATIENCE, || async {
            let acks = self.client.heard(Channel::Ack.as_str());
            let epoch = self.epoch.to_string();
            let fits = |ack: &&Value| ack["epoch"] == epoch.as_str() && ack["upto"] == upto && look(ack);
            acks.iter().rev().find(fits).cloned().ok_or_else(|| format!("wanted {upto}: {acks:?}"))
        })
        .await
    }
}

fn now() -> String {
    kioskwatch_server::clock::Clock::start().now().to_string()
}

async fn counted(stack: &Stack, channel: &str, outcome: &str) {
    let series = format!("kioskwatch_messages_total{{channel=\"{channel}\",outcome=\"{outcome}\"}}");
    stack.metric_reaches(&series, 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_message_has_a_counter_and_a_fault_still_becomes_a_ticket() {
    let mut stack = Plan::new(program()).kiosk("K-0001", "S-01").start().await;
    let mut liar = Liar::connect(&stack, "K-0666").await;

    // A retained message comes as such to whoever subscribes after it.
    let empty = json!({"epoch": liar.epoch, "first": 1, "records": []}).to_string();
    let journal = liar.topic(Channel::Journal);
    liar.client.say(&journal, empty.clone(), true).await.unwrap();
    assert!(stack.server.stop().await.unwrap());
    stack.server.start().await.unwrap();
    let pid = stack.server.process().unwrap().id();
    counted(&stack, "journal", "retained").await;

    liar.say(Channel::Journal, vec![0xFF, 0x00, 0xFE, 0x7B]).await;
    counted(&stack, "journal", "not_json").await;
    liar.say(Channel::Presence, "{\"state\":\"online\",\"sess").await;
    counted(&stack, "presence", "not_json").await;
    liar.say(Channel::Heartbeat, "[1,2,3]").await;
    counted(&stack, "heartbeat", "not_object").await;
    liar.say(Channel::Inventory, "{\"agent_version\":7}").await;
    counted(&stack, "inventory", "bad_field").await;
    let large = |bytes: usize| format!("{{\"epoch\":\"{}\"}}", "x".repeat(bytes));
    liar.say(Channel::Journal, large(65 * 1024)).await;
    counted(&stack, "journal", "too_large").await;
    // Beyond what the server lets the broker send it at all.
    liar.say(Channel::Journal, large(70 * 1024)).await;

    let shard = liar.kiosk.shard().to_string();
    let other = if shard == "00" { "01" } else { "00" };
    liar.client.say(&journal.replacen(&shard, other, 1), empty.clone(), false).await.unwrap();
    counted(&stack, "unknown", "wrong_shard").await;
    liar.client.say(&journal.replacen("K-0666", "K 0666", 1), empty.clone(), false).await.unwrap();
    counted(&stack, "unknown", "bad_kiosk_id").await;
    // Nobody listens there, and nobody falls over it.
    liar.client.say(&format!("{journal}/deeper"), empty, false).await.unwrap();

    bad_records(&stack, &mut liar).await;

    stack.kiosks[0].printer.set(|printer| printer.cover_open = true);
    stack.ticket("K-0001", "cover_open").await;
    stack
        .kiosk_until("K-0001", "the honest kiosk to be online", |k| k["presence"]["state"] == "online")
        .await;
    assert!(stack.server.process_runs());
    assert_eq!(stack.server.process().unwrap().id(), pid, "one process from the first to the last");
    assert!(!stack.server.log().contains("panicked"), "{}", stack.server.log());
    let audit = stack.server.command(&["audit", "verify"]).await.unwrap();
    assert!(audit.status.success(), "{audit:?}");
    figures_are_possible(&stack, "K-0666", 0).await;
}

/// Readable messages whose records are wrong: each number is used up at most once, and said so.
async fn bad_records(stack: &Stack, liar: &mut Liar) {
    let snapshot = json!({"kind": "snapshot", "service": "in_service", "peripherals": {}});
    let ahead = liar.record(1, "2036-01-01T00:00:00.000Z", snapshot);
    liar.batch(vec![ahead.clone()]).await;
    liar.acknowledged(1, |_| true).await;
    counted(stack, "journal_record", "clock_ahead").await;
    liar.batch(vec![ahead]).await;
    counted(stack, "journal_record", "repeat").await;

    let fault = json!({"kind": "fault", "peripheral": "printer", "fault": "cover_open", "state": "raised",
                       "severity": "minor", "detail": {}});
    liar.batch(vec![liar.record(2, &now(), fault.clone()), liar.record(4, &now(), fault.clone())]).await;
    counted(stack, "journal_record", "after_gap").await;
    liar.acknowledged(2, |_| true).await;

    // A body that makes no sense under a good number.
    let bad = liar.record(3, &now(), json!({"kind": "service", "state": 17}));
    let unknown = liar.record(4, &now(), json!({"kind": "weather", "sky": "blue"}));
    liar.batch(vec![bad.clone(), unknown]).await;
    let ack = liar.acknowledged(4, |ack| ack["rejected"] != json!([])).await;
    assert_eq!(ack["rejected"][0]["seq"], 3, "{ack}");
    assert!(ack["rejected"][0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{ack}");
    counted(stack, "journal_record", "quarantined").await;
    counted(stack, "journal_record", "unknown_kind").await;

    // Without a number there is nothing to use up.
    liar.batch(vec![json!({"kind": "service"})]).await;
    counted(stack, "journal_record", "unreadable").await;

    // An applied number with other content: two histories claim one kiosk.
    liar.batch(vec![liar.record(
        2,
        &now(),
        json!({"kind": "transaction", "id": "t", "type": "x",
        "outcome": "completed", "duration_ms": 1}),
    )])
    .await;
    stack.metric_reaches("kioskwatch_security_events_total{event=\"journal_fork\"}", 1.0).await;
    stack.ticket("K-0666", "journal_fork").await;
    // What was right among all that is a ticket, once.
    stack.ticket("K-0666", "cover_open").await;
    liar.acknowledged(4, |_| true).await;
}
