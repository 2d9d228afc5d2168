//! Leader epoch = generation × 65,536 + restarts.
//!
//! Promote and failover raise the generation; a start that was not clean raises the restarts of writable topics. A mirror
//! carries its source's epoch.

use std::fmt;

use serde::{Deserialize, Serialize};

const RESTARTS: i32 = 1 << 16;

/// The generation or the restarts of a topic are used up; it must be re-created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leader epoch {epoch} cannot be raised: its {part} is used up")]
pub struct EpochOverflow {
    pub epoch: LeaderEpoch,
    pub part: &'static str,
}

/// The upper half of a leader epoch: which side's turn it is to write, counted over the lineage. 0 to 32,767.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(u16);

impl Generation {
    pub const FIRST: Self = Self(0);

    pub const fn get(self) -> u16 {
        self.0
    }

    pub fn new(value: u16) -> Option<Self> {
        (value <= 0x7fff).then_some(Self(value))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The epoch that stands in each batch's header and in Kafka's answers. Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    pub const FIRST: Self = Self(0);

    pub const fn new(value: i32) -> Option<Self> {
        if value < 0 { None } else { Some(Self(value)) }
    }

    pub const fn get(self) -> i32 {
        self.0
    }

    pub const fn generation(self) -> Generation {
        Generation((self.0 >> 16) as u16)
    }

    /// The first epoch of a generation.
    pub const fn first_of(generation: Generation) -> Self {
        Self((generation.0 as i32) * RESTARTS)
    }

    /// The epoch after a start that was not clean.
    pub const fn after_restart(self) -> Result<Self, EpochOverflow> {
        if self.0 % RESTARTS == RESTARTS - 1 {
            Err(EpochOverflow { epoch: self, part: "restart count" })
        } else {
            Ok(Self(self.0 + 1))
        }
    }

    /// The first epoch of the generation after this one.
    pub const fn next_generation(self) -> Result<Self, EpochOverflow> {
        let generation = self.generation();
        if generation.0 >= 0x7fff {
            Err(EpochOverflow { epoch: self, part: "generation" })
        } else {
            Ok(Self::first_of(Generation(generation.0 + 1)))
        }
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_stays_within_its_generation() {
        let epoch = LeaderEpoch(3 * RESTARTS + 7);
        assert_eq!(epoch.generation(), Generation(3));
        assert_eq!(epoch.after_restart(), Ok(LeaderEpoch(3 * RESTARTS + 8)));
        assert_eq!(epoch.next_generation(), Ok(LeaderEpoch(4 * RESTARTS)));
    }

    #[test]
    fn neither_half_overflows_into_the_other() {
        assert!(LeaderEpoch(RESTARTS - 1).after_restart().is_err());
        assert!(LeaderEpoch(i32::MAX).next_generation().is_err());
        assert_eq!(LeaderEpoch::new(-1), None);
    }
}
