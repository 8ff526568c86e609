//! Figures before and after, as a table and in one sentence.
use std::collections::{BTreeMap, BTreeSet};

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

/// What moves of somebody's share.
pub(super) struct Share {
    pub(super) owner: String,
    pub(super) rows: Vec<Compared>,
}

/// The shares that move: where only the owner changes, nothing else does.
pub(super) fn shares<'a>(t: &'static Texts, before: &'a Value, after: &'a Value) -> Vec<Share> {
    let of = |figures: &'a Value| -> BTreeMap<[&'a str; 5], &'a Value> {
        let shares = figures["shares"].as_array().into_iter().flatten();
        shares.map(|share| (OWNER.map(|name| share[name].as_str().unwrap_or_default()), share)).collect()
    };
    let (before, after) = (of(before), of(after));
    let owners: BTreeSet<[&str; 5]> = before.keys().chain(after.keys()).copied().collect();
    let share = |owner: [&str; 5]| {
        let [before, after] =
            [&before, &after].map(|shares| shares.get(&owner).copied().unwrap_or(&Value::Null));
        Share { owner: named(t, owner), rows: table(t, before, after) }
    };
    owners.into_iter().map(share).filter(|share| share.rows.iter().any(|row| row.moved)).collect()
}

/// Of whom a share is, as [`books::shared_json`](kioskwatch_domain::uptime::books::shared_json) names them.
const OWNER: [&str; 5] = ["engineer", "site", "region", "customer", "model"];

fn named(t: &'static Texts, [engineer, names @ ..]: [&str; 5]) -> String {
    let engineer = if engineer.is_empty() { t.unassigned } else { engineer };
    [engineer].into_iter().chain(names).filter(|name| !name.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// What moves by it, in one line: of the whole, or of whose shares where the whole stays.
pub(super) fn in_short(t: &'static Texts, before: &Value, after: &Value) -> String {
    let rows = table(t, before, after);
    let moved =
        rows.iter().filter(|row| row.moved && row.name != t.accountable_time && row.name != t.excluded_time);
    let said: Vec<String> =
        moved.map(|row| format!("{} {} → {}", row.name, row.before.text, row.after.text)).collect();
    if !said.is_empty() {
        return said.join(" · ");
    }
    let share = |share: &Share| {
        let row = share.rows.iter().find(|row| row.name == t.accountable_time && row.moved)?;
        Some(format!("{}: {} → {}", share.owner, row.before.text, row.after.text))
    };
    shares(t, before, after).iter().filter_map(share).collect::<Vec<_>>().join(" · ")
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
    use kioskwatch_domain::{
        change::MonthSums,
        uptime::{Figures, booking::Owner, books::shared_json},
    };

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
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let in_short = |before: &str, after: &str| in_short(t, &read(before), &read(after));
        assert_eq!(in_short(&figures(990), &figures(995)), format!("{} 99.00% → 99.50%", t.uptime_avail));
        assert_eq!(in_short("{}", "{}"), "");
        // A cause that became known late moves what the engineer answers for, and nothing else.
        let with_kpi =
            |den| figures(990).replacen('{', &format!(r#"{{"engineer_kpi":{{"num":990,"den":{den}}},"#), 1);
        let said = in_short(&with_kpi(1_000), &with_kpi(990));
        assert_eq!(said, format!("{} 99.00% → 100.00%", t.engineer_kpi));
        let rows = table(t, &Value::Null, &serde_json::from_str(&figures(1_000)).unwrap());
        let shown: Vec<_> =
            rows.iter().map(|row| (row.before.text.as_str(), row.after.text.as_str())).collect();
        assert_eq!(shown[1..], [("—", "100.00%"), ("—", "50.00%"), ("—", "16 min 40 s"), ("—", "1 min")]);
    }

    #[test]
    fn where_only_the_owner_changes_the_shares_say_what_moves() {
        let t = Texts::of(Language::En);
        let figures = |shares: &[(Option<&str>, i64)]| {
            let told = |seconds: i64| {
                let all = serde_json::json!({ "num": seconds, "den": seconds });
                serde_json::json!({ "accountable_s": seconds, "excluded_s": 0, "on": all, "avail": all, "full": all })
            };
            let share = |(engineer, seconds): &(Option<&str>, i64)| {
                let mut share = told(*seconds);
                (share["site"], share["engineer"]) = ("S-1".into(), (*engineer).into());
                share
            };
            let mut whole = told(shares.iter().map(|(_, seconds)| seconds).sum());
            whole["shares"] = shares.iter().map(share).collect();
            whole
        };
        let before = figures(&[(Some("li"), 7_200), (None, 60)]);
        let after = figures(&[(Some("li"), 3_600), (Some("wang"), 3_600), (None, 60)]);
        assert!(table(t, &before, &after).iter().all(|row| !row.moved));
        let owners: Vec<String> = shares(t, &before, &after).into_iter().map(|share| share.owner).collect();
        assert_eq!(owners, ["li · S-1", "wang · S-1"]);
        assert_eq!(in_short(t, &before, &after), "li · S-1: 2 h → 1 h · wang · S-1: — → 1 h");
        assert_eq!(in_short(t, &before, &before), "");
    }

    #[test]
    fn shares_that_differ_in_their_model_alone_stand_apart() {
        let t = Texts::of(Language::En);
        let told = |parts: &[(&str, i64)]| {
            let share = |&(model, seconds): &(&str, i64)| {
                let owner = Owner { engineer: Some("li".into()), model: model.into(), ..Owner::default() };
                let figures = Figures { accountable_s: seconds, ..Figures::default() };
                (owner, MonthSums { figures, ..MonthSums::default() })
            };
            serde_json::from_str::<Value>(&shared_json(&parts.iter().map(share).collect())).unwrap()
        };
        let moved = in_short(t, &told(&[("KT", 7_200)]), &told(&[("KT", 3_600), ("KT-2", 3_600)]));
        assert_eq!(moved, "li · KT: 2 h → 1 h · li · KT-2: — → 1 h");
    }
}
