//! Seeded worlds: actors append and wait, the site goes down somewhere, and what its next life finds is held against what
//! was done. What was appended and not acknowledged is *maybe*: it may stand or not, but only as a whole, in its place,
//! with all that came before it.

mod mirrors;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carrick_log::{Durability, LogSettings, MemoryCheckpoints, Role};
use carrick_sim::{Cut, History, SimSite, run};
use carrick_sys::Clock;

use crate::cases::{cases, hold};
use crate::chance::Chance;
use crate::life::{Life, small};
use mirrors::Mirrors;
use writers::Writers;

const PARTITIONS: u32 = 3;

/// Lines of its history that a failed world shows.
const TOLD_LINES: usize = 400;

/// What a world's actors do, and what its logs must hold.
trait World {
    fn new(seed: u64, history: &History) -> Self;

    fn role(&self, life: u64) -> Role;

    /// Holds what stands against what was done. `all`: nothing but the process was lost since.
    async fn check(&self, on: &Life, life: u64, all: bool);

    /// Starts the actors of one life, which end at a refusal or when told to.
    fn start(&self, on: &Life, life: u64, chance: &mut Chance, stop: &Arc<AtomicBool>);
}

/// Three to five lives of one site. The seed decides the sizes, the durability, where each life ends and how.
async fn lives<W: World>(seed: u64, history: &History) {
    let mut chance = Chance::new(seed);
    let durability = if chance.one_in(4) { Durability::Os } else { Durability::Fsync };
    let segment_bytes = [1, 500, 3_000, 20_000, 1 << 20][chance.below(5) as usize];
    let settings = LogSettings { durability, ..small(segment_bytes) };
    let world = W::new(seed, history);
    let mut site = SimSite::new(seed);
    let mut saved: Arc<MemoryCheckpoints> = Arc::default();
    site.disk.stall_sync(Duration::from_millis(chance.below(8)));
    let (mut clean, mut killed_only) = (true, true);
    let count = chance.within(3..6);
    let mut life = 0;
    while life <= count {
        if chance.one_in(4) && life > 0 {
            site.disk.crash_at(site.disk.calls() + chance.within(1..40));
        }
        let on = match boot(site, settings, world.role(life), clean, Arc::clone(&saved)) {
            Ok(on) => on,
            Err(down) => {
                let cut = draw_cut(&mut chance);
                history.note(format!("life {life} ended while it began, by {cut:?}"));
                (clean, killed_only) = (false, killed_only && cut == Cut::Kill);
                site = down.reboot(cut).await;
                if cut == Cut::Power {
                    let kept = chance.below(saved.unsynced() as u64 + 1);
                    saved = Arc::new(saved.after_power_cut(kept as usize));
                }
                continue;
            }
        };
        on.site.disk.crash_at(u64::MAX);
        world.check(&on, life, killed_only).await;
        let cut;
        (clean, cut) = live(&world, &on, life, &mut chance).await;
        killed_only = clean || cut == Cut::Kill;
        history
            .note(format!("life {life} ended by {cut:?}, clean {clean}, at call {}", on.site.disk.calls()));
        assert_eq!(on.site.spawn.panicked(), [""; 0]);
        let next = on.reboot(cut).await;
        (site, saved) = (next.site, next.checkpoints);
        life += 1;
    }
}

/// As a node opens its logs; none of it may go wrong but by a crash.
fn boot(
    site: SimSite,
    settings: LogSettings,
    role: Role,
    clean: bool,
    saved: Arc<MemoryCheckpoints>,
) -> Result<Life, SimSite> {
    let on = match Life::knowing(site, settings, saved) {
        Ok(on) => on,
        Err((site, e)) => {
            assert!(site.disk.crashed(), "{e}");
            return Err(site);
        }
    };
    let opened = on.try_open(PARTITIONS, role, clean);
    match opened {
        Ok(()) if !on.site.disk.crashed() => Ok(on),
        Ok(()) => Err(on.site),
        Err(e) => {
            assert!(on.site.disk.crashed(), "{e:?}");
            Err(on.site)
        }
    }
}

/// Returns when the life is over: whether it was ended cleanly, and how.
async fn live<W: World>(world: &W, on: &Life, life: u64, chance: &mut Chance) -> (bool, Cut) {
    let stop = Arc::new(AtomicBool::new(false));
    // Not the first ones: a partition's directories, whose sync failed, no later sync makes durable. File systems stop there.
    if chance.one_in(6) && life > 0 {
        on.site.disk.fail_sync_after(chance.within(1..30));
    }
    world.start(on, life, chance, &stop);
    let clock = Arc::clone(&on.site.clock) as Arc<dyn Clock>;
    match chance.below(5) {
        0 => {
            clock.sleep(Duration::from_millis(chance.below(60))).await;
            stop.store(true, Ordering::Relaxed);
            // The store's own two stay.
            while on.site.spawn.living() > 2 {
                clock.sleep(Duration::from_millis(1)).await;
            }
            let flushed = on.store.close().await;
            assert!(flushed.is_ok() || on.store.halted().is_some());
            assert!(flushed.is_err() || on.store.halted().is_some() || on.store.unsynced() == 0);
            return (flushed.is_ok(), Cut::Power);
        }
        1 => clock.sleep(Duration::from_millis(chance.below(80))).await,
        _ => {
            on.site.disk.crash_at(on.site.disk.calls() + chance.within(1..400));
            // Actors that were refused call no more.
            let _ = clock.timeout(Duration::from_secs(5), on.site.disk.until_crashed()).await;
        }
    }
    on.site.crash();
    (false, draw_cut(chance))
}

fn draw_cut(chance: &mut Chance) -> Cut {
    if chance.one_in(2) { Cut::Kill } else { Cut::Power }
}

fn story<W: World>(seed: u64) -> History {
    let history = History::new();
    struct Tell(History);
    impl Drop for Tell {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let lines = self.0.lines();
                for line in &lines[lines.len().saturating_sub(TOLD_LINES)..] {
                    eprintln!("{line}");
                }
            }
        }
    }
    let _told = Tell(history.clone());
    run(seed, lives::<W>(seed, &history));
    history
}

#[test]
fn one_seed_gives_one_history() {
    for seed in 0..8 {
        assert_eq!(story::<Writers>(seed).difference(&story::<Writers>(seed)), None, "seed {seed}");
        assert_eq!(story::<Mirrors>(seed).difference(&story::<Mirrors>(seed)), None, "seed {seed}");
    }
    assert!(story::<Writers>(1).lines().len() > 100);
    assert_ne!(story::<Writers>(1).digest(), story::<Writers>(2).digest());
}

#[test]
fn what_was_acknowledged_stands_once_in_its_place_after_any_crash() {
    hold(cases(100, 100), |seed| drop(story::<Writers>(seed)));
}

#[test]
fn a_mirror_has_skipped_nothing_of_its_source_after_any_crash() {
    hold(cases(100, 100), |seed| drop(story::<Mirrors>(seed)));
}
