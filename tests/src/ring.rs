//! How long the tests may take, and what is not tested here.

use std::io::Write as _;

/// `CARRICK_RING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// A minute.
    Quick,
    /// Minutes.
    Full,
}

impl Ring {
    pub fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

pub fn ring() -> Ring {
    match std::env::var("CARRICK_RING").as_deref() {
        Ok("full") => Ring::Full,
        Ok("quick") | Err(_) => Ring::Quick,
        Ok(other) => panic!("CARRICK_RING={other}: quick or full is wanted"),
    }
}

/// Says that the running test is not run, in the file `CARRICK_SKIPS` and in its output.
pub fn skip(reason: &str) {
    // The test runner names its threads after the tests.
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test").to_string();
    println!("skipped: {name}: {reason}");
    if let Some(path) = std::env::var_os("CARRICK_SKIPS") {
        let file = std::fs::File::options().append(true).create(true).open(&path);
        file.and_then(|mut file| file.write_all(format!("{name}: {reason}\n").as_bytes()))
            .unwrap_or_else(|e| panic!("CARRICK_SKIPS: {}: {e}", path.display()));
    }
}
