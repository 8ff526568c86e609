//! Lost time by cause, as bars of one scale, and how often it began with each.
use std::collections::BTreeMap;

use kioskwatch_domain::change::MonthSums;

use super::{
    super::{bar::percent, texts::Texts, time},
    measure::Tally,
};

/// What was lost.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Causes {
    /// The largest comes first.
    pub(crate) bars: Vec<CauseBar>,
    /// Bars say how often as well as how long.
    pub(crate) counted: bool,
    /// How many outages were signed without their cause; empty: none.
    pub(crate) not_told: String,
}

/// One cause.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CauseBar {
    pub(crate) word: &'static str,
    pub(crate) length: String,
    pub(crate) seconds: i64,
    /// Its part of all that was lost.
    pub(crate) share: String,
    pub(crate) width: String,
    /// Outages that began with it. `None`: nobody knows of any, and of some nobody knows by what they began.
    pub(crate) times: Option<i64>,
}

impl Causes {
    /// `outages`: of the same time, where that is availability's; no other ratio has any.
    pub(crate) fn of(t: &'static Texts, tally: &Tally, outages: Option<&MonthSums>) -> Self {
        let not_told = outages.map_or(0, MonthSums::not_told_by_cause);
        let never = (not_told == 0).then_some(0);
        let lost = tally.lost.iter().map(|(cause, seconds)| (*cause, (*seconds, never)));
        let mut lost: BTreeMap<&'static str, (i64, Option<i64>)> = lost.collect();
        // What was signed may know of a cause that the intervals do not show any more.
        let by_cause = outages.iter().flat_map(|sums| &sums.outages_by_cause);
        by_cause.for_each(|(cause, times)| lost.entry(cause.as_str()).or_default().1 = Some(*times));
        let mut lost: Vec<_> = lost.into_iter().collect();
        lost.sort_by_key(|(_, (seconds, times))| (-*seconds, -times.unwrap_or(0)));
        let most = lost.first().map_or(1, |(_, (seconds, _))| (*seconds).max(1));
        let bar = |(cause, (seconds, times)): (&'static str, (i64, Option<i64>))| CauseBar {
            word: t.word(cause),
            length: time::length(t, seconds),
            seconds,
            share: match (seconds * 200 / tally.down.max(1) + 1) / 2 {
                0 if seconds > 0 => "<1%".to_owned(),
                percent => format!("{percent}%"),
            },
            width: percent(seconds, most),
            times,
        };
        Self {
            bars: lost.into_iter().map(bar).collect(),
            counted: outages.is_some(),
            not_told: if not_told > 0 { not_told.to_string() } else { String::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use kioskwatch_domain::uptime::Cause;

    use super::*;
    use crate::config::Language;

    #[test]
    fn a_cause_says_how_long_and_how_often_and_what_was_not_told_is_not_divided() {
        let tally =
            Tally { down: 200, lost: BTreeMap::from([("hardware", 50), ("power", 150)]), ..Tally::default() };
        let sums = MonthSums {
            outages: 9,
            outages_by_cause: BTreeMap::from([(Cause::Power, 2), (Cause::Host, 1)]),
            ..MonthSums::default()
        };
        let t = Texts::of(Language::En);
        let told = |causes: &Causes| -> Vec<(i64, Option<i64>)> {
            causes.bars.iter().map(|bar| (bar.seconds, bar.times)).collect()
        };
        let causes = Causes::of(t, &tally, Some(&sums));
        assert_eq!(told(&causes), [(150, Some(2)), (50, None), (0, Some(1))]);
        assert_eq!((causes.counted, causes.not_told.as_str()), (true, "6"));
        let all_told = MonthSums { outages: 3, ..sums };
        assert_eq!(
            told(&Causes::of(t, &tally, Some(&all_told))),
            [(150, Some(2)), (50, Some(0)), (0, Some(1))]
        );
        let of_another_ratio = Causes::of(t, &tally, None);
        assert_eq!(told(&of_another_ratio).len(), 2);
        assert_eq!((of_another_ratio.counted, of_another_ratio.not_told.as_str()), (false, ""));
        assert_eq!(Causes::of(t, &Tally::default(), Some(&MonthSums::default())).bars, []);
    }
}
