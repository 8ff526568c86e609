//! The fleet in a box: a real broker, server and agents on emulated devices, and a story that checks itself.
//!
//! Nothing here is a mock. Every agent, the server and the broker are processes of their own; the devices are
//! byte-exact emulators on pseudo-terminals; a line can be cut, a plug pulled, a process killed.
pub mod cast;
pub mod options;
pub mod screen;
pub mod story;
pub mod truth;
pub mod verdict;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use tokio::sync::watch;

use self::{
    cast::Cast,
    screen::Screen,
    story::{Ended, Story},
};
pub use self::{
    options::Options,
    screen::{complain, tell},
};

/// The whole program, roles included.
pub fn main() -> ExitCode {
    if let Some(code) = crate::roles::play(std::env::args_os()) {
        return code;
    }
    let options = match Options::try_parse().map(Options::check) {
        Ok(Ok(options)) => options,
        Ok(Err(problem)) => {
            complain(&problem);
            return ExitCode::from(2);
        }
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("starting the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(play(options));
    // Blocking calls of the API client may still wait for their time-out.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

/// `Ok(true)`: every line of the table is right, or the visitor ended the show.
async fn play(options: Options) -> Result<bool, String> {
    let screen = Screen::new();
    screen.headline(&options);
    let (interrupt, mut interrupted) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = interrupt.send(true);
        }
        // A second one does not wait for anybody.
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    let cast = tokio::select! {
        cast = Cast::assemble(&options, &screen) => cast?,
        _ = interrupted.wait_for(|stop| *stop) => return Ok(true),
    };
    let mut story = Story::new(cast, screen.clone());
    let ended = story.play(options.length.unwrap_or(options::SHORTEST), &interrupted).await;
    let verdict = match ended {
        Ok(Ended::Played) => Some(story.verdict().await),
        Ok(Ended::Interrupted) | Err(_) => None,
    };
    if let Some(verdict) = &verdict {
        screen.table(verdict);
        if options.length.is_none() {
            screen.line("the story is over; the console stays open until Ctrl-C");
            story.stay(&interrupted).await;
        }
    }
    story.curtain(&options).await;
    ended?;
    let Some(verdict) = verdict else {
        screen.line("stopped");
        return Ok(true);
    };
    Ok(verdict.all_right())
}
