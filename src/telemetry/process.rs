//! What the kernel tells of this process, read when somebody asks. Where there is no `/proc`, all of it stays 0.

use std::fs;
use std::sync::{Mutex, PoisonError};

use prometheus::{Counter, Gauge, IntGauge};

use super::families::Families;

/// Ticks of a second in what the kernel tells programs; the same on every Linux that Rust's compiler supports fully.
const TICKS_PER_SECOND: f64 = 100.0;

/// What Prometheus's own libraries tell of a process, by the same names.
pub struct ProcessMetrics {
    /// Seconds of processors that it has used. The lock is for who brings it up to date.
    cpu: Mutex<Counter>,
    resident_bytes: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    started_at: Gauge,
}

/// What two files of `/proc` say.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// Seconds from the machine's start to the process's.
    started_after: f64,
}

impl ProcessMetrics {
    /// Fresh families, registered.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new(families: &mut Families) -> Result<Self, prometheus::Error> {
        Ok(Self {
            cpu: Mutex::new(
                families.sum("process_cpu_seconds_total", "Seconds of processors that the process has used.")?,
            ),
            resident_bytes: families
                .gauge("process_resident_memory_bytes", "Memory of the process that is in the machine's memory.")?,
            open_fds: families.gauge("process_open_fds", "Files and sockets that the process has open.")?,
            max_fds: families.gauge("process_max_fds", "Files and sockets that the process may have open.")?,
            started_at: families
                .measure("process_start_time_seconds", "When the process started, in seconds since 1970.")?,
        })
    }

    /// Reads anew.
    pub fn read(&self) {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        if let Some(stat) = stat(&text("/proc/self/stat")) {
            let cpu = self.cpu.lock().unwrap_or_else(PoisonError::into_inner);
            cpu.inc_by((stat.cpu_seconds - cpu.get()).max(0.0));
            if let Some(booted_at) = field(&text("/proc/stat"), "btime ") {
                self.started_at.set(booted_at as f64 + stat.started_after);
            }
        }
        if let Some(kibibytes) = field(&text("/proc/self/status"), "VmRSS:") {
            self.resident_bytes.set(kibibytes * 1024);
        }
        if let Some(max) = field(&text("/proc/self/limits"), "Max open files") {
            self.max_fds.set(max);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the folder that is being read.
            self.open_fds.set(i64::try_from(open.count()).unwrap_or(i64::MAX).saturating_sub(1));
        }
    }
}

/// The first number of the line that begins with a name.
fn field(text: &str, name: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Reads `/proc/self/stat`, whose second field is the program's name in parentheses and may hold anything.
fn stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    // Field 3 of the manual is the first here.
    let ticks = |number: usize| fields.get(number - 3)?.parse::<u64>().ok().map(|ticks| ticks as f64);
    Some(Stat {
        cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
        started_after: ticks(22)? / TICKS_PER_SECOND,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_understood() {
        let text =
            "42 (a ) (b) S 1 42 42 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 4 0 123456 1000 20 18446744073709551615";
        assert_eq!(stat(text), Some(Stat { cpu_seconds: 3.0, started_after: 1234.56 }));
        assert_eq!(stat("42 (a) S 1"), None);
        assert_eq!(stat(""), None);
        assert_eq!(field("Name:\ta\nVmRSS:\t   2048 kB\n", "VmRSS:"), Some(2048));
        assert_eq!(field("Max open files            1024                 4096   files", "Max open files"), Some(1024));
        assert_eq!(field("Max open files            unlimited", "Max open files"), None);
        assert_eq!(field("", "btime "), None);
    }
}
