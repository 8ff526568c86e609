//! What holds of a kiosk's figures whatever it said of itself: nothing comes to more than there was.
use kioskwatch_proto::Timestamp;
use kioskwatch_server::clock::Clock;
use kioskwatch_tests::harness::stack::Stack;
use serde_json::Value;

/// Waits for nothing: it holds at any moment. `ahead_ms`: how far the server's clock is ahead of ours.
pub(crate) async fn figures_are_possible(stack: &Stack, kiosk: &str, ahead_ms: i64) {
    let registered = stack.kiosk(kiosk).await.unwrap();
    let since = time(&registered["commissioned_at"]);
    let api = stack.api();
    // The month that runs, and what a month before and after this moment came to: both are of no more than has been.
    let around = |ms: i64| since.plus_ms(ms).to_string();
    let month = 31 * 86_400_000;
    let spans = [String::new(), format!("&from={}&to={}", around(-month), around(month))];
    for span in spans {
        let figures = api.json(&format!("/api/v1/uptime?scope=kiosk&id={kiosk}{span}")).await.unwrap();
        let now = Clock::start().now().plus_ms(ahead_ms);
        assert!(time(&figures["as_of"]) <= now, "of time to come: {figures}");
        // It counts from the second in which it was registered.
        let elapsed_s = now.secs() - since.secs() + 1;
        let accountable_s = seconds(&figures["accountable_s"]);
        assert!((0..=elapsed_s).contains(&accountable_s), "{accountable_s} of {elapsed_s} s: {figures}");
        let raw = ["on", "avail", "full"].map(|name| &figures["raw"][name]);
        for ratio in ["on", "avail", "full", "online"].map(|name| &figures[name]).into_iter().chain(raw) {
            let (num, den) = (seconds(&ratio["num"]), seconds(&ratio["den"]));
            assert!(0 <= num && num <= den && den <= accountable_s, "{ratio}: {figures}");
            at_most_one(&ratio["ratio"]);
        }
        at_most_one(&figures["coverage"]);
        let lost: i64 = figures["causes"].as_object().unwrap().values().map(seconds).sum();
        let avail = &figures["avail"];
        assert_eq!(lost, seconds(&avail["den"]) - seconds(&avail["num"]), "{figures}");
    }
    let timeline = api.json(&format!("/api/v1/kiosks/{kiosk}/timeline")).await.unwrap();
    let now = Clock::start().now().plus_ms(ahead_ms);
    let intervals = timeline["intervals"].as_array().unwrap();
    assert!(!intervals.is_empty(), "{timeline:#}");
    for two in intervals.windows(2) {
        assert_eq!(two[0]["to"], two[1]["from"], "{timeline:#}");
    }
    for interval in intervals {
        assert!(time(&interval["from"]) < time(&interval["to"]), "{interval:#}");
        assert!(time(&interval["to"]) <= now, "{now} is before the end of {interval:#}");
    }
}

fn seconds(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no seconds: {value}"))
}

fn time(value: &Value) -> Timestamp {
    value.as_str().and_then(|text| Timestamp::parse(text).ok()).unwrap_or_else(|| panic!("no time: {value}"))
}

/// A share, or nothing where there was no time.
fn at_most_one(share: &Value) {
    let Some(share) = share.as_str() else { return assert!(share.is_null(), "{share}") };
    let share: f64 = share.parse().unwrap();
    assert!((0.0..=1.0).contains(&share), "{share}");
}
