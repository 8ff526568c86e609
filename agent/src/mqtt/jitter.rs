//! The pause before a connection is tried again, spread so that a fleet does not return as one.
use std::time::Duration;

/// First limit of the pause; doubled each time, up to the configured most.
const BASE_MS: u64 = 1_000;

/// Full jitter: anything from nothing to the limit after so many attempts that failed in a row.
pub fn pause(failures: u32, most_ms: u64) -> Duration {
    let limit = limit_ms(failures, most_ms);
    let ms = getrandom::u32().map_or(limit, |random| u64::from(random) * limit / u64::from(u32::MAX));
    Duration::from_millis(ms)
}

fn limit_ms(failures: u32, most_ms: u64) -> u64 {
    (BASE_MS << failures.min(20)).min(most_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_doubles_up_to_the_most() {
        for (failures, limit) in [(0, 1_000), (1, 2_000), (6, 64_000), (7, 120_000), (u32::MAX, 120_000)] {
            assert_eq!(limit_ms(failures, 120_000), limit, "{failures}");
            let most = Duration::from_millis(limit);
            assert!((0..100).all(|_| pause(failures, 120_000) <= most), "{failures}");
        }
    }

    #[test]
    fn pauses_are_spread_over_all_of_it() {
        let pauses: Vec<_> = (0..1_000).map(|_| pause(10, 1_000).as_millis()).collect();
        for quarter in 0..4 {
            let (from, to) = (quarter * 250, quarter * 250 + 250);
            let within = pauses.iter().filter(|ms| (from..to).contains(*ms)).count();
            assert!(within > 150, "{within} of 1,000 between {from} and {to} ms");
        }
    }
}
