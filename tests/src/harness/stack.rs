//! Broker, server and kiosks together with one call, as a journey needs them.
use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{
    api::Api,
    broker::Broker,
    kiosk::{Kiosk, KioskOptions},
    proxy::Proxy,
    server::{QUICK, QUICK_SWEEP_MS, Server, ServerOptions, Workdir},
    wait::wait_until,
};
use crate::{roles::Executable, treachery::Odds};

/// Long enough for two loaded cores; nothing waits this long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a test decides before anything starts.
#[derive(Debug, Clone)]
pub struct Plan {
    program: PathBuf,
    kiosks: Vec<(String, String)>,
    database: Option<String>,
    unknown_kiosks: &'static str,
    settings: String,
    data_dir: Option<PathBuf>,
    server_env: Vec<(&'static str, String)>,
    server_over_a_line: bool,
    /// Seed and odds; Mosquitto unless given.
    treachery: Option<(u64, Odds)>,
    /// Of Mosquitto; everybody may do everything unless given.
    rights: Option<&'static str>,
}

/// A running fleet. Everything ends with it; after a panic its directory stays and the logs are shown.
#[derive(Debug)]
pub struct Stack {
    pub kiosks: Vec<Kiosk>,
    pub server: Server,
    pub broker: Broker,
    /// Sites by name, each with its line to the broker.
    pub lines: Vec<(String, Proxy)>,
    /// The server's own, if the plan has one.
    pub server_line: Option<Proxy>,
    pub dir: Workdir,
    program: PathBuf,
    key: String,
}

impl Plan {
    /// `program` plays the roles of [`crate::roles`].
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            kiosks: Vec::new(),
            database: None,
            unknown_kiosks: "accept",
            settings: QUICK.to_owned(),
            data_dir: None,
            server_env: Vec::new(),
            server_over_a_line: false,
            treachery: None,
            rights: None,
        }
    }

    /// A registered kiosk, all its devices well.
    #[must_use]
    pub fn kiosk(mut self, id: &str, site: &str) -> Self {
        self.kiosks.push((id.to_owned(), site.to_owned()));
        self
    }

    /// SQLite unless given.
    #[must_use]
    pub fn database(mut self, url: String) -> Self {
        self.database = Some(url);
        self
    }

    #[must_use]
    pub fn unknown_kiosks(mut self, policy: &'static str) -> Self {
        self.unknown_kiosks = policy;
        self
    }

    /// In place of the quick settings: whole sections.
    #[must_use]
    pub fn settings(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.settings);
        self
    }

    /// The server's directory, in place of one beside everything else.
    #[must_use]
    pub fn server_dir(mut self, dir: PathBuf) -> Self {
        self.data_dir = Some(dir);
        self
    }

    /// The server reaches the broker over a line that can fail too.
    #[must_use]
    pub fn server_over_a_line(mut self) -> Self {
        self.server_over_a_line = true;
        self
    }

    /// In the server's environment.
    #[must_use]
    pub fn server_env(mut self, env: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.server_env.extend(env);
        self
    }

    /// A broker that cannot be trusted, in place of Mosquitto.
    #[must_use]
    pub fn treacherous_broker(mut self, seed: u64, odds: Odds) -> Self {
        self.treachery = Some((seed, odds));
        self
    }

    /// What Mosquitto lets everybody do, as its `acl_file` says it.
    #[must_use]
    pub fn rights(mut self, rights: &'static str) -> Self {
        self.rights = Some(rights);
        self
    }

    /// Starts everything and waits until every kiosk is online and in service.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(self) -> Stack {
        let mut stack = self.start_without_kiosks().await;
        for kiosk in &mut stack.kiosks {
            kiosk.boot().expect("the agent's program starts");
        }
        stack.all_in_service().await;
        stack
    }

    /// The same with all machines still off.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start_without_kiosks(self) -> Stack {
        let dir = Workdir::new("kioskwatch-it").expect("the temporary directory takes a new one");
        let broker = match self.treachery {
            None => Broker::start_with(dir.path(), &rights(dir.path(), self.rights)).await,
            Some((seed, odds)) => Broker::treacherous(&self.program, dir.path(), seed, &odds).await,
        };
        let broker = broker.expect("the broker starts");
        let mut sites: Vec<&String> = self.kiosks.iter().map(|(_, site)| site).collect();
        sites.sort();
        sites.dedup();
        let mut lines = Vec::new();
        for site in sites {
            let line = Proxy::start(broker.address()).await.expect("a line is laid");
            lines.push((site.clone(), line));
        }
        let server_line = match self.server_over_a_line {
            true => Some(Proxy::start(broker.address()).await.expect("a line is laid")),
            false => None,
        };
        let mut server = Server::new(&ServerOptions {
            program: Executable::Player(self.program.clone()),
            dir: self.data_dir.clone().unwrap_or_else(|| dir.path().join("server")),
            database: self.database.clone(),
            broker: server_line
                .as_ref()
                .map_or_else(|| broker.url(), |line| format!("mqtt://{}", line.address())),
            fleet: fleet_file(&lines, &self.kiosks),
            extra: self.settings.clone(),
            unknown_kiosks: self.unknown_kiosks,
            open_access: true,
            sweep_ms: QUICK_SWEEP_MS,
        })
        .expect("the server's configuration is written");
        for (name, value) in self.server_env {
            server.set_env(name, value);
        }
        let started = server.start().await;
        assert!(started.is_ok(), "{started:?}\n{}", server.log());
        let key = server.signing_key().await.expect("the server shows its signing key");
        let (kiosks, program) = (Vec::new(), self.program);
        let mut stack = Stack { kiosks, server, broker, lines, server_line, dir, program, key };
        for (id, site) in &self.kiosks {
            let kiosk = stack.build_kiosk(id, Some(site), "");
            stack.kiosks.push(kiosk);
        }
        stack
    }
}

/// Lines of Mosquitto's configuration. Started by root it would become another user, who cannot read the file.
fn rights(dir: &Path, rights: Option<&str>) -> String {
    rights.map_or_else(String::new, |rights| {
        let file = dir.join("acl");
        std::fs::write(&file, rights).expect("the temporary directory takes a file");
        format!("acl_file {}\nuser root\n", file.display())
    })
}

impl Stack {
    /// One more terminal, off, on the line of a site or straight at the broker. Not part of `kiosks`.
    ///
    /// # Panics
    /// When its devices do not start.
    pub fn build_kiosk(&self, id: &str, site: Option<&str>, place: &str) -> Kiosk {
        let address = site.map_or_else(|| self.broker.address(), |site| self.line(site).address());
        let options = KioskOptions {
            program: self.program.clone(),
            dir: self.dir.path().join(format!("kiosks{place}")),
            id: id.to_owned(),
            broker: format!("mqtt://{address}"),
            keys: vec![self.key.clone()],
            heartbeat_s: 1,
            probe_s: 1.0,
            extra: String::new(),
        };
        Kiosk::new(&options).expect("the emulated devices start")
    }

    /// # Panics
    /// When there is no such site.
    pub fn line(&self, site: &str) -> &Proxy {
        let line = self.lines.iter().find(|(id, _)| id == site);
        &line.expect("the site has a kiosk in the plan").1
    }

    pub fn api(&self) -> Api {
        self.server.api()
    }

    /// The kiosk as the API shows it.
    pub async fn kiosk(&self, id: &str) -> Result<Value, String> {
        self.api().json(&format!("/api/v1/kiosks/{id}")).await
    }

    /// Tickets of a kiosk (or site) with this fault, open or not.
    pub async fn tickets(&self, about: &str, fault: &str) -> Result<Vec<Value>, String> {
        let all = self.api().list("/api/v1/tickets").await?;
        let is_about = |t: &Value| t["kiosk"] == about || (t["kiosk"].is_null() && t["site"] == about);
        // A code may carry where: `note_jam(validator)`.
        let is_fault = |t: &Value| t["fault"].as_str().and_then(|code| code.split('(').next()) == Some(fault);
        Ok(all.into_iter().filter(|ticket| is_about(ticket) && is_fault(ticket)).collect())
    }

    /// Waits for the one ticket about this; two are a failure at once.
    #[track_caller]
    pub fn ticket<'a>(&'a self, about: &'a str, fault: &'a str) -> impl Future<Output = Value> + 'a {
        self.ticket_in(about, fault, &[])
    }

    /// The same, in one of these states (any, if none is named).
    #[track_caller]
    pub fn ticket_in<'a>(
        &'a self,
        about: &'a str,
        fault: &'a str,
        states: &'a [&'a str],
    ) -> impl Future<Output = Value> + 'a {
        wait_until("one ticket about this", PATIENCE, move || async move {
            let found = self.tickets(about, fault).await?;
            assert!(found.len() < 2, "one problem, one ticket; {about} {fault}: {found:#?}");
            let fits = |t: &&Value| states.is_empty() || states.iter().any(|s| t["state"] == *s);
            match found.iter().find(fits) {
                Some(ticket) => Ok(ticket.clone()),
                None => Err(format!("{about} {fault}, wanted {states:?}: {found:?}")),
            }
        })
    }

    /// The ticket with clocks, incidents and history.
    ///
    /// # Panics
    /// When the API does not show it.
    pub async fn detail(&self, ticket: &Value) -> Value {
        let id = ticket["id"].as_str().expect("a ticket has an id");
        self.api().json(&format!("/api/v1/tickets/{id}")).await.expect("the API shows the ticket")
    }

    /// Waits until the API's view of a kiosk pleases `look`; its error says what is missing.
    #[track_caller]
    pub fn kiosk_until<'a>(
        &'a self,
        id: &'a str,
        what: &'a str,
        look: impl Fn(&Value) -> bool + Copy + 'a,
    ) -> impl Future<Output = Value> + 'a {
        wait_until(what, PATIENCE, move || async move {
            let kiosk = self.kiosk(id).await?;
            if look(&kiosk) { Ok(kiosk) } else { Err(kiosk.to_string()) }
        })
    }

    #[track_caller]
    pub fn all_in_service(&self) -> impl Future<Output = ()> + '_ {
        wait_until("every kiosk to be online and in service", PATIENCE, move || async move {
            for kiosk in &self.kiosks {
                let seen = self.kiosk(&kiosk.id).await?;
                if seen["presence"]["state"] != "online" || seen["service"] != "in_service" {
                    return Err(seen.to_string());
                }
            }
            Ok(())
        })
    }

    /// One sample of `/metrics`, by its text before the value; 0 while there is none.
    pub async fn metric(&self, series: &str) -> Result<f64, String> {
        let page = self.server.monitoring_api().text("/metrics").await?;
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(Ok(0.0), |value| value.parse().map_err(|e| format!("{series} {value}: {e}")))
    }

    /// Waits until a sample has reached a value.
    #[track_caller]
    pub fn metric_reaches<'a>(&'a self, series: &'a str, least: f64) -> impl Future<Output = f64> + 'a {
        wait_until(series, PATIENCE, move || async move {
            let value = self.metric(series).await?;
            if value >= least { Ok(value) } else { Err(format!("{value}, wanted {least}")) }
        })
    }

    fn show_logs(&self) {
        let mut err = std::io::stderr().lock();
        let logs = self.kiosks.iter().map(|kiosk| (kiosk.id.as_str(), kiosk.log()));
        for (name, log) in std::iter::once(("server", self.server.log())).chain(logs) {
            let _ = writeln!(err, "--- {name} (in {})\n{}", self.dir.path().display(), tail(&log));
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
    }
}

fn fleet_file(lines: &[(String, Proxy)], kiosks: &[(String, String)]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for (site, _) in lines {
        let _ = write!(text, "[[site]]\nid = {site:?}\nname = {site:?}\nregion = \"north\"\n\n");
    }
    for (id, site) in kiosks {
        let _ = write!(text, "[[kiosk]]\nid = {id:?}\nsite = {site:?}\nmodel = \"test-terminal\"\n\n");
    }
    text
}

/// The last lines of a log.
pub fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
