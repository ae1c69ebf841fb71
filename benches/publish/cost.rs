//! What this process has cost, by Linux's own count.

use std::fs;
use std::time::Duration;

use crate::Fallible;

/// The unit of the times in `/proc/self/stat`: USER_HZ, 100 on every Linux architecture that we run on.
const TICK: Duration = Duration::from_millis(10);

/// CPU time, user and system, of all threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
}

impl Cost {
    /// Since the process began.
    pub(crate) fn now() -> Fallible<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        // The name, second, may hold anything; what follows its parenthesis are fields 3 and up, of which 14 and 15.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
        let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u32>);
        let (user, system) = (times.next().ok_or("no utime")??, times.next().ok_or("no stime")??);
        Ok(Self { cpu: TICK * (user + system) })
    }

    /// From then to now.
    pub(crate) fn until_now(self) -> Fallible<Self> {
        Ok(Self { cpu: Self::now()?.cpu - self.cpu })
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
