//! Records that clients delete: what was answered holds, over kills and power cuts; nobody reads below.

use std::sync::Arc;
use std::time::Duration;

use carrick_log::{Bound, Checkpoints as _, Partition, ReadError, StartError, TopicLog};
use carrick_sim::{Cut, run};
use carrick_sys::Clock as _;
use futures::FutureExt as _;

use crate::batches::{batch, marker};
use crate::cases::cases;
use crate::chance::Chance;
use crate::known::known;
use crate::life::{FSYNC, Files, Life, Look as _, OS, TOPIC, mirror, name, offset, small, writable};
use crate::retention::{HOUR_MS, a_look, keeping, put};

#[test]
fn records_go_within_a_batch_and_to_the_high_watermark() {
    for settings in [FSYNC, OS, small(500)] {
        run(1, async {
            let (life, log) = Life::writing(1, settings);
            for n in 0..6 {
                log.put(&batch(5).tag(n).build());
            }
            life.store.flush().await.unwrap();
            let all = log.all(Bound::LogEnd).await;
            for (asked, start, first) in
                [(Some(7), 7, 1), (Some(3), 7, 1), (Some(7), 7, 1), (Some(25), 25, 5), (None, 30, 6)]
            {
                let told = log.delete_records(asked.map(offset)).await.unwrap();
                assert_eq!((told, log.five()), (offset(start), [start, 30, 30, 30, 30]));
                assert_eq!(log.all(Bound::LogEnd).await, all[first..]);
                for below in 0..start {
                    let refused = log.read(offset(below), 1, Bound::LogEnd).await;
                    assert!(matches!(refused, Err(ReadError::OutOfRange { .. })));
                }
            }
            let refused = log.delete_records(Some(offset(31))).await;
            assert!(matches!(refused, Err(StartError::OutOfRange { .. })), "{refused:?}");
            log.put(&batch(1).build());
            assert_eq!(log.five()[3], 31);
            life.store.close().await.unwrap();
            log.set_role(mirror());
            assert!(matches!(log.delete_records(None).await, Err(StartError::NotWritable { .. })));
        });
    }
}

#[test]
fn records_above_the_high_watermark_are_not_deleted() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        put(&life, &log, 5, 1_000).await;
        life.site.disk.stall_sync(Duration::from_secs(50));
        log.put(&batch(5).build());
        assert_eq!(log.five()[2..4], [5, 10]);
        let refused = log.delete_records(Some(offset(6))).await;
        assert!(matches!(refused, Err(StartError::OutOfRange { .. })), "{refused:?}");
        assert_eq!(log.delete_records(None).await.unwrap(), offset(5));
    });
}

#[test]
fn a_sync_that_fails_or_a_deletion_ends_the_wait() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        put(&life, &log, 5, 1_000).await;
        life.site.disk.stall_sync(Duration::from_secs(5));
        let waits = log.delete_records(Some(offset(2)));
        let deletes = async {
            life.site.clock.sleep(Duration::from_millis(1)).await;
            life.store.remove_topic(TOPIC).unwrap();
        };
        let (refused, ()) = futures::join!(waits, deletes);
        assert!(matches!(refused, Err(StartError::Wait(_))), "{refused:?}");
    });
    run(2, async {
        let (life, log) = Life::writing(2, FSYNC);
        put(&life, &log, 5, 1_000).await;
        life.site.disk.fail_sync_after(1);
        log.put(&batch(1).build());
        let refused = log.delete_records(Some(offset(2))).await;
        assert!(matches!(refused, Err(StartError::Wait(_))), "{refused:?}");
    });
}

/// What a log knows of epochs, transactions and times below its start is forgotten, and all above it is not.
#[test]
fn what_lies_above_the_start_is_known_as_before() {
    run(1, async {
        let (life, log) = Life::writing(1, small(700));
        for n in 0..30 {
            log.set_role(writable(n / 10));
            let sent = batch(2).values(50).tag(n as u64).times([n as i64 * 10, n as i64 * 10 + 5]);
            log.put(&sent.producer(n as i64 % 3, 0, n / 3 * 2).transactional().build());
            if n % 7 == 6 {
                log.put(&marker(n as i64 % 3, 0, n % 2 == 0, 0));
            }
        }
        let before = known(&log).await;
        for start in [3, 5, 21, 40, 41, log.end()] {
            log.delete_records(Some(offset(start))).await.unwrap();
            a_look(&life).await;
            let (files, saved) = life.close().await;
            let again = Life::over(&files, small(700), &saved);
            for log in [&log, &again.open(writable(2), true)] {
                let now = known(log).await;
                let kept: Vec<_> = before
                    .batches
                    .iter()
                    .filter(|it| it.header.last_offset() >= offset(start))
                    .cloned()
                    .collect();
                assert_eq!(now.batches, kept);
                let aborted: Vec<_> =
                    before.aborted.iter().filter(|it| it.last >= offset(start)).copied().collect();
                assert_eq!((now.aborted, now.open), (aborted, before.open.clone()));
            }
        }
    });
}

/// The checkpoint that says where the log begins may still call a segment the newest that is sealed and removed since.
#[test]
fn a_segment_below_the_start_is_removed_after_it_is_known_to_be_sealed() {
    for seed in 0..30 {
        run(seed, async {
            let keeps = TopicLog { retention_ms: Some(HOUR_MS), ..TopicLog::FOR_EVER };
            let (life, log) = keeping(seed, small(500), writable(0), keeps);
            put(&life, &log, 2, life.now().0 - 7_200_000).await;
            log.delete_records(None).await.unwrap();
            // By age, or by the next batches.
            if seed % 2 == 0 {
                put(&life, &log, 5, life.now().0).await;
                log.delete_records(Some(offset(2))).await.unwrap();
            }
            let until = Duration::from_millis(299_990 + seed % 7 * 5);
            life.site.clock.sleep(until.saturating_sub(life.site.clock.now().0)).await;
            if seed % 2 == 0 {
                put(&life, &log, 5, life.now().0).await;
                log.delete_records(Some(offset(5))).await.unwrap();
                put(&life, &log, 4, life.now().0).await;
            }
            life.site.clock.sleep(Duration::from_millis(20)).await;
            let (five, end) = (log.five(), log.end());
            let life = life.reboot(if seed % 3 == 0 { Cut::Power } else { Cut::Kill }).await;
            let log = life.open(writable(0), false);
            assert_eq!((log.damage(), log.end()), (None, end), "seed {seed}");
            // After a power cut the home may have an older one: nobody asked it.
            assert!(log.five()[0] == five[0] || (seed % 3 == 0 && log.five()[0] < five[0]), "seed {seed}");
        });
    }
}

#[test]
fn a_start_that_was_told_holds_after_a_kill_and_after_a_power_cut() {
    for seed in cases(60, 60) {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let settings = if chance.one_in(3) { OS } else { small([1, 500, 1 << 20][seed as usize % 3]) };
            let (life, log) = keeping(seed, settings, writable(0), TopicLog::FOR_EVER);
            life.site.disk.stall_sync(Duration::from_millis(chance.below(9)));
            let (mut told, mut durable) = (0, 0);
            for n in 0..chance.within(1..30) {
                let end = log.put(&batch(chance.within(1..6) as usize).tag(n).values(100).build()).end;
                match chance.below(6) {
                    0 => {
                        let high = log.five()[2];
                        let to = chance.below(high as u64 + 1) as i64;
                        let start = log.delete_records(Some(offset(to))).await.unwrap().get();
                        assert!(start >= to && start >= told);
                        told = start;
                        if chance.one_in(2) {
                            life.checkpoints.durable().await.unwrap();
                            durable = told;
                        }
                    }
                    1 => a_look(&life).await,
                    2 => log.durable(end).await.unwrap(),
                    3 => drop(log.delete_records(None).now_or_never()),
                    _ => {}
                }
                assert!(
                    log.offsets().ordered(settings.durability == FSYNC.durability),
                    "{:?}",
                    log.offsets()
                );
            }
            let (all, end, asked) = (log.all(Bound::LogEnd).await, log.end(), log.five()[0]);
            let cut = if chance.one_in(2) { Cut::Kill } else { Cut::Power };
            let life = life.reboot(cut).await;
            let log = life.open(writable(0), false);
            let start = log.five()[0];
            assert_eq!(log.damage(), None, "seed {seed}");
            assert!(
                start >= if cut == Cut::Kill { told } else { durable },
                "seed {seed}: {start} of {told}, {durable}"
            );
            assert!(start <= asked && (cut == Cut::Power || log.end() == end));
            let found = log.all(Bound::LogEnd).await;
            let both = |it: &&carrick_record::Batch| it.header.last_offset() >= offset(asked);
            let found: Vec<_> = found.iter().filter(both).collect();
            assert_eq!(found, all.iter().take(found.len()).collect::<Vec<_>>(), "seed {seed}");
        });
    }
}

/// Half a history of a partition that is to lose segments, up to the moment before a look at it.
async fn before_a_look(seed: u64, mirrors: bool) -> (Life, Arc<Partition>) {
    let keeps = TopicLog { retention_ms: Some(HOUR_MS), ..TopicLog::FOR_EVER };
    let (life, log) = keeping(seed, small(400), if mirrors { mirror() } else { writable(0) }, keeps);
    let old = life.now().0 - 7_200_000;
    for n in 0..14 {
        let time = if seed.is_multiple_of(2) && n > 8 { life.now().0 } else { old };
        let sent = batch(1).times([time]).values(100).tag(n);
        if mirrors {
            let end =
                log.append_mirrored(&sent.at(n as i64 * 10).epoch(0).build(), None, life.now()).unwrap();
            log.set_source_high(end);
        } else {
            log.put(&sent.build());
        }
    }
    life.store.close().await.unwrap();
    life.checkpoints.durable().await.unwrap();
    life.site.clock.sleep(Duration::from_millis(299_000).saturating_sub(life.site.clock.now().0)).await;
    if mirrors {
        // Between two batches.
        log.follow_start(offset([75, 81, 130, 131][seed as usize % 4]));
    }
    (life, log)
}

#[test]
fn a_crash_while_segments_go_leaves_a_healthy_log() {
    for seed in cases(8, 8) {
        for (mirrors, cut) in [(false, Cut::Kill), (false, Cut::Power), (true, Cut::Kill), (true, Cut::Power)]
        {
            for call in 1.. {
                let over = run(seed, async {
                    let (life, log) = before_a_look(seed, mirrors).await;
                    let (batches, [start, .., end, _]) = (log.all(Bound::LogEnd).await, log.five());
                    life.site.disk.crash_at(life.site.disk.calls() + call);
                    life.site.clock.sleep(Duration::from_millis(1_500)).await;
                    let (over, told) = (!life.site.disk.crashed(), log.five()[0]);
                    let life = life.reboot(cut).await;
                    let role = if mirrors { mirror() } else { writable(0) };
                    let log = life.open(role, false);
                    let what = format!("seed {seed} {mirrors} {cut:?} call {call}");
                    assert_eq!(log.damage(), None, "{what}");
                    assert!(
                        (start..=told).contains(&log.five()[0]) || mirrors && log.five()[0] <= told,
                        "{what}"
                    );
                    assert!(!over || log.five()[0] == told, "{what}: {:?} of {told}", log.five());
                    let found = log.all(Bound::LogEnd).await;
                    assert!(batches.ends_with(&found) || found.ends_with(&batches), "{what}");
                    assert_eq!(log.end(), end, "{what}");
                    // A look later nothing is left that should not be.
                    life.store.flush().await.unwrap();
                    a_look(&life).await;
                    let (files, start) = (Files::of(&life.site.disk), log.five()[0]);
                    let segments = files.segments(0);
                    let base = |path: &std::path::Path| name(path)[..20].parse::<i64>().unwrap();
                    let below = segments.windows(2).filter(|it| base(&it[1]) <= start).count();
                    assert_eq!(below, 0, "{what}: {segments:?} from {start}");
                    assert!(
                        files.within(0).len() <= segments.len() * 2,
                        "{what}: {:?}",
                        files.within(0).keys()
                    );
                    over
                });
                if over {
                    break;
                }
            }
        }
    }
}

#[test]
fn segments_that_a_power_cut_brings_back_go_again() {
    for (seed, mirrors) in (0..40).flat_map(|seed| [(seed, false), (seed, true)]) {
        run(seed, async {
            let (life, log) = before_a_look(seed, mirrors).await;
            life.site.clock.sleep(Duration::from_millis(1_500)).await;
            let left = Files::of(&life.site.disk).segments(0);
            life.store.close().await.unwrap();
            life.checkpoints.durable().await.unwrap();
            let (five, stand) = (log.five(), log.all(Bound::LogEnd).await);
            let life = life.reboot(Cut::Power).await;
            let log = life.open(if mirrors { mirror() } else { writable(0) }, true);
            assert_eq!(
                (log.damage(), log.five(), log.all(Bound::LogEnd).await),
                (None, five, stand),
                "seed {seed}"
            );
            a_look(&life).await;
            let files = Files::of(&life.site.disk);
            assert_eq!(files.segments(0), left, "seed {seed}");
            assert!(files.within(0).len() <= left.len() * 2, "seed {seed}");
        });
    }
}
