//! The server's HTTP API as a client sees it.
use std::{net::SocketAddr, time::Duration};

use serde_json::Value;

/// The metrics of 33,000 sites are more than the client's own 10 MB.
const MOST_BYTES: u64 = 256 << 20;

/// A caller of one server.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

/// The status and the body, JSON where it is JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

impl Api {
    pub fn new(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build()
            .into();
        Self { base: format!("http://{address}"), token: None, agent }
    }

    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// `GET`; the error is a sentence.
    pub async fn get(&self, path: &str) -> Result<Reply, String> {
        self.call("GET", path, None).await
    }

    /// `GET` that must answer 200.
    pub async fn json(&self, path: &str) -> Result<Value, String> {
        let reply = self.get(path).await?;
        if reply.status == 200 {
            Ok(reply.body)
        } else {
            Err(format!("GET {path}: {} {}", reply.status, reply.body))
        }
    }

    /// All pages of a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, String> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        let separator = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = self.json(&format!("{path}{separator}limit=200{cursor}")).await?;
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Reply, String> {
        self.call("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Result<Reply, String> {
        self.call("PUT", path, Some(body)).await
    }

    /// The body as text, whatever it is.
    pub async fn text(&self, path: &str) -> Result<String, String> {
        let reply = self.get(path).await?;
        Ok(reply.body.as_str().map_or_else(|| reply.body.to_string(), str::to_owned))
    }

    async fn call(&self, method: &'static str, path: &str, body: Option<Value>) -> Result<Reply, String> {
        let (agent, url, token) = (self.agent.clone(), self.url(path), self.token.clone());
        let told = format!("{method} {path}");
        let call = move || -> Result<Reply, ureq::Error> {
            let authorization = token.map(|token| format!("Bearer {token}"));
            let mut response = match body {
                None => {
                    let request = agent.get(&url);
                    match &authorization {
                        Some(value) => request.header("authorization", value),
                        None => request,
                    }
                    .call()?
                }
                Some(body) => {
                    let request = if method == "PUT" { agent.put(&url) } else { agent.post(&url) };
                    match &authorization {
                        Some(value) => request.header("authorization", value),
                        None => request,
                    }
                    .header("content-type", "application/json")
                    .send(body.to_string())?
                }
            };
            let status = response.status().as_u16();
            let text = response.body_mut().with_config().limit(MOST_BYTES).read_to_string()?;
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Ok(Reply { status, body })
        };
        match tokio::task::spawn_blocking(call).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(format!("{told}: {error}")),
            Err(error) => Err(format!("{told}: {error}")),
        }
    }
}
