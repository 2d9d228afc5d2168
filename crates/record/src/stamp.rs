//! Re-stamping: what a node writes into a header that a client sent.

use bytes::Bytes;
use carrick_types::{LeaderEpoch, Offset, Timestamp};

use crate::header::{Batch, CRC_FROM, HEADER_LEN, Header};

/// A batch to be written: a header of our own and the client's body, which is not copied.
#[derive(Clone, Debug)]
pub struct Stamped {
    pub header: Header,
    pub head: [u8; HEADER_LEN],
    pub body: Bytes,
}

impl Stamped {
    /// The batch as it is.
    pub fn verbatim(batch: &Batch) -> Self {
        let mut head = [0; HEADER_LEN];
        if let Some(from) = batch.bytes.get(..HEADER_LEN) {
            head.copy_from_slice(from);
        }
        Self { header: batch.header, head, body: batch.bytes.slice(HEADER_LEN.min(batch.bytes.len())..) }
    }

    /// Base offset and leader epoch stand outside the CRC.
    #[must_use]
    pub fn at(mut self, base: Offset, epoch: LeaderEpoch) -> Self {
        self.header.base_offset = base;
        self.head[0..8].copy_from_slice(&base.get().to_be_bytes());
        self.with_epoch(epoch)
    }

    #[must_use]
    pub fn with_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.header.leader_epoch = epoch.get();
        self.head[12..16].copy_from_slice(&epoch.get().to_be_bytes());
        self
    }

    /// LogAppendTime: sets the bit and the largest time, which readers then take for every record (KIP-32), and the CRC.
    #[must_use]
    pub fn with_append_time(mut self, now: Timestamp) -> Self {
        self.header.attributes |= 0x08;
        self.header.max_timestamp = now;
        self.head[21..23].copy_from_slice(&self.header.attributes.to_be_bytes());
        self.head[35..43].copy_from_slice(&now.0.to_be_bytes());
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        digest.update(&self.head[CRC_FROM..]);
        digest.update(&self.body);
        self.header.crc = digest.finalize() as u32;
        self.head[17..21].copy_from_slice(&self.header.crc.to_be_bytes());
        self
    }

    pub fn size(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Copies; for tests and small batches.
    pub fn to_bytes(&self) -> Bytes {
        [&self.head[..], &self.body].concat().into()
    }
}
