//! The header view: what a batch says of itself before anything is inflated.

use bytes::{Buf, Bytes};
use carrick_types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use crc_fast::{CrcAlgorithm, checksum};

/// Bytes before the records.
pub const HEADER_LEN: usize = 61;
/// Bytes of base offset and length, which the length does not count.
pub const PREFIX_LEN: usize = 12;
/// The CRC covers everything from the attributes on.
pub(crate) const CRC_FROM: usize = 21;

const CODEC: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Why bytes are not a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBatch {
    #[error("{have} bytes end inside a batch of {need}")]
    Short { have: usize, need: usize },
    #[error("length {length} is less than a header's")]
    Length { length: i32 },
    #[error("magic {magic} is not 2")]
    Magic { magic: i8 },
    #[error("codec {bits} is none of the five")]
    Codec { bits: i16 },
    #[error("{count} records do not fill a last offset delta of {delta}")]
    Count { count: i32, delta: i32 },
    #[error("base offset {offset} is out of range")]
    Offset { offset: i64 },
    #[error("a batch of an idempotent producer has epoch {epoch} and sequence {sequence}")]
    Producer { epoch: i16, sequence: i32 },
    #[error("checksum {found:#010x} does not match the stated {stated:#010x}")]
    Checksum { stated: u32, found: u32 },
}

/// The five codecs of attributes bits 0 to 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Who set the timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeType {
    Create,
    LogAppend,
}

/// A parsed and plausible header. Fields as KIP-98 names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub base_offset: Offset,
    /// Bytes after the prefix.
    pub length: u32,
    /// As it stands in the batch; −1 from a client.
    pub leader_epoch: i32,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: u32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    pub producer_id: Option<ProducerId>,
    pub producer_epoch: ProducerEpoch,
    /// None for a control batch and for a producer without idempotence.
    pub base_sequence: Option<Sequence>,
    /// Records inside; a compacted batch may hold fewer than its offsets.
    pub count: u32,
}

impl Header {
    /// Reads a header; `bytes` may be longer or, after the header, shorter than the batch.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBatch> {
        let Some(mut head) = bytes.get(..HEADER_LEN) else {
            return Err(BadBatch::Short { have: bytes.len(), need: HEADER_LEN });
        };
        let base_offset = head.get_i64();
        let length = head.get_i32();
        let leader_epoch = head.get_i32();
        let magic = head.get_i8();
        let crc = head.get_u32();
        let attributes = head.get_i16();
        let delta = head.get_i32();
        let base_timestamp = Timestamp(head.get_i64());
        let max_timestamp = Timestamp(head.get_i64());
        let producer_id = ProducerId::new(head.get_i64());
        let producer_epoch = ProducerEpoch(head.get_i16());
        let sequence = head.get_i32();
        let count = head.get_i32();

        if magic != 2 {
            return Err(BadBatch::Magic { magic });
        }
        if attributes & CODEC > 4 {
            return Err(BadBatch::Codec { bits: attributes & CODEC });
        }
        let length = u32::try_from(length)
            .ok()
            .filter(|&n| n as usize >= HEADER_LEN - PREFIX_LEN)
            .ok_or(BadBatch::Length { length })?;
        // Compaction leaves fewer records than offsets, never more; an emptied batch keeps its offsets.
        let (Ok(last_offset_delta), Ok(records)) = (u32::try_from(delta), u32::try_from(count)) else {
            return Err(BadBatch::Count { count, delta });
        };
        if u64::from(records) > u64::from(last_offset_delta) + 1 {
            return Err(BadBatch::Count { count, delta });
        }
        let last = base_offset.checked_add(i64::from(last_offset_delta) + 1);
        let base_offset = match (Offset::new(base_offset), last) {
            (Some(offset), Some(_)) => offset,
            _ => return Err(BadBatch::Offset { offset: base_offset }),
        };
        let control = attributes & CONTROL != 0;
        let base_sequence = Sequence::new(sequence);
        if producer_id.is_some() && !control && (producer_epoch.0 < 0 || base_sequence.is_none()) {
            return Err(BadBatch::Producer { epoch: producer_epoch.0, sequence });
        }
        Ok(Self {
            base_offset,
            length,
            leader_epoch,
            crc,
            attributes,
            last_offset_delta,
            base_timestamp,
            max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence: if producer_id.is_some() { base_sequence } else { None },
            count: records,
        })
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        PREFIX_LEN + self.length as usize
    }

    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(self.last_offset_delta)
    }

    /// The offset after the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    pub fn codec(&self) -> Codec {
        match self.attributes & CODEC {
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            _ => Codec::None,
        }
    }

    pub fn time_type(&self) -> TimeType {
        if self.attributes & LOG_APPEND_TIME == 0 { TimeType::Create } else { TimeType::LogAppend }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
}

/// Checks the CRC-32C of one whole batch.
pub fn checksum_holds(header: &Header, batch: &[u8]) -> Result<(), BadBatch> {
    let covered = batch
        .get(CRC_FROM..header.size())
        .ok_or(BadBatch::Short { have: batch.len(), need: header.size() })?;
    let found = crc32c(covered);
    if found == header.crc { Ok(()) } else { Err(BadBatch::Checksum { stated: header.crc, found }) }
}

pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    // A 32-bit algorithm's sum fits its low half.
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// One whole batch: its parsed header and exactly its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub header: Header,
    pub bytes: Bytes,
}

impl Batch {
    /// Takes the batch at the front of `bytes`; its checksum is not looked at.
    pub fn split_from(bytes: &mut Bytes) -> Result<Self, BadBatch> {
        let header = Header::parse(bytes)?;
        let need = header.size();
        if bytes.len() < need {
            return Err(BadBatch::Short { have: bytes.len(), need });
        }
        Ok(Self { header, bytes: bytes.split_to(need) })
    }

    /// As [`Batch::split_from`], but the checksum is looked at before what it covers is judged: bytes that were damaged on
    /// their way are damaged, whatever they seem to say.
    pub fn split_verified_from(bytes: &mut Bytes) -> Result<Self, BadBatch> {
        let short = |need| BadBatch::Short { have: bytes.len(), need };
        let length = bytes.get(8..PREFIX_LEN).and_then(|it| it.try_into().ok()).map(i32::from_be_bytes);
        let length = length.ok_or(short(HEADER_LEN))?;
        let size =
            usize::try_from(length).ok().and_then(|n| n.checked_add(PREFIX_LEN)).filter(|n| *n >= HEADER_LEN);
        let size = size.ok_or(BadBatch::Length { length })?;
        let batch = bytes.get(..size).ok_or(short(size))?;
        let magic = batch.get(16).copied().unwrap_or_default() as i8;
        if magic != 2 {
            return Err(BadBatch::Magic { magic });
        }
        let stated = batch.get(17..CRC_FROM).and_then(|it| it.try_into().ok()).map_or(0, u32::from_be_bytes);
        let found = crc32c(batch.get(CRC_FROM..).unwrap_or_default());
        if stated != found {
            return Err(BadBatch::Checksum { stated, found });
        }
        Self::split_from(bytes)
    }

    /// Everything after the header.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }

    pub fn verify(&self) -> Result<(), BadBatch> {
        checksum_holds(&self.header, &self.bytes)
    }
}

/// The batches of a run of bytes, one after the other; ends at the first that is not one.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, BadBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = Batch::split_from(&mut self.rest);
        if batch.is_err() {
            self.rest = Bytes::new();
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests;
