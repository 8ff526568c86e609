//! The real server as a process.
use std::{
    fmt::Write as _,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    api::Api,
    broker::free_port,
    process::{Process, Program},
    wait::{NeverCame, wait_for},
};
use crate::roles::{Executable, Role};

/// What a test or the demo decides about a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    pub program: Executable,
    pub dir: PathBuf,
    /// `None`: SQLite in `dir`.
    pub database: Option<String>,
    pub broker: String,
    /// TOML lines of a fleet file.
    pub fleet: String,
    /// Further TOML, whole sections.
    pub extra: String,
    pub unknown_kiosks: &'static str,
    pub open_access: bool,
    /// How often deadlines are looked at.
    pub sweep_ms: u32,
}

/// A server that can be killed and started again on the same ports and data.
#[derive(Debug)]
pub struct Server {
    program: Program,
    process: Option<Process>,
    pub http: SocketAddr,
    pub monitoring: SocketAddr,
    pub config: PathBuf,
    pub data_dir: PathBuf,
}

/// [`ServerOptions::sweep_ms`] where the product is measured: its default.
pub const DEFAULT_SWEEP_MS: u32 = 500;
/// The same where verdicts are waited for.
pub const QUICK_SWEEP_MS: u32 = 500;

/// Times of the quick settings that demo and tests share: verdicts within seconds.
pub const QUICK: &str = "
[presence]
missed_heartbeats = 3
site_hold_s = 3
settle_s = 3

[tickets]
recover_hold_s = 2
";

impl Server {
    /// Writes the configuration; does not start.
    pub fn new(options: &ServerOptions) -> io::Result<Self> {
        let dir = &options.dir;
        std::fs::create_dir_all(dir)?;
        let data_dir = dir.join("data");
        let fleet = dir.join("fleet.toml");
        std::fs::write(&fleet, &options.fleet)?;
        let (http, monitoring) = (local(free_port()?), local(free_port()?));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "[storage]\ndata_dir = {data_dir:?}\n\n[database]\nurl = {:?}\n\n[mqtt]\nurl = {:?}\n\n\
             [http]\nlisten = \"{http}\"\n\n[monitoring]\nlisten = \"{monitoring}\"\n\n\
             [fleet]\nunknown_kiosks = {:?}\nsweep_interval_ms = {}\nseed_file = {fleet:?}\n\n\
             [console]\nopen_access = {}\n{}",
            options.database.as_deref().unwrap_or(""),
            options.broker,
            options.unknown_kiosks,
            options.sweep_ms,
            options.open_access,
            options.extra,
        );
        let config = dir.join("server.toml");
        std::fs::write(&config, text)?;
        let mut program = Program::new(options.program.path(), dir.join("server.log"));
        program.args.extend(options.program.role(Role::Server).map(Into::into));
        let program = program
            .arg("serve")
            .arg("--config")
            .arg(&config)
            // As the unit starts it.
            .env("MALLOC_ARENA_MAX", "1")
            .env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=131072");
        Ok(Self { program, process: None, http, monitoring, config, data_dir })
    }

    /// In the server's environment from its next start on.
    pub fn set_env(&mut self, name: &str, value: impl Into<String>) {
        self.program.env.push((name.to_owned(), value.into()));
    }

    /// Starts and waits until the API answers.
    pub async fn start(&mut self) -> io::Result<()> {
        self.process = Some(self.program.start()?);
        self.answers(Duration::from_secs(30)).await.map_err(io::Error::other)
    }

    async fn answers(&mut self, limit: Duration) -> Result<(), NeverCame> {
        let monitoring = Api::new(self.monitoring);
        wait_for("the server to answer", limit, || async {
            match monitoring.get("/livez").await {
                Ok(reply) if reply.status == 200 => Ok(()),
                Ok(reply) => Err(format!("/livez says {}", reply.status)),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Waits until database and broker are there.
    pub async fn ready(&self, limit: Duration) -> Result<(), NeverCame> {
        let monitoring = Api::new(self.monitoring);
        wait_for("the server to be ready", limit, || async {
            match monitoring.get("/readyz").await {
                Ok(reply) if reply.status == 200 => Ok(()),
                Ok(reply) => Err(format!("{} {}", reply.status, reply.body)),
                Err(error) => Err(error),
            }
        })
        .await
    }

    pub fn api(&self) -> Api {
        Api::new(self.http)
    }

    pub fn monitoring_api(&self) -> Api {
        Api::new(self.monitoring)
    }

    /// SIGKILL.
    pub async fn kill(&mut self) -> io::Result<()> {
        match self.process.take() {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM. `Ok(true)`: it ended in order.
    pub async fn stop(&mut self) -> io::Result<bool> {
        match self.process.take() {
            Some(process) => process.stop(Duration::from_secs(12)).await,
            None => Ok(true),
        }
    }

    /// Whether the process that was started last is still there.
    pub fn process_runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::runs)
    }

    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.program.log).unwrap_or_default()
    }

    /// Runs another command of the server program with this server's configuration.
    pub async fn command(&self, args: &[&str]) -> io::Result<std::process::Output> {
        tokio::process::Command::new(&self.program.program)
            .arg(Role::Server.word())
            .args(args)
            .arg("--config")
            .arg(&self.config)
            .output()
            .await
    }

    /// The public key agents must trust.
    pub async fn signing_key(&self) -> io::Result<String> {
        let output = self.command(&["signing-key"]).await?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Where logs and data of one run go; removed with it unless kept.
#[derive(Debug)]
pub struct Workdir {
    path: PathBuf,
    keep: bool,
}

impl Workdir {
    pub fn new(name: &str) -> io::Result<Self> {
        let unique = uuid::Uuid::now_v7().simple().to_string();
        let path = std::env::temp_dir().join(format!("{name}-{}", &unique[20..]));
        std::fs::create_dir_all(&path)?;
        Ok(Self { path, keep: false })
    }

    pub fn at(path: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        Ok(Self { path, keep: true })
    }

    pub fn keep(&mut self) {
        self.keep = true;
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        if !self.keep && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
