//! The fleet in virtual time: seeds, random histories, stories that once failed, planted mistakes.
//!
//! `kioskwatch-sim` runs the same worlds by the hundred thousand; here it is what fits a test run.
mod histories;
mod mistakes;
mod regressions;
mod shortest;

use std::sync::Mutex;

use kioskwatch_tests::sim::{Failure, Story, many, shrink};

const MINUTE: i64 = 60_000;
/// Of the records at most one in so many may be missing because a server was restored to before their epoch was given
/// up.
const EXCUSED_ONE_IN: u64 = 2_000;

/// What a person needs to mend it: the seed, the shortest story, and what broke.
fn report(story: &Story, failure: Failure) -> String {
    let (short, failure) = shrink(story, failure);
    format!("seed {}:\n{short}\n{}\nas code: {short:?}", story.seed, failure.0.join("\n"))
}

/// Lives through the stories of many seeds, none of which may fail. Most of the kiosks' time is such that the evidence
/// can be held against what they were.
fn live_through(seeds: std::ops::Range<u64>, story: fn(u64) -> Story) {
    let first = Mutex::new(None);
    let keep = |story: &Story, failure| *first.lock().unwrap() = Some(report(story, failure));
    let total = many::live_through(seeds, 2, 1, story, keep);
    let failure = first.into_inner().unwrap();
    assert_eq!(failure, None, "{}", failure.as_deref().unwrap_or_default());
    let most = total.records / EXCUSED_ONE_IN;
    assert!(total.excused <= most, "too much was lost that a promise excuses: {total:?}");
    assert!(total.compared_s * 2 > total.lived_s, "hardly anything was compared: {total:?}");
    assert!(total.excuseless_s * 2 > total.lived_s, "hardly any verdict could be false: {total:?}");
    assert!(total.compared_episodes * 2 > total.episodes, "hardly any incident was compared: {total:?}");
    assert!(total.resolved * 2 > total.tickets, "hardly any ticket had to be resolved: {total:?}");
}

#[test]
fn lonely_kiosks_keep_every_promise() {
    live_through(0..SEEDS_ALONE, |seed| Story::of_seed(seed, 1, 20 * MINUTE));
}

#[test]
fn kiosks_in_company_keep_every_promise() {
    live_through(1_000_000..1_000_000 + SEEDS_TOGETHER, |seed| Story::of_seed(seed, 3, 40 * MINUTE));
}

#[test]
fn the_same_seed_is_the_same_world() {
    let story = Story::of_seed(4_711, 2, 30 * MINUTE);
    let (first, second) = (kioskwatch_tests::sim::trace(&story), kioskwatch_tests::sim::trace(&story));
    assert!(first.0.len() > 10 && first == second);
}

/// Some seconds of a debug build on two cores.
const SEEDS_ALONE: u64 = 2_400;
const SEEDS_TOGETHER: u64 = 240;
