//! Which cases a test runs: its own share, or those that a campaign names; and the words in which it says what broke.
//!
//! A module of each package's tests, by its path. README.md beside it says what the cases of each line are.
#![allow(
    clippy::allow_attributes,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "part of tests, of which each uses what it needs"
)]

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// More broken cases than this say no more than these do.
const BROKEN_MAX: usize = 20;

/// `CARRICK_CASES=from..to`; without it the first `quick`, where `CARRICK_RING` is full the first `full`.
pub fn cases(quick: u64, full: u64) -> Range<u64> {
    let Ok(named) = std::env::var("CARRICK_CASES") else {
        let all = std::env::var("CARRICK_RING").is_ok_and(|ring| ring == "full");
        return 0..if all { full } else { quick };
    };
    let ends = named.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    ends.unwrap_or_else(|| panic!("CARRICK_CASES={named}: from..to is wanted"))
}

/// Whether a test runs its own share, all of which has to show what a range that a campaign names need not.
pub fn own_share() -> bool {
    std::env::var_os("CARRICK_CASES").is_none()
}

/// Tries each case, and says at the end which of them broke: a line `case N: what broke` for each.
///
/// # Panics
/// If any did.
pub fn hold(cases: Range<u64>, mut tried: impl FnMut(u64)) {
    let mut broken = Vec::new();
    for case in cases {
        if let Err(words) = catch_unwind(AssertUnwindSafe(|| tried(case))) {
            let text = words.downcast_ref::<String>().map(String::as_str);
            let text = text.or(words.downcast_ref::<&str>().copied()).unwrap_or("no words");
            broken.push(format!("case {case}: {}", text.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        if broken.len() == BROKEN_MAX {
            break;
        }
    }
    assert!(broken.is_empty(), "{} cases broke:\n{}", broken.len(), broken.join("\n"));
}
