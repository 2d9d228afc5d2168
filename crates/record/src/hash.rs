//! The hash of a batch: of all that must be equal at a mirror.
//!
//! Proof against accident, not against a forger. Left out, because sites may differ in them: leader epoch, producer fields,
//! transactional bit, CRC.

use xxhash_rust::xxh3::Xxh3;

use crate::header::{Batch, Header};

/// Codec and time type.
const ATTRIBUTES: i16 = 0x0f;

/// Of base offset, last offset delta, codec, time type, times, count and body. Part of the formats of disk and link.
pub fn batch_hash(header: &Header, body: &[u8]) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&header.base_offset.get().to_le_bytes());
    hasher.update(&header.last_offset_delta.to_le_bytes());
    hasher.update(&(header.attributes & ATTRIBUTES).to_le_bytes());
    hasher.update(&header.base_timestamp.0.to_le_bytes());
    hasher.update(&header.max_timestamp.0.to_le_bytes());
    hasher.update(&header.count.to_le_bytes());
    hasher.update(body);
    hasher.digest128()
}

impl Batch {
    pub fn hash(&self) -> u128 {
        batch_hash(&self.header, self.body())
    }
}
