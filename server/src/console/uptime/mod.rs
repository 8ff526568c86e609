//! Uptime for people: a percentage, the days and intervals behind it, and the evidence behind those.
//!
//! Every number of these pages is summed from the same explained intervals ([`Explained`]), so what is listed
//! adds up to the figure above it. Charts are SVG drawn here: positions in percent, so that they fit any width
//! without a script; each has a text alternative, and no meaning rests on colour alone.
//!
//! [`Explained`]: kioskwatch_domain::uptime::Explained
mod calendar;
mod causes;
mod facts;
pub(super) mod group;
mod intervals;
pub(super) mod kiosk;
mod measure;
pub(super) mod record;
mod trend;

use kioskwatch_domain::uptime::Month;

pub(super) use self::measure::Measure;
use super::texts::Texts;
use crate::{
    app::UptimePeriod,
    config::Language,
    http::{Problem, Web},
};

/// A month as a period of figures.
pub(super) fn period(month: Month) -> UptimePeriod {
    UptimePeriod::Month { year: month.year(), month: month.month() }
}

pub(super) fn title(t: &Texts, month: Month) -> String {
    let name = t.months.split(' ').nth(month.month() as usize - 1).unwrap_or_default();
    match t.language {
        Language::ZhCn => format!("{} 年 {name}", month.year()),
        Language::En => format!("{name} {}", month.year()),
    }
}

/// The month that stands in an address, or the one that runs.
fn chosen(text: Option<&str>, running: Month) -> Result<Month, Problem> {
    let wrong = |error: kioskwatch_domain::uptime::month::NoMonth| {
        Problem::bad_request("bad_query", error.to_string())
    };
    text.map_or(Ok(running), |text| text.parse().map_err(wrong))
}

/// `[uptime] target` as the domain compares it.
fn target(web: &Web) -> (i64, i64) {
    let [a, b] = web.app().config().uptime.target.map(|n| i64::try_from(n).unwrap_or(1));
    (a, b)
}

/// The last `count` months up to one, in order.
fn months_up_to(last: Month, count: usize) -> Vec<Month> {
    let mut months: Vec<Month> =
        std::iter::successors(Some(last), |month| Some(month.previous())).take(count).collect();
    months.reverse();
    months
}
