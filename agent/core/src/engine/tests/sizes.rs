//! Kiosks with as much of everything as may be: no message of theirs is too large for the wire.
use kioskwatch_proto::{
    Epoch, SessionId,
    faults::FaultCode,
    heartbeat::{Heartbeat, HostLoad, JournalHead},
    inventory::Inventory,
    journal::{Body, FaultDetail, Record, Was},
    limits::{
        MAX_FAULTS_PER_PERIPHERAL, MAX_NAME_LEN, MAX_NUMBER, MAX_PAYLOAD_BYTES, MAX_PERIPHERALS,
        MAX_RAW_BYTES, MAX_RECORD_BYTES, MAX_TEXT_CHARS, MAX_WORD_LEN,
    },
    local::{PushedFault, PushedPeripheral},
    parse_payload,
    words::{PeripheralStatus, PortMode},
};
use uuid::Uuid;

use super::bench::*;
use crate::{
    config::ApplicationGate,
    effect::Effect,
    input::{Input, Local},
};

fn longest(n: usize, length: usize) -> String {
    format!("{n:0>length$}")
}

/// Everything this agent published or recorded since the log was forgotten, as it travels.
fn messages(bench: &Bench) -> Vec<(usize, Vec<u8>)> {
    let epoch = Epoch(Uuid::from_u128(1));
    let message = |effect: &Effect| match effect {
        Effect::Record(draft) => {
            let json = draft.numbered(MAX_NUMBER, Some(Was { epoch, seq: MAX_NUMBER })).to_json();
            assert!(Record::parse(&json).is_ok(), "{json}");
            Some((MAX_RECORD_BYTES, json.into_bytes()))
        }
        Effect::Heartbeat(draft) => {
            let head = JournalHead { epoch, last_seq: MAX_NUMBER, pending: MAX_NUMBER };
            let json = serde_json::to_vec(&draft.clone().complete(head)).unwrap();
            assert!(parse_payload::<Heartbeat>(&json).is_ok());
            Some((MAX_PAYLOAD_BYTES, json))
        }
        Effect::InventoryChanged => {
            let json = serde_json::to_vec(&bench.engine.inventory(epoch)).unwrap();
            assert!(parse_payload::<Inventory>(&json).is_ok());
            Some((MAX_PAYLOAD_BYTES, json))
        }
        _ => None,
    };
    bench.log.iter().filter_map(|(_, effect)| message(effect)).collect()
}

fn all_fit(bench: &Bench) {
    for (limit, json) in messages(bench) {
        assert!(
            json.len() <= limit,
            "{} bytes of {limit}: {:.200}",
            json.len(),
            String::from_utf8_lossy(&json)
        );
    }
}

#[test]
fn a_kiosk_with_all_faults_there_can_be_is_heard_and_says_what_it_leaves_out() {
    let kind = "\"".repeat(MAX_TEXT_CHARS);
    let names: Vec<_> = (0..MAX_PERIPHERALS).map(|n| longest(n, MAX_NAME_LEN)).collect();
    let devices = names.iter().map(|name| device(name, &kind, PortMode::Pushed)).collect();
    let mut bench = Bench::new(ApplicationGate::None, devices);
    let detail =
        FaultDetail { raw: Some("f".repeat(2 * MAX_RAW_BYTES)), text: Some("钞".repeat(MAX_TEXT_CHARS)) };
    let faults: Vec<_> = (0..MAX_FAULTS_PER_PERIPHERAL)
        .map(|n| PushedFault {
            code: FaultCode::new(&longest(n, MAX_WORD_LEN)).unwrap(),
            detail: detail.clone(),
        })
        .collect();
    for peripheral in &names {
        let at = bench.now().wall;
        let status = PeripheralStatus::parse(&longest(1, MAX_WORD_LEN)).unwrap();
        let state = PushedPeripheral { status, faults: faults.clone(), at, valid_for_s: 600 };
        bench.local(Local::Peripheral { name: name(peripheral), state });
    }
    // The terminal's own fault stands beside them.
    bench.input(Input::Host(HostLoad { disk_used_ratio: Some(1.0), ..HostLoad::default() }));
    bench.input(Input::ConnectionUp { session: SessionId(Uuid::from_u128(3)) });
    bench.pass(60_000);
    bench.input(Input::SnapshotWanted);
    all_fit(&bench);

    let all = bench.engine.snapshot(None).peripherals;
    assert_eq!(all.len(), MAX_PERIPHERALS + 1);
    assert_eq!(
        all.values().map(|state| state.faults.len()).sum::<usize>(),
        64 * 64 + 1,
        "nothing is forgotten"
    );
    let records = bench.records();
    let Some(Body::Snapshot(told)) = records.last() else { panic!("{:?}", records.last()) };
    assert!(told.peripherals.keys().eq(all.keys()));
    for (peripheral, told) in &told.peripherals {
        let left_out = all[peripheral].faults.len() - told.faults.len();
        assert_eq!(told.cut, left_out > 0, "{peripheral}");
    }
    assert!(told.peripherals.values().any(|state| state.cut));
}

#[test]
fn a_kiosk_whose_devices_do_not_stop_talking_about_themselves_has_an_inventory() {
    let kind = "\\".repeat(MAX_TEXT_CHARS);
    let devices = (0..MAX_PERIPHERALS).map(|n| wordy_device(&longest(n, MAX_NAME_LEN), &kind)).collect();
    let mut bench = Bench::new(ApplicationGate::None, devices);
    bench.pass(60_000);
    all_fit(&bench);
    let items = bench.engine.inventory(Epoch(Uuid::from_u128(1))).peripherals;
    assert!(items.iter().all(|item| item.serial.as_ref().is_some_and(|serial| serial.ends_with('…'))));
}
