//! The load generator: virtual kiosks, paced, beside a bare subscriber on the same broker.
//!
//! Saturated publishers starve a lone subscriber of Mosquitto, so the generator holds a rate instead of
//! pushing as hard as it can; what the bare subscriber receives in the same run is the yardstick.
pub mod agent;
pub mod all;
pub mod catchup;
pub mod delay;
pub mod direct;
pub mod fleet;
pub mod goal;
pub mod ingest;
pub mod kiosk;
pub mod limit;
pub mod line;
pub mod live;
pub mod options;
pub mod page;
pub mod process;
pub mod progress;
pub mod returning;
pub mod scale;
pub mod silence;
pub mod sites;
pub mod span;
pub mod stage;
pub mod storm;
pub mod tickets;

use std::process::ExitCode;

use clap::Parser as _;

use self::options::{Mode, Options};
use crate::roles;

/// The whole program, roles included.
pub fn main() -> ExitCode {
    if let Some(code) = roles::play(std::env::args_os()) {
        return code;
    }
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            crate::demo::complain(&format!("starting the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&options)) {
        Ok(report) => {
            crate::demo::tell(&report);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            crate::demo::complain(&problem);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<String, String> {
    match &options.mode {
        None => live::run(&options.live).await.map(|report| report.to_string()),
        Some(Mode::Direct(options)) => direct::run(options).await,
        Some(Mode::Catchup(options)) => catchup::run(options).await,
        Some(Mode::Storm(options)) => storm::run(options).await,
        Some(Mode::Limit(options)) => limit::run(options).await,
        Some(Mode::All(options)) => all::run(options).await,
        Some(Mode::Agent(options)) => agent::run(options).await,
        Some(Mode::OneSize { kiosks, postgres }) => scale::one_size(*kiosks, *postgres).await,
        Some(Mode::Seed { kiosks, url }) => ingest::seed(*kiosks, url).await.map(|()| String::new()),
    }
}
