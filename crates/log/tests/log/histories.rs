//! Drawn histories of one partition: clients with and without producers, transactions, mirrors with holes that become
//! writable, epochs, rolls.

use std::sync::Arc;
use std::time::Duration;

use carrick_log::{AppendError, Partition, Role};
use carrick_record::Batch;
use carrick_sys::Clock as _;
use carrick_types::{LeaderEpoch, Timestamp};

use crate::batches::{Build, batch, marker};
use crate::chance::Chance;
use crate::life::{Life, mirror, offset, writable};

const PRODUCERS: std::ops::Range<i64> = 0..6;

pub struct History {
    pub log: Arc<Partition>,
    pub role: Role,
    epoch: i32,
    /// (epoch, next sequence, in a transaction) of each producer.
    producers: Vec<(i16, i32, bool)>,
    clock: i64,
    values_max: u64,
}

impl History {
    /// Opens the topic's one partition.
    pub fn begin(life: &Life, chance: &mut Chance, mirrors: bool) -> Self {
        let role = if mirrors { mirror() } else { writable(0) };
        let log = life.open(role, true);
        if mirrors && chance.one_in(2) {
            log.start_at(offset(chance.below(30) as i64));
        }
        let producers = PRODUCERS.map(|_| (0, 0, false)).collect();
        let values_max = [40, 400, 4_000][chance.below(3) as usize];
        Self { log, role, epoch: 0, producers, clock: 10_000, values_max }
    }

    pub async fn go_on(&mut self, life: &Life, chance: &mut Chance, steps: u64) {
        for _ in 0..steps {
            match chance.below(60) {
                0 => life.store.close().await.unwrap(),
                1 => life.site.clock.sleep(Duration::from_millis(chance.below(8_000))).await,
                2 | 3 => life.store.flush().await.unwrap(),
                4 if chance.one_in(2) => self.next_epoch(life, chance),
                _ => self.append(life, chance),
            }
        }
    }

    /// A new epoch; a mirror's may be that of its promotion, which aborts what is open.
    fn next_epoch(&mut self, life: &Life, chance: &mut Chance) {
        self.epoch += 1;
        if matches!(self.role, Role::Mirror { .. }) && !chance.one_in(4) {
            return;
        }
        if matches!(self.role, Role::Mirror { .. }) {
            self.epoch += 1 << 16;
            let epoch = LeaderEpoch::new(self.epoch).unwrap();
            self.log.set_role(Role::Closed);
            for (producer, newest) in self.log.open_producers() {
                let abort = marker(producer.get(), newest.0, false, 0);
                self.log.append_marker(&abort, epoch, life.now()).unwrap();
                self.producers[producer.get() as usize].2 = false;
            }
        }
        self.role = writable(self.epoch);
        self.log.set_role(self.role);
    }

    fn append(&mut self, life: &Life, chance: &mut Chance) {
        let count = chance.within(1..5) as usize;
        let producer = chance.below(PRODUCERS.end as u64) as usize;
        let (epoch, next, open) = &mut self.producers[producer];
        let data = self::data(chance, &mut self.clock, count, self.values_max);
        let built = match chance.below(8) {
            // A fenced producer, which begins again.
            0 if !*open && chance.one_in(3) => {
                (*epoch, *next) = (*epoch + 1, 0);
                return;
            }
            0 | 1 if *open => {
                *open = false;
                marker(producer as i64, *epoch, chance.one_in(2), 0)
            }
            2..5 => {
                let transactional = producer >= 3;
                *open |= transactional;
                let data = data.producer(producer as i64, *epoch, *next);
                *next += count as i32;
                if transactional { data.transactional().build() } else { data.build() }
            }
            _ => data.build(),
        };
        self.put(&built, life.now(), chance);
    }

    fn put(&self, batch: &Batch, now: Timestamp, chance: &mut Chance) {
        if matches!(self.role, Role::Mirror { .. }) {
            let end = self.log.offsets().log_end.at().get();
            let base = end + if chance.one_in(4) { chance.below(40) as i64 } else { 0 };
            let standing = crate::batches::standing(batch, base, self.epoch);
            let batch = Batch::split_from(&mut standing.clone()).unwrap();
            let end = self.log.append_mirrored(&batch, None, now).unwrap();
            self.log.set_source_high(end);
            return;
        }
        match self.log.append(batch, None, now) {
            Ok(_) => {}
            // After a promotion a producer may go on where its mirrored batches did not end.
            Err(AppendError::Producer { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
}

/// Times rise on the whole and fall back within and between batches.
fn data(chance: &mut Chance, clock: &mut i64, count: usize, values_max: u64) -> Build {
    let times: Vec<i64> = (0..count)
        .map(|_| {
            *clock += chance.below(20) as i64;
            *clock - chance.below(60) as i64
        })
        .collect();
    batch(count).times(times).tag(chance.u64()).values(chance.below(values_max) as usize)
}

/// Sizes of segments that histories draw from.
pub fn segment_bytes(chance: &mut Chance) -> u64 {
    [500, 5_000, 100_000, 1 << 20][chance.below(4) as usize]
}
