//! Prometheus and Alertmanager with the files of `deploy`, quick enough for a test, and somebody who is called.
use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    api::Api,
    broker::free_port,
    process::{Process, Program},
};

fn deploy() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy"))
}

/// A Prometheus with our rules that scrapes one server.
///
/// # Errors
/// When a file cannot be read or written, or the Debian package prometheus is not there.
pub fn prometheus(
    dir: &Path,
    server: SocketAddr,
    alertmanager: Option<SocketAddr>,
) -> io::Result<(Process, Api)> {
    for name in ["recording.yml", "alerts.yml"] {
        let text = std::fs::read_to_string(deploy().join("prometheus/rules").join(name))?;
        std::fs::write(dir.join(name), without_waiting(&text))?;
    }
    let targets = |address: SocketAddr| json!([{"targets": [address.to_string()]}]);
    let receivers = alertmanager.map(|address| json!({"static_configs": targets(address)}));
    let config = json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["recording.yml", "alerts.yml"],
        "alerting": {"alertmanagers": receivers.into_iter().collect::<Vec<_>>()},
        "scrape_configs": [{"job_name": "kioskwatch", "static_configs": targets(server)}],
    });
    // JSON is YAML.
    let file = dir.join("prometheus.yml");
    std::fs::write(&file, config.to_string())?;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let process = Program::new("prometheus", dir.join("prometheus.log"))
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("prometheus").display()))
        .arg(format!("--web.listen-address={address}"))
        .start()?;
    Ok((process, Api::new(address)))
}

/// Nobody waits a minute here, neither for a rule nor for a condition to last.
fn without_waiting(rules: &str) -> String {
    let quick = |line: &str| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 1s\n"),
        _ => line.replace("interval: 1m", "interval: 1s") + "\n",
    };
    rules.lines().map(quick).collect()
}

/// An Alertmanager with our routes and inhibitions; every receiver is the webhook.
///
/// # Errors
/// When a file cannot be read or written, or the Debian package prometheus-alertmanager is not there.
pub fn alertmanager(dir: &Path, webhook: &Webhook) -> io::Result<(Process, SocketAddr)> {
    let mut config = std::fs::read_to_string(deploy().join("alertmanager/alertmanager.yml"))?
        .replace("group_wait: 30s", "group_wait: 0s")
        .replace("group_interval: 5m", "group_interval: 1s");
    for receiver in ["desk", "on-call", "dead-man"] {
        let url = format!("http://{}/", webhook.address);
        config = config.replace(&format!("https://{receiver}.example/kioskwatch"), &url);
    }
    let file = dir.join("alertmanager.yml");
    std::fs::write(&file, config)?;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let process = Program::new("prometheus-alertmanager", dir.join("alertmanager.log"))
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.path={}", dir.join("alertmanager").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .start()?;
    Ok((process, address))
}

/// Whom Alertmanager calls; keeps what it is told.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Value>>>,
    listens: JoinHandle<()>,
}

impl Webhook {
    /// # Errors
    /// When there is no free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let told = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&told);
        let listens = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                // Whoever is cut off calls again.
                if let Ok(message) = hear(caller).await {
                    keep.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(message);
                }
            }
        });
        Ok(Self { address, told, listens })
    }

    /// The labels of an alert that `receiver` was told of in this `status`; else what was told instead.
    ///
    /// # Errors
    /// While it was not told.
    pub fn was_told(&self, receiver: &str, status: &str, alert: &str) -> Result<Value, String> {
        let told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let alerts = told.iter().filter(|message| message["receiver"] == receiver);
        alerts
            .flat_map(|message| message["alerts"].as_array().into_iter().flatten())
            .find(|told| told["status"] == status && told["labels"]["alertname"] == alert)
            .map(|told| told["labels"].clone())
            .ok_or_else(|| Value::from(told.clone()).to_string())
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.listens.abort();
    }
}

/// One request with a body of JSON.
async fn hear(caller: TcpStream) -> io::Result<Value> {
    let mut caller = BufReader::new(caller);
    let (mut line, mut length) = (String::new(), 0);
    while caller.read_line(&mut line).await? > 0 && !line.trim().is_empty() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    caller.read_exact(&mut body).await?;
    caller.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
    serde_json::from_slice(&body).map_err(io::Error::other)
}
