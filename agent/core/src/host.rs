//! The terminal itself: disk, temperature, clock, journal. Each with two thresholds.
use kioskwatch_proto::{
    PeripheralName, Timestamp,
    faults::{FaultCode, codes},
    heartbeat::HostLoad,
    journal::FaultDetail,
    words::PeripheralStatus,
};

use crate::{
    condition::{Change, Condition, own_code},
    config::{HostLimits, Thresholds},
    confirm::Sight,
    drivers::Mono,
};

/// A journal that had to be replaced is shown this long: the loss happened, and somebody should see it.
pub(crate) const JOURNAL_CORRUPT_SHOWN_MS: u64 = 60 * 60 * 1000;

#[derive(Debug)]
pub(crate) struct Host {
    name: PeripheralName,
    limits: HostLimits,
    load: HostLoad,
    condition: Condition,
    journal_fine_at: Option<Mono>,
}

impl Host {
    pub(crate) fn new(limits: HostLimits, remembered: &[FaultCode], now: Mono) -> Self {
        let mut condition = Condition::new(PeripheralStatus::Online);
        condition.remember(remembered);
        let journal_fine_at = condition.has(codes::JOURNAL_CORRUPT).then_some(now + JOURNAL_CORRUPT_SHOWN_MS);
        Self { name: PeripheralName::host(), limits, load: HostLoad::default(), condition, journal_fine_at }
    }

    pub(crate) fn name(&self) -> &PeripheralName {
        &self.name
    }

    pub(crate) fn load(&self) -> HostLoad {
        self.load
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    pub(crate) fn next_wake(&self) -> Option<Mono> {
        self.journal_fine_at
    }

    pub(crate) fn sample(&mut self, load: HostLoad, sight: Sight<'_>) -> Vec<Change> {
        self.load = load;
        let mut changes = Vec::new();
        if let Some(ratio) = load.disk_used_ratio {
            let text = format!("{:.0} % used", ratio * 100.0);
            let limits = self.limits.disk_used_ratio;
            self.watch(Measured { code: codes::DISK_FULL, limits, value: ratio, text }, sight, &mut changes);
        }
        if let Some(value) = load.temperature_celsius {
            let text = format!("{value:.1} degrees Celsius");
            let limits = self.limits.temperature_celsius;
            self.watch(Measured { code: codes::TEMPERATURE_HIGH, limits, value, text }, sight, &mut changes);
        }
        changes
    }

    /// Our wall clock beside the server's.
    pub(crate) fn compare_clocks(
        &mut self,
        ours: Timestamp,
        server: Timestamp,
        sight: Sight<'_>,
    ) -> Vec<Change> {
        let offset_ms = ours.since(server);
        let text = format!("{} s off the server's clock", offset_ms / 1000);
        let mut changes = Vec::new();
        let limits = self.limits.clock_offset_ms;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a threshold of minutes does not need every millisecond"
        )]
        let value = offset_ms.unsigned_abs() as f64;
        self.watch(Measured { code: codes::CLOCK_WRONG, limits, value, text }, sight, &mut changes);
        changes
    }

    pub(crate) fn application_down(&mut self, down: bool, sight: Sight<'_>) -> Vec<Change> {
        self.see(codes::APPLICATION_DOWN, down, FaultDetail::default(), sight)
    }

    pub(crate) fn journal_replaced(&mut self, sight: Sight<'_>) -> Vec<Change> {
        self.journal_fine_at = Some(sight.now + JOURNAL_CORRUPT_SHOWN_MS);
        self.see(codes::JOURNAL_CORRUPT, true, FaultDetail::default(), sight)
    }

    pub(crate) fn wake(&mut self, sight: Sight<'_>) -> Vec<Change> {
        let mut changes = self.condition.calm(sight);
        if self.journal_fine_at.is_some_and(|at| sight.now >= at) {
            self.journal_fine_at = None;
            changes.extend(self.see(codes::JOURNAL_CORRUPT, false, FaultDetail::default(), sight));
        }
        changes
    }

    fn watch(&mut self, measured: Measured, sight: Sight<'_>, changes: &mut Vec<Change>) {
        let Measured { code, limits, value, text } = measured;
        let over =
            if self.condition.has(code) { value >= limits.clear_below } else { value >= limits.raise_at };
        let detail = FaultDetail { raw: None, text: Some(text) };
        changes.extend(self.see(code, over, detail, sight));
    }

    fn see(&mut self, code: &str, present: bool, detail: FaultDetail, sight: Sight<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        self.condition.see_fault(&own_code(code), present, detail, sight, &mut changes);
        changes
    }
}

struct Measured {
    code: &'static str,
    limits: Thresholds,
    value: f64,
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FlappingLimits;

    const FLAPPING: FlappingLimits = FlappingLimits { window_ms: 600_000, start_at: 8, stop_below: 4 };

    fn sight(now: Mono) -> Sight<'static> {
        Sight { now, probes: 1, limits: &FLAPPING }
    }

    #[test]
    fn a_full_disk_is_raised_at_one_threshold_and_cleared_below_another() {
        let mut host = Host::new(HostLimits::default(), &[], 0);
        let mut told = Vec::new();
        for (now, ratio) in [(0, 0.94), (1, 0.95), (2, 0.93), (3, 0.91), (4, 0.89)] {
            let load = HostLoad { disk_used_ratio: Some(ratio), ..HostLoad::default() };
            told.push((now, host.sample(load, sight(now)).len(), host.condition().has("disk_full")));
        }
        assert_eq!(told, [(0, 0, false), (1, 1, true), (2, 0, true), (3, 0, true), (4, 1, false)]);
    }

    #[test]
    fn a_clock_more_than_two_minutes_off_is_wrong_either_way() {
        let mut host = Host::new(HostLimits::default(), &[], 0);
        let server = Timestamp(1_795_248_000_000);
        for (offset_s, wrong) in [(119, false), (-121, true), (-61, true), (-59, false), (121, true)] {
            host.compare_clocks(server.plus_ms(offset_s * 1000), server, sight(0));
            assert_eq!(host.condition().has("clock_wrong"), wrong, "{offset_s}");
        }
    }

    #[test]
    fn a_replaced_journal_is_shown_for_an_hour() {
        let mut host = Host::new(HostLimits::default(), &[], 0);
        assert_eq!(host.journal_replaced(sight(0)).len(), 1);
        assert!(host.wake(sight(JOURNAL_CORRUPT_SHOWN_MS - 1)).is_empty());
        assert_eq!(host.wake(sight(JOURNAL_CORRUPT_SHOWN_MS)).len(), 1);
    }
}
