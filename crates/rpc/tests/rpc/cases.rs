//! The cases of a line of the campaign: which of them run, what is drawn in each, and whose number a break is told under.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The cases that `CARRICK_CASES=from..to` names, `to` not among them; without it as many as the ring has room for. A case's
/// number is the seed of all that is drawn in it.
pub fn cases(quick: u64, full: u64) -> Range<u64> {
    let Ok(named) = std::env::var("CARRICK_CASES") else {
        let ring = std::env::var("CARRICK_RING").is_ok_and(|ring| ring == "full");
        return 0..if ring { full } else { quick };
    };
    let parsed = named.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed.unwrap_or_else(|| panic!("CARRICK_CASES={named}: two numbers are wanted, such as 0..200"))
}

/// Does what belongs to a case; what panics in it panics with `case N: ` before its words.
pub fn in_case<T>(case: u64, run: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(done) => done,
        Err(broke) => panic!("case {case}: {}", words(broke.as_ref())),
    }
}

pub fn words(broke: &(dyn Any + Send)) -> &str {
    let text = broke.downcast_ref::<&str>().copied();
    text.or_else(|| broke.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without words")
}

/// Numbers drawn from a seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.0;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^ (drawn >> 31)
    }

    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.u64() % (range.end - range.start)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.within(0..end)
    }
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.u64().to_le_bytes()).flatten().take(len).collect()
    }
}
