//! The running digest: a sum of one 128-bit hash per batch, so that the digest of a range is a difference of two sums.

use carrick_record::{Stamped, batch_hash};

/// The sum over all batches from the first to some batch boundary. Wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub u128);

impl Digest {
    /// Of one batch.
    #[must_use]
    pub fn of(batch: &Stamped) -> Self {
        Self(batch_hash(&batch.header, &batch.body))
    }

    #[must_use]
    pub fn plus(self, batch: &Stamped) -> Self {
        self.and(Self::of(batch))
    }

    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self(self.0.wrapping_add(later.0))
    }

    /// The digest of what lies between `earlier` and here.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.wrapping_sub(earlier.0))
    }
}
