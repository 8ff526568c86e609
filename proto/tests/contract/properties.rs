//! Random input: nothing panics, what we write we read back, and no changed envelope opens.
use kioskwatch_proto::{
    KioskId, PeripheralName, Timestamp, clean_text,
    command::{Command, CommandSigner, Envelope, TrustedKey},
    faults::FaultCode,
    heartbeat::PeripheralState,
    journal::{
        Alive, Body, Boot, CommandOutcome, CommandResult, Dropped, Fault, FaultDetail, FaultState, Header,
        Peripheral, Record, Service, Shutdown, Snapshot, Transaction, TransactionOutcome, Was,
    },
    limits::{MAX_NUMBER, MAX_TEXT_CHARS},
    parse_payload,
    topic::{Channel, Topic},
    words::{PeripheralStatus, ServiceState, Severity, ShutdownReason},
};
use proptest::{collection, option, prelude::*, sample::select};
use uuid::Uuid;

use crate::golden::{MESSAGES, compat, golden};

fn config() -> ProptestConfig {
    // Failures are printed with their input; a file of old seeds would be one more thing to keep.
    ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
}

fn peripheral() -> impl Strategy<Value = PeripheralName> {
    name().prop_map(|n| PeripheralName::new(&n).unwrap())
}

fn time() -> impl Strategy<Value = Timestamp> {
    (-62_167_219_200_000_i64..=253_402_300_799_999).prop_map(Timestamp)
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn number() -> impl Strategy<Value = u64> {
    0..=MAX_NUMBER
}

/// As an agent writes it: already clean.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|t| clean_text(&t))
}

fn status() -> impl Strategy<Value = PeripheralStatus> {
    prop_oneof![select(PeripheralStatus::KNOWN).prop_map(str::to_owned), "[a-z0-9_]{1,64}"]
        .prop_map(|w| PeripheralStatus::parse(&w).unwrap())
}

fn fault_code() -> impl Strategy<Value = FaultCode> {
    "[a-z0-9_]{1,30}(\\([a-z0-9_]{1,30}\\))?".prop_map(|c| FaultCode::new(&c).unwrap())
}

fn service() -> impl Strategy<Value = ServiceState> {
    select(ServiceState::ALL)
}

fn state() -> impl Strategy<Value = PeripheralState> {
    (status(), collection::vec(fault_code(), 0..3), any::<bool>())
        .prop_map(|(status, faults, cut)| PeripheralState { status, faults, cut })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (option::of(uuid()), option::of(time()), any::<bool>(), any::<bool>()).prop_map(
            |(boot, until, clean, unrecorded)| {
                Body::Boot(Boot {
                    previous_boot: boot.map(kioskwatch_proto::BootId),
                    previous_alive_until: until,
                    clean,
                    unrecorded,
                })
            }
        ),
        select(ShutdownReason::ALL).prop_map(|reason| Body::Shutdown(Shutdown { reason })),
        (service(), option::of(text())).prop_map(|(state, cause)| Body::Service(Service { state, cause })),
        (peripheral(), status())
            .prop_map(|(peripheral, status)| Body::Peripheral(Peripheral { peripheral, status })),
        (
            peripheral(),
            fault_code(),
            select(FaultState::ALL),
            select(Severity::ALL),
            option::of("([0-9a-f]{2}){0,20}"),
            option::of(text())
        )
            .prop_map(|(peripheral, fault, state, severity, raw, text)| {
                Body::Fault(Fault { peripheral, fault, state, severity, detail: FaultDetail { raw, text } })
            }),
        (service(), collection::btree_map(peripheral(), state(), 0..4), option::of(uuid())).prop_map(
            |(service, peripherals, epoch)| {
                let previous_epoch = epoch.map(kioskwatch_proto::Epoch);
                Body::Snapshot(Snapshot { service, peripherals, previous_epoch })
            }
        ),
        (text(), text(), select(TransactionOutcome::ALL), number()).prop_map(
            |(id, kind, outcome, duration_ms)| {
                Body::Transaction(Transaction { id, kind, outcome, duration_ms })
            }
        ),
        (uuid(), select(CommandOutcome::ALL), option::of(text()), option::of(text())).prop_map(
            |(command, state, reason, result)| {
                let command = kioskwatch_proto::CommandId(command);
                let result = result.map(|text| serde_json::json!({"said": text, "n": [1, null]}));
                Body::Command(CommandResult { command, state, reason, result })
            }
        ),
        time().prop_map(|until| Body::Alive(Alive { until })),
        collection::btree_map("[a-z_]{1,12}", number(), 0..4)
            .prop_map(|counts| Body::Dropped(Dropped { through: MAX_NUMBER, counts })),
        "[a-z0-9_]{1,64}".prop_filter_map("a kind of its own", |kind| {
            let known = Body::KINDS.contains(&kind.as_str());
            (!known).then(|| Body::Other(kioskwatch_proto::words::Word::new(&kind).unwrap()))
        }),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let was = option::of((uuid(), 1..=MAX_NUMBER));
    (1..=MAX_NUMBER, uuid(), time(), number(), was, body()).prop_map(|(seq, boot, at, mono_ms, was, body)| {
        let was = was.map(|(epoch, seq)| Was { epoch: kioskwatch_proto::Epoch(epoch), seq });
        Record { header: Header { seq, boot: kioskwatch_proto::BootId(boot), at, mono_ms, was }, body }
    })
}

/// Every parser that outside bytes can reach.
fn read_everything(bytes: &[u8]) {
    for message in MESSAGES {
        if let Err(error) = (message.read)(bytes) {
            assert!(!error.to_string().is_empty());
        }
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = Record::parse(&text);
    let _ = Topic::parse(&text);
    let _ = Timestamp::parse(&text);
    let _ = FaultCode::new(&text);
    let _ = text.parse::<TrustedKey>();
    assert!(clean_text(&text).chars().count() <= MAX_TEXT_CHARS);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_are_an_answer_and_never_a_panic(bytes in collection::vec(any::<u8>(), 0..300)) {
        read_everything(&bytes);
    }

    #[test]
    fn a_damaged_payload_is_an_answer_and_never_a_panic(
        which in any::<prop::sample::Index>(),
        damage in collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in option::of(any::<prop::sample::Index>()),
    ) {
        let fixtures: Vec<_> = golden().into_iter().chain(compat()).collect();
        let mut bytes = fixtures[which.index(fixtures.len())].bytes.clone();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_everything(&bytes);
    }

    #[test]
    fn topics_are_read_as_they_were_built(id in name(), channel in select(Channel::ALL)) {
        let topic = Topic::new(KioskId::new(&id).unwrap(), channel);
        prop_assert_eq!(Topic::parse(&topic.to_string()), Ok(topic));
    }

    #[test]
    fn records_are_read_as_they_were_written(record in record()) {
        let json = record.to_json();
        prop_assert_eq!(Record::parse(&json), Ok(record), "{}", json);
    }

    #[test]
    fn cleaning_a_text_twice_changes_nothing(text in any::<String>()) {
        let once = clean_text(&text);
        prop_assert_eq!(clean_text(&once), once);
    }

    #[test]
    fn times_are_read_as_they_were_written(time in time()) {
        prop_assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
    }

    #[test]
    fn no_changed_envelope_opens(
        part in 0..3_usize,
        place in any::<prop::sample::Index>(),
        byte in 0x20..0x7f_u8,
    ) {
        let signer = CommandSigner::from_secret("k1", &[9; 32]);
        let trusted: [TrustedKey; 1] = [signer.public_text().parse().unwrap()];
        let command: Command = parse_payload(&crate::golden::file("command_payload.json")).unwrap();
        let envelope = signer.sign(&command);
        let mut forged = Envelope { ..envelope.clone() };
        let field = [&mut forged.key, &mut forged.payload, &mut forged.sig].into_iter().nth(part).unwrap();
        let mut bytes = field.clone().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        *field = String::from_utf8(bytes).unwrap();
        prop_assume!(forged != envelope);
        prop_assert!(forged.open(&trusted).is_err());
    }
}
