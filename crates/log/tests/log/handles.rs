//! With fewer files open than there are segments: reads are right, appends go on after their file was closed, what was
//! synced stays, and a reader whose segment is closed, ended or removed under it is not told that it is damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carrick_log::{Bound, LogSettings, Partition, ReadError, Role, TopicLog};
use carrick_record::{Batch, Batches};
use carrick_sim::{Cut, SimClock, run};
use carrick_sys::{Clock as _, Spawn as _};

use crate::batches::batch;
use crate::cases::cases;
use crate::chance::Chance;
use crate::life::{Life, Look as _, OS, TOPIC, mirror, offset, small, writable};

const PARTITIONS: u32 = 4;

fn few(open_files_max: usize, segment_bytes: u64) -> LogSettings {
    LogSettings { open_files_max, ..small(segment_bytes) }
}

/// The batch that stands at `n` in `log`, and the offset after it.
fn sent(n: u64, at: i64, role: Role) -> Batch {
    let build = batch(1 + n as usize % 3).tag(n).values(60 + n as usize * 7 % 200);
    if matches!(role, Role::Mirror { .. }) {
        build.at(at).epoch((n / 50) as i32).build()
    } else {
        build.build()
    }
}

/// Appends the next batch; a mirror's source has holes.
fn put(log: &Partition, n: u64, role: Role, now: carrick_types::Timestamp) {
    match role {
        Role::Mirror { .. } => {
            let at = log.end() + if n.is_multiple_of(3) { (n % 11) as i64 } else { 0 };
            let end = log.append_mirrored(&sent(n, at, role), None, now).unwrap();
            log.set_source_high(end);
        }
        _ => drop(log.append(&sent(n, 0, role), None, now).unwrap()),
    }
}

#[test]
fn with_two_open_files_all_is_read_and_written_as_with_many() {
    for seed in cases(12, 12) {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let role = if seed % 2 == 0 { writable(0) } else { mirror() };
            let settings = few([1, 2, 3][seed as usize % 3], [300, 2_000, 90_000][chance.below(3) as usize]);
            let mut life = Life::first(seed, settings);
            life.try_open(PARTITIONS, role, true).unwrap();
            let mut stand = vec![Vec::<Batch>::new(); PARTITIONS as usize];
            for n in 0..400 {
                let at = chance.below(u64::from(PARTITIONS)) as u32;
                let log = life.partition(at);
                let stand = &mut stand[at as usize];
                if chance.one_in(2) || stand.is_empty() {
                    put(&log, n, role, life.now());
                    let (mut bytes, _) = log.try_read(log.end() - 1, 1, Bound::LogEnd).await.unwrap();
                    stand.push(Batch::split_from(&mut bytes).unwrap());
                } else {
                    let from = chance.below(stand.len() as u64) as usize;
                    let max = chance.below(2_000) as usize;
                    let at = stand[from].header.base_offset.get();
                    let (bytes, _) = log.try_read(at, max, Bound::LogEnd).await.unwrap();
                    let found: Vec<_> = Batches::new(bytes).map(Result::unwrap).collect();
                    assert_eq!(found, stand[from..from + found.len()], "seed {seed}");
                }
                if n == 200 {
                    life.store.close().await.unwrap();
                    life = life.reboot(Cut::Power).await;
                    life.try_open(PARTITIONS, role, true).unwrap();
                }
            }
            life.store.flush().await.unwrap();
            for (at, stand) in stand.iter().enumerate() {
                let log = life.partition(at as u32);
                assert_eq!(log.all(Bound::LogEnd).await, *stand, "seed {seed}");
                assert_eq!((log.damage(), log.wounds()), (None, vec![]));
            }
        });
    }
}

#[test]
fn what_is_synced_stays_though_its_file_was_closed_before_the_sync() {
    for seed in cases(40, 40) {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let segment_bytes = [300, 3_000, 1 << 20][chance.below(3) as usize];
            let durability = if chance.one_in(3) { OS.durability } else { carrick_log::Durability::Fsync };
            let settings = LogSettings { durability, ..few(1, segment_bytes) };
            let life = Life::first(seed, settings);
            life.try_open(PARTITIONS, writable(0), true).unwrap();
            let mut durable = vec![0; PARTITIONS as usize];
            for n in 0..chance.within(5..60) {
                let at = chance.below(u64::from(PARTITIONS)) as usize;
                put(&life.partition(at as u32), n, writable(0), life.now());
                if chance.one_in(6) {
                    let at = chance.below(u64::from(PARTITIONS)) as usize;
                    let log = life.partition(at as u32);
                    log.durable(offset(log.end())).await.unwrap();
                    durable[at] = log.end();
                }
                if chance.one_in(4) {
                    drop(life.partition(chance.below(4) as u32).all(Bound::LogEnd).await);
                }
            }
            let mut stood = Vec::new();
            for at in 0..PARTITIONS {
                stood.push(life.partition(at).all(Bound::LogEnd).await);
            }
            let life = life.reboot(Cut::Power).await;
            life.try_open(PARTITIONS, writable(0), false).unwrap();
            for at in 0..PARTITIONS {
                let log = life.partition(at);
                let (found, stood) = (log.all(Bound::LogEnd).await, &stood[at as usize]);
                assert_eq!(found, stood[..found.len()], "seed {seed}");
                assert!(log.damage().is_none() && log.end() >= durable[at as usize], "seed {seed}: {at}");
            }
        });
    }
}

/// Reads on and on, from anywhere, until told to stop.
async fn read_on(log: Arc<Partition>, clock: Arc<SimClock>, mut chance: Chance, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let [start, .., end, _] = log.five();
        let mut from = chance.within(start as u64..end as u64 + 1) as i64;
        while from < end && !chance.one_in(20) {
            match log.read(offset(from), chance.below(900) as usize, Bound::LogEnd).await {
                Ok(slice) => {
                    for batch in Batches::new(slice.bytes) {
                        assert_eq!(batch.unwrap().verify(), Ok(()));
                    }
                    assert!(slice.next.get() > from);
                    from = slice.next.get();
                }
                Err(ReadError::OutOfRange { start, .. }) => {
                    assert!(start.get() > from, "{from} is not below {start}");
                    break;
                }
                Err(e) => panic!("{e}"),
            }
        }
        let time = carrick_types::Timestamp(1_000 + chance.below(4) as i64);
        log.first_at(time, Bound::LogEnd).await.unwrap();
        // Time stands still while anyone has something to do.
        clock.sleep(Duration::from_millis(chance.below(3))).await;
    }
}

#[test]
fn readers_of_segments_that_are_closed_ended_and_removed_see_no_damage() {
    for seed in cases(10, 10) {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let role = if seed % 4 == 0 { writable(0) } else { mirror() };
            let settings = LogSettings {
                retention_check: Duration::from_millis(3),
                ..few([1, 2, 100][seed as usize % 3], [300, 2_000, 80_000][chance.below(3) as usize])
            };
            let keeps = TopicLog { retention_bytes: Some(4_000), ..TopicLog::FOR_EVER };
            let life = Life::first(seed, settings);
            life.store.open_topic(TOPIC, 2, role, true, keeps).unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            for index in 0..2 {
                put(&life.partition(index), 0, role, life.now());
                for _ in 0..3 {
                    let (clock, chance) = (Arc::clone(&life.site.clock), Chance::new(chance.u64()));
                    let reads = read_on(life.partition(index), clock, chance, Arc::clone(&stop));
                    life.site.spawn.spawn("reader", Box::pin(reads)).detach();
                }
            }
            for n in 1..500 {
                let log = life.partition((n % 2) as u32);
                put(&log, n, role, life.now());
                if chance.one_in(20) {
                    let [start, .., end, _] = log.five();
                    log.follow_start(offset(start + (end - start) * 2 / 3));
                }
                if chance.one_in(5) {
                    life.site.clock.sleep(Duration::from_millis(chance.below(3))).await;
                } else {
                    tokio::task::yield_now().await;
                }
            }
            stop.store(true, Ordering::Relaxed);
            while life.site.spawn.living() > 2 {
                life.site.clock.sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(life.site.spawn.panicked(), [""; 0], "seed {seed}");
            for index in 0..2 {
                assert_eq!(life.partition(index).wounds(), [], "seed {seed}");
                assert!(life.partition(index).five()[0] > 0, "seed {seed}");
            }
        });
    }
}
