//! When a kiosk counted at all: the stretches of its service (uptime definition 2.3). Between two of them it is
//! nobody's downtime.

use kioskwatch_proto::Timestamp;

use super::{known::Known, rows::span};
use crate::change::ServiceSpan;
use crate::interval::IntervalSet;

/// Nobody takes a terminal out of service and back more often; whoever does so is a program gone wild.
pub const MAX_STRETCHES: usize = 100;

/// Stretches of service by their beginning, none of which overlaps another. Each has a beginning; only the newest has
/// no end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commissioned(Vec<ServiceSpan>);

impl Commissioned {
    /// Stretches without a beginning count nothing and are left out.
    #[must_use]
    pub fn of(spans: impl IntoIterator<Item = ServiceSpan>) -> Self {
        let mut spans: Vec<_> = spans.into_iter().filter(|one| one.commissioned_at.is_some()).collect();
        spans.sort_by_key(|one| one.commissioned_at);
        Self(spans)
    }

    #[must_use]
    pub fn spans(&self) -> &[ServiceSpan] {
        &self.0
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Since when it has ever counted.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.0.first()?.commissioned_at
    }

    /// The one that runs, or ended last.
    #[must_use]
    pub fn newest(&self) -> Option<ServiceSpan> {
        self.0.last().copied()
    }

    /// The seconds that count at all.
    #[must_use]
    pub fn counted(&self) -> IntervalSet {
        let counted = |one: &ServiceSpan| Some(span(one.commissioned_at?, one.decommissioned_at));
        self.0.iter().filter_map(counted).collect()
    }

    /// What dates say anew of the stretches that are known: all that they overlap; none, where they are a further
    /// stretch.
    #[must_use]
    pub fn replaced_by(&self, told: ServiceSpan) -> Self {
        Self(self.0.iter().filter(|one| overlap(**one, told)).copied().collect())
    }

    /// The same once a kiosk whose row says `row` is given these dates. Without a beginning its own stretch is taken
    /// back, which is the newest; where its row has none already, nothing more is.
    ///
    /// # Errors
    /// As [`Self::told`].
    pub fn put(&self, now: Timestamp, row: ServiceSpan, told: ServiceSpan) -> Result<Self, String> {
        match self.0.split_last() {
            Some((own, before))
                if told.commissioned_at.is_none() && own.commissioned_at == row.commissioned_at =>
            {
                Ok(Self(before.to_vec()))
            }
            _ => self.told(now, told),
        }
    }

    /// The same with these dates in place of every stretch that they overlap; where they overlap none, with a further
    /// stretch. Without a beginning they say nothing.
    ///
    /// # Errors
    /// Dates that end before they begin, a further stretch while the newest has not ended, or one too many, in words.
    pub fn told(&self, now: Timestamp, told: ServiceSpan) -> Result<Self, String> {
        let Some(from) = told.commissioned_at else { return Ok(self.clone()) };
        told.check()?;
        // What says the newest anew is no return from it, also where it was called off: an end at its beginning.
        let left = self.newest().filter(|newest| !overlap(*newest, told));
        let ends = left.and_then(|newest| newest.decommissioned_at);
        if let Some(ends) = ends.filter(|ends| *ends > now && from >= *ends) {
            return Err(format!(
                "it is in service until {ends}: from when on it is again can be said once that has passed"
            ));
        }
        let apart = self.0.iter().filter(|one| !overlap(**one, told)).copied();
        let spans = Self::of(apart.chain([told]));
        match spans.0.len() > MAX_STRETCHES {
            true => {
                Err(format!("it was taken out of service and back {MAX_STRETCHES} times, which is the most"))
            }
            false => Ok(spans),
        }
    }
}

impl Known<Commissioned> {
    /// As it was noted before this second, else as the dates of its row say it; `None`: by now.
    #[must_use]
    pub fn or_of(&self, row: ServiceSpan, second: Option<i64>) -> Commissioned {
        self.before(second).cloned().unwrap_or_else(|| Commissioned::of([row]))
    }
}

/// A stretch of no length overlaps the one in which it lies, so that one can be said not to have been.
fn overlap(a: ServiceSpan, b: ServiceSpan) -> bool {
    let begins = |one: ServiceSpan| one.commissioned_at.map_or(i64::MAX, Timestamp::ms);
    let ends = |one: ServiceSpan| {
        one.decommissioned_at.map_or(i64::MAX, |end| end.ms().max(begins(one).saturating_add(1)))
    };
    begins(a) < ends(b) && begins(b) < ends(a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::Interval;

    const NOW: Timestamp = Timestamp(100_000);

    fn stretch(from: i64, to: impl Into<Option<i64>>) -> ServiceSpan {
        let at = |second: i64| Timestamp(second * 1_000);
        ServiceSpan { commissioned_at: Some(at(from)), decommissioned_at: to.into().map(at) }
    }

    fn dates(known: &Commissioned) -> Vec<(i64, Option<i64>)> {
        let secs = |one: &ServiceSpan| {
            (one.commissioned_at.unwrap().secs(), one.decommissioned_at.map(Timestamp::secs))
        };
        known.spans().iter().map(secs).collect()
    }

    #[test]
    fn who_comes_back_counts_before_and_after_and_not_between() {
        let away = Commissioned::of([stretch(10, 40)]);
        let back = away.told(NOW, stretch(70, None)).unwrap();
        assert_eq!(
            back.counted().intervals(),
            [Interval::new(10, 40), Interval::new(70, crate::interval::END)]
        );
        assert_eq!((back.first(), back.newest()), (Some(Timestamp(10_000)), Some(stretch(70, None))));
        // At the very instant it left.
        let at_once = away.told(NOW, stretch(40, None)).unwrap();
        assert_eq!(dates(&at_once), [(10, Some(40)), (40, None)]);
    }

    #[test]
    fn dates_say_anew_what_they_overlap_and_leave_the_rest() {
        let known = Commissioned::of([stretch(10, 40), stretch(70, None)]);
        for (told, replaced, is) in [
            (stretch(70, 90), vec![(70, None)], vec![(10, Some(40)), (70, Some(90))]),
            (stretch(60, None), vec![(70, None)], vec![(10, Some(40)), (60, None)]),
            (stretch(5, 30), vec![(10, Some(40))], vec![(5, Some(30)), (70, None)]),
            (stretch(10, None), vec![(10, Some(40)), (70, None)], vec![(10, None)]),
            (stretch(20, 20), vec![(10, Some(40))], vec![(20, Some(20)), (70, None)]),
            (stretch(50, 60), vec![], vec![(10, Some(40)), (50, Some(60)), (70, None)]),
            (known.newest().unwrap(), vec![(70, None)], vec![(10, Some(40)), (70, None)]),
        ] {
            assert_eq!(dates(&known.replaced_by(told)), replaced, "{told:?}");
            assert_eq!(dates(&known.told(NOW, told).unwrap()), is, "{told:?}");
        }
        assert_eq!(dates(&Commissioned::default().told(NOW, stretch(10, None)).unwrap()), [(10, None)]);
    }

    #[test]
    fn no_stretch_ends_before_it_begins() {
        for known in [vec![], vec![stretch(10, 40)], vec![stretch(10, 40), stretch(70, None)]] {
            let known = Commissioned::of(known);
            let refused = known.told(NOW, stretch(70, 60)).unwrap_err();
            assert!(refused.contains("decommissioned_at 1970-01-01T00:01:00.000Z lies before"), "{refused}");
        }
    }

    #[test]
    fn no_dates_take_back_the_stretch_of_the_row_and_none_but_that() {
        let (known, none) = (Commissioned::of([stretch(10, 40), stretch(70, None)]), ServiceSpan::default());
        let taken_back = known.put(NOW, stretch(70, None), none).unwrap();
        assert_eq!(dates(&taken_back), [(10, Some(40))]);
        for again in [none, ServiceSpan { decommissioned_at: Some(NOW), ..none }] {
            assert_eq!(taken_back.put(NOW, none, again).unwrap(), taken_back);
        }
        assert_eq!(dates(&taken_back.put(NOW, none, stretch(70, None)).unwrap()), dates(&known));
        assert_eq!(Commissioned::default().put(NOW, none, none).unwrap(), Commissioned::default());
    }

    #[test]
    fn a_return_is_said_after_the_end_and_not_without_end() {
        let leaves = Commissioned::of([stretch(10, 200)]);
        let refused = leaves.told(NOW, stretch(300, None)).unwrap_err();
        assert!(refused.contains("in service until 1970-01-01T00:03:20"), "{refused}");
        assert_eq!(dates(&leaves.told(NOW, stretch(10, 300)).unwrap()), [(10, Some(300))]);
        // One that lies ahead and was called off is the same when it is said again, and may be put anew.
        let called_off = Commissioned::of([stretch(10, 40), stretch(200, 200)]);
        assert_eq!(called_off.told(NOW, stretch(200, 200)), Ok(called_off.clone()));
        assert_eq!(dates(&called_off.told(NOW, stretch(200, None)).unwrap()), [(10, Some(40)), (200, None)]);
        assert!(called_off.told(NOW, stretch(300, None)).is_err());
        let many: Vec<_> = (0..100).map(|n| stretch(n * 10, n * 10 + 5)).collect();
        let refused = Commissioned::of(many).told(Timestamp(2_000_000), stretch(1_500, None)).unwrap_err();
        assert!(refused.contains("100 times"), "{refused}");
    }
}
