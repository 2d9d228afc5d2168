//! A mirror holds its source's batches at their offsets, holes and all, and shows no more than its source does.

use carrick_log::{Bound, Digest, MirrorError, Partition, ReadError};
use carrick_record::{Batch, Stamped};
use carrick_sim::{Cut, run};
use carrick_types::{Generation, LeaderEpoch};

use crate::batches::batch;
use crate::chance::Chance;
use crate::life::{FSYNC, Files, Life, Look as _, joined, mirror, offset, small, writable};

/// What a source with holes holds.
fn source(chance: &mut Chance, batches: u64) -> Vec<Batch> {
    let (mut at, mut epoch) = (chance.below(30) as i64, 0);
    let one = |_| {
        let records = chance.within(1..5) as usize;
        let build = batch(records).at(at).epoch(epoch).tag(chance.u64()).values(chance.below(400) as usize);
        at += records as i64 + if chance.one_in(3) { chance.below(50) as i64 } else { 0 };
        epoch += i32::from(chance.one_in(15));
        build.build()
    };
    (0..batches).map(one).collect()
}

fn take(log: &Partition, batches: &[Batch]) {
    for batch in batches {
        let end = log.append_mirrored(batch, None, carrick_sim::WALL_START).unwrap();
        assert_eq!(end, batch.header.next_offset());
    }
}

#[test]
fn a_read_in_a_hole_goes_on_behind_it() {
    for seed in 0..12 {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let (mut life, mut log) = Life::mirroring(seed, small([400, 3_000, 1 << 20][seed as usize % 3]));
            let source = source(&mut chance, 120);
            take(&log, &source);
            let end = source.last().unwrap().header.next_offset();
            for again in [false, true] {
                log.set_source_high(end);
                life.store.flush().await.unwrap();
                assert_eq!(log.five()[2..], [end.get(); 3]);
                for from in source[0].header.base_offset.get()..end.get() {
                    let (bytes, next) = log.try_read(from, 900, Bound::HighWatermark).await.unwrap();
                    let first = source.iter().position(|it| it.header.last_offset() >= offset(from)).unwrap();
                    let last = source.iter().rposition(|it| it.header.next_offset() == offset(next)).unwrap();
                    assert!(bytes == joined(&source[first..=last]), "seed {seed} from {from} to {next}");
                }
                if !again {
                    (life, log) = life.restart(mirror()).await;
                }
            }
        });
    }
}

#[test]
fn a_hole_at_a_segments_end_is_read_over() {
    run(1, async {
        let (life, log) = Life::mirroring(1, small(1));
        take(&log, &[batch(2).epoch(0).build(), batch(1).at(50).epoch(0).build()]);
        log.set_source_high(offset(51));
        life.store.flush().await.unwrap();
        assert_eq!(life.files().await.segments(0).len(), 2);
        for from in 2..=50 {
            let (bytes, next) = log.try_read(from, 1, Bound::HighWatermark).await.unwrap();
            assert!(!bytes.is_empty() && next == 51, "from {from} to {next}");
        }
    });
}

#[test]
fn a_mirror_begins_where_its_source_does() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        log.start_at(offset(5));
        assert_eq!(log.five(), [5; 5]);
        take(&log, &[batch(2).at(10).epoch(0).build()]);
        log.set_source_high(offset(12));
        life.store.flush().await.unwrap();
        assert_eq!(log.five(), [5, 12, 12, 12, 12]);
        let below = log.try_read(4, 1, Bound::HighWatermark).await;
        assert!(matches!(below, Err(ReadError::OutOfRange { start, .. }) if start == offset(5)));
        assert_eq!(log.try_read(5, 1, Bound::HighWatermark).await.unwrap().1, 12);

        let (life, log) = life.restart(mirror()).await;
        log.set_source_high(offset(12));
        assert_eq!(log.five(), [5, 12, 12, 12, 12]);
        let life = life.reboot(Cut::Power).await;
        let log = life.open(mirror(), false);
        life.store.flush().await.unwrap();
        log.set_source_high(offset(12));
        assert_eq!(log.five(), [5, 12, 12, 12, 12]);
    });
}

#[test]
fn a_refused_batch_leaves_a_mirror_as_it_was() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        take(&log, &[batch(3).at(10).epoch(70_000).build()]);
        let (was, digest) = (log.five(), log.digest());
        let refused = |sent: Batch, epoch| log.append_mirrored(&sent, epoch, life.now()).unwrap_err();
        let low = refused(batch(1).at(12).epoch(70_000).build(), None);
        assert!(matches!(low, MirrorError::Order { found, end } if (found, end) == (offset(12), offset(13))));
        let back = refused(batch(1).at(13).epoch(69_999).build(), None);
        assert!(matches!(back, MirrorError::EpochBack { found: 69_999, .. }));
        let none = refused(batch(1).at(13).build(), None);
        assert!(matches!(none, MirrorError::EpochBack { found: -1, .. }));
        let above = refused(batch(1).at(13).epoch(101 << 16).build(), None);
        assert!(
            matches!(above, MirrorError::Generation { found, .. } if found == Generation::new(101).unwrap())
        );
        let stamped = refused(batch(1).at(13).epoch(70_000).build(), LeaderEpoch::new(3));
        assert!(matches!(stamped, MirrorError::EpochBack { found: 3, .. }));
        assert_eq!((log.five(), log.digest()), (was, digest));
    });
}

#[test]
fn a_mirror_shows_the_lesser_of_its_sources_end_and_its_own() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        take(&log, &[batch(4).epoch(0).build(), batch(4).at(4).epoch(0).build()]);
        life.store.flush().await.unwrap();
        assert_eq!(log.five(), [0, 0, 0, 8, 8]);
        log.set_source_high(offset(4));
        assert_eq!(log.five(), [0, 4, 4, 8, 8]);
        log.set_source_high(offset(2));
        assert_eq!(log.five(), [0, 4, 4, 8, 8], "a high watermark does not go back");
        log.set_source_high(offset(100));
        assert_eq!(log.five(), [0, 8, 8, 8, 8]);
        take(&log, &[batch(1).at(8).epoch(0).build()]);
        assert_eq!(log.five(), [0, 8, 8, 9, 8]);
        log.set_role(writable(1));
        assert_eq!(log.five(), [0, 8, 8, 9, 8]);
    });
}

/// The sum over `batches`, from nothing.
fn sum(batches: &[Batch]) -> Digest {
    batches.iter().fold(Digest::default(), |sum, batch| sum.plus(&Stamped::verbatim(batch)))
}

#[test]
fn a_mirrors_digest_is_its_sources_and_of_a_range_the_difference() {
    for seed in 0..10 {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let (_life, writes) = Life::writing(seed, small(4_000));
            let (mirrors, log) = Life::mirroring(seed + 100, small(1_000));
            let mut sums = vec![Digest::default()];
            for _ in 0..60 {
                let records = chance.within(1..5) as usize;
                writes.put(&batch(records).codec(chance.below(5) as i16).tag(chance.u64()).build());
                sums.push(writes.digest());
            }
            let all = writes.all(Bound::LogEnd).await;
            let restamped = LeaderEpoch::new(3 << 16);
            for batch in &all {
                log.append_mirrored(batch, restamped, mirrors.now()).unwrap();
            }
            assert_eq!(log.digest(), writes.digest());
            let (_mirrors, log) = mirrors.restart(mirror()).await;
            assert_eq!(log.digest(), writes.digest());
            let held = log.all(Bound::LogEnd).await;
            for _ in 0..50 {
                let to = chance.within(1..61) as usize;
                let from = chance.below(to as u64) as usize;
                assert_eq!(sums[to].since(sums[from]), sum(&held[from..to]), "{from}..{to}");
            }
            assert_ne!(sums[60].since(sums[1]), sums[60]);
        });
    }
}

#[test]
fn a_digest_tells_any_change_of_a_body_an_offset_or_a_time() {
    let base = || batch(3).at(7).epoch(1).tag(5);
    let same = [base().epoch(9), base().producer(4, 1, 2), base().transactional()];
    let other = [
        base().at(8),
        base().tag(6),
        base().codec(1),
        base().times([1_000, 1_001]),
        base().times([1_000, 1_001, 1_003]),
        base().times([1_001, 1_002, 1_003]),
    ];
    let digest = sum(&[base().build()]);
    same.into_iter().for_each(|same| assert_eq!(sum(&[same.build()]), digest));
    other.into_iter().for_each(|other| assert_ne!(sum(&[other.build()]), digest));
}

#[test]
fn a_promoted_mirror_goes_on_where_its_source_ended() {
    run(1, async {
        let (life, log) = Life::mirroring(1, small(300));
        take(&log, &[batch(2).at(3).epoch(0).build(), batch(2).at(9).epoch(0).build()]);
        log.set_role(writable(1 << 16));
        assert_eq!(log.put(&batch(1).build()).base, offset(11));
        let (life, log) = life.restart(writable(1 << 16)).await;
        assert_eq!(log.five(), [3, 12, 12, 12, 12]);
        assert_eq!(log.put(&batch(1).build()).base, offset(12));
        let bases: Vec<_> =
            log.all(Bound::LogEnd).await.iter().map(|it| it.header.base_offset.get()).collect();
        assert_eq!(bases, [3, 9, 11, 12]);
        assert_eq!(log.end_of_epoch(LeaderEpoch::FIRST).unwrap().end, offset(11));
        assert!(Files::of(&life.site.disk).segments(0).len() > 1);
    });
}
