//! What was seen and what was told, by whom: the model that everything else is held against.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::sync::atomic::{AtomicBool, Ordering};

use carrick_record::Batch;
use carrick_types::LeaderEpoch;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::plan::{ADDRESSES, EAST, Place};
use crate::batch::Producer;

/// A batch that readers could see, by its lineage's generation and its first offset.
type Key = (Place, u16, i64);

/// What can be seen of a batch: all but the leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fact {
    hash: u64,
    next: i64,
    producer: (i64, i16, i32),
}

#[derive(Clone, Copy, Debug)]
struct Ack {
    count: u32,
    producer: (i64, i16, i32),
}

#[derive(Default)]
struct Inner {
    facts: BTreeMap<Key, Fact>,
    /// By site, too: after a failover both may have told of one offset.
    acks: BTreeMap<(usize, Place, i64), Ack>,
    /// The largest offset that a client asked to be deleted below.
    deleted: BTreeMap<Place, i64>,
    /// The operator was told that the mirrors are open.
    opened: bool,
    /// Since when a place is known, durably, to be written elsewhere.
    superseded: BTreeMap<Place, Instant>,
    broken: Option<String>,
}

#[derive(Default)]
pub struct Book {
    inner: Mutex<Inner>,
    /// Clients finish what they have begun, and end.
    pub stop: AtomicBool,
}

impl Book {
    /// A promise is broken; the story ends with the first.
    pub fn broken(&self, promise: &str, what: impl std::fmt::Display) {
        self.inner.lock().broken.get_or_insert_with(|| format!("{promise}: {what}"));
    }

    pub fn check(&self) {
        let broken = self.inner.lock().broken.clone();
        if let Some(broken) = broken {
            panic!("{broken}");
        }
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// P1: an offset has one value for ever, at both sites. Returns the offset after the batch.
    pub fn saw(&self, site: usize, place: Place, batch: &Batch) -> i64 {
        let header = &batch.header;
        let (base, next) = (header.base_offset.get(), header.next_offset().get());
        if let Err(bad) = batch.verify() {
            self.broken("P1", format!("{} shows damage at {base} of {place:?}: {bad}", ADDRESSES[site]));
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(&batch.bytes[..12]);
        hasher.write(&batch.bytes[16..]);
        let producer = (
            header.producer_id.map_or(-1, |it| it.get()),
            header.producer_epoch.0,
            header.base_sequence.map_or(-1, |it| it.get()),
        );
        let fact = Fact { hash: hasher.finish(), next, producer };
        let generation = LeaderEpoch::new(header.leader_epoch).unwrap_or_default().generation().get();
        let key = (place, generation, base);
        let known = *self.inner.lock().facts.entry(key).or_insert(fact);
        if known != fact {
            let site = ADDRESSES[site];
            self.broken("P1", format!("{site} shows {fact:?} at {base} of {place:?}, it was {known:?}"));
        }
        next
    }

    /// A producer was told so.
    pub fn acknowledged(
        &self,
        site: usize,
        place: Place,
        base: i64,
        count: u32,
        it: Producer,
        asked: Instant,
    ) {
        let producer = (it.id, it.epoch, it.sequence);
        let mut inner = self.inner.lock();
        let superseded = inner.superseded.get(&place).copied();
        let before = inner.acks.insert((site, place, base), Ack { count, producer });
        drop(inner);
        let name = ADDRESSES[site];
        if before.is_some_and(|before| before.producer != producer) {
            self.broken("P1", format!("{name} told two producers that theirs is at {base} of {place:?}"));
        }
        if site == EAST && superseded.is_some_and(|since| asked > since) {
            self.broken(
                "P4",
                format!("{name} took a write at {base} of {place:?}, and knew it was superseded"),
            );
        }
    }

    /// P2: what was acknowledged at a site stands below its end.
    pub fn check_end(&self, site: usize, place: Place, end: i64) {
        let inner = self.inner.lock();
        let told = inner.acks.range((site, place, 0)..=(site, place, i64::MAX));
        let lost = told.map(|((.., base), ack)| base + i64::from(ack.count)).find(|told| *told > end);
        drop(inner);
        if let Some(told) = lost {
            let site = ADDRESSES[site];
            self.broken(
                "P2",
                format!("{site} lost what it acknowledged below {told} of {place:?}: it ends at {end}"),
            );
        }
    }

    /// P2: what was acknowledged was seen, as it was sent.
    pub fn check_acks(&self, starts: impl Fn(usize, Place) -> i64) {
        let inner = self.inner.lock();
        // What was mirrored before, or what was written after a failover, which hides what the old side has there.
        let fact = |site: usize, place, base| {
            let newer = inner.facts.get(&(place, 1, base)).filter(|_| site != EAST);
            newer.or(inner.facts.get(&(place, 0, base)))
        };
        let wrong = inner.acks.iter().find_map(|((site, place, base), ack)| {
            let found = fact(*site, *place, *base);
            let same = found.map(|fact| fact.producer == ack.producer);
            let wrong = same != Some(true) && *base >= starts(*site, *place);
            wrong
                .then(|| format!("{place:?} {base} at {}: {ack:?}, and there is {found:?}", ADDRESSES[*site]))
        });
        drop(inner);
        if let Some(wrong) = wrong {
            self.broken("P2", format!("acknowledged and not there: {wrong}"));
        }
    }

    pub fn acks(&self) -> usize {
        self.inner.lock().acks.len()
    }

    pub fn deletes(&self, place: Place, below: i64) {
        let mut inner = self.inner.lock();
        let known = inner.deleted.entry(place).or_default();
        *known = below.max(*known);
    }

    pub fn deleted(&self, place: Place) -> i64 {
        self.inner.lock().deleted.get(&place).copied().unwrap_or(0)
    }

    pub fn deleted_in(&self, topic: &str) -> bool {
        self.inner.lock().deleted.keys().any(|(it, _)| *it == topic)
    }

    /// The operator was told that the mirrors are open.
    pub fn open(&self) {
        self.inner.lock().opened = true;
    }

    pub fn opened(&self) -> bool {
        self.inner.lock().opened
    }

    pub fn supersede(&self, place: Place) {
        self.inner.lock().superseded.entry(place).or_insert_with(Instant::now);
    }

    pub fn superseded(&self, place: Place) -> bool {
        self.inner.lock().superseded.contains_key(&place)
    }
}
