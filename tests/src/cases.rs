//! The cases of a line of the campaign: which of them run, and whose number a break is told under.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::ring;

/// Of a run: then something is wrong with all of them.
const BREAKS_MAX: usize = 50;

/// The cases that `CARRICK_CASES=from..to` names, `to` not among them; without it as many as the ring has room for. A case's
/// number is the seed of all that is drawn in it.
pub fn cases(quick: u64, full: u64) -> Range<u64> {
    let Ok(named) = std::env::var("CARRICK_CASES") else { return 0..ring().pick(quick, full) };
    let parsed = named.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed.unwrap_or_else(|| panic!("CARRICK_CASES={named}: two numbers are wanted, such as 0..200"))
}

/// Does what belongs to a case.
///
/// # Panics
/// If that does, with `case N: ` before the words.
pub fn in_case<T>(case: u64, run: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(done) => done,
        Err(broke) => panic!("case {case}: {}", words(broke.as_ref())),
    }
}

/// Does cases that do not rest on one another, all of them.
///
/// # Panics
/// At the end, with what [`in_case`] would have said of each that broke.
pub fn every_case(cases: Range<u64>, mut run: impl FnMut(u64)) {
    let mut broke = Vec::new();
    for case in cases {
        if let Err(why) = catch_unwind(AssertUnwindSafe(|| run(case))) {
            broke.push(format!("case {case}: {}", words(why.as_ref())));
        }
        assert!(broke.len() < BREAKS_MAX, "{}", broke.join("\n"));
    }
    assert!(broke.is_empty(), "{}", broke.join("\n"));
}

fn words(broke: &(dyn Any + Send)) -> &str {
    let text = broke.downcast_ref::<&str>().copied();
    text.or_else(|| broke.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without words")
}
