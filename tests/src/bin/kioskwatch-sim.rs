//! Runs worlds by seed and says which fail, with the shortest story that still does.
use std::{io::Write as _, process::ExitCode};

use clap::Parser;
use kioskwatch_tests::sim::{self, Mistake, Story, story::clock};

/// A fleet in virtual time: crashes, losses, restored backups; exit code 1 when a promise breaks.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seeds to live through, `A..B` without `B`.
    #[arg(long, default_value = "0..1000")]
    seeds: String,
    #[arg(long, default_value_t = 3)]
    kiosks: usize,
    /// Simulated days of trouble in each world.
    #[arg(long, default_value_t = 0.1)]
    days: f64,
    /// Tell everything that happens in the world of this seed.
    #[arg(long)]
    trace: Option<u64>,
    /// With `--trace`: of its shortest story that still fails.
    #[arg(long)]
    short: bool,
    /// Plant this mistake (a name such as `AckBeforeCommit`), to see it found.
    #[arg(long)]
    mistake: Option<String>,
    /// Do not look for a shorter story.
    #[arg(long)]
    no_shrink: bool,
    /// Go on after a failing seed, up to this many.
    #[arg(long, default_value_t = 1)]
    failures: usize,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(wrong) => {
            say(&wrong);
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let (from, to) = arguments
        .seeds
        .split_once("..")
        .and_then(|(from, to)| Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?)))
        .ok_or_else(|| format!("{:?} are no seeds like 0..1000", arguments.seeds))?;
    let mistake = match &arguments.mistake {
        None => None,
        Some(name) => {
            let known = Mistake::ALL.iter().find(|mistake| format!("{mistake:?}") == *name);
            Some(*known.ok_or_else(|| format!("the mistakes are {:?}", Mistake::ALL))?)
        }
    };
    #[expect(clippy::cast_possible_truncation, reason = "days as milliseconds")]
    let length_ms = (arguments.days * 86_400_000.0) as i64;
    let story = |seed| Story { mistake, ..Story::of_seed(seed, arguments.kiosks, length_ms.max(60_000)) };
    if let Some(seed) = arguments.trace {
        let story = story(seed);
        let failure = sim::run(&story).err().filter(|_| arguments.short);
        return Ok(tell(&failure.map_or(story.clone(), |failure| sim::shrink(&story, failure).0)));
    }
    #[expect(clippy::disallowed_methods, reason = "how fast the simulation is, for people")]
    let begun = std::time::Instant::now();
    let (mut failed, mut records, mut lived, mut seeds) = (0, 0, 0_i64, 0_u32);
    for seed in from..to {
        let story = story(seed);
        seeds += 1;
        lived += story.length_ms * i64::try_from(story.kiosks).unwrap_or(1);
        match sim::run(&story) {
            Ok(tally) => records += tally.records,
            Err(failure) => {
                failed += 1;
                report(&story, failure, arguments.no_shrink);
                if failed >= arguments.failures {
                    break;
                }
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let days = lived as f64 / 86_400_000.0;
    say(&format!(
        "{seeds} seeds of {from}..{to}: {failed} failed, {records} records, {seconds:.1} s, {:.0} seeds/s, {:.0} kiosk days/min",
        f64::from(seeds) / seconds,
        days / seconds * 60.0
    ));
    Ok(failed == 0)
}

fn tell(story: &Story) -> bool {
    say(&story.to_string());
    let (lines, outcome) = sim::trace(story);
    lines.iter().for_each(|line| say(line));
    match outcome {
        Ok(tally) => say(&format!("held: {tally:?}")),
        Err(failure) => {
            failure.0.iter().for_each(|problem| say(&format!("BROKEN: {problem}")));
            return false;
        }
    }
    true
}

fn report(story: &Story, failure: sim::Failure, as_it_is: bool) {
    say(&format!(
        "seed {} fails ({} happenings, {})",
        story.seed,
        story.events.len(),
        clock(story.length_ms)
    ));
    failure.0.iter().take(3).for_each(|problem| say(&format!("  {problem}")));
    if as_it_is {
        return;
    }
    let (short, failure) = sim::shrink(story, failure);
    say(&format!("the shortest story that still fails:\n{short}"));
    failure.0.iter().for_each(|problem| say(&format!("  {problem}")));
    say(&format!("as code: {short:?}"));
}

fn say(line: &str) {
    // A closed pipe is no reason to panic.
    let _ = writeln!(std::io::stdout(), "{line}");
}
