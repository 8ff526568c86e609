//! What a virtual kiosk is called and what it says. Everything follows from its place in the fleet, so that a
//! million of them take no memory.
use std::fmt::Write as _;

use kioskwatch_proto::{
    BootId, Epoch, KioskId, SessionId, Timestamp,
    topic::{Channel, Topic},
};
use uuid::Uuid;

/// One of a fleet, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VirtualKiosk(pub u32);

/// What changes from one heartbeat to the next.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    /// Which connection of the kiosk this is: 1, 2, 3 …
    pub connection: u32,
    pub seq: u64,
    pub at: Timestamp,
    pub interval_s: u32,
    /// Records in its journal.
    pub records: u64,
    pub faulty: bool,
}

/// As kiosks and the database write it.
pub const PERIPHERALS: &str =
    r#"{"printer":{"status":"online","faults":[]},"ups":{"status":"online","faults":[]}}"#;

/// A journal begins with the start of the agent and the whole state.
pub const FIRST_RECORDS: u64 = 2;

/// What its printer may have.
pub const FAULT: &str = "paper_out";

const NAME: &str = "L-";
const EPOCH: u128 = 1;
const BOOT: u128 = 2;
const SESSION: u128 = 16;

impl VirtualKiosk {
    /// # Panics
    /// Never: the name is made of letters and digits.
    pub fn id(self) -> KioskId {
        KioskId::new(&format!("{NAME}{:07}", self.0)).expect("letters and digits")
    }

    /// The place of a kiosk by its name.
    pub fn of(id: &KioskId) -> Option<Self> {
        id.as_str().strip_prefix(NAME)?.parse().ok().map(Self)
    }

    pub fn topic(self, channel: Channel) -> String {
        Topic::new(self.id(), channel).to_string()
    }

    fn uuid(self, what: u128) -> Uuid {
        // A look like version 4, so that no reader stumbles over it.
        Uuid::from_u128(what << 96 | 0x4000_8000 << 48 | u128::from(self.0))
    }

    pub fn epoch(self) -> Epoch {
        Epoch(self.uuid(EPOCH))
    }

    pub fn boot(self) -> BootId {
        BootId(self.uuid(BOOT))
    }

    pub fn session(self, connection: u32) -> SessionId {
        SessionId(self.uuid(SESSION + u128::from(connection)))
    }

    pub fn presence(self, state: &str, connection: u32, at: Timestamp) -> String {
        let (session, boot, epoch) = (self.session(connection), self.boot(), self.epoch());
        format!(
            r#"{{"state":"{state}","session":"{session}","boot":"{boot}","epoch":"{epoch}","at":"{at}"}}"#
        )
    }

    /// As an agent tells it once its devices have said what they are.
    pub fn inventory(self) -> String {
        let (boot, epoch, place) = (self.boot(), self.epoch(), self.0);
        format!(
            r#"{{"agent_version":"0.1.0","os":"Debian GNU/Linux 12 (bookworm) x86_64","boot":"{boot}","epoch":"{epoch}","timezone":"Asia/Shanghai","config_hash":"9f86d081884c7d65","peripherals":[{{"name":"printer","kind":"printer","driver":"escpos","mode":"owned","required":true,"model":"T-80","firmware":"1.02","serial":"80{place:08}"}},{{"name":"ups","kind":"ups","driver":"megatec","mode":"owned","required":false,"model":"PM-1000","firmware":"3.1"}}],"actions":["probe","identify","self_test","reset_peripheral","collect_diagnostics","read_log","ping_network","restart_application","restart_agent","reboot"]}}"#
        )
    }

    /// A heartbeat of 15 values: four of the host, two of each of two peripherals, two of the journal, service, uptime,
    /// its number, its interval and the steady clock; beside the three names it goes by and when it was sent.
    pub fn heartbeat(self, beat: &Beat) -> String {
        let Beat { connection, seq, at, interval_s, records, faulty } = *beat;
        let (boot, session, epoch) = (self.boot(), self.session(connection), self.epoch());
        let (mono_ms, uptime_s) = (at.ms(), 1_000 + seq);
        let service = if faulty { "out_of_service" } else { "in_service" };
        let mut text = String::with_capacity(640);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"{{"boot":"{boot}","session":"{session}","seq":{seq},"at":"{at}","mono_ms":{mono_ms},"interval_s":{interval_s},"uptime_s":{uptime_s},"service":"{service}","peripherals":{PERIPHERALS},"host":{{"cpu_ratio":0.12,"memory_used_ratio":0.5,"disk_used_ratio":0.7,"temperature_celsius":45.1}},"journal":{{"epoch":"{epoch}","last_seq":{records},"pending":0}}}}"#
        );
        text
    }

    /// What a journal begins with.
    pub fn first_records(self, at: Timestamp) -> [String; FIRST_RECORDS as usize] {
        let snapshot = format!(r#""kind":"snapshot","service":"in_service","peripherals":{PERIPHERALS}"#);
        [self.record(1, at, r#""kind":"boot","clean":false"#), self.record(FIRST_RECORDS, at, &snapshot)]
    }

    /// The printer runs out of paper, or gets some.
    pub fn fault(self, seq: u64, raised: bool, at: Timestamp) -> String {
        let state = if raised { "raised" } else { "cleared" };
        let body = format!(
            r#""kind":"fault","peripheral":"printer","fault":"{FAULT}","state":"{state}","severity":"minor","detail":{{"raw":"1003127e","text":"paper end sensor"}}"#
        );
        self.record(seq, at, &body)
    }

    /// A customer paid a bill.
    pub fn transaction(self, seq: u64, at: Timestamp) -> String {
        let body = format!(
            r#""kind":"transaction","id":"t-{seq:06}","type":"bill_payment","outcome":"completed","duration_ms":48210"#
        );
        self.record(seq, at, &body)
    }

    /// It goes out of service, or comes back: what was proved before ends here.
    pub fn service(self, seq: u64, serves: bool, at: Timestamp) -> String {
        let body = match serves {
            true => r#""kind":"service","state":"in_service""#,
            false => r#""kind":"service","state":"out_of_service","cause":"printer""#,
        };
        self.record(seq, at, body)
    }

    fn record(self, seq: u64, at: Timestamp, body: &str) -> String {
        let (boot, mono_ms) = (self.boot(), at.ms());
        format!(r#"{{"seq":{seq},"boot":"{boot}","at":"{at}","mono_ms":{mono_ms},{body}}}"#)
    }

    /// The message that carries records.
    pub fn journal(self, records: &[String]) -> String {
        format!(r#"{{"epoch":"{}","first":1,"records":[{}]}}"#, self.epoch(), records.join(","))
    }
}

/// The wall clock of this machine, as the server reads it.
pub fn now() -> Timestamp {
    kioskwatch_server::clock::Clock::start().now()
}

#[cfg(test)]
mod tests {
    use kioskwatch_proto::{
        heartbeat::Heartbeat, inventory::Inventory, journal::Batch, parse_payload, presence::Presence,
    };

    use super::*;

    /// Leaves of the tree; a list is one.
    fn values(of: &serde_json::Value) -> usize {
        of.as_object().map_or(1, |fields| fields.values().map(values).sum())
    }

    #[test]
    fn what_a_virtual_kiosk_says_is_what_the_contract_says() {
        let kiosk = VirtualKiosk(999_999);
        let at = Timestamp(1_795_248_000_123);
        assert_eq!(VirtualKiosk::of(&kiosk.id()), Some(kiosk));
        assert_ne!(kiosk.session(1), kiosk.session(2));
        let beat = Beat { connection: 2, seq: 7, at, interval_s: 30, records: 3, faulty: true };
        let heartbeat: Heartbeat = parse_payload(kiosk.heartbeat(&beat).as_bytes()).unwrap();
        assert_eq!((heartbeat.at, heartbeat.journal.last_seq), (at, 3));
        let names_and_time = ["boot", "session", "epoch", "at"];
        assert_eq!(
            values(&serde_json::from_str(&kiosk.heartbeat(&beat)).unwrap()),
            15 + names_and_time.len()
        );
        let presence: Presence = parse_payload(kiosk.presence("online", 2, at).as_bytes()).unwrap();
        assert_eq!(presence.session, heartbeat.session);
        let inventory: Inventory = parse_payload(kiosk.inventory().as_bytes()).unwrap();
        assert_eq!(inventory.peripherals.len(), 2);
        let journal = [kiosk.fault(3, true, at), kiosk.transaction(4, at)];
        let service = [kiosk.service(5, false, at), kiosk.service(6, true, at)];
        let message = kiosk.journal(&[&kiosk.first_records(at)[..], &journal, &service].concat());
        let batch: Batch<'_> = parse_payload(message.as_bytes()).unwrap();
        assert_eq!(batch.records.len(), 6);
        for raw in batch.records {
            kioskwatch_proto::journal::Record::parse(raw.get()).unwrap();
        }
    }
}
