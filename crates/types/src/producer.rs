//! What identifies an idempotent producer's batch: id, epoch, sequence (KIP-98).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Never negative: the wire's −1 for "not idempotent" is an `Option` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerId(i64);

impl ProducerId {
    pub const fn new(value: i64) -> Option<Self> {
        if value < 0 { None } else { Some(Self(value)) }
    }

    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerEpoch(pub i16);

/// A record's number within its producer and partition: 0 to 2^31 − 1, then 0 again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sequence(i32);

impl Sequence {
    pub const ZERO: Self = Self(0);

    pub const fn new(value: i32) -> Option<Self> {
        if value < 0 { None } else { Some(Self(value)) }
    }

    pub const fn get(self) -> i32 {
        self.0
    }

    /// The sequence `count` records later, wrapping to 0 after 2^31 − 1.
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(((self.0 as i64 + count as i64) & i32::MAX as i64) as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_wraps_to_zero() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence::ZERO);
        assert_eq!(Sequence(5).plus(2), Sequence(7));
        assert_eq!(Sequence(i32::MAX - 1).plus(3), Sequence(1));
    }
}
