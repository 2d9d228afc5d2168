//! The partition's checkpoint: what a start would otherwise learn by reading every batch. It speaks of durable bytes only.
//!
//! A partition has pieces, kept by a home outside of its directory: piece 0 is the checkpoint, piece `base + 1` is the
//! sealed segment at `base`. Whoever restores an older copy of the directory is found out by them.
//!
//! Big-endian; lists are a u32 count and their elements. An offset, a position or a time takes 8 bytes.
//!
//! | checkpoint | what |
//! |---|---|
//! | u8 | version, 1 |
//! | 16, u32 | topic id, partition |
//! | start, end | the log's |
//! | u128 | the sum over all batches to the end |
//! | u8 | 1 if there is an active segment, and then: |
//! | .. base, position | where its durable bytes end |
//! | .. first time, max time, u128 | of its first batch; of all; the sum before it |
//! | .. u32, u32 | entries in its sidecar, the CRC-32C of its header and those |
//! | .. list of (offset, position) | its newest batches, oldest first |
//! | .. u32 | the CRC that the newest of them states |
//! | list of (i32, offset) | epochs and their first offsets |
//! | list of (i64, offset) | open transactions: producer, first offset |
//! | list of (i64, offset, offset) | aborted ones with their marker in the active segment: producer, first, marker |
//! | list | producers: i64 id, i16 epoch, seen offset, time, list of (i32 first, i32 last, base, end, max time) |
//! | u32 | CRC-32C of all before |
//!
//! | sealed segment | what |
//! |---|---|
//! | u8 | version, 1 |
//! | base, next | its base, the offset after its last batch |
//! | u64, time, u128 | the file's length, its largest time, the sum before it |
//! | list of (i64, offset, offset) | aborted transactions with their marker in it |
//! | u32 | CRC-32C of all before |

mod memory;

pub use memory::MemoryCheckpoints;

use std::io;

use bytes::{Buf, BufMut as _, Bytes};
use carrick_types::{LeaderEpoch, Offset, Partition, ProducerId, Timestamp, TopicId};
use crc_fast::{CrcAlgorithm, checksum};
use futures::future::BoxFuture;

use crate::digest::Digest;
use crate::epochs::Epochs;
use crate::producers::Producers;
use crate::transactions::Aborted;

const VERSION: u8 = 1;

/// What is kept of a partition outside of its directory.
pub type Pieces = Vec<(u64, Bytes)>;

/// One change of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub topic: TopicId,
    pub partition: Partition,
    pub piece: u64,
    /// None takes it away.
    pub value: Option<Bytes>,
}

/// The home of checkpoints.
pub trait Checkpoints: Send + Sync + 'static {
    /// All pieces of a partition. Blocking; at a start.
    fn load(&self, topic: TopicId, partition: Partition) -> io::Result<Pieces>;

    /// All of `changes` or none; a power cut may take what was saved last.
    fn save(&self, changes: Vec<Change>) -> io::Result<()>;

    /// Returns once all that was saved would survive a power cut.
    fn durable(&self) -> BoxFuture<'_, io::Result<()>>;
}

/// The piece of a sealed segment.
pub(crate) fn piece_of(base: Offset) -> u64 {
    base.get().unsigned_abs() + 1
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActiveState {
    pub base: Offset,
    pub position: u64,
    pub first_time: Timestamp,
    pub max_time: Timestamp,
    pub digest: Digest,
    pub entries: u32,
    pub entries_crc: u32,
    pub newest: Vec<(Offset, u64)>,
    /// What the newest batch states.
    pub newest_crc: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub start: Offset,
    pub end: Offset,
    pub digest: Digest,
    pub active: Option<ActiveState>,
    pub epochs: Epochs,
    pub open: Vec<(ProducerId, Offset)>,
    pub aborted: Vec<Aborted>,
    pub producers: Producers,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedState {
    pub base: Offset,
    pub next: Offset,
    pub end: u64,
    pub max_time: Timestamp,
    pub digest: Digest,
    pub aborted: Vec<Aborted>,
}

/// Why a piece cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPiece {
    #[error("it is of version {found}, this program knows {VERSION}: start a newer carrickd")]
    Newer { found: u8 },
    #[error("it does not match its checksum")]
    Checksum,
    #[error("it belongs to another partition")]
    Foreign,
    #[error("it ends early or is out of range")]
    Malformed,
}

impl Checkpoint {
    pub(crate) fn encode(&self, topic: TopicId, partition: Partition) -> Bytes {
        let mut to = vec![VERSION];
        to.put_slice(&topic.bytes());
        to.put_u32(partition.0);
        put_offsets(&mut to, &[self.start, self.end]);
        to.put_u128(self.digest.0);
        match &self.active {
            None => to.put_u8(0),
            Some(active) => {
                to.put_u8(1);
                to.put_i64(active.base.get());
                to.put_u64(active.position);
                to.put_i64(active.first_time.0);
                to.put_i64(active.max_time.0);
                to.put_u128(active.digest.0);
                to.put_u32(active.entries);
                to.put_u32(active.entries_crc);
                put_list(&mut to, active.newest.iter(), |to, (offset, position)| {
                    to.put_i64(offset.get());
                    to.put_u64(*position);
                });
                to.put_u32(active.newest_crc);
            }
        }
        put_list(&mut to, self.epochs.starts().iter(), |to, (epoch, at)| {
            to.put_i32(epoch.get());
            to.put_i64(at.get());
        });
        put_list(&mut to, self.open.iter(), |to, (id, first)| {
            to.put_i64(id.get());
            to.put_i64(first.get());
        });
        put_aborted(&mut to, &self.aborted);
        self.producers.encode(&mut to);
        sealed(to)
    }

    pub(crate) fn decode(stored: &Bytes, topic: TopicId, partition: Partition) -> Result<Self, BadPiece> {
        let mut from = Reader(opened(stored)?);
        if from.array::<16>()? != topic.bytes() || from.u32()? != partition.0 {
            return Err(BadPiece::Foreign);
        }
        let (start, end) = (from.offset()?, from.offset()?);
        let digest = from.digest()?;
        let active = match from.array::<1>()? {
            [0] => None,
            _ => Some(ActiveState {
                base: from.offset()?,
                position: from.u64()?,
                first_time: from.time()?,
                max_time: from.time()?,
                digest: from.digest()?,
                entries: from.u32()?,
                entries_crc: from.u32()?,
                newest: from.list(16, |it| Ok((it.offset()?, it.u64()?)))?,
                newest_crc: from.u32()?,
            }),
        };
        let starts = from.list(12, |it| {
            let epoch = LeaderEpoch::new(it.u32()?.cast_signed()).ok_or(BadPiece::Malformed)?;
            Ok((epoch, it.offset()?))
        })?;
        let open = from.list(16, |it| Ok((it.producer()?, it.offset()?)))?;
        let aborted = from.aborted()?;
        let producers = Producers::decode(&mut from)?;
        from.done()?;
        let epochs = Epochs::from_starts(starts);
        Ok(Self { start, end, digest, active, epochs, open, aborted, producers })
    }
}

impl SealedState {
    pub(crate) fn encode(&self) -> Bytes {
        let mut to = vec![VERSION];
        put_offsets(&mut to, &[self.base, self.next]);
        to.put_u64(self.end);
        to.put_i64(self.max_time.0);
        to.put_u128(self.digest.0);
        put_aborted(&mut to, &self.aborted);
        sealed(to)
    }

    pub(crate) fn decode(stored: &Bytes) -> Result<Self, BadPiece> {
        let mut from = Reader(opened(stored)?);
        let it = Self {
            base: from.offset()?,
            next: from.offset()?,
            end: from.u64()?,
            max_time: from.time()?,
            digest: from.digest()?,
            aborted: from.aborted()?,
        };
        from.done()?;
        Ok(it)
    }
}

fn put_offsets(to: &mut Vec<u8>, offsets: &[Offset]) {
    offsets.iter().for_each(|offset| to.put_i64(offset.get()));
}

fn put_aborted(to: &mut Vec<u8>, aborted: &[Aborted]) {
    put_list(to, aborted.iter(), |to, it| {
        to.put_i64(it.producer_id.get());
        put_offsets(to, &[it.first, it.last]);
    });
}

/// A count and each element.
pub(crate) fn put_list<T>(
    to: &mut Vec<u8>,
    list: impl ExactSizeIterator<Item = T>,
    put: impl Fn(&mut Vec<u8>, T),
) {
    // No list of a partition comes near: limits.rs.
    to.put_u32(u32::try_from(list.len()).unwrap_or(u32::MAX));
    list.for_each(|element| put(to, element));
}

fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let sum = crc(&bytes);
    bytes.put_u32(sum);
    bytes.into()
}

/// What stands between version and checksum.
fn opened(stored: &Bytes) -> Result<&[u8], BadPiece> {
    let (&found, _) = stored.split_first().ok_or(BadPiece::Malformed)?;
    if found > VERSION {
        return Err(BadPiece::Newer { found });
    }
    let covered = stored.len().checked_sub(4).ok_or(BadPiece::Malformed)?;
    let (covered, mut stated) = stored.split_at(covered);
    if crc(covered) != stated.get_u32() {
        return Err(BadPiece::Checksum);
    }
    covered.get(1..).ok_or(BadPiece::Malformed)
}

pub(crate) fn crc(bytes: &[u8]) -> u32 {
    // A 32-bit algorithm's sum fits its low half.
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Takes fields off the front; a list is as long as bytes are there for it.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], BadPiece> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(BadPiece::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, BadPiece> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BadPiece> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, BadPiece> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, BadPiece> {
        Ok(Timestamp(self.u64()?.cast_signed()))
    }

    pub(crate) fn offset(&mut self) -> Result<Offset, BadPiece> {
        Offset::new(self.u64()?.cast_signed()).ok_or(BadPiece::Malformed)
    }

    pub(crate) fn producer(&mut self) -> Result<ProducerId, BadPiece> {
        ProducerId::new(self.u64()?.cast_signed()).ok_or(BadPiece::Malformed)
    }

    fn digest(&mut self) -> Result<Digest, BadPiece> {
        self.array().map(u128::from_be_bytes).map(Digest)
    }

    fn aborted(&mut self) -> Result<Vec<Aborted>, BadPiece> {
        self.list(24, |it| {
            Ok(Aborted { producer_id: it.producer()?, first: it.offset()?, last: it.offset()? })
        })
    }

    /// `least` is what an element takes at least.
    pub(crate) fn list<T>(
        &mut self,
        least: usize,
        mut take: impl FnMut(&mut Self) -> Result<T, BadPiece>,
    ) -> Result<Vec<T>, BadPiece> {
        let count = self.u32()? as usize;
        if count > self.0.len() / least {
            return Err(BadPiece::Malformed);
        }
        (0..count).map(|_| take(self)).collect()
    }

    fn done(&self) -> Result<(), BadPiece> {
        if self.0.is_empty() { Ok(()) } else { Err(BadPiece::Malformed) }
    }
}

#[cfg(test)]
mod tests;
