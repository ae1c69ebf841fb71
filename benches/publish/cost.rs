//! What this process has cost, by Linux's own count.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Fallible;

/// CPU time, user and system, of all threads since the process began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu(Duration);

impl Cpu {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        // Neither is ever negative.
        Self(Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0)))
    }

    /// From then to now.
    pub(crate) fn until_now(self) -> Duration {
        Self::now().0 - self.0
    }
}

/// Memory that is really there, MB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) peak: f64,
}

pub(crate) fn memory() -> Fallible<Memory> {
    let status = fs::read_to_string("/proc/self/status")?;
    let megabytes = |name: &str| -> Fallible<f64> {
        let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such line in /proc/self/status")?;
        Ok(line.split_ascii_whitespace().nth(1).ok_or("an empty line in /proc/self/status")?.parse::<f64>()? / 1024.0)
    };
    Ok(Memory { resident: megabytes("VmRSS:")?, peak: megabytes("VmHWM:")? })
}

/// Lets the peak begin anew at what is resident now.
pub(crate) fn reset_peak() -> Fallible<()> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}
