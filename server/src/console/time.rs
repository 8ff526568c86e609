//! Times for people: on the wall clock of the site, with the exact instant beside it for programs.
use chrono::{DateTime, Datelike as _};
use chrono_tz::Tz;
use kioskwatch_proto::Timestamp;

use super::texts::Texts;
use crate::config::Language;

/// An instant as `2026-11-21 16:00:05`, in a zone.
pub(super) fn local(zone: Tz, at: Timestamp) -> String {
    in_zone(zone, at).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The same without what is plain from `now`: the day when it is today, the year when it is this one.
pub(super) fn short(zone: Tz, now: Timestamp, at: Timestamp) -> String {
    let (at, now) = (in_zone(zone, at), in_zone(zone, now));
    let format = match () {
        () if at.date_naive() == now.date_naive() => "%H:%M:%S",
        () if at.year() == now.year() => "%m-%d %H:%M",
        () => "%Y-%m-%d %H:%M",
    };
    at.format(format).to_string()
}

fn in_zone(zone: Tz, at: Timestamp) -> DateTime<Tz> {
    DateTime::from_timestamp_millis(at.ms()).unwrap_or_default().with_timezone(&zone)
}

/// A time of day at which something on a page stands.
#[derive(Debug, Clone)]
pub(super) struct At {
    /// RFC 3339.
    pub(super) iso: String,
    pub(super) full: String,
    pub(super) short: String,
}

impl At {
    pub(super) fn new(zone: Tz, now: Timestamp, at: Timestamp) -> Self {
        Self { iso: at.to_string(), full: format!("{} {zone}", local(zone, at)), short: short(zone, now, at) }
    }
}

/// How long ago something was; a script keeps the words true while the page is open.
#[derive(Debug, Clone)]
pub(super) struct Ago {
    pub(super) iso: String,
    pub(super) full: String,
    pub(super) text: String,
}

impl Ago {
    pub(super) fn new(t: &'static Texts, zone: Tz, now: Timestamp, at: Timestamp) -> Self {
        let full = format!("{} {zone}", local(zone, at));
        Self { iso: at.to_string(), full, text: ago(t, now.since(at) / 1_000) }
    }
}

fn ago(t: &Texts, seconds: i64) -> String {
    let (pattern, number) = match seconds {
        ..=0 => return t.in_future.to_owned(),
        1..=89 => (t.ago_s, seconds),
        90..=5_399 => (t.ago_min, seconds / 60),
        5_400..=172_799 => (t.ago_h, seconds / 3_600),
        _ => (t.ago_d, seconds / 86_400),
    };
    pattern.replace("{}", &number.to_string())
}

/// A length of time in its two largest units: `1 h 20 min`, `2 天 3 小时`.
pub(super) fn length(t: &Texts, seconds: i64) -> String {
    let [day, hour, minute, second] = match t.language {
        Language::ZhCn => ["天", "小时", "分钟", "秒"],
        Language::En => ["d", "h", "min", "s"],
    };
    let seconds = seconds.max(0);
    let parts = [
        (seconds / 86_400, day),
        (seconds / 3_600 % 24, hour),
        (seconds / 60 % 60, minute),
        (seconds % 60, second),
    ];
    let first = parts.iter().position(|(number, _)| *number > 0).unwrap_or(3);
    let shown = parts[first..].iter().take(2).filter(|(number, unit)| *number > 0 || *unit == second);
    let last_unit_only = |(number, unit): &(i64, &str)| format!("{number} {unit}");
    let mut words: Vec<String> = shown.map(last_unit_only).collect();
    if words.len() > 1 && words[1].starts_with("0 ") {
        words.truncate(1);
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EN: fn() -> &'static Texts = || Texts::of(Language::En);

    #[test]
    fn lengths_are_told_in_two_units() {
        let told = |seconds| length(EN(), seconds);
        assert_eq!(told(0), "0 s");
        assert_eq!(told(59), "59 s");
        assert_eq!(told(60), "1 min");
        assert_eq!(told(4_830), "1 h 20 min");
        assert_eq!(told(90_000), "1 d 1 h");
        assert_eq!(told(86_400), "1 d");
        assert_eq!(length(Texts::of(Language::ZhCn), 3_661), "1 小时 1 分钟");
    }

    #[test]
    fn a_time_leaves_out_what_is_plain() {
        let zone = chrono_tz::Asia::Shanghai;
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let now = at("2026-11-21T08:00:00Z");
        assert_eq!(short(zone, now, at("2026-11-21T07:59:58Z")), "15:59:58");
        assert_eq!(short(zone, now, at("2026-11-20T15:59:58Z")), "11-20 23:59");
        assert_eq!(short(zone, now, at("2025-11-20T15:59:58Z")), "2025-11-20 23:59");
        assert_eq!(At::new(zone, now, now).full, "2026-11-21 16:00:00 Asia/Shanghai");
    }

    #[test]
    fn ages_are_told_in_one_unit() {
        assert_eq!(ago(EN(), -5), "just now");
        assert_eq!(ago(EN(), 12), "12 s ago");
        assert_eq!(ago(EN(), 600), "10 min ago");
        assert_eq!(ago(EN(), 7_200), "2 h ago");
        assert_eq!(ago(EN(), 200_000), "2 d ago");
    }
}
