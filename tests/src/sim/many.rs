//! Many worlds at once, on every core.
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

use super::{Failure, Story, run};

/// What was in all worlds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    pub worlds: u64,
    pub failed: u64,
    pub records: u64,
    /// Milliseconds of the worlds, each counted once however many kiosks it has.
    pub world_ms: i64,
    pub kiosk_ms: i64,
    /// As [`Tally`](super::Tally) has them.
    pub excused: u64,
    pub lived_s: i64,
    pub excuseless_s: i64,
    pub compared_s: i64,
    pub episodes: u64,
    pub compared_episodes: u64,
    pub tickets: u64,
    pub resolved: u64,
}

impl Total {
    fn and(self, other: Self) -> Self {
        Self {
            worlds: self.worlds + other.worlds,
            failed: self.failed + other.failed,
            records: self.records + other.records,
            world_ms: self.world_ms + other.world_ms,
            kiosk_ms: self.kiosk_ms + other.kiosk_ms,
            excused: self.excused + other.excused,
            lived_s: self.lived_s + other.lived_s,
            excuseless_s: self.excuseless_s + other.excuseless_s,
            compared_s: self.compared_s + other.compared_s,
            episodes: self.episodes + other.episodes,
            compared_episodes: self.compared_episodes + other.compared_episodes,
            tickets: self.tickets + other.tickets,
            resolved: self.resolved + other.resolved,
        }
    }
}

/// Lives through the stories of all seeds on so many threads, and begins no more when so many have failed.
/// `failed` hears of each as it comes.
pub fn live_through(
    seeds: Range<u64>,
    threads: usize,
    most_failures: usize,
    story: impl Fn(u64) -> Story + Sync,
    failed: impl Fn(&Story, Failure) + Sync,
) -> Total {
    let (next, failures) = (AtomicU64::new(seeds.start), AtomicUsize::new(0));
    let some = || {
        let mut total = Total::default();
        while failures.load(Ordering::Relaxed) < most_failures {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let story = story(seed);
            total.worlds += 1;
            total.world_ms += story.length_ms;
            total.kiosk_ms += story.length_ms * i64::try_from(story.kiosks).unwrap_or(1);
            match run(&story) {
                Ok(tally) => {
                    total.records += tally.records as u64;
                    total.excused += tally.excused;
                    total.lived_s += tally.lived_s;
                    total.excuseless_s += tally.excuseless_s;
                    total.compared_s += tally.compared_s;
                    total.episodes += tally.episodes;
                    total.compared_episodes += tally.compared_episodes;
                    total.tickets += tally.tickets;
                    total.resolved += tally.resolved;
                }
                Err(failure) => {
                    total.failed += 1;
                    failures.fetch_add(1, Ordering::Relaxed);
                    failed(&story, failure);
                }
            }
        }
        total
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(some)).collect();
        let totals = all.into_iter().map(|one| match one.join() {
            Ok(total) => total,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        totals.fold(Total::default(), Total::and)
    })
}
