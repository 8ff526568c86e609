//! What a process costs, read from outside.
use std::time::Duration;

/// A process of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Watched(pub u32);

impl Watched {
    pub fn this() -> Self {
        Self(std::process::id())
    }

    fn read(self, file: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{file}", self.0);
        std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))
    }

    /// User and system time of all its threads, to a hundredth of a second.
    pub fn cpu(self) -> Result<Duration, String> {
        let text = self.read("stat")?;
        // Fields 14 and 15; the second one may hold spaces, so count from its closing bracket.
        let after = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = after.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok());
        // USER_HZ is 100 on every Linux of today.
        Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
    }

    /// Resident memory in KiB: all of it, and the part that is its own (neither file nor shared).
    pub fn resident_kib(self) -> Result<Resident, String> {
        let text = self.read("status")?;
        let kib = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        Ok(Resident { all: kib("VmRSS:"), own: kib("RssAnon:"), most: kib("VmHWM:") })
    }
}

/// In KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resident {
    pub all: u64,
    /// Without program text and libraries, which the kernel can drop.
    pub own: u64,
    /// The most there ever was.
    pub most: u64,
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// CPU time of this process.
pub fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Lets this process, and those it starts, open as many files as the system allows.
///
/// # Errors
/// When that is fewer than `needed`.
pub fn raise_file_limit(needed: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if most < needed {
        return Err(format!("{needed} open files are needed and {most} allowed: raise `ulimit -Hn`"));
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .map_err(|e| format!("raising the limit of open files: {e}"))
}
