//! Certificates from the script that ships with the product, and a door of Mosquitto that asks for them.
use std::path::{Path, PathBuf};

use rumqttc::Transport;

use super::broker::free_port;

/// Two authorities, the broker's certificate, and those of kiosks.
#[derive(Debug)]
pub struct Tls {
    dir: PathBuf,
    /// Where Mosquitto lets kiosks in by certificate.
    pub port: u16,
}

impl Tls {
    /// In `dir`, which is made, with a certificate for each of the kiosks.
    ///
    /// # Errors
    /// What the script or openssl says.
    pub fn new(dir: PathBuf, kiosks: &[&str]) -> Result<Self, String> {
        let tls = Self { port: free_port().map_err(|e| e.to_string())?, dir };
        tls.certificates(&["init"])?;
        tls.certificates(&[&["kiosk"], kiosks].concat())?;
        Ok(tls)
    }

    fn certificates(&self, arguments: &[&str]) -> Result<(), String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mosquitto/certificates");
        let output = std::process::Command::new(&script).arg(&self.dir).args(arguments).output();
        let output = output.map_err(|e| format!("{}: {e}", script.display()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{}: {}", script.display(), String::from_utf8_lossy(&output.stderr)))
    }

    /// Lines of Mosquitto's configuration, after which nothing follows that is meant for everybody.
    pub fn listener(&self) -> String {
        format!(
            "listener {} 127.0.0.1\ncafile {1}/kiosk-ca.pem\ncertfile {1}/broker.pem\nkeyfile {1}/broker.key\n\
             require_certificate true\ntls_version tlsv1.3\nuser root\n",
            self.port,
            self.dir.display()
        )
    }

    /// What a kiosk believes.
    pub fn authority(&self) -> PathBuf {
        self.dir.join("server-ca.pem")
    }

    /// Certificate and key.
    pub fn identity(&self, kiosk: &str) -> [PathBuf; 2] {
        ["pem", "key"].map(|ending| self.dir.join(format!("kiosks/{kiosk}.{ending}")))
    }

    /// As agents make it, for every connection anew: nothing of an earlier one shortens the handshake.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn transport(&self, kiosk: &str) -> Result<Transport, String> {
        let read = |path: &Path| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
        let [certificate, key] = self.identity(kiosk);
        Ok(Transport::tls(read(&self.authority())?, Some((read(&certificate)?, read(&key)?)), None))
    }
}
