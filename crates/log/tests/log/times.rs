//! Time lookups against a search of all records.

use carrick_log::{Bound, TimeAnswer};
use carrick_record::{Batch, Codec, records};
use carrick_sim::{WALL_START, run};
use carrick_types::Timestamp;

use crate::batches::batch;
use crate::chance::Chance;
use crate::life::{FSYNC, Life, Look as _, offset, small, writable};

/// The first record at or after `time`; of a compressed batch that has one, its first.
fn naive(all: &[Batch], time: i64) -> Option<TimeAnswer> {
    all.iter().find(|it| it.header.max_timestamp.0 >= time).map(|batch| {
        let header = &batch.header;
        let (base, first) = (header.base_offset.get(), header.base_timestamp.0);
        if header.codec() != Codec::None {
            return TimeAnswer { offset: offset(base), timestamp: Timestamp(first.max(time)) };
        }
        let records = records::walk(batch.body(), header.count).map(Result::unwrap);
        let mut records = records.map(|it| (base + it.offset_delta, first + it.timestamp_delta));
        let (at, timestamp) = records.find(|(_, timestamp)| *timestamp >= time).unwrap();
        TimeAnswer { offset: offset(at), timestamp: Timestamp(timestamp) }
    })
}

#[test]
fn a_time_is_found_as_by_a_search_of_all_records() {
    for seed in 0..12 {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let segment_bytes = [1 << 20, 300_000, 2_000][seed as usize % 3];
            let (life, log) = Life::writing(seed, small(segment_bytes));
            let mut clock = 1_000;
            for _ in 0..200 {
                // Times rise on the whole, and fall back within and between batches.
                let times: Vec<i64> = (0..chance.within(1..8))
                    .map(|_| {
                        clock += chance.below(20) as i64;
                        (clock - chance.below(60) as i64).max(0)
                    })
                    .collect();
                let codec = if chance.one_in(4) { 2 } else { 0 };
                log.put(&batch(1).times(times).codec(codec).values(chance.below(1_500) as usize).build());
            }
            life.store.flush().await.unwrap();
            let all = log.all(Bound::LogEnd).await;
            let (_life, log) = life.restart(writable(0)).await;
            for time in (0..clock + 50).step_by(7) {
                let found = log.first_at(Timestamp(time), Bound::HighWatermark).await.unwrap();
                assert_eq!(found, naive(&all, time), "seed {seed} time {time}");
            }
        });
    }
}

#[test]
fn a_time_is_not_found_past_the_bound() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        log.put(&batch(1).times([10]).build());
        life.store.flush().await.unwrap();
        log.put(&batch(1).times([20]).build());
        let found =
            async |time, bound| log.first_at(Timestamp(time), bound).await.unwrap().map(|it| it.offset);
        assert_eq!(found(10, Bound::HighWatermark).await, Some(offset(0)));
        assert_eq!(found(11, Bound::HighWatermark).await, None);
        assert_eq!(found(11, Bound::LogEnd).await, Some(offset(1)));
        assert_eq!(found(21, Bound::LogEnd).await, None);
    });
}

#[test]
fn a_batch_of_append_time_answers_with_its_one_time() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        log.append(&batch(3).times([9, 5, 7]).build(), Some(Timestamp(500)), WALL_START).unwrap();
        life.store.flush().await.unwrap();
        let found = log.first_at(Timestamp(8), Bound::HighWatermark).await.unwrap();
        assert_eq!(found, Some(TimeAnswer { offset: offset(0), timestamp: Timestamp(500) }));
    });
}

#[test]
fn an_empty_log_has_no_times() {
    run(1, async {
        let (_life, log) = Life::writing(1, FSYNC);
        assert_eq!(log.first_at(Timestamp(0), Bound::LogEnd).await.unwrap(), None);
        assert_eq!(log.max_time(), None);
    });
}
