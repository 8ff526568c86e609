//! The command line of `kioskwatch-server`.
use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};
use kioskwatch_domain::{
    cases::{self, CaseKind},
    wall,
};
use tokio::sync::watch;

use crate::{
    auth::Role,
    check,
    config::{self, Config},
    explain, files, run, signing,
    store::{AuditVerdict, Scope, Store},
};

/// Server of Kioskwatch: watches a fleet of self-service terminals, opens tickets, tracks uptime.
#[derive(Debug, Parser)]
#[command(name = "kioskwatch-server", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// Configuration file; without it, keys come from KIOSKWATCH__SECTION__KEY.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(ConfigFile),
    /// Check the configuration and print what is in force, without secrets.
    CheckConfig(ConfigFile),
    /// Print a complete, commented configuration.
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Bring the database schema up to date.
    Migrate(ConfigFile),
    /// Read every page of the database and say what is wrong with it; also beside a running server.
    Check(ConfigFile),
    /// Access tokens for API and console.
    Token {
        #[command(subcommand)]
        what: TokenCommand,
    },
    /// Print the public key that agents list under [commands] keys.
    SigningKey(ConfigFile),
    /// Show how a deadline, a figure or an inspection date came about.
    Explain {
        #[command(subcommand)]
        what: explain::Explain,
    },
    /// Compute a table of worked examples with the code that runs the service; one JSON line per case.
    Evaluate {
        /// uptime, sla or inspection.
        #[arg(value_parser = case_kind)]
        kind: CaseKind,
        file: PathBuf,
    },
    /// The record of who did what.
    Audit {
        #[command(subcommand)]
        what: AuditCommand,
    },
    /// Run the embedded broker alone.
    #[cfg(feature = "embedded-broker")]
    Broker {
        /// Address to listen on; port 0 lets the system choose.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1883")]
        listen: std::net::SocketAddr,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the sample configuration.
    Sample,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Walk the hash chain and say whether it is unbroken.
    Verify(ConfigFile),
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it once.
    Create {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose or what for.
        #[arg(long)]
        name: String,
        /// What it may do.
        #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.iter().map(|role| role.as_str())))]
        role: String,
        /// Sites it may see, separated by commas; default all.
        #[arg(long, value_delimiter = ',')]
        sites: Vec<String>,
        /// Ends after this many days.
        #[arg(long)]
        expires_days: Option<u32>,
    },
    /// Show all tokens, without their secrets.
    List(ConfigFile),
    /// Take a token back; it opens nothing any more.
    Revoke {
        #[command(flatten)]
        file: ConfigFile,
        /// Its id, as `token list` shows it.
        id: uuid::Uuid,
    },
}

fn case_kind(text: &str) -> Result<CaseKind, String> {
    CaseKind::named(text).ok_or_else(|| "expected uptime, sla or inspection".to_owned())
}

/// Exit codes that others rely on.
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// What went wrong, and whose it is to mend.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Wrong usage or configuration.
    Usage(String),
    Failed(String),
}

impl Problem {
    pub(crate) fn failed(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        Self::Failed(text)
    }
}

/// Runs the program; `args` begin with its name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows where each goes.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match execute(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let (code, text) = match problem {
                Problem::Usage(text) => (USAGE, text),
                Problem::Failed(text) => (FAILED, text),
            };
            let _ = writeln!(io::stderr(), "kioskwatch-server: {text}");
            ExitCode::from(code)
        }
    }
}

fn execute(command: Command) -> Result<(), Problem> {
    match command {
        Command::Serve(file) => {
            let config = load(file.config.as_deref())?;
            init_logging();
            block_on(async { serve(config).await })
        }
        Command::CheckConfig(file) => {
            let config = load(file.config.as_deref())?;
            let mut wrong: Vec<String> = files::check(&config).iter().map(ToString::to_string).collect();
            wrong.extend(run::policy(&config).err().map(|error| error.to_string()));
            // The policy needs the calendar, and ends with the first of both that is wrong.
            wrong.extend(run::calendar(&config).err().map(|error| error.to_string()));
            wrong.dedup();
            if !wrong.is_empty() {
                let path = file.config.as_deref();
                let placed: Vec<String> = wrong.iter().map(|one| config::placed(path, one)).collect();
                return Err(Problem::Usage(placed.join("\n")));
            }
            print(&config.redacted())
        }
        Command::Config { what: ConfigCommand::Sample } => print(config::SAMPLE),
        Command::Migrate(file) => {
            let config = load(file.config.as_deref())?;
            block_on(async {
                let store = open(&config).await?;
                store.close().await;
                print("the database schema is up to date\n")
            })
        }
        Command::Check(file) => {
            let config = load(file.config.as_deref())?;
            block_on(async { check::run(&config).await })
        }
        Command::Token { what: TokenCommand::Create { file, name, role, sites, expires_days } } => {
            let config = load(file.config.as_deref())?;
            block_on(async {
                let store = open_beside(&config).await?;
                let now = crate::clock::Clock::start().now();
                let request = crate::auth::NewToken { name, role, sites, expires_days };
                let secret = crate::auth::create_token(&store, now, request)
                    .await
                    .map_err(|e| Problem::Usage(e.to_string()))?;
                store.close().await;
                print(&format!("{secret}\n"))
            })
        }
        Command::Token { what: TokenCommand::List(file) } => {
            let config = load(file.config.as_deref())?;
            block_on(async {
                let store = open_to_read(&config).await?;
                let mut text = String::new();
                let zone = config.console.timezone.parse().unwrap_or(chrono_tz::UTC);
                for token in store.tokens().await.map_err(Problem::failed)? {
                    let sites = match &token.scope {
                        Scope::All => "all sites".to_owned(),
                        Scope::Sites(sites) => {
                            sites.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
                        }
                    };
                    let end = match (token.revoked_at, token.expires_at) {
                        (Some(at), _) => format!("revoked {}", wall::told(zone, at)),
                        (None, Some(at)) => format!("until {}", wall::told(zone, at)),
                        (None, None) => "no end".to_owned(),
                    };
                    let (id, name, role) = (token.id, token.name, token.role);
                    text.push_str(&format!("{id}  {role:<10}  {name:<24}  {sites}  {end}\n"));
                }
                store.close().await;
                print(&text)
            })
        }
        Command::Token { what: TokenCommand::Revoke { file, id } } => {
            let config = load(file.config.as_deref())?;
            block_on(async {
                let store = open_beside(&config).await?;
                let now = crate::clock::Clock::start().now();
                let revoked = crate::auth::revoke_token(&store, now, id).await.map_err(Problem::failed)?;
                store.close().await;
                if revoked {
                    print("revoked\n")
                } else {
                    Err(Problem::Failed(format!("no token {id} to revoke")))
                }
            })
        }
        Command::SigningKey(file) => {
            let config = load(file.config.as_deref())?;
            std::fs::create_dir_all(&config.storage.data_dir)
                .map_err(|e| Problem::Failed(format!("making {}: {e}", config.storage.data_dir.display())))?;
            let (file, is_new) = (config.signing_key_file(), !config.signing_key_file().exists());
            let signer = signing::load_or_make(&file, &config.commands.key_id).map_err(Problem::failed)?;
            if is_new {
                let _ = writeln!(io::stderr(), "made a new key: {}", file.display());
            }
            print(&format!("{}\n", signer.public_text()))
        }
        Command::Explain { what } => explain::run(what),
        Command::Evaluate { kind, file } => evaluate(kind, &file),
        Command::Audit { what: AuditCommand::Verify(file) } => {
            let config = load(file.config.as_deref())?;
            block_on(async {
                let store = open_to_read(&config).await?;
                let verdict = store.verify_audit().await.map_err(Problem::failed)?;
                store.close().await;
                match verdict {
                    AuditVerdict::Intact { entries, hash } => {
                        print(&format!("intact: {entries} entries, ending with {hash}\n"))
                    }
                    AuditVerdict::Broken { seq, what } => {
                        Err(Problem::Failed(format!("the audit chain is broken at entry {seq}: {what}")))
                    }
                }
            })
        }
        #[cfg(feature = "embedded-broker")]
        Command::Broker { listen } => {
            init_logging();
            block_on(async {
                let broker = crate::broker::Broker::start(listen).await.map_err(Problem::failed)?;
                print(&format!("{}\n", broker.address()))?;
                let mut stop = stop_signal();
                let _ = stop.wait_for(|stop| *stop).await;
                Ok(())
            })
        }
    }
}

async fn serve(config: Config) -> Result<(), Problem> {
    let stop = stop_signal();
    run::serve(config, stop, |addresses| {
        tracing::info!("console and API at http://{}", addresses.http);
        crate::notify_ready();
    })
    .await
    .map_err(|error| match error.is_configuration() {
        true => Problem::Usage(error.to_string()),
        false => Problem::failed(error),
    })
}

fn evaluate(kind: CaseKind, file: &Path) -> Result<(), Problem> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Problem::Usage(format!("reading {}: {e}", file.display())))?;
    let computed =
        cases::evaluate_each(kind, &text).map_err(|e| Problem::Usage(format!("{}: {e}", file.display())))?;
    let mut bad = 0;
    for case in computed {
        match case {
            Ok(line) => print(&format!("{line}\n"))?,
            Err(error) => {
                bad += 1;
                let _ = writeln!(io::stderr(), "{}: {error}", file.display());
            }
        }
    }
    if bad == 0 { Ok(()) } else { Err(Problem::Failed(format!("{bad} cases cannot be evaluated"))) }
}

pub(crate) fn load(path: Option<&Path>) -> Result<Config, Problem> {
    Config::load(path).map_err(|e| Problem::Usage(e.to_string()))
}

async fn open(config: &Config) -> Result<Store, Problem> {
    std::fs::create_dir_all(&config.storage.data_dir)
        .map_err(|e| Problem::Failed(format!("making {}: {e}", config.storage.data_dir.display())))?;
    Store::open(&config.database_url()).await.map_err(Problem::failed)
}

/// Opens a database that is there, beside a server that may be running: no lease, no migration.
async fn open_beside(config: &Config) -> Result<Store, Problem> {
    Store::open_beside(&config.database_url()).await.map_err(Problem::failed)
}

/// The same for a command that writes nothing.
pub(crate) async fn open_to_read(config: &Config) -> Result<Store, Problem> {
    Store::open_to_read(&config.database_url()).await.map_err(Problem::failed)
}

pub(crate) fn print(text: &str) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        // Whoever read us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Problem::Failed(format!("writing to standard output: {error}"))),
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Problem::Failed(format!("starting the runtime: {e}")))?;
    runtime.block_on(future)
}

fn init_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("KIOSKWATCH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,mqtt5=warn,sqlx=warn"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}

/// Turns true at the first SIGTERM or SIGINT; a second one ends the process at once.
fn stop_signal() -> watch::Receiver<bool> {
    use tokio::signal::unix::{SignalKind, signal};
    let (tell, stop) = watch::channel(false);
    tokio::spawn(async move {
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return;
        };
        for round in 0..2 {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if round == 0 {
                tracing::info!("stopping");
                let _ = tell.send(true);
            } else {
                std::process::exit(i32::from(FAILED));
            }
        }
    });
    stop
}
