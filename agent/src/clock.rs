//! The only place that reads clocks.
//!
//! Wall time goes into records and is never used to order or to wait; the boot clock counts through suspend,
//! never jumps, and is comparable within one boot.
use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use kioskwatch_proto::{BootId, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// Where Linux names the present run of the machine.
pub const KERNEL_BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Both clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    pub wall: Timestamp,
    pub mono_ms: u64,
}

pub fn now() -> Now {
    Now { wall: wall(), mono_ms: mono_ms() }
}

#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
pub fn wall() -> Timestamp {
    let ms = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    // A clock beyond what the wire can say is clamped there, not wrapped.
    Timestamp(0).plus_ms(ms)
}

/// Milliseconds of `CLOCK_BOOTTIME`.
pub fn mono_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    secs * 1000 + nanos / 1_000_000
}

/// Waits until the boot clock shows this; for ever without a time.
pub async fn sleep_until(mono: Option<u64>) {
    match mono {
        Some(at) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(mono_ms()))).await,
        None => std::future::pending().await,
    }
}

/// Why the run of the machine has no name.
#[derive(Debug, thiserror::Error)]
pub enum BootIdError {
    #[error("reading the boot id from {path}")]
    Read { path: String, source: std::io::Error },
    #[error("the boot id in {path} is no UUID")]
    Shape { path: String, source: uuid::Error },
}

/// Reads the name of this run of the machine.
pub fn boot_id(path: &Path) -> Result<BootId, BootIdError> {
    let shown = || path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| BootIdError::Read { path: shown(), source })?;
    text.parse().map_err(|source| BootIdError::Shape { path: shown(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_does_not_go_back_and_the_wall_is_in_this_century() {
        let (a, b) = (now(), now());
        assert!(b.mono_ms >= a.mono_ms);
        assert!(a.wall > Timestamp(1_600_000_000_000));
    }

    #[test]
    fn a_boot_id_that_is_none_is_refused_by_name() {
        let error = boot_id(Path::new("/proc/version")).unwrap_err();
        assert!(error.to_string().contains("/proc/version"), "{error}");
        assert!(boot_id(Path::new(KERNEL_BOOT_ID)).is_ok());
    }
}
