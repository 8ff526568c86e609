//! When a peripheral is asked: a steady grid, spread over the fleet and over the kiosk by names alone.
use crate::drivers::Mono;

/// FNV-1a: the same names give the same number on every machine and in every version.
pub(crate) fn spread(names: &[&str]) -> u64 {
    let bytes = names.iter().flat_map(|name| name.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Times `phase`, `phase + interval`, `phase + 2·interval` …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    interval: u64,
    phase: u64,
}

impl Grid {
    pub(crate) fn new(interval_ms: u64, seed: u64) -> Self {
        let interval = interval_ms.max(1);
        Self { interval, phase: seed % interval }
    }

    /// The first time of the grid after `now`.
    pub(crate) fn after(&self, now: Mono) -> Mono {
        let into = (now + self.interval - self.phase) % self.interval;
        now + self.interval - into
    }
}

/// When the next probe is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    grid: Grid,
    due: Mono,
}

impl Schedule {
    pub(crate) fn new(grid: Grid, first: Mono) -> Self {
        Self { grid, due: first }
    }

    pub(crate) fn due(&self) -> Mono {
        self.due
    }

    /// A probe begins: the next one is on the grid.
    pub(crate) fn begun(&mut self, now: Mono) {
        self.due = self.grid.after(now);
    }

    /// A doubt is to be looked at again by then.
    pub(crate) fn by(&mut self, at: Mono) {
        self.due = self.due.min(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_steady_and_strictly_ahead() {
        let grid = Grid::new(1_000, 300);
        assert_eq!(grid.after(0), 300);
        assert_eq!(grid.after(300), 1_300);
        assert_eq!(grid.after(1_299), 1_300);
        for now in 0..5_000 {
            let next = grid.after(now);
            assert!(next > now && next <= now + 1_000 && next % 1_000 == 300, "{now}: {next}");
        }
    }

    #[test]
    fn names_spread_evenly_enough() {
        let mut buckets = [0; 10];
        for n in 0..1_000 {
            let at = spread(&[&format!("K-{n}"), "printer"]) % 10_000 / 1_000;
            buckets[usize::try_from(at).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|n| (60..140).contains(n)), "{buckets:?}");
    }

    #[test]
    fn two_names_are_not_their_concatenation() {
        assert_ne!(spread(&["ab", "c"]), spread(&["a", "bc"]));
    }
}
