//! The cost of a heartbeat by the size of the fleet, as fast as heartbeats are taken: without flush and bookkeeper.
//!
//! Each size has a process of its own, so that none finds the memory that another one left, and comes again in several
//! rounds, so that what the machine does meanwhile meets all of them.
use std::{collections::BTreeMap, fmt::Write as _, process::Stdio, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    direct::{Cost, Pace, Raised, feed},
    goal::Goal,
    ingest::{Database, Ingest},
    options::DirectOptions,
    process::{Watched, process_cpu},
};

/// Nothing is flushed before the end.
const NO_FLUSH: Duration = Duration::from_secs(24 * 3_600);
/// Heartbeats of one pass; every fleet is smaller or as large.
const PASS: u64 = 1_000_000;
/// Passes of one process.
const PASSES: usize = 5;
const ROUNDS: usize = 3;

/// What a process found.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OneSize {
    /// µs a heartbeat, by pass.
    passes: Vec<f64>,
    /// µs a kiosk.
    flush: f64,
    /// Bytes a kiosk, the database's caches not included.
    bytes: f64,
    ready_s: f64,
}

pub async fn run(options: &DirectOptions) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let sizes = std::iter::successors(Some(1_000), |size: &u32| size.checked_mul(10));
    let sizes: Vec<u32> = sizes.take_while(|size| *size <= options.kiosks.max(1_000)).collect();
    let mut found: BTreeMap<u32, Vec<OneSize>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for &kiosks in &sizes {
            let mut one = tokio::process::Command::new(&program);
            one.arg("one-size").arg(kiosks.to_string());
            if options.postgres {
                one.arg("--postgres");
            }
            let told = one.stderr(Stdio::inherit()).output().await.map_err(|e| e.to_string())?;
            if !told.status.success() {
                return Err(format!("{kiosks} kiosks: {}", told.status));
            }
            let one = serde_json::from_slice(&told.stdout).map_err(|e| format!("{kiosks} kiosks: {e}"))?;
            found.entry(kiosks).or_default().push(one);
        }
    }
    Ok(table(&found))
}

/// The middle of all passes is the figure.
fn table(found: &BTreeMap<u32, Vec<OneSize>>) -> String {
    let mut text = format!(
        "{:>9} {:>24} {:>20} {:>16} {:>16}\n",
        "kiosks", "µs a heartbeat", "µs a kiosk flushed", "bytes a kiosk", "ready after s"
    );
    let mut middles = Vec::new();
    for (kiosks, rounds) in found {
        let passes = sorted(rounds.iter().flat_map(|round| round.passes.iter().copied()));
        let middle_of = |of: fn(&OneSize) -> f64| middle(&sorted(rounds.iter().map(of)));
        let spread = format!(
            "({:.2} to {:.2})",
            passes.first().copied().unwrap_or_default(),
            passes.last().copied().unwrap_or_default()
        );
        middles.push(middle(&passes));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{kiosks:>9} {:>8.2} {spread:>15} {:>20.2} {:>16.0} {:>16.2}",
            middle(&passes),
            middle_of(|one| one.flush),
            middle_of(|one| one.bytes),
            middle_of(|one| one.ready_s)
        );
    }
    let middles = sorted(middles);
    let (least, most) = (middles.first().copied(), middles.last().copied());
    let apart = (most.unwrap_or_default() / least.unwrap_or(1.0) - 1.0) * 100.0;
    let _ = writeln!(
        text,
        "the dearest costs {apart:.0} % more than the cheapest {}",
        Goal::AtMost(10.0).of(apart)
    );
    text
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Of one size, as JSON.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub async fn one_size(kiosks: u32, postgres: bool) -> Result<String, String> {
    let database = Database::with_kiosks(kiosks, postgres).await?;
    let before = Watched::this().resident_kib()?.own;
    let ingest = Ingest::start(&database, NO_FLUSH, false).await?;
    let raised = Raised::default();
    let heartbeats = u64::from(kiosks);
    let mut pace =
        Pace { kiosks, interval_s: 3_600, from: 0, heartbeats, per_second: None, faults_per_second: 0 };
    feed(&ingest, pace, &raised).await?;
    let mut passes = Vec::with_capacity(PASSES);
    for _ in 0..PASSES {
        pace.from += pace.heartbeats;
        pace.heartbeats = heartbeats.max(PASS);
        let cost = Cost::start();
        let fed = feed(&ingest, pace, &raised).await?;
        passes.push(cost.micros(&fed));
    }
    let resident = Watched::this().resident_kib()?.own.saturating_sub(before);
    let ready_s = ingest.ready_after.as_secs_f64();
    let cpu = process_cpu();
    ingest.stop().await?;
    let flush = (process_cpu() - cpu).as_secs_f64() * 1e6 / f64::from(kiosks);
    let bytes = resident as f64 * 1_024.0 / f64::from(kiosks);
    serde_json::to_string(&OneSize { passes, flush, bytes, ready_s }).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_passes_of_all_rounds_is_compared() {
        let one =
            |passes: [f64; 3]| OneSize { passes: passes.to_vec(), flush: 7.0, bytes: 700.0, ready_s: 2.0 };
        let rounds = [one([2.0, 9.0, 1.0]), one([2.0, 2.0, 8.0])];
        for (large, told) in [
            (2.18, "the dearest costs 9 % more than the cheapest (goal at most 10: reached)\n"),
            (2.5, "the dearest costs 25 % more than the cheapest (goal at most 10: NOT REACHED)\n"),
        ] {
            let found = BTreeMap::from([(1_000, rounds.to_vec()), (10_000, vec![one([large, 1.0, 9.0])])]);
            let table = table(&found);
            assert!(table.ends_with(told), "{table}");
            assert!(table.contains("     1000     2.00  (1.00 to 9.00)"), "{table}");
        }
    }
}
