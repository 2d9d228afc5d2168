//! One memory budget per node: what is about to be read from a socket is taken from it first.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may be held at once. Waiters are served in order of arrival.
#[derive(Clone, Debug)]
pub struct Budget {
    total: usize,
    units: Arc<Semaphore>,
}

/// Bytes taken; given back when dropped.
#[derive(Debug)]
pub struct Claim {
    permit: Option<OwnedSemaphorePermit>,
}

impl Claim {
    /// Gives back what is above `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.permit {
            let above = permit.num_permits().saturating_sub(bytes.div_ceil(UNIT).max(1));
            drop(permit.split(above));
        }
    }
}

/// A semaphore counts at most 2^61 permits and takes at most 2^32 − 1 at a time; a KiB is fine enough.
const UNIT: usize = 1024;

impl Budget {
    pub fn new(total: usize) -> Self {
        Self { total, units: Arc::new(Semaphore::new((total / UNIT).max(1))) }
    }

    /// Waits until `bytes` are free. A claim above the whole budget takes the whole of it, alone.
    pub async fn claim(&self, bytes: usize) -> Claim {
        // The semaphore is never closed.
        Claim { permit: Arc::clone(&self.units).acquire_many_owned(self.units_of(bytes)).await.ok() }
    }

    /// As [`Budget::claim`], but None where it would have to wait.
    pub fn try_claim(&self, bytes: usize) -> Option<Claim> {
        let permit = Arc::clone(&self.units).try_acquire_many_owned(self.units_of(bytes)).ok()?;
        Some(Claim { permit: Some(permit) })
    }

    fn units_of(&self, bytes: usize) -> u32 {
        let units = bytes.min(self.total).div_ceil(UNIT).clamp(1, (self.total / UNIT).max(1));
        u32::try_from(units).unwrap_or(u32::MAX)
    }

    pub fn total(&self) -> usize {
        self.total
    }

    pub fn free(&self) -> usize {
        self.units.available_permits() * UNIT
    }
}
