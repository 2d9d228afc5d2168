//! One machine of a simulated world, and its next life after a crash.

use std::sync::Arc;

use carrick_sys::{Clock as _, Sys};
use carrick_types::Timestamp;

use crate::{Cut, SimClock, SimDisk, SimEntropy, SimSpawn, WALL_START, derive};

/// What a node is given, by parts that a test can take hold of; clones are of the same machine.
#[derive(Clone)]
pub struct SimSite {
    pub seed: u64,
    pub disk: Arc<SimDisk>,
    pub spawn: Arc<SimSpawn>,
    pub clock: Arc<SimClock>,
    pub entropy: Arc<SimEntropy>,
}

impl SimSite {
    /// A site on an empty disk. To be made inside [`run`](crate::run).
    pub fn new(seed: u64) -> Self {
        Self::on(seed, SimDisk::new(derive(seed, 0)), WALL_START)
    }

    /// A site on a disk that is already there, as after a restore from a copy.
    pub fn on(seed: u64, disk: Arc<SimDisk>, wall: Timestamp) -> Self {
        Self {
            seed,
            disk,
            spawn: Arc::new(SimSpawn::new()),
            clock: Arc::new(SimClock::new(wall)),
            entropy: Arc::new(SimEntropy::new(derive(seed, 1))),
        }
    }

    pub fn sys(&self) -> Sys {
        Sys {
            clock: Arc::clone(&self.clock) as _,
            disk: Arc::clone(&self.disk) as _,
            entropy: Arc::clone(&self.entropy) as _,
            spawn: Arc::clone(&self.spawn) as _,
            prompt: Arc::clone(&self.spawn) as _,
        }
    }

    /// Nothing that it does from here on reaches the medium, and its tasks end where they wait.
    pub fn crash(&self) {
        self.disk.crash();
        self.spawn.crash();
    }

    /// Crashes it if it has not, waits until its tasks are dropped, and starts its next life: the disk that the cut left,
    /// a monotonic clock from zero, a wall clock that goes on, and chance that does not repeat itself. Not to be awaited
    /// by one of its tasks.
    pub async fn reboot(&self, cut: Cut) -> Self {
        self.crash();
        self.spawn.gone().await;
        Self::on(derive(self.seed, 2), self.disk.reboot(cut), self.clock.wall())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use carrick_sys::{Mono, Opening};
    use futures::FutureExt as _;

    use super::*;
    use crate::{DATA, History, run};

    /// Three writers with stalled syncs, a crash somewhere, and what the next life finds.
    fn story(seed: u64) -> History {
        let history = History::new();
        run(seed, async {
            let site = SimSite::new(seed);
            site.disk.stall_sync(Duration::from_millis(5));
            site.disk.crash_at(20 + site.sys().entropy.u64() % 60);
            for writer in 0..3 {
                let (sys, history) = (site.sys(), history.clone());
                let work = async move {
                    let name = sys.entropy.u64();
                    let path = Path::new(DATA).join(format!("{writer}-{name:x}"));
                    let file = sys.disk.open(&path, Opening::New)?;
                    for turn in 0..40 {
                        file.write_at(&[&[writer; 300]], turn * 300)?;
                        sys.disk
                            .sync(vec![Arc::clone(&file).as_durable(), sys.disk.dir(Path::new(DATA))?])
                            .await?;
                        let read = sys.disk.read(&file, 10, turn * 300).await?;
                        history.note(format!("{writer} {turn} {:?} {}", sys.clock.now(), read.len()));
                    }
                    Ok::<(), std::io::Error>(())
                };
                site.spawn.spawn_logged(work.map(drop));
            }
            site.disk.until_crashed().await;
            history.note(format!("crashed at call {}", site.disk.calls()));
            let next = site.reboot(Cut::Power).await;
            assert_eq!((site.spawn.living(), next.clock.now()), (0, Mono::default()));
            for path in next.disk.paths() {
                history.note(format!("{path} {:?}", next.disk.file_len(Path::new(&path))));
            }
            history.note(format!("{} {:x}", next.clock.wall(), next.sys().entropy.u64()));
        });
        history
    }

    impl SimSpawn {
        fn spawn_logged(&self, work: impl Future<Output = ()> + Send + 'static) {
            carrick_sys::Spawn::spawn(self, "writer", Box::pin(work)).detach();
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_history() {
        for seed in 0..20 {
            let (once, again) = (story(seed), story(seed));
            assert_eq!(once.difference(&again), None, "seed {seed}");
            assert!(once.lines().len() > 4, "seed {seed} tells nothing");
        }
    }

    #[test]
    fn another_seed_gives_another_history() {
        assert_ne!(story(1).digest(), story(2).digest());
    }

    #[test]
    fn a_next_life_draws_other_chance() {
        run(3, async {
            let site = SimSite::new(3);
            let first = site.sys().entropy.u64();
            assert_ne!(site.reboot(Cut::Kill).await.sys().entropy.u64(), first);
        });
    }
}
