//! A start takes up the checkpoint and reads what was appended since: it knows all that a start knows that reads everything.
//! A checkpoint that is lost or damaged costs that reading, and no more.

use std::sync::Arc;
use std::time::Duration;

use carrick_log::{Bound, LogSettings, MemoryCheckpoints};
use carrick_sim::{Cut, SimSite, run};
use carrick_sys::{Clock as _, Sys};

use crate::batches::batch;
use crate::cases::cases;
use crate::chance::Chance;
use crate::histories::{History, segment_bytes};
use crate::known::{answers, known};
use crate::life::{FSYNC, Life, Look as _, OS, small, writable};
use crate::metered::Metered;

/// The first page of the segment that is written to, which a start looks at twice.
const PAGES: u64 = 2 * 4_096;

/// A life over files, and the meter of its disk.
fn metered(site: SimSite, saved: MemoryCheckpoints, settings: LogSettings) -> (Life, Arc<Metered>) {
    let meter = Metered::new(&site.disk);
    let sys = Sys { disk: Arc::clone(&meter) as _, ..site.sys() };
    let (home, saved) = (Arc::new(saved), Arc::new(MemoryCheckpoints::default()));
    let life = Life::given(site, sys, settings, home, saved);
    (life.unwrap_or_else(|(_, e)| panic!("{e}")), meter)
}

#[test]
fn after_a_clean_end_a_start_reads_the_newest_batch_alone() {
    for (seed, segment_bytes) in [(1, 1 << 20), (2, 70_000), (3, 5_000), (4, 1)] {
        run(seed, async {
            let (life, log) = Life::writing(seed, small(segment_bytes));
            for n in 0..200 {
                log.put(&batch(1).values(1_000).tag(n).build());
            }
            let (files, saved) = life.close().await;
            let newest = log.all(Bound::LogEnd).await.pop().unwrap().bytes.len() as u64;
            for clean in [true, false] {
                let (life, meter) = metered(files.boot(1), saved.after_power_cut(usize::MAX), life.settings);
                let log = life.open(writable(0), clean);
                assert_eq!(meter.take(".seg"), PAGES + newest, "seed {seed} clean {clean}");
                assert_eq!((log.damage(), log.five()), (None, [0, 200, 200, 200, 200]));
            }
        });
    }
}

/// The index of the segment that is written to is a file like the others: what a clean end left of it is there after a power
/// cut.
#[test]
fn after_a_clean_end_and_a_power_cut_a_start_reads_no_more() {
    for seed in 0..40 {
        run(seed, async {
            let (life, log) = Life::writing(seed, small([1 << 20, 70_000][seed as usize % 2]));
            for n in 0..100 {
                log.put(&batch(1).values(1_000).tag(n).build());
            }
            life.store.close().await.unwrap();
            let newest = log.all(Bound::LogEnd).await.pop().unwrap().bytes.len() as u64;
            let (saved, settings) = (life.checkpoints.after_power_cut(usize::MAX), life.settings);
            drop(life.store);
            let (life, meter) = metered(life.site.reboot(Cut::Power).await, saved, settings);
            let log = life.open(writable(0), true);
            assert_eq!((log.damage(), log.end()), (None, 100));
            assert_eq!(meter.take(".seg"), PAGES + newest, "seed {seed}");
        });
    }
}

#[test]
fn after_a_kill_a_start_reads_what_was_appended_since_the_checkpoint() {
    for (seed, segment_bytes) in [(1, 1 << 20), (2, 70_000), (3, 5_000)] {
        run(seed, async {
            let (life, log) = Life::writing(seed, small(segment_bytes));
            let put = |count: u64| -> u64 {
                let sizes = (0..count).map(|n| {
                    let sent = batch(1).values(1_000).tag(n).build();
                    log.put(&sent);
                    sent.bytes.len() as u64
                });
                sizes.sum()
            };
            put(200);
            // The checkpoint comes by itself.
            life.site.clock.sleep(Duration::from_secs(6)).await;
            let since = put(20);
            life.store.flush().await.unwrap();
            let (files, saved) = life.left();
            let segments = files.segments(0).len() as u64;
            let (life, meter) = metered(files.boot(1), saved, life.settings);
            let log = life.open(writable(0), false);
            assert_eq!((log.damage(), log.end()), (None, 220));
            let read = meter.take(".seg");
            // The newest batch of the checkpoint, and a page of each segment that was begun since.
            assert!(
                (since..=since + 2_000 + PAGES + 4_096 * segments.min(20)).contains(&read),
                "{since}: {read}"
            );
        });
    }
}

#[test]
fn a_mib_is_appended_between_two_checkpoints_at_most() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        for n in 0..60 {
            log.put(&batch(1).values(100_000).tag(n).build());
            life.store.flush().await.unwrap();
        }
        let (files, saved) = life.left();
        let (life, meter) = metered(files.boot(1), saved, FSYNC);
        assert_eq!(life.open(writable(0), false).end(), 60);
        assert!(meter.take(".seg") < (1 << 20) + 400_000);
    });
}

#[test]
fn a_start_with_a_checkpoint_knows_what_one_without_knows() {
    let mut seen = [0; 4];
    for seed in cases(80, 80) {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let settings = if chance.one_in(4) { OS } else { FSYNC };
            let settings = LogSettings { segment_bytes: 4_096 + segment_bytes(&mut chance), ..settings };
            let life = Life::first(seed, settings);
            let mut history = History::begin(&life, &mut chance, seed % 2 == 0);
            let steps = chance.within(20..200);
            history.go_on(&life, &mut chance, steps).await;
            let clean = chance.one_in(2);
            if clean {
                life.store.close().await.unwrap();
            }
            let (files, saved) = life.left();
            life.store.flush().await.unwrap();
            let stood = known(&history.log).await;

            let with = Life::over(&files, settings, &saved);
            let without = Life::over(&files, settings, &MemoryCheckpoints::default());
            let logs = [with.open(history.role, clean), without.open(history.role, clean)];
            for life in [&with, &without] {
                life.store.flush().await.unwrap();
            }
            let found = known(&logs[0]).await;
            assert_eq!(found.differs(&known(&logs[1]).await), None, "seed {seed}");
            assert_eq!(found.differs(&stood).filter(|_| clean), None, "seed {seed}");
            let rich = [
                !found.aborted.is_empty(),
                !found.open.is_empty(),
                files.segments(0).len() > 4,
                found.has_holes(),
            ];
            seen.iter_mut().zip(rich).for_each(|(seen, it)| *seen += i32::from(it));
            logs.iter().for_each(|log| log.set_role(writable(9 << 16)));
            let [one, other] = [0, 1].map(|i| answers(&logs[i], &found.batches, with.now()));
            let differ = one.iter().zip(&other).find(|(one, other)| one != other);
            assert_eq!(differ, None, "seed {seed}");
            let (files, saved) = with.close().await;
            without.store.flush().await.unwrap();
            let again = Life::over(&files, settings, &saved);
            let again = known(&again.open(writable(9 << 16), true)).await;
            assert_eq!(again.differs(&known(&logs[1]).await), None, "seed {seed}");
        });
    }
    assert!(seen.iter().all(|seen| *seen >= 5), "the histories are poor: {seen:?}");
}
