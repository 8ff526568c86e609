//! Some kiosks promise short intervals and fall silent: how exact the verdict on them is, and how soon it is there.
use std::{collections::BTreeMap, fmt, time::Duration};

use kioskwatch_proto::{KioskId, Timestamp};
use tokio::time::Instant;

use super::{
    delay::Delays,
    fleet::{Fleet, Pace},
    goal::Goal,
    kiosk::{VirtualKiosk, now},
    stage::Stage,
};

const PATIENCE: Duration = Duration::from_secs(120);
/// What a kiosk that is going to fall silent promises, so that nobody waits long.
const SILENT_INTERVAL_S: u32 = 2;
/// The default of the product.
const MISSED_HEARTBEATS: i64 = 3;
/// How often the list of offline kiosks is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Of stamp and of noticing.
const GOAL: Goal = Goal::AtMost(1_000.0);

/// How the server judged kiosks that fell silent, against what the generator knows. The truth is the last heartbeat and
/// what it promised.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// From the truth to the instant from which on the server calls them offline, in either direction.
    stamped: Delays,
    /// From the truth until the sweep found it, as the server says.
    noticed: Delays,
    /// From the truth until the generator saw the committed verdict in the list of kiosks.
    seen: Delays,
}

/// The others go on meanwhile, with so many heartbeats a second.
pub async fn fall_silent(
    stage: &Stage,
    fleet: &mut Fleet,
    silent: u32,
    heartbeats: u64,
) -> Result<Verdicts, String> {
    fleet.hush(silent);
    let mut last = BTreeMap::new();
    let going_on = |length| Pace { heartbeats, faults: 0, length };
    for _ in 0..3 {
        fleet.play(going_on(Duration::from_millis(500))).await?;
        for kiosk in (0..silent).map(VirtualKiosk) {
            let at = now();
            fleet.beat(kiosk, SILENT_INTERVAL_S, at).await?;
            last.insert(kiosk.id(), at);
        }
    }
    let promised = i64::from(SILENT_INTERVAL_S) * 1_000 * MISSED_HEARTBEATS;
    let truths: BTreeMap<KioskId, Timestamp> =
        last.into_iter().map(|(kiosk, at)| (kiosk, at.plus_ms(promised))).collect();
    let seen = tokio::select! {
        seen = seen_offline(stage, &truths) => seen?,
        played = fleet.play(going_on(PATIENCE * 2)) => {
            played?;
            return Err("the kiosks that fell silent were never called offline".to_owned());
        }
    };
    let mut verdicts = Verdicts::default();
    for (kiosk, truth) in &truths {
        let (stamped_at, noticed_at) = verdict(stage, kiosk).await?;
        let apart = |at: Timestamp| Duration::from_millis(at.since(*truth).unsigned_abs());
        verdicts.stamped.add(apart(stamped_at));
        verdicts.noticed.add(apart(noticed_at));
        verdicts.seen.add(seen.get(kiosk).map_or(Duration::MAX, |at| apart(*at)));
    }
    Ok(verdicts)
}

/// When each of them stood in the list of offline kiosks for the first time.
async fn seen_offline(
    stage: &Stage,
    truths: &BTreeMap<KioskId, Timestamp>,
) -> Result<BTreeMap<KioskId, Timestamp>, String> {
    let gave_up = Instant::now() + PATIENCE;
    let mut seen = BTreeMap::new();
    loop {
        let listed = stage.server.api().list("/api/v1/kiosks?presence=offline").await?;
        let at = now();
        for row in listed {
            let kiosk = KioskId::new(row["id"].as_str().unwrap_or_default()).map_err(|e| e.to_string())?;
            if truths.contains_key(&kiosk) {
                seen.entry(kiosk).or_insert(at);
            }
        }
        if seen.len() == truths.len() {
            return Ok(seen);
        }
        if Instant::now() > gave_up {
            return Err(format!("{} of {} kiosks are offline", seen.len(), truths.len()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// From when on it is offline, and when that was noticed.
async fn verdict(stage: &Stage, kiosk: &KioskId) -> Result<(Timestamp, Timestamp), String> {
    let path = format!("/api/v1/kiosks/{kiosk}/timeline");
    let timeline = stage.server.api().json(&path).await?;
    let transitions = timeline["transitions"].as_array().cloned().unwrap_or_default();
    let verdict = transitions
        .iter()
        .find(|t| t["kind"] == "presence" && t["to"] == "offline")
        .ok_or_else(|| format!("{path} has no verdict"))?;
    let time = |field: &str| {
        let text = verdict[field].as_str().unwrap_or_default();
        Timestamp::parse(text).map_err(|e| format!("{path}: {field} {text:?}: {e}"))
    };
    Ok((time("at")?, time("noticed_at")?))
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = |delays: &Delays| GOAL.of(delays.quantile(1.0).unwrap_or_default().as_secs_f64() * 1e3);
        writeln!(f, "kiosks fall silent")?;
        for (what, delays) in [
            ("stamped beside the truth", &self.stamped),
            ("noticed after the truth", &self.noticed),
            ("seen in the list after it", &self.seen),
        ] {
            writeln!(f, "  {what:<29} {delays} {}", longest(delays))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_is_held_against_the_slowest_verdict_that_was_seen() {
        let ms = |all: &[u64]| {
            let mut delays = Delays::default();
            all.iter().for_each(|ms| delays.add(Duration::from_millis(*ms)));
            delays
        };
        let verdicts = Verdicts { stamped: ms(&[2, 2]), noticed: ms(&[400, 900]), seen: ms(&[450, 1_001]) };
        let told = verdicts.to_string();
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[2].ends_with("(goal at most 1000: reached)"), "{told}");
        assert!(lines[3].ends_with("(goal at most 1000: NOT REACHED)"), "{told}");
    }
}
