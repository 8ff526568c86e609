//! Everybody who plays: broker, lines, server, kiosks.
use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    options::{Options, SITES, broker_address},
    screen::Screen,
};
use crate::{
    harness::{
        broker::free_port,
        kiosk::{Kiosk, KioskOptions},
        process::{Process, Program},
        proxy::Proxy,
        server::{QUICK, QUICK_SWEEP_MS, Server, ServerOptions, Workdir},
        wait::wait_for,
    },
    roles::{Executable, Role},
};

/// A place and its line to the broker.
#[derive(Debug)]
pub struct Site {
    pub id: String,
    pub name: &'static str,
    pub line: Proxy,
}

/// See the module.
#[derive(Debug)]
pub struct Cast {
    pub dir: Workdir,
    pub server: Server,
    pub sites: Vec<Site>,
    pub kiosks: Vec<Kiosk>,
    _broker: Option<Process>,
}

const NAMES: [&str; SITES] = ["人民路营业厅", "火车站大厅", "科技园支行", "中心医院"];
const REGIONS: [&str; SITES] = ["north", "north", "south", "south"];
const ZONES: [&str; SITES] = ["urban", "urban", "suburb", "urban"];

impl Cast {
    pub async fn assemble(options: &Options, screen: &Screen) -> Result<Self, String> {
        let told = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
        let mut dir = match &options.data_dir {
            Some(path) => Workdir::at(path.clone()),
            None => Workdir::new("kioskwatch-demo"),
        }
        .map_err(told("making the data directory"))?;
        if options.keep {
            dir.keep();
        }
        screen.line(&format!("data and logs in {}", dir.path().display()));
        let me = std::env::current_exe().map_err(told("finding this program"))?;

        let (broker, broker_at) = start_broker(options, &me, dir.path()).await?;
        let mut sites = Vec::new();
        for (index, name) in NAMES.into_iter().enumerate() {
            let line = Proxy::start(broker_at).await.map_err(told("laying a site's line"))?;
            sites.push(Site { id: format!("S-{:02}", index + 1), name, line });
        }

        let server_options = ServerOptions {
            program: Executable::Player(me.clone()),
            dir: dir.path().join("server"),
            database: options.database.clone(),
            broker: format!("mqtt://{broker_at}"),
            fleet: fleet_file(options.kiosks),
            extra: QUICK.to_owned(),
            unknown_kiosks: "accept",
            open_access: true,
            sweep_ms: QUICK_SWEEP_MS,
        };
        let mut server = Server::new(&server_options).map_err(told("preparing the server"))?;
        server.start().await.map_err(|e| format!("starting the server: {e}\n{}", tail(&server.log())))?;
        let database = options.database.as_deref().unwrap_or("SQLite");
        screen.line(&format!("server up, a process of its own, on {database}"));
        let known = server.api().list("/api/v1/tickets").await?;
        if !known.is_empty() {
            return Err(format!(
                "the database holds {} tickets already; the story wants an empty one",
                known.len()
            ));
        }
        let key = server.signing_key().await.map_err(told("asking for the signing key"))?;

        let mut kiosks = Vec::new();
        for index in 0..options.kiosks {
            let site = &sites[index % SITES];
            let kiosk = Kiosk::new(&KioskOptions {
                program: me.clone(),
                dir: dir.path().join("kiosks"),
                id: kiosk_id(index),
                broker: format!("mqtt://{}", site.line.address()),
                keys: vec![key.clone()],
                heartbeat_s: 1,
                probe_s: 1.0,
                extra: String::new(),
            })
            .map_err(told("building a kiosk"))?;
            kiosks.push(kiosk);
        }
        for kiosk in &mut kiosks {
            kiosk.boot().map_err(told("booting a kiosk"))?;
        }
        let devices = kiosks.len() * 3;
        screen.line(&format!("{} agents started on {devices} emulated serial devices", kiosks.len()));
        screen.line(&format!(
            "console: http://{}   metrics: http://{}/metrics",
            server.http, server.monitoring
        ));

        let cast = Self { dir, server, sites, kiosks, _broker: broker };
        let (api, wanted) = (cast.server.api(), cast.kiosks.len());
        wait_for("every kiosk to be online and in service", Duration::from_secs(30), || async {
            let kiosks = api.list("/api/v1/kiosks").await?;
            let well = |kiosk: &&serde_json::Value| {
                kiosk["presence"]["state"] == "online" && kiosk["service"] == "in_service"
            };
            let count = kiosks.iter().filter(well).count();
            if count == wanted { Ok(()) } else { Err(format!("{count} of {wanted}: {kiosks:?}")) }
        })
        .await
        .map_err(|e| format!("{e}\n{}", tail(&cast.server.log())))?;
        screen.line(&format!("all {wanted} kiosks are online and in service"));
        Ok(cast)
    }

    /// Position of a kiosk's site.
    pub fn site_of(&self, kiosk: usize) -> usize {
        kiosk % self.sites.len()
    }

    pub fn kiosks_of(&self, site: usize) -> Vec<usize> {
        (0..self.kiosks.len()).filter(|&kiosk| self.site_of(kiosk) == site).collect()
    }
}

pub fn kiosk_id(index: usize) -> String {
    format!("K-{:04}", index + 1)
}

async fn start_broker(
    options: &Options,
    me: &Path,
    dir: &Path,
) -> Result<(Option<Process>, SocketAddr), String> {
    if let Some(url) = &options.broker {
        let address = broker_address(url).unwrap_or_default();
        let found =
            tokio::net::lookup_host(&address).await.map_err(|e| format!("--broker {url}: {e}"))?.next();
        return found.map(|found| (None, found)).ok_or_else(|| format!("--broker {url}: no such host"));
    }
    let port = free_port().map_err(|e| format!("finding a free port: {e}"))?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let program = Program::new(PathBuf::from(me), dir.join("broker.log"))
        .arg(Role::Server.word())
        .arg("broker")
        .arg("--listen")
        .arg(address.to_string());
    let process = program.start().map_err(|e| e.to_string())?;
    wait_for("the broker to listen", Duration::from_secs(10), || async move {
        tokio::net::TcpStream::connect(address).await.map(drop).map_err(|e| e.to_string())
    })
    .await
    .map_err(|e| e.to_string())?;
    Ok((Some(process), address))
}

fn fleet_file(kiosks: usize) -> String {
    let mut text = String::new();
    for (index, name) in NAMES.into_iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "[[site]]\nid = \"S-{:02}\"\nname = {name:?}\nregion = {:?}\ncustomer = \"bank-a\"\nzone = {:?}\n\n",
            index + 1,
            REGIONS[index],
            ZONES[index],
        );
    }
    for index in 0..kiosks {
        let _ = write!(
            text,
            "[[kiosk]]\nid = {:?}\nsite = \"S-{:02}\"\nmodel = \"demo-terminal\"\nserial_no = \"SN{:05}\"\n\n",
            kiosk_id(index),
            index % SITES + 1,
            10_001 + index,
        );
    }
    text
}

/// The end of a log, for an error that must explain itself.
pub fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
