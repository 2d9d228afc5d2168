//! Clients that append to writable partitions, some of them idempotent, and readers that watch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use carrick_log::{Bound, Digest, Durability, Partition, Role};
use carrick_record::{Batch, Stamped};
use carrick_sim::{History, SimClock};
use carrick_sys::{Clock as _, Spawn as _};
use parking_lot::Mutex;

use super::{PARTITIONS, World};
use crate::batches::{batch, standing};
use crate::chance::Chance;
use crate::life::{Life, Look as _, offset, writable};

/// A batch that was appended.
struct Entry {
    base: i64,
    stands: Bytes,
    sent: Batch,
}

impl Entry {
    fn end(&self) -> i64 {
        self.base + i64::from(self.sent.header.count)
    }
}

/// What was done to one partition.
#[derive(Default)]
struct Done {
    /// All that stands, as far as is known: in order, without holes.
    entries: Vec<Entry>,
    /// Below it, everything was acknowledged.
    acknowledged: i64,
    /// The furthest durable end that was seen.
    durable: i64,
    producers: BTreeMap<i64, Producer>,
}

#[derive(Default)]
struct Producer {
    epoch: i16,
    next: i32,
    /// As many as a client has under way.
    newest: Vec<Batch>,
    /// Where the last of them ends.
    end: i64,
}

impl Done {
    fn end(&self) -> i64 {
        self.entries.last().map_or(0, Entry::end)
    }
}

pub struct Writers {
    history: History,
    done: Vec<Arc<Mutex<Done>>>,
}

impl World for Writers {
    fn new(_seed: u64, history: &History) -> Self {
        Self { history: history.clone(), done: (0..PARTITIONS).map(|_| Arc::default()).collect() }
    }

    fn role(&self, life: u64) -> Role {
        writable(life as i32)
    }

    async fn check(&self, on: &Life, life: u64, all: bool) {
        for (i, done) in self.done.iter().enumerate() {
            let log = on.partition(i as u32);
            let os = on.settings.durability == Durability::Os;
            assert_eq!(log.damage(), None, "life {life}");
            assert!(log.offsets().ordered(!os));
            let found = log.all(Bound::LogEnd).await;
            let mut done = done.lock();
            let floor = match (all, os) {
                (true, _) => done.end(),
                (false, true) => done.durable,
                (false, false) => done.durable.max(done.acknowledged),
            };
            self.history.note(format!("{i}: {} of {} stand, {floor} must", log.end(), done.end()));
            assert!(log.end() >= floor, "life {life}: partition {i} ends at {}, not {floor}", log.end());
            assert!(found.len() <= done.entries.len(), "life {life}: more stands than was handed in");
            for (found, entry) in found.iter().zip(&done.entries) {
                assert!(found.bytes == entry.stands, "life {life}: partition {i} at {}", entry.base);
            }
            done.entries.truncate(found.len());
            assert_eq!(log.end(), done.end());
            let digest = found.iter().fold(Digest::default(), |sum, it| sum.plus(&Stamped::verbatim(it)));
            assert_eq!(log.digest(), digest);
            done.acknowledged = done.acknowledged.min(done.end());
            done.durable = done.durable.min(done.end());
            if os && !all {
                // More than is under way may be gone: a client begins a new epoch.
                for producer in done.producers.values_mut() {
                    *producer = Producer { epoch: producer.epoch + 1, ..Producer::default() };
                }
            }
            send_again(&log, &mut done, life);
        }
    }

    fn start(&self, on: &Life, _life: u64, chance: &mut Chance, stop: &Arc<AtomicBool>) {
        for (i, done) in self.done.iter().enumerate() {
            for producer in [None, Some(1), Some(2)] {
                let actor = Actor {
                    name: format!("{i}/{}", producer.unwrap_or(0)),
                    producer,
                    log: on.partition(i as u32),
                    done: Arc::clone(done),
                    chance: Chance::new(chance.u64()),
                    clock: Arc::clone(&on.site.clock),
                    history: self.history.clone(),
                    stop: Arc::clone(stop),
                };
                on.site.spawn.spawn("writes", Box::pin(actor.write())).detach();
            }
            let watch =
                watch(on.partition(i as u32), Arc::clone(done), Arc::clone(&on.site.clock), Arc::clone(stop));
            on.site.spawn.spawn("watches", Box::pin(watch)).detach();
        }
    }
}

/// Each producer sends its newest batches again, not knowing which of them stand.
fn send_again(log: &Partition, done: &mut Done, life: u64) {
    let newest = done.producers.iter().flat_map(|(id, it)| it.newest.iter().map(|sent| (*id, sent.clone())));
    for (id, sent) in newest.collect::<Vec<_>>() {
        let stood =
            done.entries.iter().find(|entry| entry.sent == sent).map(|entry| (entry.base, entry.end()));
        let appended = log.put(&sent);
        let (base, end) = (appended.base.get(), appended.end.get());
        match stood {
            Some(stood) => assert_eq!((base, end, appended.duplicate), (stood.0, stood.1, true)),
            None => {
                assert_eq!((base, appended.duplicate), (done.end(), false), "life {life}");
                let stands = standing(&sent, base, life as i32);
                done.entries.push(Entry { base, stands, sent });
            }
        }
        done.producers.entry(id).or_default().end = end;
    }
}

struct Actor {
    name: String,
    producer: Option<i64>,
    log: Arc<Partition>,
    done: Arc<Mutex<Done>>,
    chance: Chance,
    clock: Arc<SimClock>,
    history: History,
    stop: Arc<AtomicBool>,
}

impl Actor {
    /// Up to five batches are under way, as a client has them.
    async fn write(mut self) {
        let mut under_way = Vec::new();
        let again = self.producer.and_then(|id| self.done.lock().producers.get(&id).map(|it| it.end));
        if self.log.acknowledged(offset(again.unwrap_or(0))).await.is_err() {
            return;
        }
        while !self.stop.load(Ordering::Relaxed) {
            let Some(end) = self.append() else { return };
            under_way.push(end);
            if under_way.len() == 5 || self.chance.one_in(3) {
                let end = under_way.remove(self.chance.below(under_way.len() as u64) as usize);
                let heard = self.log.acknowledged(offset(end)).await;
                self.history.note(format!("{} ack {end} {heard:?}", self.name));
                if heard.is_err() {
                    return;
                }
                let mut done = self.done.lock();
                done.acknowledged = done.acknowledged.max(end);
            }
            match self.chance.below(6) {
                0 => self.clock.sleep(Duration::from_millis(self.chance.within(1..4))).await,
                _ => tokio::task::yield_now().await,
            }
        }
    }

    fn append(&mut self) -> Option<i64> {
        let mut done = self.done.lock();
        let records = self.chance.within(1..4) as usize;
        let len = if self.chance.one_in(15) { 9_000 } else { self.chance.below(700) as usize };
        let mut build = batch(records).values(len).tag(self.chance.u64());
        if let Some(id) = self.producer {
            let producer = done.producers.entry(id).or_default();
            build = build.producer(id, producer.epoch, producer.next);
        }
        let sent = build.build();
        let Role::Writable { epoch } = self.log.role() else { panic!("{:?}", self.log.role()) };
        match self.log.append(&sent, None, self.clock.wall()) {
            Ok(appended) => {
                let (base, end) = (appended.base.get(), appended.end.get());
                assert_eq!((base, appended.duplicate), (done.end(), false));
                self.history.note(format!("{} put {base} {end}", self.name));
                if let Some(id) = self.producer {
                    let producer = done.producers.entry(id).or_default();
                    producer.next += records as i32;
                    producer.end = end;
                    producer.newest.push(sent.clone());
                    if producer.newest.len() > 5 {
                        producer.newest.remove(0);
                    }
                }
                let stands = standing(&sent, base, epoch.get());
                done.entries.push(Entry { base, stands, sent });
                Some(end)
            }
            Err(e) => {
                self.history.note(format!("{} put {e}", self.name));
                None
            }
        }
    }
}

/// Reads as a consumer does; what it was shown must be there, and stay.
async fn watch(log: Arc<Partition>, done: Arc<Mutex<Done>>, clock: Arc<SimClock>, stop: Arc<AtomicBool>) {
    let mut from = 0;
    while !stop.load(Ordering::Relaxed) {
        let five = log.five();
        let seen = done.lock().durable;
        done.lock().durable = seen.max(five[4]);
        if let Ok((bytes, next)) = log.try_read(from, 3_000, Bound::HighWatermark).await {
            let done = done.lock();
            let stands = done.entries.iter().filter(|entry| (from..next).contains(&entry.base));
            let stands: Vec<u8> = stands.flat_map(|entry| entry.stands.to_vec()).collect();
            assert!(bytes == stands, "a read from {from} to {next}");
            from = next;
        }
        clock.sleep(Duration::from_millis(2)).await;
    }
}
