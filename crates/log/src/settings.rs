//! What a node and a topic ask of the logs.

use std::time::Duration;

/// When a record is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it would survive a power cut.
    #[default]
    Fsync,
    /// When it would survive a kill of the process; synced soon after.
    Os,
}

#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    pub durability: Durability,
    /// A segment that would grow above it is followed by a new one, where its topic does not say.
    pub segment_bytes: u64,
    /// Segment files that are open at a time; those that are being written come on top.
    pub open_files_max: usize,
    /// Between two looks for what is to be deleted (Kafka's `log.retention.check.interval.ms`).
    pub retention_check: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            segment_bytes: 1 << 30,
            open_files_max: 512,
            retention_check: Duration::from_secs(300),
        }
    }
}

/// What a topic asks of its partitions' logs; by default Kafka's week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicLog {
    /// None: the node's.
    pub segment_bytes: Option<u64>,
    /// A segment whose first and newest batch are further apart is followed by a new one.
    pub segment_ms: u64,
    /// Of all segments; the oldest go first.
    pub retention_bytes: Option<u64>,
    /// By the largest time in a segment.
    pub retention_ms: Option<u64>,
}

impl TopicLog {
    /// Nothing is deleted.
    pub const FOR_EVER: Self =
        Self { segment_bytes: None, segment_ms: u64::MAX, retention_bytes: None, retention_ms: None };
}

impl Default for TopicLog {
    fn default() -> Self {
        let week = 7 * 86_400_000;
        Self { segment_bytes: None, segment_ms: week, retention_bytes: None, retention_ms: Some(week) }
    }
}
