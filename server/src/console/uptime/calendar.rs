//! A month of days: each with its ratio and its hours as a strip.
use std::collections::BTreeMap;

use chrono::{Datelike as _, NaiveDate};
use chrono_tz::Tz;
use kioskwatch_domain::{
    interval::Interval,
    uptime::{Explained, Month, Ratio, State, exclusion::NotAccountable},
    wall,
};

use super::{
    super::{bar::percent, texts::Texts, time},
    kiosk::insufficient,
    measure::{Measure, Tally, within},
};

/// Height of a day, in pixels; the width is a seventh of whatever there is.
const CELL: usize = 60;
/// Room for the names of the days above.
const HEADER: usize = 22;
/// A strip shows the worst state of each half hour: finer than that nobody sees.
const SLOTS: i64 = 48;

/// A month as a sheet of weeks.
#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) height: usize,
    pub(super) names: Vec<(String, &'static str)>,
    pub(super) days: Vec<Day>,
    /// The month in a sentence, for those who cannot see it.
    pub(super) spoken: String,
}

/// One day: where it stands, what it says, and where a click leads.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) date: NaiveDate,
    pub(super) number: u32,
    pub(super) x: String,
    pub(super) text_x: String,
    pub(super) y: usize,
    pub(super) text: String,
    /// `d-full`, `d-met`, `d-below`, `d-bad`, `d-none`, `d-unknown`, `d-away`, `d-ahead`.
    pub(super) class: &'static str,
    /// Too little of it is known for what it says.
    pub(super) insufficient: bool,
    pub(super) chosen: bool,
    pub(super) title: String,
    pub(super) strip: Vec<Run>,
}

/// Neighbouring half hours of one state.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) state: &'static str,
}

/// What a calendar is drawn from.
pub(super) struct Sheet<'a> {
    pub(super) zone: Tz,
    pub(super) month: Month,
    pub(super) measure: Measure,
    pub(super) pieces: &'a [Explained],
    /// What counts for nobody, and why.
    pub(super) outside: &'a [(Interval, NotAccountable)],
    /// Seconds; what lies ahead has no figure.
    pub(super) now: i64,
    pub(super) chosen: Option<NaiveDate>,
    /// The target as a fraction.
    pub(super) target: (i64, i64),
}

/// First and last second of a local day.
pub(super) fn span_of(zone: Tz, day: NaiveDate) -> Interval {
    Interval::new(wall::day_start(zone, day), wall::day_start(zone, day.succ_opt().unwrap_or(day)))
}

fn first_day(month: Month) -> NaiveDate {
    NaiveDate::from_ymd_opt(month.year(), month.month(), 1).unwrap_or_default()
}

impl Calendar {
    pub(super) fn draw(t: &'static Texts, sheet: &Sheet<'_>) -> Self {
        let first = first_day(sheet.month);
        let days: Vec<Day> = first
            .iter_days()
            .take_while(|day| day.month() == first.month())
            .map(|day| Day::draw(t, sheet, day))
            .collect();
        let weeks = (first.weekday().num_days_from_monday() as usize + days.len()).div_ceil(7);
        let names = t.weekdays.split(' ').zip(0..).map(|(name, n)| (percent(2 * n + 1, 14), name)).collect();
        let said: Vec<&str> =
            days.iter().filter(|day| !day.text.is_empty()).map(|day| day.title.as_str()).collect();
        Self { height: HEADER + weeks * CELL, names, spoken: said.join("; "), days }
    }
}

impl Day {
    fn draw(t: &'static Texts, sheet: &Sheet<'_>, date: NaiveDate) -> Self {
        let span = span_of(sheet.zone, date);
        let tally = Tally::of(sheet.measure, sheet.pieces, span);
        let ratio = tally.ratio();
        let ahead = span.from >= sheet.now;
        let offset = first_day(sheet.month).weekday().num_days_from_monday() + date.day0();
        let (column, week) = (i64::from(offset % 7), (offset / 7) as usize);
        let blank = (ratio.den == 0 && !ahead).then(|| Blank::of(sheet, &tally, span));
        let says = match &blank {
            Some(blank) => blank.says(t).to_owned(),
            None if ahead => t.day_ahead.to_owned(),
            None => told(t, sheet.measure, &tally),
        };
        let low = insufficient(t, &tally.coverage()).filter(|_| ratio.den > 0 && !ahead);
        let x_in_cell = |part: i64, whole: i64| percent(column * 14 * whole + 14 * part, 98 * whole);
        Self {
            date,
            number: date.day(),
            x: x_in_cell(1, 50),
            text_x: x_in_cell(4, 50),
            y: HEADER + week * CELL,
            text: match &blank {
                Some(Blank::Unknown) => "?".to_owned(),
                None if ratio.den > 0 => ratio.display().trim_end_matches('%').to_owned(),
                _ => String::new(),
            },
            class: blank.map_or_else(|| class(ratio, ahead, sheet.target), |blank| blank.class()),
            insufficient: low.is_some(),
            chosen: sheet.chosen == Some(date),
            title: match low {
                Some(low) => format!("{date} · {says} · {low}"),
                None => format!("{date} · {says}"),
            },
            strip: strip(sheet.pieces, span, sheet.now, column),
        }
    }
}

/// Why a day that has been has no figure.
enum Blank {
    /// It was to be answered for, and nothing is known of it.
    Unknown,
    /// It was not to be answered for, mostly for this.
    Outside(NotAccountable),
    /// Neither: what is known of it counts for another ratio.
    NotCounted,
}

impl Blank {
    fn of(sheet: &Sheet<'_>, tally: &Tally, day: Interval) -> Self {
        if tally.left_out > 0 {
            return if tally.known == 0 { Self::Unknown } else { Self::NotCounted };
        }
        let mut lengths = BTreeMap::new();
        for (part, why) in sheet.outside {
            lengths.entry(why.as_str()).or_insert((0, *why)).0 += part.intersect(day).length();
        }
        let longest =
            lengths.into_values().filter(|(length, _)| *length > 0).max_by_key(|(length, _)| *length);
        longest.map_or(Self::NotCounted, |(_, why)| Self::Outside(why))
    }

    fn says(&self, t: &'static Texts) -> &'static str {
        match self {
            Self::Unknown => t.word("UNKNOWN"),
            // Before it or after it.
            Self::Outside(NotAccountable::NotCommissioned) => t.word("NOT_YET"),
            Self::Outside(why) => t.word(why.as_str()),
            Self::NotCounted => t.day_none,
        }
    }

    const fn class(&self) -> &'static str {
        match self {
            Self::Unknown => "d-unknown",
            Self::Outside(NotAccountable::NotCommissioned) => "d-away",
            Self::Outside(_) | Self::NotCounted => "d-none",
        }
    }
}

/// `开机率 98.61% · 停机 20 分钟：供电 15 分钟`.
fn told(t: &'static Texts, measure: Measure, tally: &Tally) -> String {
    let mut text = format!("{} {}", measure.name(t), tally.ratio().display());
    if tally.down > 0 {
        let mut causes: Vec<_> = tally.lost.iter().collect();
        causes.sort_by_key(|(_, seconds)| -**seconds);
        let causes: Vec<String> = causes
            .into_iter()
            .map(|(cause, seconds)| format!("{} {}", t.word(cause), time::length(t, *seconds)))
            .collect();
        text += &format!(" · {} {}: {}", t.counted_down, time::length(t, tally.down), causes.join(", "));
    }
    text
}

/// Far below the target is twice the loss it allows.
fn class(ratio: Ratio, ahead: bool, (a, b): (i64, i64)) -> &'static str {
    match ratio {
        _ if ahead => "d-ahead",
        Ratio { num, den } if num == den => "d-full",
        ratio if ratio.meets(a, b) => "d-met",
        ratio if ratio.meets(2 * a - b, b) => "d-below",
        _ => "d-bad",
    }
}

fn strip(pieces: &[Explained], day: Interval, now: i64, column: i64) -> Vec<Run> {
    let edge = |slot: i64| day.from + (day.to - day.from) * slot / SLOTS;
    let mut runs: Vec<(i64, i64, &'static str)> = Vec::new();
    for slot in 0..SLOTS {
        let span = Interval::new(edge(slot), edge(slot + 1).min(now));
        let worst = within(pieces, span).map(|piece| look(&piece)).min();
        let Some((_, state)) = worst else { continue };
        match runs.last_mut() {
            Some((_, to, last)) if *to == slot && *last == state => *to = slot + 1,
            _ => runs.push((slot, slot + 1, state)),
        }
    }
    // The strip takes the middle nine tenths of the cell.
    let x = |slot: i64| column * 20 * SLOTS + SLOTS + 18 * slot;
    runs.into_iter()
        .map(|(from, to, state)| Run {
            x: percent(x(from), 140 * SLOTS),
            width: percent(x(to) - x(from), 140 * SLOTS),
            state,
        })
        .collect()
}

/// Worst first; silence stands between what is broken and what is limited.
fn look(piece: &Explained) -> (u8, &'static str) {
    match piece.state {
        Some(State::Off) => (0, State::Off.as_str()),
        Some(State::OutOfService) => (1, State::OutOfService.as_str()),
        None => (2, "UNKNOWN"),
        Some(State::Degraded) => (3, State::Degraded.as_str()),
        Some(State::OnOnly) => (4, State::OnOnly.as_str()),
        Some(State::Full) => (5, State::Full.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use kioskwatch_domain::uptime::{Counted, Evidence, Inputs, Source, Timeline, Verdict, Why};

    use super::*;
    use crate::config::Language;

    fn pieces(zone: Tz, evidence: &[(i64, i64, State)]) -> (Interval, Vec<Explained>) {
        let period = wall::month(zone, 2026, 10).unwrap();
        let evidence: Vec<Evidence> = evidence
            .iter()
            .map(|&(from, to, state)| Evidence {
                src: Source::Journal,
                from: period.from + from,
                to: period.from + to,
                state,
                cause: None,
                recv: None,
                interval_s: None,
            })
            .collect();
        let all = kioskwatch_domain::interval::IntervalSet::of(period);
        let inputs = Inputs {
            period,
            as_of: None,
            service: &all,
            commissioned: &all,
            exclusions: &kioskwatch_domain::interval::IntervalSet::empty(),
            server_down: &kioskwatch_domain::interval::IntervalSet::empty(),
            evidence: &evidence,
            received_before: None,
        };
        (period, Timeline::build(&inputs).explain())
    }

    fn draw(zone: Tz, pieces: &[Explained], now: i64) -> Calendar {
        let sheet = Sheet {
            zone,
            month: "2026-10".parse().unwrap(),
            measure: Measure::On,
            pieces,
            outside: &[],
            now,
            chosen: None,
            target: (99, 100),
        };
        Calendar::draw(Texts::of(Language::En), &sheet)
    }

    #[test]
    fn the_days_of_a_month_add_up_to_its_figure_even_with_a_changed_clock() {
        // On 25 October Berlin has 25 hours.
        let zone = chrono_tz::Europe::Berlin;
        let (period, pieces) = pieces(zone, &[(0, 100_000, State::Full), (100_000, 2_300_000, State::Off)]);
        let month = Tally::of(Measure::On, &pieces, period);
        let mut days = Tally::default();
        for day in first_day("2026-10".parse().unwrap()).iter_days().take(31) {
            let one = Tally::of(Measure::On, &pieces, span_of(zone, day));
            days.up += one.up;
            days.down += one.down;
        }
        assert_eq!((days.up, days.down), (month.up, month.down));
        assert_eq!(month.up + month.down, 31 * 86_400 + 3_600);
        assert_eq!(draw(zone, &pieces, period.to).days.len(), 31);
    }

    #[test]
    fn a_day_is_judged_exactly_and_what_lies_ahead_is_not_judged() {
        let zone = chrono_tz::Asia::Shanghai;
        let day = 86_400;
        let (period, pieces) = pieces(
            zone,
            &[
                (0, day, State::Full),
                // 864 s of the second day are one hundredth; one second more is too much.
                (day, 2 * day - 864, State::Full),
                (2 * day, 3 * day - 865, State::Full),
                (3 * day, 3 * day + 10, State::Full),
            ],
        );
        let calendar = draw(zone, &pieces, period.from + 4 * day);
        let classes: Vec<&str> = calendar.days.iter().take(5).map(|day| day.class).collect();
        assert_eq!(classes, ["d-full", "d-met", "d-below", "d-bad", "d-ahead"]);
        assert_eq!(calendar.days[0].text, "100.00");
        assert_eq!(calendar.days[1].text, "99.00");
        assert_eq!(calendar.days[2].text, "99.00", "rounded for the eye only: it is marked as below");
        assert!(calendar.days[3].title.contains("unexplained"), "{}", calendar.days[3].title);
    }

    #[test]
    fn a_day_of_which_too_little_is_known_says_so_beside_its_figure() {
        let zone = chrono_tz::Asia::Shanghai;
        let day = 86_400;
        let (period, pieces) = pieces(
            zone,
            &[
                // Nine tenths are enough, a minute less is not.
                (0, day * 9 / 10, State::Full),
                (day, day + day * 9 / 10 - 60, State::Full),
                (2 * day, 3 * day, State::Off),
            ],
        );
        let calendar = draw(zone, &pieces, period.from + 3 * day);
        let low: Vec<bool> = calendar.days.iter().take(4).map(|day| day.insufficient).collect();
        assert_eq!(
            low,
            [false, true, false, false],
            "what was off all day is known, what lies ahead has no figure"
        );
        let told = &calendar.days[1].title;
        assert!(told.contains("insufficient data 89.93%") && calendar.spoken.contains(told), "{told}");
        assert!(!calendar.days[0].title.contains("insufficient"), "{}", calendar.days[0].title);
    }

    #[test]
    fn a_day_before_service_is_told_apart_from_one_that_was_closed_and_one_of_which_nothing_is_known() {
        let zone = chrono_tz::Asia::Shanghai;
        let period = wall::month(zone, 2026, 10).unwrap();
        let day = |n: i64| Interval::new(period.from + n * 86_400, period.from + (n + 1) * 86_400);
        let counted = Counted { verdict: Verdict::LeftOut, why: Why::SilenceWhileServerDown };
        let silent = |span: Interval, state| Explained {
            from: span.from,
            to: span.to,
            state,
            source: None,
            cause: None,
            on: counted,
            avail: counted,
            full: counted,
            online: counted,
        };
        let noon = Interval::new(day(3).from, day(3).from + 43_200);
        let outside = [
            (day(0), NotAccountable::NotCommissioned),
            (day(1), NotAccountable::OutsideServiceHours),
            (Interval::new(noon.to, day(3).to), NotAccountable::NotCommissioned),
        ];
        let pieces = [silent(day(2), None), silent(noon, None), silent(day(4), Some(State::OnOnly))];
        for (language, says) in [
            (
                Language::En,
                ["not in service", "outside service hours", "no data", "no data", "nothing counted"],
            ),
            (Language::ZhCn, ["未投运", "服务时间以外", "无数据", "无数据", "无应计时间"]),
        ] {
            let sheet = Sheet {
                zone,
                month: "2026-10".parse().unwrap(),
                measure: Measure::Avail,
                pieces: &pieces,
                outside: &outside,
                now: day(6).from,
                chosen: None,
                target: (99, 100),
            };
            let days = Calendar::draw(Texts::of(language), &sheet).days;
            let classes: Vec<&str> = days.iter().take(7).map(|day| day.class).collect();
            let expected = ["d-away", "d-none", "d-unknown", "d-unknown", "d-none", "d-none", "d-ahead"];
            assert_eq!(classes, expected);
            for (day, says) in days.iter().zip(says) {
                assert!(day.title.ends_with(&format!("· {says}")), "{says}: {}", day.title);
            }
            let texts: Vec<&str> = days.iter().take(5).map(|day| day.text.as_str()).collect();
            assert_eq!(texts, ["", "", "?", "?", ""], "it is told without a colour");
        }
    }

    #[test]
    fn a_flapping_day_is_a_strip_of_few_runs() {
        let zone = chrono_tz::Asia::Shanghai;
        let minutes =
            (0..1_440).map(|m| (m * 60, m * 60 + 60, if m % 2 == 0 { State::Off } else { State::Full }));
        let (period, pieces) = pieces(zone, &minutes.collect::<Vec<_>>());
        let strip = strip(&pieces, span_of(zone, first_day("2026-10".parse().unwrap())), period.to, 0);
        assert_eq!(strip.len(), 1);
        assert_eq!(strip[0].state, "OFF", "the worst of each half hour");
    }
}
