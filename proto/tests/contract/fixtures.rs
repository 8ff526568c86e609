//! Golden payloads: what travels today, and what has to be understood for ever.
use std::collections::BTreeSet;

use kioskwatch_proto::{
    command::{Command, CommandSigner, Envelope, TrustedKey},
    faults::FaultCode,
    journal::{Ack, Body, Digest, Record},
    parse_payload,
    topic::Channel,
};
use serde_json::Value;

use crate::golden::{KEY_FILE, MESSAGES, compat, file, golden, golden_records, records};

#[test]
fn what_we_send_parses_and_serialises_to_the_same_json() {
    for fixture in golden() {
        let read = (fixture.message().read)(&fixture.bytes);
        assert_eq!(read.as_ref().ok(), Some(&fixture.value()), "{}: {read:?}", fixture.file);
    }
}

#[test]
fn what_older_and_newer_programs_send_parses_for_ever() {
    for fixture in compat() {
        let read = (fixture.message().read)(&fixture.bytes);
        assert!(read.is_ok(), "{}: {read:?}", fixture.file);
        if fixture.message().name == "journal" {
            for json in records(&fixture) {
                let record = Record::parse(&json);
                assert!(record.is_ok(), "{}: {record:?}", fixture.file);
            }
        }
    }
}

#[test]
fn every_message_has_a_golden_payload() {
    let present: BTreeSet<&str> = golden().iter().map(|f| f.message().name).collect();
    for message in MESSAGES {
        assert!(present.contains(message.name), "fixtures/v1/{}.json is missing", message.name);
    }
    for channel in Channel::ALL {
        assert!(present.contains(channel.as_str()), "no message for the channel {channel}");
    }
    let kinds: BTreeSet<String> =
        golden_records().iter().map(|json| Record::parse(json).unwrap().body.kind().to_owned()).collect();
    assert_eq!(kinds, Body::KINDS.iter().map(|k| (*k).to_owned()).collect(), "record kinds");
}

#[test]
fn every_payload_of_the_local_interface_is_a_message() {
    let types: BTreeSet<&str> = MESSAGES.iter().map(|m| m.type_name).collect();
    let structs = include_str!("../../src/local.rs").lines().filter_map(|line| {
        let rest = line.strip_prefix("pub struct ")?;
        rest.split(|c: char| !c.is_alphanumeric()).next()
    });
    // A part of `PushedPeripheral`.
    for name in structs.filter(|name| *name != "PushedFault") {
        assert!(types.contains(name), "{name} has no line in MESSAGES");
    }
}

#[test]
fn our_records_are_written_byte_for_byte() {
    for json in golden_records() {
        assert_eq!(Record::parse(&json).unwrap().to_json(), json);
    }
}

#[test]
fn the_digest_of_an_ack_is_over_the_exact_bytes_of_the_record() {
    let ack: Ack = parse_payload_of("ack.json");
    let journal = golden().into_iter().find(|f| f.file == "journal.json").unwrap();
    let last = records(&journal).pop().unwrap();
    assert_eq!(Record::parse(&last).unwrap().header.seq, ack.upto);
    assert_eq!(ack.digest, Some(Digest::of(last.as_bytes())));
    let nothing: Ack = parse_payload_of("ack.unknown_epoch.json");
    assert_eq!((nothing.upto, nothing.digest), (0, None));
}

#[test]
fn the_golden_command_is_signed_to_the_last_byte() {
    let key: Value = serde_json::from_slice(&file(KEY_FILE)).unwrap();
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    let mut secret = [0; 32];
    hex::decode_to_slice(text("secret_hex"), &mut secret).unwrap();
    let signer = CommandSigner::from_secret(&text("id"), &secret);
    assert_eq!(signer.public_text(), text("trusted"));

    let payload = file("command_payload.json");
    let command: Command = parse_payload(&payload).unwrap();
    let envelope: Envelope = parse_payload_of("command.json");
    assert_eq!(signer.sign(&command), envelope, "{}", serde_json::to_string(&signer.sign(&command)).unwrap());
    let trusted: TrustedKey = text("trusted").parse().unwrap();
    assert_eq!(envelope.open(&[trusted]), Ok(command));
}

#[test]
fn words_of_newer_agents_are_kept_as_they_came() {
    let fixture = compat().into_iter().find(|f| f.file == "heartbeat.newer_words.json").unwrap();
    let value = (fixture.message().read)(&fixture.bytes).unwrap();
    assert_eq!(value["peripherals"]["printer"]["status"], "hibernating");
    assert_eq!(value["peripherals"]["printer"]["faults"], serde_json::json!(["ink_low", "paper_low(rear)"]));
    assert!(FaultCode::new("ink_low").is_some());

    let journal = compat().into_iter().find(|f| f.file == "journal.newer_kinds.json").unwrap();
    let bodies: Vec<Body> = records(&journal).iter().map(|json| Record::parse(json).unwrap().body).collect();
    assert!(matches!(&bodies[0], Body::Other(kind) if kind.as_str() == "weather"));
    assert!(matches!(&bodies[1], Body::Peripheral(p) if p.status.as_str() == "hibernating"));
    assert!(matches!(&bodies[2], Body::Fault(f) if f.fault.as_str() == "ink_low"));
    for body in &bodies[3..] {
        assert!(matches!(body, Body::Other(_)), "a new word in a closed list has no effect: {body:?}");
    }
}

fn parse_payload_of<T: for<'a> kioskwatch_proto::Payload<'a>>(name: &str) -> T {
    parse_payload(&file(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}
