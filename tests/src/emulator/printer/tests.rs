//! The printer's answers against the vectors that Epson's and Custom's public tables give.

use std::time::Duration;

use tokio::time::Instant;

use super::super::device::{Model, Replies};
use super::{Paper, PrinterModel, PrinterOptions, PrinterState};

fn printer(change: impl FnOnce(&mut PrinterState)) -> PrinterModel {
    printer_with(PrinterOptions::default(), change)
}

fn printer_with(options: PrinterOptions, change: impl FnOnce(&mut PrinterState)) -> PrinterModel {
    let mut model = PrinterModel::new(options);
    change(model.state_mut());
    model
}

fn say(model: &mut PrinterModel, now: Instant, host: &[u8]) -> Vec<u8> {
    let mut replies = Replies::new();
    model.hear(now, host, &mut replies);
    replies.concat()
}

fn after(model: &mut PrinterModel, now: Instant) -> Vec<u8> {
    let mut replies = Replies::new();
    model.wake(now, &mut replies);
    replies.concat()
}

/// Asks with each of DLE EOT 1 to 4.
fn realtime(model: &mut PrinterModel) -> [u8; 4] {
    let reply = say(model, Instant::now(), &[0x10, 4, 1, 0x10, 4, 2, 0x10, 4, 3, 0x10, 4, 4]);
    reply.try_into().expect("four status bytes")
}

fn rules(model: &mut PrinterModel) -> Vec<&'static str> {
    model.violations().list().map(|violation| violation.rule).collect()
}

#[tokio::test]
async fn real_time_status_matches_the_epson_tables() {
    type Change = fn(&mut PrinterState);
    let table: [(&str, Change, [u8; 4]); 9] = [
        ("nothing wrong", |_| {}, [0x12, 0x12, 0x12, 0x12]),
        ("roll nearly used up", |p| p.paper = Paper::NearEnd, [0x12, 0x12, 0x12, 0x1E]),
        ("no paper", |p| p.paper = Paper::Out, [0x1A, 0x32, 0x12, 0x7E]),
        ("lid open", |p| p.cover_open = true, [0x1A, 0x16, 0x12, 0x12]),
        ("off line for no visible reason", |p| p.offline = true, [0x1A, 0x12, 0x12, 0x12]),
        ("mechanical error", |p| p.recoverable_error = true, [0x1A, 0x52, 0x16, 0x12]),
        ("knife stuck", |p| p.cutter_error = true, [0x1A, 0x52, 0x1A, 0x12]),
        ("needs a technician", |p| p.unrecoverable = true, [0x1A, 0x52, 0x32, 0x12]),
        ("head too hot", |p| p.head_overheat = true, [0x1A, 0x52, 0x52, 0x12]),
    ];
    for (meaning, change, expected) in table {
        assert_eq!(realtime(&mut printer(change)), expected, "{meaning}");
    }
}

#[tokio::test]
async fn without_the_near_end_sensor_no_paper_sets_one_sensor_only() {
    let options = PrinterOptions { near_end_sensor: false, ..PrinterOptions::default() };
    let mut model = printer_with(options, |p| p.paper = Paper::Out);
    assert_eq!(realtime(&mut model)[3], 0x72);
}

#[tokio::test]
async fn buffered_questions_of_a_healthy_printer() {
    let table: [(&str, &[u8], &[u8]); 8] = [
        ("GS r 1, paper there", &[0x1D, 0x72, 1], &[0x00]),
        ("GS I 1, model", &[0x1D, 0x49, 1], &[0x63]),
        ("GS I 2, type", &[0x1D, 0x49, 2], &[0x02]),
        ("GS I 65, no firmware text", &[0x1D, 0x49, 0x41], &[0x5F, 0x00]),
        ("GS I 66, maker", &[0x1D, 0x49, 0x42], &[0x5F, 0x45, 0x50, 0x53, 0x4F, 0x4E, 0x00]),
        (
            "GS I 67, model name",
            &[0x1D, 0x49, 0x43],
            &[0x5F, 0x54, 0x4D, 0x2D, 0x54, 0x32, 0x30, 0x49, 0x49, 0x49, 0x00],
        ),
        ("GS a 255, first group at once", &[0x1D, 0x61, 0xFF], &[0x10, 0x00, 0x00, 0x00]),
        ("GS a 0", &[0x1D, 0x61, 0x00], &[]),
    ];
    for (meaning, question, expected) in table {
        assert_eq!(say(&mut printer(|_| {}), Instant::now(), question), expected, "{meaning}");
    }
    let mut thin = printer(|p| p.paper = Paper::NearEnd);
    assert_eq!(say(&mut thin, Instant::now(), &[0x1D, 0x72, 1]), [0x03]);
}

#[tokio::test]
async fn custom_full_status_matches_the_custom_table() {
    type Change = fn(&mut PrinterState);
    let table: [(&str, Change, [u8; 6]); 4] = [
        ("nothing wrong", |_| {}, [0x10, 0x0F, 0, 0, 0, 0]),
        ("no paper, thin roll sensor sees none either", |p| p.paper = Paper::Out, [0x10, 0x0F, 5, 0, 0, 0]),
        ("lid open", |p| p.cover_open = true, [0x10, 0x0F, 0, 2, 0, 0]),
        ("supply voltage", |p| p.voltage_error = true, [0x10, 0x0F, 0, 0, 8, 0]),
    ];
    for (meaning, change, expected) in table {
        let options = PrinterOptions { custom_full_status: true, ..PrinterOptions::default() };
        let mut model = printer_with(options, change);
        assert_eq!(say(&mut model, Instant::now(), &[0x10, 0x04, 0x14]), expected, "{meaning}");
    }
    assert!(say(&mut printer(|_| {}), Instant::now(), &[0x10, 0x04, 0x14]).is_empty());
}

#[tokio::test]
async fn automatic_status_is_pushed_when_something_watched_changes() {
    let now = Instant::now();
    let mut model = printer(|_| {});
    assert_eq!(say(&mut model, now, &[0x1D, 0x61, 0x0F]), [0x10, 0, 0, 0]);
    model.state_mut().paper = Paper::Out;
    assert_eq!(after(&mut model, now), [0x18, 0x00, 0x0F, 0x00]);
    assert!(after(&mut model, now).is_empty(), "nothing changed since");
    model.state_mut().paper = Paper::Ok;
    assert_eq!(after(&mut model, now), [0x10, 0, 0, 0]);
    model.state_mut().offline = true;
    assert_eq!(after(&mut model, now), [0x18, 0, 0, 0]);
    assert_eq!(rules(&mut model), ["GS a makes the printer talk unasked"]);
}

#[tokio::test]
async fn buffered_questions_wait_for_the_fault_and_are_answered_in_one_burst() {
    let now = Instant::now();
    let mut model = printer(|p| p.paper = Paper::Out);
    let questions = [0x1D, 0x72, 1, 0x1D, 0x72, 2, 0x1D, 0x49, 1, 0x1D, 0x49, 2, 0x1D, 0x49, 65];
    assert!(say(&mut model, now, &questions).is_empty());
    assert_eq!(say(&mut model, now, &[0x10, 4, 1]), [0x1A], "real-time answers do not wait");
    model.state_mut().paper = Paper::Ok;
    assert_eq!(after(&mut model, now), [0x00, 0x00, 0x63, 0x02, 0x5F, 0x00]);
}

#[tokio::test]
async fn the_test_print_keeps_the_printer_off_line_until_it_is_done() {
    let now = Instant::now();
    let mut model = printer(|_| {});
    assert!(say(&mut model, now, &[0x1D, 0x28, 0x41, 2, 0, 0, 2]).is_empty());
    assert!(model.state().printing);
    assert_eq!(realtime(&mut model), [0x1A, 0x12, 0x12, 0x12]);
    assert!(say(&mut model, now, &[0x1D, 0x72, 1]).is_empty(), "buffered behind the print");
    let done = model.due().expect("the print ends");
    assert_eq!(done - now, Duration::from_millis(1500));
    assert_eq!(after(&mut model, done), [0x00]);
    assert_eq!(model.state().test_prints, 1);
    assert_eq!(realtime(&mut model), [0x12; 4]);
    assert!(rules(&mut model).is_empty());
}

#[tokio::test]
async fn a_test_print_that_runs_out_of_paper_ends_when_there_is_paper() {
    let now = Instant::now();
    let mut model = printer(|_| {});
    say(&mut model, now, &[0x1D, 0x28, 0x41, 2, 0, 0, 2]);
    model.state_mut().paper = Paper::Out;
    assert_eq!(model.due(), None);
    after(&mut model, now + Duration::from_secs(60));
    assert_eq!(model.state().test_prints, 0);
    model.state_mut().paper = Paper::Ok;
    after(&mut model, now + Duration::from_secs(61));
    assert_eq!(model.state().test_prints, 1);
}

#[tokio::test]
async fn the_lid_opened_under_a_print_looks_like_a_hot_head() {
    let mut model = printer(|_| {});
    say(&mut model, Instant::now(), &[0x1D, 0x28, 0x41, 2, 0, 0, 2]);
    model.state_mut().cover_open = true;
    assert_eq!(realtime(&mut model), [0x1A, 0x56, 0x52, 0x12]);
}

#[tokio::test]
async fn what_a_monitor_must_never_send_is_written_down() {
    let table: [(&[u8], &str); 6] = [
        (b"\x1b@", "ESC @ discards the application's settings"),
        (&[0x10, 0x05, 0x02], "DLE ENQ that throws away the application's data"),
        (&[0x10, 0x14, 0x01, 0x00, 0x01], "DLE DC4 acts on the hardware"),
        (&[0x1D, 0x61, 0xFF], "GS a makes the printer talk unasked"),
        (b"hello, world\n", "data to print from a monitor"),
        (&[0x1D, 0x28, 0x41, 2, 0, 0, 1], "GS ( A with another pattern than the test page"),
    ];
    for (bytes, rule) in table {
        let mut model = printer(|p| p.paper = Paper::Out);
        say(&mut model, Instant::now(), bytes);
        assert_eq!(rules(&mut model), [rule]);
    }
}

#[tokio::test]
async fn what_a_monitor_may_send_is_no_violation() {
    let mut model = printer(|p| p.cutter_error = true);
    say(&mut model, Instant::now(), &[0x10, 0x04, 0x14, 0x10, 0x04]);
    say(&mut model, Instant::now(), &[0x01, 0x1D]);
    say(&mut model, Instant::now(), &[0x72, 0x01, 0x10, 0x05, 0x01]);
    assert!(rules(&mut model).is_empty());
    assert!(!model.state().cutter_error, "DLE ENQ 1 recovers");
}

#[tokio::test]
async fn a_power_cycle_forgets_the_buffer_and_automatic_status() {
    let now = Instant::now();
    let mut model = printer(|_| {});
    say(&mut model, now, &[0x1D, 0x61, 0xFF]);
    model.state_mut().cover_open = true;
    say(&mut model, now, &[0x1D, 0x72, 1, 0x10]);
    model.power(now, false);
    model.power(now, true);
    model.state_mut().cover_open = false;
    assert!(after(&mut model, now).is_empty());
}

#[tokio::test]
async fn a_damaged_reply_fails_the_check_of_the_fixed_bits() {
    let mut reply = [0x12, 0x1E];
    printer(|_| {}).damage(&mut reply);
    assert!(reply.iter().all(|byte| byte & 0x93 != 0x12));
}
