//! How the terminal itself is: load, memory, disk, temperature. What cannot be read is absent.
use std::{
    fs,
    path::{Path, PathBuf},
};

use kioskwatch_proto::heartbeat::HostLoad;

/// Reads the terminal's load; keeps the last processor counters, which only mean something as a difference.
#[derive(Debug)]
pub struct Sampler {
    /// The disk that counts is the one that holds the journal.
    disk: PathBuf,
    last: Option<Ticks>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    total: u64,
}

impl Sampler {
    pub fn new(journal: &Path) -> Self {
        let parent = journal.parent().filter(|dir| !dir.as_os_str().is_empty());
        Self { disk: parent.unwrap_or(Path::new(".")).to_owned(), last: None }
    }

    pub fn sample(&mut self) -> HostLoad {
        let read = |path: &str| fs::read_to_string(path).ok();
        let ticks = read("/proc/stat").as_deref().and_then(parse_ticks);
        let cpu_ratio = match (self.last, ticks) {
            (Some(before), Some(now)) if now.total > before.total => {
                Some(ratio(now.busy.saturating_sub(before.busy), now.total - before.total))
            }
            _ => None,
        };
        self.last = ticks;
        HostLoad {
            cpu_ratio,
            memory_used_ratio: read("/proc/meminfo").as_deref().and_then(parse_memory),
            disk_used_ratio: disk_used(&self.disk),
            temperature_celsius: temperature(Path::new("/sys/class/thermal")),
        }
    }
}

/// Two digits are what anyone can use.
#[expect(clippy::cast_precision_loss, reason = "a ratio is rounded anyway")]
fn ratio(part: u64, whole: u64) -> f64 {
    (part as f64 / whole as f64 * 1000.0).round() / 1000.0
}

fn parse_ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let columns: Vec<u64> = line.split_whitespace().filter_map(|c| c.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is already part of user.
    let total: u64 = columns.iter().take(8).sum();
    let idle = columns.get(3)? + columns.get(4).unwrap_or(&0);
    Some(Ticks { busy: total - idle, total })
}

fn parse_memory(meminfo: &str) -> Option<f64> {
    let field = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    let (total, available) = (field("MemTotal")?, field("MemAvailable")?);
    (total > 0).then(|| ratio(total.saturating_sub(available), total))
}

fn disk_used(path: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    // As `df` counts: what root keeps for itself is neither used nor to be had.
    let used = disk.f_blocks.saturating_sub(disk.f_bfree);
    let whole = used + disk.f_bavail;
    (whole > 0).then(|| ratio(used, whole))
}

/// The hottest zone.
fn temperature(zones: &Path) -> Option<f64> {
    let hottest = fs::read_dir(zones)
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|zone| fs::read_to_string(zone.path().join("temp")).ok()?.trim().parse::<i32>().ok())
        // Broken sensors read zero or absurd.
        .filter(|milli| (1_000..150_000).contains(milli))
        .max()?;
    Some(f64::from(hottest / 100) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_kernel_are_read() {
        let stat = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n";
        assert_eq!(parse_ticks(stat), Some(Ticks { busy: 150, total: 1000 }));
        let meminfo = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    250 kB\n";
        assert_eq!(parse_memory(meminfo), Some(0.75));
        assert_eq!((parse_ticks("x"), parse_memory("")), (None, None));
    }

    #[test]
    fn this_machine_has_a_memory_and_a_disk_and_a_load_from_the_second_look_on() {
        let mut sampler = Sampler::new(Path::new("/tmp/journal.sqlite"));
        let first = sampler.sample();
        assert_eq!(first.cpu_ratio, None);
        for value in [first.memory_used_ratio, first.disk_used_ratio] {
            assert!((0.0..=1.0).contains(&value.unwrap()), "{first:?}");
        }
    }

    #[test]
    fn a_terminal_without_sensors_reports_none() {
        assert_eq!(temperature(Path::new("/no/such/folder")), None);
    }
}
