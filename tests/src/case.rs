//! Cases that rest on one another: of a world that goes on, the first that breaks is the last.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does what belongs to a case.
///
/// # Panics
/// If that does, with `case N: ` before the words.
pub fn in_case<T>(case: u64, run: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(done) => done,
        Err(broke) => {
            let text = broke.downcast_ref::<String>().map(String::as_str);
            let text = text.or(broke.downcast_ref::<&str>().copied()).unwrap_or("no words");
            panic!("case {case}: {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
