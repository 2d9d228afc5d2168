//! A disk that refuses: syncs that fail, writes that find no space.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use carrick_log::{AppendError, Bound, Durability, LogSettings, MirrorError, WaitError};
use carrick_record::Batch;
use carrick_sim::{Cut, run};
use carrick_sys::{Clock as _, Spawn as _};
use futures::FutureExt as _;

use crate::batches::batch;
use crate::chance::Chance;
use crate::life::{FSYNC, Files, Life, Look as _, OS, mirror, offset, small, writable};

fn is_full(refused: &Result<carrick_log::Appended, AppendError>) -> bool {
    matches!(refused, Err(AppendError::Disk(e)) if e.kind() == ErrorKind::StorageFull)
}

#[test]
fn after_a_failed_sync_nothing_more_is_acknowledged_and_appends_are_refused() {
    for seed in 0..40 {
        run(seed, async {
            let life = Life::first(seed, small(300));
            life.try_open(2, writable(0), true).unwrap();
            let (log, other) = (life.partition(0), life.partition(1));
            for n in 0..seed % 7 {
                let end = log.put(&batch(1).tag(n).build()).end;
                log.acknowledged(end).await.unwrap();
            }
            let (acknowledged, stood) = (log.five()[4], log.all(Bound::HighWatermark).await);
            life.site.disk.fail_sync_after(1);
            let ends: Vec<_> = (0..5).map(|_| log.put(&batch(1).build()).end).collect();
            let far = other.put(&batch(1).build()).end;
            for end in ends {
                assert!(matches!(log.acknowledged(end).await, Err(WaitError::Halted { .. })));
            }
            assert!(matches!(other.acknowledged(far).await, Err(WaitError::Halted { .. })));
            assert!(matches!(life.store.flush().await, Err(WaitError::Halted { .. })));
            assert!(life.store.halted().is_some());
            for log in [&log, &other] {
                let refused = log.append(&batch(1).build(), None, life.now());
                assert!(matches!(refused, Err(AppendError::Halted { .. })), "{refused:?}");
            }
            // What was told before still is, and still is true.
            log.acknowledged(offset(acknowledged)).await.unwrap();
            assert_eq!((log.five()[2], log.five()[4]), (acknowledged, acknowledged));
            assert_eq!(log.all(Bound::HighWatermark).await, stood);

            let life = life.reboot(Cut::Power).await;
            let log = life.open(writable(1), false);
            let found = log.all(Bound::LogEnd).await;
            assert_eq!(log.damage(), None, "seed {seed}");
            assert_eq!(found[..stood.len()], stood, "seed {seed}");
            assert_eq!(log.put(&batch(1).build()).base, offset(found.len() as i64));
            life.store.flush().await.unwrap();
        });
    }
}

/// The page cache shows bytes whose sync failed, and the next sync says yes without writing them: a start that trusts the
/// cache acknowledges what a power cut then takes.
#[test]
fn a_start_after_a_failed_sync_does_not_take_the_cache_for_the_disk() {
    for seed in 0..60 {
        run(seed, async {
            let (life, log) = Life::writing(seed, small(700));
            let sent = |n: u64| batch(1).producer(7, 0, n as i32).tag(n).build();
            let before = 1 + seed % 6;
            for n in 0..before {
                log.put(&sent(n));
            }
            life.store.flush().await.unwrap();
            life.site.disk.fail_sync_after(1);
            for n in before..before + 9 {
                log.put(&sent(n));
            }
            assert!(life.store.flush().await.is_err());

            let life = life.reboot(Cut::Kill).await;
            let log = life.open(writable(1), false);
            for n in log.end() as u64..before + 10 {
                log.put(&sent(n));
            }
            assert!(log.put(&sent(before + 8)).duplicate);
            life.store.flush().await.unwrap();
            let told = log.all(Bound::HighWatermark).await;
            assert_eq!(told.len() as u64, before + 10);

            let life = life.reboot(Cut::Power).await;
            let log = life.open(writable(2), false);
            assert_eq!((log.damage(), log.all(Bound::LogEnd).await), (None, told), "seed {seed}");
        });
    }
}

/// As the test before this; but the node is killed at the moment of the failure, and leaves no word of it.
#[test]
fn a_kill_before_a_failed_sync_is_told_leaves_no_trust_in_the_cache_either() {
    for seed in 0..200 {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let settings = small([700, 20_000, 1 << 20][chance.below(3) as usize]);
            let life = Life::first(seed, settings);
            life.try_open(3, writable(0), true).unwrap();
            let sent = |n: u64| batch(1).values(n as usize % 900).producer(7, 0, n as i32).tag(n).build();
            let mut numbers = [0_u64; 3];
            for _ in 0..chance.within(1..4) {
                for (log, n) in (0..3).zip(&mut numbers) {
                    for _ in 0..1 + chance.below(8) {
                        life.partition(log).put(&sent(*n));
                        *n += 1;
                    }
                }
                life.store.flush().await.unwrap();
            }
            // The word would be its next call but for the note of what is synced.
            life.site.disk.fail_sync_after(1);
            for (log, n) in (0..3).zip(&mut numbers).take(1 + chance.below(3) as usize) {
                life.partition(log).put(&sent(*n));
                *n += 1;
            }
            life.site.disk.crash_at(life.site.disk.calls() + 3);
            life.site.disk.until_crashed().await;
            let word = std::path::Path::new(carrick_sim::DATA).join("SYNC-FAILED");
            assert_eq!((life.site.disk.failed_syncs(), life.site.disk.file_len(&word)), (1, None));

            let life = life.reboot(Cut::Kill).await;
            life.try_open(3, writable(1), false).unwrap();
            for (log, n) in (0..3).zip(&mut numbers) {
                let log = life.partition(log);
                assert_eq!(log.damage(), None, "seed {seed}");
                *n = log.end() as u64;
                log.put(&sent(*n));
            }
            life.store.flush().await.unwrap();
            let mut told = Vec::new();
            for log in 0..3 {
                told.push(life.partition(log).all(Bound::HighWatermark).await);
            }
            let life = life.reboot(Cut::Power).await;
            life.try_open(3, writable(2), false).unwrap();
            for (log, told) in (0..3).zip(told) {
                let log = life.partition(log);
                assert_eq!((log.damage(), log.all(Bound::LogEnd).await), (None, told), "seed {seed}");
            }
        });
    }
}

/// There is room for nothing: it is written again where it stands.
#[test]
fn a_start_after_a_failed_sync_that_finds_no_space_needs_none() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        log.put(&batch(1).build());
        life.store.flush().await.unwrap();
        life.site.disk.fail_sync_after(1);
        log.put(&batch(1).build());
        assert!(life.store.flush().await.is_err());

        life.site.disk.full_at(life.site.disk.allocated_bytes() + 100);
        let life = life.reboot(Cut::Kill).await;
        let log = life.open(writable(1), false);
        assert_eq!((log.damage(), log.end()), (None, 2));
        life.store.flush().await.unwrap();
        life.site.disk.full_at(u64::MAX);
        let life = life.reboot(Cut::Power).await;
        assert_eq!(life.open(writable(3), false).all(Bound::LogEnd).await.len(), 2);
    });
}

#[test]
fn a_failed_sync_is_forgotten_once_all_was_written_again() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        log.put(&batch(1).build());
        life.store.flush().await.unwrap();
        life.site.disk.fail_sync_after(1);
        log.put(&batch(1).build());
        assert!(life.store.flush().await.is_err());
        let mark = std::path::Path::new(carrick_sim::DATA).join("SYNC-FAILED");
        assert!(life.site.disk.file_len(&mark).is_some());
        let life = life.reboot(Cut::Kill).await;
        life.open(writable(1), false);
        assert!(life.site.disk.file_len(&mark).is_some());
        life.store.flush().await.unwrap();
        assert_eq!(life.site.disk.file_len(&mark), None);
        let left = Files::of(&life.site.disk);
        assert_eq!(left.0.len(), 1, "{:?}", left.0.keys());
    });
}

#[test]
fn a_halted_node_is_at_rest_whatever_was_appended_while_the_sync_failed() {
    for (seed, durability) in
        (0..20).map(|seed| (seed, [Durability::Fsync, Durability::Os][seed as usize % 2]))
    {
        run(seed, async {
            let (life, log) = Life::writing(seed, LogSettings { durability, ..small(500) });
            life.site.disk.stall_sync(Duration::from_millis(50));
            life.site.disk.fail_sync_after(1);
            for _ in 0..10 {
                log.put(&batch(1).build());
                life.site.clock.sleep(Duration::from_millis(seed / 2)).await;
                if life.store.halted().is_some() {
                    break;
                }
            }
            assert!(life.store.flush().await.is_err());
            life.site.clock.sleep(Duration::from_secs(2)).await;
            let calls = life.site.disk.calls();
            life.site.clock.sleep(Duration::from_secs(60)).await;
            assert_eq!(life.site.disk.calls(), calls, "it calls the disk still");
            assert_eq!(life.store.unsynced(), 0);
        });
    }
}

#[test]
fn who_waits_for_room_is_let_go_when_a_sync_fails() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        life.site.disk.stall_sync(Duration::from_millis(500));
        life.site.disk.fail_sync_after(2);
        let sent = batch(1).values(1 << 20).build();
        log.put(&sent);
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        for _ in 0..140 {
            log.put(&sent);
        }
        assert!(life.store.room().now_or_never().is_none());
        let waits: Vec<_> = (0..10).map(|_| life.store.room()).collect();
        futures::future::join_all(waits).await;
        life.site.clock.sleep(Duration::from_secs(2)).await;
        life.store.room().await;
        assert!(life.store.halted().is_some());
    });
}

#[test]
fn a_full_disk_refuses_the_batch_and_keeps_all_that_stood() {
    for seed in 0..150 {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let (life, log) = Life::writing(seed, small(chance.within(1..3_000)));
            let mut stands: Vec<Batch> = Vec::new();
            for _ in 0..chance.below(6) {
                log.put(&batch(1).values(chance.below(500) as usize).tag(chance.u64()).build());
            }
            life.store.flush().await.unwrap();
            let (full, mut refusals) = (life.site.disk.allocated_bytes() + chance.below(9_000), 0);
            life.site.disk.full_at(full);
            for _ in 0..30 {
                let sent = batch(1).values(chance.below(2_000) as usize).tag(chance.u64()).build();
                let was = log.five();
                let appended = log.append(&sent, None, life.now());
                if appended.is_err() {
                    assert!(is_full(&appended), "seed {seed}: {appended:?}");
                    assert_eq!(log.five()[3], was[3], "seed {seed}");
                    refusals += 1;
                }
                assert!(log.offsets().ordered(true));
                stands = log.all(Bound::LogEnd).await;
                let bytes: usize = stands.iter().map(|it| it.bytes.len()).sum();
                let files = Files::of(&life.site.disk);
                let held: usize = files.segments(0).iter().map(|path| files.get(path).len() - 4096).sum();
                assert_eq!(held, bytes, "seed {seed}: something else is left of a refused batch");
                if chance.one_in(5) {
                    life.store.flush().await.unwrap();
                }
            }
            assert!(refusals > 0, "seed {seed} never filled the disk");
            life.store.flush().await.unwrap();
            assert_eq!(log.all(Bound::HighWatermark).await, stands);
            assert_eq!(log.damage(), None);

            life.site.disk.full_at(u64::MAX);
            let put = log.put(&batch(1).values(700).build());
            assert_eq!(put.base.get(), stands.len() as i64);
            log.acknowledged(put.end).await.unwrap();
            let all = log.all(Bound::HighWatermark).await;
            let life = life.reboot(Cut::Power).await;
            let log = life.open(writable(1), false);
            assert!((log.damage(), log.all(Bound::LogEnd).await) == (None, all), "seed {seed}");
        });
    }
}

#[test]
fn a_full_disk_at_a_power_cut_loses_nothing_that_was_acknowledged() {
    for seed in 0..150 {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let (life, log) = Life::writing(seed, small(chance.within(1..3_000)));
            log.put(&batch(1).build());
            life.store.flush().await.unwrap();
            life.site.disk.full_at(life.site.disk.allocated_bytes() + chance.below(9_000));
            for n in 0..chance.below(30) {
                let sent = batch(1).values(chance.below(2_000) as usize).tag(n).build();
                let _ = log.append(&sent, None, life.now());
                if chance.one_in(6) {
                    life.store.flush().await.unwrap();
                }
            }
            let (told, handed) = (log.all(Bound::HighWatermark).await, log.all(Bound::LogEnd).await);
            let life = life.reboot(Cut::Power).await;
            life.site.disk.full_at(u64::MAX);
            let log = life.open(writable(1), false);
            let found = log.all(Bound::LogEnd).await;
            assert_eq!(log.damage(), None, "seed {seed}");
            assert!(found.len() >= told.len() && found[..] == handed[..found.len()], "seed {seed}");
        });
    }
}

#[test]
fn a_mirror_whose_first_batch_finds_no_space_is_as_empty_as_before() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        let first = batch(2).at(40).epoch(0).build();
        for room in [0, 100, 4_096, 4_100] {
            life.site.disk.full_at(room);
            let refused = log.append_mirrored(&first, None, life.now());
            let Err(MirrorError::Append(AppendError::Disk(e))) = refused else { panic!("{refused:?}") };
            assert_eq!(e.kind(), ErrorKind::StorageFull);
            assert!(log.offsets().ordered(true), "{:?}", log.offsets());
            assert_eq!(log.five(), [0; 5]);
        }
        life.site.disk.full_at(u64::MAX);
        assert_eq!(log.append_mirrored(&first, None, life.now()).unwrap(), offset(42));
        let (_life, log) = life.restart(mirror()).await;
        assert_eq!(log.five()[0], 40);
        assert_eq!(log.all(Bound::LogEnd).await, [first]);
    });
}

#[test]
fn at_durability_os_a_failed_sync_halts_too_and_what_was_told_stays_readable() {
    run(1, async {
        let (life, log) = Life::writing(1, OS);
        life.site.disk.fail_sync_after(1);
        let end = log.put(&batch(1).build()).end;
        log.acknowledged(end).await.unwrap();
        life.site.clock.sleep(Duration::from_secs(2)).await;
        assert!(life.store.halted().is_some());
        assert!(matches!(log.durable(end).await, Err(WaitError::Halted { .. })));
        let refused = log.append(&batch(1).build(), None, life.now());
        assert!(matches!(refused, Err(AppendError::Halted { .. })));
        assert_eq!(log.all(Bound::HighWatermark).await.len(), 1);
        let life = life.reboot(Cut::Kill).await;
        assert_eq!(life.open(writable(1), false).end(), 1);
    });
}

#[test]
fn many_appenders_that_a_failed_sync_meets_are_all_told() {
    for seed in 0..20 {
        run(seed, async {
            let (life, log) = Life::writing(seed, small(2_000));
            life.site.disk.stall_sync(Duration::from_millis(4));
            life.site.disk.fail_syncs_from(1 + seed % 5);
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    let (log, clock) = (Arc::clone(&log), Arc::clone(&life.site.clock));
                    let work = async move {
                        while let Ok(appended) = log.append(&batch(1).build(), None, clock.wall()) {
                            if log.acknowledged(appended.end).await.is_err() {
                                return;
                            }
                            clock.sleep(Duration::from_millis(1)).await;
                        }
                    };
                    life.site.spawn.spawn("appends", Box::pin(work))
                })
                .collect();
            for task in tasks {
                assert!(task.join().await);
            }
            assert!(life.store.halted().is_some());
        });
    }
}

/// The segment that was begun for a batch which found no room bears that batch's offset.
#[test]
fn a_mirror_that_found_no_room_and_is_opened_for_writing_keeps_what_is_written_then() {
    for (before, room, cut) in
        (0..8).map(|n| ([0, 3][n % 2], [4_100, 4_200][n / 2 % 2], [Cut::Kill, Cut::Power][n / 4]))
    {
        run(1, async {
            let (life, log) = Life::mirroring(1, small(1));
            for n in 0..before {
                log.append_mirrored(&batch(2).at(n * 2).epoch(0).build(), None, life.now()).unwrap();
            }
            life.store.flush().await.unwrap();
            life.site.disk.full_at(life.site.disk.allocated_bytes() + room);
            let far = batch(2).at(before * 2 + 40).epoch(0).values(1_000).build();
            log.append_mirrored(&far, None, life.now()).unwrap_err();
            life.site.disk.full_at(u64::MAX);
            log.set_role(writable(101 << 16));
            for n in 0..3 {
                let put = log.put(&batch(2).tag(n).build());
                assert_eq!(put.base.get(), before * 2 + n as i64 * 2);
            }
            life.store.flush().await.unwrap();
            let told = log.all(Bound::HighWatermark).await;
            let life = life.reboot(cut).await;
            let log = life.open(writable(102 << 16), false);
            assert_eq!((log.damage(), log.wounds()), (None, vec![]), "{before} {room} {cut:?}");
            let stands = log.all(Bound::LogEnd).await;
            assert!(stands == told, "{before} {room} {cut:?}: {:?}, was {}", log.five(), told.len());
        });
    }
}
