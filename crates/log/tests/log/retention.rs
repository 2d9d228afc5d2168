//! What topics do not keep goes by size and age, whole segments at a time, from the oldest; of mirrors when their source says
//! so.

use std::sync::Arc;
use std::time::Duration;

use carrick_log::{Bound, LogSettings, Partition, ReadError, Role, TopicLog};
use carrick_sim::{Cut, WALL_START, run};
use carrick_sys::Clock as _;

use crate::batches::batch;
use crate::life::{FSYNC, Files, Life, Look as _, OS, TOPIC, mirror, offset, small, writable};

pub const HOUR_MS: u64 = 3_600_000;

/// A life with one partition that keeps what `keeps` says.
pub fn keeping(seed: u64, settings: LogSettings, role: Role, keeps: TopicLog) -> (Life, Arc<Partition>) {
    let life = Life::first(seed, settings);
    life.store.open_topic(TOPIC, 1, role, true, keeps).unwrap();
    let log = life.partition(0);
    (life, log)
}

/// So many batches of one record at `time`.
pub async fn put(life: &Life, log: &Partition, count: u64, time: i64) {
    for n in 0..count {
        log.put(&batch(1).times([time]).values(100).tag(n).build());
    }
    life.store.flush().await.unwrap();
}

/// Until after the next look at what has to go.
pub async fn a_look(life: &Life) {
    life.site.clock.sleep(Duration::from_secs(301)).await;
}

/// Sizes of the segments without their pages, oldest first.
fn sizes(life: &Life) -> Vec<u64> {
    let files = Files::of(&life.site.disk);
    files.segments(0).iter().map(|path| files.get(path).len() as u64 - 4_096).collect()
}

fn hours_ago(life: &Life, hours: i64) -> i64 {
    life.now().0 - hours * HOUR_MS as i64
}

#[test]
fn a_segment_goes_if_what_is_left_is_enough() {
    for max in [0, 1, 399, 400, 401, 1_000, 2_123, 5_000, u64::MAX] {
        run(1, async {
            let keeps = TopicLog { retention_bytes: Some(max), ..TopicLog::FOR_EVER };
            let (life, log) = keeping(1, small(600), writable(0), keeps);
            put(&life, &log, 20, 1_000).await;
            let mut left = sizes(&life);
            assert!(left.len() > 5);
            while left.len() > 1 && left[1..].iter().sum::<u64>() >= max {
                left.remove(0);
            }
            a_look(&life).await;
            assert_eq!(sizes(&life), left, "{max}");
            let kept = log.all(Bound::LogEnd).await;
            assert_eq!(kept.iter().map(|it| it.bytes.len() as u64).sum::<u64>(), left.iter().sum::<u64>());
            assert_eq!(log.five()[0], kept[0].header.base_offset.get());
            assert_eq!((log.five()[1..].to_vec(), log.wounds()), (vec![20; 4], vec![]));
            assert_eq!(
                Files::of(&life.site.disk).within(0).len(),
                left.len() * 2,
                "a sidecar stays or goes alone"
            );
            // And once more, with no change.
            a_look(&life).await;
            assert_eq!(sizes(&life), left, "{max}");
        });
    }
}

#[test]
fn a_segment_goes_when_its_newest_record_is_too_old() {
    run(1, async {
        let keeps = TopicLog { retention_ms: Some(10 * HOUR_MS), ..TopicLog::FOR_EVER };
        let (life, log) = keeping(1, small(520), writable(0), keeps);
        for hours in [20, 19, 9, 18, 0] {
            put(&life, &log, 3, hours_ago(&life, hours)).await;
        }
        // Three batches a segment: those of 20 and 19 hours go; that of 18 stands behind a younger one.
        assert_eq!(sizes(&life).len(), 5);
        a_look(&life).await;
        assert_eq!((log.five(), sizes(&life).len()), ([6, 15, 15, 15, 15], 3));
        life.site.clock.sleep(Duration::from_secs(2 * 3_600)).await;
        assert_eq!((log.five()[0], sizes(&life).len()), (12, 1));
    });
}

#[test]
fn the_newest_segment_goes_too_and_the_log_goes_on_at_its_end() {
    for settings in [small(500), FSYNC, OS] {
        for (seed, cut) in [(1, Cut::Kill), (2, Cut::Power), (3, Cut::Power)] {
            run(seed, async {
                let keeps = TopicLog { retention_ms: Some(HOUR_MS), ..TopicLog::FOR_EVER };
                let (life, log) = keeping(seed, settings, writable(0), keeps);
                put(&life, &log, 8, hours_ago(&life, 2)).await;
                a_look(&life).await;
                assert_eq!((log.five(), log.bytes_from(offset(0)), log.max_time()), ([8; 5], 0, None));
                assert!(Files::of(&life.site.disk).within(0).is_empty());
                let life = life.reboot(cut).await;
                life.store.open_topic(TOPIC, 1, writable(0), false, keeps).unwrap();
                let log = life.partition(0);
                assert_eq!((log.damage(), log.five()), (None, [8; 5]));
                put(&life, &log, 1, life.now().0).await;
                assert_eq!(log.five(), [8, 9, 9, 9, 9]);
                let life = life.reboot(cut).await;
                let log = life.open(writable(0), false);
                assert_eq!((log.damage(), log.five()[0], log.end()), (None, 8, 9));
                assert_eq!(log.all(Bound::LogEnd).await.len(), 1);
            });
        }
    }
}

#[test]
fn a_log_is_not_emptied_of_what_is_not_durable_or_has_no_time() {
    run(1, async {
        let keeps = TopicLog { retention_ms: Some(HOUR_MS), retention_bytes: Some(0), ..TopicLog::FOR_EVER };
        let (life, log) = keeping(1, small(520), writable(0), keeps);
        life.site.disk.stall_sync(Duration::from_secs(4_000));
        for n in 0..8 {
            log.put(&batch(1).times([1_000]).values(100).tag(n).build());
        }
        while log.five()[2] == 0 {
            assert_eq!((log.five()[0], sizes(&life).len()), (0, 3));
            life.site.clock.sleep(Duration::from_secs(10)).await;
        }
        life.site.disk.stall_sync(Duration::ZERO);
        life.site.clock.sleep(Duration::from_secs(9_000)).await;
        assert_eq!(log.five(), [8; 5]);
        // Without a time a segment is not old.
        let keeps = TopicLog { retention_bytes: None, ..keeps };
        let (life, log) = keeping(1, small(500), writable(0), keeps);
        put(&life, &log, 8, -1).await;
        a_look(&life).await;
        assert_eq!(log.five(), [0, 8, 8, 8, 8]);
    });
}

#[test]
fn a_segment_is_followed_by_another_when_its_batches_are_far_apart() {
    run(1, async {
        let keeps = TopicLog { segment_ms: 1_000, ..TopicLog::FOR_EVER };
        let (life, log) = keeping(1, FSYNC, writable(0), keeps);
        for time in [5_000, 6_000, 5_500, 6_001, 7_001, 7_002, 900, 7_900] {
            put(&life, &log, 1, time).await;
        }
        let begins: Vec<_> = Files::of(&life.site.disk).segments(0);
        let begins: Vec<_> =
            begins.iter().map(|path| crate::life::name(path)[..20].parse::<i64>().unwrap()).collect();
        assert_eq!(begins, [0, 3, 5]);
        // What it was begun with is known after a start.
        let (files, saved) = life.close().await;
        let life = Life::over(&files, FSYNC, &saved);
        life.store.open_topic(TOPIC, 1, writable(0), true, keeps).unwrap();
        put(&life, &life.partition(0), 1, 8_002).await;
        put(&life, &life.partition(0), 1, 8_003).await;
        assert_eq!(Files::of(&life.site.disk).segments(0).len(), 4);
    });
}

#[test]
fn a_mirror_deletes_what_its_source_has_deleted_and_no_more() {
    for restart in [false, true] {
        run(1, async {
            let keeps = TopicLog { retention_ms: Some(1), retention_bytes: Some(1), ..TopicLog::FOR_EVER };
            let (mut life, mut log) = keeping(1, small(500), mirror(), keeps);
            for n in 0..20 {
                log.append_mirrored(&batch(1).at(n * 10).epoch(0).values(100).build(), None, WALL_START)
                    .unwrap();
            }
            log.set_source_high(offset(100));
            life.store.flush().await.unwrap();
            let all = log.all(Bound::LogEnd).await;
            a_look(&life).await;
            assert_eq!((log.five()[0], log.all(Bound::LogEnd).await == all), (0, true));
            // Not above what readers see; never back.
            for (told, start) in [(35, 35), (20, 35), (61, 61), (150, if restart { 150 } else { 100 })] {
                log.follow_start(offset(told));
                assert_eq!(log.five()[0], start);
                a_look(&life).await;
                let stand = log.all(Bound::LogEnd).await;
                assert_eq!(
                    stand,
                    all.iter()
                        .filter(|it| it.header.last_offset() >= offset(start))
                        .cloned()
                        .collect::<Vec<_>>()
                );
                assert!(
                    sizes(&life).iter().sum::<u64>()
                        < stand.iter().map(|it| it.bytes.len() as u64).sum::<u64>() + 500
                );
                if restart {
                    let (files, saved) = life.close().await;
                    life = Life::over(&files, small(500), &saved);
                    life.store.open_topic(TOPIC, 1, mirror(), true, keeps).unwrap();
                    log = life.partition(0);
                    assert_eq!(log.five()[0], start);
                }
            }
            // A writable partition keeps what its topic says, not what a source does.
            log.set_role(writable(1 << 16));
            log.follow_start(offset(190));
            assert_eq!(log.five()[0], if restart { 150 } else { 100 });
            a_look(&life).await;
            assert_eq!(log.five()[0], log.end());
        });
    }
}

/// A removed file's space is free when nobody has it open: not readers, not the cache of handles.
#[test]
fn the_space_is_free_also_where_files_were_open() {
    run(1, async {
        let keeps = TopicLog { retention_bytes: Some(1_000), ..TopicLog::FOR_EVER };
        let (life, log) =
            keeping(1, LogSettings { open_files_max: 100, ..small(60_000) }, writable(0), keeps);
        for n in 0..60 {
            log.put(&batch(1).values(10_000).tag(n).build());
        }
        life.store.flush().await.unwrap();
        // Every segment is open now, and its sidecar read.
        assert_eq!(log.all(Bound::LogEnd).await.len(), 60);
        let before = life.site.disk.allocated_bytes();
        assert!(before > 600_000);
        a_look(&life).await;
        let named: usize = Files::of(&life.site.disk).0.values().map(Vec::len).sum();
        assert!(named < 80_000, "{named}");
        let note = life.site.disk.file_len(&std::path::Path::new(carrick_sim::DATA).join("SYNCING")).unwrap();
        assert_eq!(life.site.disk.allocated_bytes(), named as u64 + note);
        let refused = log.read(offset(0), 1, Bound::LogEnd).await;
        assert!(matches!(refused, Err(ReadError::OutOfRange { .. })), "{refused:?}");
    });
}

#[test]
fn a_deleted_topic_and_a_damaged_partition_hold_up_no_other() {
    run(1, async {
        let life = Life::first(1, small(500));
        let keeps = TopicLog { retention_bytes: Some(1), ..TopicLog::FOR_EVER };
        life.store.open_topic(TOPIC, 3, writable(0), true, keeps).unwrap();
        for index in 0..3 {
            put(&life, &life.partition(index), 20, 1_000).await;
        }
        let (mut files, saved) = life.close().await;
        let path = files.segments(0).pop().unwrap();
        files.get_mut(&path)[4_110] ^= 1;
        files.get_mut(&path)[100] ^= 1;
        let life = Life::over(&files, small(500), &saved);
        life.store.open_topic(TOPIC, 3, writable(0), true, keeps).unwrap();
        a_look(&life).await;
        let left = Files::of(&life.site.disk);
        assert!(life.partition(0).damage().is_some() && left.within(0) == files.within(0));
        for index in [1, 2] {
            assert!(left.segments(index).len() < 3);
        }
    });
}
