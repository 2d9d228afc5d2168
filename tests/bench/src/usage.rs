//! What processes use, as /proc says it.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// CPU time of some processes over one interval, from its begin on.
#[derive(Debug)]
pub struct Stopwatch {
    pids: Vec<u32>,
    begun: Instant,
    cpu: Duration,
}

/// An interval that is over.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub wall: Duration,
    /// User and system time of all the processes, those that ended not.
    pub cpu: Duration,
}

impl Stopwatch {
    pub fn start(pids: &[u32]) -> anyhow::Result<Self> {
        Ok(Self { pids: pids.to_vec(), cpu: cpu_of(pids)?, begun: Instant::now() })
    }

    pub fn spent(&self) -> anyhow::Result<Spent> {
        let wall = self.begun.elapsed();
        Ok(Spent { wall, cpu: cpu_of(&self.pids)?.saturating_sub(self.cpu) })
    }
}

impl Spent {
    pub fn mb_per_cpu_second(&self, bytes: u64) -> f64 {
        megabytes(bytes) / self.cpu.as_secs_f64()
    }

    pub fn mb_per_second(&self, bytes: u64) -> f64 {
        megabytes(bytes) / self.wall.as_secs_f64()
    }
}

/// A megabyte is 10⁶ bytes, everywhere in the bench.
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn cpu_of(pids: &[u32]) -> anyhow::Result<Duration> {
    pids.iter().map(|pid| cpu(*pid)).sum()
}

/// utime + stime of a process and all its threads, in ticks of which Linux tells programs a hundred a second.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    const TICK: Duration = Duration::from_millis(10);
    let stat = read(pid, "stat")?;
    // The name, in brackets, may hold anything.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11));
    let ticks: u32 = fields.into_iter().flatten().take(2).filter_map(|it| it.parse::<u32>().ok()).sum();
    Ok(TICK * ticks)
}

/// MiB of memory that a process has now.
pub fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    status_mib(pid, "VmRSS:")
}

/// The most it had since it began, or since [`forget_peak`].
pub fn peak_mib(pid: u32) -> anyhow::Result<f64> {
    status_mib(pid, "VmHWM:")
}

pub fn forget_peak(pid: u32) -> anyhow::Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("the peak could not be reset")
}

fn status_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|it| it.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("process {pid} has no {field}"))? / 1024.0)
}

fn read(pid: u32, what: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{what}")).with_context(|| {
        format!("process {pid} is gone; next: read what it said, in the folder that is named below")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_computes_uses_its_time_and_its_memory_is_seen() {
        let own = std::process::id();
        let watch = Stopwatch::start(&[own]).unwrap();
        let mut sum = 0_u64;
        while watch.begun.elapsed() < Duration::from_millis(300) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let spent = watch.spent().unwrap();
        assert!(spent.cpu >= Duration::from_millis(50), "{spent:?}");
        assert!(resident_mib(own).unwrap() > 0.5 && peak_mib(own).unwrap() >= resident_mib(own).unwrap());
    }
}
