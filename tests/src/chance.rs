//! Numbers drawn from a seed that is known.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The same numbers for the same seed.
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// From `CARRICK_SEED`, else from the time; cargo shows what is printed when the test fails.
    pub fn from_environment() -> Self {
        let set = std::env::var("CARRICK_SEED").ok();
        let seed = match set {
            Some(seed) => seed.parse().expect("CARRICK_SEED is a number"),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_nanos() as u64),
        };
        println!("the same draws again: CARRICK_SEED={seed}");
        Self(seed)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.within(0..end)
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    pub fn within(&mut self, range: Range<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.0;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        range.start + (drawn ^ (drawn >> 31)) % (range.end - range.start)
    }
}
