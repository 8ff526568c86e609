//! The way to the server.
use std::{io::BufRead, io::BufReader, path::Path, sync::Arc, time::Duration};

use serde_json::Value;
use ureq::{
    Agent, Body,
    http::Response,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

/// An ordinary answer comes within this time.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Figures of a large fleet may be counted from its evidence, and others may ask for such before us.
const COUNTING_TIMEOUT: Duration = Duration::from_secs(600);
/// The server's largest page.
const PAGE: &str = "200";
/// Rows a list is followed to; a script that needs more pages itself.
const MAX_ROWS: usize = 100_000;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("reading {path}")]
    File { path: String, source: std::io::Error },
    #[error("asking {url}: {source}")]
    Unreachable { url: String, source: Box<ureq::Error> },
    /// The server's own words.
    #[error("{detail} ({code})")]
    Refused { code: String, detail: String },
    #[error("the server answered what no Kioskwatch server says: {0}")]
    Strange(String),
    #[error("writing the answer: {0}")]
    Output(std::io::Error),
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::File { .. } => 2,
            _ => 1,
        }
    }
}

pub(super) struct Api {
    agent: Agent,
    server: String,
    token: Option<String>,
}

/// An event of a stream.
pub(super) struct StreamEvent {
    pub(super) name: String,
    pub(super) data: Value,
}

impl Api {
    pub(super) fn new(
        server: Option<String>,
        token: Option<String>,
        token_file: Option<&Path>,
        ca_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let server = server.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        let server = server.trim_end_matches('/').to_owned();
        if !server.starts_with("http://") && !server.starts_with("https://") {
            return Err(Failure::Usage(format!("--server: {server:?} is no http:// or https:// address")));
        }
        // A second installation in one process changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let token = match token_file {
            Some(path) => Some(read(path)?),
            None => token,
        };
        let roots = ca_file.map(authorities).transpose()?.unwrap_or(RootCerts::WebPki);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_connect(Some(TIMEOUT))
            .build();
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Ok(Self { agent: config.into(), server, token })
    }

    pub(super) fn get(&self, path: &str, query: &[(&str, Option<&str>)]) -> Result<Value, Failure> {
        json_of(self.request(path, query, Some(TIMEOUT))?)
    }

    /// As [`Self::get`], of what may have to be counted while we wait.
    pub(super) fn get_counted(&self, path: &str, query: &[(&str, Option<&str>)]) -> Result<Value, Failure> {
        json_of(self.request(path, query, Some(COUNTING_TIMEOUT))?)
    }

    /// All rows of a list, page by page, under `items`; what else the first page says stays.
    pub(super) fn all(&self, path: &str, query: &[(&str, Option<&str>)]) -> Result<Value, Failure> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.extend([("limit", Some(PAGE)), ("cursor", cursor.as_deref())]);
            let mut page = self.get(path, &query)?;
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                rows.extend(items);
            }
            cursor = page.get("next_cursor").and_then(Value::as_str).map(ToOwned::to_owned);
            if cursor.is_none() || rows.len() >= MAX_ROWS {
                page["items"] = Value::Array(rows);
                return Ok(page);
            }
        }
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let url = format!("{}/api/v1{path}", self.server);
        let mut request = self.agent.post(&url).config().timeout_global(Some(TIMEOUT)).build();
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let sent = request.send_json(body);
        json_of(sent.map_err(|source| Failure::Unreachable { url, source: Box::new(source) })?)
    }

    /// Events as they come, until the server ends the stream.
    pub(super) fn stream(&self, path: &str) -> Result<impl Iterator<Item = StreamEvent>, Failure> {
        let mut response = self.request(path, &[], None)?;
        if !response.status().is_success() {
            return Err(refusal(&mut response));
        }
        let mut lines = BufReader::new(response.into_body().into_reader()).lines();
        Ok(std::iter::from_fn(move || {
            let mut name = String::new();
            loop {
                let line = lines.next()?.ok()?;
                if let Some(text) = line.strip_prefix("event:") {
                    text.trim().clone_into(&mut name);
                } else if let Some(text) = line.strip_prefix("data:") {
                    let data = serde_json::from_str(text.trim()).unwrap_or(Value::Null);
                    return Some(StreamEvent { name: std::mem::take(&mut name), data });
                }
            }
        }))
    }

    fn request(
        &self,
        path: &str,
        query: &[(&str, Option<&str>)],
        timeout: Option<Duration>,
    ) -> Result<Response<Body>, Failure> {
        let url = format!("{}/api/v1{path}", self.server);
        let mut request = self.agent.get(&url).config().timeout_global(timeout).build();
        for (name, value) in query {
            if let Some(value) = value {
                request = request.query(*name, *value);
            }
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.call().map_err(|source| Failure::Unreachable { url, source: Box::new(source) })
    }
}

fn json_of(mut response: Response<Body>) -> Result<Value, Failure> {
    if !response.status().is_success() {
        return Err(refusal(&mut response));
    }
    response.body_mut().read_json().map_err(|error| Failure::Strange(error.to_string()))
}

fn refusal(response: &mut Response<Body>) -> Failure {
    let status = response.status();
    let problem: Value = response.body_mut().read_json().unwrap_or_default();
    match (problem["code"].as_str(), problem["detail"].as_str()) {
        (Some("unauthenticated"), _) => Failure::Refused {
            code: "unauthenticated".to_owned(),
            detail: "no valid token: set KIOSKWATCH_TOKEN or give --token-file".to_owned(),
        },
        (Some(code), Some(detail)) => Failure::Refused { code: code.to_owned(), detail: detail.to_owned() },
        _ => Failure::Strange(format!("HTTP {status}")),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let path_text = path.display().to_string();
    std::fs::read_to_string(path).map_err(|source| Failure::File { path: path_text, source })
}

fn authorities(path: &Path) -> Result<RootCerts, Failure> {
    let text = read(path)?;
    let mut certificates = Vec::new();
    for item in parse_pem(text.as_bytes()) {
        if let Ok(PemItem::Certificate(certificate)) = item {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(Failure::Usage(format!("--ca-file: {} holds no certificate", path.display())));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// An id as a part of a path: what could lead elsewhere is escaped, the server judges the rest.
pub(super) fn segment(id: &str) -> String {
    let mut text = String::new();
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_part_of_the_path() {
        assert_eq!(segment("K-1_a"), "K-1_a");
        assert_eq!(segment("../x?y#z"), "%2E%2E%2Fx%3Fy%23z");
    }

    #[test]
    fn an_address_that_is_none_is_wrong_usage() {
        let wrong = Api::new(Some("kiosk.test".into()), None, None, None);
        assert_eq!(wrong.err().map(|failure| failure.exit_code()), Some(2));
    }
}
