//! `probe --once`: asks every device the agent owns its harmless questions, once, and prints the answers.
//!
//! Needs no journal and no broker: for the day a kiosk is set up. A running agent holds its ports, and is
//! then named as the holder.
use std::{io, time::Duration};

use kioskwatch_agent_core::{
    drivers::{Driver, Outcome, Work},
    input::PortTrouble,
};
use kioskwatch_proto::words::PortMode;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};
use tokio_serial::SerialStream;

use crate::{
    clock,
    config::{Config, Peripheral},
    serial::{PortSettings, open},
};

/// No driver needs longer for its questions, retries included.
const LIMIT: Duration = Duration::from_secs(15);

/// Prints one JSON line for each peripheral; `true` when every owned device answered.
pub async fn probe_once(config: &Config, out: &mut dyn io::Write) -> io::Result<bool> {
    let mut all = true;
    for peripheral in &config.peripherals {
        let result = if peripheral.core.mode == PortMode::Owned {
            ask(peripheral).await
        } else {
            Ok(json!({"skipped": format!("mode {}: the port is not the agent's", peripheral.core.mode)}))
        };
        all &= result.is_ok();
        let mut line = Map::new();
        line.insert("peripheral".into(), json!(peripheral.core.name));
        line.insert("driver".into(), json!(peripheral.core.driver));
        match result {
            Ok(Value::Object(fields)) => line.extend(fields),
            Ok(other) => drop(line.insert("result".into(), other)),
            Err(why) => drop(line.insert("error".into(), json!(why))),
        }
        writeln!(out, "{}", Value::Object(line))?;
    }
    Ok(all)
}

async fn ask(peripheral: &Peripheral) -> Result<Value, String> {
    let setup = peripheral.setup().map_err(|e| e.to_string())?;
    let mut driver = setup.driver.ok_or("it has no driver")?;
    let settings = PortSettings {
        peripheral: peripheral.core.name.clone(),
        path: peripheral.port.clone().ok_or("it has no port")?,
        line: peripheral.line,
        guards_valuables: peripheral.core.guards_valuables,
        application_port: None,
    };
    let mut stream = open(&settings).await.map_err(|trouble| match trouble {
        PortTrouble::Busy { holder: Some(holder) } => format!("port_busy: held by {holder}"),
        PortTrouble::Busy { holder: None } => {
            "port_busy: not every process can be seen; run as root".to_owned()
        }
        PortTrouble::Missing => format!("port_missing: {} does not exist", settings.path.display()),
        PortTrouble::Denied => {
            format!("{} may not be opened: check owner and group", settings.path.display())
        }
        PortTrouble::Broken => format!("{} does not work", settings.path.display()),
    })?;
    driver.line_opened(clock::mono_ms());
    driver.begin(Work::Probe, clock::mono_ms()).map_err(|e| format!("{e:?}"))?;
    converse(&mut *driver, &mut stream).await
}

async fn converse(driver: &mut dyn Driver, stream: &mut SerialStream) -> Result<Value, String> {
    let deadline = Instant::now() + LIMIT;
    let mut chunk = [0; 512];
    loop {
        while let Some(bytes) = driver.poll_transmit() {
            let written = timeout_at(deadline, stream.write_all(&bytes)).await;
            written.map_err(|_| "it takes no bytes")?.map_err(|e| e.to_string())?;
        }
        while let Some(outcome) = driver.poll_outcome() {
            if let Some(result) = told(outcome) {
                return result;
            }
        }
        tokio::select! {
            read = stream.read(&mut chunk) => match read {
                Ok(0) => return Err("it was unplugged".into()),
                Ok(count) => driver.received(&chunk[..count], clock::mono_ms()),
                Err(error) => return Err(error.to_string()),
            },
            () = clock::sleep_until(driver.wake_at()) => driver.wake(clock::mono_ms()),
            () = tokio::time::sleep_until(deadline) => return Err("it never came to an end".into()),
        }
    }
}

/// What ends the conversation; events on the way do not.
fn told(outcome: Outcome) -> Option<Result<Value, String>> {
    match outcome {
        Outcome::Reading(reading) => {
            let faults: Vec<Value> =
                reading.faults.iter().map(|f| json!({"fault": f.code, "raw": hex::encode(&f.raw)})).collect();
            let values: Map<String, Value> =
                reading.values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            Some(Ok(
                json!({"status": reading.status, "state": reading.state, "faults": faults, "values": values}),
            ))
        }
        Outcome::NoAnswer { .. } => Some(Err("no answer: check cable, power and baud rate".into())),
        Outcome::Garbled { raw, .. } => {
            Some(Err(format!("no valid answer ({}): check baud rate and driver", hex::encode(raw))))
        }
        Outcome::NotOurs { .. } => Some(Err("acceptor_not_ours: another program enabled it".into())),
        Outcome::Identity(_) | Outcome::Tested(_) | Outcome::Event { .. } => None,
    }
}
