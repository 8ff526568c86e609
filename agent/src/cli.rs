//! The command line. `main` and any program that carries an agent inside it call [`main_with_args`].
mod arguments;

use std::{
    error::Error,
    ffi::OsString,
    fmt::Write as _,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use self::arguments::Command;
use crate::{
    config::{self, Config, Environment},
    journal, mqtt, probe, run,
};

/// The work failed.
const FAILED: u8 = 1;
/// Wrong usage or configuration.
const WRONG: u8 = 2;

/// How a command ended when it did not succeed.
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn wrong(error: &dyn Error) -> Self {
        Self { code: WRONG, text: chain(error) }
    }
    fn failed(error: &dyn Error) -> Self {
        Self { code: FAILED, text: chain(error) }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // A transparent error repeats its cause.
        if !text.ends_with(&error.to_string()) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {error}");
        }
        cause = error.source();
    }
    text
}

/// Runs one command line of the agent, first argument included, and says how it ended: 0 done, 1 failed,
/// 2 wrong usage or configuration. Reads the process's environment and writes to its standard output.
pub fn main_with_args<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let done = match arguments::parse(args.into_iter().map(Into::into).skip(1)) {
        Ok(command) => execute(command),
        Err(error) => {
            Err(Failure { code: WRONG, text: format!("{error}\n\nFor more information, try '--help'.") })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            drop(writeln!(io::stderr(), "kioskwatch-agent: {text}"));
            ExitCode::from(code)
        }
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    let out = &mut io::stdout();
    match command {
        Command::Run(file) => run_agent(&load(file.as_deref())?),
        Command::CheckConfig(file) => {
            let config = load(file.as_deref())?;
            let files = mqtt::check_files(&config.kiosk.id, &config.mqtt).map_err(|error| error.to_string());
            let wrong = [files, journal::check_place(&config.journal.path)];
            let wrong = wrong.into_iter().filter_map(Result::err);
            let told: Vec<String> = wrong.map(|one| config::placed(file.as_deref(), &one)).collect();
            if !told.is_empty() {
                return Err(Failure { code: WRONG, text: told.join("\n") });
            }
            print(out, &config.to_string())
        }
        Command::Probe(file) => {
            let config = load(file.as_deref())?;
            let all =
                runtime()?.block_on(probe::probe_once(&config, out)).map_err(|e| Failure::failed(&e))?;
            if all {
                return Ok(());
            }
            Err(Failure { code: FAILED, text: "not every owned device answered".into() })
        }
        Command::JournalExport(file) => {
            let config = load(file.as_deref())?;
            journal::export(&config.journal.path, out).map(|_| ()).map_err(|e| Failure::failed(&e))
        }
        Command::ConfigSample => print(out, config::SAMPLE),
        // Whoever reads the first lines only is served.
        Command::Help => print(out, arguments::HELP).or(Ok(())),
        Command::Version => {
            print(out, concat!("kioskwatch-agent ", env!("CARGO_PKG_VERSION"), "\n")).or(Ok(()))
        }
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes()).map_err(|e| Failure::failed(&e))
}

fn load(file: Option<&Path>) -> Result<Config, Failure> {
    config::load(file, Environment::of_process()).map_err(|e| Failure::wrong(&e))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Looking up names and holders of ports: rare, and each idle thread costs memory.
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|e| Failure::failed(&e))
}

fn run_agent(config: &Config) -> Result<(), Failure> {
    start_log(&config.log.level);
    // A second one in the same process is refused, and is the same.
    drop(rustls::crypto::ring::default_provider().install_default());
    let running = async { run::run(config, run::Stop::from_signals()?).await };
    runtime()?.block_on(running).map_err(|error| match &error {
        run::RunError::Start(start) if start.is_configuration() => Failure::wrong(&error),
        _ => Failure::failed(&error),
    })
}

/// To standard error; the service manager adds the time.
fn start_log(level: &str) {
    // Levels by module and no more: the richer filter costs half a megabyte of pattern matching.
    let filter: Targets = level.parse().unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let subscriber = tracing_subscriber::registry().with(lines).with(filter);
    // Already set when several agents share a process.
    drop(subscriber.try_init());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(args: &[&str]) -> ExitCode {
        main_with_args(std::iter::once("kioskwatch-agent").chain(args.iter().copied()))
    }

    #[test]
    fn exit_codes_tell_usage_from_failure() {
        assert_eq!(code(&["--version"]), ExitCode::SUCCESS);
        assert_eq!(code(&["config", "sample"]), ExitCode::SUCCESS);
        assert_eq!(code(&["frobnicate"]), ExitCode::from(WRONG));
        assert_eq!(code(&["check-config", "--config", "/no/such/file"]), ExitCode::from(WRONG));
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/sample.toml");
        // Nobody has brought the certificates it names.
        assert_eq!(code(&["check-config", "--config", sample]), ExitCode::from(WRONG));
        assert_eq!(code(&["journal", "export", "--config", sample]), ExitCode::from(FAILED));
    }
}
