//! Runs worlds by seed and says which fail, with the shortest story that still does; or kills real processes.
use std::{io::Write as _, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use kioskwatch_tests::{
    chaos, roles,
    sim::{self, Mistake, Story, many, story::clock},
};

/// A fleet in virtual time: crashes, losses, restored backups; exit code 1 when a promise breaks.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
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
    /// Worlds at one time; as many as there are cores unless given.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Chaos(chaos::Options),
}

fn main() -> ExitCode {
    if let Some(code) = roles::play(std::env::args_os()) {
        return code;
    }
    let arguments = Arguments::parse();
    let outcome = match &arguments.command {
        Some(Command::Chaos(options)) => kill(options),
        None => run(&arguments),
    };
    match outcome {
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
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into));
    let told = |story: &Story, failure| report(story, failure, arguments.no_shrink);
    let total = many::live_through(from..to, threads.unwrap_or(1), arguments.failures, story, told);
    let seconds = begun.elapsed().as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let a_minute = |ms: i64| ms as f64 / 86_400_000.0 / seconds * 60.0;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let rate = total.worlds as f64 / seconds;
    let many::Total { worlds, failed, records, world_ms, kiosk_ms, lived_s, compared_s, .. } = total;
    let compared = 100 * compared_s / lived_s.max(1);
    let excuseless = 100 * total.excuseless_s / lived_s.max(1);
    let episodes = 100 * total.compared_episodes / total.episodes.max(1);
    say(&format!(
        "{worlds} seeds of {from}..{to}: {failed} failed, {records} records ({} excused), evidence and figures compared with the \
         truth for {compared} % of the kiosks' time, no silence to be excused in {excuseless} % of it, and incidents for {episodes} % of {} episodes, {seconds:.1} s, {rate:.0} seeds/s, a minute: {:.0} simulated days, \
         {:.0} kiosk days",
        total.excused,
        total.episodes,
        a_minute(world_ms),
        a_minute(kiosk_ms)
    ));
    Ok(failed == 0)
}

/// The kill loop.
fn kill(options: &chaos::Options) -> Result<bool, String> {
    let program = std::env::current_exe().map_err(|error| format!("finding this program: {error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("starting the runtime: {error}"))?;
    let verdict = runtime.block_on(chaos::run(&program, options, say));
    // Blocking calls of the API client may still wait for their time-out.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let verdict = verdict?;
    say(&verdict.to_string());
    Ok(verdict.all_right())
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
