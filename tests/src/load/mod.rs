//! The load generator: virtual kiosks, paced, beside a bare subscriber on the same broker.
//!
//! Saturated publishers starve a lone subscriber of Mosquitto, so the generator holds a rate instead of
//! pushing as hard as it can; what the bare subscriber receives in the same run is the yardstick.
pub mod fleet;
pub mod measure;
pub mod options;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;

use self::measure::{Report, ServerProbe};
pub use self::options::Options;
use crate::{
    harness::{
        mosquitto::Mosquitto,
        postgres::Postgres,
        server::{Server, ServerOptions, Workdir},
    },
    roles,
};

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
            crate::demo::tell(&report.to_string());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            crate::demo::complain(&problem);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<Report, String> {
    let text = |error: std::io::Error| error.to_string();
    let dir = Workdir::new("kioskwatch-load").map_err(text)?;
    let mosquitto = Mosquitto::start(dir.path()).await.map_err(text)?;
    let postgres = options.postgres.then(Postgres::start);
    let database = match &postgres {
        Some(postgres) => Some(postgres.fresh_database().await),
        None => None,
    };
    let mut server = Server::new(&ServerOptions {
        program: std::env::current_exe().map_err(text)?,
        dir: dir.path().join("server"),
        database,
        broker: mosquitto.url(),
        fleet: String::new(),
        extra: String::new(),
        unknown_kiosks: "accept",
        open_access: true,
    })
    .map_err(text)?;
    server.start().await.map_err(text)?;
    server.ready(Duration::from_secs(20)).await.map_err(|e| e.to_string())?;

    let bare = fleet::BareSubscriber::start(mosquitto.address()).await?;
    let fleet = fleet::VirtualFleet::connect(options, mosquitto.address()).await?;
    fleet.introduce().await?;
    let probe = ServerProbe::start(&server, &bare).await?;
    let sent = fleet.play(Duration::from_secs(options.seconds)).await?;
    // What is in flight still counts; it is given a moment, the same for both readers.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let report = probe.finish(&server, &bare, sent, options).await?;
    server.stop().await.map_err(text)?;
    Ok(report)
}
