//! Producer state (KIP-98): the last batches of each producer id, so that a batch sent again is known.

use std::collections::{BTreeMap, VecDeque};

use bytes::BufMut as _;
use carrick_record::Header;
use carrick_types::limits::{PRODUCER_BATCHES_MAX, PRODUCERS_PER_PARTITION_MAX};
use carrick_types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::checkpoint::{BadPiece, Reader, put_list};

/// How long an idle producer is remembered, as in Kafka (`producer.id.expiration.ms`).
const IDLE_MS_MAX: u64 = 86_400_000;

/// Why an idempotent producer's batch is not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerRefusal {
    #[error("producer {id} sent epoch {found}, its newest is {newest}")]
    Epoch { id: ProducerId, found: i16, newest: i16 },
    #[error("producer {id} sent sequence {found}, the next is {next}")]
    OutOfOrder { id: ProducerId, found: i32, next: i32 },
    #[error("producer {id} sent sequence {found} again, which is older than what is remembered")]
    DuplicateForgotten { id: ProducerId, found: i32 },
}

#[derive(Clone, Copy, Debug)]
struct Appended {
    first: Sequence,
    last: Sequence,
    base: Offset,
    /// The offset after the batch.
    end: Offset,
    max_timestamp: Timestamp,
}

#[derive(Clone, Debug)]
struct Producer {
    epoch: ProducerEpoch,
    batches: VecDeque<Appended>,
    /// The log's end when it last wrote, which orders producers by age.
    seen: Offset,
    /// When it last wrote, by the node's clock; after a start, then at the earliest: the times in its batches are its own.
    at: Timestamp,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// It stands in the log already.
    Duplicate {
        base: Offset,
        end: Offset,
        append_time: Timestamp,
    },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Producers {
    by_id: BTreeMap<ProducerId, Producer>,
    by_age: BTreeMap<Offset, ProducerId>,
}

impl Producers {
    /// Judges a client's batch.
    pub(crate) fn check(&self, header: &Header) -> Result<Verdict, ProducerRefusal> {
        let (Some(id), Some(first)) = (header.producer_id, header.base_sequence) else {
            return Ok(Verdict::Append);
        };
        // A producer that is not known may start anywhere: its state may have expired (KIP-360).
        let Some(known) = self.by_id.get(&id) else {
            return Ok(Verdict::Append);
        };
        let found = first.get();
        if header.producer_epoch < known.epoch {
            return Err(ProducerRefusal::Epoch { id, found: header.producer_epoch.0, newest: known.epoch.0 });
        }
        if header.producer_epoch > known.epoch {
            return match found {
                0 => Ok(Verdict::Append),
                _ => Err(ProducerRefusal::OutOfOrder { id, found, next: 0 }),
            };
        }
        let last = first.plus(header.last_offset_delta);
        if let Some(same) = known.batches.iter().find(|it| it.first == first && it.last == last) {
            return Ok(Verdict::Duplicate {
                base: same.base,
                end: same.end,
                append_time: same.max_timestamp,
            });
        }
        // Only a marker was seen of this epoch: any sequence goes.
        let Some(newest) = known.batches.back() else {
            return Ok(Verdict::Append);
        };
        let next = newest.last.plus(1);
        if first == next {
            Ok(Verdict::Append)
        } else if behind(first, next) {
            Err(ProducerRefusal::DuplicateForgotten { id, found })
        } else {
            Err(ProducerRefusal::OutOfOrder { id, found, next: next.get() })
        }
    }

    /// Takes note of a batch that now stands in the log.
    pub(crate) fn note(&mut self, header: &Header, at: Timestamp) {
        let Some(id) = header.producer_id else {
            return;
        };
        let seen = header.last_offset();
        let producer = self.by_id.entry(id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            batches: VecDeque::new(),
            seen,
            at,
        });
        self.by_age.remove(&producer.seen);
        self.by_age.insert(seen, id);
        producer.seen = seen;
        producer.at = at;
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if let Some(first) = header.base_sequence
            && !header.is_control()
        {
            if producer.batches.len() == PRODUCER_BATCHES_MAX {
                producer.batches.pop_front();
            }
            producer.batches.push_back(Appended {
                first,
                last: first.plus(header.last_offset_delta),
                base: header.base_offset,
                end: header.next_offset(),
                max_timestamp: header.max_timestamp,
            });
        }
        self.forget_idle(at);
    }

    pub(crate) fn epoch_of(&self, id: ProducerId) -> Option<ProducerEpoch> {
        self.by_id.get(&id).map(|it| it.epoch)
    }

    /// As checkpoint.rs has it.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        put_list(to, self.by_id.iter(), |to, (id, it)| {
            to.put_i64(id.get());
            to.put_i16(it.epoch.0);
            to.put_i64(it.seen.get());
            to.put_i64(it.at.0);
            put_list(to, it.batches.iter(), |to, batch| {
                to.put_i32(batch.first.get());
                to.put_i32(batch.last.get());
                to.put_i64(batch.base.get());
                to.put_i64(batch.end.get());
                to.put_i64(batch.max_timestamp.0);
            });
        });
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self, BadPiece> {
        let sequence =
            |it: &mut Reader<'_>| Sequence::new(it.u32()?.cast_signed()).ok_or(BadPiece::Malformed);
        let batch = |it: &mut Reader<'_>| {
            Ok(Appended {
                first: sequence(it)?,
                last: sequence(it)?,
                base: it.offset()?,
                end: it.offset()?,
                max_timestamp: it.time()?,
            })
        };
        let producer = |it: &mut Reader<'_>| {
            let id = it.producer()?;
            let epoch = ProducerEpoch(it.u16()?.cast_signed());
            let (seen, at) = (it.offset()?, it.time()?);
            Ok((id, Producer { epoch, seen, at, batches: it.list(32, batch)?.into() }))
        };
        let known = from.list(30, producer)?;
        let by_age = known.iter().map(|(id, it)| (it.seen, *id)).collect();
        Ok(Self { by_id: known.into_iter().collect(), by_age })
    }

    fn forget_idle(&mut self, now: Timestamp) {
        while let Some((&seen, &id)) = self.by_age.first_key_value() {
            let idle = self.by_id.get(&id).is_none_or(|it| now.since(it.at) > IDLE_MS_MAX);
            if !idle && self.by_age.len() <= PRODUCERS_PER_PARTITION_MAX {
                return;
            }
            self.by_age.remove(&seen);
            self.by_id.remove(&id);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}

/// Whether `a` lies behind `b` on the circle of sequences.
fn behind(a: Sequence, b: Sequence) -> bool {
    let forward = (i64::from(b.get()) - i64::from(a.get())).rem_euclid(1 << 31);
    forward > 0 && forward < 1 << 30
}

#[cfg(test)]
mod tests;
