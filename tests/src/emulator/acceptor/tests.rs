//! The validator against the vectors of public CCNET tables.

use std::time::Duration;

use tokio::time::Instant;

use super::super::device::{Model, Replies};
use super::frame::{build, checksum};
use super::{AcceptorModel, AcceptorState, Phase};

const POLL: &[u8] = &[0x02, 0x03, 0x06, 0x33, 0xDA, 0x81];
const ACK: &[u8] = &[0x02, 0x03, 0x06, 0x00, 0xC2, 0x82];
const NAK: &[u8] = &[0x02, 0x03, 0x06, 0xFF, 0xBA, 0x8D];
const GET_STATUS: &[u8] = &[0x02, 0x03, 0x06, 0x31, 0xC8, 0xA2];
const IDENTIFICATION: &[u8] = &[0x02, 0x03, 0x06, 0x37, 0xFE, 0xC7];
const RESET: &[u8] = &[0x02, 0x03, 0x06, 0x30, 0x41, 0xB3];
const STACK: &[u8] = &[0x02, 0x03, 0x06, 0x35, 0xEC, 0xE4];
const ENABLE_ALL: &[u8] = &[0x02, 0x03, 0x0C, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xF7];
const BILL_TABLE: &[u8] = &[0x02, 0x03, 0x06, 0x41, 0x4F, 0xD1];
const DOWNLOAD: &[u8] = &[0x02, 0x03, 0x06, 0x50, 0x47, 0xD0];
/// What the device says when it does not know or does not allow a command; the same bytes as RESET.
const ILLEGAL: &[u8] = &[0x02, 0x03, 0x06, 0x30, 0x41, 0xB3];

fn acceptor(phase: Phase) -> AcceptorModel {
    let mut model = AcceptorModel::default();
    set(&mut model, |acceptor| acceptor.phase = phase);
    model
}

fn set(model: &mut AcceptorModel, change: impl FnOnce(&mut AcceptorState)) {
    change(model.state_mut());
    model.wake(Instant::now(), &mut Replies::new());
}

fn say(model: &mut AcceptorModel, host: &[u8]) -> Vec<u8> {
    let mut replies = Replies::new();
    model.hear(Instant::now(), host, &mut replies);
    replies.concat()
}

/// Lets all deadlines pass, one after the other, until the phase is this one.
fn wait_for(model: &mut AcceptorModel, phase: Phase) {
    while model.state().phase != phase {
        let due = model.due().expect("the phase is on its way");
        model.wake(due, &mut Replies::new());
    }
}

fn rules(model: &mut AcceptorModel) -> Vec<(&'static str, bool)> {
    model.violations().list().map(|violation| (violation.rule, violation.forewarned)).collect()
}

#[tokio::test]
async fn every_phase_is_said_as_the_public_tables_say_it() {
    let table: [(Phase, &[u8]); 14] = [
        (Phase::PowerUp, &[0x02, 0x03, 0x06, 0x10, 0x43, 0x92]),
        (Phase::Initialise, &[0x02, 0x03, 0x06, 0x13, 0xD8, 0xA0]),
        (Phase::Idling, &[0x02, 0x03, 0x06, 0x14, 0x67, 0xD4]),
        (Phase::Accepting, &[0x02, 0x03, 0x06, 0x15, 0xEE, 0xC5]),
        (Phase::Disabled, &[0x02, 0x03, 0x06, 0x19, 0x82, 0x0F]),
        (Phase::Busy(0x0A), &[0x02, 0x03, 0x07, 0x1B, 0x0A, 0x23, 0x61]),
        (Phase::Rejecting(0x60), &[0x02, 0x03, 0x07, 0x1C, 0x60, 0x77, 0xE0]),
        (Phase::StackerFull, &[0x02, 0x03, 0x06, 0x41, 0x4F, 0xD1]),
        (Phase::StackerRemoved, &[0x02, 0x03, 0x06, 0x42, 0xD4, 0xE3]),
        (Phase::ValidatorJam, &[0x02, 0x03, 0x06, 0x43, 0x5D, 0xF2]),
        (Phase::Cheated, &[0x02, 0x03, 0x06, 0x45, 0x6B, 0x97]),
        (Phase::Failure(0x50), &[0x02, 0x03, 0x07, 0x47, 0x50, 0xAB, 0xE6]),
        (Phase::Failure(0x5F), &[0x02, 0x03, 0x07, 0x47, 0x5F, 0x5C, 0x1E]),
        (Phase::Escrow(2), &[0x02, 0x03, 0x07, 0x80, 0x02, 0x9E, 0x10]),
    ];
    for (phase, expected) in table {
        assert_eq!(say(&mut acceptor(phase), POLL), expected, "{phase:?}");
    }
    let stacked = say(&mut acceptor(Phase::Stacked(2)), POLL);
    assert_eq!(stacked, [0x02, 0x03, 0x07, 0x81, 0x02, 0x46, 0x09]);
}

#[test]
fn the_checksum_is_kermit() {
    assert_eq!(checksum(b"123456789"), 0x2189, "the check value of the public catalogue of CRCs");
    for frame in [POLL, ACK, NAK, GET_STATUS, IDENTIFICATION, RESET, STACK, ENABLE_ALL, BILL_TABLE, DOWNLOAD]
    {
        let (body, crc) = frame.split_at(frame.len() - 2);
        assert_eq!(checksum(body).to_le_bytes(), crc);
    }
    assert_eq!(build(&[0x00]), ACK);
    assert_eq!(build(&[0xFF]), NAK);
}

#[tokio::test]
async fn a_frame_with_a_wrong_checksum_is_refused() {
    // The poll as one published package builds it, with a CRC that tests the bit after the shift.
    let broken = [0x02, 0x03, 0x06, 0x33, 0x2E, 0x62];
    assert_eq!(say(&mut acceptor(Phase::Disabled), &broken), NAK);
    let one_bit_flipped = [0x02, 0x03, 0x06, 0x14, 0x67, 0xD5];
    assert_eq!(say(&mut acceptor(Phase::Disabled), &one_bit_flipped), NAK);
}

#[tokio::test]
async fn the_reader_finds_frames_in_garbage_and_in_pieces() {
    let mut model = acceptor(Phase::Disabled);
    let disabled = [0x02, 0x03, 0x06, 0x19, 0x82, 0x0F];
    assert_eq!(say(&mut model, &[&[0x55, 0x02, 0x03, 0x01][..], POLL].concat()), disabled);
    assert_eq!(say(&mut model, &POLL[..4]), b"");
    assert_eq!(say(&mut model, &POLL[4..]), disabled);
    let other_address = [0x02, 0x01, 0x06, 0x33, 0, 0];
    assert_eq!(say(&mut model, &other_address), b"", "not for this one");
    assert_eq!(say(&mut model, NAK), disabled, "NAK repeats the last answer");
    assert_eq!(say(&mut model, ACK), b"", "an ACK is not answered");
}

#[tokio::test]
async fn half_a_frame_does_not_spoil_the_next_question() {
    let mut model = acceptor(Phase::Disabled);
    let now = Instant::now();
    let mut replies = Replies::new();
    model.hear(now, &POLL[..3], &mut replies);
    model.hear(now + Duration::from_secs(1), POLL, &mut replies);
    assert_eq!(replies.concat(), [0x02, 0x03, 0x06, 0x19, 0x82, 0x0F]);
}

#[tokio::test]
async fn status_and_identification() {
    let mut model = acceptor(Phase::Disabled);
    model.state_mut().enabled = [0, 0, 0x3C];
    assert_eq!(say(&mut model, GET_STATUS)[..9], [0x02, 0x03, 0x0B, 0, 0, 0x3C, 0, 0, 0]);
    let identity = say(&mut model, IDENTIFICATION);
    assert_eq!(identity.len(), 39);
    assert_eq!(&identity[3..37], b"SM-2073        21K0400471  KIOSK01");
    assert_eq!(say(&mut model, BILL_TABLE).len(), 125);
    assert_eq!(say(&mut acceptor(Phase::Idling), IDENTIFICATION), ILLEGAL);
    assert_eq!(say(&mut acceptor(Phase::Idling), BILL_TABLE), ILLEGAL);
    assert_eq!(say(&mut model, &build(&[0x77])), ILLEGAL, "an unknown command");
}

#[tokio::test]
async fn polling_a_disabled_or_broken_validator_breaks_no_rule() {
    for phase in [Phase::PowerUp, Phase::Disabled, Phase::StackerFull, Phase::ValidatorJam, Phase::Idling] {
        let mut model = acceptor(phase);
        for question in [POLL, ACK, GET_STATUS, IDENTIFICATION] {
            say(&mut model, question);
        }
        assert!(rules(&mut model).is_empty(), "{phase:?}");
    }
}

#[tokio::test]
async fn a_power_cycle_goes_through_initialise_to_disabled() {
    let mut model = acceptor(Phase::Disabled);
    model.state_mut().enabled = [0xFF; 3];
    model.power(Instant::now(), false);
    model.power(Instant::now(), true);
    assert_eq!(say(&mut model, POLL)[3], 0x10);
    wait_for(&mut model, Phase::Initialise);
    assert_eq!(say(&mut model, POLL)[3], 0x13);
    wait_for(&mut model, Phase::Disabled);
    assert_eq!(say(&mut model, POLL)[3], 0x19);
    assert_eq!(model.due(), None);
}

#[tokio::test]
async fn an_application_takes_a_note_and_the_account_says_so() {
    let mut model = acceptor(Phase::Disabled);
    assert!(!model.insert_note(2), "switched off");
    assert_eq!(say(&mut model, ENABLE_ALL), ACK);
    assert!(model.insert_note(2));
    model.wake(Instant::now(), &mut Replies::new());
    wait_for(&mut model, Phase::Escrow(2));
    assert_eq!(say(&mut model, STACK), ACK);
    wait_for(&mut model, Phase::Stacked(2));
    assert_eq!(say(&mut model, POLL)[3..5], [0x81, 0x02]);
    assert_eq!(say(&mut model, POLL)[3..5], [0x81, 0x02], "said until somebody acknowledges");
    say(&mut model, ACK);
    assert_eq!(say(&mut model, POLL)[3], 0x14);
    assert_eq!(model.state().notes.stacked, [2]);
    assert_eq!(model.state().notes.credits_taken, 1);
}

#[tokio::test]
async fn a_note_that_nobody_decides_about_goes_back() {
    let mut model = acceptor(Phase::Escrow(3));
    let waits = model.due().expect("escrow ends") - Instant::now();
    assert!(waits > Duration::from_secs(9) && waits <= Duration::from_secs(10));
    wait_for(&mut model, Phase::Returned(3));
    assert_eq!(model.state().notes.returned, [3]);
}

#[tokio::test]
async fn whatever_moves_a_note_is_written_down_and_done() {
    let table: [(&[u8], &str); 7] = [
        (RESET, "RESET moves a note in the path"),
        (STACK, "STACK takes the note"),
        (&build(&[0x36]), "RETURN gives the note back"),
        (&build(&[0x38]), "HOLD keeps the note"),
        (&build(&[0x32, 0, 0, 1]), "SET SECURITY changes what is accepted"),
        (ENABLE_ALL, "ENABLE BILL TYPES switches acceptance"),
        (DOWNLOAD, "DOWNLOAD replaces the firmware"),
    ];
    for (command, rule) in table {
        let mut model = acceptor(Phase::Escrow(2));
        assert_eq!(say(&mut model, command), ACK, "{rule}");
        assert_eq!(rules(&mut model), [(rule, true)]);
    }
    let mut model = acceptor(Phase::Escrow(2));
    say(&mut model, RESET);
    assert_eq!(model.state().notes.returned, [2]);
    let mut model = acceptor(Phase::Disabled);
    say(&mut model, DOWNLOAD);
    assert_eq!(say(&mut model, POLL), b"", "deaf in firmware mode");
}

#[tokio::test]
async fn the_first_question_after_a_surprise_can_be_forgiven_the_second_cannot() {
    let mut model = acceptor(Phase::Disabled);
    say(&mut model, POLL);
    say(&mut model, ACK);
    set(&mut model, |acceptor| acceptor.phase = Phase::Escrow(1));
    say(&mut model, POLL);
    assert_eq!(rules(&mut model), [("POLL with a note in escrow", false)]);
    say(&mut model, ACK);
    assert_eq!(rules(&mut model)[1..], [("ACK with a note in escrow", true)]);
    say(&mut model, POLL);
    assert_eq!(rules(&mut model)[2..], [("POLL with a note in escrow", true)]);
}

#[tokio::test]
async fn a_stolen_credit_is_counted() {
    let mut model = acceptor(Phase::Stacked(4));
    say(&mut model, POLL);
    assert_eq!(model.state().notes.credits_taken, 0);
    say(&mut model, ACK);
    assert_eq!(model.state().notes.credits_taken, 1);
    assert_eq!(model.state().phase, Phase::Disabled);
    assert_eq!(rules(&mut model).len(), 2);
}
