//! Would the simulation notice? Known mistakes are planted around the product, and it must find each.
use kioskwatch_tests::sim::{Mistake, Story, run};

use super::MINUTE;

/// Seeds within which a mistake must show. Most show within the first ten; those that need a restored disk
/// and bad luck take some hundred.
const SEEDS: u64 = 1_500;

fn found_after(mistake: Mistake) -> Option<u64> {
    (0..SEEDS).find(|&seed| {
        let story = Story { mistake: Some(mistake), ..Story::of_seed(seed, 2, 72 * MINUTE) };
        run(&story).is_err()
    })
}

#[test]
fn every_planted_mistake_is_found() {
    let halves = Mistake::ALL.split_at(Mistake::ALL.len() / 2);
    let search = |mistakes: &'static [Mistake]| {
        move || mistakes.iter().map(|&mistake| (mistake, found_after(mistake))).collect::<Vec<_>>()
    };
    let found = std::thread::scope(|scope| {
        let other = scope.spawn(search(halves.1));
        let mut found = search(halves.0)();
        found.extend(other.join().unwrap());
        found
    });
    let missed: Vec<_> = found.iter().filter(|(_, seed)| seed.is_none()).collect();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}; the others: {found:?}");
}
