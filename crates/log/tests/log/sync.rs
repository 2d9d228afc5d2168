//! The task that makes logs durable: what it covers, when it runs, and what it counts.

use std::sync::Arc;
use std::time::Duration;

use carrick_log::{Bound, WaitError};
use carrick_sim::{Cut, run};
use carrick_sys::{Clock as _, Spawn as _};
use carrick_types::limits::UNSYNCED_BYTES_MAX;
use futures::FutureExt as _;

use crate::batches::batch;
use crate::life::{FSYNC, Life, Look as _, OS, offset, small, writable};

const MIB: usize = 1 << 20;

#[test]
fn an_append_is_acknowledged_when_a_power_cut_would_leave_it() {
    for seed in 0..60 {
        run(seed, async {
            let (life, log) = Life::writing(seed, small(400));
            let mut stands = Vec::new();
            for n in 0..=seed % 5 {
                let end = log.put(&batch(2).tag(n).build()).end;
                if n % 2 == seed % 2 {
                    log.acknowledged(end).await.unwrap();
                    stands = log.all(Bound::HighWatermark).await;
                }
            }
            let life = life.reboot(Cut::Power).await;
            let log = life.open(writable(1), false);
            assert_eq!(log.damage(), None);
            let found = log.all(Bound::LogEnd).await;
            assert_eq!(found[..stands.len()], stands, "seed {seed}");
        });
    }
}

#[test]
fn a_sync_does_not_answer_for_what_came_while_it_ran() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        life.site.disk.stall_sync(Duration::from_millis(50));
        let first = log.put(&batch(1).build()).end;
        let clock = Arc::clone(&life.site.clock);
        let mut syncing = Box::pin(log.durable(first)).fuse();
        // The sync is under way now, and so is this append.
        assert!(futures::poll!(&mut syncing).is_pending());
        tokio::task::yield_now().await;
        let second = log.put(&batch(1).build()).end;
        syncing.await.unwrap();
        assert!(log.five()[4] == 1 || clock.now().0 > Duration::from_millis(50));
        log.durable(second).await.unwrap();
    });
}

#[test]
fn all_that_is_dirty_is_synced_together() {
    run(1, async {
        let life = Life::first(1, FSYNC);
        life.try_open(50, writable(0), true).unwrap();
        life.site.disk.stall_sync(Duration::from_millis(100));
        let ends: Vec<_> = (0..50).map(|i| life.partition(i).put(&batch(1).build()).end).collect();
        let before = life.site.clock.now();
        for (i, end) in ends.into_iter().enumerate() {
            life.partition(i as u32).durable(end).await.unwrap();
        }
        assert!(life.site.clock.now().since(before) <= Duration::from_millis(200));
    });
}

#[test]
fn what_is_unsynced_is_counted_to_the_byte_and_comes_back_to_zero() {
    for (seed, settings) in [(1, FSYNC), (2, OS), (3, small(500)), (4, FSYNC)] {
        run(seed, async {
            let life = Life::first(seed, settings);
            life.try_open(4, writable(0), true).unwrap();
            assert_eq!(life.store.unsynced(), 0);
            for round in 0..20 {
                let mut written = 0;
                for n in 0..8 {
                    let sent = batch(1).values(100 * n).tag(round).build();
                    written += sent.bytes.len() as u64;
                    life.partition(n as u32 % 4).put(&sent);
                }
                assert_eq!(life.store.unsynced(), written);
                life.site.disk.stall_sync(Duration::from_millis(round));
                life.store.flush().await.unwrap();
                // The last waiter may run before the task has counted.
                life.site.clock.sleep(Duration::from_millis(1)).await;
                assert_eq!(life.store.unsynced(), 0, "seed {seed} round {round}");
            }
        });
    }
}

#[test]
fn what_is_unsynced_of_a_removed_topic_is_counted_down_too() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        life.site.disk.stall_sync(Duration::from_millis(20));
        log.put(&batch(1).build());
        tokio::task::yield_now().await;
        log.put(&batch(1).build());
        drop(log);
        life.store.remove_topic(crate::life::TOPIC).unwrap();
        assert!(life.store.unsynced() > 0);
        life.site.clock.sleep(Duration::from_millis(200)).await;
        assert_eq!((life.store.unsynced(), life.store.halted()), (0, None));
    });
}

#[test]
fn a_stalled_sync_holds_up_no_append_and_room_bounds_what_is_unsynced() {
    run(1, async {
        let life = Life::first(1, FSYNC);
        life.try_open(3, writable(0), true).unwrap();
        life.site.disk.stall_sync(Duration::from_secs(5));
        let sent = batch(1).values(MIB).build();
        let (clock, mut most, mut waits) = (Arc::clone(&life.site.clock), 0, 0);
        for n in 0..400 {
            let before = clock.now();
            life.store.room().await;
            if clock.now() > before {
                waits += 1;
            }
            let before = clock.now();
            life.partition(n % 3).put(&sent);
            assert_eq!(clock.now(), before, "an append waited");
            most = most.max(life.store.unsynced());
        }
        assert!(most <= UNSYNCED_BYTES_MAX + sent.bytes.len() as u64, "{most} bytes");
        assert!(waits > 2, "{waits} waits");
        life.store.flush().await.unwrap();
        assert_eq!((0..3).map(|n| life.partition(n).end()).sum::<i64>(), 400);
    });
}

#[test]
fn many_who_wait_for_room_all_get_it() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        life.site.disk.stall_sync(Duration::from_millis(500));
        let sent = batch(1).values(MIB).build();
        for _ in 0..66 {
            log.put(&sent);
        }
        assert!(life.store.room().now_or_never().is_none());
        let waits = (0..100).map(|_| life.store.room());
        futures::future::join_all(waits).await;
        assert!(life.store.unsynced() <= UNSYNCED_BYTES_MAX);
    });
}

#[test]
fn at_durability_os_what_is_written_is_synced_within_a_second_by_itself() {
    for seed in 0..20 {
        run(seed, async {
            let (life, log) = Life::writing(seed, OS);
            for round in 1..4 {
                log.put(&batch(1).build());
                life.site.clock.sleep(Duration::from_millis(500)).await;
                log.put(&batch(1).build());
                assert_eq!(log.five()[4], (round - 1) * 2, "seed {seed}: not before its time");
                life.site.clock.sleep(Duration::from_millis(600)).await;
                assert_eq!(log.five()[4], round * 2, "seed {seed}");
                assert_eq!(life.store.unsynced(), 0);
                life.site.clock.sleep(Duration::from_secs(3 * seed)).await;
            }
        });
    }
}

#[test]
fn at_durability_os_many_bytes_are_synced_at_once() {
    run(1, async {
        let (life, log) = Life::writing(1, OS);
        for _ in 0..40 {
            log.put(&batch(1).values(MIB).build());
            tokio::task::yield_now().await;
        }
        life.site.clock.sleep(Duration::from_millis(1)).await;
        assert!(log.five()[4] >= 16, "{:?}", log.five());
    });
}

#[test]
fn at_durability_os_nothing_is_synced_where_nothing_is_written() {
    run(1, async {
        let (life, log) = Life::writing(1, OS);
        log.put(&batch(1).build());
        life.site.clock.sleep(Duration::from_secs(10)).await;
        let calls = life.site.disk.calls();
        life.site.clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(life.site.disk.calls(), calls);
    });
}

#[test]
fn a_flush_makes_all_durable_within_a_second_without_more_appends() {
    for (seed, settings) in (0..40).map(|seed| (seed, if seed % 2 == 0 { OS } else { FSYNC })) {
        run(seed, async {
            let life = Life::first(seed, settings);
            life.try_open(3, writable(0), true).unwrap();
            for round in 0..3 {
                for n in 0..2 {
                    life.partition(n).put(&batch(1).build());
                }
                life.site.clock.sleep(Duration::from_millis((seed / 2) * 70)).await;
                let before = life.site.clock.now();
                life.store.flush().await.unwrap();
                let took = life.site.clock.now().since(before);
                assert!(took <= Duration::from_secs(1), "seed {seed} round {round}: {took:?}");
                for n in 0..3 {
                    let five = life.partition(n).five();
                    assert_eq!(five[3], five[4]);
                }
            }
            let life = life.reboot(Cut::Power).await;
            life.try_open(3, writable(0), true).unwrap();
            assert_eq!((0..3).map(|n| life.partition(n).end()).collect::<Vec<_>>(), [3, 3, 0]);
        });
    }
}

#[test]
fn a_flush_of_nothing_returns_at_once() {
    run(1, async {
        for settings in [FSYNC, OS] {
            let (life, _log) = Life::writing(1, settings);
            let before = life.site.clock.now();
            life.store.flush().await.unwrap();
            assert_eq!(life.site.clock.now(), before);
        }
    });
}

#[test]
fn at_durability_os_an_acknowledgement_waits_for_nothing_but_durable_does() {
    run(1, async {
        let (life, log) = Life::writing(1, OS);
        let end = log.put(&batch(1).build()).end;
        assert_eq!(log.acknowledged(end).now_or_never(), Some(Ok(())));
        assert_eq!(log.durable(end).now_or_never(), None);
        let before = life.site.clock.now();
        log.durable(end).await.unwrap();
        assert!(life.site.clock.now().since(before) <= Duration::from_secs(1));
    });
}

#[test]
fn at_durability_os_a_kill_keeps_all_and_a_power_cut_keeps_a_beginning() {
    for seed in 0..80 {
        run(seed, async {
            let (life, log) =
                Life::writing(seed, carrick_log::LogSettings { durability: OS.durability, ..small(600) });
            for n in 0..30 {
                log.put(&batch(2).tag(n).build());
                life.site.clock.sleep(Duration::from_millis(seed * 3)).await;
            }
            let (stood, durable) = (log.all(Bound::HighWatermark).await, log.five()[4]);
            assert_eq!(stood.len(), 30);
            let cut = if seed % 2 == 0 { Cut::Kill } else { Cut::Power };
            let life = life.reboot(cut).await;
            let log = life.open(writable(1), false);
            assert_eq!(log.damage(), None, "seed {seed}");
            let found = log.all(Bound::HighWatermark).await;
            assert_eq!(found[..], stood[..found.len()], "seed {seed}");
            assert!(log.end() >= durable && (cut == Cut::Power || found.len() == 30), "seed {seed}");
        });
    }
}

#[test]
fn waiters_are_woken_by_every_sync_and_none_is_left() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        life.site.disk.stall_sync(Duration::from_millis(3));
        let woken = carrick_log::Wake::new();
        for n in 1..200 {
            let end = log.put(&batch(1).build()).end;
            log.watch(&woken);
            let waits: Vec<_> = (0..20).map(|_| log.durable(end)).collect();
            let all = futures::future::join_all(waits).await;
            assert_eq!(all, vec![Ok::<(), WaitError>(()); 20]);
            woken.woken().await;
            assert_eq!(log.five()[4], n);
        }
        log.durable(offset(199)).now_or_never().unwrap().unwrap();
    });
}

#[test]
fn who_gives_up_waiting_is_not_missed_by_others() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        life.site.disk.stall_sync(Duration::from_millis(40));
        let end = log.put(&batch(1).build()).end;
        for _ in 0..500 {
            let clock = Arc::clone(&life.site.clock) as Arc<dyn carrick_sys::Clock>;
            let gave_up = clock.timeout(Duration::ZERO, log.durable(end)).await;
            if gave_up.is_ok() {
                break;
            }
        }
        let log_too = Arc::clone(&log);
        let waits =
            life.site.spawn.spawn("waits", Box::pin(async move { log_too.durable(end).await.unwrap() }));
        log.durable(end).await.unwrap();
        assert!(waits.join().await);
    });
}
