//! A real Mosquitto at its defaults, on a free port.
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::net::TcpStream;

use super::{
    process::{Process, Program},
    wait::wait_for,
};

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct Mosquitto {
    program: Program,
    process: Option<Process>,
    address: SocketAddr,
}

impl Mosquitto {
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
        let program = Program::new(binary, dir.join("mosquitto.log")).arg("-c").arg(config);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut mosquitto = Self { program, process: None, address };
        mosquitto.restart().await?;
        Ok(mosquitto)
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

    /// Starts it again on the same port and waits until it answers.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill().await?;
        self.process = Some(self.program.start()?);
        let address = self.address;
        let listens =
            || async move { TcpStream::connect(address).await.map(drop).map_err(|e| e.to_string()) };
        wait_for("mosquitto to listen", Duration::from_secs(10), listens).await.map_err(io::Error::other)
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
