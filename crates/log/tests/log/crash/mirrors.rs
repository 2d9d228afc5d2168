//! Mirrors of sources with holes: each life goes on where the log that it found ends, as a link does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carrick_log::{Bound, Durability, Partition, Role};
use carrick_record::Batch;
use carrick_sim::{History, SimClock, derive};
use carrick_sys::{Clock as _, Spawn as _};
use parking_lot::Mutex;

use super::{PARTITIONS, World};
use crate::batches::{batch, marker};
use crate::chance::Chance;
use crate::life::{Life, Look as _, mirror, offset};

const SOURCE_BATCHES: u64 = 1_000;

pub struct Mirrors {
    history: History,
    sources: Vec<Source>,
}

struct Source {
    start: i64,
    batches: Arc<Vec<Batch>>,
    done: Arc<Mutex<Done>>,
}

#[derive(Default)]
struct Done {
    /// Batches that were taken.
    taken: usize,
    acknowledged: i64,
    durable: i64,
}

impl Source {
    fn new(mut chance: Chance) -> Self {
        let start = chance.below(20) as i64;
        // A start at 0 is as none told: such a mirror begins with its first batch.
        let hole = start > 0 && chance.one_in(2);
        let mut at = start + if hole { chance.below(9) as i64 } else { 0 };
        let mut epoch = 0;
        let batches = (0..SOURCE_BATCHES).map(|_| {
            let records = chance.within(1..4) as usize;
            let len = if chance.one_in(15) { 9_000 } else { chance.below(700) as usize };
            let data = batch(records).at(at).epoch(epoch).tag(chance.u64()).values(len);
            let made = match chance.below(6) {
                0 if epoch == 0 => marker(7, 0, chance.one_in(2), at),
                1 => data.producer(7, 0, at as i32).transactional().build(),
                _ => data.build(),
            };
            at = made.header.next_offset().get() + if chance.one_in(3) { chance.below(30) as i64 } else { 0 };
            epoch += i32::from(chance.one_in(40));
            made
        });
        Self { start, batches: Arc::new(batches.collect()), done: Arc::default() }
    }
}

impl World for Mirrors {
    fn new(seed: u64, history: &History) -> Self {
        let sources = (0..PARTITIONS).map(|i| Source::new(Chance::new(derive(seed, u64::from(i))))).collect();
        Self { history: history.clone(), sources }
    }

    fn role(&self, _life: u64) -> Role {
        mirror()
    }

    async fn check(&self, on: &Life, life: u64, all: bool) {
        for (i, source) in self.sources.iter().enumerate() {
            let log = on.partition(i as u32);
            let os = on.settings.durability == Durability::Os;
            assert_eq!(log.damage(), None, "life {life}");
            assert!(log.offsets().ordered(!os));
            let found = log.all(Bound::LogEnd).await;
            let mut done = source.done.lock();
            self.history.note(format!("{i}: {} of {} stand to {}", found.len(), done.taken, log.end()));
            assert!(found[..] == source.batches[..found.len()], "life {life}: mirror {i} skips or changes");
            assert!(
                source.batches.get(found.len()).is_none_or(|next| log.end() <= next.header.base_offset.get()),
                "life {life}: mirror {i}"
            );
            let floor = if os { done.durable } else { done.durable.max(done.acknowledged) };
            // The start of an empty mirror is its link's to say, each time.
            let floor = if floor == source.start { 0 } else { floor };
            assert!(log.end() >= floor, "life {life}: mirror {i} ends at {}, not {floor}", log.end());
            assert!(!all || found.len() == done.taken, "life {life}: mirror {i} lost something to a kill");
            if !found.is_empty() {
                assert_eq!(log.five()[0], source.start, "life {life}: mirror {i} begins elsewhere");
            }
            done.taken = found.len();
            log.start_at(offset(source.start));
        }
    }

    fn start(&self, on: &Life, _life: u64, chance: &mut Chance, stop: &Arc<AtomicBool>) {
        for (i, source) in self.sources.iter().enumerate() {
            let link = Link {
                log: on.partition(i as u32),
                batches: Arc::clone(&source.batches),
                done: Arc::clone(&source.done),
                chance: Chance::new(chance.u64()),
                clock: Arc::clone(&on.site.clock),
                history: self.history.clone(),
                stop: Arc::clone(stop),
            };
            on.site.spawn.spawn("links", Box::pin(link.run())).detach();
        }
    }
}

struct Link {
    log: Arc<Partition>,
    batches: Arc<Vec<Batch>>,
    done: Arc<Mutex<Done>>,
    chance: Chance,
    clock: Arc<SimClock>,
    history: History,
    stop: Arc<AtomicBool>,
}

impl Link {
    async fn run(mut self) {
        let end = self.log.offsets().log_end.at();
        let mut next = self.batches.partition_point(|it| it.header.base_offset < end);
        while !self.stop.load(Ordering::Relaxed) {
            let Some(batch) = self.batches.get(next) else { return };
            let at = match self.log.append_mirrored(batch, None, self.clock.wall()) {
                Ok(at) => at,
                Err(e) => return self.history.note(format!("take {e}")),
            };
            next += 1;
            self.done.lock().taken = next;
            self.history.note(format!("take to {at}"));
            self.log.set_source_high(at);
            if self.chance.one_in(4) {
                let heard = self.log.acknowledged(at).await;
                self.history.note(format!("ack {at} {heard:?}"));
                if heard.is_err() {
                    return;
                }
                let mut done = self.done.lock();
                done.acknowledged = done.acknowledged.max(at.get());
            }
            let durable = self.log.five()[4];
            let seen = self.done.lock().durable;
            self.done.lock().durable = seen.max(durable);
            match self.chance.below(6) {
                0 => self.clock.sleep(Duration::from_millis(self.chance.within(1..4))).await,
                _ => tokio::task::yield_now().await,
            }
        }
    }
}
