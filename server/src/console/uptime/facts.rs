//! What stands beside a ratio: what is left of the promise, how often it broke and for how long.
use kioskwatch_domain::{
    change::MonthSums,
    uptime::{Margin, Ratio, Reliability},
};

use super::{
    super::{texts::Texts, time},
    measure::Measure,
};

/// A name and what it says; below the promise it is marked.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) bad: bool,
}

/// What an engineer answers for, of what their kiosks did.
pub(super) fn engineers(t: &'static Texts, sums: &MonthSums) -> Fact {
    let ratio = sums.figures.engineer_kpi();
    let text = format!("{} ({} / {} s)", ratio.display(), ratio.num, ratio.den);
    Fact { name: t.engineer_kpi, text, bad: false }
}

/// How often it broke, by what it began with. `None`: never.
pub(super) fn by_cause(t: &'static Texts, sums: &MonthSums) -> Option<Fact> {
    let told = sums.outages_by_cause.iter().map(|(cause, times)| (t.word(cause.as_str()), *times));
    let not_told = (t.not_told_by_cause, sums.not_told_by_cause());
    let parts = told.chain([not_told]).filter(|(_, times)| *times > 0);
    let parts: Vec<String> = parts.map(|(word, times)| format!("{word} {times}")).collect();
    let text = parts.join(" · ");
    (!text.is_empty()).then_some(Fact { name: t.outages_by_cause, text, bad: false })
}

/// Of the chosen ratio, and of the outages that availability sees.
pub(super) fn facts(t: &'static Texts, sums: &MonthSums, measure: Measure, target: (i64, i64)) -> Vec<Fact> {
    let ratio = measure.of(&sums.figures);
    let fact = |name, text| Fact { name, text, bad: false };
    let length = |seconds| time::length(t, seconds);
    let mut facts = Vec::new();
    if measure.is_promised() {
        facts.push(fact(t.target, Ratio::new(target.0, target.1).display()));
    }
    if let Some(margin) = Margin::of(ratio, target).filter(|_| measure.is_promised()) {
        facts.push(if margin.left_s >= 0 {
            fact(t.allowed_left, length(margin.left_s))
        } else {
            Fact { name: t.over_by, text: length(-margin.left_s), bad: true }
        });
        let verdict = if margin.met_after_one_hour { t.target_met } else { t.target_missed };
        let text = format!("{} · {verdict}", margin.after_one_hour.display());
        facts.push(Fact { name: t.one_more_hour, text, bad: !margin.met_after_one_hour });
    }
    facts.push(fact(t.outages, sums.outages.to_string()));
    if sums.outages > 0 {
        facts.push(fact(t.longest_outage, length(sums.longest_outage_s)));
    }
    if let Some(reliability) = Reliability::of(sums.figures.avail, sums.outages) {
        facts.push(fact(t.mtbf, length(reliability.mtbf_s)));
        facts.push(fact(t.mttr, length(reliability.mttr_s)));
    }
    let raw = match measure {
        Measure::On => sums.raw_on,
        Measure::Avail => sums.raw_avail,
        Measure::Full => sums.raw_full,
    };
    if sums.excluded_s > 0 {
        facts.push(fact(t.excluded_time, length(sums.excluded_s)));
        facts.push(fact(t.before_exclusions, raw.display()));
    }
    facts
}
