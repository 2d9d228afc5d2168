//! The running digest: a sum of one 128-bit hash per batch, so that the digest of a range is a difference of two sums.
//!
//! Proof against accident, not against a forger. Left out, because sites may differ in them: leader epoch, producer fields,
//! transactional bit, CRC.

use carrick_record::Stamped;
use xxhash_rust::xxh3::Xxh3;

/// The sum over all batches from the first to some batch boundary. Wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub u128);

impl Digest {
    #[must_use]
    pub fn plus(self, batch: &Stamped) -> Self {
        Self(self.0.wrapping_add(hash(batch)))
    }

    /// The digest of what lies between `earlier` and here.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.wrapping_sub(earlier.0))
    }
}

/// Codec and time type.
const ATTRIBUTES: i16 = 0x0f;

fn hash(batch: &Stamped) -> u128 {
    let header = &batch.header;
    let mut hasher = Xxh3::new();
    hasher.update(&header.base_offset.get().to_le_bytes());
    hasher.update(&header.last_offset_delta.to_le_bytes());
    hasher.update(&(header.attributes & ATTRIBUTES).to_le_bytes());
    hasher.update(&header.base_timestamp.0.to_le_bytes());
    hasher.update(&header.max_timestamp.0.to_le_bytes());
    hasher.update(&header.count.to_le_bytes());
    hasher.update(&batch.body);
    hasher.digest128()
}
