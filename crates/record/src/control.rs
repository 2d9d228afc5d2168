//! Control batches: the marker that ends a transaction (KIP-98). One record: key (version, type), value (version,
//! coordinator epoch).

use bytes::{BufMut, Bytes, BytesMut};
use carrick_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::header::{Batch, CRC_FROM, HEADER_LEN, PREFIX_LEN, crc32c};
use crate::records;

/// What a control batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    Abort,
    Commit,
    /// Kafka's own (leader change, snapshots, ...) and those to come: they end no transaction.
    Other(i16),
}

impl ControlKind {
    /// None when the batch's single record cannot be read.
    pub fn of(batch: &Batch) -> Option<Self> {
        let first = records::walk(batch.body(), 1).next()?.ok()?;
        let key = first.key?;
        let kind = i16::from_be_bytes(key.get(2..4)?.try_into().ok()?);
        Some(match kind {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Other(other),
        })
    }
}

/// A marker to be written.
#[derive(Clone, Copy, Debug)]
pub struct EndTransaction {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub coordinator_epoch: i32,
    pub commit: bool,
    pub at: Timestamp,
}

impl EndTransaction {
    /// The marker's batch of one record, as a broker writes it.
    pub fn batch(&self, base: Offset, epoch: LeaderEpoch) -> Bytes {
        let mut record = BytesMut::new();
        record.put_u8(0); // attributes
        record.put_u8(0); // timestamp delta
        record.put_u8(0); // offset delta
        record.put_u8(8); // key length 4, zigzag
        record.put_i16(0);
        record.put_i16(i16::from(self.commit));
        record.put_u8(12); // value length 6, zigzag
        record.put_i16(0);
        record.put_i32(self.coordinator_epoch);
        record.put_u8(0); // headers

        let mut batch = BytesMut::with_capacity(HEADER_LEN + 1 + record.len());
        batch.put_i64(base.get());
        batch.put_i32((HEADER_LEN - PREFIX_LEN + 1 + record.len()) as i32);
        batch.put_i32(epoch.get());
        batch.put_i8(2);
        batch.put_u32(0);
        batch.put_i16(0x30);
        batch.put_i32(0);
        batch.put_i64(self.at.0);
        batch.put_i64(self.at.0);
        batch.put_i64(self.producer_id.get());
        batch.put_i16(self.producer_epoch.0);
        batch.put_i32(-1);
        batch.put_i32(1);
        batch.put_u8((record.len() * 2) as u8); // length, zigzag
        batch.put(record);
        let crc = crc32c(&batch[CRC_FROM..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        batch.freeze()
    }
}
