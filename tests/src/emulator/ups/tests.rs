//! The UPS against the vectors of the public Megatec description.

use std::time::Duration;

use tokio::time::Instant;

use super::super::device::{Model, Replies};
use super::{UpsModel, UpsState};

fn ups(change: impl FnOnce(&mut UpsState)) -> UpsModel {
    let mut model = UpsModel::default();
    change(model.state_mut());
    model
}

fn say(model: &mut UpsModel, now: Instant, host: &str) -> String {
    let mut replies = Replies::new();
    model.hear(now, host.as_bytes(), &mut replies);
    String::from_utf8(replies.concat()).expect("ASCII")
}

fn flags(model: &mut UpsModel, now: Instant) -> String {
    say(model, now, "Q1\r")[38..46].to_owned()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn rules(model: &mut UpsModel) -> Vec<&'static str> {
    model.violations().list().map(|violation| violation.rule).collect()
}

#[tokio::test]
async fn status_lines_match_the_megatec_description() {
    type Change = fn(&mut UpsState);
    let table: [(&str, Change, &str); 3] = [
        (
            "mains, beeper armed",
            |_| {},
            "283233302e34203233302e30203232392e38203031372034392e392032372e312033312e352030303030313030310d",
        ),
        (
            "from the battery, and that is nearly empty",
            |u| (u.on_battery, u.battery_low) = (true, true),
            "283233302e34203233302e30203232392e38203031372034392e392032372e312033312e352031313030313030310d",
        ),
        (
            "mains past the inverter",
            |u| u.bypass = true,
            "283233302e34203233302e30203232392e38203031372034392e392032372e312033312e352030303130313030310d",
        ),
    ];
    for (meaning, change, expected) in table {
        assert_eq!(hex(&say(&mut ups(change), Instant::now(), "Q1\r")), expected, "{meaning}");
    }
}

#[tokio::test]
async fn plate_and_name_match_the_megatec_description() {
    let mut model = ups(|_| {});
    assert_eq!(hex(&say(&mut model, Instant::now(), "F\r")), "233233302e30203030342032342e30302035302e300d");
    assert_eq!(
        hex(&say(&mut model, Instant::now(), "I\r")),
        "234b494f534b55505320202020202020205550532d3630302020202056312e303220202020200d"
    );
}

#[tokio::test]
async fn every_flag_has_its_place() {
    type Change = fn(&mut UpsState);
    let table: [(Change, &str); 7] = [
        (|u| u.on_battery = true, "10001001"),
        (|u| u.battery_low = true, "01001001"),
        (|u| u.failed = true, "00011001"),
        (|u| u.standby_type = false, "00000001"),
        (|u| (u.test_running, u.beeper) = (true, false), "10001100"),
        (|u| u.shutdown_active = true, "00001011"),
        (|u| u.beeper = false, "00001000"),
    ];
    for (change, expected) in table {
        assert_eq!(flags(&mut ups(change), Instant::now()), expected);
    }
}

#[tokio::test]
async fn a_quick_test_is_a_time_on_battery() {
    let now = Instant::now();
    let mut model = ups(|u| u.worn_battery = true);
    assert_eq!(say(&mut model, now, "T\r"), "");
    assert_eq!(flags(&mut model, now), "11001101", "the worn battery shows itself");
    let end = model.due().expect("the test ends");
    assert_eq!(end - now, Duration::from_secs(10));
    model.wake(end, &mut Replies::new());
    assert_eq!(flags(&mut model, end), "00001001");
    say(&mut model, end, "T\r");
    say(&mut model, end, "CT\r");
    assert_eq!(flags(&mut model, end), "00001001", "CT stops it");
    assert!(rules(&mut model).is_empty());
}

#[tokio::test]
async fn a_ups_on_battery_does_not_test_it() {
    let now = Instant::now();
    let mut model = ups(|u| u.on_battery = true);
    say(&mut model, now, "T\r");
    assert_eq!(flags(&mut model, now), "10001001");
}

#[tokio::test]
async fn an_unknown_command_comes_back_unchanged() {
    let mut model = ups(|_| {});
    assert_eq!(say(&mut model, Instant::now(), "XYZ\r"), "XYZ\r");
    assert_eq!(say(&mut model, Instant::now(), "Q2"), "");
    assert_eq!(say(&mut model, Instant::now(), "\r"), "Q2\r");
}

#[tokio::test]
async fn a_load_off_command_switches_the_load_off_and_is_written_down() {
    let now = Instant::now();
    let mut model = ups(|_| {});
    say(&mut model, now, "S00R0000\r");
    assert!(!model.state().load_on);
    assert_eq!(&say(&mut model, now, "Q1\r")[13..18], "000.0");
    assert_eq!(model.due(), None, "it stays off");
    say(&mut model, now, "C\r");
    assert!(model.state().load_on);
    assert_eq!(
        rules(&mut model),
        ["S switches the load off", "C cancels a shutdown or switches the load on"]
    );
}

#[tokio::test]
async fn a_shutdown_with_return_counts_down_and_comes_back() {
    let now = Instant::now();
    let mut model = ups(|_| {});
    say(&mut model, now, "S.5R0003\r");
    assert_eq!(flags(&mut model, now), "00001011");
    let off = model.due().expect("the shutdown has a time");
    assert_eq!(off - now, Duration::from_secs(30));
    model.wake(off, &mut Replies::new());
    assert!(!model.state().load_on);
    let on = model.due().expect("the return has a time");
    assert_eq!(on - off, Duration::from_secs(180));
    model.wake(on, &mut Replies::new());
    assert!(model.state().load_on);
}

#[tokio::test]
async fn deep_test_and_beeper_are_violations_too() {
    let now = Instant::now();
    let mut model = ups(|_| {});
    say(&mut model, now, "TL\rQ\r");
    assert_eq!(rules(&mut model), ["TL runs the battery down", "Q switches the beeper"]);
    assert_eq!(flags(&mut model, now), "10001100");
    assert_eq!(model.due(), None, "a deep test has no end of its own");
}
