//! Figures before and after, as a table and in one sentence.
use kioskwatch_domain::uptime::Ratio;
use serde_json::Value;

use super::super::{texts::Texts, time, uptime::Measure};

/// As it stands beside the ratios of a measure.
const ENGINEER_KPI: &str = "engineer_kpi";

/// A row of the table.
pub(super) struct Compared {
    pub(super) name: &'static str,
    pub(super) before: Shown,
    pub(super) after: Shown,
    pub(super) moved: bool,
}

/// A figure with the integers behind it.
#[derive(PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) exact: String,
}

/// The contract ratios, what the engineer answers for where that is told, and the time they are shares of.
pub(super) fn table(t: &'static Texts, before: &Value, after: &Value) -> Vec<Compared> {
    let row = |name, shown: &dyn Fn(&Value) -> Shown| {
        let (before, after) = (shown(before), shown(after));
        Compared { name, moved: before != after, before, after }
    };
    let mut rows: Vec<Compared> = Measure::ALL
        .into_iter()
        .map(|measure| row(measure.name(t), &|figures| Shown::ratio(ratio(figures, measure.as_str()))))
        .collect();
    if [before, after].into_iter().any(|figures| ratio(figures, ENGINEER_KPI).is_some()) {
        rows.push(row(t.engineer_kpi, &|figures| Shown::ratio(ratio(figures, ENGINEER_KPI))));
    }
    for (name, key) in [(t.accountable_time, "accountable_s"), (t.excluded_time, "excluded_s")] {
        rows.push(row(name, &|figures| Shown::seconds(t, figures[key].as_i64())));
    }
    rows
}

/// What moves by it, in one line.
pub(super) fn in_short(t: &'static Texts, before: &str, after: &str) -> String {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let rows = table(t, &json(before), &json(after));
    let moved =
        rows.iter().filter(|row| row.moved && row.name != t.accountable_time && row.name != t.excluded_time);
    let said: Vec<String> =
        moved.map(|row| format!("{} {} → {}", row.name, row.before.text, row.after.text)).collect();
    said.join(" · ")
}

fn ratio(figures: &Value, name: &str) -> Option<Ratio> {
    let ratio = &figures[name];
    Some(Ratio::new(ratio["num"].as_i64()?, ratio["den"].as_i64()?))
}

impl Shown {
    fn ratio(ratio: Option<Ratio>) -> Self {
        match ratio.filter(|ratio| ratio.den > 0) {
            Some(ratio) => Self { text: ratio.display(), exact: format!("{} / {} s", ratio.num, ratio.den) },
            None => Self::nothing(),
        }
    }

    fn seconds(t: &Texts, seconds: Option<i64>) -> Self {
        match seconds {
            Some(seconds) => Self { text: time::length(t, seconds), exact: format!("{seconds} s") },
            None => Self::nothing(),
        }
    }

    fn nothing() -> Self {
        Self { text: "—".to_owned(), exact: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Language;

    #[test]
    fn only_what_moved_is_told_in_short_and_nothing_is_made_up_where_there_are_no_figures() {
        let t = Texts::of(Language::En);
        let figures = |avail: i64| {
            let ratio = |num: i64| format!(r#"{{"num":{num},"den":1000}}"#);
            let [on, avail, full] = [999, avail, 500].map(ratio);
            format!(r#"{{"accountable_s":1000,"excluded_s":60,"on":{on},"avail":{avail},"full":{full}}}"#)
        };
        assert_eq!(in_short(t, &figures(990), &figures(995)), format!("{} 99.00% → 99.50%", t.uptime_avail));
        assert_eq!(in_short(t, "{}", "{}"), "");
        // A cause that became known late moves what the engineer answers for, and nothing else.
        let with_kpi =
            |den| figures(990).replacen('{', &format!(r#"{{"engineer_kpi":{{"num":990,"den":{den}}},"#), 1);
        let said = in_short(t, &with_kpi(1_000), &with_kpi(990));
        assert_eq!(said, format!("{} 99.00% → 100.00%", t.engineer_kpi));
        let rows = table(t, &Value::Null, &serde_json::from_str(&figures(1_000)).unwrap());
        let shown: Vec<_> =
            rows.iter().map(|row| (row.before.text.as_str(), row.after.text.as_str())).collect();
        assert_eq!(shown[1..], [("—", "100.00%"), ("—", "50.00%"), ("—", "16 min 40 s"), ("—", "1 min")]);
    }
}
