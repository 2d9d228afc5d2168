//! The five offsets of a partition, as five types.
//!
//! ```text
//! log start ≤ last stable ≤ high watermark ≤ log end      durable end ≤ log end
//!                           high watermark ≤ durable end   (at durability fsync)
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// A partition's number within its topic, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition(pub u32);

impl Partition {
    /// The number on the wire, which is signed there.
    pub fn wire(self) -> i32 {
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }

    pub fn from_wire(index: i32) -> Option<Self> {
        u32::try_from(index).ok().map(Self)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record's place in its partition, from 0. Never negative: the wire's −1 for "none" is an `Option` here.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Offset(i64);

impl Offset {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(i64::MAX);

    pub const fn new(value: i64) -> Option<Self> {
        if value < 0 { None } else { Some(Self(value)) }
    }

    /// Negative values become 0.
    pub const fn clamped(value: i64) -> Self {
        if value < 0 { Self(0) } else { Self(value) }
    }

    pub const fn get(self) -> i64 {
        self.0
    }

    /// Saturates at the largest offset, which no log reaches.
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.saturating_add(count as i64))
    }

    /// Offsets from `earlier` to here; 0 if `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        if self.0 <= earlier.0 { 0 } else { self.0.abs_diff(earlier.0) }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Offset);

        impl $name {
            pub const fn new(at: Offset) -> Self {
                Self(at)
            }

            pub const fn at(self) -> Offset {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

role!(
    /// The first offset that is kept.
    LogStart
);
role!(
    /// The end of what a read_committed reader sees: exclusive; at or below the first open transaction.
    LastStable
);
role!(
    /// The end of what any reader sees: exclusive.
    HighWatermark
);
role!(
    /// The offset the next record takes.
    LogEnd
);
role!(
    /// The end of what would survive a power cut: exclusive.
    DurableEnd
);

/// The five at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    pub log_start: LogStart,
    pub last_stable: LastStable,
    pub high_watermark: HighWatermark,
    pub log_end: LogEnd,
    pub durable_end: DurableEnd,
}

impl Offsets {
    /// The order that always holds; `fsync` adds that nothing un-synced is readable.
    pub fn ordered(&self, fsync: bool) -> bool {
        let (start, end) = (self.log_start.at(), self.log_end.at());
        let (stable, high) = (self.last_stable.at(), self.high_watermark.at());
        let durable = self.durable_end.at();
        start <= stable
            && stable <= high
            && high <= end
            && durable <= end
            && (!fsync || high <= durable.max(start))
    }
}
