//! `[mqtt]`: the broker, and how this kiosk proves who it is.
use std::{fmt, path::PathBuf};

use super::Section;

#[derive(Debug, Clone)]
pub struct Mqtt {
    pub endpoint: Endpoint,
    pub tls: Tls,
    /// The file holds the password, so that no configuration does.
    pub password_file: Option<PathBuf>,
    pub username: Option<String>,
    pub keep_alive_s: u16,
    pub connect_timeout_s: u16,
    /// Longest pause between two attempts to connect, before it is spread at random.
    pub reconnect_max_ms: u64,
    /// Without an ack for this long, though there is something to acknowledge, the client is built anew.
    pub stalled_after_ms: u64,
}

/// Files of the kiosk's certificate; `ca_file` alone trusts the broker, all three are mutual.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

/// Where the broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        if self.host.contains(':') {
            return write!(f, "{scheme}://[{}]:{}", self.host, self.port);
        }
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Endpoint {
    fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
        let tls = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err("its scheme is neither mqtt nor mqtts"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err("it holds a user or password");
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| "its port is no number from 1 to 65535")?)
            }
            _ => (rest, if tls { 8883 } else { 1883 }),
        };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || host.contains(['/', '?', '#', ' ']) || port == 0 {
            return Err("it names no host");
        }
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

impl Mqtt {
    pub(super) fn read(mut section: Section) -> Option<Self> {
        const URL: &str = "mqtts://broker.example:8883 or mqtt://127.0.0.1:1883 is right";
        const FILE: &str = "the path of a PEM file is right";
        let endpoint = section.need::<String>("url", URL).and_then(|url| {
            Endpoint::parse(&url.value).map_err(|what| section.wrong(&url.place, "url", what, URL)).ok()
        });
        let mut file = |key, right| section.take::<PathBuf>(key, right);
        let ca_file = file("ca_file", FILE);
        let cert_file = file("cert_file", FILE);
        let key_file = file("key_file", FILE);
        let password_file = file("password_file", "the path of a file with the password is right");
        let tls = endpoint.as_ref().map(|endpoint| endpoint.tls);
        if tls == Some(false)
            && let Some(found) = ca_file.as_ref().or(cert_file.as_ref()).or(key_file.as_ref())
        {
            let right = "write mqtts:// in [mqtt] url to use certificates";
            section.wrong(&found.place, "ca_file, cert_file, key_file", "the url is not TLS", right);
        }
        if tls == Some(true) && ca_file.is_none() {
            section.missing("ca_file", "name the PEM file of the authority that signed the broker");
        }
        if cert_file.is_some() != key_file.is_some() {
            section.missing("cert_file or key_file", "a certificate and its key belong together");
        }
        let username = section.take("username", "a text is right").map(|found| found.value);
        let keep_alive_s = section.within("keep_alive_s", 5..=600, 25);
        let connect_timeout_s = section.within("connect_timeout_s", 1..=120, 10);
        let reconnect_max_ms = section.seconds("reconnect_max_s", 0.1..=3600.0).unwrap_or(120_000);
        let stalled_after_ms = section.seconds("stalled_after_s", 1.0..=86_400.0).unwrap_or(300_000);
        section.finish();
        Some(Self {
            endpoint: endpoint?,
            tls: Tls {
                ca_file: ca_file.map(|f| f.value),
                cert_file: cert_file.map(|f| f.value),
                key_file: key_file.map(|f| f.value),
            },
            password_file: password_file.map(|f| f.value),
            username,
            keep_alive_s,
            connect_timeout_s,
            reconnect_max_ms,
            stalled_after_ms,
        })
    }
}
