//! What an agent has on its disk, read while it runs or lies dead.
use std::path::PathBuf;

use kioskwatch_proto::journal::{Body, FaultState, Record};

/// A record as the agent wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) seq: u64,
    pub(super) raw: String,
}

/// Every record, oldest first.
pub(super) async fn read(path: PathBuf) -> Result<Vec<Held>, String> {
    let read = move || -> Result<Vec<Held>, String> {
        let mut lines = Vec::new();
        kioskwatch_agent::journal::export(&path, &mut lines)
            .map_err(|error| format!("reading {}: {error}", path.display()))?;
        let text = String::from_utf8(lines).map_err(|error| error.to_string())?;
        text.lines().map(held).collect()
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?
}

fn held(line: &str) -> Result<Held, String> {
    let record = Record::parse(line).map_err(|error| format!("{line}: {error}"))?;
    Ok(Held { seq: record.header.seq, raw: line.to_owned() })
}

/// How often a fault was raised and cleared.
pub(super) fn changes(held: &[Held], fault: &str) -> (u32, u32) {
    let mut changes = (0, 0);
    for record in held.iter().filter(|record| record.raw.contains(fault)) {
        if let Ok(Record { body: Body::Fault(told), .. }) = Record::parse(&record.raw)
            && told.fault.as_str() == fault
        {
            match told.state {
                FaultState::Raised => changes.0 += 1,
                FaultState::Cleared => changes.1 += 1,
            }
        }
    }
    changes
}

/// How often a device broke since its agent was started last.
pub(super) fn raised_since_start(held: &[Held], device: &str) -> usize {
    let bodies =
        held.iter().rev().filter_map(|record| Record::parse(&record.raw).ok()).map(|record| record.body);
    let since = bodies.take_while(|body| !matches!(body, Body::Boot(_)));
    let of_device = |body: &Body| matches!(body, Body::Fault(told) if told.peripheral.as_str() == device && told.state == FaultState::Raised);
    since.filter(of_device).count()
}
