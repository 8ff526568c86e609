//! One emulated terminal: a receipt printer, a UPS and a bill acceptor on pseudo-terminals, and the real agent.
use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::process::{Process, Program};
use crate::{
    emulator::{Acceptor, Printer, Ups},
    roles::Role,
};

/// The journal has a directory of its own, so that a test can copy it, or fill its disk.
const JOURNAL_DIR: &str = "journal";
const JOURNAL: &str = "journal.sqlite";
const SOCKET: &str = "local.sock";

/// What a test or the demo decides about a kiosk.
#[derive(Debug, Clone)]
pub struct KioskOptions {
    /// The executable that plays [`Role::Agent`].
    pub program: PathBuf,
    pub dir: PathBuf,
    pub id: String,
    /// `mqtt://host:port`
    pub broker: String,
    /// Public keys of servers whose commands are obeyed.
    pub keys: Vec<String>,
    pub heartbeat_s: u32,
    pub probe_s: f64,
    /// Further TOML, whole sections.
    pub extra: String,
}

/// A terminal that can lose power, boot, and be looked into.
pub struct Kiosk {
    pub id: String,
    pub printer: Printer,
    pub ups: Ups,
    pub acceptor: Acceptor,
    pub dir: PathBuf,
    program: Program,
    agent: Option<Process>,
    boot_id_file: PathBuf,
}

impl std::fmt::Debug for Kiosk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kiosk").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Kiosk {
    /// Starts the devices and writes the agent's configuration; the machine is off.
    pub fn new(options: &KioskOptions) -> io::Result<Self> {
        let dir = options.dir.join(&options.id);
        std::fs::create_dir_all(dir.join(JOURNAL_DIR))?;
        let printer = Printer::start(&dir, "printer")?;
        let ups = Ups::start(&dir, "ups")?;
        let acceptor = Acceptor::start(&dir, "acceptor")?;
        let boot_id_file = dir.join("boot_id");
        let config = dir.join("agent.toml");
        let paths = [printer.path(), ups.path(), acceptor.path()];
        std::fs::write(&config, agent_config(options, &dir, &boot_id_file, paths))?;
        let program = Program::new(&options.program, dir.join("agent.log"))
            .arg(Role::Agent.word())
            .arg("run")
            .arg("--config")
            .arg(config);
        Ok(Self { id: options.id.clone(), printer, ups, acceptor, dir, program, agent: None, boot_id_file })
    }

    /// Power comes: the devices start, the machine boots with a new boot id, the agent runs.
    pub fn boot(&mut self) -> io::Result<()> {
        self.printer.power_on();
        self.ups.power_on();
        self.acceptor.power_on();
        std::fs::write(&self.boot_id_file, uuid::Uuid::new_v4().to_string())?;
        self.start_agent()
    }

    /// Starts the agent of a running machine.
    pub fn start_agent(&mut self) -> io::Result<()> {
        self.agent = Some(self.program.start()?);
        Ok(())
    }

    /// The plug is pulled: nothing gets a word in.
    pub async fn lose_power(&mut self) -> io::Result<()> {
        self.kill_agent().await?;
        self.printer.power_off();
        self.ups.power_off();
        self.acceptor.power_off();
        Ok(())
    }

    /// SIGKILL of the agent alone; the machine stays on.
    pub async fn kill_agent(&mut self) -> io::Result<()> {
        match self.agent.take() {
            Some(agent) => agent.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM of the agent.
    pub async fn stop_agent(&mut self) -> io::Result<bool> {
        match self.agent.take() {
            Some(agent) => agent.stop(Duration::from_secs(12)).await,
            None => Ok(true),
        }
    }

    /// In the agent's environment from its next start on.
    pub fn set_env(&mut self, name: &str, value: impl Into<String>) {
        self.program.env.push((name.to_owned(), value.into()));
    }

    /// Where the application speaks to the agent.
    pub fn socket(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    pub fn agent(&mut self) -> Option<&mut Process> {
        self.agent.as_mut()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.program.log).unwrap_or_default()
    }

    /// The journal's database.
    pub fn journal(&self) -> PathBuf {
        self.journal_dir().join(JOURNAL)
    }

    /// Where the journal and nothing else is.
    pub fn journal_dir(&self) -> PathBuf {
        self.dir.join(JOURNAL_DIR)
    }

    /// Bytes the agent must never have sent, by device.
    pub fn violations(&self) -> Vec<String> {
        let told = |device: &str, rule: &str| format!("{} {device}: {rule}", self.id);
        let mut all: Vec<String> = Vec::new();
        all.extend(self.printer.violations().iter().map(|v| told("printer", v.rule)));
        all.extend(self.ups.violations().iter().map(|v| told("ups", v.rule)));
        all.extend(self.acceptor.violations().iter().map(|v| told("acceptor", v.rule)));
        all
    }
}

fn agent_config(options: &KioskOptions, dir: &Path, boot_id_file: &Path, ports: [&Path; 3]) -> String {
    let [printer, ups, acceptor] = ports;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "[kiosk]\nid = {:?}\nheartbeat_interval_s = {}\nboot_id_file = {boot_id_file:?}\n\n\
         [gate]\napplication = \"none\"\n\n\
         [mqtt]\nurl = {:?}\nreconnect_max_s = 2\n\n\
         [journal]\npath = {:?}\ntick_s = 1\n\n\
         [local_api]\nsocket = {:?}\n\n\
         [commands]\nkeys = {:?}\n{}",
        options.id,
        options.heartbeat_s,
        options.broker,
        dir.join(JOURNAL_DIR).join(JOURNAL),
        dir.join(SOCKET),
        options.keys,
        options.extra,
    );
    let mut device = |name: &str, kind: &str, driver: &str, port: &Path, required: bool| {
        let _ = write!(
            text,
            "\n[[peripheral]]\nname = {name:?}\nkind = {kind:?}\ndriver = {driver:?}\nmode = \"owned\"\n\
             port = {port:?}\nrequired = {required}\nprobe_interval_s = {:?}\nconfirm_interval_s = {:?}\n",
            options.probe_s,
            options.probe_s / 4.0,
        );
    };
    device("printer", "printer", "escpos", printer, true);
    device("ups", "ups", "megatec", ups, false);
    device("acceptor", "bill_acceptor", "ccnet", acceptor, true);
    text
}
