//! Months in a row against the target.
use kioskwatch_domain::uptime::{Figures, Month, Ratio};

use super::{
    super::{bar::percent, texts::Texts},
    measure::Measure,
    title,
};

/// Height of the drawing area, in pixels, and what stands above it.
const HEIGHT: i64 = 120;
const TOP: i64 = 14;
/// Percent of the width that the scale takes on the left, and where the last month stands.
const LEFT: i64 = 14;
const RIGHT: i64 = 96;
/// Where the scale may begin, in ten-thousandths: the highest that leaves no month out of sight.
const FLOORS: [i64; 9] = [9_990, 9_950, 9_900, 9_800, 9_500, 9_000, 8_000, 5_000, 0];

/// A row of months.
#[derive(Debug)]
pub(crate) struct Trend {
    pub(crate) height: i64,
    pub(crate) points: Vec<Point>,
    pub(crate) lines: Vec<Line>,
    pub(crate) scale: Vec<Mark>,
    pub(crate) target_y: i64,
    pub(crate) baseline: i64,
    pub(crate) spoken: String,
}

/// A month to draw, with what was promised for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    pub(crate) month: Month,
    pub(crate) ratio: Ratio,
    pub(crate) target: (i64, i64),
    /// Too little of it is known.
    pub(crate) insufficient: bool,
}

impl Judged {
    pub(super) fn of(month: Month, measure: Measure, figures: &Figures, target: (i64, i64)) -> Self {
        Self { month, ratio: measure.of(figures), target, insufficient: figures.has_insufficient_data() }
    }
}

/// One month.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) month: Month,
    pub(crate) x: String,
    /// `None`: no time was counted in that month.
    pub(crate) y: Option<i64>,
    pub(crate) label: String,
    pub(crate) text: String,
    pub(crate) below: bool,
    /// Marked by a question mark behind its label.
    pub(crate) insufficient: bool,
    pub(crate) chosen: bool,
    /// Where the part of the chart that leads to this month begins, and how wide it is.
    pub(crate) hit_x: String,
    pub(crate) hit_width: String,
}

/// From one month to the next.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) x1: String,
    pub(crate) y1: i64,
    pub(crate) x2: String,
    pub(crate) y2: i64,
}

/// A line of the scale.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) y: i64,
    pub(crate) label: String,
}

impl Trend {
    /// `months` are in order; the line is drawn at `target`, a fraction.
    pub(crate) fn draw(t: &'static Texts, months: &[Judged], chosen: Month, target: (i64, i64)) -> Self {
        let floor = floor(months, target);
        let y = |ratio: Ratio| {
            TOP + HEIGHT * (ratio.den - ratio.num) * 10_000 / (ratio.den.max(1) * (10_000 - floor))
        };
        let count = i64::try_from(months.len()).unwrap_or(1).max(1);
        // In hundredths of a percent, the middle of each month's share of the width.
        let x = |index: i64, half: i64| LEFT * 100 + (RIGHT - LEFT) * 100 * (2 * index + half) / (2 * count);
        let at = |hundredths: i64| percent(hundredths, 10_000);
        let points: Vec<Point> = months
            .iter()
            .zip(0..)
            .map(|(&Judged { month, ratio, target, insufficient }, index)| Point {
                month,
                x: at(x(index, 1)),
                y: (ratio.den > 0).then(|| y(ratio)),
                label: format!("{}{}", month.month(), if insufficient { "?" } else { "" }),
                text: match insufficient {
                    true => format!("{}: {} ({})", title(t, month), ratio.display(), t.coverage_low),
                    false => format!("{}: {}", title(t, month), ratio.display()),
                },
                below: ratio.den > 0 && !ratio.meets(target.0, target.1),
                insufficient,
                chosen: month == chosen,
                hit_x: at(x(index, 0)),
                hit_width: at(x(index, 2) - x(index, 0)),
            })
            .collect();
        let pairs = points.iter().zip(points.iter().skip(1));
        let lines = pairs
            .filter_map(|(a, b)| Some(Line { x1: a.x.clone(), y1: a.y?, x2: b.x.clone(), y2: b.y? }))
            .collect();
        let middle = (10_000 + floor) / 2;
        let scale = [10_000, middle, floor]
            .map(|value| Mark { y: y(Ratio::new(value, 10_000)), label: short(value) })
            .into();
        let said: Vec<&str> = points.iter().filter(|p| p.y.is_some()).map(|p| p.text.as_str()).collect();
        Self {
            height: TOP + HEIGHT + 26,
            target_y: y(Ratio::new(target.0, target.1)),
            baseline: TOP + HEIGHT,
            spoken: said.join("; "),
            points,
            lines,
            scale,
        }
    }

    pub(crate) fn has_insufficient(&self) -> bool {
        self.points.iter().any(|point| point.insufficient)
    }

    /// Whether there is more than a single month to see.
    pub(crate) fn is_a_row(&self) -> bool {
        self.points.iter().filter(|point| point.y.is_some()).count() > 1
    }
}

/// The highest begin of the scale that shows every month and the target above it.
fn floor(months: &[Judged], (a, b): (i64, i64)) -> i64 {
    let shows = |floor: i64| {
        let above = |ratio: &Ratio| ratio.den == 0 || ratio.meets(floor, 10_000);
        months.iter().all(|one| above(&one.ratio)) && a * 10_000 > floor * b
    };
    FLOORS.into_iter().find(|floor| shows(*floor)).unwrap_or(0)
}

/// `99.5%`: hundredths only where they are needed.
fn short(ten_thousandths: i64) -> String {
    let text = format!("{}.{:02}", ten_thousandths / 100, ten_thousandths % 100);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Language;

    fn trend(ratios: &[(i64, i64)]) -> Trend {
        let first: Month = "2026-01".parse().unwrap();
        let months = std::iter::successors(Some(first), |month| Some(month.next()));
        let judged = |(month, (num, den)): (Month, &(i64, i64))| Judged {
            month,
            ratio: Ratio::new(*num, *den),
            target: if *den == 1_000 { (999, 1_000) } else { (99, 100) },
            insufficient: *num == 97,
        };
        let months: Vec<_> = months.zip(ratios).map(judged).collect();
        Trend::draw(Texts::of(Language::En), &months, first, (99, 100))
    }

    #[test]
    fn the_scale_begins_below_the_worst_month_and_the_target() {
        assert_eq!(trend(&[(999, 1_000), (1, 1)]).scale[2].label, "98%");
        assert_eq!(trend(&[(985, 1_000)]).scale[2].label, "98%");
        assert_eq!(trend(&[(3, 10)]).scale[2].label, "0%");
        assert_eq!(trend(&[(999, 1_000)]).scale[1].label, "99%");
    }

    #[test]
    fn a_month_without_time_is_a_gap_and_one_below_the_target_is_marked() {
        let trend = trend(&[(1, 1), (0, 0), (98, 100), (99, 100)]);
        assert_eq!(trend.points.iter().map(|p| p.below).collect::<Vec<_>>(), [false, false, true, false]);
        assert_eq!(trend.points[1].y, None);
        assert_eq!(trend.lines.len(), 1, "no line over a gap");
        assert_eq!(trend.points[0].y, Some(TOP));
        assert_eq!(trend.points[3].y, Some(trend.target_y));
        assert!(trend.is_a_row());
        let below: Vec<_> = self::trend(&[(995, 1_000), (99, 100)]).points.iter().map(|p| p.below).collect();
        assert_eq!(below, [true, false], "each by what was promised for it");
    }

    #[test]
    fn a_month_of_which_too_little_is_known_says_so_beside_its_figure() {
        let trend = trend(&[(97, 100), (98, 100)]);
        let said: Vec<_> = trend.points.iter().map(|p| (p.label.as_str(), p.text.as_str())).collect();
        assert_eq!(
            said,
            [("1?", "January 2026: 97.00% (insufficient data)"), ("2", "February 2026: 98.00%")]
        );
        assert!(trend.has_insufficient() && trend.spoken.contains("97.00% (insufficient data)"));
    }
}
