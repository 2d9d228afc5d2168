//! Numbers drawn from a seed.

use std::ops::Range;

use carrick_sim::derive;

#[derive(Clone, Debug)]
pub struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    pub fn u64(&mut self) -> u64 {
        self.drawn += 1;
        derive(self.seed, self.drawn)
    }

    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.u64() % (range.end - range.start)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.within(0..end)
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.u64().to_le_bytes()).flatten().take(len).collect()
    }
}
