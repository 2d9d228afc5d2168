//! What a seed stands for: its topics, its settings, which faults it knows, and when it fails over.

use std::time::Duration;

use carrick_log::{Durability, LogSettings};
use carrick_sim::{Cut, SimEntropy, derive};
use carrick_sys::Entropy as _;

pub const EAST: usize = 0;
pub const WEST: usize = 1;
pub const ADDRESSES: [&str; 2] = ["east:9590", "west:9590"];

/// Chance of one part of a story.
pub struct Draw(SimEntropy);

impl Draw {
    pub fn new(seed: u64, part: u64) -> Self {
        Self(SimEntropy::new(derive(seed, part)))
    }

    pub fn below(&self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % end.max(1)
    }

    pub fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Whole milliseconds from `low` up to `high`.
    pub fn ms(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.below(high - low + 1))
    }
}

/// A topic and one of its partitions.
pub type Place = (&'static str, u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Cut,
    Storm,
    Down,
    OneWay,
    Delay,
    CrashAtCall,
    Crash,
    CleanRestart,
    Stall,
    StuckDisk,
    FailedSync,
    Full,
    ClockJump,
    Pause,
    DeleteRecords,
    Nothing,
}

impl Fault {
    const ALL: [Self; 16] = [
        Self::Cut,
        Self::Storm,
        Self::Down,
        Self::OneWay,
        Self::Delay,
        Self::CrashAtCall,
        Self::Crash,
        Self::CleanRestart,
        Self::Stall,
        Self::StuckDisk,
        Self::FailedSync,
        Self::Full,
        Self::ClockJump,
        Self::Pause,
        Self::DeleteRecords,
        Self::Nothing,
    ];
}

pub struct Plan {
    pub seed: u64,
    pub durability: Durability,
    pub delay_ms_max: u64,
    /// Partitions of `orders`; `notes` has one.
    pub orders: u32,
    /// Of `notes`.
    pub retention: Option<(&'static str, String)>,
    pub connections: u32,
    /// This seed's mix: a few kinds alone find what a bit of everything does not.
    pub faults: Vec<Fault>,
    pub steps: u64,
    /// Before which step.
    pub failover: Option<u64>,
    /// A transaction is open when it comes to that.
    pub transaction: bool,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let draw = Draw::new(seed, 200);
        let durability = if draw.one_in(4) { Durability::Os } else { Durability::Fsync };
        let kinds = 3 + draw.below(6);
        let faults = (0..kinds).map(|_| Fault::ALL[draw.below(Fault::ALL.len() as u64) as usize]).collect();
        let steps = 8 + draw.below(14);
        let retention = match draw.below(4) {
            0 => Some(("retention.bytes", (8_000 + draw.below(30_000)).to_string())),
            1 => Some(("retention.ms", (5_000 + draw.below(30_000)).to_string())),
            _ => None,
        };
        Self {
            seed,
            durability,
            delay_ms_max: if draw.one_in(3) { draw.below(150) } else { draw.below(20) },
            orders: 1 + draw.below(2) as u32,
            retention,
            connections: 1 + draw.below(3) as u32,
            faults,
            steps,
            failover: draw.one_in(2).then(|| draw.below(steps)),
            transaction: draw.one_in(3),
        }
    }

    pub fn log(&self) -> LogSettings {
        LogSettings {
            durability: self.durability,
            segment_bytes: 24 << 10,
            retention_check: Duration::from_secs(2),
            ..LogSettings::default()
        }
    }

    pub fn places(&self) -> Vec<Place> {
        (0..self.orders).map(|it| ("orders", it)).chain([("notes", 0)]).collect()
    }

    /// What was acknowledged at `os` outlives a kill and no more.
    pub fn cut(&self, draw: &Draw) -> Cut {
        match self.durability {
            Durability::Fsync if draw.below(3) > 0 => Cut::Power,
            _ => Cut::Kill,
        }
    }

    /// Whether its source forgets by itself.
    pub fn expires(&self, topic: &str) -> bool {
        topic == "notes" && self.retention.is_some()
    }
}
