//! A day as a bar, drawn on the server: positions in percent, so it fits any width without a script.
use chrono::Timelike as _;
use chrono_tz::Tz;
use kioskwatch_domain::{
    interval::{Interval, IntervalSet},
    wall,
};
use kioskwatch_proto::Timestamp;

use super::{texts::Texts, time};
use crate::http::Span;

/// A local day with its states.
#[derive(Debug)]
pub(super) struct DayBar {
    pub(super) pieces: Vec<Piece>,
    pub(super) ticks: Vec<Tick>,
    /// Where the day stands now.
    pub(super) now_percent: String,
    /// States that occur, for the key.
    pub(super) legend: Vec<Legend>,
    /// The day in a sentence, for those who cannot see the bar.
    pub(super) spoken: String,
}

#[derive(Debug)]
pub(super) struct Piece {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) state: &'static str,
    pub(super) title: String,
}

#[derive(Debug)]
pub(super) struct Tick {
    pub(super) x: String,
    pub(super) label: String,
    /// The first and last stand beside their line, not under it.
    pub(super) anchor: &'static str,
}

#[derive(Debug)]
pub(super) struct Legend {
    pub(super) state: &'static str,
    pub(super) word: &'static str,
    pub(super) length: String,
}

/// Worst first, as the key lists them.
const STATES: [&str; 7] = ["OFF", "OOS", "DEGRADED", "ON_ONLY", "UNKNOWN", NOT_YET, "FULL"];
/// Nobody said anything, and nobody had to: the kiosk was not in service.
const NOT_YET: &str = "NOT_YET";

/// A stretch of the day in one look.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    span: Interval,
    state: &'static str,
    cause: Option<&'static str>,
}

/// Silence of before a kiosk was put into service, or of after, is nobody's.
fn looks(spans: &[Span], counted: &IntervalSet) -> Vec<Look> {
    let mut looks = Vec::with_capacity(spans.len());
    for span in spans {
        let whole = Interval::new(span.from.secs(), span.to.secs());
        let look = |span, state| Look { span, state, cause: None };
        if span.state == "UNKNOWN" {
            looks.extend(counted.clip(whole).iter().map(|part| look(part, span.state)));
            let outside = IntervalSet::of(whole).subtract(counted);
            looks.extend(outside.iter().map(|part| look(part, NOT_YET)));
        } else {
            looks.push(Look { cause: span.cause, ..look(whole, span.state) });
        }
    }
    looks.sort_by_key(|look| look.span.from);
    looks
}

/// First and last instant of the local day that holds `now`.
pub(super) fn day_of(zone: Tz, now: Timestamp) -> (Timestamp, Timestamp) {
    let day = wall::date_of(zone, now.secs());
    let next = day.succ_opt().unwrap_or(day);
    let at = |day| Timestamp(wall::day_start(zone, day).saturating_mul(1_000));
    (at(day), at(next))
}

impl DayBar {
    /// `counted`: when the kiosk is in service.
    pub(super) fn new(
        t: &'static Texts,
        zone: Tz,
        now: Timestamp,
        spans: &[Span],
        counted: &IntervalSet,
    ) -> Self {
        let (from, to) = day_of(zone, now);
        let looks = looks(spans, counted);
        let x = |at: Timestamp| percent(at.since(from), to.since(from));
        let mut legend = Vec::new();
        for state in STATES {
            let of_state = looks.iter().filter(|look| look.state == state);
            let seconds: i64 = of_state.map(|look| look.span.length()).sum();
            if seconds > 0 {
                legend.push(Legend { state, word: t.word(state), length: time::length(t, seconds) });
            }
        }
        let spoken: Vec<String> = legend.iter().map(|l| format!("{} {}", l.word, l.length)).collect();
        Self {
            pieces: looks.iter().map(|look| piece(t, zone, now, look, x)).collect(),
            ticks: ticks(zone, from, to, x),
            now_percent: x(now),
            legend,
            spoken: spoken.join(", "),
        }
    }
}

fn piece(t: &'static Texts, zone: Tz, now: Timestamp, look: &Look, x: impl Fn(Timestamp) -> String) -> Piece {
    let cause = look.cause.map_or_else(String::new, |cause| format!(" · {}", t.word(cause)));
    let [from, to] = [look.span.from, look.span.to].map(|secs| Timestamp(secs.saturating_mul(1_000)));
    let (start, end) = (x(from), x(to));
    let (from, to) = (time::short(zone, now, from), time::short(zone, now, to));
    let number = |text: &str| text.trim_end_matches('%').parse::<f64>().unwrap_or(0.0);
    Piece {
        width: format!("{:.3}%", number(&end) - number(&start)),
        x: start,
        state: look.state,
        title: format!("{from} – {to} · {}{cause}", t.word(look.state)),
    }
}

/// Every three hours of the wall clock.
fn ticks(zone: Tz, from: Timestamp, to: Timestamp, x: impl Fn(Timestamp) -> String) -> Vec<Tick> {
    const HOUR_MS: i64 = 3_600_000;
    let mut ticks = Vec::new();
    let mut at = from;
    while at <= to {
        let hour = wall::local_of(zone, at.secs()).hour();
        if hour.is_multiple_of(3)
            && (at == to || ticks.last().is_none_or(|last: &Tick| last.label != label(hour)))
        {
            let anchor = match at {
                at if at == from => "start",
                at if at == to => "end",
                _ => "middle",
            };
            let label = if at == to { "24".to_owned() } else { label(hour) };
            ticks.push(Tick { x: x(at), label, anchor });
        }
        at = at.plus_ms(HOUR_MS);
    }
    ticks
}

fn label(hour: u32) -> String {
    format!("{hour:02}")
}

#[expect(clippy::cast_precision_loss, reason = "a position on a screen")]
pub(super) fn percent(part: i64, whole: i64) -> String {
    let share = part.clamp(0, whole.max(1)) as f64 / whole.max(1) as f64;
    format!("{:.3}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_with_a_changed_clock_has_its_true_length() {
        let zone = chrono_tz::Europe::Berlin;
        let now = Timestamp::parse("2026-10-25T12:00:00Z").unwrap();
        let (from, to) = day_of(zone, now);
        assert_eq!(to.since(from), 25 * 3_600_000);
        let labels: Vec<String> =
            ticks(zone, from, to, |_| String::new()).into_iter().map(|t| t.label).collect();
        assert_eq!(labels, ["00", "03", "06", "09", "12", "15", "18", "21", "24"]);
    }
}
