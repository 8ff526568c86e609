//! A broker on a free port that can be killed and started again: a real Mosquitto at its defaults, or one of
//! our own that cannot be trusted.
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;
use tokio::net::TcpStream;

use super::{
    process::{Process, Program},
    wait::wait_for,
};
use crate::{roles::Role, treachery::Odds};

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct Broker {
    program: Program,
    process: Option<Process>,
    address: SocketAddr,
}

impl Broker {
    /// A Mosquitto.
    ///
    /// # Errors
    /// Also when Mosquitto is not installed, saying which package has it.
    pub async fn start(dir: &Path) -> io::Result<Self> {
        Self::start_with(dir, "").await
    }

    /// The same with further lines of configuration.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(dir: &Path, extra: &str) -> io::Result<Self> {
        let binary = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"]
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "no mosquitto: install the Debian package mosquitto")
            })?;
        let port = free_port()?;
        let config = dir.join("mosquitto.conf");
        std::fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\n{extra}"))?;
        Self::run(Program::new(binary, dir.join("mosquitto.log")).arg("-c").arg(config), port).await
    }

    /// `program` plays [`Role::TreacherousBroker`].
    pub async fn treacherous(program: &Path, dir: &Path, seed: u64, odds: &Odds) -> io::Result<Self> {
        let port = free_port()?;
        let program = Program::new(program, dir.join("broker.log"))
            .arg(Role::TreacherousBroker.word())
            .arg("--listen")
            .arg(local(port).to_string())
            .arg("--seed")
            .arg(seed.to_string());
        Self::run(odds.args().into_iter().fold(program, Program::arg), port).await
    }

    async fn run(program: Program, port: u16) -> io::Result<Self> {
        let mut broker = Self { program, process: None, address: local(port) };
        broker.restart().await?;
        Ok(broker)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    pub async fn kill(&mut self) -> io::Result<()> {
        match self.process.take() {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Starts it again on the same port and waits until it answers.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill().await?;
        self.process = Some(self.program.start()?);
        let address = self.address;
        let listens =
            || async move { TcpStream::connect(address).await.map(drop).map_err(|e| e.to_string()) };
        wait_for("the broker to listen", Duration::from_secs(10), listens).await.map_err(io::Error::other)
    }

    /// From now on a treacherous broker is an honest one, until it is started again.
    pub fn become_honest(&self) -> io::Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::USR1))
    }

    /// A treacherous broker forgets the subscriptions of whoever listens to many kiosks; their connections live.
    pub fn forget_subscriptions(&self) -> io::Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::USR2))
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A port that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
