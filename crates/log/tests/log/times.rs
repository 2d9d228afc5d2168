//! Time lookups against a search of all records.

use carrick_log::{Bound, Partition, TimeAnswer};
use carrick_sim::{WALL_START, run};
use carrick_types::Timestamp;

use crate::batches::{batch, of_clients};
use crate::cases::cases;
use crate::chance::Chance;
use crate::life::{FSYNC, Life, Look as _, offset, small, writable};
use crate::metered::Metered;

/// A batch's records, by their times.
struct Sent {
    base: i64,
    times: Vec<i64>,
    /// Its body says nothing: its first record is the answer to all.
    broken: bool,
}

/// The first record from `start` on at or after `time`.
fn naive(all: &[Sent], time: i64, start: i64) -> Option<TimeAnswer> {
    all.iter().find_map(|sent| {
        let last = sent.base + sent.times.len() as i64 - 1;
        if sent.broken {
            let late = last >= start && *sent.times.iter().max().unwrap() >= time;
            let (at, first) = (sent.base.max(start), sent.times[0].max(time));
            return late.then(|| TimeAnswer { offset: offset(at), timestamp: Timestamp(first) });
        }
        let mut records = (sent.base..).zip(&sent.times);
        let (at, time) = records.find(|it| it.0 >= start && *it.1 >= time)?;
        Some(TimeAnswer { offset: offset(at), timestamp: Timestamp(*time) })
    })
}

/// Appends drawn batches, some of them compressed by clients, some broken; returns them and the newest time.
fn fill(log: &Partition, chance: &mut Chance) -> (Vec<Sent>, i64) {
    let clients = of_clients(0).len() as u64;
    let (mut all, mut clock) = (Vec::new(), 1_000);
    for _ in 0..160 {
        // Times rise on the whole, and fall back within and between batches.
        let times: Vec<i64> = (0..chance.within(1..8))
            .map(|_| {
                clock += chance.below(20) as i64;
                (clock - chance.below(60) as i64).max(0)
            })
            .collect();
        let (of_client, broken) = (chance.one_in(12), chance.one_in(8));
        let (sent, times) = if of_client {
            of_clients(clock - 500).swap_remove(chance.below(clients) as usize)
        } else {
            let build = batch(1).times(times.clone()).values(chance.below(1_500) as usize);
            (if broken { build.codec(2).build() } else { build.build() }, times)
        };
        let broken = broken && !of_client;
        all.push(Sent { base: log.put(&sent).base.get(), times, broken });
    }
    (all, clock + 500)
}

#[test]
fn a_time_is_found_as_by_a_search_of_all_records() {
    for seed in cases(12, 12) {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let segment_bytes = [1 << 20, 300_000, 2_000][seed as usize % 3];
            let (life, log) = Life::writing(seed, small(segment_bytes));
            let (all, newest) = fill(&log, &mut chance);
            life.store.flush().await.unwrap();
            let (life, log) = life.restart(writable(0)).await;
            let mut start = 0;
            for time in (0..newest + 50).step_by(11) {
                if chance.one_in(60) {
                    start += chance.below((log.end() - start) as u64 / 4 + 1) as i64;
                    log.delete_records(Some(offset(start))).await.unwrap();
                }
                let found = log.first_at(Timestamp(time), Bound::HighWatermark).await.unwrap();
                assert_eq!(found, naive(&all, time, start), "seed {seed} time {time} from {start}");
            }
            drop(life);
        });
    }
}

/// Bytes that a lookup reads: no more than an entry of the index and a batch.
#[test]
fn a_lookup_reads_little_wherever_the_log_begins() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        for n in 0..2_000 {
            log.put(&batch(1).times([n]).values(1_000).build());
        }
        let (files, saved) = life.close().await;
        let site = files.boot(1);
        let meter = Metered::new(&site.disk);
        let sys = carrick_sys::Sys { disk: std::sync::Arc::clone(&meter) as _, ..site.sys() };
        let saved = std::sync::Arc::new(saved);
        let life = Life::given(site, sys, FSYNC, std::sync::Arc::clone(&saved) as _, saved);
        let life = life.unwrap_or_else(|(_, e)| panic!("{e}"));
        let log = life.open(writable(0), true);
        for start in [0, 1_000, 1_999] {
            log.delete_records(Some(offset(start))).await.unwrap();
            for time in [0, 500, 1_500, 1_999, 2_000] {
                meter.take(".seg");
                let found = log.first_at(Timestamp(time), Bound::LogEnd).await.unwrap();
                let should = time.max(start);
                assert_eq!(found.map(|it| it.offset), (time < 2_000).then(|| offset(should)));
                assert!(meter.take(".seg") < 4 * 65_536, "time {time} from {start}");
            }
        }
    });
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
