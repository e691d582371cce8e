//! The process as the kernel counts it (`proc(5)`). Elsewhere than on Linux there is nothing to tell.

use std::fs;

/// Clock ticks a second in `/proc/self/stat`: fixed at 100 for user space on every Linux.
const TICKS: u64 = 100;
/// Bytes a page; what Linux has on every machine we build for.
const PAGE: u64 = 4096;

/// One look at the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub resident_bytes: u64,
    pub cpu_seconds: u64,
    pub open_fds: u64,
    pub max_fds: u64,
    pub threads: u64,
    /// Seconds since 1970.
    pub started: u64,
}

impl Process {
    pub fn look() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let resident = fs::read_to_string("/proc/self/statm")
            .ok()
            .and_then(|pages| pages.split(' ').nth(1)?.parse::<u64>().ok());
        // The second field is the program's name in parentheses and may hold anything.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |number: usize| {
            let text = after_name.split_whitespace().nth(number - 3);
            text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
        };
        Self {
            resident_bytes: resident.unwrap_or(0).saturating_mul(PAGE),
            cpu_seconds: field(14).saturating_add(field(15)) / TICKS,
            open_fds: fs::read_dir("/proc/self/fd")
                .map_or(0, |entries| u64::try_from(entries.count()).unwrap_or(u64::MAX)),
            max_fds: max_fds().unwrap_or(0),
            threads: field(20),
            // Field 22 counts ticks since the machine started.
            started: machine_started().map_or(0, |machine| machine.saturating_add(field(22) / TICKS)),
        }
    }
}

/// The soft limit on open files.
fn max_fds() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn machine_started() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_memory_files_and_threads() {
        let process = Process::look();
        assert!(process.resident_bytes > 1 << 20, "{process:?}");
        assert!(process.open_fds >= 3, "{process:?}");
        assert!(process.threads >= 1, "{process:?}");
        assert!(process.max_fds >= process.open_fds, "{process:?}");
        // Later than 2020: the sum of a boot and what came after it.
        assert!(process.started > 1_577_836_800, "{process:?}");
    }
}
