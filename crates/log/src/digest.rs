//! The running digest: a sum of one 128-bit hash per batch, so that the digest of a range is a difference of two sums.

use carrick_record::{Stamped, batch_hash};

/// The sum over all batches from the first to some batch boundary. Wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub u128);

impl Digest {
    #[must_use]
    pub fn plus(self, batch: &Stamped) -> Self {
        Self(self.0.wrapping_add(batch_hash(&batch.header, &batch.body)))
    }

    /// The digest of what lies between `earlier` and here.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.wrapping_sub(earlier.0))
    }
}
