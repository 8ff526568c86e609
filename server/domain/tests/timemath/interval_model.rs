//! Interval algebra against sets of single seconds.

use std::collections::BTreeSet;

use kioskwatch_domain::interval::{BEGINNING, END, Interval, IntervalSet};
use proptest::prelude::*;

const SPAN: i64 = 60;

fn intervals() -> impl Strategy<Value = Vec<Interval>> {
    // Reversed and empty ones included: they paint nothing.
    let one = (0..SPAN, -3..12_i64).prop_map(|(from, length)| Interval::new(from, from + length));
    prop::collection::vec(one, 0..9)
}

fn seconds(intervals: &[Interval]) -> BTreeSet<i64> {
    intervals.iter().flat_map(|one| one.from..one.to).collect()
}

/// The set holds exactly these seconds, and is in its only form: sorted, disjoint, not touching.
fn same(set: &IntervalSet, model: &BTreeSet<i64>) -> Result<(), TestCaseError> {
    prop_assert_eq!(&seconds(set.intervals()), model);
    prop_assert!(set.intervals().iter().all(|one| one.from < one.to));
    prop_assert!(set.intervals().windows(2).all(|two| two[0].to < two[1].from));
    prop_assert_eq!(set.length(), i64::try_from(model.len()).unwrap());
    for t in -2..SPAN + 14 {
        prop_assert_eq!(set.contains(t), model.contains(&t));
        prop_assert_eq!(set.first_from(t), model.range(t..).next().copied());
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_algebra_is_that_of_sets(a in intervals(), b in intervals(), from in 0..SPAN, length in 0..30_i64) {
        let (x, y): (IntervalSet, IntervalSet) = (a.iter().copied().collect(), b.iter().copied().collect());
        let (p, q) = (seconds(&a), seconds(&b));
        same(&x, &p)?;
        same(&x.union(&y), &p.union(&q).copied().collect())?;
        same(&x.intersect(&y), &p.intersection(&q).copied().collect())?;
        same(&x.subtract(&y), &p.difference(&q).copied().collect())?;
        let clip = Interval::new(from, from + length);
        same(&x.clip(clip), &p.iter().copied().filter(|t| clip.contains(*t)).collect())?;
        prop_assert_eq!(seconds(x.shifted(-7).intervals()), p.iter().map(|t| t - 7).collect::<BTreeSet<_>>());
        prop_assert_eq!(x.subtract(&y).union(&x.intersect(&y)), x);
    }
}

#[test]
fn bounds_without_end_have_a_length() {
    let all = IntervalSet::always();
    assert_eq!(IntervalSet::of(Interval::new(i64::MIN, i64::MAX)), all);
    assert_eq!(all.length(), END - BEGINNING);
    assert_eq!(all.subtract(&IntervalSet::of(Interval::new(0, 10))).length(), END - BEGINNING - 10);
    assert!(IntervalSet::empty().is_empty() && IntervalSet::empty().first_from(0).is_none());
}
