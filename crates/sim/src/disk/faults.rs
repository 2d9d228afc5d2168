//! What a test can make go wrong.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::Instant;

use super::SimDisk;

#[derive(Clone, Debug)]
pub(super) struct Faults {
    crash_at: Option<u64>,
    failing: Failing,
    stall_ms_max: u64,
    /// No sync of files ends before, nor any other.
    stuck_until: [Option<Instant>; 2],
    pub(super) lies: bool,
    /// Awaited syncs that failed by [`SimDisk::fail_sync_after`] or [`SimDisk::fail_syncs_from`].
    pub(super) failed_syncs: u64,
    pub(super) bytes_max: u64,
    /// Calls that find room before one finds none.
    fills_after: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Failing {
    No,
    /// The sync after so many more fails.
    Once {
        after: u64,
    },
    /// That one and all that follow fail.
    From {
        after: u64,
    },
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            crash_at: None,
            failing: Failing::No,
            stall_ms_max: 0,
            stuck_until: [None; 2],
            lies: false,
            failed_syncs: 0,
            bytes_max: u64::MAX,
            fills_after: None,
        }
    }
}

impl Faults {
    pub(super) fn crash_is_due(&self, calls: u64) -> bool {
        self.crash_at.is_some_and(|at| at <= calls)
    }

    /// Counts a sync; true if it is to fail.
    pub(super) fn sync_fails(&mut self) -> bool {
        let (now, next) = match self.failing {
            Failing::No => (false, Failing::No),
            Failing::Once { after: 0 } => (true, Failing::No),
            Failing::Once { after } => (false, Failing::Once { after: after - 1 }),
            Failing::From { after } => (after == 0, Failing::From { after: after.saturating_sub(1) }),
        };
        self.failing = next;
        now
    }

    /// Counts a call that needs room; true if it is to be the first that finds none.
    pub(super) fn fills(&mut self) -> bool {
        let left = self.fills_after.map(|after| after.checked_sub(1));
        self.fills_after = left.flatten();
        left == Some(None)
    }

    pub(super) fn stall(&self, rng: &mut SmallRng) -> Duration {
        Duration::from_millis(rng.random_range(0..=self.stall_ms_max))
    }

    /// How long a sync that begins now is stuck; `files`: it covers any.
    pub(super) fn stuck(&self, files: bool) -> Duration {
        let until = self.stuck_until[usize::from(!files)];
        until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default()
    }

    pub(super) fn after_reboot(&self) -> Self {
        let Self { stall_ms_max, lies, bytes_max, .. } = *self;
        Self { stall_ms_max, lies, bytes_max, ..Self::default() }
    }
}

impl SimDisk {
    /// The k-th call of this disk (the first is 1; one that has been means the next) does nothing, nor does any after it.
    pub fn crash_at(&self, call: u64) {
        self.inner.state.lock().faults.crash_at = Some(call);
    }

    /// The n-th sync from now (the next is 1) fails, once. What it was to cover is droppable for ever: later syncs succeed
    /// and do not make it durable.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.inner.state.lock().faults.failing = Failing::Once { after: syncs.saturating_sub(1) };
    }

    /// The n-th sync from now and all after it fail.
    pub fn fail_syncs_from(&self, syncs: u64) {
        self.inner.state.lock().faults.failing = Failing::From { after: syncs.saturating_sub(1) };
    }

    /// Each awaited sync takes a drawn time of whole milliseconds, up to and with `max`.
    pub fn stall_sync(&self, max: Duration) {
        self.inner.state.lock().faults.stall_ms_max = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
    }

    /// The disk is stuck: awaited syncs of its files that begin within so many whole milliseconds end after them. With
    /// `others` those too that are made elsewhere, such as a store's.
    pub fn stick_syncs(&self, wait: Duration, others: bool) {
        let until = Some(Instant::now() + wait);
        self.inner.state.lock().faults.stuck_until = [until, until.filter(|_| others)];
    }

    /// From here on, reboots included, awaited syncs say that they succeeded and make nothing durable: for tests of tests.
    pub fn lie_about_syncs(&self) {
        self.inner.state.lock().faults.lies = true;
    }

    /// Awaited syncs since the boot that failed as they were told to.
    pub fn failed_syncs(&self) -> u64 {
        self.inner.state.lock().faults.failed_syncs
    }

    /// The medium's size: a write past it is cut short and refused with `StorageFull`, as is a new name once it is
    /// reached. Space comes back when a file is cut, or removed and no longer open, or by a larger size; `u64::MAX` is no
    /// limit.
    pub fn full_at(&self, bytes: u64) {
        self.inner.state.lock().faults.bytes_max = bytes;
    }

    /// The n-th call from now (the next is 1) that needs room, a write past a file's end or a new name, finds the medium full,
    /// a write after a drawn part of its bytes. So it stays until [`SimDisk::full_at`] gives it another size.
    pub fn fill_after(&self, calls: u64) {
        self.inner.state.lock().faults.fills_after = Some(calls.saturating_sub(1));
    }

    /// Whether it has a size that was set, or has filled up.
    pub fn has_end(&self) -> bool {
        self.inner.state.lock().faults.bytes_max != u64::MAX
    }
}
