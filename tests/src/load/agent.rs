//! One real agent as it is shipped, with four devices and mutual TLS: what it costs its terminal.
use std::{fmt::Write as _, path::Path, time::Duration};

use super::{goal::Goal, kiosk::now, options::AgentOptions, process::Watched};
use crate::{
    emulator::{Acceptor, Printer, Ups},
    harness::{
        broker::Broker,
        process::Program,
        server::{DEFAULT_SWEEP_MS, Server, ServerOptions, Workdir},
        tls::Tls,
        wait::wait_for,
    },
    roles::Executable,
};

const ID: &str = "K-0001";
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(options: &AgentOptions) -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    let size = std::fs::metadata(&options.program)
        .map_err(|e| {
            format!(
                "{}: {e}; build it with `cargo build --profile agent -p kioskwatch-agent`",
                options.program.display()
            )
        })?
        .len();
    let dir = Workdir::new("kioskwatch-load").map_err(text)?;
    let tls = Tls::new(dir.path().join("tls"), &[ID])?;
    let mosquitto = Broker::start_with(dir.path(), &tls.listener()).await.map_err(text)?;
    let mut server = Server::new(&ServerOptions {
        program: Executable::Player(std::env::current_exe().map_err(text)?),
        dir: dir.path().join("server"),
        database: None,
        broker: mosquitto.url(),
        fleet: String::new(),
        extra: String::new(),
        unknown_kiosks: "accept",
        open_access: true,
        sweep_ms: DEFAULT_SWEEP_MS,
    })
    .map_err(text)?;
    server.start().await.map_err(text)?;

    let at = dir.path();
    let printer = Printer::start(at, "printer").map_err(text)?;
    let ups = Ups::start(at, "ups").map_err(text)?;
    let acceptor = Acceptor::start(at, "acceptor").map_err(text)?;
    let second = Printer::start(at, "second").map_err(text)?;
    printer.power_on();
    second.power_on();
    ups.power_on();
    acceptor.power_on();
    let config = at.join("agent.toml");
    let devices = [
        ("printer", "printer", "escpos", printer.path()),
        ("second", "printer", "escpos", second.path()),
        ("ups", "ups", "megatec", ups.path()),
        ("acceptor", "bill_acceptor", "ccnet", acceptor.path()),
    ];
    std::fs::write(&config, configuration(at, &tls, &devices)).map_err(text)?;
    let log = at.join("agent.log");
    // As its unit starts it.
    let program = Program::new(&options.program, &log)
        .arg("run")
        .arg("--config")
        .arg(&config)
        .env("MALLOC_ARENA_MAX", "1");
    let mut agent = program.start().map_err(text)?;
    let in_service = || async {
        let kiosk = server.api().json(&format!("/api/v1/kiosks/{ID}")).await?;
        if kiosk["service"] == "in_service" { Ok(()) } else { Err(format!("{kiosk}")) }
    };
    if let Err(error) = wait_for("the agent to be in service", PATIENCE, in_service).await {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        return Err(format!("{error}\n{said}"));
    }

    let process = Watched(agent.id().ok_or("the agent is gone")?);
    let (since, cpu) = (now(), process.cpu()?);
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let cpu = process.cpu()?.saturating_sub(cpu);
    let took = Duration::from_millis(now().since(since).unsigned_abs());
    let resident = process.resident_kib()?;
    if !agent.runs() {
        return Err("the agent ended meanwhile".to_owned());
    }
    agent.stop(Duration::from_secs(12)).await.map_err(text)?;
    server.stop().await.map_err(text)?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (mb, mib) = (|bytes: u64| bytes as f64 / 1e6, |kib: u64| kib as f64 / 1_024.0);
    let share = cpu.as_secs_f64() * 100.0 / took.as_secs_f64();
    Ok(format!(
        "one agent, four devices at the default pace, mutual TLS, {:.0} s\n  \
         memory     {:>6.2} MiB resident, {:.2} of it its own, {:.2} at most {}\n  \
         CPU        {share:>6.2} % of a core {}\n  \
         program    {:>6.2} MB {}\n",
        took.as_secs_f64(),
        mib(resident.all),
        mib(resident.own),
        mib(resident.most),
        Goal::AtMost(6.0).of(mib(resident.most)),
        Goal::AtMost(0.2).of(share),
        mb(size),
        Goal::AtMost(6.0).of(mb(size)),
    ))
}

/// Everything that has a default keeps it.
fn configuration(dir: &Path, tls: &Tls, devices: &[(&str, &str, &str, &Path)]) -> String {
    let [certificate, key] = tls.identity(ID);
    let mut text = format!(
        "[kiosk]\nid = {ID:?}\n\n[gate]\napplication = \"none\"\n\n\
         [mqtt]\nurl = \"mqtts://localhost:{}\"\nca_file = {:?}\ncert_file = {certificate:?}\nkey_file = {key:?}\n\n\
         [journal]\npath = {:?}\n\n[local_api]\nsocket = {:?}\n",
        tls.port,
        tls.authority(),
        dir.join("journal").join("journal.sqlite"),
        dir.join("local.sock"),
    );
    for (name, kind, driver, path) in devices {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[peripheral]]\nname = {name:?}\nkind = {kind:?}\ndriver = {driver:?}\nmode = \"owned\"\nport = {path:?}\n\
             required = true\n"
        );
    }
    text
}
