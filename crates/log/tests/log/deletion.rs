//! A topic that is taken away: nobody waits for it, nothing of it stays, nothing of it comes back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use carrick_log::{AppendError, Bound, Durability, LogSettings, ReadError, Role, WaitError, Wake};
use carrick_sim::{Cut, DATA, run};
use carrick_sys::{Clock as _, Disk as _};
use carrick_types::TopicId;

use crate::batches::batch;
use crate::life::{FSYNC, Files, Life, Look as _, OS, TOPIC, dir_of, small, writable};

#[test]
fn a_deletion_wakes_those_who_wait_with_gone() {
    for settings in [FSYNC, OS] {
        run(1, async {
            let (life, log) = Life::writing(1, settings);
            life.site.disk.stall_sync(Duration::from_secs(60));
            let end = log.put(&batch(1).build()).end;
            let wake = Wake::new();
            log.watch(&wake);
            let (store, clock) = (&life.store, Arc::clone(&life.site.clock));
            let deletes = async {
                clock.sleep(Duration::from_millis(1)).await;
                store.remove_topic(TOPIC).unwrap();
            };
            let before = clock.now();
            let (waited, ()) = futures::join!(log.durable(end), deletes);
            assert_eq!(waited, Err(WaitError::Gone));
            wake.woken().await;
            assert!(clock.now().since(before) < Duration::from_secs(1));
            assert_eq!(log.role(), Role::Gone);
            let refused = log.append(&batch(1).build(), None, life.now());
            assert!(matches!(refused, Err(AppendError::NotWritable { role: Role::Gone })));
            assert!(life.store.partition(TOPIC, log.index()).is_none() && life.store.topic(TOPIC).is_empty());
        });
    }
}

#[test]
fn a_deleted_topics_files_are_gone_and_its_neighbours_are_not() {
    run(1, async {
        let other = TopicId::from_bytes([3; 16]);
        let life = Life::first(1, small(200));
        life.try_open(3, writable(0), true).unwrap();
        life.store.open_topic(other, 1, writable(0), true, carrick_log::TopicLog::FOR_EVER).unwrap();
        let neighbour = life.store.partition(other, carrick_types::Partition(0)).unwrap();
        for n in 0..30 {
            life.partition(n % 3).put(&batch(1).values(100).build());
            neighbour.put(&batch(1).build());
        }
        life.store.remove_topic(TOPIC).unwrap();
        life.store.remove_topic(TOPIC).unwrap();
        let left = Files::of(&life.site.disk);
        assert!(left.0.keys().all(|path| path.to_str().unwrap().contains(&other.to_string())), "{left:?}");
        life.store.flush().await.unwrap();
        assert_eq!(neighbour.all(Bound::HighWatermark).await.len(), 30);
    });
}

#[test]
fn a_reader_of_a_deleted_topic_goes_on_or_is_told() {
    run(1, async {
        let (life, log) = Life::writing(1, small(200));
        for n in 0..20 {
            log.put(&batch(1).values(100).tag(n).build());
        }
        life.store.flush().await.unwrap();
        let all = log.all(Bound::HighWatermark).await;
        life.store.remove_topic(TOPIC).unwrap();
        for (n, stood) in (0..).zip(&all) {
            match log.try_read(n, 1, Bound::HighWatermark).await {
                Ok((bytes, _)) => assert_eq!(bytes, stood.bytes),
                Err(e) => assert!(matches!(e, ReadError::Gone), "{e}"),
            }
        }
        assert_eq!(log.wounds(), []);
    });
}

#[test]
fn a_topic_that_takes_a_deleted_ones_place_meets_no_old_files() {
    for seed in 0..20 {
        run(seed, async {
            let (life, log) = Life::writing(seed, small(200));
            for n in 0..20 {
                log.put(&batch(1).values(100).tag(n).build());
            }
            life.store.flush().await.unwrap();
            life.store.remove_topic(TOPIC).unwrap();
            let log = life.open(writable(0), true);
            assert_eq!(log.five(), [0; 5]);
            log.put(&batch(2).tag(99).build());
            life.store.flush().await.unwrap();
            let stands = log.all(Bound::LogEnd).await;
            let life = life.reboot(Cut::Power).await;
            let log = life.open(writable(1), false);
            assert_eq!((log.damage(), log.all(Bound::LogEnd).await), (None, stands), "seed {seed}");
        });
    }
}

#[test]
fn a_deletion_that_was_cut_off_is_ended_by_the_next_start() {
    for seed in 0..60 {
        run(seed, async {
            let (life, log) = Life::writing(seed, small(200));
            for n in 0..10 {
                log.put(&batch(1).values(100).tag(n).build());
            }
            life.store.flush().await.unwrap();
            life.site.disk.crash_at(life.site.disk.calls() + 1 + seed % 6);
            let whole = life.store.remove_topic(TOPIC).is_ok();
            let life = life.reboot(if seed % 2 == 0 { Cut::Kill } else { Cut::Power }).await;
            let trash = Path::new(DATA).join("trash");
            assert!(!life.site.disk.exists(&trash), "seed {seed}");
            let there = life.site.disk.exists(dir_of(0).parent().unwrap());
            // Its name is back only if the cut took the rename. Nobody opens it: its deletion was durable before.
            assert!(!there || seed % 2 == 1 || !whole, "seed {seed}");
            life.store.remove_topic(TOPIC).unwrap();
            let log = life.open(writable(1), true);
            assert_eq!((log.damage(), log.end()), (None, 0), "seed {seed}");
        });
    }
}

#[test]
fn a_deletion_under_a_running_sync_harms_no_other_topic() {
    for seed in 0..40 {
        run(seed, async {
            let durability = if seed % 2 == 0 { Durability::Fsync } else { Durability::Os };
            let settings = LogSettings { durability, ..small(300) };
            let other = TopicId::from_bytes([3; 16]);
            let life = Life::first(seed, settings);
            life.try_open(2, writable(0), true).unwrap();
            life.store.open_topic(other, 1, writable(0), true, carrick_log::TopicLog::FOR_EVER).unwrap();
            life.site.disk.stall_sync(Duration::from_millis(5));
            let log = life.store.partition(other, carrick_types::Partition(0)).unwrap();
            let mut ends = Vec::new();
            for n in 0..40 {
                ends.push(log.put(&batch(1).tag(n).build()).end);
                if let Some(log) = life.store.partition(TOPIC, carrick_types::Partition(n as u32 % 2)) {
                    log.put(&batch(1).build());
                }
                if n == seed {
                    life.store.remove_topic(TOPIC).unwrap();
                }
                life.site.clock.sleep(Duration::from_millis(n % 3)).await;
            }
            for end in ends {
                log.durable(end).await.unwrap();
            }
            assert_eq!(life.store.halted(), None);
            life.site.clock.sleep(Duration::from_secs(3)).await;
            assert_eq!(life.store.unsynced(), 0);
        });
    }
}
