//! What a writable log gives out is what was handed in, from any offset, under any bound, across segments and lives.

use carrick_log::{AppendError, Bound, MirrorError, OpenError, ReadError, Role};
use carrick_record::{Batch, TimeType};
use carrick_sim::{Cut, run};
use carrick_types::{LeaderEpoch, Timestamp};

use crate::batches::{batch, standing};
use crate::chance::Chance;
use crate::life::{FSYNC, Files, Life, Look as _, OS, joined, mirror, name, offset, small, writable};

/// Batches of drawn sizes, and as they stand in a log of epoch 0.
fn drawn(chance: &mut Chance, count: u64) -> (Vec<Batch>, Vec<Batch>) {
    let mut base = 0;
    let one = |_| {
        let records = chance.within(1..6) as usize;
        let codec = chance.below(5) as i16;
        let len = if chance.one_in(20) { 70_000 } else { chance.below(300) as usize };
        let sent = batch(records).codec(codec).values(len).tag(chance.u64()).build();
        let stands = Batch::split_from(&mut standing(&sent, base, 0)).unwrap();
        base += records as i64;
        (sent, stands)
    };
    (0..count).map(one).unzip()
}

/// A read from `from` gave `got`: whole batches in order from the right one, at most `max` bytes or one batch.
fn check_read(stands: &[Batch], from: i64, max: usize, got: &(bytes::Bytes, i64)) {
    let first = stands.iter().position(|it| it.header.last_offset() >= offset(from)).unwrap();
    let mut taken = 0;
    let mut len = 0;
    while len < got.0.len() {
        len += stands[first + taken].bytes.len();
        taken += 1;
    }
    let expected = &stands[first..first + taken];
    assert!(taken > 0, "a read from {from} of {max} bytes is empty");
    assert!(got.0 == joined(expected), "a read from {from} of {max} bytes");
    assert!(len <= max || taken == 1, "a read from {from} of {max} bytes has {len}");
    assert_eq!(got.1, expected.last().unwrap().header.next_offset().get());
}

#[test]
fn a_read_from_any_offset_begins_with_the_batch_that_holds_it() {
    for (seed, segment_bytes) in [(1, 1 << 30), (2, 3_000), (3, 200_000), (4, 1)] {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let (life, log) = Life::writing(seed, small(segment_bytes));
            let (sent, stands) = drawn(&mut chance, 300);
            for (sent, stands) in sent.iter().zip(&stands) {
                let appended = log.put(sent);
                let expected = (stands.header.base_offset, stands.header.next_offset(), false);
                assert_eq!((appended.base, appended.end, appended.duplicate), expected);
            }
            life.store.flush().await.unwrap();
            for from in 0..log.end() {
                for max in [0, 1, 500, 5_000, 100_000, usize::MAX] {
                    let got = log.try_read(from, max, Bound::HighWatermark).await.unwrap();
                    check_read(&stands, from, max, &got);
                }
            }
            assert!(joined(&log.all(Bound::LogEnd).await) == joined(&stands));
            let rolled = Files::of(&life.site.disk).segments(0).len();
            assert!(
                segment_bytes > 1 << 20 || rolled > 10 || segment_bytes == 200_000 && rolled > 3,
                "{rolled}"
            );
        });
    }
}

#[test]
fn a_read_of_many_bytes_is_as_large_as_asked_where_batches_are_small() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        for _ in 0..4_000 {
            log.put(&batch(1).values(40).build());
        }
        life.store.flush().await.unwrap();
        for from in [0, 1_000, 2_345, 3_000] {
            let (bytes, next) = log.try_read(from, 50_000, Bound::HighWatermark).await.unwrap();
            assert!(bytes.len() > 49_000 && next > from + 400, "{} bytes from {from}", bytes.len());
        }
    });
}

#[test]
fn a_batch_larger_than_asked_is_read_whole() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        let sizes = [10, 300_000, 10, 70_000, 10, 3_000_000];
        let sent: Vec<_> = sizes.iter().map(|len| batch(2).values(*len).build()).collect();
        for sent in &sent {
            log.put(sent);
        }
        life.store.flush().await.unwrap();
        for (i, sent) in sent.iter().enumerate() {
            for from in [i as i64 * 2, i as i64 * 2 + 1] {
                let (bytes, next) = log.try_read(from, 1, Bound::HighWatermark).await.unwrap();
                assert!(bytes == standing(sent, i as i64 * 2, 0), "batch {i}");
                assert_eq!(next, i as i64 * 2 + 2);
            }
        }
    });
}

#[test]
fn a_reader_sees_no_further_than_its_bound() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        log.put(&batch(3).build());
        life.store.flush().await.unwrap();
        log.put(&batch(2).build());
        assert_eq!(log.five(), [0, 3, 3, 5, 3]);
        let nexts = async |from| {
            let mut nexts = Vec::new();
            for bound in [Bound::LastStable, Bound::HighWatermark, Bound::LogEnd] {
                nexts.push(log.try_read(from, 1 << 20, bound).await.unwrap().1);
            }
            nexts
        };
        assert_eq!(nexts(0).await, [3, 3, 5]);
        assert_eq!(nexts(4).await, [4, 4, 5]);
        assert_eq!(nexts(5).await, [5, 5, 5]);
        let past = log.try_read(6, 1, Bound::LogEnd).await;
        assert!(matches!(past, Err(ReadError::OutOfRange { asked, .. }) if asked == offset(6)));
        life.store.flush().await.unwrap();
        assert_eq!((log.five(), nexts(0).await), ([0, 5, 5, 5, 5], vec![5, 5, 5]));
    });
}

#[test]
fn at_durability_os_what_was_appended_is_read_at_once() {
    run(1, async {
        let (_life, log) = Life::writing(1, OS);
        let end = log.put(&batch(3).build()).end;
        assert_eq!(log.five(), [0, 3, 3, 3, 0]);
        log.acknowledged(end).await.unwrap();
        assert_eq!(log.five()[4], 0);
        assert_eq!(log.all(Bound::LastStable).await.len(), 1);
    });
}

#[test]
fn a_segment_is_named_by_its_first_offset_and_holds_no_more_than_its_bytes() {
    run(1, async {
        let (life, log) = Life::writing(1, small(1_000));
        let sizes = [300, 300, 300, 300, 5_000, 10, 10, 900, 200];
        for len in &sizes {
            log.put(&batch(1).values(*len).build());
        }
        let files = life.files().await;
        let names: Vec<_> = files.segments(0).iter().map(|it| name(it)).collect();
        assert_eq!(names, [0, 2, 4, 5, 7, 8].map(|base| format!("{base:020}.seg")));
    });
}

#[test]
fn a_reopened_log_knows_all_that_it_knew() {
    for seed in 0..10 {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let (mut life, mut log) = Life::writing(seed, small(20_000));
            for epoch in 0..4 {
                for _ in 0..chance.within(1..40) {
                    let sent = batch(chance.within(1..5) as usize).values(chance.below(2_000) as usize);
                    log.put(&sent.tag(chance.u64()).build());
                    if chance.one_in(8) {
                        life.store.flush().await.unwrap();
                    }
                }
                life.store.flush().await.unwrap();
                let knows = async |log: &carrick_log::Partition| {
                    let ends = (0..6).map(|epoch| log.end_of_epoch(LeaderEpoch::new(epoch).unwrap()));
                    let times = (log.max_time(), log.first_at(Timestamp(1_002), Bound::HighWatermark).await);
                    (
                        (log.five(), log.digest(), log.last_epoch(), ends.collect::<Vec<_>>()),
                        (times.0, times.1.unwrap(), joined(&log.all(Bound::HighWatermark).await)),
                    )
                };
                let knew = knows(&log).await;
                (life, log) = life.restart(writable(epoch + 1)).await;
                assert_eq!(knows(&log).await, knew, "seed {seed} epoch {epoch}");
            }
        });
    }
}

#[test]
fn a_batch_of_append_time_is_stamped_and_has_its_checksum_right() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        let sent = batch(3).codec(4).build();
        log.append(&sent, Some(Timestamp(77_000)), Timestamp(77_001)).unwrap();
        log.put(&sent);
        let before = log.all(Bound::LogEnd).await;
        let (_life, log) = life.restart(writable(0)).await;
        let after = log.all(Bound::LogEnd).await;
        assert_eq!(before, after);
        let [stamped, other] = &after[..] else { panic!("{after:?}") };
        assert_eq!(stamped.header.time_type(), TimeType::LogAppend);
        assert_eq!(stamped.header.max_timestamp, Timestamp(77_000));
        assert_eq!((stamped.header.codec(), stamped.body()), (sent.header.codec(), sent.body()));
        assert_eq!(other.header.time_type(), TimeType::Create);
        assert_eq!(log.max_time(), Some(Timestamp(77_000)));
    });
}

#[test]
fn a_partition_takes_writes_of_its_role_only() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        let sent = batch(1).at(1).epoch(0).build();
        let refused = |role| {
            let mirrored = log.append_mirrored(&sent, None, life.now());
            let appended = log.append(&sent, None, life.now());
            let is =
                |e: &AppendError| matches!(e, AppendError::NotWritable { role: found } if *found == role);
            (
                appended.is_err_and(|e| is(&e)),
                mirrored.is_err_and(|e| matches!(e, MirrorError::Append(e) if is(&e))),
            )
        };
        assert_eq!(refused(writable(0)), (false, true));
        log.set_role(mirror());
        assert_eq!(refused(mirror()), (true, false));
        log.set_role(Role::Closed);
        assert_eq!(refused(Role::Closed), (true, true));
        log.set_role(Role::Gone);
        log.set_role(writable(5));
        assert_eq!(refused(Role::Gone), (true, true));
        assert_eq!(log.end(), 2);
    });
}

#[test]
fn a_writable_log_with_batches_above_its_epoch_is_not_opened() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        log.set_role(writable(7));
        log.put(&batch(1).build());
        life.store.flush().await.unwrap();
        let next = life.reboot(Cut::Kill).await;
        let opened = next.try_open(1, writable(6), true);
        assert!(matches!(opened, Err(OpenError::OldCatalog { newest: 7, .. })), "{opened:?}");
        next.try_open(1, writable(7), true).unwrap();
    });
}

#[test]
fn a_log_without_offsets_left_refuses_and_stays_whole() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        let base = i64::MAX - 10;
        log.append_mirrored(&batch(5).at(base).epoch(0).build(), None, life.now()).unwrap();
        log.set_role(writable(0));
        assert!(matches!(log.append(&batch(6).build(), None, life.now()), Err(AppendError::Full)));
        log.put(&batch(5).build());
        assert!(matches!(log.append(&batch(1).build(), None, life.now()), Err(AppendError::Full)));
        let (_life, log) = life.restart(writable(0)).await;
        assert_eq!((log.end(), log.all(Bound::LogEnd).await.len()), (i64::MAX, 2));
    });
}
