//! The one runtime of a simulated world.

/// Runs `world` on a paused current-thread runtime; tasks that it left behind are dropped at its end. The seed is named if
/// `world` panics, so that it can be run again.
pub fn run<F: Future>(seed: u64, world: F) -> F::Output {
    let _named = NameSeedOnPanic(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    #[expect(clippy::expect_used, reason = "a test that gets no runtime cannot go on")]
    runtime.expect("a current-thread runtime").block_on(world)
}

struct NameSeedOnPanic(u64);

impl Drop for NameSeedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulated world that failed had seed {}", self.0);
        }
    }
}
